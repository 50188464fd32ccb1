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
from typing import TYPE_CHECKING

import anyio

from pipeline.checkpoint import schema
from pipeline.checkpoint.asking import Asking
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
)
from pipeline.checkpoint.values import answer_values, asked_values, attempt_values, usage_values
from pipeline.checkpoint.writer import Writer
from pipeline.checkpoint.writes import ADD_USAGE, ANSWER, INTEND, SETTLE
from pipeline.cost.untold import STATES
from pipeline.errors import AttemptError, Sent
from pipeline.records import Attempt, Outcome, Request, Status

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from pipeline.checkpoint.store import Statement


class Journal(Asking):
    """The journal of one run directory, open for one run. Everything it knows of finished requests is also in memory, by fingerprint."""

    def __init__(self, path: Path, *, label: str, dedupe: bool = True, tier: str | None = None) -> None:
        """Open or create the journal at ``path``; ``label`` is what the ``provider`` column says. Raises ``RunDirectoryError``.

        ``tier`` is the service tier that is sent along with every request, whatever that asks for.
        """
        prepare(path)
        with opened(path, read_only=True) as connection:
            index = Index(connection, dedupe=dedupe)
            self._attempts: int = connection.execute("SELECT COALESCE(MAX(id), 0) FROM attempts").fetchone()[0]
        super().__init__(index, Writer(path), label)
        self._path = path
        self._tier = tier
        self._session = 0
        self._ambiguous = True

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

    # -- an attempt leaves and ends ---------------------------------------------------------------------------------------------

    async def intend(self, request: Request) -> Attempt:
        """Make it durable that an attempt is about to leave, and return it. Raises ``DiskFailed``.

        Who is cancelled meanwhile has not sent it, and the journal says so.
        Where the provider works on an attempt of an earlier process, that one is returned, once: its answer is there to be fetched.
        """
        number = self._index.number(request)
        if self._index.submitted and (submitted := self._index.submitted.pop(number, None)) is not None:
            return submitted
        self._attempts += 1
        place = (self._attempts, number, request.row, self._session, time.time(), request.waited_s)
        attempt = Attempt(self._attempts)
        try:
            await self._writer.write((INTEND, (*place, *asked_values(request, self._tier))))
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):  # it is queued, and would count as perhaps paid
                await self.settle(request, attempt, Outcome(None, error=_unsent()))
            raise
        return attempt

    async def submitted(self, attempt: Attempt, response_id: str) -> None:
        """Make durable under which id the provider works on an attempt: from now on its answer is fetched. Raises ``DiskFailed``."""
        await self._writer.write((schema.SUBMIT, (response_id, attempt.number)))

    async def settle(self, request: Request, attempt: Attempt, outcome: Outcome) -> None:
        """Make the outcome of an attempt durable; a reply without a turn finishes the request. Raises ``DiskFailed``."""
        number, error, reply = self._index.number(request), outcome.error, outcome.reply
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
            statements = [(SETTLE, settled), answered, *self._index.close_rounds(number)]
            await self._written(statements, number, state, reply.status)
            return
        statements = [(SETTLE, settled), (ADD_USAGE, added)]
        if error is not None and state == "unknown" and not self._ambiguous:
            # In the same commit: a kill must not ask it again.
            ended = (Status.UNKNOWN, 0, "unknown_outcome", error.message, self._label, time.time(), number)
            statements.append((schema.CONCLUDE, ended))
        await self._written(statements, number, state, None)

    async def _written(self, statements: Sequence[Statement], number: int, state: str, status: Status | None) -> None:
        """Wait until the outcome of an attempt is durable, and take it down; ``status`` is that of an answer."""
        try:
            await self._writer.write(*statements)
        except anyio.get_cancelled_exc_class():
            # They are queued, and an answer that is here is paid: it is waited for all the same. The shield stands only here, for it costs
            # as much as all layers of an attempt together.
            with anyio.CancelScope(shield=True):
                await self._writer.write()
            self._note_end(number, state, status)
            raise
        self._note_end(number, state, status)

    def _note_end(self, number: int, state: str, status: Status | None) -> None:
        if status is not None:
            self._index.requests.end((number,), status)
        elif state == "round":
            self._index.rounds.setdefault(number, [])  # this process goes on with it and does not claim it again


def _unsent() -> AttemptError:
    return AttemptError("it was called off before it left", kind="cancelled", sent=Sent.NEVER, transient=True)


def _state(outcome: Outcome) -> str:
    if outcome.error is not None:
        return STATES[outcome.error.sent]
    return "round" if outcome.reply is not None and outcome.reply.turn is not None else "answered"
