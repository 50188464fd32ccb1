"""What is beyond the gate may be paid: a closed one lets nothing new out, and what is out come home."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest

from pipeline.client.gate import Gate
from pipeline.errors import AttemptError, Sent
from pipeline.records import Reply, Request, Status

pytestmark = pytest.mark.anyio
Clock = Callable[[], float]


def request(row: int) -> Request:
    """Return a row's request."""
    return Request(row, "m", {}, bytes(16), 1)


async def taking(seconds: float) -> Reply:
    """Answer after a while."""
    await anyio.sleep(seconds)
    return Reply(Status.OK)


async def slow(request: Request) -> Reply:
    """Answer after as many seconds as the row's number says."""
    return await taking(request.row)


async def test_an_open_gate_lets_everything_out_and_counts_it(virtual_time: Clock) -> None:
    """Attempts that are out, and no others."""
    gate = Gate()
    post = gate.gated(slow)
    async with anyio.create_task_group() as group:
        for row in (1, 2, 3):
            group.start_soon(post, request(row))
        for in_flight in (3, 2, 1, 0):
            await anyio.sleep(0.5)
            assert gate.in_flight == in_flight
            await anyio.sleep(0.5)


async def test_a_closed_gate_drains_when_the_last_is_home(virtual_time: Clock) -> None:
    """Who is out comes home with its answer; nobody else gets out, not even afterwards."""
    gate, home = Gate(), []
    post = gate.gated(slow)

    async def go(row: int) -> None:
        await post(request(row))
        home.append(row)

    async with anyio.create_task_group() as group:
        for row in (3, 5):
            group.start_soon(go, row)
        await anyio.sleep(1)
        gate.close()
        group.start_soon(go, 1)
        await gate.drained()
        assert virtual_time() == pytest.approx(5, abs=0.01)
        group.start_soon(go, 1)
        await anyio.sleep(100)
        assert (home, gate.in_flight) == ([3, 5], 0)
        group.cancel_scope.cancel()


async def test_a_gate_that_closes_with_nobody_out_is_drained_at_once(virtual_time: Clock) -> None:
    """Also when it is closed twice."""
    gate = Gate()
    gate.close()
    gate.close()
    await gate.drained()
    assert virtual_time() < 0.1


@pytest.mark.parametrize("how", ["fails", "is cancelled"])
async def test_an_attempt_that_ends_badly_is_home_too(virtual_time: Clock, how: str) -> None:
    """A run never waits for one that has failed or was cancelled."""

    async def failing(request: Request) -> Reply:
        await anyio.sleep(1)
        raise AttemptError("no", kind="server", sent=Sent.ANSWERED, transient=False)

    gate = Gate()
    with anyio.move_on_after(0.5 if how == "is cancelled" else 10):
        with pytest.raises(AttemptError):
            await gate.gated(failing)(request(1))
        gate.close()
        await gate.drained()
    assert gate.in_flight == 0


async def test_rows_that_are_out_for_too_long_are_named(virtual_time: Clock) -> None:
    """From the moment each left."""
    gate = Gate()
    post = gate.gated(slow)
    async with anyio.create_task_group() as group:
        for row in (10, 20, 30):
            group.start_soon(post, request(row))
            await anyio.sleep(1)
        assert gate.older_than(5) == ()
        await anyio.sleep(4)
        assert gate.older_than(5.5) == (10, 20)
        await anyio.sleep(20)
        assert gate.older_than(5) == (30,)
