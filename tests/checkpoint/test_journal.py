"""What survives: every acknowledged attempt and answer, over crashes, retries, changed jobs and moved rows."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.checkpoint.journal import Journal
from pipeline.checkpoint.reader import Totals, reading
from pipeline.checkpoint.schema import RESULT
from pipeline.checkpoint.store import KILLED, Start, end_session
from pipeline.errors import AttemptError, MediaError, NullCell, PromptError, RowError, RunDirectoryError, Sent
from pipeline.records import Outcome, Reply, Request, Source, Status, ToolCall, Turn, Usage
from pipeline.wire.tolerant import clean

Bench = Any  # the fixture's class lives in conftest.py, which no module can import


def stored(bench: Bench, sql: str) -> list[tuple[Any, ...]]:
    """Ask the file itself, over a connection of our own."""
    connection = sqlite3.connect(f"file:{bench.path}?mode=ro", uri=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def results(bench: Bench) -> dict[int, tuple[str, Any]]:
    """Return status and text of each row of the newest plan."""
    with reading(bench.run_dir) as reader:
        lines = [dict(zip(RESULT, line, strict=True)) for line in reader.results(0, 1000)]
    return {int(str(line["row"])): (str(line["status"]), line["output"]) for line in lines}


def totals(bench: Bench) -> Totals:
    """Add up the run."""
    with reading(bench.run_dir) as reader:
        return reader.totals()


# -- texts of strangers ----------------------------------------------------------------------------------------------

TEXTS = st.text(st.characters() | st.sampled_from("\ud800\udfff\0"), max_size=20)


def odd(text: str, turn: Turn | None = None) -> Reply:
    """Return a reply that says a text wherever there is one."""
    return Reply(
        Status.INVALID,
        text=text,
        refusal=text,
        tool_calls=(ToolCall(text, text, text, output=text),),
        sources=(Source(text, text, text),),
        images=(text,),
        notes=(text,),
        phase=text,
        reasoning_summary=text,
        model=text,
        service_tier=text,
        response_id=text,
        error_code=text,
        error_message=text,
        request_id=text,
        turn=turn,
        raw={"output_text": text, text: [{"a": text}]},
    )


@given(text=TEXTS)
@example(text="\ud800")
@example(text="a\0b")
def test_no_text_of_a_stranger_fails_its_neighbours(text: str) -> None:
    """Whatever a reply, an error or a row says is written, with U+FFFD for what is no Unicode; the next answer is durable, too."""
    with TemporaryDirectory() as folder:
        journal = Journal(Path(folder, "journal.sqlite"), label="somebody")
        start = Start("{}", "/", "job", "table", 9, names_files=False, simulated=False, version="1")
        journal.begin(start, journal.look(start), ambiguous=True)
        error = AttemptError(text, kind=text, sent=Sent.ANSWERED, transient=False, request_id=text, reply=odd(text))
        ends = [Outcome(0.5, reply=odd(text, Turn.REPAIR)), Outcome(0.5, error=error), Outcome(0.5, reply=odd(text))]

        async def ask() -> None:
            with journal.claim(Request(0, "m", {}, b"0" * 16, 1)) as claim:
                for end in ends:
                    attempt = await journal.intend(claim.request)
                    await journal.submitted(attempt, text)
                    await journal.settle(claim.request, attempt, end)
            with suppress(RowError), journal.claim(Request(1, "m", {}, b"1" * 16, 1)):
                raise PromptError(text)
            journal.note(2, Status.FAILED, PromptError(text))
            with journal.claim(Request(3, "m", {}, b"3" * 16, 1)) as claim:
                attempt = await journal.intend(claim.request)
                await journal.settle(claim.request, attempt, Outcome(0.5, reply=Reply(Status.OK, text="good")))

        anyio.run(ask)
        journal.finish()
        with reading(Path(folder)) as reader:
            lines = [dict(zip(RESULT, line, strict=True)) for line in reader.results(0, 9)]
            attempts = reader.row(0)["attempts"]
    assert [line["status"] for line in lines] == ["invalid", "failed", "failed", "ok"]
    assert [lines[0]["output"], lines[1]["error_message"], lines[2]["error_message"]] == [clean(text)] * 3
    assert len(attempts) == 3


# -- asking ----------------------------------------------------------------------------------------------------------


def test_the_first_row_asks_and_the_others_share(bench: Bench) -> None:
    """One question is asked once: a row that comes while it is out is a twin, one that comes later finds the answer."""
    journal = bench.open()
    with journal.claim(bench.request(0, "a")) as first:
        with journal.claim(bench.request(1, "a")) as twin:
            assert (first.ours, twin.ours, twin.known) == (True, False, None)
        attempt = bench.wait(journal.intend(first.request))
        bench.wait(journal.settle(first.request, attempt, Outcome(0.5, reply=bench.reply("A"))))
    assert first.twins == 1
    assert bench.ask(journal, 2, "a") is Status.OK
    bench.close()
    assert results(bench) == {0: ("ok", "A"), 1: ("ok", "A"), 2: ("ok", "A")}


def test_an_intent_is_on_disk_before_its_attempt_leaves(bench: Bench) -> None:
    """With its row's question, as another process would find it after a crash."""
    journal = bench.open()
    with journal.claim(bench.request(3, "a")) as claim:
        attempt = bench.wait(journal.intend(claim.request))
        assert stored(bench, "SELECT id, state, row FROM attempts") == [(attempt.number, "sent", 3)]
        assert stored(bench, "SELECT r.row, q.status FROM rows r JOIN requests q ON q.id = r.request") == [
            (3, "pending")
        ]
        assert totals(bench).attempts == 1
        with reading(bench.run_dir) as reader:
            assert reader.results(3, 3)[0][RESULT.index("attempts")] == 1
        bench.wait(journal.settle(claim.request, attempt, Outcome(0.5, reply=bench.reply("A"))))


