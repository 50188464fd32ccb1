"""One row's journey to its result, and how a run ends before its rows do."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import anyio
import pytest

from pipeline.checkpoint.journal import Journal
from pipeline.checkpoint.store import Start
from pipeline.client.concurrency import START
from pipeline.client.gate import Gate
from pipeline.client.retry import throttled
from pipeline.engine.feed import Feed, Question
from pipeline.engine.live import DRAIN_S, Crew, Run, Stop, answer, longest_s, without_known
from pipeline.engine.throttles import Throttles
from pipeline.engine.warming import Warming
from pipeline.errors import (
    AttemptError,
    DiskFailed,
    MediaError,
    NullCell,
    PromptError,
    ProviderRefused,
    RowError,
    RunError,
    Sent,
)
from pipeline.events import Event, RowsKnown, Stopping
from pipeline.records import Claim, Outcome, Reply, Request, Result, Status, Usage
from pipeline.spec.job import Job
from pipeline.spec.rules import Limits

pytestmark = pytest.mark.anyio
Clock = Callable[[], float]
SPEC = {"provider": "openai", "model": "m", "input": "t.csv", "prompt": "p", "output": "o.parquet"}
OK = Reply(Status.OK, text="ok", usage=Usage(1, 0, 1, 0, 2))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A journal with a session."""
    journal = Journal(tmp_path / "journal.sqlite", label="somebody")
    start = Start("{}", "/", "job", "table", 9, names_files=False, simulated=False, version="1")
    journal.begin(start, journal.look(start), ambiguous=True)
    yield journal
    journal.finish()


def question(row: int, built: Request | RowError | None = None) -> Question:
    """Return a row's question; all rows ask the same."""
    return Question(row, built or Request(row, "m", {}, bytes(16), 1))


def giving(end: Reply | Exception, seconds: float = 0) -> Callable[[Request], object]:
    """Return a client that answers or fails so, after a while."""

    async def post(request: Request) -> Reply:
        await anyio.sleep(seconds)
        if isinstance(end, Exception):
            raise end
        return end

    return post


async def carried(
    journal: Journal, end: Reply | Exception, built: Question | None = None, on_null: str = "fail"
) -> Result:
    """Carry row 3 to its result."""
    return await answer(built or question(3), Run(journal, giving(end), on_null))  # type: ignore[arg-type]


async def test_rows_that_are_known_take_no_workers_turn(journal: Journal) -> None:
    """They are told of all at once; what is left are those to be asked, and those that cannot be."""
    with journal.claim(question(0).request()) as claim:
        attempt = await journal.intend(claim.request)
        await journal.settle(claim.request, attempt, Outcome(0.5, reply=OK))
    events: list[Event] = []
    other = Request(5, "m", {}, bytes([1] * 16), 1)
    batch = [question(3), question(4, PromptError("no")), question(5, other), question(6)]
    left = await without_known(journal, events.append, batch)
    assert left == [batch[1], batch[2]]
    assert events == [RowsKnown({Status.OK: 2})]
    assert await without_known(journal, events.append, left) == left
    assert len(events) == 1


async def test_a_row_that_is_answered_has_the_answers_status(journal: Journal) -> None:
    """With its usage; text and all else are in the journal."""
    assert await carried(journal, OK) == Result(3, Status.OK, Usage(1, 0, 1, 0, 2))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (AttemptError("no", kind="server", sent=Sent.ANSWERED, transient=True), Status.FAILED),
        (AttemptError("no", kind="unknown_outcome", sent=Sent.MAYBE, transient=False), Status.UNKNOWN),
        (MediaError("no picture"), Status.FAILED),
        (PromptError("no JSON"), Status.FAILED),
    ],
)
async def test_an_error_of_the_row_becomes_its_result(journal: Journal, error: RowError, status: Status) -> None:
    """Nothing of it reaches the run."""
    assert await carried(journal, error) == Result(3, status, error_kind=error.kind, error_message=error.message)


