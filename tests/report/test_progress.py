"""The observers, as their streams see them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import pytest

from pipeline.events import (
    AttemptFailed,
    Event,
    FunctionCalled,
    Notice,
    Paused,
    RowFinished,
    RowsKnown,
    RunFinished,
    RunStarted,
    Spent,
    Stopping,
    Stuck,
    Writing,
)
from pipeline.records import Amount, Purse, Status
from pipeline.report.json_lines import NAMES
from pipeline.report.progress import Kind, observer

HOSTILE = "\x1b]52;c;aGk=\x07\x1b[2J\x00\u202egpj.exe\n\r\x9b31m"
RAW = ("\x1b", "\x07", "\x00", "\u202e", "\r", "\x9b")


class Gone(io.StringIO):
    """A pipe whose reader has left."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


@pytest.fixture
def hostile(started, row, finished) -> list[Event]:
    """A run in which every text of the outside world attacks the terminal."""
    return [
        started(name="captions" + HOSTILE),
        Notice(HOSTILE),
        AttemptFailed(1, "kind" + HOSTILE, HOSTILE, 1.0),
        Paused(2.0, HOSTILE),
        row(2, Status.FAILED, "media" + HOSTILE, HOSTILE),
        Stuck((1,), 600.0),
        FunctionCalled(1, HOSTILE, HOSTILE),
        Stopping(1, HOSTILE, 30.0),
        Writing(1, 2),
        finished(1, notes=(HOSTILE,), ok=1, failed=1),
    ]


@pytest.mark.parametrize("kind", ["lines", "json", "quiet", "panel"])
def test_hostile_text_never_reaches_the_stream_raw(kind: Kind, hostile, clock) -> None:
    """No escape sequence, override or control character of a row, model or server gets through."""
    stream = io.StringIO()  # no terminal, so that no escape of rich's own is in it
    with observer(kind, stream, clock=clock, every_s=0.0, command="pipeline run " + HOSTILE) as observe:
        for event in hostile:
            observe(event)
    written = stream.getvalue()
    assert written
    assert not [char for char in RAW if char in written]


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_reader_that_left_does_not_stop_the_run(kind: Kind, hostile, clock) -> None:
    """Where the pipe is broken, the observer falls silent and the run goes on."""
    with observer(kind, Gone(), clock=clock) as observe:
        for event in hostile:
            observe(event)


