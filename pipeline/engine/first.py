"""The first rows of a job, looked at before anything is sent: a mistake that they all make is the job's."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

from pipeline.engine.feed import questions_of
from pipeline.errors import NullCell, Problem, PromptError, RowError, SpecError
from pipeline.records import Row
from pipeline.rows.columns import cells
from pipeline.wire.encode import cautions, refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.engine.check import Prepared
    from pipeline.records import Request
    from pipeline.spec.job import Job
    from pipeline.wire.encode import Refusal

FIRST_ROWS = 20
"""Looked at before the run; enough to tell a mistake of the job from one of a row."""

_LOOKED_BYTES = 1024 * 1024  # of input that are read at a time for that
_PLAIN = (0,)  # samples of a row: its plain request

First = Sequence[tuple[int, "Request | RowError"]]
"""The requests of the first rows by their numbers, or why a row has none."""

_MEND = "mend the template, or the cells that it reads"
_ELSEWHERE = "choose another provider, or say in provider.overrides that this server takes it nevertheless"


def first_requests(
    prepared: Prepared, rows: int, *, measured: bool = False
) -> Iterator[tuple[int, Request | RowError]]:
    """Yield the requests of the first ``rows`` rows, or why a row has none; ``measured`` is as in ``questions``. Blocking."""
    batches = prepared.source.batches(prepared.builder.columns, target_bytes=_LOOKED_BYTES)
    found = (
        Row(number, row) for batch in batches for number, row in zip(batch.numbers, cells(batch.table), strict=True)
    )
    for row in islice(found, rows):  # no other row is rendered: each may hold pictures, or name them
        (question,) = questions_of(row, _PLAIN, prepared.builder, measured=measured)
        yield row.number, question.built


def check_first(prepared: Prepared) -> tuple[str, ...]:
    """Hold the first requests against the dialect, and return what should be known about them.

    Raises ``SpecError`` where none of them can be rendered, or the dialect takes none: then the mistake is the job's. A single row that
    cannot be sent (its column holds whole messages, say) is no mistake of the job's; it fails alone.
    """
    job, dialect = prepared.job, prepared.endpoint.dialect
    first = list(first_requests(prepared, FIRST_ROWS))
    built = [request for _, request in first if not isinstance(request, RowError)]
    asking = [(row, request) for row, request in first if not isinstance(request, NullCell)]  # a null says nothing here
    failed = [(row, error) for row, error in asking if isinstance(error, PromptError)]
    if failed and len(failed) == len(asking):
        raise SpecError(_mistakes(job, failed), source=job.source, hint=failed[0][1].hint or _MEND)
    reasons = [refused(request.body, dialect) for request in built]
    if reasons and all(reasons):
        problems = [job.problem(place, each.reason) for each in reasons[0] for place in _places(job, each)]
        raise SpecError(problems, source=job.source, hint=_ELSEWHERE)
    return tuple(dict.fromkeys(caution for request in built for caution in cautions(request.body, dialect)))


def _mistakes(job: Job, failed: Sequence[tuple[int, PromptError]]) -> list[Problem]:
    """Return what keeps rows from making a request, each place of the spec once, as its first row says it."""
    found: dict[str, Problem] = {}
    for row, error in failed:
        for place in error.problems or (Problem("prompt", error.message),):
            message = f"{place.message} (row {row}; no row makes a request)"
            found.setdefault(place.where, job.problem(place.where, message, suggestion=place.suggestion))
    return list(found.values())


def _places(job: Job, refusal: Refusal) -> list[str]:
    """Return where in the spec stands what a dialect refuses: at the prompt as a whole, where a column brought it."""
    prompt, name = job.prompt, refusal.name
    turns = () if isinstance(prompt.messages, str) else prompt.messages or ()
    places = {
        "part": [f"{place}.{name}" for place, part in prompt.parts if part.kind == name],
        "role": [f"prompt.messages.{index}.role" for index, turn in enumerate(turns) if turn.role == name],
        "tools": ["request.tools" if "tools" in job.request else "tools"],
        "parameter": [f"request.{name}"] if name in job.request else [],
    }
    return places[refusal.about] or ["prompt"]
