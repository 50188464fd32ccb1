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
from hashlib import blake2b
from typing import TYPE_CHECKING

import orjson

from pipeline.checkpoint import schema
from pipeline.checkpoint.store import Plan, Start, add_plan, add_session, find_plan, opened, pack, prepare
from pipeline.checkpoint.writer import Writer
from pipeline.errors import AttemptError, RowError, Sent
from pipeline.records import STATUS_FACTS, Claim, Outcome, Reply, Request, Status
from pipeline.wire.decode import slim

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from pipeline.records import Usage

_STATES = {Sent.NEVER: "never", Sent.MAYBE: "unknown", Sent.ANSWERED: "refused"}
_KILLED = "the process ended while this attempt was in flight; it may have been paid"


class Journal:
    """The journal of one run directory, open for one run. Everything it knows of finished requests is also in memory, by fingerprint."""

    def __init__(self, path: Path, *, label: str, dedupe: bool = True) -> None:
        """Open or create the journal at ``path``; ``label`` is what the ``provider`` column says. Raises ``RunDirectoryError``."""
        self._label = label
        self._dedupe = dedupe
        prepare(path)
        with opened(path) as connection:
            self._load(connection)
        self._asking: dict[int, Claim] = {}
        self._plan = 0
        self._session = 0
        self._standing: dict[int, int] = {}  # row → request whose answer stood before `--retry`
        self._taken: dict[bytes, int] = {}
        self._writer = Writer(path)
        self._path = path

    def _load(self, connection: sqlite3.Connection) -> None:
        self._ids: dict[bytes, int] = {}
        self._status: dict[int, Status] = {}
        self._carrier: dict[int, int] = {}  # request → the row that carries its usage in this plan
        newest = connection.execute("SELECT MAX(id) FROM plans").fetchone()[0]
        query = "SELECT id, fingerprint, status, again, carrier, carrier_plan FROM requests"
        for number, fingerprint, status, again, carrier, plan in connection.execute(query):
            self._ids[fingerprint] = number
            if not again:
                self._status[number] = Status(status)
            if plan == newest and carrier is not None:
                self._carrier[number] = carrier
        self._next_request = 1 + max(self._ids.values(), default=0)
        self._next_attempt: int = 1 + connection.execute("SELECT COALESCE(MAX(id), 0) FROM attempts").fetchone()[0]

    # -- a run begins and ends --------------------------------------------------------------------------------------------------

    def look(self, start: Start) -> Plan:
        """Return the plan that the session will have, without writing anything: the newest while job and input are unchanged.

        Raises ``RunDirectoryError`` for a retry that has nothing to go on with.
        """
        with opened(self._path, read_only=True) as connection:
            plan = find_plan(connection, start)
        self._plan = plan.id
        if plan.fresh:
            self._carrier.clear()
        return plan

    def begin(self, start: Start, plan: Plan, *, ambiguous: bool) -> None:
        """Start a session on the plan, and count what the last one left in flight.

        With ``ambiguous`` false, requests left in flight end as ``unknown`` instead of being asked again.
        """
        with opened(self._path) as connection:
            connection.execute("BEGIN IMMEDIATE")
            self._count_killed(connection, ambiguous=ambiguous)
            if plan.fresh:
                add_plan(connection, start, plan)
            self._session = add_session(connection, start, plan)
            connection.execute("COMMIT")

    def _count_killed(self, connection: sqlite3.Connection, *, ambiguous: bool) -> None:
        killed = [request for (request,) in connection.execute("SELECT request FROM attempts WHERE state = 'sent'")]
        connection.execute(schema.COUNT_OPEN)
        connection.execute(schema.CLOSE_OPEN, (_KILLED,))
        for request in killed:
            if not ambiguous and request not in self._status:
                connection.execute(
                    schema.CONCLUDE, (Status.UNKNOWN, 0, "killed", _KILLED, self._label, time.time(), request)
                )
                self._status[request] = Status.UNKNOWN

    def finished_rows(self) -> bytearray:
        """Return one byte per row number, 1 where the row of this plan needs no asking; shorter than the table where nothing is known."""
        with opened(self._path, read_only=True) as connection:
            last = connection.execute(
                "SELECT COALESCE(MAX(row), -1) FROM rows WHERE plan = ?", (self._plan,)
            ).fetchone()[0]
            finished = bytearray(last + 1)
            query = (
                "SELECT r.row FROM rows AS r JOIN requests AS q ON q.id = r.request WHERE r.plan = ? AND q.again = 0"
            )
            for (row,) in connection.execute(query, (self._plan,)):
                finished[row] = 1
            return finished

    def reopen(self, statuses: Collection[Status]) -> set[int]:
        """Prepare `run --retry`: return the rows of this plan that have one of the statuses; each will be asked once more.

        The answers they have stand until better ones are durable.
        """
        marks = ", ".join("?" * len(statuses))
        query = f"""SELECT r.row, q.id, a.id FROM rows AS r LEFT JOIN requests AS q ON q.id = r.request
            LEFT JOIN requests AS a ON a.id = COALESCE(q.answered_by, q.id)
            WHERE r.plan = ? AND COALESCE(a.status, r.status) IN ({marks})"""  # noqa: S608 - question marks only
        with opened(self._path, read_only=True) as connection:
            rows = connection.execute(query, (self._plan, *statuses)).fetchall()
        for row, request, answering in rows:
            if request is not None:
                self._standing[row] = request
                self._status.pop(request, None)
                self._status.pop(answering, None)
        return {row for row, *_ in rows}

    def finish(self, exit_code: int) -> None:
        """End the session and close the journal. Raises ``DiskFailed`` when something could not be made durable."""
        self._writer.post((schema.COUNT_OPEN, ()), (schema.CLOSE_OPEN, (_KILLED,)))
        self._writer.post(
            ("UPDATE sessions SET ended_at = ?, exit_code = ? WHERE id = ?", (time.time(), exit_code, self._session))
        )
        self._writer.close()

    # -- a row asks -------------------------------------------------------------------------------------------------------------

    def knows(self, request: Request) -> bool:
        """Tell whether a request needs no asking, without tying a row to it."""
        return self._dedupe and self._ids.get(request.fingerprint) in self._status

    @contextmanager
    def claim(self, request: Request) -> Iterator[Claim]:
        """Tie a row to its request; hold the request while this row asks it, and record how that ended."""
        if not self._dedupe:
            request = replace(request, fingerprint=self._own_fingerprint(request.fingerprint, request.row))
        number = self._number(request.fingerprint)
        self._assign(request.row, number)
        if (status := self._status.get(number)) is not None:
            yield Claim(request, ours=False, known=status)
            return
        if (asking := self._asking.get(number)) is not None:
            asking.twins += 1
            yield Claim(request, ours=False)
            return
        claim = self._asking[number] = Claim(request, ours=True)
        try:
            yield claim
        except RowError as error:
            if error.scope == "row":
                self._conclude(number, error)
            raise
        finally:
            del self._asking[number]
        if self._standing.get(request.row, number) != number:
            self._writer.post(
                ("UPDATE requests SET answered_by = ? WHERE id = ?", (number, self._standing[request.row]))
            )

    def _own_fingerprint(self, fingerprint: bytes, row: int) -> bytes:
        """Without dedupe the n-th row with the same question has the n-th fingerprint, so that rows may still move between runs."""
        taken = self._taken.get(fingerprint, 0)
        while True:
            candidate = blake2b(
                fingerprint + taken.to_bytes(8, "big"), digest_size=len(fingerprint), person=b"own"
            ).digest()
            taken += 1
            number = self._ids.get(candidate)
            if number is None or self._carrier.get(number, row) == row:
                self._taken[fingerprint] = taken
                return candidate

    def _number(self, fingerprint: bytes) -> int:
        number = self._ids.get(fingerprint)
        if number is None:
            number = self._ids[fingerprint] = self._next_request
            self._next_request += 1
            self._writer.post(("INSERT INTO requests(id, fingerprint) VALUES (?, ?)", (number, fingerprint)))
        return number

    def _assign(self, row: int, number: int) -> None:
        if row not in self._standing:
            self._writer.post(
                ("INSERT OR REPLACE INTO rows(row, plan, request) VALUES (?, ?, ?)", (row, self._plan, number))
            )
        if number not in self._carrier:
            self._carrier[number] = row
            self._writer.post(
                ("UPDATE requests SET carrier = ?, carrier_plan = ? WHERE id = ?", (row, self._plan, number))
            )

    def _conclude(self, number: int, error: RowError) -> None:
        status = Status.UNKNOWN if error.unknown else Status.FAILED
        # Failures that waiting may mend, and pictures that may be mended on disk, are tried again by the next run.
        again = not error.unknown and (error.transient or not isinstance(error, AttemptError))
        if not again:
            self._status[number] = status
        values = (status, int(again), error.kind, error.message, self._label, time.time(), number)
        self._writer.post((schema.CONCLUDE, values))

    def note(self, row: int, status: Status, error: RowError) -> None:
        """Record a row that asks nothing: its prompt failed, or it is skipped."""
        sql = "INSERT OR REPLACE INTO rows(row, plan, request, status, error_kind, error_message) VALUES (?, ?, NULL, ?, ?, ?)"
        self._writer.post((sql, (row, self._plan, status, error.kind, error.message)))

    def note_files(self) -> None:
        """Record that rows of this plan name files, whose changes the input's signature does not show."""
        self._writer.post(("UPDATE plans SET names_files = 1 WHERE id = ?", (self._plan,)))

    # -- an attempt leaves and ends ---------------------------------------------------------------------------------------------

    async def intend(self, request: Request) -> int:
        """Make it durable that an attempt is about to leave, and return the attempt's number. Raises ``DiskFailed``."""
        attempt = self._next_attempt
        self._next_attempt += 1
        number = self._ids[request.fingerprint]
        await self._writer.write(
            (schema.INTEND, (attempt, number, request.row, self._session, time.time())),
            (schema.COUNT_ATTEMPT, (number,)),
        )
        return attempt

    async def settle(self, request: Request, attempt: int, outcome: Outcome) -> None:
        """Make the outcome of an attempt durable; a reply finishes the request. Raises ``DiskFailed``."""
        number = self._ids[request.fingerprint]
        error = outcome.error
        reply = outcome.reply or (error.reply if error is not None else None)
        state = _STATES[error.sent] if error is not None else "answered"
        statements = [
            (schema.SETTLE_ATTEMPT, (state, outcome.latency_s, *_attempt_values(reply, error), attempt)),
            (
                schema.ADD_USAGE,
                (*(_usage_values(reply.usage) if reply is not None else (None,) * 5), int(state == "unknown"), number),
            ),
        ]
        if outcome.reply is not None:
            statements.append((schema.ANSWER, (*self._answer_values(outcome.reply, outcome.latency_s), number)))
        await self._writer.write(*statements)
        if outcome.reply is not None:
            self._status[number] = outcome.reply.status

    def _answer_values(self, reply: Reply, latency_s: float) -> tuple[object, ...]:
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
            "simulator" if reply.simulated else self._label,
            reply.model,
            reply.service_tier,
            reply.response_id,
            latency_s,
            time.time(),
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
