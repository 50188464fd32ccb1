"""What the journal knows of requests that take several rounds, or that the provider works on in the background."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from pipeline.checkpoint.reader import reading
from pipeline.checkpoint.schema import RESULT
from pipeline.errors import AttemptError, Sent
from pipeline.records import Attempt, Outcome, Status, Turn, Usage

Bench = Any  # the fixture's class lives in conftest.py, which no module can import


def take_round(bench: Bench, journal: Any, request: Any, text: str) -> None:
    """Let one round of a request be answered, with a picture in its body."""
    attempt = bench.wait(journal.intend(request))
    body = {"output_text": text, "picture": "data:image/png;base64,AAAA"}
    reply = replace(bench.reply(text, Status.TOOL_CALLS), turn=Turn.TOOLS, raw=body)
    bench.wait(journal.settle(request, attempt, Outcome(0.5, reply=reply)))


def begun(bench: Bench, *texts: str) -> None:
    """Leave a request behind that was cut off after some rounds."""
    journal = bench.open()
    with journal.claim(bench.request(0, "a")) as claim:
        for text in texts:
            take_round(bench, journal, claim.request, text)
    bench.close()


def test_finished_rounds_come_back_whole_after_a_crash_and_the_answer_closes_them(bench: Bench) -> None:
    """In order, with all that the next request needs; once the answer is here they are the past."""
    begun(bench, "one", "two")
    journal = bench.open()
    with journal.claim(bench.request(0, "a")) as claim:
        assert claim.ours
        assert [body["output_text"] for body in claim.request.rounds] == ["one", "two"]
        assert claim.request.rounds[0]["picture"] == "data:image/png;base64,AAAA"
        attempt = bench.wait(journal.intend(claim.request))
        bench.wait(journal.settle(claim.request, attempt, Outcome(0.5, reply=bench.reply("A"))))
    bench.close()
    with reading(bench.run_dir) as reader:
        assert (reader.totals().attempts, reader.totals().usage.total_tokens) == (3, 45)
    journal = bench.open(job=None)
    journal.reopen([Status.OK])
    with journal.claim(bench.request(0, "a")) as claim:
        assert claim.request.rounds == ()
    bench.close()


@pytest.mark.parametrize(
    ("failure", "left"),
    [
        (lambda bench: bench.failure(transient=True), 1),
        (lambda bench: bench.failure(Sent.MAYBE, transient=True), 1),
        (lambda bench: bench.failure(), 0),
    ],
    ids=["passing", "perhaps answered", "for good"],
)
def test_rounds_are_kept_unless_the_conversation_was_refused_for_good(bench: Bench, failure: Any, left: int) -> None:
    """Else a conversation that the provider no longer takes could never be asked again."""
    begun(bench, "one")
    assert bench.ask(bench.open(), 0, "a", failure(bench)) is None
    bench.close()
    journal = bench.open(job=None)
    journal.reopen([Status.FAILED])
    with journal.claim(bench.request(0, "a")) as claim:
        assert len(claim.request.rounds) == left
    bench.close()


@pytest.mark.parametrize("ambiguous", [True, False])
def test_an_attempt_with_a_response_id_is_gone_on_with_and_counted_once(bench: Bench, ambiguous: bool) -> None:
    """Its answer can be fetched, so it is neither asked again nor perhaps paid, whatever the policy for lost ones."""
    journal = bench.open(ambiguous=ambiguous)
    with journal.claim(bench.request(0, "a")) as claim:
        attempt = bench.wait(journal.intend(claim.request))
        bench.wait(journal.submitted(attempt, "resp_1"))
    bench.close()
    with reading(bench.run_dir) as reader:
        assert (reader.totals().to_fetch, reader.totals().maybe_paid, reader.maybe_paid_rows()) == (1, 0, [])
    journal = bench.open(ambiguous=ambiguous)
    with journal.claim(bench.request(0, "a")) as claim:
        assert claim.ours
        again = bench.wait(journal.intend(claim.request))
        assert again == Attempt(attempt.number, "resp_1")
        bench.wait(journal.settle(claim.request, again, Outcome(None, reply=bench.reply("A"))))
    bench.close()
    with reading(bench.run_dir) as reader:
        assert (reader.totals().to_fetch, reader.totals().attempts, reader.totals().usage.total_tokens) == (0, 1, 15)


def test_a_response_that_is_gone_is_asked_again_as_a_new_attempt(bench: Bench) -> None:
    """And the lost one counts as perhaps paid."""
    journal = bench.open()
    with journal.claim(bench.request(0, "a")) as claim:
        bench.wait(journal.submitted(bench.wait(journal.intend(claim.request)), "resp_1"))
    bench.close()
    journal = bench.open()
    with journal.claim(bench.request(0, "a")) as claim:
        gone = bench.wait(journal.intend(claim.request))
        bench.wait(journal.settle(claim.request, gone, Outcome(0.1, error=bench.failure(Sent.MAYBE, transient=True))))
        second = bench.wait(journal.intend(claim.request))
        assert second == Attempt(gone.number + 1)
        bench.wait(journal.settle(claim.request, second, Outcome(0.5, reply=bench.reply("A"))))
    bench.close()
    with reading(bench.run_dir) as reader:
        assert (reader.totals().attempts, reader.totals().maybe_paid, reader.totals().to_fetch) == (2, 1, 0)
        assert reader.row(0)["attempts"][0]["response_id"] == "resp_1"


def test_an_answer_that_no_row_asks_for_any_more_may_have_been_paid(bench: Bench) -> None:
    """The prompt was edited meanwhile: nobody will fetch it, so it is no promise but a loss, and its row is named."""
    journal = bench.open()
    with journal.claim(bench.request(4, "a")) as claim:
        bench.wait(journal.submitted(bench.wait(journal.intend(claim.request)), "resp_1"))
    bench.close()
    assert bench.ask(bench.open(job="edited"), 4, "b") is None
    bench.close()
    with reading(bench.run_dir) as reader:
        assert (reader.totals().to_fetch, reader.totals().maybe_paid, reader.maybe_paid_rows()) == (0, 1, [4])


def test_tokens_of_which_one_round_told_nothing_are_unknown(bench: Bench) -> None:
    """A part would be taken for the whole."""
    journal = bench.open()
    with journal.claim(bench.request(0, "a")) as claim:
        attempt = bench.wait(journal.intend(claim.request))
        silent = replace(bench.reply("one", Status.TOOL_CALLS, Usage()), turn=Turn.TOOLS)
        bench.wait(journal.settle(claim.request, attempt, Outcome(0.5, reply=silent)))
        attempt = bench.wait(journal.intend(claim.request))
        bench.wait(journal.settle(claim.request, attempt, Outcome(0.5, reply=bench.reply("A"))))
    bench.close()
    with reading(bench.run_dir) as reader:
        (line,) = reader.results(0, 0)
        assert dict(zip(RESULT, line, strict=True))["total_tokens"] is None
        assert reader.totals().unknown_usage == 1


def test_the_raw_reply_is_the_one_whose_answer_stands(bench: Bench) -> None:
    """Not that of a later round that led to nothing."""
    bench.ask(bench.open(), 0, "a")
    bench.close()
    journal = bench.open(job=None)
    journal.reopen([Status.OK])
    with suppress(AttemptError), journal.claim(bench.request(0, "a")) as claim:
        take_round(bench, journal, claim.request, "later")
        raise bench.fail(journal, claim.request)
    bench.close()
    with reading(bench.run_dir) as reader:
        (line,) = reader.results(0, 0, raw=True)
        assert dict(zip(RESULT, line, strict=True))["raw"] == '{"output_text":"A"}'
