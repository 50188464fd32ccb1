"""How heavy a request is, in tokens, before it is sent: an estimate for the throttle, corrected by the usage that comes back."""

from __future__ import annotations

from collections.abc import Collection, Mapping

BYTES_PER_TOKEN = 4  # of UTF-8 text; within about 30 % for English, code and Chinese on current OpenAI vocabularies
MEDIA_TOKENS: Mapping[str, int] = {
    "image": 1_000,  # a photograph of one to two megapixels at the default detail costs 700 to 2,500
    "video": 10_000,  # about 40 seconds at the 258 tokens a second that Gemini models count
    "file": 5_000,  # some pages of a PDF, each as text and as a picture
}
OUTPUT_TOKENS = 300  # a caption or a label with its reason; used where the job sets no cap


def request_weight(text_bytes: int, media: Collection[str], max_output_tokens: object) -> int:
    """Return the tokens to reserve for one request: its input by rule of thumb, and its output at the job's cap.

    ``media`` are the kinds of what it shows. Providers count the cap too, until the answer is there; the usage then gives back what was
    not needed.
    """
    output = max_output_tokens if isinstance(max_output_tokens, int) else OUTPUT_TOKENS
    return max(1, text_bytes // BYTES_PER_TOKEN + sum(MEDIA_TOKENS[kind] for kind in media) + output)
