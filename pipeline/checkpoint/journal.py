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
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import orjson

from pipeline.checkpoint import schema
from pipeline.checkpoint.index import Index
from pipeline.checkpoint.packing import pack, unpack
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
from pipeline.checkpoint.writer import Writer
from pipeline.cost.tiers import tier_of
from pipeline.cost.untold import STATES
from pipeline.errors import RowError, Sent
from pipeline.records import STATUS_FACTS, Attempt, Claim, Outcome, Reply, Request, Status, ToolCall
from pipeline.wire.tolerant import tamed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
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
            self._index.carrier.clear()
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
            self._index.status = dict.fromkeys(killed, Status.UNKNOWN) | self._index.status

    def reopen(self, statuses: Collection[Status]) -> set[tuple[int, int]]:
        """Prepare `run --retry`: return the samples of this plan's rows that have one of the statuses; each will be asked once more.

        The answers they have stand until better ones are durable.
        """
        query = schema.ROWS_WITH_STATUS.format(marks=", ".join("?" * len(statuses)))
        with opened(self._path, read_only=True) as connection:
            rows = connection.execute(query, (self._plan, *statuses)).fetchall()
        self._index.standing = {(row, sample): request for row, sample, request in rows if request is not None}
        vain = {*statuses, Status.FAILED, Status.CANCELLED}  # also where it is the changed request that ended so before
        self._index.status = {number: known for number, known in self._index.status.items() if known not in vain}
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
        return self._index.shares(request) and self._index.numbers.get(request.fingerprint) in self._index.status

    @contextmanager
    def claim(self, request: Request) -> Iterator[Claim]:
        """Tie a row to its request; hold the request while this row asks it, and record how that ended."""
        index = self._index
        request = index.told_apart(request)
        number, ties = index.tie(request, self._plan)
        self._writer.post(*ties)
        standing = index.standing.get((request.row, request.sample), number)
        if (status := index.status.get(number)) is not None:
            self._writer.post(*index.stand_in(number, [standing]))
            yield Claim(request, ours=False, known=status)
            return
        if (asking := index.asking.get(number)) is not None:
            asking.twins += 1
            self._replaced[number].append(standing)
            yield Claim(request, ours=False)
            return
        self._replaced[number] = [standing]
        asked = replace(request, rounds=tuple(map(unpack, index.rounds.get(number, ()))))
        claim = index.asking[number] = Claim(asked, ours=True)
        try:
            yield claim
        except RowError as error:
            if error.scope == "row":
                self._writer.post(*index.conclude(number, error, self._label))
            raise
        finally:
            del index.asking[number]
            replaced = self._replaced.pop(number)
        self._writer.post(*index.stand_in(number, replaced))

    def recall(self, requests: Iterable[Request]) -> None:
        """After an early stop, tie the rows that were not reached to answers from before; ``requests`` are those of all rows, in order."""
        index = self._index
        if not index.untied:
            return
        index.restart()
        for request in requests:
            asked = index.told_apart(request)
            if index.numbers.get(asked.fingerprint) in index.status:
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
        number = self._index.numbers[request.fingerprint]
        if (submitted := self._index.submitted.pop(number, None)) is not None:
            return submitted
        self._attempts += 1
        place = (self._attempts, number, request.row, self._session, time.time(), request.waited_s)
        intent = (schema.INTEND, (*place, *_asked_values(request, self._tier)))
        attempt = Attempt(self._attempts)
        await self._writer.write(intent, (schema.COUNT_ATTEMPT, (number,)))
        return attempt

    async def submitted(self, attempt: Attempt, response_id: str) -> None:
        """Make durable under which id the provider works on an attempt: from now on its answer is fetched. Raises ``DiskFailed``."""
        await self._writer.write((schema.SUBMIT, (response_id, attempt.number)))

    async def settle(self, request: Request, attempt: Attempt, outcome: Outcome) -> None:
        """Make the outcome of an attempt durable; a reply without a turn finishes the request. Raises ``DiskFailed``."""
        number, error = self._index.numbers[request.fingerprint], outcome.error
        state = _state(outcome)
        unsent = error is not None and error.sent is Sent.NEVER and error.http_status is None
        unreported = outcome.reply is not None and outcome.reply.usage.total_tokens is None
        usage = _usage_values(outcome)
        statements: list[Statement] = [
            (schema.SETTLE_ATTEMPT, (state, outcome.latency_s, *_attempt_values(outcome), *usage, attempt.number)),
            (schema.ADD_USAGE, (int(state == "unknown"), int(unsent), int(unreported), number, *usage)),
        ]
        answer = outcome.reply if outcome.reply is not None and outcome.reply.turn is None else None
        if answer is not None:
            times = (outcome.latency_s, answer.first_token_s, time.time())
            statements += [(schema.ANSWER, (*_answer_values(answer, self._label), *times, number))]
            statements += self._index.close_rounds(number)
        if (
            state == "unknown" and not self._ambiguous and error is not None
        ):  # in the same commit: a kill must not ask it again
            ended = (Status.UNKNOWN, 0, "unknown_outcome", error.message, self._label, time.time(), number)
            statements.append((schema.CONCLUDE, ended))
        await self._writer.write(*statements)
        if answer is not None:
            self._index.status[number] = answer.status
        elif state == "round":
            self._index.rounds.setdefault(number, [])  # this process goes on with it and does not claim it again


