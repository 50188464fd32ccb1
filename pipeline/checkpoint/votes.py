"""What the answers of several samples have in common: the most frequent value, how many gave it, and how far they agree. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean as exact_mean
from typing import Any

from pipeline.spec.columns import Enum, FieldType, Scalar


@dataclass(frozen=True, slots=True)
class Vote:
    """The most frequent value, the share of answers that gave it, and the share of pairs of values that are equal.

    Both shares lie between 0 and 1 and are None where there is nothing to share: ``share`` without a value, ``agreement`` below two.
    """

    value: Hashable = None
    share: float | None = None
    agreement: float | None = None


def vote(values: Sequence[Hashable], answers: int) -> Vote:
    """Return the vote of the values that samples gave, in sample order; None may be one of them.

    Of values that are equally frequent the one that came first wins. ``answers`` counts all samples that were answered, also those that
    were refused or cut off and so gave no value: they lower the share.
    """
    if not values:
        return Vote()
    counts = Counter(values)
    winner, frequency = counts.most_common(1)[0]  # which keeps the order of first appearance among equals
    pairs = len(values) * (len(values) - 1)
    agreeing = sum(count * (count - 1) for count in counts.values())
    return Vote(winner, frequency / max(answers, len(values)), agreeing / pairs if pairs else None)


def mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of the numbers that samples gave; None where none gave one."""
    known = [value for value in values if value is not None]
    return exact_mean(known) if known else None


def endings(type_: FieldType) -> tuple[str, ...]:
    """Return what the columns beside a field's list are called after its name: a mean for numbers with a fraction, which hardly repeat.

    Lists, maps and raw JSON have none.
    """
    match type_:
        case Scalar("float"):
            return ("mean",)
        case Enum() | Scalar("string" | "int" | "bool"):
            return ("vote", "share", "agreement")
        case _:
            return ()


def tallied(type_: FieldType, values: Sequence[Any], answers: int) -> Mapping[str, object]:
    """Return what stands in those columns, by their endings."""
    match endings(type_):
        case ("mean",):
            return {"mean": mean(values)}
        case ("vote", *_):
            winner = vote(values, answers)
            return {"vote": winner.value, "share": winner.share, "agreement": winner.agreement}
        case _:
            return {}
