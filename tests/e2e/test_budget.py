"""A budget against the ledger of a provider in another process: what it executed, at the job's prices, is never more than the cap."""

from __future__ import annotations

import random
import re
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

import pipeline
from pipeline import api
from pipeline.checkpoint.past import past
from pipeline.cost.rates import PICOS
from pipeline.errors import BudgetReached, SpecError
from pipeline.events import Notice, RunStarted, Spent

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.bench import Bench, Ledger, Provider
    from tests.e2e.process import Process

MODEL = "gpt-5.4-mini"
INPUT, OUTPUT = 2, 10
"""Dollars for a million tokens."""
ANSWER = 40
"""The tokens that an answer may have; the simulator's have about half of that."""


@pytest.fixture
def priced(bench: Callable[..., Bench]) -> Callable[..., Bench]:
    """Set up a job whose model has a price and whose answers have an end."""

    def set_up(asks: Provider | None = None, **settings: Any) -> Bench:
        prices = {MODEL: {"input": INPUT, "output": OUTPUT}}
        return bench(asks, **{"prices": prices, "request": {"max_output_tokens": ANSWER}, **settings})

    return set_up


def bill(ledger: Ledger) -> int:
    """Return what a provider has executed, in picodollars."""
    return (ledger.tokens("input_tokens") * INPUT + ledger.tokens("output_tokens") * OUTPUT) * PICOS // 10**6


def heavy(rows: int) -> list[dict[str, str]]:
    """Return rows whose worst case, a token for each byte, is some three times what they cost."""
    return [{"id": f"r{number}", "text": f"text {number} " * 100} for number in range(rows)]


@pytest.mark.parametrize(
    ("rows", "kills"),
    [
        pytest.param(400, 3, id="short"),
        pytest.param(2700, 20, id="long", marks=[pytest.mark.slow, pytest.mark.timeout(600)]),
    ],
)
def test_a_cap_is_not_exceeded_by_one_request_however_often_the_run_is_killed(
    priced: Callable[..., Bench], play: Callable[..., Provider], start: Callable[..., Process], rows: int, kills: int
) -> None:
    """At every moment, with 64 requests out at once; with a larger cap the same command goes on, and at last every row is answered."""
    provider = play({"latency_s": {"median": 0.05, "p95": 0.15}})
    job = priced(provider, rows=rows, request={"max_output_tokens": 30}, limits={"concurrency": 64})
    moments, cap = random.Random(kills), 0.0
    killed, fullest = 0, 0.0
    for _ in range(kills):
        cap = round(cap + 0.026, 3)  # some 65 worst cases: a run that is not killed before has to stop
        with start("tell", str(job.job), f"budget.usd={cap}") as run:
            run.says("RowFinished", moments.randint(1, 100))
            if run.runs_for(moments.uniform(0.0, 0.8)):
                run.signal(signal.SIGKILL)
            ended = run.end()
        assert ended in (-signal.SIGKILL, BudgetReached.exit_code)
        killed += ended == -signal.SIGKILL
        fullest = max(fullest, bill(provider.ledger) / (cap * PICOS))
        assert bill(provider.ledger) <= cap * PICOS
        purse = pipeline.status(job.job).purse
        assert purse is not None
        assert bill(provider.ledger) <= purse.spent.picos + purse.held.picos <= cap * PICOS
    with pytest.raises(BudgetReached):
        job.run(f"budget.usd={cap}")
    assert bill(provider.ledger) <= cap * PICOS
    assert job.run("budget.usd=100").by_status == {"ok": rows}
    assert bill(provider.ledger) > cap * PICOS
    print(
        f"{rows} rows, {killed} kills, {kills - killed} stops at a cap; the bill came to at most {fullest:.1%} of its cap"
    )


def test_rows_that_ask_nothing_do_not_make_the_named_budget_too_small(
    priced: Callable[..., Bench], provider: Provider
) -> None:
    """They are all passed by the time the run stops, and those that are left cost what those that were asked did."""
    job = priced(provider, budget=0.005, on_null="skip")
    job.fill([{**row, "text": row["text"] if number % 3 == 0 else None} for number, row in enumerate(heavy(120))])
    with pytest.raises(BudgetReached) as raised:
        job.run()
    (named,) = re.findall(r"--set (budget\.usd=\S+)", raised.value.hint or "")
    assert job.run(named).by_status == {"ok": 40, "skipped": 80}


