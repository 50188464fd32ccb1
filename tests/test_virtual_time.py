"""The virtual clock itself: it jumps over waiting, and never over work."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

import anyio
import anyio.abc
import anyio.to_thread
import pytest
from aiolimiter import AsyncLimiter

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

Clock = Callable[[], float]


async def test_an_hour_passes_in_a_moment(virtual_time: Clock) -> None:
    """Sleeping takes no real time."""
    began = time.monotonic()
    await anyio.sleep(3600)
    assert virtual_time() == pytest.approx(3600, abs=1e-3)
    assert time.monotonic() - began < 1


async def test_a_limiter_of_many_small_waits_does_not_hang(virtual_time: Clock) -> None:
    """The creeping clock frees timers that a rounding error would arm for no time at all."""
    limiter = AsyncLimiter(1, 1 / 3)
    for _ in range(600):
        await limiter.acquire()
    assert virtual_time() == pytest.approx(599 / 3, rel=1e-3)


def _work() -> None:
    threading.Event().wait(0.03)  # a thread that sleeps by the real clock: only counting can tell that it works


@pytest.mark.parametrize("way", ["anyio", "executor"])
async def test_no_time_passes_while_a_worker_thread_works(virtual_time: Clock, way: str) -> None:
    """A deadline around a call into a thread does not fire because the thread takes real time."""
    with anyio.fail_after(1):
        if way == "anyio":
            await anyio.to_thread.run_sync(_work)
        else:
            await asyncio.get_running_loop().run_in_executor(None, _work)
    assert virtual_time() < 0.01


async def test_no_time_passes_while_a_thread_of_our_own_works(virtual_time: Clock) -> None:
    """Work handed through two foreign threads by queues is waited for, however they are scheduled."""
    loop = asyncio.get_running_loop()
    first: SimpleQueue[asyncio.Future[None] | None] = SimpleQueue()
    second: SimpleQueue[asyncio.Future[None] | None] = SimpleQueue()

    def relay() -> None:
        while (item := first.get()) is not None:
            second.put(item)
        second.put(None)

    def answer() -> None:
        while (item := second.get()) is not None:
            sum(range(2_000))
            loop.call_soon_threadsafe(item.set_result, None)

    threads = [threading.Thread(target=relay), threading.Thread(target=answer)]
    for thread in threads:
        thread.start()
    try:
        with anyio.fail_after(1):
            for _ in range(300):
                done = loop.create_future()
                first.put(done)
                await done
    finally:
        first.put(None)
        for thread in threads:
            await anyio.to_thread.run_sync(thread.join)
    assert virtual_time() < 0.1


async def test_a_server_on_loopback_is_waited_for(virtual_time: Clock) -> None:
    """An answer through a socket arrives before the reader's deadline, and the server's own sleep costs nothing."""

    async def serve(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await anyio.sleep(5)
            await stream.send(b"done")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        async with await anyio.connect_tcp("127.0.0.1", port) as client:
            with anyio.fail_after(6):
                assert await client.receive() == b"done"
        tasks.cancel_scope.cancel()
    assert virtual_time() == pytest.approx(5, abs=0.01)
