"""What a report tells of real runs: every figure is held against what the reader, the table or a naive count says."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline.checkpoint.ledger import read_ledger
from pipeline.checkpoint.reader import reading
from pipeline.checkpoint.rundir import held
from pipeline.errors import SpecError
from pipeline.report import cards
from pipeline.report.choosing import choose
from pipeline.report.page import render_story
from pipeline.report.story import Card, Story
from pipeline.report.subject import CHANGED, opened_subject
from pipeline.report.tell import CHOSEN, story_of
from pipeline.report.told import render_story_text

HOSTILE = "</style><script>alert(1)</script>\x00\x1b[2J\u202e javascript:alert(1)"
LONG = "word " * 3_000
TOPICS = ("bread", "cycling", "library", "telescopes")
HALF = {  # the simulator picks one of the two by what it is asked, and half of the picks do not fit
    "type": "object",
    "properties": {"label": {"type": "string", "enum": ["ok", "spam"], "pattern": "^ok$"}},
    "required": ["label"],
    "additionalProperties": False,
}


@pytest.fixture(autouse=True)
def _no_blocking_calls() -> None:
    """These functions block whoever calls them, on purpose."""


def texts() -> list[str]:
    made = [f"comment number {number}" for number in range(40)]
    made[14] = made[18] = made[10]  # twins, of the same topic
    made[5], made[6], made[7] = "poison", "halved", "unmeasured"
    made[8], made[9] = HOSTILE, LONG
    return made


def write_job(folder: Path, **settings: Any) -> Path:
    table = {"id": range(40), "topic": [TOPICS[number % 4] for number in range(40)], "text": texts()}
    meant = ["ok" if number % 3 else "spam" for number in range(39)]
    pl.DataFrame({**table, "meant": [*meant, None]}).write_parquet(folder / "in.parquet")
    spec = {
        "name": "told",
        "provider": "simulator",
        "model": "gpt-5.4-mini",
        "input": "in.parquet",
        "prompt": "Topic {{ topic }}: {{ text }}",
        "output": {"path": "out.parquet", "fields": HALF, "repair": 1, "gold": {"label": "meant"}},
        "retry": {"max_wait_s": 0.01},
        "simulator": {
            "faults": [
                {"fault": "rate_limit", "nth": [1, 2, 3], "retry_after": 0.01},
                {"fault": "bad_request", "text": "poison"},
                {"fault": "incomplete", "text": "halved"},
                {"fault": "no_usage", "text": "unmeasured"},
            ]
        },
        **settings,
    }
    (folder / "job.json").write_text(json.dumps(spec))
    return folder / "job.json"


@contextmanager
def telling(run_dir: Path, **how: Any) -> Iterator[Story]:
    with opened_subject(run_dir) as subject:
        yield story_of(subject, made_at=time.time(), **how)


def told(run_dir: Path, **how: Any) -> Story:
    with telling(run_dir, **how) as story:
        return story


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("told")
    pipeline.run(write_job(folder))
    return folder / "out.parquet.run"


@pytest.fixture(scope="module")
def story(run_dir: Path) -> Story:
    return told(run_dir)


@pytest.fixture(scope="module")
def table(run_dir: Path) -> pl.DataFrame:
    return pl.read_parquet(run_dir.with_name("out.parquet"))


@pytest.fixture(scope="module")
def by_row(story: Story) -> dict[int, Card]:
    return {card.row: card for card in story.cards}


def test_the_bill_is_the_readers(story: Story, run_dir: Path) -> None:
    """Dollars and attempts of unknown cost are the sums that every other screen shows, to the picodollar."""
    with reading(run_dir) as reader:
        totals = reader.totals()
    money, bill = totals.money, story.bill
    assert money.table is not None
    assert money.superseded == 0
    assert (bill.table, bill.superseded) == (money.table / 10**12, 0.0)
    assert (bill.maybe_paid, bill.unreported, bill.unpriced) == (money.maybe_paid, money.unreported, money.unpriced)
    assert bill.unreported > 0
    assert asdict(story.tokens)["total"] == totals.usage.total_tokens
    assert story.attempts == totals.attempts


def test_the_parts_of_the_bill_add_up_to_it(story: Story) -> None:
    """What models, values of a column and moments cost is the whole bill, and so are their tokens and attempts."""
    whole = pytest.approx(story.bill.table)
    assert sum(group.cost or 0 for group in story.models) == whole
    assert sum(moment.cost or 0 for moment in story.moments) == whole
    topics = next(column for column in story.columns if column.column == "topic")
    assert sum(group.cost or 0 for group in topics.groups) == whole
    for groups in (story.models, topics.groups):
        assert sum(group.rows for group in groups) == 40
        assert sum(group.attempts for group in groups) == story.attempts
        assert sum(group.tokens.input or 0 for group in groups) == story.tokens.input
    assert sum(moment.input_tokens for moment in story.moments) == story.tokens.input


def test_what_the_prompt_cache_gave_is_told_where_it_gave_something(story: Story, tmp_path: Path) -> None:
    """As the table's metadata has it; on the screen it is one line."""
    assert story.cache is None
    settings = {"prompt": LONG + "{{ text }}", "simulator": {"cache": True}, "output": "out.parquet"}
    pipeline.run(write_job(tmp_path, **settings), sets=["input.limit=4"])
    cached = told(tmp_path / "out.parquet.run")
    said = json.loads(pq.read_schema(tmp_path / "out.parquet").metadata[b"pipeline"])["prompt_cache"]
    assert cached.cache is not None
    assert cached.cache.hits == said["hits"] == 3
    assert (cached.cache.cached, cached.cache.input) == (said["cached_tokens"], said["input_tokens"])
    assert cached.cache.saved == pytest.approx(float(said["saved_usd"]))
    assert "in 3 of 4 requests; saved $" in render_story_text(cached)


