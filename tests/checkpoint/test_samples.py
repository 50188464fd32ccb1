"""What the journal knows of rows that are asked several times: each sample is a request of its own, found again by row and sample."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.checkpoint.reader import Reader, Totals, reading
from pipeline.checkpoint.schema import RESULT
from pipeline.errors import NullCell, RunDirectoryError, Sent
from pipeline.records import Request, Status

Bench = Any  # the fixture's class lives in conftest.py, which no module can import


def told(bench: Bench) -> dict[tuple[object, object], tuple[object, object]]:
    """Return status and text of each sample of the newest plan."""
    with reading(bench.run_dir) as reader:
        lines = [dict(zip(RESULT, line, strict=True)) for line in reader.results(0, 1000)]
    return {(line["row"], line["sample"]): (line["status"], line["output"]) for line in lines}


def totals(bench: Bench) -> Totals:
    """Add up the run."""
    with reading(bench.run_dir) as reader:
        return reader.totals()


def asked(bench: Bench, samples: int, *, job: str, upto: int | None = None) -> list[Status | None]:
    """Run one row with so many samples, or the first of them, and return what was known of each."""
    journal = bench.open(job=job, samples=samples)
    known = [
        bench.ask(journal, 0, "a", bench.reply(f"A{sample}"), sample=sample)
        for sample in range(samples if upto is None else upto)
    ]
    bench.close()
    return known


def test_each_sample_has_its_own_fingerprint_and_the_first_the_plain_one(bench: Bench) -> None:
    """Which depends on nothing but question and sample, so that answers are found again."""
    requests: list[Request] = [bench.request(row, "a", sample) for row in (0, 7) for sample in range(100)]
    assert len({request.fingerprint for request in requests}) == 100
    assert requests[0].fingerprint == bench.request(3, "a").fingerprint
    assert len({len(request.fingerprint) for request in requests}) == 1


def test_more_samples_keep_the_answers_that_are_there_and_fewer_ask_nothing(bench: Bench) -> None:
    """One becomes the first of three; taken back, the others are superseded, and paid once however often that goes on."""
    assert asked(bench, 1, job="one") == [None]
    assert asked(bench, 3, job="three") == [Status.OK, None, None]
    assert told(bench) == {(0, sample): ("ok", f"A{sample}") for sample in range(3)}
    assert asked(bench, 1, job="one") == [Status.OK]
    assert told(bench) == {(0, 0): ("ok", "A0")}
    assert (totals(bench).usage.total_tokens, totals(bench).superseded.total_tokens) == (15, 30)
    assert asked(bench, 3, job="three") == [Status.OK] * 3
    assert (totals(bench).usage.total_tokens, totals(bench).superseded.total_tokens) == (45, 0)


def test_a_row_is_finished_when_all_its_samples_are(bench: Bench) -> None:
    """A run that was killed between two goes on with the row, and finds the answer that is there."""
    asked(bench, 2, job="job", upto=1)
    assert bench.finished(samples=2) == bytearray([0])
    assert asked(bench, 2, job="job") == [Status.OK, None]
    assert bench.finished(samples=2) == bytearray([1])
    assert (totals(bench).rows, totals(bench).answers, totals(bench).attempts) == (1, 2, 2)


def test_twins_share_sample_by_sample(bench: Bench) -> None:
    """The first row carries the tokens of all its samples."""
    journal = bench.open(samples=2)
    for row in (0, 1):
        known = [bench.ask(journal, row, "a", bench.reply(f"A{sample}"), sample=sample) for sample in range(2)]
        assert known == [None if row == 0 else Status.OK] * 2
    bench.close()
    assert told(bench) == {(row, sample): ("ok", f"A{sample}") for row in (0, 1) for sample in (0, 1)}
    assert totals(bench).usage.total_tokens == 30


def test_without_dedupe_every_sample_of_every_row_asks(bench: Bench) -> None:
    """And finds its own answer again."""
    for known in (None, Status.OK):
        journal = bench.open(samples=2, dedupe=False, job="again" if known else "job")
        for row in (0, 1):
            for sample in range(2):
                assert bench.ask(journal, row, "a", bench.reply(f"A{row}{sample}"), sample=sample) is known
        bench.close()
        assert told(bench) == {(row, sample): ("ok", f"A{row}{sample}") for row in (0, 1) for sample in (0, 1)}


def failing(bench: Bench) -> None:
    """Leave a row behind whose second of three samples failed for good, and one that asked nothing."""
    journal = bench.open(samples=3)
    for sample in range(3):
        bench.ask(journal, 0, "a", bench.failure() if sample == 1 else bench.reply(f"A{sample}"), sample=sample)
    journal.note(1, Status.FAILED, NullCell("text"))
    bench.close()


def test_a_retry_asks_only_the_samples_that_have_the_status(bench: Bench) -> None:
    """And all of a row that asked nothing; the other answers of a row stand, whatever the retry changes."""
    failing(bench)
    journal = bench.open(job=None, samples=3)
    assert journal.reopen([Status.FAILED]) == {(0, 1), (1, 0), (1, 1), (1, 2)}
    assert bench.ask(journal, 0, "changed", bench.reply("mended"), sample=1) is None
    bench.close()
    assert [text for (row, _), (_, text) in told(bench).items() if row == 0] == ["A0", "mended", "A2"]
    journal = bench.open(samples=3)
    assert [bench.ask(journal, 0, "a", sample=sample) for sample in range(3)] == [Status.OK] * 3
    bench.close()


def test_a_retry_that_cannot_render_its_row_takes_nothing_from_it(bench: Bench) -> None:
    """Whichever of its samples was to be asked again."""
    failing(bench)
    before = told(bench)
    journal = bench.open(job=None, samples=3)
    journal.reopen([Status.FAILED])
    journal.note(0, Status.FAILED, NullCell("text"))
    bench.close()
    assert told(bench) == before


def test_a_retry_with_another_number_of_samples_is_refused(bench: Bench) -> None:
    """What it should ask is not clear; a plain run asks what is missing."""
    failing(bench)
    with pytest.raises(RunDirectoryError, match="as often as the last run did: 3, not 5 times"):
        bench.open(job=None, samples=5)


def test_a_row_that_asks_nothing_lacks_all_its_samples(bench: Bench) -> None:
    """In the counts, and for good: what its samples were tied to before no longer counts."""
    failing(bench)
    assert (totals(bench).by_status, totals(bench).rows) == ({"ok": 2, "failed": 4}, 2)
    assert totals(bench).by_error == {"failed": {"server": 1, "null_cell": 3}}
    journal = bench.open(samples=3)
    journal.note(0, Status.SKIPPED, NullCell("text"))
    bench.close()
    assert (totals(bench).by_status, totals(bench).rows) == ({"skipped": 3, "failed": 3}, 2)
    assert told(bench) == {(0, 0): ("skipped", None), (1, 0): ("failed", None)}


def test_a_row_is_shown_with_each_of_its_samples(bench: Bench) -> None:
    """Each with its own attempts; the row's status is that of the first that is not ok, and what is missing is pending."""
    journal = bench.open(samples=3)
    lost = bench.failure(Sent.MAYBE, transient=True)
    for sample, end in enumerate([bench.reply("A0"), lost]):
        bench.ask(journal, 0, "a", end, sample=sample)
    journal.note(1, Status.SKIPPED, NullCell("text"))
    bench.close()
    with reading(bench.run_dir) as reader:
        shown, skipped, unknown = (_shown(reader, row) for row in (0, 1, 2))
    assert shown == ("failed", [("ok", 1), ("failed", 1), ("pending", 0)])
    assert (skipped, unknown) == (("skipped", None), ("pending", None))


def _shown(reader: Reader, number: int) -> tuple[object, object]:
    row: Any = reader.row(number)
    samples = row.get("samples")
    return row["status"], samples and [(each["status"], len(each["attempts"])) for each in samples]
