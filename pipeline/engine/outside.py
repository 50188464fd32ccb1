"""Work that starts an event loop of its own, called from where one runs already, such as a notebook's cell."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from pipeline.engine.live import Brake

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")


def outside_loop(work: Callable[[Brake], T]) -> T:
    """Run work that starts its own event loop, in a thread of its own where this thread has a loop already.

    An interrupted notebook cell pulls the brake: the run ends as it does on Ctrl-C, and the cell waits for that.
    """
    brake = Brake()
    if not _has_loop():
        return work(brake)
    outcome: list[T] = []
    failure: list[BaseException] = []

    def carry() -> None:
        try:
            outcome.append(work(brake))
        except BaseException as error:  # noqa: BLE001 - carried over to the caller's thread, where it is raised
            failure.append(error)

    thread = threading.Thread(target=carry, name="pipeline")
    thread.start()
    with _interrupts(brake.pull):
        thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


@contextmanager
def _interrupts(act: Callable[[], None]) -> Iterator[None]:
    """While the block runs, let an interrupt act: neither a notebook's nor asyncio's own handler reaches a run in another thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda _number, _frame: act())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
