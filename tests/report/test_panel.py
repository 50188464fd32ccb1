"""The live panel, drawn on a console of fixed width."""

from __future__ import annotations

import io
import re
import sys

import pytest
from rich.console import Console

from pipeline.events import AttemptFailed, Notice, Paused, Spent, Stopping, Stuck, Writing
from pipeline.records import Status
from pipeline.report import panel as panel_module
from pipeline.report.panel import Bar, Panel, console_on, drawn
from pipeline.report.tally import Tally


def screen(tally: Tally, width: int = 72) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, record=True)
    console.print(drawn(tally))
    return console.export_text()


def bar(known: int, finished: int, rows: int | None, now: float = 0.0, **settings: object) -> str:
    console = Console(file=io.StringIO(), width=20, color_system=None, record=True, **settings)  # type: ignore[arg-type]
    console.print(Bar(known, finished, rows, now))
    return console.export_text().strip("\n")


@pytest.fixture
def tally(started, row, clock) -> Tally:
    """A resumed run of 200 rows, 50 of them known, 60 asked in 15 s."""
    tally = Tally(clock)
    tally.hear(started(200, 50))
    for number in range(60):
        clock.now += 0.25
        tally.hear(Spent(3 * 10**9))
        tally.hear(row(number, *((Status.FAILED, "media", "a.jpg is no image") if number == 30 else ())))
    return tally


def test_the_panel_of_a_run_under_way(tally, clock) -> None:
    """Known rows, counts, speed, time left, tokens, the last problem and the pause stand in one picture."""
    tally.hear(AttemptFailed(61, "rate_limit", "Too many requests", 1.0))
    tally.hear(Paused(12.0, "rate limit"))
    clock.now += 0.2
    assert screen(tally) == (
        "╭─ captions · gpt-5.4-mini · openai ───────────────────────────────────╮\n"
        "│                                                                      │\n"
        "│  asking    ━━━━━━━━━━━━━━━━━━━━━━━━━━━───────────────────────  55 %  │\n"
        "│                                                                      │\n"
        "│  rows      110 of 200 · 50 known from earlier runs                   │\n"
        "│  status    ok 59   failed 1                                          │\n"
        "│  time      15 s · about 23 s left · 3.9 rows/s                       │\n"
        "│  tokens    35,400 in + 2,360 out · 149,053 per min · since this st…  │\n"
        "│  money     $0.180 since this start                                   │\n"
        "│  problems  media 1, rate_limit 1 · Too many requests                 │\n"
        "│  now       the provider asks to wait 12 s: rate limit                │\n"
        "│                                                                      │\n"
        "╰────────────────── Ctrl-C stops; the same command goes on from there ─╯\n"
    )


def test_a_resumed_run_starts_at_the_known_count(started, clock) -> None:
    """What was finished in earlier runs is in the bar and in the count before the first answer."""
    tally = Tally(clock)
    tally.hear(started(200, 150))
    picture = screen(tally)
    assert "150 of 200 · 150 known from earlier runs" in picture
    assert "75 %" in picture
    assert "no answer yet" in picture


def test_a_run_never_says_a_hundred_percent_while_it_is_writing(started, row, clock) -> None:
    """The table has its own bar, and it is not full before the run says that it is over."""
    tally = Tally(clock)
    tally.hear(started(4))
    for number in range(4):
        tally.hear(row(number))
    assert "100 %" not in screen(tally)
    for done in range(5):
        tally.hear(Writing(done, 4))
        picture = screen(tally)
        assert "100 %" not in picture
        assert "writing the table" in picture
        assert f"{min(done * 25, 99)} %" in picture


def test_stuck_rows_are_named_until_they_end(tally, row) -> None:
    """The watchdog's rows stay on the panel until each has its result."""
    tally.hear(Stuck((70, 71), 615.0))
    assert "no end after 10 min 15 s: rows 70 and 71" in screen(tally)
    tally.hear(row(70))
    assert "no end after 10 min 15 s: row 71" in screen(tally)
    tally.hear(row(71))
    assert "no end" not in screen(tally)


def test_problems_are_listed_by_count_whichever_came_last(tally) -> None:
    """The list does not jump with the last message."""
    for row in range(70, 78):
        tally.hear(AttemptFailed(row, "server", "bad gateway", 1.0))
    assert "server 8, media 1 · bad gateway" in screen(tally)
    tally.hear(AttemptFailed(78, "rate_limit", "Too many requests", 1.0))
    assert "server 8, media 1, rate_limit 1 · Too many requests" in screen(tally)


def test_a_run_that_stops_says_what_it_waits_for(tally, row) -> None:
    """The answers on their way are counted down as they come home, and no time left is guessed."""
    tally.hear(Stopping(3, "interrupted by SIGINT", 30.0))
    assert "now       stopping: waiting up to 30 s for 3 answers on their way · interrupted by SIGINT" in screen(
        tally, 100
    )
    assert "Ctrl-C again waits for nothing" in screen(tally)
    assert "left" not in screen(tally)
    tally.hear(AttemptFailed(70, "timeout", "no answer", None))
    tally.hear(row(70, Status.FAILED, "timeout", "no answer"))
    tally.hear(row(71))
    assert "stopping: waiting up to 30 s for 1 answer on its way" in screen(tally)
    tally.hear(row(72))
    assert "now       stopping · interrupted by SIGINT" in screen(tally)
    tally.hear(Writing(0, 200))
    assert "now       writing the table" in screen(tally)