@pytest.mark.parametrize("error", [ProviderRefused("no such key"), DiskFailed("full")])
async def test_an_error_of_the_run_is_no_rows_result(journal: Journal, error: RunError) -> None:
    """It ends the run, and the row stays pending."""
    with pytest.raises(type(error)):
        await carried(journal, error)
    assert not journal.knows(question(3).request())


@pytest.mark.parametrize(
    ("error", "on_null", "status"),
    [
        (NullCell("title"), "fail", Status.FAILED),
        (NullCell("title"), "skip", Status.SKIPPED),
        (PromptError("no such filter"), "skip", Status.FAILED),
        (MediaError("no picture"), "skip", Status.FAILED),
    ],
)
async def test_a_row_without_a_request_asks_nothing(
    journal: Journal, error: RowError, on_null: str, status: Status
) -> None:
    """Only a null is skipped where nulls are."""
    never = AssertionError("it was sent")
    assert (await carried(journal, never, question(3, error), on_null)).status is status


async def test_twins_are_counted_with_the_row_that_asks(virtual_time: Clock, journal: Journal) -> None:
    """Each row is in exactly one result, whether it came while the answer was out or later."""
    run = Run(journal, giving(OK, 5), "fail")  # type: ignore[arg-type]
    results: list[Result] = []

    async def go(row: int) -> None:
        results.append(await answer(question(row), run))

    async with anyio.create_task_group() as group:
        for row in (0, 1, 2):
            group.start_soon(go, row)
            await anyio.sleep(1)
    await go(3)
    assert [(result.row, result.status, result.rows) for result in results] == [
        (1, Status.PENDING, 0),
        (2, Status.PENDING, 0),
        (0, Status.OK, 3),
        (3, Status.OK, 1),
    ]


async def stopped(seconds: float, *, urgent_after: float | None = None) -> tuple[float, list[str]]:
    """Stop a run with one attempt out that takes so long; return how long that took, and what came home."""
    gate, home = Gate(), []
    with_feed = Warming(Feed(iter([])))
    stop = Stop(gate, with_feed, lambda _event: None)
    began = anyio.current_time()

    async def work() -> None:
        await gate.gated(giving(OK, seconds))(question(1).request())  # type: ignore[arg-type]
        home.append("answer")

    async with anyio.create_task_group() as helpers, anyio.create_task_group() as workers:
        helpers.start_soon(stop.carry_out, workers.cancel_scope)
        workers.start_soon(work)
        await anyio.lowlevel.checkpoint()
        stop.request(ProviderRefused("no such key"))
        stop.request(DiskFailed("full"))
        assert stop.reason is not None
        assert stop.reason.message == "no such key"
        if urgent_after is not None:
            await anyio.sleep(urgent_after)
            stop.urgent.set()
        await anyio.sleep_forever()
    return anyio.current_time() - began, home


async def test_a_stop_waits_for_what_is_out(virtual_time: Clock) -> None:
    """Answers on their way are paid, so they come home; and the first reason to stop is the one that is told."""
    seconds, home = await stopped(12)
    assert seconds == pytest.approx(12, abs=0.1)
    assert home == ["answer"]


async def test_a_stop_does_not_wait_for_ever(virtual_time: Clock) -> None:
    """After half a minute a run ends without its last answers."""
    seconds, home = await stopped(1000)
    assert seconds == pytest.approx(DRAIN_S, abs=0.1)
    assert home == []


@pytest.mark.parametrize("in_background", [True, False])
@pytest.mark.parametrize("by_signal", [True, False])
async def test_a_stop_says_whether_the_next_interrupt_cancels(in_background: bool, by_signal: bool) -> None:
    """Only the second of two does, and only where answers are made in the background."""
    heard: list[Event] = []
    stop = Stop(Gate(), Warming(Feed(iter([]))), heard.append, in_background=in_background)
    if by_signal:
        stop.interrupt(signal.SIGINT)
    else:
        stop.request(ProviderRefused("no such key"))
    (stopping,) = heard
    assert isinstance(stopping, Stopping)
    assert (stopping.wait_s, stopping.cancels) == (DRAIN_S, in_background and by_signal)