def test_cards_cost_what_the_table_says(by_row: dict[int, Card], table: pl.DataFrame) -> None:
    """Each row's cost, tokens and status are those of its line in the table; a twin costs nothing again."""
    assert sorted(by_row) == list(range(40))
    for line in table.iter_rows(named=True):
        card = by_row[line["id"]]
        assert (card.status, card.tokens.input, card.attempts) == (
            line["status"],
            line["input_tokens"],
            line["attempts"],
        )
        assert card.cost == pytest.approx(line["cost_usd"]) if line["cost_usd"] is not None else card.cost is None
    assert (by_row[14].cost, by_row[18].cost) == (0.0, 0.0)
    assert by_row[7].cost is None


def test_failures_are_told_with_examples_and_what_to_do(story: Story) -> None:
    """Each way to end badly has its rows, an example and advice."""
    found = {(failure.status, failure.kind): failure for failure in story.failures}
    failed = found["failed", "bad_request"]
    assert (failed.rows, failed.examples[0][0]) == (1, 5)
    assert "not valid" in failed.examples[0][1]
    assert "pipeline run SPEC --retry failed" in (failed.advice or "")
    assert found["truncated", "max_output_tokens"].examples[0][0] == 6
    assert "--set request.max_output_tokens" in (found["truncated", "max_output_tokens"].advice or "")
    assert sum(failure.rows for failure in story.failures) == sum(rows for _, rows, _, ok in story.by_status if not ok)


def test_retried_and_repaired_rows_are_known(story: Story, by_row: dict[int, Card]) -> None:
    """A row is retried where an attempt of it failed and another followed, and repaired where a round was for that."""
    tags = {tag: {row for row, card in by_row.items() if tag in card.tags} for tag in ("retried", "repaired", "failed")}
    assert len(tags["retried"]) == 3
    assert all(any(trial.error for trial in by_row[row].trials) for row in tags["retried"])
    assert {5, 6} <= tags["failed"]
    assert tags["repaired"]
    mended = {row for row in tags["repaired"] if by_row[row].ok and by_row[row].attempts}
    assert story.repaired == len(mended) > 0
    assert sum(attempts * requests for attempts, requests in story.retried) == story.attempts


def test_answers_are_held_against_the_known_ones(story: Story, table: pl.DataFrame, by_row: dict[int, Card]) -> None:
    """Accuracy counts rows with an answer and a known one; rows without either are told apart."""
    verdicts = story.verdicts
    assert verdicts is not None
    both = table.filter(pl.col("meant").is_not_null() & pl.col("label").is_not_null())
    right = both.filter(pl.col("meant") == pl.col("label"))
    assert (verdicts.rows, verdicts.right) == (both.height, right.height)
    assert verdicts.unanswered == table.filter(pl.col("meant").is_not_null() & pl.col("label").is_null()).height > 0
    assert sum(rows for *_, rows in verdicts.table) == verdicts.rows
    assert {row for row, card in by_row.items() if "wrong" in card.tags} == set(
        both.join(right, on="id", how="anti")["id"]
    )


def test_hostile_and_long_cells_are_cut_and_kept_as_text(by_row: dict[int, Card]) -> None:
    """What a cell holds is text like any other; what is longer than may be shown says how much is missing."""
    assert by_row[8].inputs["text"] == HOSTILE
    shown = by_row[9].inputs["text"]
    assert shown.startswith(LONG[: cards.CELL])
    assert shown.endswith(f"… ({len(LONG) - cards.CELL:,} characters more)")
    assert (by_row[9].request or "").endswith("characters more)")