def test_what_a_stream_cannot_encode_is_replaced(finished, clock) -> None:
    """A terminal that knows only ASCII gets question marks, not an exception."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    with observer("lines", stream, clock=clock) as observe:
        observe(finished(notes=("猫",), ok=1))
    stream.flush()
    assert b"note       ?" in raw.getvalue()


def test_lines_tell_a_run_in_few_words(started, row, finished, clock) -> None:
    """One line at the start, one per interval, the closing screen; what repeats is counted."""
    stream = io.StringIO()
    with observer("lines", stream, clock=clock, every_s=10.0, command="pipeline run a.yaml") as observe:
        observe(started(200, 50, simulated=True))
        observe(Notice("the input has changed"))
        for number in range(100):
            clock.now += 0.25
            if number % 20 == 3:
                observe(AttemptFailed(number, "rate_limit", "Too many requests", 1.25))
            observe(row(number, *((Status.FAILED, "media", "a.jpg is no image") if number == 30 else ())))
        observe(Writing(100, 200))
        clock.now += 11
        observe(Writing(200, 200))
        observe(replace(finished(1, ok=199, failed=1), by_error={"failed": {"media": 1}}, simulated=True))
    assert stream.getvalue() == (
        "0:00:00  captions: gpt-5.4-mini at openai, 200 rows, 50 of them known from earlier runs\n"
        "0:00:00  simulated answers: nothing is paid\n"
        "0:00:00  note: the input has changed\n"
        "0:00:01  problem in row 3: rate_limit: Too many requests; asked again in 1.2 s\n"
        "0:00:07  problem in row 30: media: a.jpg is no image\n"
        "0:00:10  90 of 200 rows (45 %): known 50, ok 39, failed 1; 4.0 rows/s, about 28 s left;"
        " tokens since this start 23,400 in + 1,560 out\n"
        "0:00:10  problems so far: rate_limit 2, media 1\n"
        "0:00:20  130 of 200 rows (65 %): known 50, ok 79, failed 1; 4.0 rows/s, about 18 s left;"
        " tokens since this start 47,400 in + 3,160 out\n"
        "0:00:20  problems so far: rate_limit 4, media 1\n"
        "0:00:25  writing the table\n"
        "0:00:36  writing the table: 200 of 200 rows (99 %)\n"
        "Wrote out/captions.parquet: 200 rows in 3.2 s\n"
        "  ok         199\n"
        "  failed       1   media 1\n"
        "  tokens     12,345 in (0 cached) + 1,234 out = 13,579\n"
        "  attempts   200\n"
        "\n"
        "1 row failed: mend the pictures or files, then run the same command\n"
        "nothing was paid: the answers are simulated\n"
    )


def test_lines_show_a_stall_at_once(started, clock) -> None:
    """A pause and stuck rows are told when they happen, and the same pause is told once."""
    stream = io.StringIO()
    with observer("lines", stream, clock=clock) as observe:
        observe(started(None))
        observe(Paused(12.0, "rate limit"))
        clock.now += 0.5
        observe(Paused(12.0, "rate limit"))
        observe(Stuck((7, 3), 615.0))
        clock.now += 13
        observe(Paused(30.0, "overloaded"))
    assert stream.getvalue() == (
        "0:00:00  captions: gpt-5.4-mini at openai, rows not counted yet\n"
        "0:00:00  the provider asks to wait 12 s: rate limit\n"
        "0:00:00  no end after 10 min 15 s: rows 3 and 7\n"
        "0:00:13  the provider asks to wait 30 s: overloaded\n"
        "0:00:13  0 rows so far: 0.0 rows/s\n"
    )


def test_lines_tell_the_first_failure_of_each_function_and_count_the_others(started, clock) -> None:
    """One that fails in every row is seen at once, and takes no line for each row."""
    stream = io.StringIO()
    with observer("lines", stream, clock=clock) as observe:
        observe(started(200))
        observe(FunctionCalled(0, "fine", None))
        for number in range(50):
            observe(FunctionCalled(number, "boom", "ValueError: too far"))
        observe(FunctionCalled(50, "slow", "slow took longer than 30 s"))
        clock.now += 11
        observe(FunctionCalled(51, "boom", "ValueError: too far"))
    assert stream.getvalue().splitlines()[1:] == [
        "0:00:00  problem in row 0: function boom: ValueError: too far",
        "0:00:00  problem in row 50: function slow: slow took longer than 30 s",
        "0:00:11  0 of 200 rows (0 %): 0.0 rows/s",
        "0:00:11  problems so far: function boom 51, function slow 1",
    ]


def test_json_has_calls_that_failed(started, clock) -> None:
    """Those that ran well are no news."""
    stream = io.StringIO()
    with observer("json", stream, clock=clock) as observe:
        observe(started(2))
        observe(FunctionCalled(0, "boom", None))
        observe(FunctionCalled(1, "boom", "ValueError: odd"))
    assert [json.loads(line) for line in stream.getvalue().splitlines()[1:]] == [
        {"event": "function_failed", "elapsed_s": 0.0, "row": 1, "function": "boom", "error": "ValueError: odd"}
    ]


@pytest.mark.parametrize(
    ("stopping", "line"),
    [
        (
            Stopping(12, "interrupted by SIGINT", 30.0),
            "waiting up to 30 s for 12 answers on their way (interrupted by SIGINT); Ctrl-C again waits for nothing",
        ),
        (
            Stopping(1, "interrupted by SIGINT", 30.0, cancels=True),
            "waiting up to 30 s for 1 answer on its way (interrupted by SIGINT); "
            "Ctrl-C again waits for nothing and cancels them at the provider",
        ),
        (Stopping(0, "interrupted by SIGINT", 30.0, cancels=True), None),
    ],
    ids=["plain", "in the background", "nothing on its way"],
)
def test_lines_say_at_once_that_the_run_stops(started, row, clock, stopping: Stopping, line: str | None) -> None:
    """Whoever pressed Ctrl-C reads why nothing ends yet, and what a second time would do."""
    stream = io.StringIO()
    with observer("lines", stream, clock=clock) as observe:
        observe(started(2))
        observe(stopping)
        observe(row(1))
    told = f"stopping: {line}" if line is not None else "stopping (interrupted by SIGINT)"
    assert stream.getvalue().splitlines()[1:] == [f"0:00:00  {told}"]


def test_json_says_that_the_run_stops(started, clock) -> None:
    """Machines get the count, the reason and what comes next."""
    stream = io.StringIO()
    with observer("json", stream, clock=clock) as observe:
        observe(started(2))
        observe(Stopping(12, "interrupted by SIGINT", 30.0))
    assert json.loads(stream.getvalue().splitlines()[1]) == {
        "event": "stopping",
        "elapsed_s": 0.0,
        "in_flight": 12,
        "reason": "interrupted by SIGINT",
        "wait_s": 30.0,
        "cancels": False,
    }


def test_json_lines_parse_and_keep_their_names(started, row, finished, clock) -> None:
    """Each line is an object with an event's name; finished rows come together, at most once a second; the summary is last."""
    stream = io.StringIO()
    with observer("json", stream, clock=clock) as observe:
        observe(started(200, 50))
        for number in range(100):
            clock.now += 0.1
            observe(Spent(1, Purse(10**6, None, Amount(51 + number), Amount())))
            observe(row(number))
        observe(Paused(1.5, "rate limit"))
        clock.now += 0.05
        observe(Spent(1, Purse(10**6, None, Amount(151), Amount())))
        observe(row(100))
        observe(Writing(200, 200))
        observe(finished(ok=200))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    names = [line["event"] for line in lines]
    assert names[0] == "run_started"
    assert names[-5:] == ["progress", "paused", "progress", "writing", "run_finished"]
    assert 8 <= names.count("progress") <= 11
    assert lines[-3] == {
        "event": "progress",
        "elapsed_s": 10.05,
        "rows": 200,
        "answers": 200,
        "known": 50,
        "finished": 101,
        "by_status": {"ok": 101},
        "usage": {
            "input_tokens": 60_600,
            "cached_tokens": 10_100,
            "output_tokens": 4_040,
            "reasoning_tokens": 1_010,
            "total_tokens": 64_640,
            "cache_write_tokens": None,
            "vendor_cost": None,
        },
        "cost_usd": "0.000000000101",
        "attempts_of_unknown_cost": 0,
        "projected_usd": "0.0000000002",
        "budget": {
            "usd": "0.000001",
            "tokens": None,
            "spent_usd": "0.000000000151",
            "spent_tokens": None,
            "held_usd": "0",
            "held_tokens": None,
        },
        "problems": {},
        "rows_per_s": pytest.approx(10.05, abs=0.01),
        "seconds_left": pytest.approx(4.9, abs=0.1),
    }
    assert lines[-1]["output"] == "out/captions.parquet"
    assert lines[-1]["usage"]["total_tokens"] == 13_579


