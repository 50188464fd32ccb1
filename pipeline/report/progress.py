"""What a run shows while it runs: a panel for people at a terminal, lines for logs, JSON for machines, or nothing.

An observer never steers the run, and never stops it either: where the terminal or the pipe behind it is gone, it goes on in silence.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal, TextIO, cast

from pipeline.events import Event, Observer, RunFinished
from pipeline.report.json_lines import JsonLines
from pipeline.report.lines import Lines
from pipeline.report.summary import COMMAND, closing

Kind = Literal["panel", "lines", "json", "quiet"]
Speaker = Callable[[TextIO, str, Callable[[], float], float], Observer]


@contextmanager
def observer(
    kind: Kind,
    stream: TextIO,
    *,
    command: str = COMMAND,
    clock: Callable[[], float] = time.monotonic,
    every_s: float = 10.0,
) -> Iterator[Observer]:
    """Give the observer that shows a run on ``stream`` while the block runs.

    ``panel`` is for terminals only. ``lines`` says something every ``every_s`` seconds at most, and at once what matters at once. ``json``
    writes an object per line. ``quiet`` shows the closing screen of a run that did not go well, and nothing else. ``command`` is how the
    run was started, for the advice on what to do next. ``clock`` gives seconds.
    """
    outlet = cast(TextIO, Outlet(stream))
    if kind == "panel":
        from pipeline.report.panel import Panel, console_on  # rich takes a while to import, and only terminals need it

        with Panel(console_on(outlet), command=command, clock=clock) as panel:
            yield panel
    else:
        yield _SPEAKERS[kind](outlet, command, clock, every_s)


class Quiet:
    """Says nothing, but for the closing screen of a run that did not go well."""

    def __init__(self, stream: TextIO, *, command: str) -> None:
        self._stream = stream
        self._command = command

    def __call__(self, event: Event) -> None:
        """Hear an event."""
        if isinstance(event, RunFinished) and event.exit_code != 0:
            self._stream.write(closing(event, command=self._command) + "\n")
            self._stream.flush()


_SPEAKERS: Mapping[Kind, Speaker] = {
    "lines": lambda stream, command, clock, every_s: Lines(stream, command=command, clock=clock, every_s=every_s),
    "json": lambda stream, _command, clock, _every_s: JsonLines(stream, clock=clock),
    "quiet": lambda stream, command, _clock, _every_s: Quiet(stream, command=command),
}


class Outlet:
    """A stream that never fails its writer: what cannot be encoded is replaced, and once the other end is gone, writing has no effect."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._gone = False

    @property
    def encoding(self) -> str:
        """The encoding of the stream behind it."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Tell whether the stream behind it is a terminal."""
        return not self._gone and self._stream.isatty()

    def write(self, text: str) -> int:
        """Write a text and say that all of it was written."""
        fitting = text.encode(self.encoding, "replace").decode(self.encoding)
        self._attempt(lambda: self._stream.write(fitting))
        return len(text)

    def flush(self) -> None:
        """Hand on what was written."""
        self._attempt(self._stream.flush)

    def _attempt(self, action: Callable[[], object]) -> None:
        if self._gone:
            return
        try:
            action()
        except (OSError, ValueError):  # a broken pipe, a terminal that hung up, a stream that is closed
            self._gone = True
