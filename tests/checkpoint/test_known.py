"""Who only looks into a journal sorts requests as a run would."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from pipeline import api
from pipeline.checkpoint.known import known_answers, observed_calls
from pipeline.checkpoint.rundir import journal_path
from pipeline.engine.check import Prepared, prepare
from pipeline.engine.feed import everything, questions
from pipeline.errors import RunDirectoryError
from pipeline.spec.job import Job


def prepared(folder: Path, texts: list[str], **settings: object) -> Prepared:
    """A job that asks these texts."""
    pl.DataFrame({"text": texts}).write_parquet(folder / "t.parquet")
    spec = {
        "provider": "simulator",
        "model": "m",
        "input": "t.parquet",
        "prompt": "{{ text }}",
        "output": "out.parquet",
        **settings,
    }
    (folder / "job.json").write_text(Job.model_validate(spec).model_dump_json(exclude_unset=True), encoding="utf-8")
    return prepare(Job.model_validate(spec).located(folder))


def sorted_all(job: Prepared) -> list[tuple[bool, bool]]:
    """What is said of each request, in order."""
    known = known_answers(job.job.run_path, job.start(), dedupe=job.dedupe)
    return [
        known.sort(question.request())
        for batch in questions(job.source, job.builder, everything(job.job.samples))
        for question in batch
    ]


NEW, TWIN = (False, True), (False, False)


@pytest.mark.parametrize(("dedupe", "twin"), [(True, TWIN), (False, NEW)])
def test_without_a_journal_all_are_new(tmp_path: Path, dedupe: bool, twin: tuple[bool, bool]) -> None:
    """And none is made; a row that asks what another asked is its twin, unless each row asks for itself."""
    assert sorted_all(prepared(tmp_path, ["a", "b", "a"], dedupe=dedupe)) == [NEW, NEW, twin]
    assert not (tmp_path / "out.parquet.run").exists()


@pytest.mark.parametrize("dedupe", [True, False])
def test_what_a_run_has_answered_is_known(tmp_path: Path, dedupe: bool) -> None:
    """Wherever its row stands now; without dedupe each twin has its own answer, and a third one is new."""
    prepared(tmp_path, ["a", "b", "a"], dedupe=dedupe)
    api.run(tmp_path / "job.json")
    after = prepared(tmp_path, ["c", "a", "a", "b", "a"], dedupe=dedupe)
    assert [known for known, _ in sorted_all(after)] == [False, True, True, True, dedupe]


def test_the_calls_of_the_same_job_are_observed(tmp_path: Path) -> None:
    """By model, also after the table has grown; those of another prompt say nothing."""
    job = prepared(tmp_path, ["a", "b", "c"])
    finished = api.run(tmp_path / "job.json")
    seen = observed_calls(job.job.run_path, job.digest())["m"]
    assert seen.calls == 3
    assert seen.output == pytest.approx((finished.usage.output_tokens or 0) / 3)
    assert seen.latency_s is not None
    grown = prepared(tmp_path, ["a", "b", "c", "d"])
    assert set(known_answers(grown.job.run_path, grown.start(), dedupe=True).observed) == {"m"}
    other = prepared(tmp_path, ["a"], prompt="Say {{ text }}")
    assert known_answers(other.job.run_path, other.start(), dedupe=True).observed == {}


def test_a_journal_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """It may hold paid answers, so it is not taken for an empty one."""
    job = prepared(tmp_path, ["a"])
    job.job.run_path.mkdir()
    journal_path(job.job.run_path).write_bytes(b"no journal")
    with pytest.raises(RunDirectoryError):
        sorted_all(job)
