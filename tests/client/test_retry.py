"""Which failures are asked again, after which wait, and what the throttle is told."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterable

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.client.retry import THROTTLED_ATTEMPTS, THROTTLES, UNKNOWN_OUTCOME, delay, retrying, throttled
from pipeline.client.throttle import Throttle
from pipeline.errors import AttemptError, MediaError, Sent
from pipeline.events import AttemptFailed
from pipeline.records import Post, Reply, Request, Status, Usage
from pipeline.spec.rules import Limits, Retry
from pipeline.wire.signals import KINDS

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

Clock = Callable[[], float]

ANSWER = Reply(Status.OK, text="yes", usage=Usage(total_tokens=70))
QUESTION = Request(row=3, model="m", body={}, fingerprint=b"0" * 16, weight=100)


def failure(
    kind: str = "server",
    *,
    sent: Sent = Sent.MAYBE,
    transient: bool = True,
    retry_after_s: float | None = None,
    reply: Reply | None = None,
) -> AttemptError:
    """Return an error as the wire would raise it."""
    return AttemptError(
        f"it said {kind}", kind=kind, sent=sent, transient=transient, retry_after_s=retry_after_s, reply=reply
    )


class Script:
    """A post that ends its attempts as told, the last way for ever, and notes when each came."""

    def __init__(self, *ends: Reply | Exception) -> None:
        self.times: list[float] = []
        self._ends = ends

    async def post(self, _request: Request) -> Reply:
        """End this attempt."""
        self.times.append(anyio.current_time())
        end = self._ends[min(len(self.times), len(self._ends)) - 1]
        if isinstance(end, Exception):
            raise end
        return end


def behind(throttle: Throttle, post: Post) -> Post:
    """Return ``post`` behind one throttle."""
    return throttled(post, lambda _request: throttle)


async def test_a_transient_failure_is_asked_again() -> None:
    """The row gets the answer of the attempt that succeeds."""
    script = Script(failure(), failure("timeout"), ANSWER)
    assert await retrying(script.post, Retry())(QUESTION) is ANSWER
    assert len(script.times) == 3


@pytest.mark.parametrize("sent", Sent)
async def test_a_failure_that_waiting_cannot_mend_is_raised_at_once(sent: Sent) -> None:
    """The error that comes out is the one that went in."""
    script = Script(error := failure("bad_request", sent=sent, transient=False))
    with pytest.raises(AttemptError) as raised:
        await retrying(script.post, Retry())(QUESTION)
    assert raised.value is error
    assert len(script.times) == 1


async def test_a_row_ends_with_its_last_failure_when_its_attempts_are_used_up() -> None:
    """Attempts are counted, the first one included."""
    script = Script(failure("timeout"), failure("timeout"), last := failure("server"))
    with pytest.raises(AttemptError) as raised:
        await retrying(script.post, Retry(attempts=3))(QUESTION)
    assert raised.value is last
    assert len(script.times) == 3


async def test_another_error_passes_untouched() -> None:
    """A bad picture is not asked again."""
    script = Script(MediaError("no such file"))
    with pytest.raises(MediaError):
        await retrying(script.post, Retry())(QUESTION)
    assert len(script.times) == 1


@pytest.mark.parametrize("transient", [True, False])
async def test_a_request_that_may_have_been_paid_ends_as_unknown_where_the_job_says_so(transient: bool) -> None:
    """It is not asked again, and the cause is kept."""
    script = Script(error := failure("disconnected", transient=transient))
    with pytest.raises(AttemptError, match="it said disconnected") as raised:
        await retrying(script.post, Retry(ambiguous=False))(QUESTION)
    assert (raised.value.kind, raised.value.transient, raised.value.sent) == (UNKNOWN_OUTCOME, False, Sent.MAYBE)
    assert raised.value.__cause__ is error
    assert len(script.times) == 1


@pytest.mark.parametrize("sent", [Sent.NEVER, Sent.ANSWERED])
async def test_a_request_that_was_surely_not_paid_twice_is_asked_again_in_any_job(sent: Sent) -> None:
    """``ambiguous: false`` concerns ambiguous outcomes only."""
    script = Script(failure("server", sent=sent), ANSWER)
    assert await retrying(script.post, Retry(ambiguous=False))(QUESTION) is ANSWER


async def test_a_wait_that_the_server_asks_for_is_obeyed_exactly() -> None:
    """Even beyond the longest back-off of our own."""
    script = Script(failure(retry_after_s=90.0), ANSWER)
    await retrying(script.post, Retry(max_wait_s=5))(QUESTION)
    assert script.times[1] - script.times[0] == pytest.approx(90.0, abs=0.001)


async def test_each_failed_attempt_is_announced_with_its_wait() -> None:
    """Observers learn the row, the kind, the message and the pause; the last one has none."""
    heard: list[AttemptFailed] = []
    script = Script(failure(retry_after_s=2.0), failure("bad_request", transient=False))
    with pytest.raises(AttemptError):
        await retrying(script.post, Retry(), announce=heard.append)(QUESTION)
    assert heard == [
        AttemptFailed(3, "server", "it said server", 2.0),
        AttemptFailed(3, "bad_request", "it said bad_request", None),
    ]


@given(
    kind=st.sampled_from(sorted(KINDS)),
    retry_after_s=st.none() | st.floats(0, 1e6),
    failures=st.integers(1, 400),
    max_wait_s=st.floats(0.1, 1e4),
    seed=st.integers(),
)
def test_a_delay_lies_between_its_bounds(
    kind: str, retry_after_s: float | None, failures: int, max_wait_s: float, seed: int
) -> None:
    """The server's word as it is; else at most the cap, and for throttles at least half a second."""
    policy = Retry(max_wait_s=max_wait_s)
    wait = delay(failure(kind, retry_after_s=retry_after_s), failures, policy, random.Random(seed))
    if retry_after_s is not None:
        assert wait == retry_after_s
    else:
        assert (min(0.5, max_wait_s / 2) if kind in THROTTLES else 0.0) <= wait <= max_wait_s