def test_a_card_shows_the_request_and_every_reply(by_row: dict[int, Card]) -> None:
    """The request is the one that was asked; each attempt has the body of its reply."""
    card = by_row[10]
    assert card.request is not None
    assert json.loads(card.request)["input"][0]["content"][0]["text"] == "Topic library: comment number 10"
    assert "ok" in (card.trials[-1].reply or "")
    assert card.answer["label"] in ("ok", "spam")


def test_moments_count_every_attempt_once(story: Story) -> None:
    """Each attempt is answered, failed or throttled in one moment, of which there are not too many."""
    assert len(story.moments) <= 120
    assert sum(moment.answered + moment.failed + moment.throttled for moment in story.moments) == story.attempts
    assert sum(moment.throttled for moment in story.moments) == 3


def test_a_changed_input_leaves_the_figures(tmp_path: Path) -> None:
    """Once the input is another one its cells would stand beside strangers' answers: they are left out, and a note says so."""
    spec = write_job(tmp_path)
    pipeline.run(spec)
    before = told(tmp_path / "out.parquet.run")
    pl.read_parquet(tmp_path / "in.parquet").reverse().write_parquet(tmp_path / "in.parquet")
    after = told(tmp_path / "out.parquet.run")
    assert CHANGED in after.notes
    assert after.bill == before.bill
    assert not after.columns
    assert after.verdicts is None
    assert not any(card.inputs or card.request or card.pictures for card in after.cards)
    (tmp_path / "in.parquet").unlink()
    assert CHANGED in told(tmp_path / "out.parquet.run").notes


def test_a_running_run_is_told_so_far(tmp_path: Path) -> None:
    """While a process holds the run it has no end, and rows that are not reached are pending."""
    pipeline.run(write_job(tmp_path), sets=["input.limit=10"])
    with held(tmp_path / "out.parquet.run"):
        story = told(tmp_path / "out.parquet.run")
    assert (story.running, story.ended_at, story.exit_code) == (True, None, None)
    assert story.rows == 10


def test_a_column_that_is_asked_for_is_told_whatever_its_values(run_dir: Path) -> None:
    """`--by` takes any column, one with a value of its own in each row too; one that is not there is a mistake with a hint."""
    told_by = told(run_dir, by=["id"], cards=False).columns[0]
    assert (told_by.column, len(told_by.groups)) == ("id", 40)
    with pytest.raises(SpecError, match="topik"):
        told(run_dir, by=["topik"])


def test_nothing_secret_comes_into_a_story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that tools send is shown by the name of its variable."""
    monkeypatch.setenv("MCP_TOKEN", "very-secret-token")
    tool = {
        "type": "mcp",
        "server_label": "docs",
        "server_url": "https://example.com/mcp",
        "authorization_env": "MCP_TOKEN",
    }
    output = {"path": "out.parquet"}
    pipeline.run(write_job(tmp_path, request={"tools": [tool]}, output=output), sets=["input.limit=2"])
    story = told(tmp_path / "out.parquet.run")
    shown = json.dumps(asdict(story))
    assert "very-secret" not in shown
    assert "MCP_TOKEN" in (story.cards[0].request or "")


def test_cards_keep_to_their_room(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no room for all, the most telling rows come first; a note says so, and the page alone counts what it shows."""
    monkeypatch.setattr(cards.Gallery.fill, "__defaults__", (60_000,))
    story = told(run_dir)
    assert 0 < len(story.cards) < 40
    assert len(json.dumps([asdict(card) for card in story.cards]).encode()) < 70_000
    assert {"failed", "retried", "repaired"} <= {tag for card in story.cards for tag in card.tags}
    assert CHOSEN in story.notes
    assert f"<li>{len(story.cards)} of 40 rows are shown one by one" in render_story(story)


@pytest.mark.parametrize("samples", [2])
def test_samples_are_told_each(tmp_path: Path, samples: int) -> None:
    """Where rows are asked several times each answer has a card, and the sums are still the bill."""
    pipeline.run(write_job(tmp_path, samples=samples, simulator={"variation": True}))
    story = told(tmp_path / "out.parquet.run")
    assert (story.rows, story.samples) == (40, samples)
    assert {(card.row, card.sample) for card in story.cards} == {
        (row, sample) for row in range(40) for sample in range(samples)
    }
    assert sum(card.cost or 0 for card in story.cards) == pytest.approx(story.bill.table)