def test_every_event_has_a_name_but_those_of_every_row() -> None:
    """A new kind of event cannot be forgotten in the JSON; what happens at every row is told together."""
    assert set(NAMES) == set(get_args(Event)) - {RowFinished, RowsKnown, Spent}


def test_quiet_says_nothing_about_a_run_that_went_well(started, row, finished, clock) -> None:
    """A quiet run speaks only when something is wrong."""
    stream = io.StringIO()
    with observer("quiet", stream, clock=clock) as observe:
        for event in (started(), Notice("a note"), row(1), finished(ok=1)):
            observe(event)
        assert stream.getvalue() == ""
        observe(finished(1, ok=1, failed=1))
    assert stream.getvalue().startswith("Wrote out/captions.parquet: 2 rows in 3.2 s\n")


def test_lines_are_plain(started: Callable[..., RunStarted], finished: Callable[..., RunFinished], clock) -> None:
    """A log gets neither colours nor carriage returns."""
    stream = io.StringIO()
    with observer("lines", stream, clock=clock) as observe:
        observe(started())
        observe(finished(ok=1))
    assert all(line.isprintable() for line in stream.getvalue().split("\n"))


def test_lines_count_answers_where_rows_get_several(started, row, clock) -> None:
    """From the first line on: how many requests that will be, and how many of them are known."""
    stream = io.StringIO()
    with observer("lines", stream, clock=clock) as observe:
        observe(started(1000, 1500, samples=5))
        clock.now += 12
        observe(row(0))
    assert stream.getvalue().splitlines() == [
        "0:00:00  captions: gpt-5.4-mini at openai, 1,000 rows x 5 samples = 5,000 requests, 1,500 of them known from earlier runs",
        "0:00:12  1,501 of 5,000 answers (30 %): known 1,500, ok 1; 0.1 answers/s, about 11 h 39 min left; "
        "tokens since this start 600 in + 40 out",
    ]
