"""The throttle on a virtual clock: limits, fairness, pauses, learning, cancellation.

- limits: ``test_no_minute_*``, ``test_*_in_the_air``, ``test_a_refund_*``
- the line: ``test_requests_start_in_the_order_*``, ``test_a_heavy_request_*``, ``test_two_thousand_*``, ``test_a_cancelled_*``
- pauses: ``test_nothing_starts_*``, ``test_*_pause_*``, ``test_after_a_pause_*``
- learning: ``test_headers_*``, ``test_an_allowance_*``, ``test_*_limit_*``, ``test_*_reset*``, ``test_refusals_*``
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import anyio
import pytest

from pipeline.client.concurrency import REFUSED, START
from pipeline.client.throttle import BELIEVED, Throttle, seconds_until_room
from pipeline.client.told import LAPSES_S
from pipeline.spec.rules import Limits
from pipeline.wire.signals import RateHeaders

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

Clock = Callable[[], float]


async def start_times(
    throttle: Throttle, weights: Sequence[int], *, until: float = 1e9, takes: float = 0.0
) -> list[float]:
    """Send requests of these weights as early as the throttle lets them, and return when each started."""
    times: list[float] = []

    async def send(weight: int) -> None:
        with await throttle.permit(weight):
            times.append(anyio.current_time())
            await anyio.sleep(takes)

    with anyio.CancelScope(deadline=until):
        async with anyio.create_task_group() as tasks:
            for weight in weights:
                tasks.start_soon(send, weight)
    return times


def most_within(seconds: float, times: Sequence[float], weights: Sequence[int]) -> int:
    """Return the largest sum of weights that started within any ``seconds``, wherever they begin."""
    most = spent = oldest = 0
    for at, weight in zip(times, weights, strict=False):
        spent += weight
        while times[oldest] <= at - seconds:
            spent -= weights[oldest]
            oldest += 1
        most = max(most, spent)
    return most


def most_by_the_clock(times: Sequence[float], weights: Sequence[int], offset: float) -> int:
    """Return the largest sum of weights in one minute of a clock whose minutes begin at ``offset``."""
    minutes: dict[int, int] = {}
    for at, weight in zip(times, weights, strict=False):
        minute = int((at + offset) // 60)
        minutes[minute] = minutes.get(minute, 0) + weight
    return max(minutes.values())


@pytest.mark.parametrize("limit", [1, 3, 60, 500, 3_100, 6_000, pytest.param(45_000, marks=pytest.mark.slow)])
async def test_no_minute_sees_more_starts_than_allowed(limit: int) -> None:
    """Whether the provider's minutes slide or follow a clock, the limit holds from the first one on, and is used."""
    minutes = 3 if limit < 1_000 else 1.1
    throttle = Throttle(Limits(requests_per_minute=limit, concurrency=10_000))
    times = await start_times(throttle, [1] * int(limit * minutes + 1))
    ones = [1] * len(times)
    assert most_within(60 - 1e-3, times, ones) <= limit
    assert max(most_by_the_clock(times, ones, offset) for offset in range(0, 60, 7)) <= limit
    assert times[-1] == pytest.approx(60 * minutes, rel=0.01, abs=0.1)


async def test_starts_are_spread_within_each_second() -> None:
    """500 requests per second do not come as 500 at once: no second sees more than 3 % above its share."""
    throttle = Throttle(Limits(requests_per_minute=30_000, concurrency=10_000))
    times = await start_times(throttle, [1] * 5_000)
    assert most_within(1.0, times, [1] * 5_000) <= 515


