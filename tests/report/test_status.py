"""The screens of ``status`` and ``show``."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.checkpoint.reader import Totals
from pipeline.events import Money
from pipeline.records import Amount, Purse, Usage
from pipeline.report.status import render_row, render_status, status_figures

SESSION = {
    "job": {"name": "captions", "model": "gpt-5.4-mini", "provider": {"name": "openai"}},
    "folder": "/data",
    "started_at": 1_795_000_000.0,
    "ended_at": None,
    "exit_code": None,
    "pid": 4711,
    "version": "0.1.0",
}


def totals(maybe_paid: int = 0, superseded: Usage = Usage(), **by_status: int) -> Totals:  # noqa: B008 - a frozen value
    by_error = {"failed": {"media": by_status["failed"]}} if "failed" in by_status else {}
    return Totals(
        sum(by_status.values()), by_status, by_error, Usage(1200, 0, 80, 0, 1280), superseded, 1205, maybe_paid
    )


def test_a_run_under_way_shows_how_far_it_is() -> None:
    """Rows that were not reached yet count as pending."""
    screen = render_status(
        SESSION, totals(ok=1190, failed=2, pending=8), running=True, planned=2000, maybe_paid_rows=[]
    )
    assert screen == (
        "captions · gpt-5.4-mini · openai\n"
        "  state      running, process 4711\n"
        "  started    2026-11-18 11:06:40 UTC\n"
        "  rows       1,192 of 2,000 finished (59 %)\n"
        "    ok           1,190\n"
        "    failed           2   media 2\n"
        "    pending        808\n"
        "  attempts   1,205\n"
        "  tokens     1,200 in (0 cached) + 80 out = 1,280"
    )


def test_a_finished_run_shows_its_end_and_what_was_spent_beside_it() -> None:
    """Money that no row carries is named: answers no longer used, and attempts without a known end."""
    session = {**SESSION, "ended_at": 1_795_000_065.5, "exit_code": 1}
    spent = totals(maybe_paid=2, superseded=Usage(10, None, 5, None, 15), ok=3)
    screen = render_status(session, spent, running=False, planned=3, maybe_paid_rows=[1, 2])
    assert "  state      finished: some rows are not ok\n" in screen
    assert "  ended      2026-11-18 11:07:45 UTC\n" in screen
    assert "  rows       3 of 3 finished (all)\n" in screen
    assert screen.endswith(
        "  besides    10 in (cached unknown) + 5 out (reasoning unknown) = 15, for answers that no row uses any more\n"
        "  unclear    2 attempts perhaps paid without an answer (rows 1, 2)"
    )


def test_rows_whose_tokens_were_not_reported_are_counted() -> None:
    """The sum does not pass for the whole where answers came without usage."""
    lacking = replace(totals(ok=30), unknown_usage=20)
    screen = render_status(SESSION, lacking, running=False, planned=30, maybe_paid_rows=[])
    assert screen.endswith("  tokens     1,200 in (0 cached) + 80 out = 1,280 + 20 rows unknown")


@pytest.mark.parametrize(("count", "said"), [(1, "1 background response"), (1200, "1,200 background responses")])
def test_answers_that_wait_at_the_provider_are_counted(count: int, said: str) -> None:
    """They are paid, and need only be fetched."""
    screen = render_status(SESSION, replace(totals(ok=3), to_fetch=count), running=False, planned=3, maybe_paid_rows=[])
    assert screen.endswith(f"  to fetch   {said} still with the provider")


def test_answers_that_were_cancelled_at_the_provider_are_counted() -> None:
    """What they cost is in no figure, so it is said."""
    screen = render_status(SESSION, replace(totals(ok=3), cancelled=4), running=False, planned=3, maybe_paid_rows=[])
    assert screen.endswith("  cancelled  4 responses at the provider; what they cost is not known")


def test_a_killed_run_says_that_it_can_go_on() -> None:
    """A session without an end, held by nobody, was killed."""
    screen = render_status(SESSION, totals(ok=3), running=False, planned=None, maybe_paid_rows=[])
    assert "  state      killed: the same command goes on from there\n" in screen
    assert "  rows       3 finished, total not known yet\n" in screen


def test_a_row_shows_its_answer_and_every_attempt() -> None:
    """Result, output and replies stand there in full, with nothing in them that steers a terminal."""
    row = {
        "row": 7,
        "status": "ok",
        "error_kind": None,
        "provider": "openai",
        "response_id": "resp_1",
        "output": "A temple.\nAt \x1b[5mdusk.",
        "attempts": [
            {
                "attempt": 51,
                "state": "failed",
                "sent_at": 1_795_000_000.0,
                "latency_s": 0.4,
                "error_kind": "rate_limit",
                "http_status": 429,
                "reply": None,
            },
            {
                "attempt": 77,
                "state": "answered",
                "sent_at": 1_795_000_002.0,
                "latency_s": 2.04,
                "status": "ok",
                "reply": {"id": "resp_1\u202e"},
            },
        ],
    }
    assert render_row(row) == (
        "row 7: ok - answered as wished\n"
        "  provider     openai\n"
        "  response_id  resp_1\n"
        "\n"
        "output\n"
        "  A temple.\n"
        "  At \\x1b[5mdusk.\n"
        "\n"
        "attempt 1 of 2: failed, sent 2026-11-18 11:06:40 UTC, 0.40 s\n"
        "  http_status  429\n"
        "  error_kind   rate_limit\n"
        "\n"
        "attempt 2 of 2: answered, sent 2026-11-18 11:06:42 UTC, 2.04 s\n"
        "  status  ok\n"
        '  {\n    "id": "resp_1\\u202e"\n  }'
    )


def test_what_an_answer_carries_is_shown_line_by_line() -> None:
    """Sources with what they name, pictures by their paths, calls as they came; a page's title cannot add lines or steer the terminal."""
    page = {"kind": "url_citation", "title": "A\nB\x1b[2J", "url": "https://a.example", "file_id": None}
    row = {
        "row": 7,
        "status": "ok",
        "confidence": 0.75,
        "searches": 2,
        "phase": None,
        "output": "Yes.",
        "tool_calls": '[{"id":"c"}]',
        "reasoning_summary": "First.\nThen.",
        "sources": [page, {"kind": "file_citation", "title": None, "filename": "f.pdf"}],
        "images": ["o.images/7-1-aa.png"],
        "notes": ["generated picture 2: no base64"],
        "attempts": [],
    }
    assert render_row(row) == (
        "row 7: ok - answered as wished\n"
        "  confidence  0.75\n"
        "  searches    2\n"
        "\noutput\n  Yes.\n"
        '\ntool calls\n  [{"id":"c"}]\n'
        "\nreasoning\n  First.\n  Then.\n"
        "\nsources\n  url_citation · A B\\x1b[2J · https://a.example\n  file_citation · f.pdf\n"
        "\nimages\n  o.images/7-1-aa.png\n"
        "\nnotes\n  generated picture 2: no base64"
    )


