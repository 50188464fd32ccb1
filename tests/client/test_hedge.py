"""A second attempt beside a slow one: when it is sent, which of the two counts, and what becomes of the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
import pytest

from pipeline.client.gate import Gate
from pipeline.client.hedge import HEDGED, Hedging
from pipeline.client.retry import throttled
from pipeline.client.send import journaled
from pipeline.client.throttle import Throttle
from pipeline.errors import AttemptError, DiskFailed, Sent
from pipeline.records import Attempt, Outcome, Post, Reply, Request, Status
from pipeline.spec.rules import Limits

pytestmark = pytest.mark.anyio
Clock = Callable[[], float]
REQUEST = Request(row=3, model="m", body={}, fingerprint=b"f", weight=1)
AFTER_S = 10.0


def failure(kind: str, *, transient: bool = True) -> AttemptError:
    """Return how an attempt failed."""
    return AttemptError(kind, kind=kind, sent=Sent.MAYBE, transient=transient)


@dataclass
class Race:
    """A request behind both layers, with a journal that keeps how attempts ended. ``ends`` says when and how each does."""

    ends: list[tuple[float, str | Exception]]
    response_id: str | None = None
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    sent: list[float] = field(default_factory=list)
    intended: int = 0

    async def intend(self, _request: Request) -> Attempt:
        """Count an attempt."""
        self.intended += 1
        return Attempt(self.intended, self.response_id)

    async def settle(self, _request: Request, attempt: Attempt, outcome: Outcome) -> None:
        """Keep how it ended."""
        self.outcomes[attempt.number] = outcome

    async def wire(self, request: Request) -> Reply:
        """End an attempt when and how its number says."""
        self.sent.append(round(anyio.current_time(), 1))
        assert request.attempt is not None
        seconds, end = self.ends[request.attempt.number - 1]
        await anyio.sleep(seconds)
        if isinstance(end, Exception):
            raise end
        return Reply(Status.OK, text=end)

    def composed(self, wait: Callable[[Post], Post] = lambda post: post) -> tuple[Post, Hedging, Gate]:
        """Return the layers, with what else holds attempts up before they leave."""
        gate = Gate()
        hedging = Hedging(AFTER_S, gate)
        post = hedging.yielding(journaled(hedging.marked(self.wire), self))  # type: ignore[arg-type]
        return hedging.racing(hedging.yielding(wait(gate.gated(post)))), hedging, gate

    def told(self) -> dict[int, str | None]:
        """Return each attempt's text, or the kind of its failure."""
        return {
            number: outcome.error.kind if outcome.error is not None else outcome.reply and outcome.reply.text
            for number, outcome in sorted(self.outcomes.items())
        }


@pytest.mark.parametrize(
    ("ends", "text", "sent", "told"),
    [
        pytest.param([(9, "a")], "a", [0], {1: "a"}, id="in time"),
        pytest.param([(99, "a"), (5, "b")], "b", [0, 10], {1: HEDGED, 2: "b"}, id="the second wins"),
        pytest.param([(12, "a"), (5, "b")], "a", [0, 10], {1: "a", 2: HEDGED}, id="the first wins"),
        pytest.param([(12, failure("server")), (5, "b")], "b", [0, 10], {1: "server", 2: "b"}, id="the first fails"),
        pytest.param([(30, "a"), (5, failure("server"))], "a", [0, 10], {1: "a", 2: "server"}, id="the second fails"),
    ],
)
async def test_the_first_answer_counts(
    virtual_time: Clock, ends: list[tuple[float, str | Exception]], text: str, sent: list[float], told: dict[int, str]
) -> None:
    """A second attempt leaves only after the time; a failure of one never hides the other's answer; the journal names who lost."""
    race = Race(ends)
    post, hedging, gate = race.composed()
    reply = await post(REQUEST)
    assert (reply.text, race.sent, race.told()) == (text, sent, told)
    assert (hedging.sent, gate.in_flight) == (len(sent) - 1, 0)
    assert virtual_time() == pytest.approx(
        min(at + seconds for at, (seconds, end) in zip(sent, ends, strict=True) if end == text), abs=0.1
    )


async def test_an_attempt_that_lost_may_be_paid(virtual_time: Clock) -> None:
    """Nobody waits for its end, which stays unknown; and what the races came to is told."""
    race = Race([(99, "a"), (5, "b")])
    post, hedging, _ = race.composed()
    assert hedging.told() is None
    await post(REQUEST)
    error = race.outcomes[1].error
    assert error is not None
    assert (error.sent, error.transient) == (Sent.MAYBE, False)
    assert "second attempts sent: 1, answered first: 1" in (hedging.told() or "")


async def test_two_answers_of_one_moment_are_one_answer(virtual_time: Clock) -> None:
    """The later one does not take the place of the first, and is kept with what it cost."""
    race = Race([(15, "a"), (5, "b")])
    post, _, _ = race.composed()
    text = (await post(REQUEST)).text
    lost = [outcome for outcome in race.outcomes.values() if outcome.error is not None]
    assert text in ("a", "b")
    assert len(lost) == 1
    assert lost[0].error is not None
    assert lost[0].error.kind == HEDGED


