"""Every bill adds up: what the table carries, what was superseded and what is unknown are together what the provider charged.

The truth is the simulator's ledger, priced here by a little table of list prices and arithmetic of its own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest

import pipeline
from pipeline import api
from pipeline.errors import RunError
from pipeline.events import Money

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.bench import Bench, Ledger

PICOS = 10**12
Rates = tuple[str, str, str]
# Dollars for a million tokens: new input, cached input, output.
LIST: Mapping[str, Rates] = {
    "default": ("0.75", "0.075", "4.5"),
    "flex": ("0.375", "0.0375", "2.25"),
    "priority": ("1.5", "0.15", "9"),
}
LONG = "The same long beginning of a prompt, which the provider keeps. " * 120
CODE = '''
def step(word: str) -> str:
    """Take a step."""
    return "@"
'''
ONCE = {"times": 1}
NO_FIT = {"type": "object", "properties": {"code": {"type": "string", "pattern": "^zz$"}}, "required": ["code"]}


def picos(usage: Mapping[str, Any], rates: Rates) -> Fraction:
    """Return what the ledger's tokens cost, in picodollars."""
    new, cached, output = map(Fraction, rates)
    read = usage["input_tokens_details"]["cached_tokens"]
    return ((usage["input_tokens"] - read) * new + read * cached + usage["output_tokens"] * output) * 10**6


@dataclass
class Case:
    """A job, the ledger of its provider, and the rates of a row of the ledger."""

    job: Bench
    ledger: Ledger
    rates: Callable[[Mapping[str, Any]], Rates] = field(default=lambda _line: LIST["default"])

    @property
    def truth(self) -> dict[str, Fraction]:
        """Return what was charged for each response."""
        return {
            line["response_id"]: picos(line["usage"], self.rates(line))
            for line in self.ledger.requests()
            if line["charged"]
        }

    @property
    def received(self) -> set[str]:
        """Return the responses whose tokens the journal has."""
        with sqlite3.connect(self.job.folder / "out.parquet.run" / "journal.sqlite") as journal:
            query = "SELECT response_id FROM attempts WHERE output_tokens IS NOT NULL"
            return {name for (name,) in journal.execute(query)}

    def adds_up(self, *, unknown: int = 0) -> Money:
        """Hold the journal, the table and the file's own words against the ledger; ``unknown`` attempts have no known cost."""
        money = api.status(self.job.job).totals.money
        assert money.table is not None
        assert money.superseded is not None
        truth, received = self.truth, self.received
        assert money.table + money.superseded == sum(cost for name, cost in truth.items() if name in received)
        lost = truth.keys() - received
        assert len(lost) <= money.unknown == unknown
        costs = self.job.column("cost_usd")
        assert abs(sum(Fraction(cost) for cost in costs if cost) * PICOS - money.table) < 1
        said = self.job.metadata()
        assert Decimal(said["cost_usd"]) == Decimal(money.table) / PICOS
        assert Decimal(said["superseded_cost_usd"]) == Decimal(money.superseded) / PICOS
        return money


@pytest.fixture
def case(bench: Callable[..., Bench], tmp_path: Path) -> Iterator[Callable[..., Case]]:
    """Set up a job whose provider, in this process, plays a script."""
    from tests.e2e.bench import Ledger

    with ExitStack() as stack:

        def set_up(script: Mapping[str, object] | None = None, *, rows: int = 4, **settings: Any) -> Case:
            path = tmp_path / "ledger.jsonl"
            running = stack.enter_context(api.simulate(script=script, ledger=path))
            job = bench(rows=rows, **{"provider": {"name": "openai", "base_url": running.base_url()}, **settings})
            return Case(job, Ledger(path))

        yield set_up


