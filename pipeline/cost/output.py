"""How many tokens an answer will have: as those of the same job had, or else an assumption that says what it rests on.

The assumed figures are rules of thumb of ours, not a provider's. ``low`` and ``high`` of an assumption bound the mean over a table, not
each answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple

from pipeline.cost.interval import ZERO, Interval, summed
from pipeline.spec.columns import Column, Enum, FieldType, ListOf, Scalar, Struct

PROSE = Interval(20.0, 150.0, 600.0)
"""An answer in words: from a caption to some paragraphs."""

_SCALARS: Mapping[str, Interval] = {
    "bool": Interval.exactly(1.0),
    "int": Interval(1.0, 1.0, 3.0),
    "float": Interval(2.0, 3.0, 6.0),
    "string": Interval(4.0, 20.0, 80.0),
    "json": Interval(2.0, 40.0, 300.0),
}
_ITEMS = Interval(1.0, 4.0, 10.0)  # of a list
_BYTES_PER_TOKEN = 4
_ROUGH = Interval(0.8, 1.0, 1.3)  # how far that is off for words

EFFORTS: Mapping[str, Interval] = {
    "none": ZERO,
    "minimal": Interval(0.0, 30.0, 150.0),
    "low": Interval(30.0, 150.0, 700.0),
    "medium": Interval(100.0, 500.0, 2500.0),
    "high": Interval(300.0, 1500.0, 8000.0),
    "xhigh": Interval(500.0, 3000.0, 16000.0),
}
"""Reasoning tokens by effort. They are billed as output and count against ``max_output_tokens``."""

# What a model does unless it is told; the first pattern that fits. A model that is not listed is taken not to reason.
_UNTOLD: tuple[tuple[str, str], ...] = (
    *(("gpt-5-chat*", "none"), ("gpt-5.[1-4]*", "none"), ("gpt-5*", "medium"), ("gpt-6*", "medium")),
    *(("o[1-9]", "medium"), ("o[1-9]-*", "medium")),
    *(("gemini-2.5-flash-lite*", "none"), ("gemini-2.5*", "medium"), ("gemini-[3-9]*", "medium")),
)


@dataclass(frozen=True, slots=True)
class Observed:
    """Calls that a job has made of one model: how many were answered, their output tokens (mean and standard deviation), and the mean
    seconds that they took, None where that is not known.
    """

    calls: int
    output: float
    deviation: float
    latency_s: float | None


ENOUGH = 10
"""Answered calls from which on what they had counts, and no assumption."""
_NINETY = 1.645  # standard errors to either side, for nine in ten


def effort_of(model: str, body: Mapping[str, object]) -> str:
    """Return how hard a model reasons about a request: as the request says, or as the model does unless it is told."""
    reasoning = body.get("reasoning")
    told = reasoning.get("effort") if isinstance(reasoning, Mapping) else None
    if isinstance(told, str) and told in EFFORTS:
        return told
    name = model.rpartition("/")[2].lower()
    return next((effort for pattern, effort in _UNTOLD if fnmatchcase(name, pattern)), "none")


class _Call(NamedTuple):
    """A kind of call: the model asked, its effort and cap, whose observed calls stand for it (None: nobody's), and the effort to add."""

    model: str
    effort: str
    cap: int | None
    source: str | None
    added: str


class Outputs:
    """Says what comes back for a call. ``columns`` are those of ``output.fields``, if the job has any; ``observed`` is by model.

    Where one model alone was observed, what it wrote goes for the others too: the same question asks for the same answer. A model that
    reasons more is taken to add its reasoning; one that reasons less writes nobody knows how much less, so that it is guessed.
    """

    def __init__(self, columns: tuple[Column, ...] | None, observed: Mapping[str, Observed]) -> None:
        self._fields = columns is not None
        self._visible = PROSE if columns is None else _tokens(Struct(columns))
        self._observed = {model: seen for model, seen in observed.items() if seen.calls >= ENOUGH}
        self._only = next(iter(self._observed)) if len(self._observed) == 1 else None
        self._expected: dict[_Call, Interval] = {}

    def expected(self, model: str, body: Mapping[str, object]) -> Interval:
        """Return the output tokens of one call."""
        cap = body.get("max_output_tokens")
        key = _Call(model, effort_of(model, body), cap if isinstance(cap, int) else None, *self._source(model, body))
        found = self._expected.get(key)
        if found is None:
            found = self._expected[key] = self._guess(key)
        return found

    def _source(self, model: str, body: Mapping[str, object]) -> tuple[str | None, str]:
        """Return the model whose observed calls stand for those of ``model``, if any, and the effort of reasoning that comes on top."""
        effort = effort_of(model, body)
        if model in self._observed:
            return model, "none"
        if self._only is None or (theirs := effort_of(self._only, body)) not in {"none", effort}:
            return None, effort
        return self._only, "none" if theirs == effort else effort

    def _guess(self, call: _Call) -> Interval:
        if call.source is None:
            whole = self._visible + EFFORTS[call.added]
        else:
            seen = self._observed[call.source]
            error = _NINETY * seen.deviation / seen.calls**0.5
            whole = Interval(max(seen.output - error, 0.0), seen.output, seen.output + error) + EFFORTS[call.added]
        return whole if call.cap is None or call.source == call.model else whole.at_most(call.cap)

    def latency_s(self, model: str, output: Interval) -> Interval:
        """Return the seconds that one call takes."""
        seen = self._observed.get(model)
        if seen is not None and seen.latency_s is not None:
            return Interval.exactly(seen.latency_s)
        return Interval.exactly(1.0) + output.times(1 / TOKENS_PER_SECOND)

    @property
    def timed(self) -> bool:
        """Whether the job's own calls tell how long one takes."""
        return any(seen.latency_s is not None for seen in self._observed.values())

    def basis(self) -> list[str]:
        """Return the sentences that say what the figures given out so far rest on, each for all models that it is true of."""
        models: dict[str, dict[str, None]] = {}
        for call, tokens in self._expected.items():
            models.setdefault(self._sentence(call, tokens), {})[call.model] = None
        return [f"{sentence} ({', '.join(names)})" for sentence, names in models.items()]

    def _sentence(self, call: _Call, tokens: Interval) -> str:
        figures = f"output: {tokens.mid:,.0f} ({tokens.low:,.0f}-{tokens.high:,.0f}) tokens a call"
        reasons = "" if call.added == "none" else f" and reasoning at effort {call.added}"
        if call.source is not None:
            of = "" if call.source == call.model else f" with {call.source}"
            return f"{figures}, as {self._observed[call.source].calls:,} answered calls of this job had{of}{reasons}"
        source = "output.fields" if self._fields else "answers in words"
        most = f", at most max_output_tokens {call.cap}" if call.cap is not None else ""
        return f"{figures}, guessed from {source}{reasons}{most}"


TOKENS_PER_SECOND = 60
"""Output tokens that a model is taken to write in a second, after a first second."""


def _tokens(type_: FieldType) -> Interval:
    """Return the tokens of a value of this type, as JSON."""
    tokens = _full(type_)
    return Interval(min(tokens.low, 1.0), tokens.mid, tokens.high) if type_.nullable else tokens


def _full(type_: FieldType) -> Interval:
    match type_:
        case Scalar(kind):
            return _SCALARS[kind]
        case Enum(values):
            lengths = [1.0 + len(value.encode()) / _BYTES_PER_TOKEN for value in values]
            return Interval(min(lengths) * _ROUGH.low, sum(lengths) / len(lengths), max(lengths) * _ROUGH.high)
        case ListOf(item):
            each = _tokens(item) + Interval.exactly(1.0)
            return Interval(each.low * _ITEMS.low, each.mid * _ITEMS.mid, each.high * _ITEMS.high)
        case Struct(fields):
            names = sum(2.0 + len(field.name.encode()) / _BYTES_PER_TOKEN for field in fields)
            return summed(_tokens(field.type) for field in fields) + _ROUGH.times(names)
