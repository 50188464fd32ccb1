"""Run a job against a live endpoint, row by row.

The journey of a row is ``answer``; the layers its request passes are composed once, in ``client_of``. Around them stand a feed that reads
ahead, a crew of workers that share it, a gate that can be closed, and a watchdog that names rows that are out for too long.
"""

from __future__ import annotations

import asyncio
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import anyio

from pipeline.checkpoint.gallery import gallery
from pipeline.client.artifacts import illustrated
from pipeline.client.background import CANCEL_S, fetching
from pipeline.client.breaker import Breaker, guarded, watched
from pipeline.client.gate import Gate
from pipeline.client.hedge import Hedging
from pipeline.client.held import held
from pipeline.client.loader import Loader
from pipeline.client.retry import retrying, throttled
from pipeline.client.room import Room, fitting
from pipeline.client.rounds import Rules, in_rounds, judging
from pipeline.client.send import conforming, journaled, sending
from pipeline.client.stored import Stored
from pipeline.client.tools import Toolbox
from pipeline.client.transports import http_of
from pipeline.engine.descriptors import allow_open
from pipeline.engine.feed import Feed, questions
from pipeline.engine.garbage import seldom_collected
from pipeline.engine.order import in_order
from pipeline.engine.throttles import Throttles
from pipeline.engine.tokens import token_variables
from pipeline.engine.warming import Warming
from pipeline.errors import Crashed, Interrupted, NullCell, RowError, RunError
from pipeline.events import Notice, RowFinished, RowsKnown, Stopping, Stuck
from pipeline.prompt.template import is_template
from pipeline.records import Result, Status, Turn

if TYPE_CHECKING:
    from anyio import CancelScope
    from anyio.abc import TaskGroup

    from pipeline.client.exchange import Http
    from pipeline.client.send import Secret, Tokens
    from pipeline.engine.check import Prepared
    from pipeline.engine.feed import Question, Selection
    from pipeline.engine.purse import Till
    from pipeline.events import Observer
    from pipeline.records import Journal, Post
    from pipeline.spec.job import Job

DRAIN_S = 30.0  # how long answers on their way are waited for when a run is told to stop
WATCH_S = 15.0  # how often the watchdog looks
TEND_S = 1.0  # how often it is looked whether a worker is lacking, beside each time that a row is taken
WORKERS = 512  # rows held at most where the concurrency is learned; the throttle lets out as many as the endpoint bears


@dataclass(frozen=True, slots=True)
class Secrets:
    """What opens the provider and the servers behind its tools. Functions, so that nothing that is shown or kept holds a value."""

    key: Secret
    tokens: Tokens


@dataclass(frozen=True, slots=True)
class Outside:
    """What requests need of the world: the wire, the media, and what opens them."""

    http: Http
    loader: Loader
    secrets: Secrets


@dataclass(frozen=True, slots=True)
class Run:
    """What a row needs on its way: the journal, the client, and what becomes of nulls."""

    journal: Journal
    post: Post
    on_null: str


async def answer(question: Question, run: Run) -> Result:
    """Carry one row to its result; what goes wrong with the row becomes its result."""
    try:
        request = question.request()  # prompt/: rendered by the feed, pictures still references
    except RowError as error:
        return _unasked(question, error, run)
    try:
        with run.journal.claim(request) as claim:  # checkpoint/: known, being asked for a twin row, or ours
            if not claim.ours:
                return Result.shared(question.row, claim.known)
            reply = await run.post(claim.request)  # client/: every attempt journaled before it leaves and when it ends
    except RowError as error:
        return Result.failed(question.row, error, rows=1 + claim.twins)
    return Result.of(question.row, reply, rows=1 + claim.twins)


def _unasked(question: Question, error: RowError, run: Run) -> Result:
    """A row without a request: skipped when the job says so, else failed; nothing was sent and nothing is paid."""
    row, rows = question.row, question.answers
    skipped = isinstance(error, NullCell) and run.on_null == "skip"
    run.journal.note(row, Status.SKIPPED if skipped else Status.FAILED, error)
    return Result(row, Status.SKIPPED, rows=rows) if skipped else Result.failed(row, error, rows=rows)


async def without_known(journal: Journal, observe: Observer, batch: list[Question]) -> list[Question]:
    """Return the questions that are left to be asked. Rows with an answer from before take no worker's turn: they are tied to it in bulk,
    so that the first unknown row is asked at once and the scan goes on beside it.
    """
    asking = [question.built for question in batch if not isinstance(question.built, RowError)]
    known = await journal.tie_known(asking)
    if not any(known):
        return batch
    observe(RowsKnown(Counter(filter(None, known))))
    statuses = iter(known)
    return [question for question in batch if isinstance(question.built, RowError) or next(statuses) is None]


