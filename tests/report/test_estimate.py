"""The screen and the files of an estimate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from pipeline.cost.estimate import KINDS, Estimate, Quote, Rate, Sampled
from pipeline.cost.interval import ZERO, Interval
from pipeline.errors import DiskFailed
from pipeline.events import Expected
from pipeline.report.estimate import render_estimate, render_estimates
from pipeline.report.estimate_table import SCHEMA, write_estimates
from pipeline.report.expected import between, expected_cost, usd_text


def quote(model: str = "m", cost: Interval | None = Interval(1, 2, 3), **changes: object) -> Quote:  # noqa: B008 - frozen
    """What ten rows of 100 tokens come to."""
    tokens = dict.fromkeys(KINDS, ZERO) | {"text": Interval(900, 1000, 1200), "image": Interval(50, 50, 50)}
    made = Quote(
        model=model,
        detail=None,
        tier=None,
        rows=10,
        requests=10,
        calls=Interval(10, 10, 10),
        input=tokens,
        output=Interval(100, 200, 300),
        cost=cost,
        missing=None if cost is not None else f"no price for {model}",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def estimate(*quotes: Quote, **changes: object) -> Estimate:
    """An estimate of a job with these quotes."""
    made = Estimate(
        job="photos",
        provider="openai",
        simulated=False,
        rows=14,
        samples=1,
        silent=1,
        known=2,
        shared=1,
        requests=10,
        total=quote(),
        quotes=quotes or (quote(),),
        groups=(),
        by=None,
        rates=[
            Rate("m", "flex", "2.5", "0.25", "15", "a list", "2026-11-10", "half price"),
            Rate("n", None, missing="unheard of"),
        ],
        duration_s=Interval(60, 90, 7200),
        duration_note="at requests_per_minute 500",
        assumptions=["output: guessed"],
        not_counted=["attempts that are repeated"],
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_the_screen_says_everything() -> None:
    """What is asked, what it takes, what it costs, what that rests on, and what it leaves out."""
    assert render_estimate(estimate()) == (
        "photos: m at openai\n"
        "  rows       14\n"
        "  to send    10 requests (2 known already, 1 shared by identical rows, 1 of rows that ask nothing)\n"
        "  input      1,050 (950-1,250) tokens: text 1,000, image 50\n"
        "  output     200 (100-300) tokens\n"
        "  cost       $1.00-3.00, about $2.00\n"
        "  time       1 min 00 s to 2 h 00 min at requests_per_minute 500\n"
        "\n"
        "  rate       m flex: $2.5 in, $0.25 cached, $15 out per million tokens\n"
        "  rate       n: unknown: unheard of\n"
        "  rates from a list of 2026-11-10; half price (m)\n"
        "  assumed    output: guessed\n"
        "  left out   attempts that are repeated"
    )


def test_rows_say_of_how_many() -> None:
    """Where settings leave some of the input's rows, by their names."""
    screen = render_estimate(estimate(rows=20, input_rows=400, chosen_by=["input.limit"]))
    assert "  rows       20 of the 400 rows of the input (input.limit)\n" in screen
    assert "  rows       14\n" in render_estimate(estimate(input_rows=14, chosen_by=["input.limit"]))


def test_what_is_unknown_says_why() -> None:
    """A cost or a time that nobody knows is never 0."""
    made = estimate(total=quote(cost=None), duration_s=None, duration_note="unknown: the job sets no limits")
    screen = render_estimate(made)
    assert "  cost       unknown: no price for m\n" in screen
    assert "  time       unknown: the job sets no limits\n" in screen


def test_models_stand_side_by_side() -> None:
    """One line each, with what tells them apart, and a sentence on the ends."""
    cheap, dear = (
        quote("small", Interval(12, 13, 15), detail="low"),
        quote("large", Interval(140, 150, 170), detail="high"),
    )
    screen = render_estimate(estimate(dear, cheap, quote("odd", None)))
    assert (
        "  model  detail  requests  input  output  cost\n  large  high          10  1,050     200  $140-170\n" in screen
    )
    assert "unknown: no price for odd" in screen
    assert "cheapest: small at detail low: $12.00-15.00; dearest: large at detail high: $140-170" in screen


def test_several_jobs_are_summed_up() -> None:
    """For each model that all of them are priced for; a job without pictures counts for every detail."""
    first = estimate(
        quote(detail="low"), quote(detail="high", cost=Interval(5, 6, 7)), quote("only-here", detail="low")
    )
    second = estimate(quote(), job="films")
    together = render_estimates([first, second]).split("\n\n")[-2]
    assert together.splitlines()[0] == "together: photos, films"
    assert "low           20  2,100     400  $2.00-6.00" in together
    assert "high          20  2,100     400  $6.00-10.00" in together
    assert "only-here" not in together


def test_groups_are_listed() -> None:
    """By the value of the column; strangers' texts steer no terminal."""
    groups = [quote(group="cats\x1b[2J"), quote(group=""), quote(group=None, others=7)]
    screen = render_estimate(estimate(groups=groups, by="kind"))
    assert "cats\\x1b[2J" in screen
    assert "(empty)" in screen
    assert "(7 others)" in screen


