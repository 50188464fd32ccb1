"""Two runs side by side: which rows are answered otherwise, how far they agree, and what each took.

Rows meet by their numbers where both runs read the same input, else by what they ask: the cells that either prompt reads.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from pipeline.checkpoint.across import deciding
from pipeline.checkpoint.gold import answers_between, field_types, plain, spelled
from pipeline.checkpoint.schema import RESULT
from pipeline.errors import DataError
from pipeline.records import STATUS_FACTS, Status
from pipeline.report.cards import answer_cells, cell_text, input_cells, needed_columns
from pipeline.report.pictures import Thumbnails
from pipeline.report.story import Change, Comparison
from pipeline.report.tell import story_of
from pipeline.rows.columns import cells

if TYPE_CHECKING:
    from pipeline.report.story import Story
    from pipeline.report.subject import Input, Subject

MOST_CHANGES = 200
MOST_BYTES = 1_500_000
"""Of the changes that are shown, as JSON."""

_STATUSES = """
SELECT r.row, COALESCE(a.status, r.status, 'pending')
FROM rows AS r LEFT JOIN requests AS q ON q.id = r.request LEFT JOIN requests AS a ON a.id = COALESCE(q.answered_by, q.id)
WHERE r.plan = ? ORDER BY r.row, r.sample
"""
_SPAN = 10_000  # rows that are read at a time
_SEED = 4
_DIGEST = 16
_NULL = "(null)"
_FEW = 50  # different values up to which agreement beyond chance is told
_LONG = 60  # characters from which on a value is compared by its digest


def compared(before: Subject, after: Subject, *, made_at: float) -> Comparison:
    """Return how two opened runs differ. Blocking.

    Raises ``DataError`` where nothing tells which of their rows are the same, or their answers have no field in common.
    """
    if not set(_fields(before)) & set(_fields(after)):
        alone = " and ".join(", ".join(_fields(subject)) for subject in (before, after))
        hint = "compare runs whose output.fields share a name; what each run cost is in its own report"
        raise DataError(f"the answers of the two runs have no field in common: {alone}", hint=hint)
    pairs = _pairs(before, after)
    stories = [story_of(subject, made_at=made_at, cards=False) for subject in (before, after)]
    return _compared(before, after, pairs, stories)


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Which row of the run before is which row of the run after; how many have no partner on either side; and how they were found."""

    rows: Mapping[int, int]
    only_before: int
    only_after: int
    note: str


def _pairs(before: Subject, after: Subject) -> _Pairs:
    """Return which rows are the same. Blocking; raises ``DataError`` where nothing tells."""
    rows_before, rows_after = _numbers(before), _numbers(after)
    if before.reader.input_signature == after.reader.input_signature:
        same = {row: row for row in rows_before if row in rows_after}
        note = "both runs read the same input: rows are compared by their numbers"
        return _Pairs(same, len(rows_before) - len(same), len(rows_after) - len(same), note)
    if before.input is None or after.input is None:
        which = "first" if before.input is None else "second"
        raise DataError(
            f"the runs read different inputs, and that of the {which} has changed since or is gone",
            hint="rows of different inputs are told to be the same by their cells: put the input back as it was",
        )
    columns = _asked_columns(before.input, after.input)
    places = _by_cells(after.input, columns, rows_after)
    same = {}
    for key, row in _keys(before.input, columns, rows_before):
        if waiting := places.get(key):
            same[row] = waiting.pop()
    note = f"the runs read different inputs: rows are the same where these columns are: {', '.join(columns)}"
    return _Pairs(same, len(rows_before) - len(same), len(rows_after) - len(same), note)


def _numbers(subject: Subject) -> dict[int, None]:
    query = "SELECT DISTINCT row FROM rows WHERE plan = ? ORDER BY row"
    return {row: None for (row,) in subject.reader.lines(query, (subject.reader.plan,))}


def _asked_columns(before: Input, after: Input) -> list[str]:
    """Return the columns that either prompt reads and both inputs have. Raises ``DataError`` where there are none."""
    shared = set(before.columns) & set(after.columns)
    columns = sorted(shared & {*before.builder.columns, *after.builder.columns})
    if not columns:
        raise DataError(
            "the runs read different inputs, and no column that a prompt reads is in both",
            hint="compare runs whose inputs share the columns that they ask about",
        )
    return columns


def _by_cells(found: Input, columns: Sequence[str], rows: Mapping[int, None]) -> dict[bytes, list[int]]:
    """Return the rows by what they ask, the last first, so that the n-th of equals meets the n-th."""
    places: dict[bytes, list[int]] = {}
    for key, row in _keys(found, columns, rows):
        places.setdefault(key, []).append(row)
    for waiting in places.values():
        waiting.reverse()
    return places


def _keys(found: Input, columns: Sequence[str], rows: Mapping[int, None]) -> Iterator[tuple[bytes, int]]:
    for batch in found.source.batches(columns):
        for row, values in zip(batch.numbers, cells(batch.table), strict=True):
            if row in rows:
                written = repr([plain(values[name]) for name in columns]).encode(errors="surrogatepass")
                yield blake2b(written, digest_size=_DIGEST).digest(), row


Answers = dict[int, tuple[str, Mapping[str, str]]]
"""The status and the fields of each row, long values by their digests."""


