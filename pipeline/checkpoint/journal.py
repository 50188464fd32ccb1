"""What survives a crash: which questions were asked, what came back, and which row asks what.

The rules, each held by a test that kills the process:

* Before an attempt leaves, its intent is durable; after it, its outcome. *Finished* means committed.
* An intent without an outcome may have been paid: it is counted and named, never hidden.
* A request is found again by its fingerprint, never by its row's position, so rows may move, grow and repeat.
* Nothing is overwritten by less: a failure to get a better answer leaves the old answer standing.

Reads for people (``status``, ``show``, ``export``) go through ``pipeline.checkpoint.reader`` and may happen while a run writes.
"""

from __future__ import annotations

import time
from array import array
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.checkpoint import schema
from pipeline.checkpoint.index import Index
from pipeline.checkpoint.store import (
    Plan,
    Start,
    add_plan,
    add_session,
    closing,
    find_plan,
    opened,
    prepare,
    unpack,
)
from pipeline.checkpoint.values import answer_values, asked_values, attempt_values, usage_values
from pipeline.checkpoint.writer import Writer
from pipeline.checkpoint.writes import ADD_USAGE, ANSWER, INTEND, SETTLE
from pipeline.cost.untold import STATES
from pipeline.errors import RowError, Sent
from pipeline.records import Attempt, Claim, Outcome, Request, Status

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from pipeline.checkpoint.store import Statement