def test_rows_may_be_judged_by_their_vote(tmp_path: Path) -> None:
    """With samples it is the vote that is held against the known answer."""
    closing = pipeline.run(write_job(tmp_path, samples=3, simulator={"variation": True}))
    table = pl.read_parquet(tmp_path / "out.parquet").drop_nulls(["meant", "label_vote"])
    right = table.filter(pl.col("meant") == pl.col("label_vote")).height
    assert closing.accuracy == (("label", right, table.height),)


def test_a_pilot_is_not_taken_for_the_estimate_of_the_whole(tmp_path: Path) -> None:
    """What was expected of all rows stands beside what all rows cost: the run's estimate, and what the pilot had cost by then."""
    spec = write_job(tmp_path)
    with pipeline.simulate() as server:
        real = [f"provider={{name: gateway, base_url: '{server.base_url()}'}}", "simulator={}"]
        pipeline.estimate(spec, sets=real, pilot=12, yes=True)
        asked = told(tmp_path / "out.parquet.run").bill
        pipeline.run(spec, sets=real, yes=True)
    bill = told(tmp_path / "out.parquet.run").bill
    assert asked.expected is None
    assert asked.table is not None
    assert bill.expected_low is not None
    assert bill.expected is not None
    assert bill.expected_low > asked.table


def test_a_changed_job_is_held_against_its_own_estimate(tmp_path: Path) -> None:
    """What was paid before the change is paid, and stands in both figures; of what came after, the newest first estimate tells."""
    spec = write_job(tmp_path)
    with pipeline.simulate() as server:
        real = [f"provider={{name: gateway, base_url: '{server.base_url()}'}}", "simulator={}"]
        pipeline.run(spec, sets=real, yes=True)
        first = told(tmp_path / "out.parquet.run").bill
        pipeline.run(spec, sets=[*real, "prompt=Say something else of {{ text }}"], yes=True)
    bill = told(tmp_path / "out.parquet.run").bill
    assert bill.superseded == first.table
    assert bill.superseded is not None
    assert bill.expected_low is not None
    assert bill.expected_low > bill.superseded


def test_a_card_shows_the_prompts_columns_before_others_and_not_all_of_very_many(tmp_path: Path) -> None:
    """Cells of a thousand columns are neither read nor shown; what the prompt asks about is."""
    spec = write_job(tmp_path, prompt="{{ text }} {{ topic }}")
    wide = pl.DataFrame({f"c{n}": ["x"] * 40 for n in range(1_000)})
    pl.concat([wide, pl.read_parquet(tmp_path / "in.parquet")], how="horizontal").write_parquet(tmp_path / "in.parquet")
    pipeline.run(spec)
    card = told(tmp_path / "out.parquet.run").cards[0]
    names = list(card.inputs)
    assert (set(names[:2]), names[2], len(names)) == ({"text", "topic"}, "c0", cards.COLUMNS + 1)
    assert card.inputs["…"] == "964 more columns"


def test_cards_are_tagged_as_a_sample_only_where_others_are_left_out(story: Story, run_dir: Path) -> None:
    """A table that is shown whole is no sample."""
    assert not any("sampled" in card.tags for card in story.cards)
    with opened_subject(run_dir) as subject:
        ledger = read_ledger(subject.reader)
    tags = choose(ledger.rows, ledger.attempts, [], [], most=30).tags.values()
    assert any(list(each) == ["sampled"] for each in tags)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE attempts SET sent_at = 1e12 WHERE id = 3",
        "UPDATE attempts SET sent_at = 9e999",
        "UPDATE attempts SET sent_at = -5e8 WHERE id % 2",
        "UPDATE attempts SET latency_s = 9e999 WHERE id = 4",
        "UPDATE attempts SET latency_s = -77 WHERE id = 5",
        "UPDATE sessions SET started_at = 1.2e12, ended_at = 1.2e12 + 5",
        "UPDATE sessions SET ended_at = started_at - 5000",
    ],
)
def test_times_that_cannot_be_are_unknown(run_dir: Path, tmp_path: Path, damage: str) -> None:
    """A clock that was set back, or a damaged file, costs the times and nothing else."""
    copy = tmp_path / "copy.run"
    shutil.copytree(run_dir, copy)
    with closing(sqlite3.connect(copy / "journal.sqlite")) as connection:
        connection.execute(damage)
        connection.commit()
    story = told(copy)
    page = render_story(story)
    assert story.attempts == told(run_dir).attempts
    assert "took -" not in page
    assert "-0 answers" not in page
    assert all(moment.at_s < 1e6 for moment in story.moments)