def test_an_outcome_is_on_disk_before_anybody_hears_of_it(bench: Bench) -> None:
    """Text, usage and the reply's body are there when ``settle`` returns, while the row is still held."""
    journal = bench.open()
    with journal.claim(bench.request(0, "a")) as claim:
        attempt = bench.wait(journal.intend(claim.request))
        bench.wait(journal.settle(claim.request, attempt, Outcome(0.5, reply=bench.reply("A"))))
        assert stored(bench, "SELECT state, latency_s, total_tokens, response_id FROM attempts") == [
            ("answered", 0.5, 15, "id-A")
        ]
        assert stored(bench, "SELECT status, text, again, total_tokens, provider, model FROM requests") == [
            ("ok", "A", 0, 15, "somebody", "m-1")
        ]


def test_a_run_may_be_read_while_it_writes(bench: Bench) -> None:
    """``status`` and ``export`` see what is committed, and neither waits for the other."""
    journal = bench.open()
    with reading(bench.run_dir) as reader:
        for number in range(20):
            bench.ask(journal, number, f"q{number}")
            assert len(reader.results(0, 100)) == number + 1
        assert reader.totals().by_status == {"ok": 20}


@pytest.mark.parametrize("dedupe", [True, False])
def test_nobody_else_may_read_the_journal(bench: Bench, dedupe: bool) -> None:
    """Prompts' answers are private: the file and the files beside it are the owner's."""
    bench.ask(bench.open(dedupe=dedupe), 0, "a")
    files = sorted(bench.run_dir.iterdir())
    assert [path.name for path in files] == ["journal.sqlite", "journal.sqlite-shm", "journal.sqlite-wal"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_rows_that_are_known_are_tied_all_at_once(bench: Bench) -> None:
    """Each to its answer, without waiting for the disk; those that need asking are left to be claimed."""
    journal = bench.open()
    bench.ask(journal, 0, "a")
    bench.ask(journal, 1, "b", bench.failure())
    bench.close()
    journal = bench.open(table="another")
    asked = [bench.request(row, question) for row, question in enumerate("xaaby")]
    found = bench.wait(journal.tie_known(asked))
    assert found == [None, Status.OK, Status.OK, Status.FAILED, None]
    bench.close()
    assert journal._writer.commits <= 2
    assert results(bench) == {1: ("ok", "A"), 2: ("ok", "A"), 3: ("failed", None)}


@pytest.mark.parametrize("why", ["each row asks for itself", "a retry"])
def test_rows_that_may_have_to_ask_are_not_tied_in_bulk(bench: Bench, why: str) -> None:
    """Where each row asks for itself, and where a retry replaces answers, every row is claimed in its turn."""
    bench.ask(bench.open(dedupe=why == "a retry"), 0, "a")
    bench.close()
    journal = bench.open(dedupe=why == "a retry", begun=why != "a retry")
    if why == "a retry":
        start = bench.start(job=None)
        plan = journal.look(start)
        journal.reopen({Status.OK})
        journal.begin(start, plan, ambiguous=True)
    assert bench.wait(journal.tie_known([bench.request(0, "a"), bench.request(1, "a")])) == [None, None]


def test_what_a_retry_did_not_reach_keeps_its_answer(bench: Bench) -> None:
    """Also where it would now ask what was answered for an earlier state of the table."""
    bench.ask(bench.open(), 0, "b")
    bench.close()
    bench.ask(bench.open(table="another"), 0, "a", bench.failure())
    bench.close()
    journal = bench.open(begun=False)
    start = bench.start(job=None, table="another")
    plan = journal.look(start)
    journal.reopen({Status.FAILED})
    journal.begin(start, plan, ambiguous=True)
    journal.recall([bench.request(0, "b"), bench.request(1, "b")])
    bench.close()
    assert results(bench) == {0: ("failed", None), 1: ("ok", "B")}


# -- ending ----------------------------------------------------------------------------------------------------------


def test_what_is_finished_is_known_to_the_next_run(bench: Bench) -> None:
    """A second session asks nothing again."""
    bench.ask(bench.open(), 0, "a")
    bench.close()
    journal = bench.open()
    assert journal.knows(bench.request(7, "a"))
    assert bench.ask(journal, 0, "a") is Status.OK
    bench.close()
    assert totals(bench).attempts == 1


def test_an_attempt_without_an_end_may_have_been_paid(bench: Bench) -> None:
    """It is counted and its row is named, by the session that left it and for ever after."""
    journal = bench.open()
    with journal.claim(bench.request(5, "a")) as claim:
        bench.wait(journal.intend(claim.request))
    bench.close()
    assert stored(bench, "SELECT state, error_kind, error_message FROM attempts") == [("unknown", "killed", KILLED)]
    for _ in range(2):
        with reading(bench.run_dir) as reader:
            assert (reader.totals().maybe_paid, reader.maybe_paid_rows()) == (1, [5])
        bench.open()
        bench.close()


def test_what_was_in_flight_is_asked_again(bench: Bench) -> None:
    """Its row is pending, and the next run goes on with it."""
    journal = bench.open()
    with journal.claim(bench.request(0, "a")) as claim:
        bench.wait(journal.intend(claim.request))
    bench.close()
    assert results(bench) == {0: ("pending", None)}
    assert bench.ask(bench.open(), 0, "a") is None
    bench.close()
    assert results(bench) == {0: ("ok", "A")}
    assert (totals(bench).attempts, totals(bench).maybe_paid) == (2, 1)


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "cancelled"])
def test_what_was_in_flight_ends_as_unknown_where_nothing_is_paid_twice(
    bench: Bench, benches: Any, killed: bool, tmp_path_factory: Any
) -> None:
    """With ``retry.ambiguous: false`` neither a killed nor a cancelled attempt is sent again."""
    journal = bench.open(ambiguous=False)
    with journal.claim(bench.request(0, "a")) as claim:
        bench.wait(journal.intend(claim.request))
    if killed:
        bench = copied(bench, benches, tmp_path_factory.mktemp("copy"))
    else:
        bench.close()
    assert bench.ask(bench.open(ambiguous=False), 0, "a") is Status.UNKNOWN
    bench.close()
    assert bench.ask(bench.open(ambiguous=False), 0, "a") is Status.UNKNOWN
    bench.close()
    assert (totals(bench).attempts, totals(bench).maybe_paid) == (1, 1)


