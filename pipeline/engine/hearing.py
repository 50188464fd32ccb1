"""What stands between a run and its observer: one mistake of the observer's at most, and a count of what it is told of functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.events import Calls, FunctionCalled

if TYPE_CHECKING:
    from pipeline.events import Event, Observer


def heard_once(observe: Observer) -> Observer:
    """Return an observer that raises at most once: after a mistake of its own it is told nothing more, so that the run can end in order."""
    broken = False

    def hear(event: Event) -> None:
        nonlocal broken
        if broken:
            return
        try:
            observe(event)
        except BaseException:
            broken = True
            raise

    return hear


def counting(observe: Observer, functions: dict[str | None, Calls]) -> Observer:
    """Return an observer that counts the calls of each function before it passes events on."""

    def hear(event: Event) -> None:
        if isinstance(event, FunctionCalled):
            calls = functions.get(event.function) or Calls(event.function)
            functions[event.function] = calls.and_one(event.error)
        observe(event)

    return hear