def test_a_time_that_was_not_recorded_is_unknown() -> None:
    """A missing start is not the year 1970."""
    session = {**SESSION, "started_at": None, "exit_code": 99}
    screen = render_status(session, totals(maybe_paid=1, ok=3), running=False, planned=3, maybe_paid_rows=[])
    assert "  state      ended with exit code 99\n  started    unknown\n" in screen
    assert screen.endswith("  unclear    1 attempt perhaps paid without an answer")


def test_a_row_without_attempts_is_short() -> None:
    """A row that was not reached yet says what that means."""
    assert (
        render_row({"row": 9, "status": "pending", "attempts": []})
        == "row 9: pending - not finished; the next run goes on with it"
    )


def test_searches_that_nobody_made_are_not_shown() -> None:
    """The journal counts them for every job; a screen about pictures needs no such line."""
    assert "searches" not in render_row({"row": 7, "status": "ok", "searches": 0, "attempts": []})


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("answered", "answered"),
        ("round", "answered, and goes on in another round"),
        ("refused", "ended without an answer"),
        ("unknown", "end not known, perhaps paid"),
        ("never", "not carried out"),
        ("sent", "no end yet"),
    ],
)
def test_how_an_attempt_ended_is_said_in_words(state: str, said: str) -> None:
    """A cancelled one was not refused; why it ended stands below, by its kind."""
    attempt = {"state": state, "sent_at": 0.0, "error_kind": "cancelled"}
    screen = render_row({"row": 7, "status": "pending", "attempts": [attempt]})
    assert f"attempt 1 of 1: {said}, sent 1970-01-01 00:00:00 UTC\n  error_kind  cancelled" in screen