def test_cached_tokens_and_reasoning_are_paid_at_their_rates(case: Callable[..., Case]) -> None:
    """Rows with a long beginning in common and a lot of reasoning cost what the ledger says, to the picodollar."""
    request = {"reasoning": {"effort": "high"}}
    case_ = case({"cache": True}, prompt=LONG + "#{{ id }}#", request=request, limits={"concurrency": 1})
    case_.job.run()
    details = [line["usage"] for line in case_.ledger.requests()]
    assert any(usage["input_tokens_details"]["cached_tokens"] for usage in details)
    assert any(usage["output_tokens_details"]["reasoning_tokens"] for usage in details)
    money = case_.adds_up()
    assert money.prices == (
        "gpt-5.4-mini: list price of OpenAI, genai-prices 0.2.3 of 2026-11-10; openai may charge otherwise",
    )


def test_each_row_is_paid_at_the_tier_that_served_it(case: Callable[..., Case]) -> None:
    """Tiers that rows ask for by a template are told apart in the bill."""
    tiers = ["default", "flex", "priority", "auto"]
    case_ = case(request={"service_tier": "{{ tier }}"})
    case_.job.fill([{"id": f"r{number}", "text": "a", "tier": tier} for number, tier in enumerate(tiers)])
    case_.rates = lambda line: LIST.get(tiers[int(line["request_text"][2])], LIST["default"])
    case_.job.run()
    case_.adds_up()


def test_the_users_own_prices_are_the_bill(case: Callable[..., Case]) -> None:
    """A discount in another currency is paid exactly, and its source stands beside the sum."""
    own = {
        "input": 0.37,
        "cached_input": 0.1,
        "output": 2.1,
        "currency": "EUR",
        "usd_per_unit": 1.08,
        "source": "our contract",
    }
    case_ = case(prices={"openai/gpt-5.4*": own})
    case_.rates = lambda _line: ("0.3996", "0.108", "2.268")
    case_.job.run()
    assert case_.adds_up().prices == ("gpt-5.4-mini: our contract",)


def test_failed_and_retried_attempts_are_in_the_bill(case: Callable[..., Case]) -> None:
    """What is turned away costs nothing; what is cut off or told without tokens is unknown and counted, and its row costs what is known."""
    faults = [
        {"fault": "rate_limit", "retry_after": 0.01, "text": "#r0#", **ONCE},
        {"fault": "reset_after", "text": "#r1#", **ONCE},
        {"fault": "no_usage", "text": "#r2#"},
        {"fault": "refusal", "text": "#r3#"},
        {"fault": "incomplete", "text": "#r4#"},
        {"fault": "failed", "text": "#r5#", **ONCE},
        {"fault": "bad_request", "text": "#r6#"},
    ]
    case_ = case({"faults": faults}, rows=8, retry={"attempts": 3, "max_wait_s": 0.05})
    case_.job.run()
    money = case_.adds_up(unknown=2)
    assert (money.maybe_paid, money.unreported, money.unpriced) == (1, 1, 0)
    rows = case_.job.table()
    assert [row["cost_usd"] is None for row in rows] == [False, False, True, False, False, False, False, False]
    assert rows[6]["cost_usd"] == 0
    assert [rows[1]["cost_note"], rows[2]["cost_note"], rows[3]["cost_note"]] == [
        "the end of an attempt is not known; it may have been paid",
        "the provider did not report the tokens",
        None,
    ]


def test_a_run_that_stopped_in_the_middle_goes_on_with_its_bill(case: Callable[..., Case]) -> None:
    """Before and after the resume the bill is the ledger's."""
    case_ = case({"faults": [{"fault": "unauthorized", "nth": [4]}]}, rows=8, limits={"concurrency": 1})
    with pytest.raises(RunError):
        case_.job.run()
    first = case_.adds_up()
    case_.job.run()
    whole = case_.adds_up()
    assert first.table is not None
    assert whole.table is not None
    assert 0 < first.table < whole.table