def _answers(subject: Subject) -> Answers:
    """Return what each row was answered. A row of several samples has the status that decides, and the vote."""
    statuses: dict[int, list[str]] = {}
    for row, status in subject.reader.lines(_STATUSES, (subject.reader.plan,)):
        statuses.setdefault(row, []).append(status)
    found: Answers = {}
    types = field_types(subject.job)
    last = max(statuses, default=-1)
    for first in range(0, last + 1, _SPAN):
        for row, fields in answers_between(subject.reader, subject.job, first, min(first + _SPAN, last + 1) - 1):
            known = {name: _short(spelled(value, types.get(name))) for name, value in fields.items()}
            found[row] = (statuses[row][deciding(statuses[row])], known)
    return found


def _short(text: str | None) -> str:
    if text is None:
        return _NULL
    return text if len(text) < _LONG else blake2b(text.encode(errors="surrogatepass"), digest_size=_DIGEST).hexdigest()


def _compared(before: Subject, after: Subject, pairs: _Pairs, stories: Sequence[Story]) -> Comparison:
    first, second = _answers(before), _answers(after)
    tallies: dict[str, Counter[tuple[str, str]]] = {}
    changed: list[int] = []
    neither = 0
    for row, other in pairs.rows.items():
        (status, ours), (other_status, theirs) = first[row], second[other]
        if not any(STATUS_FACTS[Status(each)].answered for each in (status, other_status)):
            neither += 1
            continue
        for name in ours.keys() & theirs.keys():
            tallies.setdefault(name, Counter())[ours[name], theirs[name]] += 1
        if status != other_status or any(ours[name] != theirs[name] for name in ours.keys() & theirs.keys()):
            changed.append(row)
    names = [name for name in dict.fromkeys([*_fields(before), *_fields(after)]) if name in tallies]
    thumbnails = Thumbnails()
    shown = _changes(before, after, {row: pairs.rows[row] for row in changed}, thumbnails)
    alone = sorted({*_fields(before)} ^ {*_fields(after)})
    notes = [
        pairs.note,
        *([f"in one of the runs only, and not compared: {', '.join(alone)}"] if alone else []),
        *thumbnails.notes,
        *_told_by(stories),
    ]
    return Comparison(
        before=stories[0],
        after=stories[1],
        rows=len(pairs.rows),
        only_before=pairs.only_before,
        only_after=pairs.only_after,
        same=len(pairs.rows) - len(changed) - neither,
        changed=len(changed),
        fields=[(name, *agreement(tallies[name])) for name in names],
        changes=shown,
        notes=notes,
        neither=neither,
    )


def _fields(subject: Subject) -> list[str]:
    fields = subject.job.output.fields
    return ["output"] if fields is None else [column.name for column in fields.columns]


def agreement(pairs: Counter[tuple[str, str]]) -> tuple[int, int, float | None]:
    """Return how many rows agree, of how many, and Cohen's kappa: the share beyond chance, where there are few different values.

    Kappa is None too where both runs give one and the same value throughout: then chance explains everything.
    """
    rows = pairs.total()
    agree = sum(count for (ours, theirs), count in pairs.items() if ours == theirs)
    left: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for (ours, theirs), count in pairs.items():
        left[ours] += count
        right[theirs] += count
    if not rows or len(left | right) > min(_FEW, max(rows // 2, 2)):
        return agree, rows, None
    chance = sum(left[value] * right[value] for value in left) / rows**2
    return agree, rows, None if chance == 1 else (agree / rows - chance) / (1 - chance)


def _changes(before: Subject, after: Subject, changed: Mapping[int, int], thumbnails: Thumbnails) -> list[Change]:
    """Return some of the changed rows by chance, in order, as far as there is room."""
    picked = sorted(random.Random(_SEED).sample(sorted(changed), min(MOST_CHANGES, len(changed))))  # noqa: S311 - to look at
    changes: list[Change] = []
    room = MOST_BYTES
    for row, values in _inputs(before, picked):
        change = _change(before, after, (row, changed[row]), values, thumbnails)
        room -= len(json.dumps(asdict(change), ensure_ascii=False).encode(errors="replace"))
        if room < 0:
            break
        changes.append(change)
    return changes


def _inputs(subject: Subject, rows: Sequence[int]) -> Iterator[tuple[int, Mapping[str, object] | None]]:
    """Yield rows with the cells that are shown of each, None where there is no input. Only one batch's cells are held."""
    if subject.input is None:
        yield from ((row, None) for row in rows)
        return
    yield from subject.input.cells(rows, needed_columns(subject.input))


def _change(
    before: Subject,
    after: Subject,
    rows: tuple[int, int],
    values: Mapping[str, object] | None,
    thumbnails: Thumbnails,
) -> Change:
    request = None if before.input is None or values is None else before.input.request(rows[0], values)
    old, new = _shown(before, rows[0]), _shown(after, rows[1])
    return Change(
        row=rows[0],
        inputs={} if before.input is None or values is None else input_cells(before.input, values),
        pictures=[] if request is None else thumbnails.shown(request),
        before=old[1],
        after=new[1],
        before_status=old[0],
        after_status=new[0],
    )


def _shown(subject: Subject, row: int) -> tuple[str, Mapping[str, str]]:
    """Return a row's status and answer as text: its fields, or of a row that has none what there is instead."""
    results = [dict(zip(RESULT, line, strict=True)) for line in subject.reader.results(row, row)]
    place = deciding([str(values["status"]) for values in results])
    answer = next((fields for _, fields in answers_between(subject.reader, subject.job, row, row)), {})
    if answer:
        return str(results[place]["status"]), {name: cell_text(value) for name, value in answer.items()}
    return str(results[place]["status"]), answer_cells(subject, results[place])


def _told_by(stories: Sequence[Story]) -> list[str]:
    """Return what each run's own story notes, by which run it is."""
    return [f"{name}: {note}" for name, story in zip(("before", "after"), stories, strict=True) for note in story.notes]