@pytest.mark.parametrize(
    ("first", "second", "counts"),
    [
        ("server", "timeout", "timeout"),
        ("bad_request", "timeout", "bad_request"),
        ("timeout", "bad_request", "bad_request"),
    ],
)
async def test_of_two_failures_the_graver_is_raised(virtual_time: Clock, first: str, second: str, counts: str) -> None:
    """One that no further attempt can mend, else the later one: the row counts one failure."""
    ends = [(at, failure(kind, transient=kind != "bad_request")) for at, kind in ((12.0, first), (9.0, second))]
    post, _, _ = Race([*ends]).composed()
    with pytest.raises(AttemptError) as raised:
        await post(REQUEST)
    assert raised.value.kind == counts


async def test_what_ends_the_run_is_raised_before_what_fails_the_row(virtual_time: Clock) -> None:
    """And bare, not in a group."""
    post, _, _ = Race([(12, DiskFailed("full")), (9, failure("bad_request", transient=False))]).composed()
    with pytest.raises(DiskFailed):
        await post(REQUEST)


async def test_a_failure_before_the_time_is_raised_at_once(virtual_time: Clock) -> None:
    """It is for the retries to go on."""
    post, hedging, _ = Race([(3, failure("server"))]).composed()
    with pytest.raises(AttemptError):
        await post(REQUEST)
    assert (round(virtual_time()), hedging.sent) == (3, 0)


async def test_time_in_the_line_does_not_count(virtual_time: Clock) -> None:
    """An attempt that waits for its turn is not slow: nothing has left yet."""

    def late(post: Post) -> Post:
        async def wait(request: Request) -> Reply:
            await anyio.sleep(50)
            return await post(request)

        return wait

    race = Race([(9, "a")])
    post, hedging, _ = race.composed(late)
    assert (await post(REQUEST)).text == "a"
    assert (race.sent, hedging.sent) == ([50], 0)


async def test_nothing_is_hedged_behind_a_closed_gate(virtual_time: Clock) -> None:
    """A run that ends waits for what is out and sends nothing more."""
    race = Race([(30, "a")])
    post, hedging, gate = race.composed()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(post, REQUEST)
        await anyio.sleep(1)
        gate.close()
    assert (race.sent, hedging.sent, race.told()) == ([0], 0, {1: "a"})


async def test_what_an_earlier_run_has_sent_is_not_hedged(virtual_time: Clock) -> None:
    """The provider has it: it is only fetched, and a second attempt would ask, and pay, again."""
    race = Race([(30, "a")], response_id="resp_1")
    post, hedging, _ = race.composed()
    assert (await post(REQUEST)).text == "a"
    assert hedging.sent == 0


async def test_a_run_that_is_cancelled_leaves_both_attempts_open(virtual_time: Clock) -> None:
    """As any attempt that is cut off: the journal then counts them as perhaps paid."""
    race = Race([(99, "a"), (99, "b")])
    post, _, gate = race.composed()
    with anyio.move_on_after(50):
        await post(REQUEST)
    assert (race.intended, race.outcomes, gate.in_flight) == (2, {}, 0)


@pytest.mark.parametrize("limits", [Limits(concurrency=1), Limits(requests_per_minute=1)])
async def test_a_second_attempt_that_waits_when_the_first_is_answered_was_never_sent(
    virtual_time: Clock, limits: Limits
) -> None:
    """It ends at no cost, whatever it waited for: not journaled, not counted, and without a permit."""
    ends: list[AttemptError] = []
    throttle = Throttle(limits)

    def waiting(post: Post) -> Post:
        return throttled(post, lambda _request: throttle)

    race = Race([(12, "a"), (5, "b")])
    gate = Gate()
    hedging = Hedging(AFTER_S, gate)
    post = hedging.yielding(waiting(hedging.yielding(gate.gated(journaled(hedging.marked(race.wire), race)))))  # type: ignore[arg-type]

    async def noting(request: Request) -> Reply:
        try:
            return await post(request)
        except AttemptError as error:
            ends.append(error)
            raise

    assert (await hedging.racing(noting)(REQUEST)).text == "a"
    assert [(error.kind, error.sent) for error in ends] == [(HEDGED, Sent.NEVER)]
    assert (race.intended, race.told(), hedging.sent, hedging.told()) == (1, {1: "a"}, 0, None)
    assert (throttle.statistics().in_flight, throttle.statistics().waiting) == (0, 0)


async def test_a_second_attempt_whose_intent_was_being_written_was_never_sent(virtual_time: Clock) -> None:
    """Nor does it leave when it becomes durable in the moment in which the first is answered."""

    class Slow(Race):
        async def intend(self, request: Request) -> Attempt:
            if self.intended:
                await anyio.sleep(2)
            return await super().intend(request)

    for seconds in (11.0, 12.0):
        race = Slow([(seconds, "a"), (99, "b")])
        post, hedging, gate = race.composed()
        assert (await post(REQUEST)).text == "a"
        assert (race.sent[1:], hedging.sent, gate.in_flight) == ([], 0, 0)
        assert {outcome.error.sent for outcome in race.outcomes.values() if outcome.error} <= {Sent.NEVER}