async def test_a_run_is_aborted_only_where_somebody_asks_twice() -> None:
    """Whoever interrupts a run that ends for another reason wants it to end sooner, not its paid answers thrown away."""
    stop = Stop(Gate(), Warming(Feed(iter([]))), lambda _event: None)
    stop.request(ProviderRefused("no such key"))
    stop.interrupt(signal.SIGINT)
    assert stop.urgent.is_set()
    assert not stop.is_abort()
    stop.interrupt(signal.SIGINT)
    assert stop.is_abort()


@pytest.mark.parametrize(("delivery", "seconds"), [("plain", 25), ("stream", 25), ("background", 130)])
async def test_the_watchdog_knows_how_long_an_answer_may_take(delivery: str, seconds: float) -> None:
    """One in the background is handed in first, made then, and cancelled at last."""
    deadlines = {"total_s": 10, "background_s": 100}
    job = Job.model_validate({**SPEC, "delivery": delivery, "deadlines": deadlines})
    assert longest_s(job) == seconds


async def test_an_urgent_stop_waits_for_nothing(virtual_time: Clock) -> None:
    """The second signal."""
    seconds, home = await stopped(1000, urgent_after=2)
    assert seconds == pytest.approx(2, abs=0.1)
    assert home == []


async def crewed(count: int, most: int, limits: Limits, *, seconds: float = 1.0) -> tuple[int, int, list[int]]:
    """Let a crew answer so many rows; return how many workers there were, how many rows were out at most, and which were answered."""
    out, peak, done = 0, 0, []
    job = Job.model_validate({**SPEC, "limits": limits.model_dump()})
    throttles = Throttles(job, lambda _event: None)

    async def ask(request: Request) -> Reply:
        nonlocal out, peak
        out += 1
        peak = max(peak, out)
        await anyio.sleep(seconds)
        out -= 1
        done.append(request.row)
        return OK

    questions = [question(row, Request(row, "m", {}, row.to_bytes(16, "big"), 1)) for row in range(count)]
    rows = Feed(iter([questions]))
    with closing(Warming(rows)) as feed:
        stop = Stop(Gate(), feed, lambda _event: None)
        run = Run(Unkept(), throttled(ask, throttles.of), "fail")  # type: ignore[arg-type]
        async with anyio.create_task_group() as helpers:
            helpers.start_soon(rows.read)
            async with anyio.create_task_group() as group:
                crew = Crew(group, feed, run, stop, throttles, most)
                crew.grow()
    return crew.size, peak, done


class Unkept:
    """A journal that keeps nothing."""

    @contextmanager
    def claim(self, request: Request) -> Iterator[Claim]:
        """Let every row ask."""
        yield Claim(request, ours=True)


@pytest.mark.parametrize("concurrency", [1, 20])
async def test_a_crew_has_a_worker_for_each_row_in_flight_and_those_that_wait(
    virtual_time: Clock, concurrency: int
) -> None:
    """Not as many as there could be: its number follows what the throttle lets out."""
    size, peak, done = await crewed(200, 512, Limits(concurrency=concurrency))
    assert peak == concurrency
    assert concurrency < size <= 2 * concurrency + 1
    assert sorted(done) == list(range(200))


async def test_a_crew_grows_with_what_the_throttle_learns(virtual_time: Clock) -> None:
    """From a few at the start to all that the endpoint bears."""
    size, peak, _ = await crewed(2_000, 512, Limits())
    assert START < peak <= size <= 512


@pytest.mark.parametrize(
    ("limits", "rows"),
    [
        (Limits(requests_per_minute=3_000, concurrency=2_000), 750),
        (Limits(requests_per_minute=30_000, concurrency=4_000), 7_500),
        (Limits(requests_per_minute=3_000, tokens_per_minute=12_000, concurrency=2_000), 750),
    ],
    ids=["50 a second", "500 a second", "tokens, too"],
)
async def test_a_crew_fills_a_long_round_trip_at_the_rate_that_is_allowed(
    virtual_time: Clock, limits: Limits, rows: int
) -> None:
    """Somebody always waits a moment for the pace; that must not keep others from coming. Answers take 5 s, rows are sent for 15 s."""
    began = virtual_time()
    _, peak, done = await crewed(rows, 4_000, limits, seconds=5.0)
    assert len(done) == rows
    assert peak >= 0.9 * rows / 3
    assert virtual_time() - began == pytest.approx(15 + 5, rel=0.05)