def copied(bench: Bench, benches: Any, folder: Path) -> Bench:
    """Return the run as a crash at this moment would leave it: its files, without their process."""
    for name in ("journal.sqlite", "journal.sqlite-wal"):
        if (source := bench.run_dir / name).exists():
            (folder / name).write_bytes(source.read_bytes())
    return benches(folder)


def test_a_session_that_never_began_changes_nothing(bench: Bench, benches: Any, tmp_path: Path) -> None:
    """Who answers an offer with no leaves the journal as it was, with what was in flight still to be judged."""
    journal = bench.open(ambiguous=False)
    with journal.claim(bench.request(0, "a")) as claim:
        bench.wait(journal.intend(claim.request))
    (tmp_path / "copy").mkdir()
    killed = copied(bench, benches, tmp_path / "copy")
    refused = killed.open(begun=False)
    refused.look(killed.start())
    killed.close()
    assert stored(killed, "SELECT state FROM attempts") == [("sent",)]
    assert stored(killed, "SELECT COUNT(*) FROM sessions") == [(1,)]
    assert killed.ask(killed.open(ambiguous=False), 0, "a") is Status.UNKNOWN
    killed.close()


@pytest.mark.parametrize(
    ("sent", "transient", "status", "known", "maybe_paid"),
    [
        (Sent.ANSWERED, False, "failed", Status.FAILED, 0),
        (Sent.ANSWERED, True, "failed", None, 0),
        (Sent.NEVER, True, "failed", None, 0),
        (Sent.MAYBE, True, "failed", None, 1),
        (Sent.MAYBE, False, "unknown", Status.UNKNOWN, 1),
    ],
)
def test_a_failure_is_asked_again_where_waiting_may_help(
    bench: Bench, sent: Sent, transient: bool, status: str, known: Status | None, maybe_paid: int
) -> None:
    """The next run asks transient failures again, and lets permanent and unknown ones stand."""
    bench.ask(bench.open(), 0, "a", bench.failure(sent, transient=transient))
    bench.close()
    assert results(bench)[0][0] == status
    assert totals(bench).maybe_paid == maybe_paid
    assert bench.ask(bench.open(), 0, "a") is known
    bench.close()


