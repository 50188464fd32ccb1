"""How the answers that one row got in several samples become the cells of one row.

A column that is no list holds one value for the row: of the sample that decides the row's status, the first that is known, the largest,
the sum, or all texts joined. Every other column is a list with an entry for each sample, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from pipeline.checkpoint.schema import RESULT
from pipeline.records import STATUS_FACTS, Status

Across = Literal["deciding", "first", "largest", "sum", "known", "joined", "list"]
"""How the cells of a row's samples combine."""

Cells = Mapping[str, object]
"""The cells of one sample, by the names of their columns."""


def asks_nothing(result: Sequence[object]) -> bool:
    """Tell whether a journal's result is that of a row without a request."""
    return result[RESULT.index("attempts")] is None


def completed(row: int, results: Sequence[Sequence[object]], samples: int) -> list[Sequence[object]]:
    """Return a result for each sample of a row: what a row without a request has holds for all, and what is not there yet is pending."""
    if results and asks_nothing(results[0]):
        return [results[0]] * samples
    known = {result[RESULT.index("sample")]: result for result in results}
    return [known.get(sample) or _pending(row, sample) for sample in range(samples)]


def _pending(row: int, sample: int) -> Sequence[object]:
    values = {"row": row, "sample": sample, "status": Status.PENDING.value}
    return [values.get(name) for name in RESULT]


def deciding(statuses: Sequence[str]) -> int:
    """Return the place of the sample whose status is the row's: the first that is not ok, or the first of all."""
    return next((place for place, status in enumerate(statuses) if not STATUS_FACTS[Status(status)].ok), 0)


def combined(samples: Sequence[Cells], name: str, across: Across) -> object:
    """Return a row's cell out of its samples' cells."""
    return _COMBINE[across](samples, name)


def answered(cells: Cells) -> bool:
    """Tell whether a sample was answered, as wished or not."""
    return STATUS_FACTS[Status(str(cells["status"]))].answered


def _deciding(samples: Sequence[Cells], name: str) -> object:
    return samples[deciding([str(cells["status"]) for cells in samples])][name]


def _first(samples: Sequence[Cells], name: str) -> object:
    return next(iter(_known(samples, name)), None)


def _largest(samples: Sequence[Cells], name: str) -> object:
    return max(_known(samples, name), default=None)


def _sum(samples: Sequence[Cells], name: str) -> object:
    """Unknown where a sample was answered without a word on it: what the others say would understate the bill."""
    if any(cells[name] is None and answered(cells) for cells in samples):
        return None
    known = _known(samples, name)
    return sum(known) if known else None


def _known_part(samples: Sequence[Cells], name: str) -> object:
    """The sum of what is known; unknown where that is nothing, and a sample was sent of which it is not known."""
    known = _known(samples, name)
    lacks = any(cells[name] is None and cells["attempts"] for cells in samples)
    return sum(known) if any(known) or (known and not lacks) else None


def _joined(samples: Sequence[Cells], name: str) -> object:
    return "; ".join(dict.fromkeys(_known(samples, name))) or None


def _known(samples: Sequence[Cells], name: str) -> list[Any]:
    return [cells[name] for cells in samples if cells[name] is not None]


_COMBINE: Mapping[Across, Callable[[Sequence[Cells], str], object]] = {
    "deciding": _deciding,
    "first": _first,
    "largest": _largest,
    "sum": _sum,
    "known": _known_part,
    "joined": _joined,
    "list": lambda samples, name: [cells[name] for cells in samples],
}
