"""What the model says: a function of what was really sent, and of the seed.

The same content gives the same words and the same token counts in all three dialects. Every sentence ends with a
reference, a digest of everything that was asked, so that an answer that reached the wrong row can be told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import orjson

from pipeline.simulator import tokens
from pipeline.simulator.calling import Call, calls_of
from pipeline.simulator.evidence import Evidence
from pipeline.simulator.figures import Figures
from pipeline.simulator.filling import Filler
from pipeline.simulator.hosted import Ran, run_hosted
from pipeline.simulator.published import Rules, rules_for
from pipeline.simulator.reading import Asked, Medium
from pipeline.simulator.seen import Seen

__all__ = ["Answer", "Usage", "answer", "count_input", "medium_tokens"]

Facts = Mapping[tuple[str, str], Seen]
"""What was seen of the media that brought their bytes, by their keys."""

QUOTED_WORDS = 8
OPENINGS = ("", "Put differently: ", "In other words: ", "To say it again: ")
"""How the first answer begins, and further ones to the same question."""
URL_IMAGE = (1024, 1024)
AS_COUNTED = Figures()

REASONING_TOKENS: Mapping[str, int] = {
    "none": 0,
    "minimal": 16,
    "low": 64,
    "medium": 128,
    "high": 256,
    "xhigh": 512,
    "max": 1024,
}
_UNSEEN_TOKENS: Mapping[str, int] = {"video": tokens.VIDEO, "file": tokens.FILE_UNSEEN}
_UNSEEN: Mapping[str, str] = {"image": "an image", "video": "a video", "file": "a file"}


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used; cached is part of the input, reasoning of the output."""

    input: int
    output: int
    reasoning: int = 0
    cached: int = 0

    @property
    def total(self) -> int:
        """Input and output together."""
        return self.input + self.output


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says, before it takes a dialect's shape."""

    text: str
    usage: Usage
    calls: tuple[Call, ...] = ()
    hosted: tuple[Ran, ...] = ()
    """The provider's own tools that ran inside the answer."""
    status: str = "completed"
    reason: str | None = None
    error: tuple[str, str] | None = None
    refusal: str | None = None
    shape: str | None = None
    """A shape this one answer must take."""
    usage_form: str = "whole"
    """whole | absent | null_details | null"""


def answer(
    asked: Asked,
    facts: Facts,
    seed: int,
    *,
    cached: int = 0,
    repeat: int = 1,
    rounds: float | None = None,
    figures: Figures = AS_COUNTED,
) -> Answer:
    """Compose the answer to what was asked, cut at the output cap.

    ``repeat`` counts how often the same was asked, from 1; ``rounds`` is the script's number of tool rounds.
    ``figures`` make its usage.
    """
    digest = _digest(asked, facts, seed)
    repeat = 1 if asked.temperature == 0 else repeat
    spent = _billed_input(asked, facts, digest, figures)
    thinking = REASONING_TOKENS.get(asked.effort, 0)
    calls = calls_of(asked, digest, rounds)
    hosted = () if calls else run_hosted(asked, digest)
    waits = bool(calls) or any(ran.waits for ran in hosted)
    sentence = OPENINGS[(repeat - 1) % len(OPENINGS)] + " ".join(
        [_sentence(asked, facts, digest), *(ran.said for ran in hosted if ran.said)]
    )
    text = "" if waits else _text(asked, sentence, digest, repeat)
    said = (
        sum(tokens.count_text(f"{call.name} {call.arguments}") for call in calls) if calls else tokens.count_text(text)
    )
    said = figures.output(said, spent, digest, repeat)
    usage = Usage(spent, thinking + said, thinking, min(cached, spent))
    whole = Answer(text, usage, calls, hosted)
    if asked.max_tokens is None or usage.output <= asked.max_tokens:
        return whole
    thinking = min(thinking, asked.max_tokens)
    return replace(
        whole,
        text=tokens.cut_text(text, asked.max_tokens - thinking),
        calls=(),
        usage=replace(usage, output=asked.max_tokens, reasoning=thinking),
        status="incomplete",
        reason="max_output_tokens",
    )


def count_input(asked: Asked, facts: Facts, seed: int, figures: Figures = AS_COUNTED) -> int:
    """The input tokens of everything that was sent, as they are billed."""
    return _billed_input(asked, facts, _digest(asked, facts, seed), figures)


def _billed_input(asked: Asked, facts: Facts, digest: str, figures: Figures) -> int:
    rules = rules_for(figures.rules, asked.model)
    count = tokens.MESSAGE * asked.messages
    for text in (*asked.system, *asked.user, *asked.history, *asked.outputs):
        count += tokens.count_text(text)
    for medium in asked.media:
        count += medium_tokens(medium, facts, rules)
    for tool in asked.tools:
        count += tokens.count_text(f"{tool.type} {tool.name} {tool.description}")
        count += tokens.count_text(orjson.dumps(tool.parameters, option=orjson.OPT_SORT_KEYS).decode())
    if asked.schema is not None:
        count += tokens.count_text(orjson.dumps(asked.schema, option=orjson.OPT_SORT_KEYS).decode())
    return figures.input(count, digest)


def medium_tokens(medium: Medium, facts: Facts, rules: Rules) -> int:
    """The input tokens of one image, file or video."""
    if (seen := facts.get(medium.key)) is not None:
        return seen.tokens(medium.detail, rules)
    return rules.image(*URL_IMAGE, medium.detail) if medium.kind == "image" else _UNSEEN_TOKENS[medium.kind]


def _digest(asked: Asked, facts: Facts, seed: int) -> str:
    """A digest of all that was asked; an image, video or file counts by its bytes, whatever the spelling of its URI."""
    media = [seen.digest if (seen := facts.get(medium.key)) else medium.source for medium in asked.media]
    parts = (
        str(seed),
        "\x1f".join(asked.system),
        "\x1f".join(asked.user),
        "\x1f".join(media),
        "\x1f".join(asked.outputs),
    )
    return hashlib.sha256("\x1e".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _text(asked: Asked, sentence: str, digest: str, repeat: int) -> str:
    if asked.schema is not None:
        outputs = "\n".join(asked.outputs)
        evidence = Evidence(outputs, named_only=True) if outputs else None
        read = f"{asked.text}\n{outputs}"
        return _dumps(Filler(asked.schema, sentence, read, digest, evidence=evidence, repeat=repeat).fill())
    if asked.json_object:
        return _dumps({"answer": sentence, "reference": digest})
    return sentence


def _dumps(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


def _sentence(asked: Asked, facts: Facts, digest: str) -> str:
    if asked.outputs:
        outputs = "; ".join(_quote(output, 24) for output in asked.outputs)
        return f"The tool answered {outputs} (ref {digest})."
    if asked.media:
        clauses = "; ".join(_clause(medium, facts) for medium in asked.media)
        return f"{clauses[:1].upper()}{clauses[1:]} (ref {digest})."
    asked_last = next((text for text in reversed(asked.user) if text.strip()), "") or asked.text
    return f"A simulated answer to {_quote(asked_last, QUOTED_WORDS)} (ref {digest})."


def _quote(text: str, words: int) -> str:
    found = text.split(None, words)
    quoted = " ".join(found[:words])[:200]
    return f'"{quoted}{"…" if len(found) > words else ""}"'


def _clause(medium: Medium, facts: Facts) -> str:
    if (seen := facts.get(medium.key)) is not None:
        return seen.said(medium.name)
    return f"{_UNSEEN[medium.kind]} named {medium.name or _url_name(medium.source)}"


def _url_name(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2] or url