def test_a_failure_stands_for_the_rows_that_come_later(bench: Bench) -> None:
    """In one run a question that has failed is not asked again by a twin; the next run asks it once."""
    journal = bench.open()
    bench.ask(journal, 0, "a", bench.failure(transient=True))
    assert bench.ask(journal, 1, "a") is Status.FAILED
    bench.close()
    assert results(bench) == {0: ("failed", None), 1: ("failed", None)}
    journal = bench.open()
    assert [bench.ask(journal, row, "a") for row in (0, 1)] == [None, Status.OK]


@pytest.mark.parametrize("error", [MediaError("no such file"), PromptError("no JSON")])
def test_a_row_that_could_not_be_sent_is_looked_at_again(bench: Bench, error: RowError) -> None:
    """A picture may be mended on disk; what was found before sending cost nothing."""
    journal = bench.open()
    with pytest.raises(RowError), journal.claim(bench.request(0, "a")):
        raise error
    bench.close()
    assert results(bench)[0][0] == "failed"
    assert bench.ask(bench.open(), 0, "a") is None
    bench.close()
    assert results(bench)[0] == ("ok", "A")


def test_a_failure_of_the_run_is_not_a_rows(bench: Bench) -> None:
    """A dead key leaves its row pending."""
    journal = bench.open()
    error = AttemptError("no such key", kind="auth", sent=Sent.ANSWERED, transient=False, scope="run")
    bench.ask(journal, 0, "a", error)
    bench.close()
    end_session(bench.path, 6)
    assert results(bench) == {0: ("pending", None)}


def test_a_failed_attempt_counts_what_it_cost(bench: Bench) -> None:
    """Usage adds up over all attempts of a request, answered or not, and unknown figures stay unknown."""
    journal = bench.open()
    partial = bench.reply("", usage=Usage(7, None, 1, None, 8))
    bench.ask(journal, 0, "a", bench.failure(transient=True, reply=partial))
    bench.close()
    journal = bench.open()
    bench.ask(journal, 0, "a")
    bench.ask(journal, 1, "b", bench.reply("B", usage=Usage()))
    bench.close()
    assert totals(bench).usage == Usage(17, 2, 6, 1, 23)
    assert stored(bench, "SELECT input_tokens, total_tokens FROM requests WHERE text = 'B'") == [(None, None)]
    assert totals(bench).attempts == 3


def test_a_row_that_asks_nothing_is_noted(bench: Bench) -> None:
    """Skipped and failed prompts are in the table, with their reason, and are looked at again by the next run."""
    journal = bench.open()
    journal.note(0, Status.SKIPPED, NullCell("title"))
    journal.note(1, Status.FAILED, PromptError("no such filter"))
    bench.close()
    assert results(bench) == {0: ("skipped", None), 1: ("failed", None)}
    assert totals(bench).by_error["failed"] == {"prompt": 1}
    assert bench.finished() == bytearray(2)


def test_rows_that_need_no_asking_are_marked(bench: Bench) -> None:
    """One byte per row, up to the last that is known."""
    journal = bench.open()
    bench.ask(journal, 1, "a")
    bench.ask(journal, 3, "b", bench.failure(transient=True))
    bench.ask(journal, 4, "c", bench.failure())
    bench.close()
    assert bench.finished() == bytearray([0, 1, 0, 0, 1])


