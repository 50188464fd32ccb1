"""The counters behind every screen."""

from __future__ import annotations

import pytest

from pipeline.events import AttemptFailed, FunctionCalled, Paused, RowsKnown
from pipeline.records import Status
from pipeline.report.tally import Pace, Tally


def test_twins_count_with_the_row_that_was_asked(started, row, clock) -> None:
    """A row that waits for its twin's answer is counted once, with that answer."""
    tally = Tally(clock)
    tally.hear(started(3))
    tally.hear(row(1, Status.PENDING, rows=0))
    tally.hear(row(0, rows=2))
    assert (tally.done, tally.by_status) == (2, {"ok": 2})


def test_a_failed_attempt_and_its_failed_row_are_one_problem(started, row, clock) -> None:
    """A row that ends with its last attempt is not a second problem; a row that never left is one."""
    tally = Tally(clock)
    tally.hear(started(3))
    tally.hear(AttemptFailed(0, "timeout", "no answer", 1.0))
    tally.hear(AttemptFailed(0, "timeout", "no answer", None))
    tally.hear(row(0, Status.FAILED, "timeout", "no answer"))
    tally.hear(row(1, Status.FAILED, "media", "no image"))
    tally.hear(row(2, Status.TRUNCATED, "max_output_tokens"))
    assert tally.problems == {"timeout": 2, "media": 1}


def test_functions_that_fail_are_problems_and_those_that_run_well_are_none(started, clock) -> None:
    """Each function is counted by itself; the attempts that are waited for are not touched."""
    tally = Tally(clock)
    tally.hear(started(3))
    for error in ("ValueError: odd", None, "ValueError: even"):
        tally.hear(FunctionCalled(1, "boom", error))
    tally.hear(FunctionCalled(2, None, "there is no function bang"))
    assert tally.problems == {"function boom": 2, "function": 1}
    assert tally.awaited == 0


def test_time_left_is_not_guessed_too_early(started, row, clock) -> None:
    """Neither the first second nor a run without a total has a time left."""
    tally = Tally(clock)
    tally.hear(started(100))
    tally.hear(row(0))
    clock.now += 1
    assert (tally.speed(clock()), tally.time_left(clock())) == (None, None)
    clock.now += 9
    assert tally.time_left(clock()) == pytest.approx(990)
    tally.hear(started(None))
    assert tally.time_left(clock()) is None


def test_speed_is_that_of_the_last_half_minute() -> None:
    """A fast start is forgotten, and a stall brings the speed down to nothing."""
    pace = Pace()
    pace.note(0.0, 0, 0)
    for second in range(1, 61):
        pace.note(float(second), second * 10, second * 1000)
    assert pace.per_second(60.0, 600, 60_000) == (10.0, 1000.0)
    for second in range(61, 200):
        stalled = pace.per_second(float(second), 600, 60_000)
    assert stalled == (0.0, 0.0)


def test_a_pause_counts_down_and_the_longest_stands(clock) -> None:
    """A shorter pause does not end a longer one."""
    tally = Tally(clock)
    tally.hear(Paused(10.0, "rate limit"))
    tally.hear(Paused(2.0, "rate limit"))
    clock.now += 4
    assert tally.pause_left(clock()) == 6.0
    clock.now += 40
    assert tally.pause_left(clock()) == 0.0


@pytest.mark.parametrize(
    ("rows", "samples", "wanted", "expected"),
    [
        (200, 1, None, (200, "row")),
        (200, 5, None, (1000, "answer")),
        (3, 5, 4, (4, "answer")),
        (None, 5, None, (None, "answer")),
    ],
    ids=["rows", "answers", "single answers of a retry", "not counted"],
)
def test_what_is_counted_is_answers_where_rows_get_several(
    started, clock, rows: int | None, samples: int, wanted: int | None, expected: tuple[int | None, str]
) -> None:
    """A bar that counts rows would stand still while the answers of a row come."""
    tally = Tally(clock)
    tally.hear(started(rows, samples=samples, wanted=wanted))
    assert (tally.rows, tally.unit) == expected


def test_rows_that_were_known_count_as_finished(started, row, clock) -> None:
    """All at once, each under its status, and without usage."""
    tally = Tally(clock)
    for event in (started(), RowsKnown({Status.OK: 5, Status.REFUSED: 1}), row(7)):
        tally.hear(event)
    assert (tally.finished, tally.by_status["ok"], tally.by_status["refused"]) == (7, 6, 1)
    assert tally.usage == row(7).result.usage