class Journal:
    """The journal of one run directory, open for one run. Everything it knows of finished requests is also in memory, by fingerprint."""

    def __init__(self, path: Path, *, label: str, dedupe: bool = True, tier: str | None = None) -> None:
        """Open or create the journal at ``path``; ``label`` is what the ``provider`` column says. Raises ``RunDirectoryError``.

        ``tier`` is the service tier that is sent along with every request, whatever that asks for.
        """
        prepare(path)
        with opened(path, read_only=True) as connection:
            self._index = Index(connection, dedupe=dedupe)
            self._attempts: int = connection.execute("SELECT COALESCE(MAX(id), 0) FROM attempts").fetchone()[0]
        self._path = path
        self._label = label
        self._tier = tier
        self._plan = self._session = 0
        self._samples = 1
        self._ambiguous = True
        self._replaced: dict[int, list[int]] = {}  # request that is being asked → those its answer will stand for
        self._writer = Writer(path)

    # -- a run begins and ends --------------------------------------------------------------------------------------------------

    def look(self, start: Start) -> Plan:
        """Return the plan that the session will have, without writing anything: the newest while job and input are unchanged.

        Raises ``RunDirectoryError`` for a retry that has nothing to go on with.
        """
        with opened(self._path, read_only=True) as connection:
            plan = find_plan(connection, start)
        self._plan, self._samples = plan.id, start.samples
        if plan.fresh or plan.names_files:  # then every row comes by, and a file may have become another question
            self._index.requests.drop_carriers()
        return plan

    def begin(self, start: Start, plan: Plan, *, ambiguous: bool) -> None:
        """Start a session on the plan, and count what the last one left in flight.

        With ``ambiguous`` false, requests left in flight end as ``unknown`` instead of being asked again.
        """
        with opened(self._path) as connection:
            connection.execute("BEGIN IMMEDIATE")
            killed = {request for (request,) in connection.execute(schema.OPEN_REQUESTS)}
            for statement in closing(self._label, ambiguous=ambiguous):
                connection.execute(*statement)
            if plan.fresh:
                add_plan(connection, start, plan)
            self._session = add_session(connection, start, plan)
            connection.execute("COMMIT")
        self._ambiguous = ambiguous
        if not ambiguous:
            self._index.requests.end(killed, Status.UNKNOWN)

    def finished_rows(self) -> bytearray:
        """Return one byte per row number of the plan, 1 where none of the row's samples needs asking, up to the last row that is known."""
        status = self._index.requests.status
        with opened(self._path, read_only=True) as connection:
            answers = array("I", bytes(4 * connection.execute(schema.ROWS_KNOWN, (self._plan,)).fetchone()[0]))
            for row, request in connection.execute(schema.ROWS_ASKING, (self._plan,)):
                if status(request) is not None:
                    answers[row] += 1
        return bytearray(count == self._samples for count in answers)

    def reopen(self, statuses: Collection[Status]) -> set[tuple[int, int]]:
        """Prepare `run --retry`: return the samples of this plan's rows that have one of the statuses; each will be asked once more.

        The answers they have stand until better ones are durable.
        """
        query = schema.ROWS_WITH_STATUS.format(marks=", ".join("?" * len(statuses)))
        with opened(self._path, read_only=True) as connection:
            rows = connection.execute(query, (self._plan, *statuses)).fetchall()
        self._index.standing = {(row, sample): request for row, sample, request in rows if request is not None}
        vain = {*statuses, Status.FAILED, Status.CANCELLED}  # also where it is the changed request that ended so before
        self._index.requests.revive(vain)
        noted = {row for row, _, request in rows if request is None}  # a row that asked nothing lacks all its samples
        return {*self._index.standing, *((row, sample) for row in noted for sample in range(self._samples))}

    def finish(self, *, names_files: bool = False) -> None:
        """Make everything durable and close the journal; nothing is in flight any more. Raises ``DiskFailed`` where that fails.

        ``names_files`` says that rows of this plan name files, whose changes the input's signature does not show.
        """
        if self._session:
            if names_files:
                self._writer.post((schema.NOTE_FILES, (self._plan,)))
            self._writer.post(*closing(self._label, ambiguous=self._ambiguous))
        self._writer.close()

    # -- a row asks -------------------------------------------------------------------------------------------------------------

    def knows(self, request: Request) -> bool:
        """Tell whether a request needs no asking, without tying a row to it."""
        return self._index.shares(request) and self._index.known(request.fingerprint) is not None

    async def tie_known(self, requests: Sequence[Request]) -> list[Status | None]:
        """Tie the rows of requests that need no asking, all at once, and return the statuses of these; None for those to be claimed.

        Where each row asks for itself, and where a retry replaces answers, all are to be claimed. Raises ``DiskFailed``.
        """
        index = self._index
        if index.standing:
            return [None] * len(requests)
        known = [index.known(request.fingerprint) if index.shares(request) else None for request in requests]
        statements: list[Statement] = []
        for request, status in zip(requests, known, strict=True):
            if status is not None:
                statements += index.tie(request, self._plan)[1]
        if statements:
            await self._writer.write(*statements)
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
        for request in requests:
            asked = index.told_apart(request)
            if index.known(asked.fingerprint) is not None:
                self._writer.post(*index.tie(asked, self._plan)[1])

    def note(self, row: int, status: Status, error: RowError) -> None:
        """Record a row that asks nothing: its prompt failed, or it is skipped. An answer that it has from before stands."""
        if any((row, sample) in self._index.standing for sample in range(self._samples)):
            return
        noted = (schema.NOTE, (row, 0, self._plan, status, error.kind, error.message))
        self._writer.post(noted, (schema.UNTIE_OTHERS, (row,)))

    # -- an attempt leaves and ends ---------------------------------------------------------------------------------------------

    async def intend(self, request: Request) -> Attempt:
        """Make it durable that an attempt is about to leave, and return it. Raises ``DiskFailed``.

        Where the provider works on an attempt of an earlier process, that one is returned, once: its answer is there to be fetched.
        """
        number = self._number(request)
        if self._index.submitted and (submitted := self._index.submitted.pop(number, None)) is not None:
            return submitted
        self._attempts += 1
        place = (self._attempts, number, request.row, self._session, time.time(), request.waited_s)
        attempt = Attempt(self._attempts)
        await self._writer.write((INTEND, (*place, *asked_values(request, self._tier))))
        return attempt

    async def submitted(self, attempt: Attempt, response_id: str) -> None:
        """Make durable under which id the provider works on an attempt: from now on its answer is fetched. Raises ``DiskFailed``."""
        await self._writer.write((schema.SUBMIT, (response_id, attempt.number)))

    async def settle(self, request: Request, attempt: Attempt, outcome: Outcome) -> None:
        """Make the outcome of an attempt durable; a reply without a turn finishes the request. Raises ``DiskFailed``."""
        number, error, reply = self._number(request), outcome.error, outcome.reply
        state = _state(outcome)
        left = error is None or error.sent is not Sent.NEVER or error.http_status is not None
        unreported = reply is not None and reply.usage.total_tokens is None
        usage = usage_values(outcome)
        told = outcome.told.response_id if outcome.told is not None else None
        settled = (attempt.number, state, outcome.latency_s, *attempt_values(outcome), *usage, told)
        added = (number, int(left), int(state == "unknown"), int(unreported), *usage)
        if reply is not None and reply.turn is None:
            times = (outcome.latency_s, reply.first_token_s, time.time())
            answered = (ANSWER, (*added, *answer_values(reply, self._label), *times))
            await self._writer.write((SETTLE, settled), answered, *self._index.close_rounds(number))
            self._index.requests.end((number,), reply.status)
            return
        statements: list[Statement] = [(SETTLE, settled), (ADD_USAGE, added)]
        if error is not None and state == "unknown" and not self._ambiguous:
            # In the same commit: a kill must not ask it again.
            ended = (Status.UNKNOWN, 0, "unknown_outcome", error.message, self._label, time.time(), number)
            statements.append((schema.CONCLUDE, ended))
        await self._writer.write(*statements)
        if state == "round":
            self._index.rounds.setdefault(number, [])  # this process goes on with it and does not claim it again

    def _number(self, request: Request) -> int:
        number = self._index.requests.find(request.fingerprint)
        if number is None:
            raise LookupError("a request is claimed before it is asked")
        return number


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
        self._number = number
        return claim

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if (number := self._number) is None:
            return
        index = self._index
        del index.asking[number]
        replaced = self._replaced.pop(number)
        if isinstance(error, RowError) and error.scope == "row":
            self._writer.post(*index.conclude(number, error, self._label))
        if error is None:
            self._writer.post(*index.stand_in(number, replaced))


def _state(outcome: Outcome) -> str:
    if outcome.error is not None:
        return STATES[outcome.error.sent]
    return "round" if outcome.reply is not None and outcome.reply.turn is not None else "answered"