def test_a_run_with_samples_is_as_far_as_its_answers_are() -> None:
    """And says how many rows they are for."""
    found = replace(totals(ok=700, failed=2), rows=150, samples=5)
    screen = render_status(SESSION, found, running=True, planned=200, maybe_paid_rows=[])
    assert "  rows       200 rows x 5 samples = 1,000 requests\n  answers    702 of 1,000 finished (70 %)\n" in screen
    assert "    pending      298\n" in screen


def test_a_row_with_samples_is_shown_sample_by_sample() -> None:
    """First how the row stands, then each answer with its own attempts."""
    samples = [
        {"row": 3, "sample": 0, "status": "ok", "output": "yes", "attempts": [{"state": "answered", "sent_at": 0.0}]},
        {"row": 3, "sample": 1, "status": "pending", "attempts": []},
    ]
    assert render_row({"row": 3, "status": "pending", "samples": samples}) == (
        "row 3: pending - not finished; the next run goes on with it\n"
        "\n"
        "sample 1 of 2: ok - answered as wished\n"
        "\n"
        "output\n"
        "  yes\n"
        "\n"
        "attempt 1 of 1: answered, sent 1970-01-01 00:00:00 UTC\n"
        "\n"
        "sample 2 of 2: pending - not finished; the next run goes on with it"
    )


def test_a_budget_shows_what_is_spent_what_is_held_and_what_is_left() -> None:
    """With what all rows will have cost, once enough of them are finished to say so."""
    dollar = 10**12
    purse = Purse(5 * dollar, 100_000, Amount(2 * dollar, 40_000), Amount(dollar // 2, 1_000))
    screen = render_status(SESSION, totals(ok=500), running=True, planned=1000, maybe_paid_rows=[], purse=purse)
    assert screen.splitlines()[-1] == (
        "  budget     $2.00 spent, $0.500 held, $2.50 of $5.00 left, 40,000 tokens used, 1,000 held, "
        "59,000 of 100,000 tokens left, about $4.00 in all"
    )
    early = render_status(SESSION, totals(ok=5), running=True, planned=1000, maybe_paid_rows=[], purse=purse)
    assert "in all" not in early


def test_a_run_that_reached_its_budget_says_so() -> None:
    """By its exit code."""
    session = {**SESSION, "ended_at": 1_795_000_065.5, "exit_code": 5}
    screen = render_status(session, totals(ok=3), running=False, planned=4, maybe_paid_rows=[])
    assert "  state      stopped: the budget is reached\n" in screen


def test_machines_get_money_in_dollars_and_null_where_there_is_none() -> None:
    """A cap that there is not is no zero, and what all rows will have cost is there as on the screen."""
    dollar = 10**12
    purse = Purse(4 * dollar, None, Amount(dollar, 0), Amount(dollar // 2, 0))
    state = {"running": True, "planned": 40, "maybe_paid_rows": [], "purse": purse}
    spent = replace(totals(ok=20), money=Money(dollar, None, 2))
    assert "about $2.00 in all" in render_status(SESSION, spent, **state)
    figures = status_figures(SESSION, spent, **state)
    assert figures["purse"] == {
        "usd": "4",
        "tokens": None,
        "spent_usd": "1",
        "spent_tokens": None,
        "held_usd": "0.5",
        "held_tokens": None,
    }
    assert figures["projected_usd"] == "2"
    assert figures["totals"]["money"]["cost_usd"] == "1"
    assert figures["totals"]["by_status"] == {"ok": 20}
    assert status_figures(SESSION, spent, **{**state, "purse": None})["projected_usd"] is None
