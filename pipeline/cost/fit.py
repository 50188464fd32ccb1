"""What a pilot says about the whole table: how far our input counts are off, how long answers are, and what everything will cost. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.cost.interval import Interval
from pipeline.cost.sampling import LEAST, quantile, slopes, whole_of

WORDS = ("text", "tools", "schema")
"""The kinds that are counted by a tokenizer, and whose error is one."""

GROUPS: Mapping[str, tuple[str, ...]] = {"text": WORDS, "image": ("image",), "video": ("video",), "file": ("file",)}
"""The kinds of input that each can be wrong in a way of its own."""

_ALL = tuple(kind for kinds in GROUPS.values() for kind in kinds)

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

_APART = 30  # observations from which on kinds are told apart


@dataclass(frozen=True, slots=True)
class Observation:
    """What one request of a pilot used over all of its attempts, the failed ones too; None is what is not known.

    ``expected`` is our count of its input tokens by kind, ``cost`` in picodollars. ``certain`` says that it was drawn for its size.
    """

    expected: Mapping[str, float]
    input_tokens: int | None
    output_tokens: int | None = None
    cost: int | None = None
    certain: bool = False


@dataclass(frozen=True, slots=True)
class Whole:
    """The table that a pilot stands for: how many different requests it makes, and our count of their input tokens by kind."""

    requests: int
    expected: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Fit:
    """What a pilot of so many ``requests`` says. Intervals are of the ``whole`` table, the pilot included, and hold with 90 %.

    ``input_ratio`` is what is billed for each input token that we count, ``by_kind`` the same for the kinds that the pilot tells apart.
    ``output_quantiles`` are the output tokens of a request by share of the requests. ``cost`` is in picodollars, and so is ``spent``, the
    part of it that the pilot's own requests have cost; ``used_input`` and ``used_output`` are theirs of the tokens. ``sent`` is how often
    something left for it this time: 0 where all was answered before, None where nobody counted.
    ``notes`` say what the pilot could not tell, which is None, and which requests it holds for their size.
    """

    requests: int
    whole: Whole
    input_ratio: Interval | None
    by_kind: Mapping[str, float]
    output_quantiles: Mapping[float, float]
    input_tokens: Interval | None
    output_tokens: Interval | None
    cost: Interval | None
    spent: int | None
    used_input: int | None = None
    used_output: int | None = None
    sent: int | None = field(default=None, compare=False)
    notes: tuple[str, ...] = ()


_Figure = Callable[[Observation], int | None]

FIGURES: Mapping[str, _Figure] = {
    "input": lambda each: each.input_tokens,
    "output": lambda each: each.output_tokens,
    "cost": lambda each: each.cost,
}


def fit(observations: Sequence[Observation], whole: Whole, *, figures: Collection[str] = FIGURES) -> Fit:
    """Conclude from a pilot's requests, drawn at random, to the whole table. ``figures`` are those that were asked for at all."""
    groups = _groups(observations)
    billed = _total(observations, whole, groups, FIGURES["input"])
    expected = sum(whole.expected.values())
    lengths = [each.output_tokens for each in observations if each.output_tokens is not None and not each.certain]
    return Fit(
        requests=len(observations),
        whole=whole,
        input_ratio=billed.times(1 / expected) if billed is not None and expected else None,
        by_kind=_by_kind(observations, groups),
        output_quantiles={share: quantile(lengths, share) for share in QUANTILES} if lengths else {},
        input_tokens=billed,
        output_tokens=_total(observations, whole, [_ALL], FIGURES["output"]),
        cost=_total(observations, whole, groups, FIGURES["cost"]),
        spent=_sum(observations, FIGURES["cost"]),
        used_input=_sum(observations, FIGURES["input"]) if "output" in figures else None,
        used_output=_sum(observations, FIGURES["output"]),
        notes=tuple(_notes(observations, whole, figures)),
    )


def _groups(observations: Sequence[Observation]) -> list[tuple[str, ...]]:
    """The kinds that are corrected each by itself; those that too few requests show go with the one that most requests show."""
    seen = {name: sum(1 for each in observations if _of(each.expected, kinds) > 0) for name, kinds in GROUPS.items()}
    apart = [name for name, count in seen.items() if count >= LEAST]
    if len(observations) < _APART or len(apart) < 2:
        return [_ALL]
    most = max(apart, key=lambda name: seen[name])
    rare = [kind for name in GROUPS if name not in apart for kind in GROUPS[name]]
    return [(*GROUPS[name], *rare) if name == most else GROUPS[name] for name in apart]


def _of(expected: Mapping[str, float], kinds: Sequence[str]) -> float:
    return sum(expected.get(kind, 0.0) for kind in kinds)


def _sizes(observations: Sequence[Observation], groups: Sequence[tuple[str, ...]]) -> list[list[float]]:
    return [[_of(each.expected, kinds) for kinds in groups] for each in observations]


def _total(
    observations: Sequence[Observation], whole: Whole, groups: Sequence[tuple[str, ...]], figure: _Figure
) -> Interval | None:
    """What a figure is over the whole table: that of the large requests, which all are known, and what the others say of each other."""
    known = [(each, value) for each in observations if (value := figure(each)) is not None]
    large = [(each, value) for each, value in known if each.certain]
    others = [(each, value) for each, value in known if not each.certain]
    sums = [_of(whole.expected, kinds) - sum(_of(each.expected, kinds) for each, _ in large) for kinds in groups]
    sizes = _sizes([each for each, _ in others], groups)
    rest = whole_of(sizes, [value for _, value in others], sums, whole.requests - len(large))
    return None if rest is None else rest + Interval.exactly(sum(value for _, value in large))


def _sum(observations: Sequence[Observation], figure: _Figure) -> int | None:
    """What the requests themselves come to; None where that is not known of one of them."""
    known = [value for each in observations if (value := figure(each)) is not None]
    return sum(known) if len(known) == len(observations) else None


def _by_kind(observations: Sequence[Observation], groups: Sequence[tuple[str, ...]]) -> dict[str, float]:
    """What is billed for each token that we count, by kind; nothing where the pilot does not tell them apart."""
    known = [(each, each.input_tokens) for each in observations if each.input_tokens]
    if len(known) < LEAST or len(groups) < 2:
        return {}
    ratios = slopes(_sizes([each for each, _ in known], groups), [value for _, value in known])
    seen = {kind for each, _ in known for kind, tokens in each.expected.items() if tokens > 0}
    return {
        kind: ratio for kinds, ratio in zip(groups, ratios, strict=True) if ratio > 0 for kind in kinds if kind in seen
    }


def _notes(observations: Sequence[Observation], whole: Whole, figures: Collection[str]) -> list[str]:
    notes = []
    count = len(observations)
    if count < min(LEAST, whole.requests):
        notes.append(f"a pilot of {count} says too little for an interval; send at least {LEAST} requests, better 100")
    large = sum(1 for each in observations if each.certain)
    if large:
        counted = "largest request" if large == 1 else f"{large} largest requests"
        notes.append(
            f"the {counted} of the table, too large to be left to chance, {'is' if large == 1 else 'are'} among those drawn"
        )
    for name in figures:
        missing = sum(1 for each in observations if FIGURES[name](each) is None)
        if missing:
            notes.append(f"the {name} of {missing} of the {count} requests is not known; they are left out of it")
    for name, kinds in GROUPS.items():
        if _of(whole.expected, kinds) > 0 and not any(_of(each.expected, kinds) for each in observations):
            notes.append(
                f"the table has input of the kind {name}, and none of the requests has: what it costs is a guess"
            )
    return notes
