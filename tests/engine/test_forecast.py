"""What is said before a run, from some of its rows."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import api
from pipeline.checkpoint.rundir import journal_path
from pipeline.checkpoint.store import opened
from pipeline.engine.check import prepare
from pipeline.engine.feed import all_but, everything
from pipeline.engine.forecast import LOOKED_AT, Forecast, forecast, sorted_by, spread
from pipeline.events import Event, RunStarted
from pipeline.simulator import Simulator
from pipeline.spec.load import load_job

DAY = date(2026, 11, 20)


def spec(folder: Path, rows: int, **settings: Any) -> Path:
    """A job of so many short rows, at round prices."""
    pl.DataFrame({"text": [f"{number}" for number in range(rows)]}).write_parquet(folder / "rows.parquet")
    path = folder / "job.yaml"
    values = {
        "provider": {"base_url": "http://127.0.0.1:1/v1"},
        "model": "m",
        "input": "rows.parquet",
        "prompt": "{{ text }}",
        "output": "out.parquet",
        "request": {"max_output_tokens": 10},
        "prices": {"m": {"input": 2, "output": 8}},
        **settings,
    }
    path.write_bytes(orjson.dumps(values))
    return path


def looked(path: Path, answers: int | None, finished: int = 0) -> Forecast:
    """The forecast for a job whose first rows are finished."""
    prepared = prepare(load_job(path))
    left = all_but(bytearray([1] * finished)) if finished else everything()
    return forecast(prepared, left, answers, sorted_by(lambda _: False, dedupe=True), {}, DAY)


def test_a_small_job_is_looked_at_as_a_whole(tmp_path: Path) -> None:
    """Then the forecast is the estimate."""
    path = spec(tmp_path, 300)
    made, whole = looked(path, 300), api.estimate(path)[0]
    assert (made.looked_at, made.requests, made.partial) == (300, 300, False)
    assert (made.cost, made.output, made.input) == (whole.total.cost, whole.total.output, whole.total.input)


def test_a_large_job_is_looked_at_in_places(tmp_path: Path) -> None:
    """About a thousand rows from everywhere, and the sum is right within a percent."""
    path = spec(tmp_path, 30_000)
    made, whole = looked(path, 30_000), api.estimate(path)[0]
    assert LOOKED_AT * 0.9 < made.looked_at < LOOKED_AT * 1.1
    assert made.requests == pytest.approx(30_000)
    assert made.cost is not None
    assert whole.total.cost is not None
    assert made.cost.mid == pytest.approx(whole.total.cost.mid, rel=0.01)


def test_what_is_finished_is_not_looked_at(tmp_path: Path) -> None:
    """A run that goes on is priced for what it lacks."""
    made = looked(spec(tmp_path, 5000), 40, finished=4960)
    assert (made.looked_at, made.requests) == (40, 40)


def test_rows_that_nobody_counted_have_no_sum(tmp_path: Path) -> None:
    """The first thousand are priced, and the sentence says that these are all that is known."""
    made = looked(spec(tmp_path, 5000), None)
    assert (made.looked_at, made.requests, made.partial) == (1000, None, True)
    assert made.expected().note == "for the first 1,000 rows; how many there are is not known"


@pytest.mark.parametrize(("answers", "partial"), [(300, False), (900, True)])
def test_all_rows_are_never_called_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: int, partial: bool
) -> None:
    """Also where the patience ends just after the last of them."""
    monkeypatch.setattr("pipeline.engine.forecast.PATIENCE_S", -1.0)
    made = looked(spec(tmp_path, 300), answers)
    assert (made.looked_at, made.partial) == (300, partial)
    assert ("from the first 300 rows" in made.expected().note) is partial


@given(st.integers(0, 400), st.integers(1, 300), st.integers(1, 12))
def test_a_span_is_left_out_only_where_no_row_of_it_is_looked_at(first: int, count: int, step: int) -> None:
    """What is thinned out agrees with itself: a span is wanted exactly where one of its rows is."""
    span, samples = spread(everything(), step)
    assert span(first, count) == any(samples(row) for row in range(first, first + count))


@pytest.mark.parametrize("yes", [True, False])
def test_the_cost_is_told_before_the_first_request_and_kept(tmp_path: Path, yes: bool) -> None:
    """The person who is asked sees it, the log has it, and the journal keeps it in picodollars."""
    heard: list[Event] = []
    offers = []
    with Simulator() as server:
        path = spec(tmp_path, 30, provider={"base_url": server.base_url()})
        api.run(path, yes=yes, confirm=lambda offer: not offers.append(offer), observe=heard.append)
    started = next(event for event in heard if isinstance(event, RunStarted))
    assert started.expected is not None
    assert [offer.expected for offer in offers] == ([] if yes else [started.expected])
    with opened(journal_path(tmp_path / "out.parquet.run"), read_only=True) as connection:
        kept = orjson.loads(connection.execute("SELECT estimate FROM sessions").fetchone()[0])
    assert started.expected.low is not None
    assert kept["cost"]["low"] == round(started.expected.low * 1e12)
    assert (kept["requests"], kept["missing"]) == (30, None)
    assert kept["output"] == {"low": 300, "mid": 300, "high": 300}


def test_an_unknown_price_is_told_as_unknown(tmp_path: Path) -> None:
    """Never as nothing."""
    made = looked(spec(tmp_path, 3, prices={}, model="x-unheard-of"), 3)
    assert made.cost is None
    assert made.expected().low is None
    assert "x-unheard-of" in made.expected().note


def test_a_simulated_run_expects_nothing(tmp_path: Path) -> None:
    """It costs nothing, and starts as quickly as before."""
    heard: list[Event] = []
    api.run(spec(tmp_path, 3, provider="simulator"), observe=heard.append)
    assert next(event for event in heard if isinstance(event, RunStarted)).expected is None