class Brake:
    """Lets another thread stop a run: the first pull in order, the second at once. A pull before the run sends counts when it begins to."""

    def __init__(self) -> None:
        self._pull: Callable[[], object] | None = None
        self._pulled = 0

    def attach(self, pull: Callable[[], object]) -> None:
        """Say what a pull does, and make up for those that came before."""
        self._pull = pull
        for _ in range(self._pulled):
            pull()

    def pull(self) -> None:
        """Stop the run."""
        self._pulled += 1
        if self._pull is not None:
            with suppress(RuntimeError):  # the loop is closed: all that could be stopped has ended
                self._pull()


class Stop:
    """Why and how urgently a run ends before its rows do. The first reason stands; ``urgent`` is set where nothing is waited for."""

    def __init__(self, gate: Gate, feed: Warming, observe: Observer, *, in_background: bool = False) -> None:
        self.reason: RunError | None = None
        self.requested = anyio.Event()
        self.urgent = anyio.Event()
        self._interrupts = 0
        self.gate = gate
        self.feed = feed
        self.observe = observe
        self._in_background = in_background

    def request(self, reason: RunError) -> None:
        """Start nothing new; what is on its way may still come home."""
        if self.reason is None:
            self.reason = reason
            cancels = self._in_background and self._interrupts > 0  # else one more interrupt is no abort yet
            self.observe(Stopping(self.gate.in_flight, reason.message, DRAIN_S, cancels))
            self.gate.close()
            self.feed.close()
            self.requested.set()

    def interrupt(self, number: int) -> None:
        """A signal, or another thread, wants the run to end: in order at first, then at once."""
        self._interrupts += 1
        if self.reason is not None:
            self.urgent.set()
        else:
            self.request(interrupted(number))

    def is_abort(self) -> bool:
        """Tell whether somebody asked twice to stop: only then may what the provider is making be thrown away."""
        return self._interrupts > 1

    async def carry_out(self, workers: CancelScope) -> None:
        """When the stop is requested, wait for what is out, but not for ever, and end the workers."""
        await self.requested.wait()
        with anyio.move_on_after(DRAIN_S):
            async with anyio.create_task_group() as group:
                group.start_soon(_cancel_after, self.urgent, group.cancel_scope)
                await self.gate.drained()
                group.cancel_scope.cancel()
        workers.cancel()


async def ask_all(
    prepared: Prepared,
    journal: Journal,
    secrets: Secrets,
    till: Till,
    observe: Observer,
    selection: Selection,
    brake: Brake,
) -> None:
    """Ask the selected rows. Raises the ``RunError`` that ended the run early; the journal then holds all that was finished."""
    job, dialect = prepared.job, prepared.endpoint.dialect
    gate = Gate()
    measured = till.budget is not None  # a picture's worst case depends on its size
    batches = in_order(questions(prepared.source, prepared.builder, selection, measured=measured), job, dialect)
    rows = Feed(batches, partial(without_known, journal, observe))
    with closing(Warming(rows)) as feed:
        stop = Stop(gate, feed, observe, in_background=job.delivery == "background")
        if (short := allow_open(_held_at_once(prepared))) is not None:
            observe(Notice(short))
        loop = asyncio.get_running_loop()
        brake.attach(partial(loop.call_soon_threadsafe, stop.interrupt, signal.SIGINT))
        async with http_of(job, prepared.endpoint.url) as http, Loader(job.media, dialect) as loader:
            throttles = Throttles(job, observe)
            outside = Outside(http, loader, secrets)
            hedging = Hedging(job.retry.hedge_after, gate) if job.retry.hedge_after is not None else None
            client = client_of(prepared, journal, outside, till, stop, throttles, hedging)
            run = Run(journal, client, job.on_null)
            async with anyio.create_task_group() as helpers:
                helpers.start_soon(rows.read)
                helpers.start_soon(_watch, gate, longest_s(job), observe)
                if threading.current_thread() is threading.main_thread():
                    helpers.start_soon(_listen, stop)
                with seldom_collected():
                    async with anyio.create_task_group() as group:
                        helpers.start_soon(stop.carry_out, group.cancel_scope)
                        crew = Crew(group, feed, run, stop, throttles, _held_at_once(prepared))
                        crew.grow()
                        helpers.start_soon(crew.tend)
                helpers.cancel_scope.cancel()
    if hedging is not None and (told := hedging.told()) is not None:
        observe(Notice(told))
    if (reason := stop.reason or rows.broken) is not None:
        raise reason


def _held_at_once(prepared: Prepared) -> int:
    """As many rows as may be out. Where each row names its model, more: those of one that has to wait must not hold up the others."""
    job, most = prepared.job, prepared.job.limits.concurrency
    if most is None or is_template(job.model):
        most = max(WORKERS, most or 0)
    return most if prepared.rows is None else max(min(most, prepared.rows * job.samples), 1)


