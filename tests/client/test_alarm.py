"""A timer that is moved often: it goes off at the right moment, and the loop hears little of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import anyio
import pytest

from pipeline.client.alarm import Alarm

pytestmark = pytest.mark.anyio
Clock = Callable[[], float]


@pytest.mark.parametrize(("moves", "expected"), [([5], 5), ([5, 9], 9), ([9, 5], 5), ([5, 9, 7], 7), ([9, 2, 30], 30)])
async def test_an_alarm_goes_off_at_its_last_moment(virtual_time: Clock, moves: list[float], expected: float) -> None:
    """Whichever way it was moved, and once."""
    rung: list[float] = []
    alarm = Alarm(asyncio.get_running_loop(), lambda: rung.append(virtual_time()))
    for due in moves:
        alarm.move(due)
    await anyio.sleep(100)
    assert rung == [pytest.approx(expected, abs=0.01)]


async def test_an_alarm_is_used_again(virtual_time: Clock) -> None:
    """After it went off, and after it was cancelled it never does."""
    rung: list[float] = []
    alarm = Alarm(asyncio.get_running_loop(), lambda: rung.append(virtual_time()))
    alarm.move(1)
    await anyio.sleep(2)
    alarm.move(3)
    await anyio.sleep(2)
    alarm.move(9)
    alarm.cancel()
    await anyio.sleep(10)
    assert rung == [pytest.approx(1, abs=0.01), pytest.approx(3, abs=0.01)]


async def test_moving_an_alarm_on_does_not_bother_the_loop(
    virtual_time: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand pieces of an answer set two timers: the first, and the one for what was left when that was due."""
    loop = asyncio.get_running_loop()
    set_at: list[float] = []
    call_at = loop.call_at
    monkeypatch.setattr(
        loop, "call_at", lambda when, *rest, **more: (set_at.append(when), call_at(when, *rest, **more))[1]
    )
    alarm = Alarm(loop, lambda: None)
    for piece in range(1000):
        alarm.move(10 + piece / 1000)
    alone = len(set_at)
    await anyio.sleep(50)
    assert alone == 1
    assert sum(when < 11 for when in set_at) == 2