@pytest.mark.parametrize(
    ("usd", "shown"),
    [(0.0, "$0.00"), (0.00000123, "$0.0000012"), (0.042, "$0.042"), (0.5, "$0.50"), (3.7, "$3.70"), (1234.5, "$1,234")],
)
def test_two_digits_of_a_small_amount_count(usd: float, shown: str) -> None:
    """What is small is not shown as nothing."""
    assert usd_text(usd) == shown
    assert between(usd, usd) == shown


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [
        (0.126, 0.133, "$0.126-0.133"),
        (3.701, 3.704, "$3.701-3.704"),
        (140.1, 140.4, "$140.10-140.40"),
        (0.13, 0.13000001, "$0.130"),
    ],
)
def test_an_interval_has_two_ends_where_a_digit_more_tells_them_apart(low: float, high: float, shown: str) -> None:
    """Two digits would hide how wide it is."""
    assert between(low, high) == shown


def test_an_expected_cost_is_a_range_or_a_reason() -> None:
    """As the consent screen and the log say it."""
    assert expected_cost(Expected(12.0, 15.0, "for 3 requests")) == "$12.00-15.00 for 3 requests"
    assert expected_cost(Expected(None, None, "no price for m")) == "unknown: no price for m"


def test_the_file_has_a_row_for_each_quote(tmp_path: Path) -> None:
    """Figures in three levels, nulls for what is unknown, and the group's column beside its value."""
    made = estimate(quote(), quote("n", None, tier="flex"), groups=[quote(group="cats")], by="kind")
    write_estimates([made], tmp_path / "e.parquet")
    table = pl.read_parquet(tmp_path / "e.parquet")
    assert table.columns == SCHEMA.names
    assert table.select("job", "model", "tier", "by", "group").rows() == [
        ("photos", "m", None, None, None),
        ("photos", "n", "flex", None, None),
        ("photos", "m", None, "kind", "cats"),
    ]
    assert table["cost_usd_mid"].to_list() == [2.0, None, 2.0]
    assert table["cost_missing"].to_list() == [None, "no price for n", None]
    assert table["input_tokens_high"].to_list() == [1250.0] * 3


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """With its name, and without a traceback."""
    (tmp_path / "file").touch()
    with pytest.raises(DiskFailed, match=r"cannot write .*e\.parquet"):
        write_estimates([estimate()], tmp_path / "file" / "e.parquet")


def pilot(**changes: object) -> Sampled:
    """What a pilot of 20 says of 100 requests."""
    each = Interval(900, 1000, 1100)
    made = Sampled("pilot", 20, 100, Interval(1, 1, 1), each, each, {0.5: 9.0}, Interval(4, 5, 6), 1.0, (), sent=20)
    return replace(made, **changes)  # type: ignore[arg-type]


def test_a_measured_total_says_by_what() -> None:
    """On each line whose figure is measured, and on no other."""
    screen = render_estimate(estimate(sampled=[pilot()], measured={"cost": "pilot", "input": "exact"}))
    assert "  cost       $1.00-3.00, about $2.00, by the pilot\n" in screen
    assert "  input      1,050 (950-1,250) tokens, by the provider's count: text 1,000, image 50\n" in screen
    assert "  output     200 (100-300) tokens\n" in screen


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "20 of 100 requests, asked and kept for $1.00; of all of them, 9 times in 10:"),
        ({"sent": 0}, "20 of 100 requests, answered before for $1.00; of all of them, 9 times in 10:"),
        (
            {"input": None, "output": None, "cost": None, "notes": ["too little"]},
            "20 of 100 requests, asked and kept for $1.00\n    note    too little",
        ),
    ],
)
def test_a_pilots_line_says_what_was_done_and_what_follows(changes: dict[str, object], line: str) -> None:
    """A pilot whose answers were there asked nothing, and one that tells nothing announces nothing."""
    assert f"  pilot      {line}\n" in render_estimate(estimate(sampled=[pilot(**changes)]))


def test_what_is_still_to_pay_is_what_is_left_to_send() -> None:
    """After a run that went on since the pilot, it is not the whole less the pilot: the same screen says that nothing is to send."""
    done = quote(cost=ZERO, requests=0)
    assert "; still to pay about $0.00\n" in render_estimate(estimate(done, total=done, sampled=[pilot(sent=0)]))
    assert "; still to pay about $2.00\n" in render_estimate(estimate(sampled=[pilot()]))


def test_the_file_says_what_each_row_rests_on(tmp_path: Path) -> None:
    """What is left by the pilot stands in place of the only quote, and what the pilot says of the whole table beside it."""
    total = quote()
    made = estimate(total, total=total, sampled=[pilot(cost=None)], measured={"output": "pilot"})
    write_estimates([made, estimate()], tmp_path / "e.parquet")
    table = pl.read_parquet(tmp_path / "e.parquet")
    assert table["basis"].to_list() == ["measured", "pilot", "estimate"]
    assert table["requests"].to_list() == [10, 100, 10]
    assert table["output_tokens_mid"].to_list() == [200.0, 1000.0, 200.0]
    assert table["cost_usd_mid"].to_list() == [2.0, None, 2.0]
    assert table["text_tokens_mid"].to_list() == [1000.0, None, 1000.0]