def test_a_delay_grows_until_the_cap() -> None:
    """The average of many waits doubles with each failure."""

    def average(waits: Iterable[float]) -> float:
        return sum(waits) / 2_000

    rng, policy = random.Random(5), Retry(max_wait_s=60)
    averages = [average(delay(failure(), n, policy, rng) for _ in range(2_000)) for n in (1, 2, 3, 10)]
    assert averages == pytest.approx([0.25, 0.5, 1.0, 30.0], rel=0.1)


def test_the_kinds_that_are_treated_apart_exist() -> None:
    """The table of failures and this module agree on names."""
    assert set(KINDS) >= THROTTLES
    assert all(KINDS[kind].transient for kind in THROTTLES)


async def test_a_429_with_retry_after_waits_exactly_that_long() -> None:
    """The endpoint pauses once: the row does not wait a second time on top."""
    script = Script(failure("rate_limit", sent=Sent.NEVER, retry_after_s=10.0), ANSWER)
    await retrying(behind(Throttle(Limits()), script.post), Retry())(QUESTION)
    assert script.times[1] - script.times[0] == pytest.approx(10.0, abs=0.01)


async def test_a_429_pauses_the_whole_endpoint() -> None:
    """A row that was not refused waits as well."""
    throttle = Throttle(Limits())
    refused = Script(failure("rate_limit", sent=Sent.NEVER, retry_after_s=10.0), ANSWER)
    other = Script(ANSWER)

    async def later() -> None:
        await anyio.sleep(1)
        await behind(throttle, other.post)(QUESTION)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(later)
        await retrying(behind(throttle, refused.post), Retry())(QUESTION)
    assert other.times[0] >= 10.0


@pytest.mark.parametrize("kind", sorted(THROTTLES))
async def test_throttled_attempts_are_counted_apart_and_finite(kind: str) -> None:
    """They do not use up the row's attempts, yet a row that is always refused ends."""
    script = Script(failure(kind, sent=Sent.NEVER, retry_after_s=1.0))
    with pytest.raises(AttemptError, match=kind):
        await retrying(behind(Throttle(Limits()), script.post), Retry(attempts=2))(QUESTION)
    assert len(script.times) == 2 * THROTTLED_ATTEMPTS


async def test_throttled_and_other_failures_have_counts_of_their_own() -> None:
    """Many refusals leave the attempts for real failures untouched."""
    refusals = [failure("rate_limit", sent=Sent.NEVER, retry_after_s=0.1)] * 5
    script = Script(*refusals, failure(), ANSWER)
    assert await retrying(behind(Throttle(Limits()), script.post), Retry(attempts=2))(QUESTION) is ANSWER


@pytest.mark.parametrize(
    ("end", "tokens_left"),
    [
        pytest.param(ANSWER, -70, id="an answer with its usage"),
        pytest.param(Reply(Status.OK), -100, id="an answer without usage"),
        pytest.param(failure("server"), -100, id="perhaps executed"),
        pytest.param(failure("bad_request", sent=Sent.NEVER), 0, id="refused before any work"),
        pytest.param(failure("server", sent=Sent.ANSWERED, reply=ANSWER), -70, id="a failure that reports usage"),
        pytest.param(MediaError("no such file"), 0, id="never sent"),
    ],
)
async def test_each_end_settles_the_tokens(end: Reply | Exception, tokens_left: int) -> None:
    """Real usage where it is known, nothing where nothing was sent, else the estimate."""
    throttle = Throttle(Limits(tokens_per_minute=6_000))
    with contextlib.suppress(AttemptError, MediaError):
        await behind(throttle, Script(end).post)(QUESTION)
    statistics = throttle.statistics()
    assert statistics.tokens_available == pytest.approx(tokens_left, abs=0.1)
    assert statistics.in_flight == 0


@pytest.mark.parametrize(("kind", "pauses"), [("rate_limit", True), ("overloaded", True), ("timeout", False)])
async def test_signs_of_overload_lower_the_concurrency(kind: str, pauses: bool) -> None:
    """All of them cut it; only refusals pause."""
    throttle = Throttle(Limits())
    before = throttle.statistics().concurrency
    with pytest.raises(AttemptError):
        await behind(throttle, Script(failure(kind)).post)(QUESTION)
    assert throttle.statistics().concurrency < before
    assert (throttle.statistics().paused_for_s > 0) is pauses


async def test_a_row_s_own_failure_leaves_the_concurrency_alone() -> None:
    """A bad request says nothing about the provider's health."""
    throttle = Throttle(Limits())
    before = throttle.statistics().concurrency
    with pytest.raises(AttemptError):
        await behind(throttle, Script(failure("bad_request", transient=False)).post)(QUESTION)
    assert throttle.statistics().concurrency == before


async def test_a_cancelled_attempt_keeps_its_estimate() -> None:
    """It may have run: its slot is free again, its tokens are not."""
    throttle = Throttle(Limits(tokens_per_minute=6_000, concurrency=1))

    async def hang(_request: Request) -> Reply:
        await anyio.sleep_forever()
        return ANSWER

    with anyio.move_on_after(0.1):
        await behind(throttle, hang)(QUESTION)
    statistics = throttle.statistics()
    assert statistics.in_flight == 0
    assert statistics.tokens_available == pytest.approx(-90, abs=0.1)