# -- retry -----------------------------------------------------------------------------------------------------------


def truncated(bench: Bench, *rows: tuple[int, str]) -> None:
    """Run rows that end cut off."""
    journal = bench.open()
    for row, question in rows:
        bench.ask(journal, row, question, bench.reply("cut", Status.TRUNCATED))
    bench.close()


def retried(bench: Bench, *statuses: Status) -> tuple[Journal, set[int]]:
    """Open the journal as ``run --retry`` does; return the rows that are to be asked."""
    journal = bench.open(job=None)
    return journal, {row for row, _ in journal.reopen(statuses)}


def test_a_retry_asks_rows_of_a_status_once_more(bench: Bench) -> None:
    """And lets the others stand; both answers of the row are paid, and both are counted."""
    truncated(bench, (0, "a"))
    bench.ask(bench.open(), 1, "b")
    bench.close()
    journal, rows = retried(bench, Status.TRUNCATED)
    assert rows == {0}
    assert bench.ask(journal, 0, "a") is None
    bench.close()
    assert results(bench) == {0: ("ok", "A"), 1: ("ok", "B")}
    assert totals(bench).usage.total_tokens == 45


@pytest.mark.parametrize("question", ["a", "changed"])
def test_an_answer_stands_until_a_better_one_is_there(bench: Bench, question: str) -> None:
    """While the row is asked again, and for good where that fails."""
    truncated(bench, (0, "a"))
    journal, _ = retried(bench, Status.TRUNCATED)
    with journal.claim(bench.request(0, question)) as claim:
        assert claim.ours
        assert results(bench) == {0: ("truncated", "cut")}
    assert bench.ask(journal, 0, question, bench.failure()) is None
    bench.close()
    assert results(bench) == {0: ("truncated", "cut")}
    assert bench.ask(bench.open(), 0, "a") is Status.TRUNCATED
    bench.close()


def test_an_answer_stands_where_the_changed_prompt_fails(bench: Bench) -> None:
    """A retry whose prompt cannot be rendered for a row takes nothing from it."""
    truncated(bench, (0, "a"))
    journal, _ = retried(bench, Status.TRUNCATED)
    journal.note(0, Status.FAILED, NullCell("title"))
    bench.close()
    assert results(bench) == {0: ("truncated", "cut")}


def test_a_changed_requests_answer_stands_for_the_old_one(bench: Bench) -> None:
    """Its row has the new answer, a plain run asks neither, and what the old one cost is counted beside the table."""
    truncated(bench, (0, "a"), (1, "a"))
    journal, rows = retried(bench, Status.TRUNCATED)
    assert rows == {0, 1}
    bench.ask(journal, 0, "a, longer")
    assert bench.ask(journal, 1, "a, longer") is Status.OK
    bench.close()
    assert results(bench) == {0: ("ok", "A, LONGER"), 1: ("ok", "A, LONGER")}
    assert (totals(bench).usage.total_tokens, totals(bench).superseded.total_tokens) == (15, 15)
    assert bench.ask(bench.open(), 0, "a") is Status.OK
    bench.close()


def test_a_failure_that_was_mended_by_a_changed_request_is_not_asked_again(bench: Bench) -> None:
    """Nothing is paid twice: a plain run after the retry finds the row answered."""
    bench.ask(bench.open(), 0, "a", bench.failure(transient=True))
    bench.close()
    journal, _ = retried(bench, Status.FAILED)
    bench.ask(journal, 0, "a, longer")
    bench.close()
    assert bench.finished() == bytearray([1])
    assert bench.ask(bench.open(), 0, "a") is Status.OK
    bench.close()


@pytest.mark.parametrize("order", ["after", "meanwhile"])
def test_one_changed_answer_stands_for_all_whose_requests_became_the_same(bench: Bench, order: str) -> None:
    """Rows that asked different questions and now ask one share its answer, whether they come while it is out or later."""
    truncated(bench, (0, "a"), (1, "b"))
    journal, _ = retried(bench, Status.TRUNCATED)
    with journal.claim(bench.request(0, "c")) as claim:
        if order == "meanwhile":
            assert bench.ask(journal, 1, "c") is None
        attempt = bench.wait(journal.intend(claim.request))
        bench.wait(journal.settle(claim.request, attempt, Outcome(0.5, reply=bench.reply("C"))))
    if order == "after":
        assert bench.ask(journal, 1, "c") is Status.OK
    bench.close()
    assert results(bench) == {0: ("ok", "C"), 1: ("ok", "C")}
    assert totals(bench).attempts == 3


