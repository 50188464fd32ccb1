"""Tokens of texts: counted by OpenAI's vocabulary, and the rough weight by which the throttle reserves before it knows better.

The count is exact for OpenAI's current models. The vocabularies of other vendors are not public or not at hand: for them the same count
stands in, with an error that ``vocabulary_of`` states.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING

from pipeline.cost.names import matches

if TYPE_CHECKING:
    from collections.abc import Callable

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


def count_tokens(texts: Sequence[str]) -> list[int]:
    """Return how many tokens of the vocabulary o200k each text has, exactly. Blocking; any number of threads may count at once.

    Words that look like control tokens (``<|endoftext|>``) count as the text that they are: that is how they arrive from a user.
    """
    count = _counter()
    try:
        return list(map(count, texts))
    except UnicodeEncodeError:  # half a surrogate pair, which no JSON can carry: such a row is refused when it is sent
        return [count(text.encode("utf-8", "replace").decode()) for text in texts]


@lru_cache(maxsize=1)
def _counter() -> Callable[[str], int]:
    """Return what counts one text. Loading the vocabulary takes a moment, so it waits until it is needed."""
    # The package's public `Encoding` only lists tokens, and refuses texts of a million characters; its own binding counts. The package
    # itself is not imported: that would load every vocabulary that it has, in Python, which takes ten times as long.
    package = importlib.util.find_spec("bpe_openai")
    name = "bpe_openai._bindings"
    found = PathFinder.find_spec(name, None if package is None else package.submodule_search_locations)
    if found is None or found.loader is None:
        raise ModuleNotFoundError(f"no module {name}", name=name)
    bindings = importlib.util.module_from_spec(found)
    found.loader.exec_module(bindings)
    count: Callable[[str], int] = bindings.tokenizer_for_encoding("o200k_base").count
    return count


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """How far the count of a text by o200k is from what models bill: ``low`` and ``high`` are factors around it."""

    patterns: Sequence[str]
    low: float
    high: float
    note: str | None
    """What to say beside the figure; None where the count is exact."""


_VOCABULARIES: tuple[Vocabulary, ...] = (
    # Which models use o200k: the table of models in OpenAI's own tokenizer, tiktoken 0.14.0 (read 2026-11). Other vendors' vocabularies
    # differ by text and language; the factors hold for whole prompts of English, code and Chinese, and are wide on purpose.
    Vocabulary(
        ["gpt-4o*", "chatgpt-4o*", "gpt-4.1*", "gpt-4.5*", "gpt-5*", "o1*", "o3*", "o4-mini*", "gpt-oss*"],
        1.0,
        1.0,
        None,
    ),
    Vocabulary(
        ["gpt-4*", "gpt-3*"], 0.9, 1.25, "text counted by o200k, newer than this model's vocabulary: -10 to +25 %"
    ),
    Vocabulary(
        ["gpt-*", "chatgpt*", "o[4-9]*", "codex*", "computer-use*"],
        0.9,
        1.1,
        "text counted by o200k, assumed for this model: ±10 %",
    ),
    Vocabulary(
        ["gemini*", "gemma*"], 0.85, 1.15, "text counted by OpenAI's o200k, a proxy for Gemini's vocabulary: ±15 %"
    ),
    Vocabulary(["claude*"], 0.9, 1.5, "text counted by OpenAI's o200k, a proxy for Claude's vocabulary: -10 to +50 %"),
)
_OTHER = Vocabulary(
    ("*",), 0.75, 1.35, "text counted by OpenAI's o200k, a proxy for this model's vocabulary: -25 to +35 %"
)


@lru_cache(maxsize=1024)
def vocabulary_of(model: str) -> Vocabulary:
    """Return how well the count of a text stands for what a model bills."""
    return next((each for each in _VOCABULARIES if matches(model, each.patterns)), _OTHER)
