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
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from pipeline.checkpoint import schema
from pipeline.checkpoint.index import Index
from pipeline.checkpoint.store import (
    KILLED,
    Plan,
    Start,
    add_plan,
    add_session,
    close_killed,
    find_plan,
    opened,
    pack,
    prepare,
)
from pipeline.checkpoint.writer import Writer
from pipeline.errors import AttemptError, RowError, Sent
from pipeline.records import STATUS_FACTS, Claim, Outcome, Reply, Request, Status, Usage
from pipeline.wire.decode import slim

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

_STATES = {Sent.NEVER: "never", Sent.MAYBE: "unknown", Sent.ANSWERED: "refused"}


class Journal:
    """The journal of one run directory, open for one run. Everything it knows of finished requests is also in memory, by fingerprint."""

    def __init__(self, path: Path, *, label: str, dedupe: bool = True) -> None:
        """Open or create the journal at ``path``; ``label`` is what the ``provider`` column says. Raises ``RunDirectoryError``."""
        prepare(path)
        with opened(path, read_only=True) as connection:
            self._index = Index(connection)
            self._attempts: int = connection.execute("SELECT COALESCE(MAX(id), 0) FROM attempts").fetchone()[0]
        self._path = path
        self._label = label
        self._dedupe = dedupe
        self._plan = self._session = 0
        self._standing: dict[int, int] = {}  # row → request whose answer stood before `--retry`
        self._writer = Writer(path)

    # -- a run begins and ends --------------------------------------------------------------------------------------------------

    def look(self, start: Start) -> Plan:
        """Return the plan that the session will have, without writing anything: the newest while job and input are unchanged.

        Raises ``RunDirectoryError`` for a retry that has nothing to go on with.
        """
        with opened(self._path, read_only=True) as connection:
            plan = find_plan(connection, start)
        self._plan = plan.id
        if plan.fresh:
            self._index.carrier.clear()
        return plan

    def begin(self, start: Start, plan: Plan, *, ambiguous: bool) -> None:
        """Start a session on the plan, and count what the last one left in flight.

        With ``ambiguous`` false, requests left in flight end as ``unknown`` instead of being asked again.
        """
        with opened(self._path) as connection:
            connection.execute("BEGIN IMMEDIATE")
            killed = close_killed(connection)
            for request in () if ambiguous else killed - self._index.status.keys():
                values = (Status.UNKNOWN, 0, "killed", KILLED, self._label, time.time(), request)
                connection.execute(schema.CONCLUDE, values)
                self._index.status[request] = Status.UNKNOWN
            if plan.fresh:
                add_plan(connection, start, plan)
            self._session = add_session(connection, start, plan)
            connection.execute("COMMIT")

    def reopen(self, statuses: Collection[Status]) -> set[int]:
        """Prepare `run --retry`: return the rows of this plan that have one of the statuses; each will be asked once more.

        The answers they have stand until better ones are durable.
        """
        query = schema.ROWS_WITH_STATUS.format(marks=", ".join("?" * len(statuses)))
        with opened(self._path, read_only=True) as connection:
            rows = connection.execute(query, (self._plan, *statuses)).fetchall()
        for row, request, answering in rows:
            if request is not None:
                self._standing[row] = request
                self._index.status.pop(request, None)
                self._index.status.pop(answering, None)
        return {row for row, *_ in rows}

    def finish(self, exit_code: int, *, names_files: bool = False) -> None:
        """End the session and close the journal. Raises ``DiskFailed`` when something could not be made durable.

        ``names_files`` says that rows of this plan name files, whose changes the input's signature does not show.
        """
        if names_files:
            self._writer.post((schema.NOTE_FILES, (self._plan,)))
        self._writer.post((schema.COUNT_OPEN, ()), (schema.CLOSE_OPEN, (KILLED,)))
        self._writer.post((schema.END_SESSION, (time.time(), exit_code, self._session)))
        self._writer.close()

    # -- a row asks -------------------------------------------------------------------------------------------------------------

    def knows(self, request: Request) -> bool:
        """Tell whether a request needs no asking, without tying a row to it."""
        return self._dedupe and self._index.numbers.get(request.fingerprint) in self._index.status

    @contextmanager
    def claim(self, request: Request) -> Iterator[Claim]:
        """Tie a row to its request; hold the request while this row asks it, and record how that ended."""
        index = self._index
        if not self._dedupe:
            request = replace(request, fingerprint=index.own(request.fingerprint, request.row))
        number = self._tie(request)
        if (status := index.status.get(number)) is not None:
            yield Claim(request, ours=False, known=status)
            return
        if (asking := index.asking.get(number)) is not None:
            asking.twins += 1
            yield Claim(request, ours=False)
            return
        claim = index.asking[number] = Claim(request, ours=True)
        try:
            yield claim
        except RowError as error:
            if error.scope == "row":
                self._conclude(number, error)
            raise
        finally:
            del index.asking[number]
        if (standing := self._standing.get(request.row, number)) != number:
            self._writer.post((schema.STAND_IN, (number, standing)))

    def _tie(self, request: Request) -> int:
        """Record which request the row asks, and that it carries the usage where it is the first of this plan to ask it."""
        row = request.row
        number, new = self._index.number(request.fingerprint)
        if new:
            self._writer.post((schema.ADD_REQUEST, (number, request.fingerprint)))
        if row not in self._standing:
            self._writer.post((schema.TIE, (row, self._plan, number)))
        if number not in self._index.carrier:
            self._index.carrier[number] = row
            self._writer.post((schema.CARRY, (row, self._plan, number)))
        return number

    def _conclude(self, number: int, error: RowError) -> None:
        """Record that a request ended without an answer. What waiting or a mended picture may help is asked again by the next run."""
        status = Status.UNKNOWN if error.unknown else Status.FAILED
        again = not error.unknown and (error.transient or not isinstance(error, AttemptError))
        if not again:
            self._index.status[number] = status
        values = (status, int(again), error.kind, error.message, self._label, time.time(), number)
        self._writer.post((schema.CONCLUDE, values))

    def note(self, row: int, status: Status, error: RowError) -> None:
        """Record a row that asks nothing: its prompt failed, or it is skipped."""
        self._writer.post((schema.NOTE, (row, self._plan, status, error.kind, error.message)))

    # -- an attempt leaves and ends ---------------------------------------------------------------------------------------------

    async def intend(self, request: Request) -> int:
        """Make it durable that an attempt is about to leave, and return the attempt's number. Raises ``DiskFailed``."""
        self._attempts += 1
        attempt, number = self._attempts, self._index.numbers[request.fingerprint]
        intent = (schema.INTEND, (attempt, number, request.row, self._session, time.time()))
        await self._writer.write(intent, (schema.COUNT_ATTEMPT, (number,)))
        return attempt

    async def settle(self, request: Request, attempt: int, outcome: Outcome) -> None:
        """Make the outcome of an attempt durable; a reply finishes the request. Raises ``DiskFailed``."""
        number, error = self._index.numbers[request.fingerprint], outcome.error
        reply = outcome.reply or (error.reply if error is not None else None)
        state = _STATES[error.sent] if error is not None else "answered"
        usage = (*_usage_values(reply.usage if reply is not None else Usage()), int(state == "unknown"), number)
        statements = [
            (schema.SETTLE_ATTEMPT, (state, outcome.latency_s, *_attempt_values(reply, error), attempt)),
            (schema.ADD_USAGE, usage),
        ]
        if outcome.reply is not None:
            answer = _answer_values(outcome.reply, self._label)
            statements.append((schema.ANSWER, (*answer, outcome.latency_s, time.time(), number)))
        await self._writer.write(*statements)
        if outcome.reply is not None:
            self._index.status[number] = outcome.reply.status