def test_a_run_that_reached_its_budget_finishes_with_the_one_it_names(
    priced: Callable[..., Bench], provider: Provider
) -> None:
    """It stops in order, its rows are pending and its table is written; to raise the budget asks nothing anew."""
    job = priced(provider, budget=0.005)
    job.fill(heavy(40))
    with pytest.raises(BudgetReached) as raised:
        job.run()
    answered = len(provider.ledger.executed())
    assert 0 < answered < 40
    assert job.column("status") == ["ok"] * answered + ["pending"] * (40 - answered)
    assert bill(provider.ledger) <= 0.005 * PICOS
    assert raised.value.exit_code == 5
    hint = raised.value.hint or ""
    assert f"should finish the {40 - answered} that are left" in hint
    (named,) = re.findall(r"--set (budget\.usd=\S+)", hint)
    assert job.run(named).by_status == {"ok": 40}
    assert max(provider.ledger.asked().values()) == 1
    assert bill(provider.ledger) <= float(named.partition("=")[2]) * PICOS


def test_what_a_run_spends_is_what_the_provider_executed(priced: Callable[..., Bench], provider: Provider) -> None:
    """Attempt by attempt, in `status`, and at the start of the next run; a finished run holds nothing."""
    job = priced(provider, budget={"usd": 1, "tokens": 100_000}, rows=10)
    job.run()
    assert sum(spent.picos for spent in job.said(Spent)) == bill(provider.ledger)
    purse = pipeline.status(job.job).purse
    assert purse == job.said(Spent)[-1].purse
    assert (purse.spent.picos, purse.spent.tokens) == (bill(provider.ledger), provider.ledger.tokens())
    assert (purse.held.picos, purse.held.tokens) == (0, 0)
    job.run()
    assert job.said(RunStarted)[0].purse == purse


def test_a_cap_of_tokens_needs_no_price(priced: Callable[..., Bench], provider: Provider) -> None:
    """It holds like one of money."""
    job = priced(provider, model="nobody-knows-1", budget={"tokens": 5_000})
    job.fill(heavy(40))
    with pytest.raises(
        BudgetReached, match=r"[0-9,]+ tokens of 5,000 tokens spent, and the next request \(row [0-9]+\)"
    ):
        job.run()
    assert 0 < provider.ledger.tokens() <= 5_000
    assert job.run("budget.tokens=100000").by_status == {"ok": 40}


