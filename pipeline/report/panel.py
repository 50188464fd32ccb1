"""A run as a live panel on a terminal.

Events only change counters; the picture is drawn from them a few times a second by rich's own thread, however many events come. The panel
keeps its height while rows are asked, so that nothing jumps, and makes room for a second bar while the table is written.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from rich.box import ROUNDED
from rich.console import Console
from rich.live import Live
from rich.panel import Panel as Frame
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from pipeline.events import Event, Notice, RunFinished, RunStarted
from pipeline.records import Status
from pipeline.report.expected import expected_cost
from pipeline.report.purse import money
from pipeline.report.summary import closing
from pipeline.report.tally import Tally
from pipeline.report.text import awaiting, duration, extent, figure, listed, percent, share, tally_of, visible

if TYPE_CHECKING:
    from rich.console import ConsoleOptions, RenderableType, RenderResult

REFRESHES_PER_SECOND = 5
MAX_WIDTH = 100
MESSAGE_WIDTH = 300  # what a terminal could show at all; the column cuts what does not fit

_GOOD, _ODD, _BAD, _QUIET = "green", "yellow", "red", "bright_black"
_STATUS_STYLES: Mapping[Status, str] = {
    Status.OK: _GOOD,
    Status.SKIPPED: _QUIET,
    Status.FAILED: _BAD,
    Status.CANCELLED: _BAD,
    Status.UNKNOWN: _BAD,
}  # every other status is odd: answered, but not as wished
_KNOWN_STYLE = "blue"


def console_on(stream: TextIO) -> Console:
    """Return a console that shows texts as they are: no markup, no emoji codes, no guessed highlights."""
    return Console(file=stream, markup=False, emoji=False, highlight=False)


class Panel:
    """The panel of one run: an observer, and the terminal's while the block runs.

    A run that finishes gives way to its closing screen; one that breaks off leaves its last state standing.
    """

    def __init__(self, console: Console, *, command: str, clock: Callable[[], float]) -> None:
        self._console = console
        self._command = command
        self._tally = Tally(clock)
        self._lock = threading.Lock()  # events come from the run's thread, pictures are drawn in rich's
        self._live = Live(get_renderable=self._draw, console=console, refresh_per_second=REFRESHES_PER_SECOND)

    def __enter__(self) -> Panel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __call__(self, event: Event) -> None:
        """Hear an event."""
        with self._lock:
            self._tally.hear(event)
        if isinstance(event, Notice):
            self._console.print(Text.assemble(("note  ", _ODD), visible(event.message)))
        elif isinstance(event, RunStarted):
            if event.expected is not None:
                self._console.print(Text.assemble(("expected to cost  ", _QUIET), expected_cost(event.expected)))
            self._live.start(refresh=True)
        elif isinstance(event, RunFinished):
            self._close(event)

    def _close(self, finished: RunFinished) -> None:
        self._live.transient = True
        self._live.stop()
        self._console.print(Text(closing(finished, command=self._command)), soft_wrap=True)

    def _draw(self) -> RenderableType:
        with self._lock:
            return drawn(self._tally)


def drawn(tally: Tally) -> RenderableType:
    """Return the picture of a run as it stands."""
    now = tally.now()
    if (run := tally.run) is None:
        return Text()
    body = Table.grid(padding=(0, 2), expand=True)
    body.add_column(style=_QUIET, no_wrap=True)
    body.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for label, content in _lines(tally, now):
        body.add_row(label, content)
    return Frame(
        body,
        box=ROUNDED,
        title=_title(run),
        title_align="left",
        subtitle=Text(f"{_interrupt(tally)}; the same command goes on from there", style=_QUIET),
        subtitle_align="right",
        border_style=_QUIET,
        padding=(1, 2),
        width=MAX_WIDTH,
    )


def _interrupt(tally: Tally) -> str:
    if tally.stopping is None:
        return "Ctrl-C stops"
    return "Ctrl-C again cancels them at the provider" if tally.stopping.cancels else "Ctrl-C again waits for nothing"


def _dotted(parts: Iterable[Text]) -> Text:
    return Text.assemble((" · ", _QUIET)).join(parts)


def _title(run: RunStarted) -> Text:
    parts = [
        Text(visible(run.name, 40), style="default bold"),
        Text(visible(run.model, 30), style="default"),
        Text(visible(run.provider, 30), style="default"),
    ]
    if run.simulated:
        parts.append(Text("simulated answers: nothing is paid", style="cyan"))
    return _dotted(parts)


def _lines(tally: Tally, now: float) -> Iterator[tuple[str, RenderableType]]:
    rows, writing = tally.rows, tally.writing
    yield "asking", _bar(Bar(tally.known, tally.finished, rows, now), "" if rows is None else share(tally.done, rows))
    if writing is not None:
        yield "writing", _bar(Bar(0, writing.done, writing.rows, now), percent(writing.done, writing.rows))
    yield "", ""
    yield f"{tally.unit}s", _rows(tally)
    yield "status", _statuses(tally)
    yield "time", _time(tally, now)
    yield "tokens", _tokens(tally, now)
    yield "money", _money(tally)
    yield "problems", _problems(tally)
    yield "now", _state(tally, now)


def _bar(bar: Bar, reached: str) -> RenderableType:
    line = Table.grid(padding=(0, 2), pad_edge=False, expand=True)
    line.add_column(ratio=1)
    line.add_column(justify="right", no_wrap=True, min_width=len("99 %"))
    line.add_row(bar, reached)
    return line


def _rows(tally: Tally) -> Text:
    parts = [Text.assemble((f"{tally.done:,}", "bold"), " so far" if tally.rows is None else f" of {tally.rows:,}")]
    if (run := tally.run) is not None and run.samples > 1 and run.rows is not None:
        parts.append(Text(extent(run.rows, run.samples, run.wanted), style=_QUIET))
    if tally.known:
        parts.append(Text(f"{tally.known:,} known from earlier runs", style=_KNOWN_STYLE))
    return _dotted(parts)


def _statuses(tally: Tally) -> Text:
    counts = [
        Text.assemble((f"{status.value} ", _STATUS_STYLES.get(status, _ODD)), f"{tally.by_status[status.value]:,}")
        for status in Status
        if status.value in tally.by_status
    ]
    return Text("   ").join(counts) if counts else Text("no answer yet", style=_QUIET)


def _time(tally: Tally, now: float) -> Text:
    parts = [Text(duration(now - tally.began))]
    if tally.writing is None:
        if (left := tally.time_left(now)) is not None:
            parts.append(Text(f"about {duration(left)} left"))
        if (speed := tally.speed(now)) is not None:
            parts.append(Text(f"{speed[0]:,.1f} {tally.unit}s/s"))
    return _dotted(parts)


def _tokens(tally: Tally, now: float) -> Text:
    if not tally.finished:
        return Text("none yet", style=_QUIET)
    parts = [Text(f"{figure(tally.usage.input_tokens)} in + {figure(tally.usage.output_tokens)} out")]
    if tally.writing is None and (speed := tally.speed(now)) is not None:
        parts.append(Text(f"{speed[1] * 60:,.0f} per min"))
    if tally.known:
        parts.append(Text("since this start", style=_QUIET))
    return _dotted(parts)


def _money(tally: Tally) -> Text:
    parts = [*money(tally)]
    return _dotted(map(Text, parts)) if parts else Text("none yet", style=_QUIET)


def _problems(tally: Tally) -> Text:
    if (trouble := tally.trouble) is None:
        return Text("none", style=_QUIET)
    return _dotted(
        [Text(tally_of(tally.problems), style=_ODD), Text(visible(trouble.message, MESSAGE_WIDTH), style=_QUIET)]
    )


def _state(tally: Tally, now: float) -> Text:
    parts = []
    if tally.stopping is not None and tally.writing is None:
        parts.append(Text(awaiting(tally.awaited, tally.stopping.wait_s), style=_ODD))
        parts.append(Text(visible(tally.stopping.reason, MESSAGE_WIDTH), style=_QUIET))
    if tally.stuck:
        parts.append(Text(f"no end after {duration(tally.stuck_s)}: {listed(tally.stuck)}", style=_BAD))
    if left := tally.pause_left(now):
        reason = visible(tally.pause_reason, MESSAGE_WIDTH)
        parts.append(Text(f"the provider asks to wait {duration(left)}: {reason}", style=_ODD))
    if not parts:
        parts.append(Text("asking" if tally.writing is None else "writing the table"))
    return _dotted(parts)


class Bar:
    """A bar as wide as its column: rows known from earlier runs, rows finished since, rows to come. Without a total it runs."""

    _GLYPHS = ("━", "─")
    _ASCII_GLYPHS = ("=", "-")

    def __init__(self, known: int, finished: int, rows: int | None, now: float) -> None:
        self._known = known
        self._finished = finished
        self._rows = rows
        self._now = now

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        full, empty = self._ASCII_GLYPHS if options.ascii_only else self._GLYPHS
        for glyph, style, width in self._pieces(full, empty, options.max_width):
            yield Segment(glyph * width, Style.parse(style))

    def _pieces(self, full: str, empty: str, width: int) -> Iterator[tuple[str, str, int]]:
        if self._rows is None:
            before, length = _running(self._now, width)
            yield empty, _QUIET, before
            yield full, _GOOD, length
            yield empty, _QUIET, width - before - length
            return
        known = _cells(self._known, self._rows, width)
        both = _cells(self._known + self._finished, self._rows, width)
        yield full, _KNOWN_STYLE, known
        yield full, _GOOD, both - known
        yield empty, _QUIET, width - both


def _cells(part: int, whole: int, width: int) -> int:
    """Return how many of a bar's columns a part fills, rounded down; a part that is all fills all."""
    return min(part * width // whole, width) if whole else 0


def _running(now: float, width: int) -> tuple[int, int]:
    """Return where the light of a running bar begins at a moment, and how long it is."""
    length = min(max(width // 6, 1), width)
    way = max(2 * (width - length), 1)
    at = int(now * width / 3) % way
    return (at if at <= way // 2 else way - at), length
