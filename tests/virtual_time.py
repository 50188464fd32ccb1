"""An event loop whose clock is not the wall's: an hour of waiting takes a moment, and every test sees the same times.

When no callback is ready the loop does not wait for its next timer but puts the clock forward to it. Three things keep
that honest.

- *It never jumps while the world outside works.* Calls into worker threads (executors, ``anyio.to_thread``) are counted.
  Other threads, such as a journal's writer or a server on loopback, are watched through the kernel: while they pass work
  on among them, one of them runs or waits for the disk, until the result is in a socket or a pipe of ours, and there the
  loop looks once more before it jumps. A thread that sleeps by the real clock is not waited for.
- *It gives sockets a grace*, for servers in other processes and systems that do not show their threads as Linux does.
- *It creeps* by a microsecond per turn. A timer that fires a rounding error early would otherwise be armed for no time at
  all, for ever.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

import anyio.to_thread

CREEP_S = 1e-6
GRACE_S = 0.005  # of real time, before each jump while a socket is open
BUSY_S = 0.001  # of real time, before looking again at threads that work
TASKS = "/proc/self/task"


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A selector loop on a clock of its own; the fixture ``virtual_time`` runs a test on it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls_outside = 0
        super().__init__(_Selector(self))

    def time(self) -> float:
        """The virtual time in seconds since the loop was made."""
        return self.now

    def run_in_executor(self, executor: Executor | None, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Count the call until its result is here."""
        future = super().run_in_executor(executor, func, *args)
        self.calls_outside += 1
        future.add_done_callback(self._returned)
        return future

    def _returned(self, _future: asyncio.Future[Any]) -> None:
        self.calls_outside -= 1


_run_sync = anyio.to_thread.run_sync


async def counted_run_sync(*args: Any, **options: Any) -> Any:
    """Stand in for ``anyio.to_thread.run_sync``, whose workers bypass the loop's executors, and count the call."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualTimeLoop):
        return await _run_sync(*args, **options)
    loop.calls_outside += 1
    try:
        return await _run_sync(*args, **options)
    finally:
        loop.calls_outside -= 1


class _Selector(selectors.DefaultSelector):
    """Looks at the real world, and where nothing happens there lets virtual time pass."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._loop.now += CREEP_S
        events = super().select(0)
        if events or timeout == 0:
            return events
        if timeout is None or self._loop.calls_outside:
            return super().select(None)
        events = self._await_quiet()
        if not events:
            self._loop.now += max(timeout, 0.0)
        return events

    def _await_quiet(self) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what comes from outside, or nothing once the outside is at rest."""
        sockets = len(self.get_map()) > 1  # one is the loop's own pipe
        events = super().select(GRACE_S if sockets else 0)
        before = _threads()
        while not events and before:
            now = _threads()
            if now == before and not any(state in "RD" for _, state, _ in now):
                return super().select(0)
            before = now
            events = super().select(BUSY_S)
        return events


def _threads() -> list[tuple[str, str, str]]:
    """Return name, state and number of sleeps of each other thread of this process; nothing where there is none.

    Two equal readings without a running thread mean that none ran in between. A thread that waits for the interpreter's
    lock shows as running: reading lets go of the lock, which wakes it.
    """
    if threading.active_count() == 1 or not os.path.isdir(TASKS):
        return []
    own = str(threading.get_native_id())
    return [(thread, *_state(thread)) for thread in os.listdir(TASKS) if thread != own]


def _state(thread: str) -> tuple[str, str]:
    try:
        with open(f"{TASKS}/{thread}/status") as file:
            status = dict(line.split(":", 1) for line in file)
    except (FileNotFoundError, ProcessLookupError):
        return "X", ""  # it has just ended
    return status["State"].split()[0], status["voluntary_ctxt_switches"].strip()