def test_a_known_failure_replaces_no_answer(bench: Bench) -> None:
    """A changed request that failed before is asked again, and where it fails again the row keeps what it has."""
    truncated(bench, (0, "a"))
    bench.ask(bench.open(), 1, "b", bench.failure())
    bench.close()
    journal, _ = retried(bench, Status.TRUNCATED)
    assert bench.ask(journal, 0, "b", bench.failure()) is None
    bench.close()
    assert results(bench)[0] == ("truncated", "cut")
    assert totals(bench).attempts == 3


@pytest.mark.parametrize(
    ("sent", "http_status", "attempts"),
    [(Sent.NEVER, None, 0), (Sent.NEVER, 429, 3), (Sent.MAYBE, None, 3), (Sent.ANSWERED, 500, 3)],
)
def test_an_attempt_that_never_left_is_not_counted(
    bench: Bench, sent: Sent, http_status: int | None, attempts: int
) -> None:
    """``attempts`` are requests that left: one that was refused before any work is, a missing connection or picture is not."""
    for _ in range(3):
        bench.ask(bench.open(), 0, "a", bench.failure(sent, transient=True, http_status=http_status))
        bench.close()
    assert totals(bench).attempts == attempts
    assert stored(bench, "SELECT COUNT(*) FROM attempts") == [(3,)]


def test_a_row_may_be_retried_over_and_over(bench: Bench) -> None:
    """With other changes each time, back to the first ones, and without any."""
    truncated(bench, (0, "a"))
    for question in ("b", "c", "b", "a"):
        journal, rows = retried(bench, Status.TRUNCATED)
        assert rows == {0}
        assert bench.ask(journal, 0, question, bench.reply(question, Status.TRUNCATED)) is None
        bench.close()
        assert results(bench) == {0: ("truncated", question)}
    together = totals(bench).usage + totals(bench).superseded
    assert together.total_tokens == 5 * 15


def test_there_is_nothing_to_retry_before_a_run(bench: Bench) -> None:
    """Nor after the input has changed: rows would be taken for others."""
    journal = bench.open(begun=False)
    with pytest.raises(RunDirectoryError, match="no run to retry"):
        journal.look(bench.start(job=None))
    bench.close()
    bench.open()
    bench.close()
    journal = bench.open(begun=False)
    with pytest.raises(RunDirectoryError, match="input has changed"):
        journal.look(bench.start(job=None, table="another"))
    bench.close()


# -- another job, another table --------------------------------------------------------------------------------------


def test_the_same_job_and_table_are_the_same_plan(bench: Bench) -> None:
    """Only the first of them is new."""
    plans = []
    for _ in range(2):
        journal = bench.open(begun=False)
        plans.append(journal.look(bench.start()))
        journal.begin(bench.start(), plans[-1], ambiguous=True)
        bench.close()
    assert [(plan.id, plan.fresh, plan.first) for plan in plans] == [(1, True, True), (1, False, False)]


@pytest.mark.parametrize("change", [{"job": "other"}, {"table": "other"}])
def test_moved_and_kept_rows_find_their_answers(bench: Bench, change: dict[str, str]) -> None:
    """After a change a row counts as what it asks now, and the table has no row of before."""
    journal = bench.open()
    for row, question in enumerate("abc"):
        bench.ask(journal, row, question)
    bench.close()
    journal = bench.open(**change)
    assert [bench.ask(journal, row, question) for row, question in enumerate("cad")] == [
        Status.OK,
        Status.OK,
        None,
    ]
    bench.close()
    assert results(bench) == {0: ("ok", "C"), 1: ("ok", "A"), 2: ("ok", "D")}
    assert (totals(bench).usage.total_tokens, totals(bench).superseded.total_tokens) == (45, 15)


def test_a_row_carries_what_it_asked_for_and_its_twins_nothing(bench: Bench) -> None:
    """The first row of the plan with a question carries its usage; in another order another row does."""
    journal = bench.open()
    for row in (2, 4):
        bench.ask(journal, row, "a")
    bench.close()
    with reading(bench.run_dir) as reader:
        assert [line[-1] for line in reader.results(0, 9)] == [2, 2]
    journal = bench.open(table="other")
    for row in (1, 3):
        bench.ask(journal, row, "a")
    bench.close()
    with reading(bench.run_dir) as reader:
        assert [line[-1] for line in reader.results(0, 9)] == [1, 1]
    assert totals(bench).usage.total_tokens == 15