@pytest.mark.parametrize("dedupe", [True, False])
def test_samples_and_shared_answers_are_paid_once(case: Callable[..., Case], dedupe: bool) -> None:
    """Three answers per row are paid three times, and twins carry 0 where they share."""
    case_ = case(samples=3, dedupe=dedupe, prompt="#{{ text }}#")
    case_.job.fill([{"id": f"r{number}", "text": "a" if number < 3 else "b"} for number in range(4)])
    case_.job.run()
    case_.adds_up()
    assert len(case_.truth) == (6 if dedupe else 12)
    assert [cost == 0 for cost in case_.job.column("cost_usd")] == [False, dedupe, dedupe, False]


def test_an_edited_prompt_leaves_the_old_answers_paid(case: Callable[..., Case]) -> None:
    """What the table no longer uses is superseded, not forgotten; and what is used again comes back into the table."""
    case_ = case(prompt="#{{ id }}# first")
    case_.job.run()
    before = case_.adds_up()
    case_.job.spec["prompt"] = "#{{ id }}# another wording"
    case_.job.run()
    after = case_.adds_up()
    assert (before.superseded, after.superseded) == (0, before.table)
    case_.job.spec["prompt"] = "#{{ id }}# first"
    case_.job.run()
    assert case_.adds_up().superseded == after.table


def test_a_retry_with_a_change_supersedes_what_it_replaces(case: Callable[..., Case]) -> None:
    """The answer that stands is carried by its row, the one before it is superseded."""
    case_ = case({"faults": [{"fault": "incomplete", "text": "#r1#", **ONCE}]})
    case_.job.run()
    case_.job.run("request.max_output_tokens=2000", retry=["truncated"])
    assert case_.adds_up().superseded


def test_every_round_of_functions_is_in_the_bill(case: Callable[..., Case]) -> None:
    """The rounds of a row add up to its cost."""
    case_ = case({"tool_rounds": 2}, prompt="#{{ id }}# Take a step.", tools=["code.py:step"])
    (case_.job.folder / "code.py").write_text(CODE, encoding="utf-8")
    case_.job.run()
    case_.adds_up()
    assert len(case_.truth) == 12


def test_every_repair_is_in_the_bill(case: Callable[..., Case]) -> None:
    """An answer that never fits is paid as often as it was asked for."""
    case_ = case(rows=2, output={"path": "out.parquet", "fields": NO_FIT, "repair": 2})
    case_.job.run()
    case_.adds_up()
    assert len(case_.truth) > 2


def test_a_model_without_a_price_costs_an_unknown_amount(case: Callable[..., Case]) -> None:
    """Never 0: the rows have no cost and say why, and prices that are given later price the same journal."""
    case_ = case(model="in-house-7", rows=2)
    finished = case_.job.run()
    assert finished.money is not None
    assert (finished.money.table, finished.money.unpriced) == (None, 2)
    assert case_.job.column("cost_usd") == [None, None]
    assert case_.job.column("cost_note") == ["genai-prices 0.2.3 lists no price for in-house-7"] * 2
    assert case_.job.metadata()["cost_usd"] is None
    case_.job.spec["prices"] = {"in-house-7": {"input": 1, "output": 2}}
    case_.rates = lambda _line: ("1", "1", "2")
    pipeline.run(case_.job.job, yes=True)
    case_.adds_up()
    assert len(case_.truth) == 2


def test_a_tier_that_is_sent_along_stays_with_its_attempts(case: Callable[..., Case]) -> None:
    """Where the provider does not say what served, an old bill is not priced by what the job asks today."""
    prices = {"gpt-5.4-mini": {"input": 2, "output": 10, "priority": 2}}
    case_ = case({"faults": [{"fault": "chat_shape"}]}, prices=prices, extra_body={"service_tier": "priority"})
    case_.rates = lambda _line: ("4", "4", "20")
    case_.job.run()
    before = api.status(case_.job.job).totals.money
    assert before.table == sum(case_.truth.values())
    del case_.job.spec["extra_body"]
    assert api.status(case_.job.job).totals.money == before
