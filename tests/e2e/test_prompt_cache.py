"""Rows that begin alike cost less: one goes ahead, the others find its beginning in the provider's cache, and the bill says so."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from pipeline.errors import BudgetReached
from pipeline.report.summary import closing as closing_screen

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.bench import Bench, Provider

CACHING = {"cache": True, "latency_s": 0.2}
EXAMPLES = [f"Set {letter}. " + f"An example of {letter}, and what to say of it. " * 150 for letter in "abcd"]
ROWS = 40
CASES: dict[str, Any] = {
    "examples": "{{ examples }} #{{ id }}# {{ text }}",
    "system": {"system": "{{ examples }}", "user": "#{{ id }}# {{ text }}"},
    "photo": {"user": [{"image": "photo", "detail": "high"}, {"text": "#{{ id }}# {{ text }}"}]},
}


def grouped(job: Bench, prompt: Any = CASES["examples"]) -> Bench:
    """Give a job rows of four groups, shuffled, ten rows each."""
    names = []
    for group in range(4):
        names.append(f"photo{group}.png")
        Image.new("RGB", (1536, 1024), (60 * group, 90, 20)).save(job.folder / names[-1])
    rows = [
        {"id": f"r{n}", "examples": EXAMPLES[n % 4], "photo": names[n % 4], "text": f"text {n}"} for n in range(ROWS)
    ]
    random.Random(8).shuffle(rows)
    job.fill(rows)
    job.spec |= {"prompt": prompt, "limits": {"concurrency": 16}}
    job.spec["output"]["raw"] = True
    return job


def keys(job: Bench) -> list[Any]:
    """Return the key that each row was sent with, as its reply repeats it."""
    return [json.loads(raw)["prompt_cache_key"] for raw in job.column("raw")]


@pytest.mark.parametrize("prompt", CASES.values(), ids=CASES)
def test_of_rows_that_begin_alike_all_but_one_hit_the_cache(
    bench: Callable[..., Bench], play: Callable[..., Provider], prompt: Any
) -> None:
    """Examples before the question, a long system prompt, the same picture: four requests pay in full, and the table keeps its order."""
    provider = play(CACHING)
    job = grouped(bench(provider), prompt)
    closing = job.run()
    assert closing.by_status == {"ok": ROWS}
    assert job.column("id") == [row["id"] for row in job.table(job.input)]
    cached = [line["usage"]["input_tokens_details"]["cached_tokens"] for line in provider.ledger.executed()]
    assert sum(tokens > 0 for tokens in cached) == ROWS - 4
    figures = job.metadata()["prompt_cache"]
    assert (figures["requests"], figures["hits"]) == (ROWS, ROWS - 4)
    assert figures["cached_tokens"] == sum(cached) == sum(job.column("cached_tokens"))
    assert figures["input_tokens"] == provider.ledger.tokens("input_tokens")
    assert figures["hit_rate"] == round(sum(cached) / provider.ledger.tokens("input_tokens"), 4)
    assert 0.75 < figures["hit_rate"] < 0.9
    saving = sum(cached) * (0.75 - 0.075) / 1e6  # list price of gpt-5.4-mini, as `check` shows it
    assert float(figures["saved_usd"]) == pytest.approx(saving)
    assert f"in {ROWS - 4} of {ROWS} requests; saved $" in closing_screen(closing)


def test_without_it_rows_leave_in_their_order_and_pay_more(
    bench: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """Sixteen leave at once, and no answer is there yet that they could hit."""
    job = grouped(bench(play(CACHING)))
    closing = job.run("prompt_cache=false")
    assert closing.caching is not None
    assert closing.caching.hits < ROWS - 10
    assert set(keys(job)) == {None}


def test_each_group_has_a_key_and_one_of_the_users_own_stays(
    bench: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """The provider keeps requests with one key together. A key changes no answer, so a changed one asks nothing again."""
    provider = play(CACHING)
    job = grouped(bench(provider))
    job.run()
    by_group: dict[str, set[str]] = {}
    for row, key in zip(job.table(), keys(job), strict=True):
        by_group.setdefault(row["examples"], set()).add(key)
    assert [len(found) for found in by_group.values()] == [1] * 4
    assert len(set.union(*by_group.values())) == 4
    job.run("request.prompt_cache_key=mine")
    assert len(provider.ledger.requests()) == ROWS
    job.spec["output"]["path"] = "other.parquet"
    job.run("request.prompt_cache_key=mine")
    assert len(provider.ledger.requests()) == 2 * ROWS
    assert {json.loads(row["raw"])["prompt_cache_key"] for row in job.table(job.folder / "other.parquet")} == {"mine"}


def test_a_gateway_gets_no_key_that_its_page_does_not_list(
    bench: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """Its rows are ordered all the same."""
    provider = play(CACHING)
    job = grouped(bench(provider))
    job.spec["provider"] = {"base_url": provider.base("qingbo"), "dialect": "qingbo"}
    closing = job.run()
    assert closing.caching is not None
    assert closing.caching.hits == ROWS - 4
    assert {json.loads(raw).get("prompt_cache_key") for raw in job.column("raw")} == {None}


def test_samples_of_one_row_hit_what_the_first_of_them_has_warmed(
    bench: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """They have all of the prompt in common."""
    job = grouped(bench(play(CACHING | {"variation": True})))
    closing = job.run("samples=4", "input.limit=5")
    assert closing.caching is not None
    assert closing.by_status == {"ok": 20}
    assert closing.caching.hits >= 15


@pytest.mark.parametrize("fault", ["rate_limit", "server_error", "reset_before", "bad_request"])
def test_a_first_one_that_fails_holds_up_nobody(
    bench: Callable[..., Bench], play: Callable[..., Provider], fault: str
) -> None:
    """Whether it is asked again or not, every other row is answered."""
    provider = play(CACHING | {"latency_s": 0.01, "faults": [{"fault": fault, "nth": [1]}]})
    job = grouped(bench(provider))
    job.spec["retry"] = {"max_wait_s": 0.05}
    lost = fault == "bad_request"
    assert job.run().by_status == {"ok": ROWS - lost} | ({"failed": 1} if lost else {})


def test_a_budget_that_ends_early_ends_the_run(bench: Callable[..., Bench], play: Callable[..., Provider]) -> None:
    """Those who wait are left for the next run, which asks them."""
    provider = play(CACHING | {"latency_s": 0.01})
    job = grouped(bench(provider))
    job.spec["request"] = {"max_output_tokens": 100}
    with pytest.raises(BudgetReached):
        job.run("budget.usd=0.015")
    assert job.run("budget.usd=10").by_status == {"ok": ROWS}
    assert set(provider.ledger.asked().values()) <= {1}


def test_short_rows_leave_in_their_order(bench: Callable[..., Bench], provider: Provider, tmp_path: Path) -> None:
    """What no cache takes is neither moved nor given a key."""
    job = bench(provider, rows=30)
    job.spec["limits"] = {"concurrency": 1}
    job.spec["output"]["raw"] = True
    job.run()
    assert list(provider.ledger.asked()) == [f"r{n}" for n in range(30)]
    assert set(keys(job)) == {None}
    assert job.metadata()["prompt_cache"]["hit_rate"] == 0