def test_a_retried_answer_is_carried_after_the_table_has_changed(bench: Bench) -> None:
    """What a retry paid stays in the table's sums when its row moves."""
    truncated(bench, (0, "a"))
    journal, _ = retried(bench, Status.TRUNCATED)
    bench.ask(journal, 0, "a, longer")
    bench.close()
    bench.ask(bench.open(table="other"), 7, "a")
    bench.close()
    assert results(bench) == {7: ("ok", "A, LONGER")}
    assert (totals(bench).usage.total_tokens, totals(bench).superseded.total_tokens) == (15, 15)


# -- each row by itself ----------------------------------------------------------------------------------------------


def test_without_dedupe_every_row_asks(bench: Bench) -> None:
    """Also while a twin is out, and each finds its own answer in the next run."""
    journal = bench.open(dedupe=False)
    assert not journal.knows(bench.request(0, "a"))
    for row in range(3):
        bench.ask(journal, row, "a", bench.reply(f"A{row}"))
    bench.close()
    assert results(bench) == {row: ("ok", f"A{row}") for row in range(3)}
    journal = bench.open(dedupe=False)
    assert [bench.ask(journal, row, "a") for row in range(4)] == [Status.OK] * 3 + [None]
    bench.close()
    assert {row: results(bench)[row][1] for row in range(3)} == {row: f"A{row}" for row in range(3)}


def test_without_dedupe_rows_may_move(bench: Bench) -> None:
    """In a changed table the n-th row with a question has the n-th answer to it."""
    journal = bench.open(dedupe=False)
    for row in (0, 1):
        bench.ask(journal, row, "a", bench.reply(f"A{row}"))
    bench.close()
    journal = bench.open(dedupe=False, table="other")
    assert [bench.ask(journal, row, "a") for row in (5, 6, 7)] == [Status.OK, Status.OK, None]
    bench.close()
    assert [results(bench)[row][1] for row in (5, 6)] == ["A0", "A1"]


def test_without_dedupe_a_retry_asks_the_row_itself(bench: Bench) -> None:
    """And none of those that ask the same."""
    journal = bench.open(dedupe=False)
    for row, status in enumerate((Status.OK, Status.TRUNCATED, Status.OK)):
        bench.ask(journal, row, "a", bench.reply(f"A{row}", status))
    bench.close()
    journal = bench.open(job=None, dedupe=False)
    assert journal.reopen([Status.TRUNCATED]) == {(1, 0)}
    assert bench.ask(journal, 1, "a", bench.reply("better")) is None
    bench.close()
    assert [results(bench)[row][1] for row in range(3)] == ["A0", "better", "A2"]


# -- the file --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [2, 99, -1])
def test_another_format_is_refused(bench: Bench, version: int) -> None:
    """By the run and by those who only read, with the number and what to do."""
    bench.open()
    bench.close()
    connection = sqlite3.connect(bench.path)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    with pytest.raises(RunDirectoryError, match=f"has format {version}; this version of the package reads format 1"):
        bench.open()
    with pytest.raises(RunDirectoryError, match=f"has format {version}"), reading(bench.run_dir):
        pytest.fail("it was read")


@pytest.mark.parametrize(
    "content", [b"not a database, but long enough to be one" * 100, b"SQLite format 3\0" + b"\xff" * 4096]
)
def test_what_is_no_journal_is_refused_and_left_alone(bench: Bench, content: bytes) -> None:
    """A file of somebody else's is not overwritten."""
    bench.path.write_bytes(content)
    with pytest.raises(RunDirectoryError, match="not a usable journal"):
        bench.open()
    with pytest.raises(RunDirectoryError), reading(bench.run_dir):
        pytest.fail("it was read")
    assert bench.path.read_bytes() == content


def test_an_empty_file_is_damage_and_no_new_run(bench: Bench) -> None:
    """A journal stands under its name only when it is whole, so a run never begins anew over a truncated one."""
    bench.path.touch()
    with pytest.raises(RunDirectoryError, match="it has been damaged"):
        bench.open()


def test_a_journal_that_was_half_made_is_made_again(bench: Bench) -> None:
    """A process may be killed while it makes the tables."""
    for ending in (".new", ".new-wal", ".new-shm"):
        bench.path.with_name(bench.path.name + ending).write_bytes(b"half")
    bench.ask(bench.open(), 0, "a")
    bench.close()
    assert results(bench) == {0: ("ok", "A")}