def _state(outcome: Outcome) -> str:
    if outcome.error is not None:
        return STATES[outcome.error.sent]
    return "round" if outcome.reply is not None and outcome.reply.turn is not None else "answered"


def _answer_values(reply: Reply, label: str) -> tuple[object, ...]:
    calls = [_call_values(call) for call in reply.tool_calls]
    ok = STATUS_FACTS[reply.status].ok
    return (
        reply.status,
        reply.text,
        reply.refusal,
        _listed(calls),
        reply.reasoning_summary,
        _listed([asdict(source) for source in reply.sources]),
        _listed(reply.images),
        _listed(reply.notes),
        reply.confidence,
        reply.phase,
        None if ok else reply.error_code or reply.incomplete_reason,
        None if ok else reply.error_message,
        "simulator" if reply.simulated else label,
        reply.model,
        reply.service_tier,
        reply.response_id,
    )


def _listed(values: Sequence[object]) -> str | None:
    return orjson.dumps(tamed(list(values))).decode() if values else None


def _call_values(call: ToolCall) -> dict[str, str | None]:
    output = {"output": call.output} if call.output is not None else {}
    return {"id": call.call_id, "name": call.name, "arguments": call.arguments, **output}


def _asked_values(request: Request, sent_along: str | None) -> tuple[object, ...]:
    """What an attempt's price depends on before it has an answer, and what its round is for."""
    bound = request.bound
    held = (None, None) if bound is None else (bound.input_tokens, bound.output_tokens)
    turn = request.turns[-1] if request.turns else None
    return (request.model, sent_along or tier_of(request.body), *held, turn)


def _attempt_values(outcome: Outcome) -> tuple[object, ...]:
    reply, error = outcome.told, outcome.error
    raw = pack(reply.raw, slimmed=not _is_needed(outcome)) if reply is not None and reply.raw else None
    return (
        reply.status if reply is not None else None,
        error.kind if error is not None else None,
        error.message if error is not None else None,
        error.http_status if error is not None else 200,
        (error.request_id if error is not None else None) or (reply.request_id if reply is not None else None),
        reply.response_id if reply is not None else None,
        reply.model if reply is not None else None,
        reply.service_tier if reply is not None else None,
        raw,
    )


def _is_needed(outcome: Outcome) -> bool:
    """Say whether all of a body is kept: it is needed to go on, or holds pictures that found no other place. Else pictures are left out."""
    reply = outcome.reply
    return reply is not None and (reply.turn is not None or bool(reply.pictures))


def _usage_values(outcome: Outcome) -> tuple[float | None, ...]:
    """What an attempt adds to its request, in the order of ``schema.USAGE``."""
    usage, told = outcome.spent, outcome.told
    return (
        usage.input_tokens,
        usage.cached_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
        usage.total_tokens,
        usage.cache_write_tokens,
        usage.vendor_cost,
        told.searches if told is not None else None,
    )
