"""The shared iterator of a run: rows become questions in a worker thread, a batch ahead of what is being asked.

Reading, rendering and hashing block, so they happen off the event loop; what crosses over is a list per batch, which costs nothing per row.
At most two batches wait, so a table of any length takes the same memory.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from pipeline.cost.weigh import with_extents
from pipeline.errors import Crashed, PromptError, RowError, RunError
from pipeline.prompt.build import sampled
from pipeline.records import Row
from pipeline.rows.columns import cells
from pipeline.values import value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.prompt.build import RequestBuilder
    from pipeline.records import Request
    from pipeline.rows.source import Source


AT_ONCE = 256
"""Rows of a batch at most. The loop waits while a batch is rendered, as one interpreter runs one thread: 2 ms for so many texts, and the
waits of one row in twenty are half as long as with a thousand. Smaller batches cost more per row."""

_ON_S = 0.008
"""For how long batches are read as one after a batch of which nothing was left to ask: the next will be like that, too, and the way to the
thread and back takes as long as ten rows. For longer would gain little, and let the rows that are out wait."""


@value
class Question:
    """One of a row's requests, or why it has none: then ``answers`` says how many the row lacks for that reason.

    ``begins`` are the long beginnings that its request has in common with others, by ``engine.order``; ``size`` is about its bytes then.
    """

    row: int
    built: Request | RowError
    answers: int = 1
    begins: tuple[bytes, ...] = ()
    size: int = 0

    def request(self) -> Request:
        """Return the request; raises the row's ``PromptError``, ``NullCell`` or ``MediaError``."""
        if isinstance(self.built, RowError):
            raise self.built
        return self.built


Selection = tuple["Callable[[int, int], bool]", "Callable[[int], Sequence[int]]"]
"""Whether a span of row numbers (first, count) holds a wanted row, and which samples of a row are wanted."""


def everything(samples: int = 1) -> Selection:
    """Every row of the job."""
    return (lambda _first, _count: True), (lambda _row: range(samples))


def all_but(finished: bytearray, samples: int = 1) -> Selection:
    """All samples of the rows that are not marked 1."""
    known = len(finished)

    def span(first: int, count: int) -> bool:
        return first + count > known or finished.find(0, first, first + count) >= 0

    return span, lambda row: range(samples if row >= known or not finished[row] else 0)


def only(places: set[tuple[int, int]]) -> Selection:
    """These samples, each by its row and its own number."""
    samples: dict[int, list[int]] = {}
    for row, sample in sorted(places):
        samples.setdefault(row, []).append(sample)
    ordered = list(samples)

    def span(first: int, count: int) -> bool:
        at = bisect_left(ordered, first)
        return at < len(ordered) and ordered[at] < first + count

    return span, lambda row: samples.get(row, ())


def questions(
    source: Source, builder: RequestBuilder, selection: Selection, *, measured: bool = False
) -> Iterator[list[Question]]:
    """Yield the selected rows' questions, batch by batch, in input order. Blocking. Raises ``DataError`` where the input is broken.

    With ``measured`` the headers of pictures, videos and files are read, so that their requests can be weighed.
    """
    span, wanted = selection
    for batch in source.batches(builder.columns, wanted=span, most=AT_ONCE):
        numbers = list(batch.numbers)
        yield [
            question
            for number, row in zip(numbers, cells(batch.table), strict=True)
            if (samples := wanted(number))
            for question in questions_of(Row(number, row), samples, builder, measured=measured)
        ]


def questions_of(
    row: Row, samples: Sequence[int], builder: RequestBuilder, *, measured: bool = False
) -> list[Question]:
    """Return the questions of some samples of a row, which is rendered once; ``measured`` ones know the extents of their media."""
    try:
        request = builder.build(row)
        if measured:
            request = with_extents(request)
    except RowError as error:
        return [Question(row.number, error, len(samples))]
    except RecursionError:
        return [Question(row.number, PromptError("a cell is nested too deeply"), len(samples))]
    return [Question(row.number, sampled(request, sample)) for sample in samples]


Sift = Callable[[list[Question]], Awaitable[list[Question]]]
"""Takes a batch's questions that need no worker, and returns the others."""


class Feed:
    """Hands questions to whoever is free. ``read`` runs beside the workers; ``broken`` is set when the input turned out unreadable."""

    def __init__(self, batches: Iterator[list[Question]], sift: Sift | None = None) -> None:
        """Hand out what ``sift``, if there is one, leaves of each batch."""
        self._batches = batches
        self._sift = sift
        self._send, self._receive = anyio.create_memory_object_stream[list[Question]](1)
        self._on_s = 0.0
        self._unread: Exception | None = None  # what went wrong after the last batch
        self._ready: deque[Question] = deque()
        self._refill = anyio.Lock()
        self.broken: RunError | None = None

    async def read(self) -> None:
        """Read ahead until the input ends or nobody takes any more."""
        async with self._send:
            try:
                while (batch := await anyio.to_thread.run_sync(self._next)) is not None:
                    left = batch if self._sift is None else await self._sift(batch)
                    self._on_s = 0.0 if left else _ON_S
                    if left:
                        await self._send.send(left)
            except RunError as error:
                self.broken = error  # what was read before is still asked; the run then ends with this error
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                pass  # the run is ending
            except Exception as error:  # noqa: BLE001 - what was read before is still asked, as above
                self.broken = Crashed(error)

    def _next(self) -> list[Question] | None:
        """Read a batch, or some as one. Blocking. What goes wrong after the first of them is raised by the next call."""
        if self._unread is not None:
            raise self._unread
        until = time.monotonic() + self._on_s
        read = batch = next(self._batches, None)
        try:
            while read is not None and batch is not None and time.monotonic() < until:
                if (batch := next(self._batches, None)) is not None:
                    read = [*read, *batch]
        except Exception as error:  # noqa: BLE001 - as in `read`
            self._unread = error
        return read

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