def test_a_folder_without_a_run_has_nothing_to_read(bench: Bench) -> None:
    """Reading makes no file."""
    with pytest.raises(RunDirectoryError, match="holds no run"), reading(bench.run_dir):
        pytest.fail("there is nothing to read")
    assert list(bench.run_dir.iterdir()) == []


def test_a_journal_in_the_place_of_a_folder_is_refused(bench: Bench) -> None:
    """With the setting that names another place."""
    bench.path.mkdir()
    with pytest.raises(RunDirectoryError, match="not a usable journal"):
        bench.open()


def test_a_run_directory_may_have_any_name(tmp_path: Path, benches: Any) -> None:
    """What is special in the addresses that SQLite takes is a plain character in a folder's name."""
    folder = tmp_path / "50% ?mode=rw#x & größe"
    folder.mkdir()
    bench = benches(folder)
    bench.ask(bench.open(), 0, "a")
    bench.close()
    assert results(bench) == {0: ("ok", "A")}


def test_every_attempt_of_a_row_can_be_shown(bench: Bench) -> None:
    """With its error or its reply's body, also of the request that another answered since."""
    journal = bench.open()
    bench.ask(journal, 0, "a", bench.failure(transient=True))
    bench.close()
    bench.ask(bench.open(), 0, "a", bench.reply("cut", Status.TRUNCATED))
    bench.close()
    journal, _ = retried(bench, Status.TRUNCATED)
    bench.ask(journal, 0, "b")
    bench.close()
    with reading(bench.run_dir) as reader:
        shown = reader.row(0)
        assert reader.row(9) == {"row": 9, "status": "pending", "attempts": []}
    assert (shown["status"], shown["output"]) == ("ok", "B")
    attempts = shown["attempts"]
    assert isinstance(attempts, list)
    assert [(each["state"], each["error_kind"], each["reply"]) for each in attempts] == [
        ("refused", "server", None),
        ("answered", None, {"output_text": "cut"}),
        ("answered", None, {"output_text": "B"}),
    ]


def test_a_session_is_kept_with_its_end(bench: Bench) -> None:
    """The job as it was run, when it began and ended, and its exit code."""
    bench.open()
    with reading(bench.run_dir) as reader:
        assert reader.session()["ended_at"] is None
    bench.close()
    end_session(bench.path, 6)
    with reading(bench.run_dir) as reader:
        session = reader.session()
    assert (session["job"], session["exit_code"], session["version"]) == ({}, 6, "1")
    assert isinstance(session["ended_at"], float)


def test_a_cancelled_wait_does_not_disturb_the_others(bench: Bench) -> None:
    """An attempt that is cancelled while its intent is being written was never sent, and its neighbours go on."""
    journal = bench.open()

    async def cancelled() -> None:
        with journal.claim(bench.request(0, "a")) as claim, anyio.CancelScope() as scope:
            scope.cancel()
            await journal.intend(claim.request)

    bench.wait(cancelled())
    bench.ask(journal, 1, "b")
    bench.close()
    assert results(bench) == {0: ("pending", None), 1: ("ok", "B")}
    assert (totals(bench).attempts, totals(bench).maybe_paid) == (1, 0)


@pytest.mark.parametrize("end", ["an answer", "a failure"])
def test_an_outcome_that_is_here_is_kept_whatever_ends_the_run(bench: Bench, end: str) -> None:
    """A cancellation that comes while it is written waits for the disk, and the answer is known from then on."""
    journal = bench.open()
    outcome = Outcome(0.5, reply=bench.reply("A")) if end == "an answer" else Outcome(0.5, error=bench.failure())
    request = bench.request(0, "a")

    async def cancelled() -> None:
        with journal.claim(request) as claim, anyio.CancelScope() as scope:
            attempt = await journal.intend(claim.request)
            scope.cancel()
            await journal.settle(claim.request, attempt, outcome)
            raise AssertionError("it was not cancelled")

    bench.wait(cancelled())
    assert journal.knows(request) is (end == "an answer")
    with reading(bench.run_dir) as reader:  # before the journal is closed: it was waited for
        assert reader.totals().maybe_paid == 0
    bench.close()
    assert results(bench) == {0: ("ok", "A") if end == "an answer" else ("pending", None)}
