"""Estimates, held against small calculations of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipeline import api
from pipeline.cost.estimate import Estimate
from pipeline.cost.interval import Interval
from pipeline.cost.tokens import count_tokens
from pipeline.engine.beginnings import CACHED_FROM
from pipeline.engine.check import prepare
from pipeline.engine.estimate import MOST_LISTED, Wanted, estimate
from pipeline.errors import SpecError
from pipeline.spec.job import Job

DAY = date(2026, 11, 20)
PRICES = {"m*": {"input": 2, "cached_input": 1, "output": 8, "batch": 0.5}, "dear": {"input": 20, "output": 80}}
FRAME = 3 + 4  # tokens around a message and before the answer, as far as is published
Priced = Callable[..., Estimate]


@pytest.fixture
def priced(tmp_path: Path) -> Priced:
    """Price a job over these cells of the columns `text` and `kind`, where answers are held to 10 tokens by a cap."""

    def price(cells: Mapping[str, list[Any]], wanted: Wanted = Wanted(), **settings: Any) -> Estimate:  # noqa: B008 - frozen
        pl.DataFrame(cells).write_parquet(tmp_path / "rows.parquet")
        return estimate(prepare(job(tmp_path, **settings)), wanted, DAY)

    return price


def job(folder: Path, **settings: Any) -> Job:
    """A job of one question a row."""
    spec = {
        "provider": "simulator",
        "model": "m",
        "input": "rows.parquet",
        "prompt": "{{ text }}",
        "output": "out.parquet",
        "request": {"max_output_tokens": 10},
        "prices": PRICES,
        **settings,
    }
    return Job.model_validate(spec).located(folder)


def test_tokens_and_cost_are_those_of_the_texts(priced: Priced) -> None:
    """Each text by the tokenizer, what frames it, ten tokens of output, at the job's own prices."""
    texts = ["one", "two words", "a sentence of seven words, more or less"]
    made = priced({"text": texts})
    tokens = sum(count_tokens(texts)) + FRAME * len(texts)
    assert made.total.input["text"].mid == made.total.input_total.mid == tokens
    assert made.total.output == Interval(30, 30, 30)
    assert made.total.cost is not None
    assert made.total.cost.mid == pytest.approx((tokens * 2 + 30 * 8) / 1e6)
    assert (made.rows, made.requests, made.known, made.shared, made.silent) == (3, 3, 0, 0, 0)


def test_identical_rows_are_asked_once(priced: Priced) -> None:
    """What twins share is counted and not priced; without dedupe each asks."""
    cells = {"text": ["a", "b", "a", "a"]}
    assert (priced(cells).requests, priced(cells).shared) == (2, 2)
    assert (priced(cells, dedupe=False).requests, priced(cells, dedupe=False).shared) == (4, 0)


@pytest.mark.parametrize(
    ("chosen", "by"),
    [({}, []), ({"limit": 2}, ["input.limit"]), ({"sample": 2, "limit": 1}, ["input.sample", "input.limit"])],
)
def test_the_input_is_told_beside_the_jobs_rows(priced: Priced, chosen: dict[str, Any], by: list[str]) -> None:
    """How many rows it has, and which settings leave fewer of them to the job."""
    made = priced({"text": ["a", "b", "c"]}, input={"path": "rows.parquet", **chosen})
    assert (made.input_rows, made.chosen_by) == (3, by)


def test_each_sample_is_a_request(priced: Priced) -> None:
    """Three answers a row cost three times one."""
    once, thrice = priced({"text": ["a", "b"]}), priced({"text": ["a", "b"]}, samples=3)
    assert thrice.requests == 6
    assert thrice.total.input_total == once.total.input_total.times(3)


def test_rows_that_ask_nothing_cost_nothing(priced: Priced) -> None:
    """A null cell, and a picture that is not there, end their rows before anything is sent."""
    prompt = [{"text": "{{ text }}"}, {"image": "image"}]
    made = priced({"text": ["a", None, "c"], "image": [None, "x.png", "missing.png"]}, prompt=prompt)
    assert (made.rows, made.silent, made.requests, made.total.cost) == (3, 3, 0, Interval(0, 0, 0))