def test_a_run_that_stops_in_the_background_says_what_a_second_time_does(tally) -> None:
    """It costs what was made so far, so nobody shall be surprised."""
    tally.hear(Stopping(3, "interrupted by SIGINT", 30.0, cancels=True))
    assert "Ctrl-C again cancels them at the provider; the same command goes on from there" in screen(tally, 100)


def test_a_simulated_run_says_that_nothing_is_paid(started, clock) -> None:
    """Simulated answers can't be taken for paid ones."""
    tally = Tally(clock)
    tally.hear(started(4, simulated=True))
    assert "simulated answers: nothing is paid" in screen(tally, 100)


@pytest.mark.parametrize("width", [20, 40, 60, 100, 200])
def test_the_panel_keeps_its_height_at_any_width(tally, width: int) -> None:
    """Lines are cut, never wrapped, and never wider than the terminal."""
    lines = screen(tally, width).splitlines()
    assert len(lines) == 13
    assert all(len(line) <= width for line in lines)


@pytest.mark.parametrize(
    ("known", "finished", "rows", "shown"),
    [
        (0, 0, 10, "─" * 20),
        (5, 2, 10, "━" * 14 + "─" * 6),
        (0, 199, 200, "━" * 19 + "─"),
        (5, 5, 10, "━" * 20),
        (9, 9, 10, "━" * 20),
        (0, 0, 0, "─" * 20),
    ],
)
def test_a_bar_is_full_only_when_everything_is_done(known: int, finished: int, rows: int, shown: str) -> None:
    """Shares are rounded down to whole columns."""
    assert bar(known, finished, rows) == shown


def test_a_bar_without_a_total_runs_to_and_fro() -> None:
    """The light moves with the clock and stays inside."""
    pictures = {bar(0, 5, None, now / 10) for now in range(200)}
    assert len(pictures) == 18
    assert all(len(picture) == 20 and picture.count("━") == 3 for picture in pictures)


def test_a_bar_on_an_ascii_terminal_is_ascii() -> None:
    """Where line drawing is not to be had, signs of the keyboard do."""
    console = Console(file=io.TextIOWrapper(io.BytesIO(), encoding="ascii"), width=20, color_system=None, record=True)
    console.print(Bar(5, 0, 10, 0.0))
    assert console.export_text().strip("\n") == "=" * 10 + "-" * 10


def test_many_events_draw_few_pictures(started, row, finished, clock, monkeypatch) -> None:
    """Drawing follows the terminal's pace, not the run's."""
    drawings: list[float] = []
    original = panel_module.drawn
    monkeypatch.setattr(panel_module, "drawn", lambda tally: drawings.append(clock()) or original(tally))
    stream = io.StringIO()
    with Panel(
        Console(file=stream, force_terminal=True, width=100), command="pipeline run a.yaml", clock=clock
    ) as observe:
        observe(started(20_000))
        for number in range(20_000):
            observe(row(number))
        observe(finished(ok=20_000))
    assert len(drawings) < 200


def test_a_finished_run_gives_way_to_its_closing_screen(started, row, finished, clock) -> None:
    """Notes stand above the panel; at the end the panel is gone and the cursor is back."""
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100, color_system=None)
    with Panel(console, command="pipeline run a.yaml", clock=clock) as observe:
        for event in (started(2), Notice("the input has changed"), row(1), finished(1, ok=1, failed=1)):
            observe(event)
    written = stream.getvalue()
    assert "note  the input has changed" in written
    assert written.endswith("\n1 row failed: pipeline run a.yaml --retry failed, with what has to change in --set\n")
    assert written.rindex("\x1b[?25h") > written.rindex("╯")
    assert written.rindex("Wrote out/captions.parquet") > written.rindex("\x1b[2K")


def test_what_functions_print_stands_above_the_panel(started, clock) -> None:
    """A whole line, not one in the middle of the drawing; afterwards printing is as it was."""
    stream, before = io.StringIO(), sys.stdout
    console = Console(file=stream, force_terminal=True, width=100, color_system=None)
    with Panel(console, command="x", clock=clock) as observe:
        observe(started(2))
        print("a function speaks")
        print("a function warns", file=sys.stderr)
    assert sys.stdout is before
    assert {"a function speaks", "a function warns"} <= set(re.split(r"[\r\n]|\x1b\[\d*[A-Z]", stream.getvalue()))


def test_a_run_that_breaks_off_leaves_its_last_state_standing(started, row, clock) -> None:
    """Where no closing screen comes, the counts stay on the terminal."""
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100, color_system=None)
    with Panel(console, command="x", clock=clock) as observe:
        observe(started(2))
        observe(row(1))
    last = stream.getvalue().rpartition("╭")[2]
    assert "1 of 2" in last
    assert "\x1b[1A" not in last


def test_markup_and_emoji_codes_are_only_text() -> None:
    """What looks like rich's own language is shown as it was written."""
    stream = io.StringIO()
    console_on(stream).print("[red]:cat: 123[/red]")
    assert stream.getvalue() == "[red]:cat: 123[/red]\n"


def test_a_run_with_samples_counts_answers_and_says_what_they_are_made_of(started, row, clock) -> None:
    """How many rows, how often each is asked, and how many requests that makes."""
    tally = Tally(clock)
    tally.hear(started(1000, 1500, samples=5))
    tally.hear(row(0))
    picture = screen(tally, 100)
    assert "answers   1,501 of 5,000 · 1,000 rows x 5 samples = 5,000 requests" in picture
    assert "rows/s" not in picture