def client_of(
    prepared: Prepared,
    journal: Journal,
    outside: Outside,
    till: Till,
    stop: Stop,
    throttles: Throttles,
    hedging: Hedging | None,
) -> Post:
    """Compose what a request passes on its way out, innermost first."""
    job, observe, feedback = prepared.job, stop.observe, throttles.feedback
    http, loader, secrets = outside.http, outside.loader, outside.secrets
    post = sending(http, prepared.endpoint, secrets.key, job.extra_body, loader, feedback, secrets.tokens)
    tokens = partial(map, secrets.tokens, token_variables(job))
    stored = Stored(http, prepared.endpoint, secrets.key, loader, feedback, tokens)
    post = fetching(post, stored, journal, job.deadlines.background_s, urgent=stop.is_abort)
    post = conforming(post, job.output.fields)
    rules = rounds_of(prepared)
    post = judging(post, rules)
    post = illustrated(post, gallery(job.output_path))
    post = hedging.marked(post) if hedging else post
    post = journaled(post, journal)
    post = hedging.yielding(post) if hedging else post
    post = stop.gate.gated(post)
    post = fitting(post, Room(), loader)
    post = throttled(post, throttles.of)
    post = hedging.yielding(post) if hedging else post
    post = held(post, till.book, till.keeper(observe, stop.request), observe)
    breaker = Breaker(job.stop_after)
    post = watched(post, breaker, job.retry.attempts)
    post = hedging.racing(post) if hedging else post
    post = stop.feed.leading(post)
    post = retrying(post, job.retry, announce=observe, rng=random.Random())  # noqa: S311 - jitter, not a secret
    post = guarded(post, breaker)
    return in_rounds(post, rules, Toolbox(prepared.toolset.functions), announce=observe)


def rounds_of(prepared: Prepared) -> Rules:
    """Return what makes a further round of this job's requests."""
    job, toolset = prepared.job, prepared.toolset
    limits = {Turn.TOOLS: job.tools.rounds, Turn.REPAIR: job.output.repair}
    functions = frozenset(toolset.functions)
    return Rules(functions, limits, job.tools.timeout_s, job.output.fields, prepared.endpoint.dialect, job.extra_body)


class Crew:
    """The workers that share the feed: one for each row that is on its way or waits, never more than ``most``.

    They become more while all are busy and nobody waits in line, which is when another row could start. So their number follows what the
    throttle learns. It is looked whether that is so where somebody takes a row, where a line clears (with a rate that always holds somebody
    up for a moment that is the only time), and by ``tend``, for rows that are let go while nobody takes any.
    """

    def __init__(self, group: TaskGroup, feed: Warming, run: Run, stop: Stop, throttles: Throttles, most: int) -> None:
        self._group = group
        self._feed = feed
        self._run = run
        self._stop = stop
        self._throttles = throttles
        self._most = most
        self._idle = 0
        self._ending = False
        self.size = 0
        throttles.on_clear = self._grow_where_short

    def grow(self) -> None:
        """Start one more worker."""
        self.size += 1
        self._group.start_soon(self._work)

    async def _next(self) -> Question | None:
        """Return the next question, and have somebody else look for the one after it where that could start."""
        self._idle += 1
        question = await self._feed.take()
        self._idle -= 1
        if question is None:
            self._ending = True
        else:
            self._grow_where_short()
        return question

    def _grow_where_short(self) -> None:
        if (
            not self._ending
            and self.size < self._most
            and (not self._idle or self._feed.ready)
            and self._throttles.hungry
        ):
            self.grow()

    async def tend(self) -> None:
        """Look now and then whether somebody is lacking, until the rows come to their end."""
        while not self._ending:
            await anyio.sleep(TEND_S)
            self._grow_where_short()

    async def _work(self) -> None:
        """Answer question after question. Whatever goes wrong beyond the row ends the run in order: what is out comes home first."""
        while (question := await self._next()) is not None:
            try:
                self._stop.observe(RowFinished(await answer(question, self._run)))
                self._feed.answered(question)
            except RunError as error:
                self._end(error)
                return
            except Exception as error:  # noqa: BLE001 - a mistake of ours must not throw away what others have paid for
                self._end(Crashed(error))
                return

    def _end(self, reason: RunError) -> None:
        self._ending = True
        self._stop.request(reason)


def longest_s(job: Job) -> float:
    """Return for how many seconds an attempt may be out by the job's deadlines, with some to spare."""
    background_s = job.deadlines.background_s + CANCEL_S if job.delivery == "background" else 0.0
    return job.deadlines.total_s + background_s + WATCH_S


async def _watch(gate: Gate, limit_s: float, observe: Observer) -> None:
    """Name the rows that are out for longer than their deadlines allow: a run must never hang without saying where."""
    while True:
        await anyio.sleep(WATCH_S)
        if rows := gate.older_than(limit_s):
            observe(Stuck(rows, limit_s))


async def _listen(stop: Stop) -> None:
    """The first signal ends the run in order, the second at once."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for number in signals:
            stop.interrupt(number)


def interrupted(number: int) -> Interrupted:
    """Return the error with which a signal ends a run."""
    name = signal.Signals(number).name
    return Interrupted(f"interrupted by {name}", signal_number=number, hint="the same command goes on from here")


async def _cancel_after(event: anyio.Event, scope: CancelScope) -> None:
    await event.wait()
    scope.cancel()
