"""The shared iterator of a run: rows become questions in a worker thread, a batch ahead of what is being asked.

Reading, rendering and hashing block, so they happen off the event loop; what crosses over is a list per batch, which costs nothing per row.
At most two batches wait, so a table of any length takes the same memory.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from pipeline.errors import Crashed, DataError, PromptError, RowError, RunError
from pipeline.records import Row
from pipeline.rows.columns import cells

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.prompt.build import RequestBuilder
    from pipeline.records import Request
    from pipeline.rows.source import Source


@dataclass(frozen=True, slots=True)
class Question:
    """A row's request, or why it has none."""

    row: int
    built: Request | RowError

    def request(self) -> Request:
        """Return the request; raises the row's ``PromptError``, ``NullCell`` or ``MediaError``."""
        if isinstance(self.built, RowError):
            raise self.built
        return self.built


Selection = tuple["Callable[[int, int], bool]", "Callable[[int], bool]"]
"""Whether a span of row numbers (first, count) holds a wanted row, and whether a row is wanted."""


def everything() -> Selection:
    """Every row of the job."""
    return (lambda _first, _count: True), (lambda _row: True)


def all_but(finished: bytearray) -> Selection:
    """The rows that are not marked 1."""
    known = len(finished)

    def span(first: int, count: int) -> bool:
        return first + count > known or finished.find(0, first, first + count) >= 0

    return span, lambda row: row >= known or not finished[row]


def only(rows: set[int]) -> Selection:
    """These rows."""
    ordered = sorted(rows)

    def span(first: int, count: int) -> bool:
        at = bisect_left(ordered, first)
        return at < len(ordered) and ordered[at] < first + count

    return span, rows.__contains__


def questions(source: Source, builder: RequestBuilder, selection: Selection) -> Iterator[list[Question]]:
    """Yield the selected rows' questions, batch by batch, in input order. Blocking. Raises ``DataError`` where the input is broken."""
    span, wanted = selection
    for batch in source.batches(builder.columns, wanted=span):
        numbers = list(batch.numbers)
        yield [
            _question(Row(number, row), builder)
            for number, row in zip(numbers, cells(batch.table), strict=True)
            if wanted(number)
        ]


def _question(row: Row, builder: RequestBuilder) -> Question:
    try:
        return Question(row.number, builder.build(row))
    except RowError as error:
        return Question(row.number, error)
    except RecursionError:
        return Question(row.number, PromptError("a cell is nested too deeply"))


class Feed:
    """Hands questions to whoever is free. ``read`` runs beside the workers; ``broken`` is set when the input turned out unreadable."""

    def __init__(self, batches: Iterator[list[Question]]) -> None:
        self._batches = batches
        self._send, self._receive = anyio.create_memory_object_stream[list[Question]](1)
        self._ready: deque[Question] = deque()
        self._refill = anyio.Lock()
        self.broken: RunError | None = None

    async def read(self) -> None:
        """Read ahead until the input ends or nobody takes any more."""
        async with self._send:
            try:
                while (batch := await anyio.to_thread.run_sync(next, self._batches, None)) is not None:
                    await self._send.send(batch)
            except DataError as error:
                self.broken = error  # what was read before is still asked; the run then ends with this error
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                pass  # the run is ending
            except Exception as error:  # noqa: BLE001 - what was read before is still asked, as above
                self.broken = Crashed(error)

    async def take(self) -> Question | None:
        """Return the next question, or None when there are no more."""
        while not self._ready:
            async with self._refill:
                if not self._ready:
                    try:
                        self._ready.extend(await self._receive.receive())
                    except (anyio.EndOfStream, anyio.ClosedResourceError):
                        return None
        return self._ready.popleft()

    def close(self) -> None:
        """Hand out nothing more."""
        self._ready.clear()
        self._receive.close()
        self._send.close()