def test_a_template_of_models_is_priced_for_each(priced: Priced) -> None:
    """The total adds them up; where one has no price, neither has the total, and both say why."""
    made = priced({"text": ["a", "b", "c"], "name": ["m1", "m2", "m1"]}, model="{{ name }}")
    assert {quote.model: quote.requests for quote in made.quotes} == {"m1": 2, "m2": 1}
    assert made.total.requests == 3
    unpriced = priced({"text": ["a", "b"], "name": ["m1", "x-unheard-of"]}, model="{{ name }}")
    assert unpriced.total.cost is None
    assert unpriced.total.missing
    assert [quote.cost is None for quote in unpriced.quotes] == [False, True]


def test_models_and_tiers_are_compared_in_one_pass(priced: Priced) -> None:
    """Every model in every tier; batch is half of default by this job's prices."""
    made = priced({"text": ["a", "b"]}, Wanted(models=["m", "dear"], tiers=["default", "batch"]))
    costs = {(quote.model, quote.tier): quote.cost for quote in made.quotes}
    assert list(costs) == [("m", "default"), ("m", "batch"), ("dear", "default"), ("dear", "batch")]
    normal, half, dear = costs["m", "default"], costs["m", "batch"], costs["dear", "default"]
    assert normal is not None
    assert half is not None
    assert dear is not None
    assert half.mid == pytest.approx(normal.mid / 2)
    assert dear.mid == pytest.approx(normal.mid * 10)
    assert made.total.cost == normal


def test_details_change_pictures_and_nothing_else(priced: Priced, tmp_path: Path) -> None:
    """By the published rule of tiles: 85 at low, 85 and 170 for each of four tiles at high; a text job has no details."""
    from PIL import Image

    Image.new("RGB", (1024, 1024)).save(tmp_path / "p.png")
    prompt = [{"text": "{{ text }}"}, {"image": "image"}]
    wanted = Wanted(models=["gpt-4.1"], details=["low", "high"])
    cells = {"text": ["a"], "image": ["p.png"]}
    low, high = priced(cells, wanted, prompt=prompt).quotes
    assert (low.detail, low.input["image"].mid, high.detail, high.input["image"].mid) == ("low", 85, "high", 765)
    assert low.input["text"] == high.input["text"]
    assert [quote.detail for quote in priced({"text": ["a"]}, wanted).quotes] == [None]


def test_a_column_splits_the_figures(priced: Priced) -> None:
    """The groups add up to the whole; an empty cell is a group, and the dearest come first."""
    made = priced({"text": ["a long text, " * 9, "b", "c"], "kind": ["x", None, "x"]}, Wanted(by="kind"))
    assert [(quote.group, quote.rows, quote.requests) for quote in made.groups] == [("x", 2, 2), ("", 1, 1)]
    assert sum(quote.input_total.mid for quote in made.groups) == made.total.input_total.mid


def test_only_the_dearest_values_are_listed(priced: Priced) -> None:
    """The others are summed up in one group, which says how many they are."""
    cells = {"text": [f"{number} " + "word " * number for number in range(30)], "kind": list(range(30))}
    made = priced(cells, Wanted(by="kind"))
    *listed, rest = made.groups
    assert [quote.group for quote in listed] == [str(number) for number in range(29, 29 - MOST_LISTED, -1)]
    assert (rest.group, rest.others, rest.requests) == (None, 10, 10)


def test_a_column_that_is_not_there_is_named(priced: Priced) -> None:
    """With the one that was meant."""
    with pytest.raises(SpecError, match="did you mean 'kind'"):
        priced({"text": ["a"], "kind": ["x"]}, Wanted(by="kinds"))


def test_functions_and_repairs_mean_further_calls(priced: Priced) -> None:
    """Low is one call an answer; high is every round that the job allows."""
    output = {"path": "out.parquet", "fields": {"label": "string"}, "repair": 2}
    made = priced({"text": ["a", "b"]}, output=output)
    assert made.total.calls == Interval(2, 2, 6)
    assert made.total.input_total.high > 2 * made.total.input_total.mid