def test_what_may_have_been_paid_stays_held_over_runs(
    priced: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """An attempt without an answer, and an answer without usage, count with their worst case; then there is less left for others."""
    lost = [{"fault": "reset_after", "text": "#r1#", "times": 1}, {"fault": "no_usage", "text": "#r2#"}]
    provider = play({"faults": lost})
    job = priced(provider, budget=1, rows=4)
    assert job.run().by_status == {"ok": 4}
    executed = provider.ledger.executed()
    assert len(executed) == 5
    purse = job.said(Spent)[-1].purse
    told = [line for line in executed if "#r2#" not in line["request_text"]]
    worst = purse.held.picos
    assert worst > 2 * ANSWER * OUTPUT * PICOS // 10**6
    assert bill(provider.ledger) <= purse.spent.picos + worst
    assert len(told) == 4
    assert pipeline.status(job.job).purse == purse
    bill_told = api.write_report(job.job)[1].bill
    assert (bill_told.budget, bill_told.left) == (1.0, (PICOS - purse.spent.picos - worst) / PICOS)
    job.run()
    assert job.said(RunStarted)[0].purse == purse


def test_what_was_never_sent_costs_nothing(priced: Callable[..., Bench], play: Callable[..., Provider]) -> None:
    """What the provider refuses before any work gives back what was held for it."""
    provider = play({"faults": [{"fault": "bad_request", "text": "#r1#"}]})
    job = priced(provider, budget=1, rows=4)
    assert job.run().by_status == {"ok": 3, "failed": 1}
    purse = pipeline.status(job.job).purse
    assert purse is not None
    assert (purse.spent.picos, purse.held.picos) == (bill(provider.ledger), 0)


def test_a_finished_job_needs_no_money_to_be_written_again(priced: Callable[..., Bench], provider: Provider) -> None:
    """A budget below one request refuses only where something is to be asked."""
    job = priced(provider, rows=2)
    job.run()
    assert job.run("budget.usd=0.000001").by_status == {"ok": 2}
    assert any("no new one can leave" in notice.message for notice in job.said(Notice))
    with pytest.raises(SpecError, match="less than one request could cost"):
        job.run("budget.usd=0.000001", "request.max_output_tokens=39")


def test_an_edited_prompt_asks_for_no_budget_for_the_answers_before(
    priced: Callable[..., Bench], provider: Provider
) -> None:
    """The larger budget that is named covers what is spent, and for each row that is left what one of this prompt costs."""
    job = priced(provider)
    job.fill(heavy(40))
    job.run("prompt=Another of them: {{ text }}")
    before = bill(provider.ledger) / PICOS
    with pytest.raises(BudgetReached) as raised:
        job.run(f"budget.usd={before * 1.5}")
    named = re.search(r"budget\.usd=([0-9.]+) ", raised.value.hint or "")
    assert named is not None
    assert before < float(named[1]) < 2.5 * before
    assert job.run(f"budget.usd={named[1]}").by_status == {"ok": 40}


def test_a_retry_spends_of_the_same_budget(priced: Callable[..., Bench], provider: Provider) -> None:
    """What the first answers cost is spent, whether the table still uses them or not."""
    job = priced(provider, budget=1, rows=4, request={"max_output_tokens": 16})
    assert job.run().by_status == {"truncated": 4}
    spent = pipeline.status(job.job).purse.spent
    with pytest.raises(BudgetReached):
        job.run(f"budget.usd={spent.picos / PICOS}", retry=["truncated"])
    assert len(provider.ledger.executed()) == 4
    assert job.run("request.max_output_tokens=200", retry=["truncated"]).by_status == {"ok": 4}
    assert pipeline.status(job.job).purse.spent.picos == bill(provider.ledger)


@pytest.mark.usefixtures("quick_looks")
def test_an_answer_that_is_only_fetched_is_not_held_twice(
    priced: Callable[..., Bench],
    play: Callable[..., Provider],
    start: Callable[..., Process],
) -> None:
    """The next run takes over what the killed one held, so that a cap which is just enough for all stays enough."""
    provider = play({"background": {"polls": 3}})
    job = priced(provider, delivery="background", rows=4)
    job.spec["budget"] = 0.0025
    with start("run", str(job.job)) as run:
        while len(provider.ledger.executed()) < 4:
            assert run.runs_for(0.01)
        run.runs_for(0.1)
        run.signal(signal.SIGKILL)
        run.end()
    held = pipeline.status(job.job).purse.held.picos
    job.spec["budget"] = held / PICOS
    assert job.run().by_status == {"ok": 4}
    assert len(provider.ledger.executed()) == 4
    purse = pipeline.status(job.job).purse
    assert (purse.spent.picos, purse.held.picos) == (bill(provider.ledger), 0)


def test_rounds_are_held_one_by_one(priced: Callable[..., Bench], play: Callable[..., Provider]) -> None:
    """Each as heavy as it has become, also where the provider keeps what was said before."""
    provider = play({"tool_rounds": 3})
    code = 'def step(word: str) -> str:\n    """Take a step."""\n    return "@"\n'
    for store in (False, True):
        job = priced(provider, budget=1, rows=2, prompt=f"#{{{{ id }}}}# Take a step. {store}", tools=["code.py:step"])
        job.spec["request"] = {"max_output_tokens": 200, "tool_choice": "required", "store": store}
        (job.folder / "code.py").write_text(code, encoding="utf-8")
        since = provider.ledger.now()
        assert job.run().by_status == {"ok": 2}
        assert len(since.executed()) == 8
        assert not [notice for notice in job.said(Notice) if "billed" in notice.message]


def test_a_row_whose_model_has_no_price_fails_alone(priced: Callable[..., Bench], provider: Provider) -> None:
    """Where rows name their model, one of them may be unknown; nothing is sent for it, and it says what to add."""
    job = priced(provider, model="{{ which }}", budget=1)
    job.fill([{"id": f"r{number}", "text": "x", "which": MODEL if number else "nobody-knows-1"} for number in range(4)])
    assert job.run().by_status == {"ok": 3, "failed": 1}
    failed = job.table()[0]
    assert (failed["error_kind"], len(provider.ledger.requests())) == ("unbounded", 3)
    assert "no price" in failed["error_message"]
    assert job.run("budget.per_request_usd=0.01").by_status == {"ok": 4}
    purse = pipeline.status(job.job).purse
    assert purse.held.picos == PICOS // 100


def test_attempts_from_before_the_budget_are_counted_or_named(
    priced: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """What they cost is spent; one that nobody can price is not, and the run says so."""
    provider = play({"faults": [{"fault": "no_usage", "text": "#r1#"}]})
    job = priced(provider, rows=3)
    job.run()
    job.run("budget.usd=1")
    notes = [notice.message for notice in job.said(Notice)]
    assert any("does not count 1 earlier attempts" in note for note in notes)
    told = {line["usage"]["input_tokens"] for line in provider.ledger.executed()}
    assert job.said(RunStarted)[0].purse.spent.picos > 0 < len(told)


def test_pictures_count_with_the_most_that_their_size_allows(
    priced: Callable[..., Bench], provider: Provider, tmp_path: Path
) -> None:
    """They are measured before they leave, off the event loop, and what was held is never less than what was billed."""
    rows = []
    for number, size in enumerate([(900, 700), (1200, 900), (700, 1600)]):
        Image.new("RGB", size).save(tmp_path / f"{number}.png")
        rows.append({"id": f"r{number}", "text": f"{number}.png"})
    job = priced(provider, budget=1, prompt=[{"text": "#{{ id }}#"}, {"image": "text"}])
    job.fill(rows)
    assert job.run().by_status == {"ok": 3}
    attempts = list(past(job.folder / "out.parquet.run"))
    bounds = [each.bound.input_tokens for each in attempts if each.bound is not None]
    assert len(set(bounds)) == 3
    assert all(bound >= (each.charge.usage.input_tokens or 0) for each, bound in zip(attempts, bounds, strict=True))


def test_check_says_what_a_budget_means(priced: Callable[..., Bench]) -> None:
    """What is held for a request, and how many the cap allows at once where that is few."""
    job = priced(rows=2, budget={"usd": 0.001, "tokens": 10**6})
    usd, tokens = [note for note in pipeline.check(job.job).notes if note.startswith("budget: ")]
    assert re.fullmatch(
        r"budget: at most \$0.00100 over all runs; up to \$0.000[0-9]+ is held .*, so that it allows 1 at once; .*", usd
    )
    assert re.fullmatch(
        r"budget: at most 1,000,000 tokens over all runs; up to [0-9]+ tokens is held for each request on its way",
        tokens,
    )


@pytest.mark.parametrize(
    ("settings", "place", "says"),
    [
        ({"request": {}}, "budget", "without request.max_output_tokens"),
        ({"request": {"temperature": 0}}, "request", "without request.max_output_tokens"),
        ({"model": "nobody-knows-1"}, "model", "no price for nobody-knows-1"),
        (
            {"request": {"max_output_tokens": 40, "tools": [{"type": "web_search"}]}},
            "budget",
            "web_search puts into the prompt",
        ),
        ({"budget": 0.000001}, "budget.usd", "less than one request could cost"),
    ],
)
def test_check_says_what_a_budget_lacks(
    priced: Callable[..., Bench], settings: dict[str, Any], place: str, says: str
) -> None:
    """Before anything is sent, at its place in the spec, with the line to add."""
    job = priced(rows=2, **{"budget": 1, **settings})
    with pytest.raises(SpecError, match=says) as raised:
        pipeline.check(job.job)
    assert raised.value.problems[0].where == place
    if place != "budget.usd":
        assert raised.value.hint
        pipeline.check(job.job, sets=["request.max_output_tokens=40", "budget.per_request_usd=0.1"])
