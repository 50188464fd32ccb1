"""The closing screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from pipeline.events import Calls, RunFinished
from pipeline.records import Usage
from pipeline.report.summary import closing

Finished = Callable[..., RunFinished]


def test_a_run_that_went_well_needs_four_lines(finished: Finished) -> None:
    """Where the table lies, how many rows are ok, what they used, and nothing to do."""
    assert closing(finished(ok=11)) == (
        "Wrote out/captions.parquet: 11 rows in 3.2 s\n"
        "  ok         11\n"
        "  tokens     12,345 in (0 cached) + 1,234 out = 13,579\n"
        "  attempts   11"
    )


def test_what_is_not_ok_comes_with_its_kinds_and_with_what_mends_it(finished: Finished) -> None:
    """Every status that another try can mend names the try."""
    screen = closing(
        replace(
            finished(1, notes=("9,000 tokens went into answers that no row uses",), ok=1988, truncated=3, failed=12),
            by_error={"failed": {"media": 8, "rate_limit": 4}, "truncated": {"max_output_tokens": 3}},
            simulated=True,
        ),
        command="pipeline run jobs/a.yaml",
    )
    assert screen == (
        "Wrote out/captions.parquet: 2,003 rows in 3.2 s\n"
        "  ok         1,988\n"
        "  truncated      3   max_output_tokens 3\n"
        "  failed        12   media 8, rate_limit 4\n"
        "  tokens     12,345 in (0 cached) + 1,234 out = 13,579\n"
        "  attempts   2,003\n"
        "  note       9,000 tokens went into answers that no row uses\n"
        "\n"
        "8 rows failed (media): mend the pictures or files, then run the same command\n"
        "4 rows failed (rate_limit): the same command asks them again\n"
        "3 rows ended truncated: pipeline run jobs/a.yaml --retry truncated --set request.max_output_tokens=N\n"
        "nothing was paid: the answers are simulated"
    )


@pytest.mark.parametrize(
    ("exit_code", "advice"),
    [
        (130, "interrupted, 5 rows pending: the same command goes on from here"),
        (143, "interrupted, 5 rows pending: the same command goes on from here"),
        (8, "stopped, 5 rows pending: once the functions end in time, the same command goes on from here"),
        (6, "stopped, 5 rows pending: once the error is mended, the same command goes on from here"),
        (7, "stopped, 5 rows pending: once the error is mended, the same command goes on from here"),
        (1, "not finished, 5 rows pending: the same command goes on from here"),
    ],
)
def test_a_run_that_stopped_early_says_why_and_how_to_go_on(finished: Finished, exit_code: int, advice: str) -> None:
    """Nothing that was finished is lost, and the screen says so."""
    assert closing(finished(exit_code, ok=6, pending=5)).endswith("\n\n" + advice)


def test_a_job_without_rows_says_so(finished: Finished) -> None:
    """An empty table is no riddle."""
    screen = closing(replace(finished(), attempts=0))
    assert screen.startswith("Wrote out/captions.parquet: 0 rows in 3.2 s\n")
    assert screen.endswith("\n\nthe input has no rows for this job")


def test_a_run_interrupted_before_its_first_row_does_not_call_the_input_empty(finished: Finished) -> None:
    """It is not known yet how many rows there are."""
    assert closing(finished(130)).endswith("\n\ninterrupted: the same command goes on from here")


def test_rows_whose_tokens_were_not_reported_are_counted(finished: Finished) -> None:
    """The sum does not pass for the whole; where nothing is known, that says it all."""
    assert "= 13,579 + 20 rows unknown\n" in closing(replace(finished(ok=30), unknown_usage=20))
    assert "  tokens     unknown\n" in closing(replace(finished(ok=30), unknown_usage=30, usage=Usage()))


def test_attempts_that_may_have_been_paid_are_named_as_such(finished: Finished) -> None:
    """An attempt whose end is unknown is counted, and its tokens are not taken for 0."""
    screen = closing(replace(finished(ok=2), maybe_paid=1, attempts=3, usage=Usage()))
    assert "  tokens     unknown\n  attempts   3, 1 of them perhaps paid without an answer" in screen


def test_functions_that_failed_are_named_with_their_first_error(finished: Finished) -> None:
    """A run may end well although a function failed in every row; those that always ran well need no line."""
    functions = (
        Calls("shelf", 9),
        Calls("boom", 2, 2, "ValueError: too far"),
        Calls(None, 1, 1, "there is no function bang; the functions are: boom, shelf"),
    )
    screen = closing(replace(finished(ok=2), functions=functions))
    assert screen.endswith(
        "  attempts   2\n"
        "  functions  boom failed 2 of 2 calls: ValueError: too far\n"
        "             names that no function has failed 1 of 1 call: there is no function bang; the functions are: boom, shelf"
    )


def test_calls_add_up_and_keep_the_first_error() -> None:
    """Later errors are counted."""
    calls = Calls("boom")
    for error in (None, "first", "second"):
        calls = calls.and_one(error)
    assert calls == Calls("boom", 3, 2, "first")


def test_a_run_that_sent_nothing_has_no_tokens(finished: Finished) -> None:
    """Where no attempt left, tokens are neither 0 nor unknown."""
    screen = closing(replace(finished(1, failed=2), attempts=0, usage=Usage()))
    assert "tokens" not in screen
    assert "  attempts   0" in screen


def test_a_run_without_a_table_does_not_claim_one(finished: Finished) -> None:
    """Where the table could not be written, the screen begins with that."""
    assert closing(replace(finished(7, ok=1), output=None)).startswith("No table was written. The run took 3.2 s\n")


def test_a_run_with_samples_counts_answers_and_names_the_rows(finished: Finished) -> None:
    """What is left to do is said of answers, too."""
    closed = replace(finished(1, ok=8, truncated=1, pending=1), rows=2, samples=5, unknown_usage=2)
    screen = closing(closed)
    assert screen.startswith("Wrote out/captions.parquet: 2 rows x 5 samples in 3.2 s\n")
    assert "= 13,579 + 2 answers unknown" in screen
    assert "not finished, 1 answer pending: the same command goes on from here" in screen
    assert "1 answer ended truncated: pipeline run SPEC --retry truncated" in screen