def test_a_shared_beginning_may_come_from_the_cache(priced: Priced) -> None:
    """Only in low, only from 1,024 tokens on, and it is said."""
    system = "word " * 2000
    made = priced({"text": ["a", "b"]}, prompt={"system": system, "user": "{{ text }}"})
    shared = count_tokens([system])[0]
    cost = made.total.cost
    assert cost is not None
    assert cost.mid - cost.low >= 2 * shared * 1e-6
    assert f"caching: low takes the {shared:,} tokens" in "\n".join(made.assumptions)
    assert "caching: none" in "\n".join(priced({"text": ["a"]}).assumptions)


def test_groups_that_begin_alike_may_take_that_from_the_cache(priced: Priced) -> None:
    """All but the first of each: rows need not all share one beginning."""
    shots = [f"{name} " * 2000 for name in ("red", "blue")]
    made = priced({"text": [shot + str(row) for row in range(5) for shot in shots]}, prompt={"user": "{{ text }}"})
    cost = made.total.cost
    assert cost is not None
    assert "caching: low takes from the cache what 8 of the requests" in "\n".join(made.assumptions)
    assert cost.low < cost.mid - 8 * CACHED_FROM * 1e-6


@pytest.mark.parametrize(
    ("limits", "seconds"),
    [
        ({}, None),
        ({"requests_per_minute": 60}, 100 + 1 + 10 / 60),
        ({"concurrency": 4}, (1 + 10 / 60) * 25),
        ({"requests_per_minute": 6000, "tokens_per_minute": 1800}, 60 * 100 * (1 + FRAME + 10) / 1800 + 1 + 10 / 60),
    ],
)
def test_the_slowest_limit_decides_how_long_it_takes(
    priced: Priced, limits: dict[str, float], seconds: float | None
) -> None:
    """100 calls of 18 tokens; without limits nobody knows."""
    words = [f"{number}" for number in range(100)]
    made = priced({"text": words}, limits=limits)
    if seconds is None:
        assert (made.duration_s, made.duration_note) == (None, "unknown: the job sets no limits")
    else:
        assert made.duration_s is not None
        assert made.duration_s.mid == pytest.approx(seconds)


def test_what_was_answered_is_not_priced_again(tmp_path: Path) -> None:
    """After a run everything is known, and the job costs nothing more; what is compared is priced for all answers, and a new row costs."""
    pl.DataFrame({"text": [f"t{number}" for number in range(12)]}).write_parquet(tmp_path / "rows.parquet")
    path = tmp_path / "job.yaml"
    path.write_text(job(tmp_path).model_dump_json(exclude_unset=True), encoding="utf-8")
    before = api.estimate(path)[0]
    assert not (tmp_path / "out.parquet.run").exists()
    finished = api.run(path)
    after = api.estimate(path, models=["m", "dear"], details=["low"])[0]
    assert (before.known, before.requests, after.known, after.requests) == (0, 12, 12, 0)
    assert after.total.cost == Interval(0, 0, 0)
    assert [quote.requests for quote in after.quotes] == [12, 12]
    assert after.quotes[0].output.mid == after.quotes[1].output.mid == finished.usage.output_tokens
    assert any(line.startswith("compared: priced for all answers") for line in after.assumptions)
    pl.DataFrame({"text": [f"t{number}" for number in range(13)]}).write_parquet(tmp_path / "rows.parquet")
    grown = api.estimate(path)[0]
    assert (grown.known, grown.requests) == (12, 1)
    assert grown.total.output.mid == pytest.approx((finished.usage.output_tokens or 0) / 12)
    assert any("as 12 answered calls of this job had" in line for line in grown.assumptions)


@pytest.mark.anyio
async def test_a_notebook_may_ask(tmp_path: Path) -> None:
    """Nothing in it needs an event loop of its own, and every choice is checked before the pass."""
    with pytest.raises(SpecError) as caught:
        api.estimate(tmp_path / "none.yaml", details=["ultra"], tiers=["slow"])
    assert [problem.where for problem in caught.value.problems] == ["--details", "--tiers"]