def _answer_values(reply: Reply, label: str) -> tuple[object, ...]:
    calls = [{"id": call.call_id, "name": call.name, "arguments": call.arguments} for call in reply.tool_calls]
    ok = STATUS_FACTS[reply.status].ok
    return (
        reply.status,
        reply.text,
        reply.refusal,
        orjson.dumps(calls).decode() if calls else None,
        reply.reasoning_summary,
        None if ok else reply.error_code or reply.incomplete_reason,
        None if ok else reply.error_message,
        "simulator" if reply.simulated else label,
        reply.model,
        reply.service_tier,
        reply.response_id,
    )


def _attempt_values(reply: Reply | None, error: AttemptError | None) -> tuple[object, ...]:
    raw = pack(slim(reply.raw)) if reply is not None and reply.raw else None
    return (
        reply.status if reply is not None else None,
        error.kind if error is not None else None,
        error.message if error is not None else None,
        error.http_status if error is not None else 200,
        (error.request_id if error is not None else None) or (reply.request_id if reply is not None else None),
        reply.response_id if reply is not None else None,
        reply.usage.total_tokens if reply is not None else None,
        raw,
    )


def _usage_values(usage: Usage) -> tuple[int | None, ...]:
    return (usage.input_tokens, usage.cached_tokens, usage.output_tokens, usage.reasoning_tokens, usage.total_tokens)