async def test_a_crew_stays_within_its_size_and_its_rows(virtual_time: Clock) -> None:
    """Nobody is started for rows that are not there."""
    assert (await crewed(50, 7, Limits(concurrency=100)))[:2] == (7, 7)
    assert (await crewed(3, 100, Limits(concurrency=100)))[0] <= 5


async def test_a_model_that_waits_does_not_hold_up_the_rows_of_others(virtual_time: Clock) -> None:
    """Where each row names its model, the next may name one that nobody has asked for yet."""
    asked: list[str] = []
    job = Job.model_validate({**SPEC, "model": "{{ m }}", "limits": {"concurrency": 1}})
    throttles = Throttles(job, lambda _event: None)

    async def ask(request: Request) -> Reply:
        asked.append(request.model)
        await anyio.sleep(60 if request.model == "slow" else 1)
        return OK

    models = ["slow"] * 4 + ["fast"] * 4
    batch = [question(row, Request(row, model, {}, bytes(16), 1)) for row, model in enumerate(models)]
    rows = Feed(iter([batch]))
    with closing(Warming(rows)) as feed:
        stop = Stop(Gate(), feed, lambda _event: None)
        run = Run(Unkept(), throttled(ask, throttles.of), "fail")  # type: ignore[arg-type]
        with anyio.move_on_after(30):
            async with anyio.create_task_group() as group:
                group.start_soon(rows.read)
                Crew(group, feed, run, stop, throttles, 512).grow()
    assert asked == ["slow", *["fast"] * 4]


class Tardy(Feed):
    """A feed whose next batch is long in coming."""

    def __init__(self, questions: list[Question]) -> None:
        super().__init__(iter([]))
        self._rest = iter(questions)

    async def take(self) -> Question | None:
        """Hand out what there is, then have everybody wait."""
        if (taken := next(self._rest, None)) is None:
            await anyio.sleep(60)
        return taken


async def tardy(led_s: float, back_s: float) -> list[float]:
    """Let a crew answer rows that begin alike while the input pauses; ``back_s`` is what the first still does after its attempt."""
    left: list[float] = []
    job = Job.model_validate(SPEC)
    throttles = Throttles(job, lambda _event: None)

    async def ask(_request: Request) -> Reply:
        left.append(anyio.current_time())
        await anyio.sleep(led_s)
        return OK

    rows = [
        Question(row, Request(row, "m", {}, row.to_bytes(16, "big"), 1), begins=(b"x",), size=1) for row in range(6)
    ]
    with closing(Warming(Tardy(rows))) as feed:
        led = feed.leading(ask)

        async def post(request: Request) -> Reply:
            reply = await led(request)
            await anyio.sleep(back_s)
            return reply

        stop = Stop(Gate(), feed, lambda _event: None)
        async with anyio.create_task_group() as helpers:
            async with anyio.create_task_group() as group:
                crew = Crew(group, feed, Run(Unkept(), post, "fail"), stop, throttles, 512)  # type: ignore[arg-type]
                crew.grow()
                helpers.start_soon(crew.tend)
            helpers.cancel_scope.cancel()
    return [at - left[0] for at in left]


@pytest.mark.parametrize(("back_s", "by_s"), [(0.0, 1.1), (50.0, 3.1)], ids=["at once", "while the first goes on"])
async def test_rows_that_are_let_go_leave_together_while_the_input_pauses(
    virtual_time: Clock, back_s: float, by_s: float
) -> None:
    """Though a worker waits for the input, who does not hear of them."""
    moments = await tardy(1.0, back_s)
    assert len(moments) == 6
    assert max(moments) <= by_s