@pytest.mark.parametrize("limit", [10_000, 200_000])
async def test_no_minute_sees_more_tokens_than_allowed(limit: int) -> None:
    """Requests of mixed weight, some of half the limit, never exceed it in any minute, and use most of it."""
    rng = random.Random(7)
    weights = [rng.choice([rng.randint(1, limit // 50), rng.randint(1, limit // 2)]) for _ in range(40)]
    throttle = Throttle(Limits(tokens_per_minute=limit, concurrency=10_000))
    times = await start_times(throttle, weights)
    assert most_within(60 - 1e-3, times, weights) <= limit
    assert max(most_by_the_clock(times, weights, offset) for offset in range(0, 60, 7)) <= limit
    assert sum(weights) / (times[-1] + 60) >= 0.6 * limit / 60  # halves that do not pair leave room unused


@pytest.mark.parametrize("concurrency", [1, 7])
async def test_no_more_requests_are_in_the_air_than_allowed(concurrency: int) -> None:
    """Requests that take a second each start in groups of the allowed size."""
    times = await start_times(Throttle(Limits(concurrency=concurrency)), [1] * 21, takes=1.0)
    assert [round(time, 2) for time in times] == [float(n // concurrency) for n in range(21)]


async def test_requests_start_in_the_order_in_which_they_came() -> None:
    """Weight gives no advantage."""
    throttle = Throttle(Limits(tokens_per_minute=6_000, concurrency=3))
    order: list[int] = []

    async def send(weight: int) -> None:
        with await throttle.permit(weight):
            order.append(weight)

    weights = [random.Random(3).randint(1, 500) for _ in range(50)]
    async with anyio.create_task_group() as tasks:
        for weight in weights:
            tasks.start_soon(send, weight)
    assert order == weights


async def test_a_heavy_request_is_not_overtaken_for_ever() -> None:
    """Behind it two hundred light ones wait for their turn, and it goes when its own tokens are there."""
    throttle = Throttle(Limits(tokens_per_minute=1_000))
    with await throttle.permit(500):
        pass
    times = await start_times(throttle, [900] + [20] * 200, until=100.0)
    assert times[0] == pytest.approx(60.0, abs=0.01)


async def test_a_request_heavier_than_the_limit_still_passes() -> None:
    """It goes alone, and the next one a minute later."""
    times = await start_times(Throttle(Limits(tokens_per_minute=1_000)), [100, 5_000, 100])
    assert times == pytest.approx([0.0, 60.0, 120.0], abs=0.01)


async def test_a_refund_lets_the_line_move_at_once(virtual_time: Clock) -> None:
    """Real usage far below the estimate frees the waiting head before its timer."""
    throttle = Throttle(Limits(tokens_per_minute=6_000))
    with await throttle.permit(6_000) as permit:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(start_times, throttle, [100])
            await anyio.sleep(2)
            permit.settle(100)
    assert virtual_time() == pytest.approx(2.0, abs=0.01)


async def test_usage_beyond_the_estimate_is_paid_back() -> None:
    """A debt of 1,000 tokens at 100 per second costs the next request ten seconds."""
    throttle = Throttle(Limits(tokens_per_minute=6_000))
    with await throttle.permit(1) as permit:
        permit.settle(1_001)
    assert await start_times(throttle, [1]) == pytest.approx([10.0], abs=0.02)


@pytest.mark.parametrize("settled", [None, 600])
async def test_an_estimate_that_is_kept_or_right_changes_nothing(settled: int | None) -> None:
    """Unknown usage counts as estimated."""
    throttle = Throttle(Limits(tokens_per_minute=6_000))
    with await throttle.permit(600) as permit:
        permit.settle(settled)
    assert await start_times(throttle, [1]) == pytest.approx([6.0], abs=0.01)


async def test_an_attempt_that_was_never_sent_gives_its_tokens_back() -> None:
    """The next request starts as if it had not been."""
    throttle = Throttle(Limits(tokens_per_minute=6_000))
    with await throttle.permit(6_000) as permit:
        permit.void()
    assert await start_times(throttle, [1]) == pytest.approx([0.0], abs=0.01)


@pytest.mark.parametrize(
    ("limits", "after"),
    [
        (Limits(concurrency=1), 50.0),
        (Limits(tokens_per_minute=100), 60.0),
        (Limits(requests_per_minute=1), 60.0),
        (Limits(), 30.0),
    ],
    ids=["concurrency", "tokens", "pace", "pause"],
)
@pytest.mark.parametrize("place", ["head", "second"])
async def test_a_cancelled_waiter_takes_nothing(limits: Limits, after: float, place: str) -> None:
    """Whatever it waits for and wherever it stands, the one behind it starts when it would have without it."""
    throttle = Throttle(limits)
    times: list[float] = []

    async def wait() -> None:
        with anyio.move_on_after(20):
            await start_times(throttle, [100])

    async def patient() -> None:
        times.extend(await start_times(throttle, [100]))

    async def hold() -> None:
        with await throttle.permit(100):
            await anyio.sleep(50)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hold)
        await anyio.wait_all_tasks_blocked()
        if limits == Limits():
            throttle.pause(30, "test")
        for waiter in (wait, patient) if place == "head" else (patient, wait):
            tasks.start_soon(waiter)
    assert times == pytest.approx([after], abs=0.06)
    statistics = throttle.statistics()
    assert (statistics.in_flight, statistics.waiting) == (0, 0)


async def test_two_thousand_waiters_are_all_served() -> None:
    """A long line moves at the pace of the limit."""
    throttle = Throttle(Limits(requests_per_minute=60_000, tokens_per_minute=6_000_000, concurrency=50))
    times = await start_times(throttle, [100] * 2_000, takes=0.01)
    assert len(times) == 2_000
    assert times[-1] == pytest.approx(2.0, rel=0.05)


async def test_nothing_starts_during_a_pause() -> None:
    """A pause holds everyone for exactly its length."""
    throttle = Throttle(Limits())
    throttle.pause(7.5, "test")
    assert (await start_times(throttle, [1]))[0] == pytest.approx(7.5, abs=0.002)


async def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    """The later end stands, and only what is news is announced."""
    pauses: list[tuple[float, str]] = []
    throttle = Throttle(Limits(), on_pause=lambda seconds, reason: pauses.append((seconds, reason)))
    for seconds in (10, 3, 10.5, 20):
        throttle.pause(seconds, "test")
    assert pauses == [(10, "test"), (20, "test")]
    assert throttle.statistics().paused_for_s == pytest.approx(20)


async def test_after_a_pause_starts_are_spread() -> None:
    """The line does not fall upon the server: eight slots are filled over a second."""
    throttle = Throttle(Limits(concurrency=8))
    throttle.pause(10, "test")
    times = await start_times(throttle, [1] * 8, takes=60)
    assert times == pytest.approx([10 + n / 8 for n in range(8)], abs=0.01)


async def test_a_pause_saves_up_no_tokens() -> None:
    """After it the tokens flow as at the beginning of a run, not as after a rest."""
    throttle = Throttle(Limits(tokens_per_minute=6_000))
    throttle.pause(100, "test")
    times = await start_times(throttle, [600] * 3)
    assert times == pytest.approx([100.0, 106.0, 112.0], abs=0.02)


async def test_a_refusal_pauses_as_long_as_the_server_says() -> None:
    """Retry-After is taken at its word."""
    throttle = Throttle(Limits())
    throttle.throttled("too many requests", 12.0)
    assert throttle.statistics().paused_for_s == pytest.approx(12.0)


async def test_refusals_without_a_wait_pause_longer_each_time() -> None:
    """Each pause is at least half of a doubled second; a success starts anew."""
    throttle = Throttle(Limits(), rng=random.Random(1), max_wait_s=8)
    for least, most in [(0.5, 1), (1, 2), (2, 4), (4, 8), (4, 8)]:
        throttle.throttled("too many requests")
        paused = throttle.statistics().paused_for_s
        assert least <= paused <= most
        await anyio.sleep(paused + 0.01)
    with await throttle.permit(1) as permit:
        permit.succeeded()
    throttle.throttled("too many requests")
    assert throttle.statistics().paused_for_s <= 1


async def test_requests_that_are_refused_together_count_once() -> None:
    """A hundred refusals of one moment are one sign, not a hundred doublings."""
    throttle = Throttle(Limits(), rng=random.Random(1))
    for _ in range(100):
        throttle.throttled("too many requests")
    assert throttle.statistics().paused_for_s <= 1
    assert throttle.statistics().concurrency == int(START * REFUSED)


async def test_a_retry_after_that_proves_too_short_is_not_believed_for_ever() -> None:
    """A server that always says one second is waited for longer when it keeps refusing."""
    throttle = Throttle(Limits(), rng=random.Random(1))
    pauses = []
    for _ in range(BELIEVED + 4):
        throttle.throttled("too many requests", 1.0)
        pauses.append(throttle.statistics().paused_for_s)
        await anyio.sleep(pauses[-1] + 0.01)
    assert pauses[:BELIEVED] == pytest.approx([1.0] * BELIEVED)
    assert pauses[-1] >= 4


async def test_a_timeout_lowers_the_concurrency_without_a_pause() -> None:
    """Overload asks for fewer requests at once, not for silence."""
    throttle = Throttle(Limits())
    throttle.overloaded()
    assert (throttle.statistics().concurrency, throttle.statistics().paused_for_s) == (int(START * REFUSED), 0.0)


async def test_headers_teach_the_rates_that_the_job_leaves_open() -> None:
    """From the first answer on the line moves at the provider's pace."""
    throttle = Throttle(Limits(concurrency=1_000))
    throttle.feedback(RateHeaders(limit_requests=60, limit_tokens=6_000))
    assert throttle.statistics().requests_per_minute == 60
    assert throttle.statistics().tokens_per_minute == 6_000
    times = await start_times(throttle, [200] * 30)
    assert times[-1] == pytest.approx(58.0, abs=0.1)


async def test_headers_do_not_overrule_the_job() -> None:
    """Limits that the job sets stand."""
    throttle = Throttle(Limits(requests_per_minute=10, tokens_per_minute=100))
    throttle.feedback(RateHeaders(limit_requests=60, limit_tokens=6_000))
    assert throttle.statistics().requests_per_minute == 10
    assert throttle.statistics().tokens_per_minute == 100


@pytest.mark.parametrize("absent", [None, 0, -1])
async def test_headers_without_a_limit_teach_nothing(absent: int | None) -> None:
    """None, 0 and -1 all mean that the provider does not say."""
    throttle = Throttle(Limits())
    throttle.feedback(RateHeaders(limit_requests=absent, limit_tokens=absent, remaining_requests=-1))
    assert throttle.statistics().requests_per_minute is None
    assert throttle.statistics().tokens_per_minute is None
    assert await start_times(throttle, [1]) == pytest.approx([0.0], abs=0.01)


async def test_headers_that_repeat_or_alternate_do_not_let_extra_requests_through() -> None:
    """Two keys behind a gateway with limits of their own: each answer's headers change the pace, never skip it."""
    throttle = Throttle(Limits(concurrency=1))
    times = []
    for n in range(40):
        times += await start_times(throttle, [1])
        throttle.feedback(RateHeaders(limit_requests=60 + 60 * (n % 2)))
    assert 15 <= times[-1] - times[0] <= 45


@pytest.mark.parametrize("limits", [(600, 601), (6_000, 12_000)])
async def test_servers_with_several_limits_behind_them_are_asked_at_the_lowest(
    virtual_time: Clock, limits: tuple[int, int]
) -> None:
    """Each answer tells another one; the pace is kept and not begun anew each time."""
    throttle = Throttle(Limits(concurrency=1_000))
    throttle.feedback(RateHeaders(limit_requests=limits[0]))
    began, count = virtual_time(), limits[0]
    for n in range(count):
        with await throttle.permit(1):
            throttle.feedback(RateHeaders(limit_requests=limits[n % 2]))
    assert virtual_time() - began == pytest.approx(60, rel=0.02)


async def test_a_rate_that_rises_is_followed_after_a_minute(virtual_time: Clock) -> None:
    """So a single odd answer does not slow a run down for good."""
    throttle = Throttle(Limits(concurrency=1_000))
    throttle.feedback(RateHeaders(limit_requests=1))
    throttle.feedback(RateHeaders(limit_requests=600))
    assert throttle.statistics().requests_per_minute == 1
    await anyio.sleep(61)
    throttle.feedback(RateHeaders(limit_requests=600))
    assert throttle.statistics().requests_per_minute == 600


@pytest.mark.parametrize(
    "odd", [RateHeaders(limit_requests=1), RateHeaders(limit_tokens=1)], ids=["requests", "tokens"]
)
@pytest.mark.parametrize(
    ("usual", "most_s"),
    [
        pytest.param(RateHeaders(limit_requests=600, limit_tokens=600_000), 240, id="later answers tell more"),
        pytest.param(RateHeaders(), 480, id="later answers tell nothing"),
    ],
)
async def test_one_answer_that_tells_a_limit_of_one_does_not_slow_a_run_down_for_good(
    virtual_time: Clock, odd: RateHeaders, usual: RateHeaders, most_s: float
) -> None:
    """The few answers that still come are enough to get over it, whatever was owed by then."""
    throttle = Throttle(Limits(concurrency=4))
    answered = 0

    async def send() -> None:
        nonlocal answered
        with await throttle.permit(500) as permit:
            await anyio.sleep(1)
            answered += 1
            throttle.feedback(odd if answered == 50 else usual)
            permit.settle(400)

    async with anyio.create_task_group() as tasks:
        for _ in range(400):
            tasks.start_soon(send)
    assert virtual_time() <= most_s


@pytest.mark.parametrize(
    "headers",
    [
        RateHeaders(remaining_requests=0, reset_requests_s=7 * 86_400),
        RateHeaders(remaining_tokens=0, reset_tokens_s=7 * 86_400),
    ],
    ids=["requests", "tokens"],
)
async def test_a_reset_without_a_limit_holds_the_line_no_longer_than_other_pauses_nobody_asked_for(
    headers: RateHeaders,
) -> None:
    """Who waits a week for one odd answer takes the run to hang."""
    throttle = Throttle(Limits(), max_wait_s=30)
    await start_times(throttle, [1])
    throttle.feedback(headers)
    assert await start_times(throttle, [1]) == pytest.approx([30.0], abs=0.2)


async def test_a_limit_that_lapses_while_the_head_of_the_line_draws_lets_the_line_go(virtual_time: Clock) -> None:
    """The next one was called to draw from a pace that is gone in the same moment: it is not served a second time."""
    throttle = Throttle(Limits(concurrency=10))
    throttle.feedback(RateHeaders(limit_requests=1))
    await anyio.sleep(LAPSES_S)
    began = virtual_time()

    async def send() -> None:
        with await throttle.permit(1):
            throttle.feedback(RateHeaders(remaining_requests=9))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(send)
    assert throttle.statistics().requests_per_minute is None
    assert virtual_time() - began <= 121


async def test_an_allowance_that_is_used_up_holds_the_line_until_it_resets() -> None:
    """The provider need not refuse to be understood."""
    throttle = Throttle(Limits())
    throttle.feedback(RateHeaders(limit_requests=500, remaining_requests=0, reset_requests_s=20))
    assert await start_times(throttle, [1]) == pytest.approx([20.0], abs=0.2)


async def test_an_allowance_that_is_there_again_frees_the_line() -> None:
    """A newer answer wins over an older one."""
    throttle = Throttle(Limits(requests_per_minute=1_000))
    async with anyio.create_task_group() as tasks:
        throttle.feedback(RateHeaders(remaining_requests=0, reset_requests_s=500))
        tasks.start_soon(start_times, throttle, [1])
        await anyio.sleep(3)
        throttle.feedback(RateHeaders(remaining_requests=1))
    assert anyio.current_time() == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize(
    ("limit", "remaining", "reset_s", "need", "expected"),
    [
        pytest.param(None, None, None, 1, None, id="nothing is said"),
        pytest.param(500, -1, 10.0, 1, None, id="unlimited"),
        pytest.param(500, 7, 10.0, 5, 0.0, id="enough is left"),
        pytest.param(500, 0, None, 1, None, id="no reset is said"),
        pytest.param(None, 0, 10.0, 1, 10.0, id="no limit is said"),
        pytest.param(500, 0, 20.0, 1, 20.0, id="a window that ends in 20 s"),
        pytest.param(500, 0, 60.0, 1, 0.12, id="a bucket that is full in a minute"),
        pytest.param(30_000, 1_000, 58.0, 1_500, 1.0, id="a bucket of tokens"),
        pytest.param(200, 0, 86_400.0, 1, 432.0, id="a bucket for a whole day"),
        pytest.param(100, 0, 60.0, 500, 60.0, id="more than there ever is"),
    ],
)
def test_the_reading_of_a_reset(
    limit: float | None, remaining: float | None, reset_s: float | None, need: float, expected: float | None
) -> None:
    """A window's end and a bucket's time to full are told apart."""
    assert seconds_until_room(limit, remaining, reset_s, need) == (
        expected if expected is None else pytest.approx(expected)
    )


async def test_statistics_say_what_held_the_line_up() -> None:
    """Each cause is charged with the time for which it held up the head."""
    throttle = Throttle(Limits(requests_per_minute=60, concurrency=1))
    throttle.pause(10, "test")
    await start_times(throttle, [1, 1, 1], takes=5.0)
    waited = throttle.statistics().waited_s
    assert waited["pause"] == pytest.approx(10, abs=0.1)
    assert waited["concurrency"] == pytest.approx(10, abs=0.1)
    assert waited["tokens"] == 0
