"""How a row comes to its request: it has an answer, another row asks it right now, or it is this row's to ask."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from pipeline.checkpoint import schema
from pipeline.checkpoint.packing import unpack
from pipeline.errors import RowError
from pipeline.records import Claim, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from contextlib import AbstractContextManager

    from pipeline.checkpoint.index import Index
    from pipeline.checkpoint.writer import Writer
    from pipeline.records import Request

_UNWRITTEN = 8_192
"""Rows that are tied in bulk before anybody waits for the disk: enough that reading and writing go on side by side."""


class Asking:
    """The part of a journal that rows meet before an attempt leaves. ``_plan`` and ``_samples`` are those of the session."""

    def __init__(self, index: Index, writer: Writer, label: str) -> None:
        self._index = index
        self._writer = writer
        self._label = label
        self._plan = 0
        self._samples = 1
        self._unwritten = 0  # rows, at most, whose ties may not be durable yet
        self._replaced: dict[int, list[int]] = {}  # request that is being asked → those its answer will stand for

    def knows(self, request: Request) -> bool:
        """Tell whether a request needs no asking, without tying a row to it."""
        return self._index.shares(request) and self._index.known(request.fingerprint) is not None

    async def tie_known(self, requests: Sequence[Request]) -> list[Status | None]:
        """Tie the rows of requests that need no asking, all at once, and return the statuses of these; None for those to be claimed.

        Where each row asks for itself, and where a retry replaces answers, all are to be claimed. The ties are durable some batches later:
        without them a row only comes by once more. Raises ``DiskFailed`` or ``Crashed``.
        """
        index = self._index
        shared = [request for request in requests if index.shares(request)]
        if index.standing or len(shared) < len(requests):
            return [None] * len(requests)
        known, ties = index.tie_known(shared, self._plan)
        self._writer.post(*ties)
        self._unwritten += len(known) - known.count(None)
        if self._unwritten >= _UNWRITTEN:
            self._unwritten = 0
            await self._writer.write()
        return known

    def claim(self, request: Request) -> AbstractContextManager[Claim]:
        """Tie a row to its request; hold the request while this row asks it, and record how that ended."""
        return _Hold(self._index, self._writer, self._replaced, request, self._plan, self._label)

    def recall(self, requests: Iterable[Request]) -> None:
        """After an early stop, tie the rows that were not reached to answers from before; ``requests`` are those of all rows, in order."""
        index = self._index
        if not index.requests.untied:
            return
        index.restart()
        asked = map(index.told_apart, requests)
        while batch := list(islice(asked, _UNWRITTEN)):
            self._writer.post(*index.tie_known(batch, self._plan)[1])

    def note(self, row: int, status: Status, error: RowError) -> None:
        """Record a row that asks nothing: its prompt failed, or it is skipped. An answer that it has from before stands."""
        if any((row, sample) in self._index.standing for sample in range(self._samples)):
            return
        noted = (schema.NOTE, (row, 0, self._plan, status, error.kind, error.message))
        self._writer.post(noted, (schema.UNTIE_OTHERS, (row,)))


class _Hold:
    """A row's hold on its request, from its claim to its end; what ``Journal.claim`` returns."""

    __slots__ = ("_index", "_label", "_number", "_plan", "_replaced", "_request", "_writer")

    def __init__(
        self,
        index: Index,
        writer: Writer,
        replaced: dict[int, list[int]],
        request: Request,
        plan: int,
        label: str,
    ) -> None:
        self._index = index
        self._writer = writer
        self._replaced = replaced
        self._request = request
        self._plan = plan
        self._label = label
        self._number: int | None = None  # of the request, where it is held

    def __enter__(self) -> Claim:
        index = self._index
        request = index.told_apart(self._request)
        number, ties = index.tie(request, self._plan)
        standing = index.standing.get((request.row, request.sample), number) if index.standing else number
        if (status := index.requests.status(number)) is not None:
            self._writer.post(*ties, *index.stand_in(number, [standing]))
            return Claim(request, ours=False, known=status)
        if (asking := index.asking.get(number)) is not None:
            self._writer.post(*ties)
            asking.twins += 1
            self._replaced[number].append(standing)
            return Claim(request, ours=False)
        self._writer.defer(*ties)
        self._replaced[number] = [standing]
        if (rounds := index.rounds.get(number)) is not None:
            request = replace(request, rounds=tuple(map(unpack, rounds)))
        claim = index.asking[number] = Claim(request, ours=True)
        self._number = index.numbers[request.fingerprint] = number
        return claim

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if (number := self._number) is None:
            return
        index = self._index
        del index.numbers[index.asking.pop(number).request.fingerprint]
        replaced = self._replaced.pop(number)
        if isinstance(error, RowError) and error.scope == "row":
            self._writer.post(*index.conclude(number, error, self._label))
        if error is None:
            self._writer.post(*index.stand_in(number, replaced))
