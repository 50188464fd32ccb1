"""How heavy a request is, in tokens, before it is sent: an estimate for the throttle, corrected by the usage that comes back."""

from __future__ import annotations

BYTES_PER_TOKEN = 4  # of UTF-8 text; within about 30 % for English, code and Chinese on current OpenAI vocabularies
IMAGE_TOKENS = 1_000  # a photograph of one to two megapixels at the default detail costs 700 to 2,500
OUTPUT_TOKENS = 300  # a caption or a label with its reason; used where the job sets no cap


def request_weight(text_bytes: int, images: int, max_output_tokens: object) -> int:
    """Return the tokens to reserve for one request: its input by rule of thumb, and its output at the job's cap.

    Providers count the cap too, until the answer is there; the usage then gives back what was not needed.
    """
    output = max_output_tokens if isinstance(max_output_tokens, int) else OUTPUT_TOKENS
    return max(1, text_bytes // BYTES_PER_TOKEN + images * IMAGE_TOKENS + output)
