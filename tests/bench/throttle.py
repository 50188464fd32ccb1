"""How exact, fair and cheap the throttle is, on the real clock.

Run by hand, or by the runner of all benches through ``measure``:

    PYTHONPATH=. python tests/bench/throttle.py
    PYTHONPATH=. python tests/bench/throttle.py --seconds 60

A busy machine shows: timers come late, and what is late cannot be made up without a burst.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

import anyio
import anyio.lowlevel

from pipeline.client.throttle import Throttle
from pipeline.engine.garbage import seldom_collected
from pipeline.spec.rules import Limits

PER_SECOND = 500
TOKENS_PER_SECOND = 10_000
LINES = (1, 100, 10_000)
"""How many wait while a permit's cost is measured."""

_WAITERS = 1_000  # for the rate
_FLOOD = 50  # who asks for a hundredth of a second's tokens each, without end


def measure(seconds: float = 20.0) -> dict[str, float]:
    """Return the figures by name; ``seconds`` is how long the rate is watched, all else takes less."""
    figures: dict[str, float] = {}
    for part in (
        lambda: _rate(seconds),
        lambda: _heavy(min(seconds, 5.0)),
        lambda: _costs(max(int(2_000 * min(seconds, 20.0)), 100)),
    ):
        with seldom_collected():  # as in a run
            figures |= anyio.run(part, backend_options={"use_uvloop": True})
    return figures


async def _rate(seconds: float) -> dict[str, float]:
    """Start 500 requests a second from a long line."""
    loop = asyncio.get_running_loop()
    throttle = Throttle(Limits(requests_per_minute=PER_SECOND * 60, concurrency=10_000))
    times: list[float] = []

    async def work() -> None:
        while True:
            with await throttle.permit(1):
                times.append(loop.time())

    began = loop.time()
    await _for(seconds, [work] * _WAITERS)
    by_second = Counter(int(at - began) for at in times)
    whole = [count for second, count in by_second.items() if second < int(seconds)] or [len(times)]
    return {
        "rate_off_by": len(times) / (PER_SECOND * seconds) - 1,
        "worst_second": max(whole) / PER_SECOND / min(seconds, 1.0),
        "first_second": by_second[0] / PER_SECOND / min(seconds, 1.0),
    }


async def _heavy(seconds: float) -> dict[str, float]:
    """Ask for half a second's tokens at once in the middle of a flood of small requests."""
    loop = asyncio.get_running_loop()
    throttle = Throttle(Limits(tokens_per_minute=TOKENS_PER_SECOND * 60, concurrency=10_000))

    async def small() -> None:
        while True:
            with await throttle.permit(TOKENS_PER_SECOND // 100):
                pass

    async with anyio.create_task_group() as tasks:
        for _ in range(_FLOOD):
            tasks.start_soon(small)
        await anyio.sleep(seconds / 4)
        asked = loop.time()
        with await throttle.permit(TOKENS_PER_SECOND // 2):
            waited = loop.time() - asked
        tasks.cancel_scope.cancel()
    return {"heavy_served_after": waited / 0.5}


async def _costs(permits: int) -> dict[str, float]:
    """Hand out permits as fast as they come back, to lines of several lengths: microseconds of CPU for each."""
    figures = {}
    for waiting in LINES:
        throttle = Throttle(Limits(requests_per_minute=6e8, tokens_per_minute=6e10, concurrency=1))
        left = iter(range(permits))
        async with anyio.create_task_group() as tasks:
            go = anyio.Event()
            for _ in range(waiting):
                tasks.start_soon(_ask, throttle, left, go)
            await anyio.wait_all_tasks_blocked()
            gc.collect()
            began = time.process_time()
            go.set()
        figures[f"us_per_permit_{waiting}"] = (time.process_time() - began) / permits * 1e6
    return figures


async def _ask(throttle: Throttle, left: Iterator[int], go: anyio.Event) -> None:
    """Ask for permits as long as there are any; each is held for one turn of the loop, so that the others queue up."""
    await go.wait()
    for _ in left:
        with await throttle.permit(10) as permit:
            await anyio.lowlevel.checkpoint()
            permit.settle(9)
            permit.succeeded()


async def _for(seconds: float, works: list[Callable[[], Awaitable[None]]]) -> None:
    """Let all of them work for so long."""
    with anyio.move_on_after(seconds):
        async with anyio.create_task_group() as tasks:
            for work in works:
                tasks.start_soon(work)


def main() -> None:
    """Print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=20.0, help="how long the rate is watched")
    for name, figure in measure(arguments.parse_args().seconds).items():
        print(f"{name:24} {figure:10.4f}")


if __name__ == "__main__":
    main()
