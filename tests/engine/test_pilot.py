"""A pilot asks some rows for good, learns from what they used, and leaves the rest to the run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import api
from pipeline.checkpoint.schema import PILOT
from pipeline.cost.interval import Interval
from pipeline.engine.live import Brake
from pipeline.engine.pilot import exact, pilot
from pipeline.errors import ProviderRefused, SpecError
from pipeline.events import Event, RunFinished, RunStarted
from pipeline.simulator import Simulator
from pipeline.spec.job import Job
from pipeline.spec.load import load_job


@pytest.fixture(autouse=True)
def _no_blocking_calls() -> None:
    """These functions block whoever calls them, on purpose."""


@pytest.fixture
def play() -> Iterator[Callable[..., Simulator]]:
    """Start a simulator with a script; it ends with the test."""
    with ExitStack() as stack:
        yield lambda script=None: stack.enter_context(Simulator(script=script))


def written(folder: Path, simulator: Simulator, rows: int = 40, **settings: Any) -> Path:
    """Write a job that asks a simulator which, for all we know, costs money."""
    table = "id,text\n" + "".join(f"{number},{'word ' * (number % 7)}{number}\n" for number in range(rows))
    (folder / "t.csv").write_text(table)
    spec = {
        "provider": {"base_url": simulator.base_url(), "name": "openai"},
        "model": "gpt-5.4-mini",
        "input": "t.csv",
        "prompt": "Sum up: {{ text }}",
        "output": "o.parquet",
        **settings,
    }
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    return path


def loaded(path: Path) -> Job:
    """Load a job spec."""
    return load_job(path, (), os.environ)


def piloted(path: Path, count: int, heard: list[Event] | None = None) -> Any:
    """Run a pilot that everybody agrees to."""
    observe = heard.append if heard is not None else lambda _event: None
    return pilot(loaded(path), count, consent=lambda _offer: None, environ=os.environ, observe=observe, brake=Brake())


def test_the_run_knows_what_the_pilot_asked(tmp_path: Path, play: Callable[..., Simulator]) -> None:
    """Each request leaves once, whether in the pilot, in a second one or in the run; only the run writes the table."""
    simulator = play()
    path = written(tmp_path, simulator)
    first = piloted(path, 12)
    assert len(simulator.requests()) == 12
    assert not (tmp_path / "o.parquet").exists()
    state = api.status(path)
    assert (state.totals.by_status, state.rows, state.session["exit_code"]) == ({"ok": 12}, 40, PILOT)

    assert piloted(path, 12) == first
    assert len(simulator.requests()) == 12
    assert piloted(path, 15).requests == 15
    assert len(simulator.requests()) == 15

    assert api.run(path, yes=True).by_status == {"ok": 40}
    assert len(simulator.requests()) == 40
    assert len({record["body_sha256"] for record in simulator.requests()}) == 40


def test_a_pilot_leaves_a_finished_table_and_what_is_known_of_it(
    tmp_path: Path, play: Callable[..., Simulator]
) -> None:
    """After a run it has nothing to ask; after a change of the job it asks its rows, and the table stays."""
    simulator = play()
    path = written(tmp_path, simulator)
    api.run(path, yes=True)
    before = (tmp_path / "o.parquet").read_bytes()
    fitted = piloted(path, 12)
    assert len(simulator.requests()) == 40
    assert api.status(path).totals.by_status == {"ok": 40}

    piloted(written(tmp_path, simulator, prompt="Say: {{ text }}"), 12)
    assert len(simulator.requests()) == 52
    assert (tmp_path / "o.parquet").read_bytes() == before
    assert fitted.input_tokens is not None


def test_a_pilot_of_everything_is_the_bill(tmp_path: Path, play: Callable[..., Simulator]) -> None:
    """Where every request was asked, nothing is uncertain: the sums are those of the ledger."""
    simulator = play({"output_tokens": {"median": 40, "p95": 110}, "input_tokens": {"perturb": 0.1}})
    fitted = piloted(written(tmp_path, simulator, rows=15), 15)
    usages = [record["usage"] for record in simulator.requests()]
    assert fitted.input_tokens == Interval.exactly(sum(usage["input_tokens"] for usage in usages))
    assert fitted.output_tokens == Interval.exactly(sum(usage["output_tokens"] for usage in usages))
    assert fitted.cost is not None
    assert fitted.notes == ()


def test_a_failed_row_and_a_failed_attempt_count_with_what_they_used(
    tmp_path: Path, play: Callable[..., Simulator]
) -> None:
    """A refusal is free, an answer that was paid and cannot be used is not."""
    simulator = play({"faults": [{"text": "word word 2", "fault": "bad_request"}, {"nth": 3, "fault": "server_error"}]})
    fitted = piloted(written(tmp_path, simulator, rows=12, retry={"attempts": 3}), 12)
    charged = [record["usage"] for record in simulator.requests() if record["charged"]]
    assert len(charged) == 11
    assert fitted.requests == 12
    assert fitted.input_tokens == Interval.exactly(sum(usage["input_tokens"] for usage in charged))


def test_an_attempt_whose_end_is_unknown_leaves_its_request_out(tmp_path: Path, play: Callable[..., Simulator]) -> None:
    """What may have been paid is neither 0 nor guessed, and the notes say so."""
    simulator = play({"faults": [{"nth": 4, "fault": "reset_after"}]})
    fitted = piloted(written(tmp_path, simulator), 20)
    assert any(note.startswith("the cost of 1 of the 20 requests is not known") for note in fitted.notes)
    assert fitted.cost is not None


def test_equal_rows_are_one_request_and_samples_are_several(tmp_path: Path, play: Callable[..., Simulator]) -> None:
    """The whole counts what will be sent: each question once, or once a row without dedupe, times its samples."""
    simulator = play()
    for settings, requests in (({}, 7), ({"dedupe": False}, 40), ({"samples": 3}, 21)):
        path = written(
            tmp_path, simulator, prompt="{{ text | replace(id, '') }}", output=f"{requests}.parquet", **settings
        )
        assert piloted(path, 5).whole.requests == requests
    assert len(simulator.requests()) == 15


def test_nothing_is_sent_without_consent(tmp_path: Path, play: Callable[..., Simulator]) -> None:
    """The offer names what the pilot sends, and no more."""
    simulator = play()
    job = loaded(written(tmp_path, simulator))
    offers = []

    def refuse(offer: Callable[[], Any]) -> None:
        offers.append(offer())
        raise SpecError([])

    with pytest.raises(SpecError):
        pilot(job, 12, consent=refuse, environ=os.environ, observe=lambda _event: None, brake=Brake())
    assert [(offer.rows, offer.wanted, offer.known) for offer in offers] == [(12, 12, 0)]
    assert simulator.requests() == []


def test_a_pilot_announces_its_rows_and_no_table(tmp_path: Path, play: Callable[..., Simulator]) -> None:
    """A closing screen would tell of a table that is not there."""
    heard: list[Event] = []
    piloted(written(tmp_path, play()), 12, heard)
    assert [(event.rows, event.wanted) for event in heard if isinstance(event, RunStarted)] == [(12, 12)]
    assert not [event for event in heard if isinstance(event, RunFinished)]


def test_a_pilot_that_the_provider_refuses_ends_as_a_run_would(tmp_path: Path, play: Callable[..., Simulator]) -> None:
    """With the run's error, and without a table; the same command goes on from there."""
    path = written(tmp_path, play({"faults": [{"fault": "unauthorized"}]}))
    with pytest.raises(ProviderRefused):
        piloted(path, 12)
    assert not (tmp_path / "o.parquet").exists()
    assert api.status(path).session["exit_code"] == ProviderRefused.exit_code


def test_the_provider_counts_without_answering(tmp_path: Path, play: Callable[..., Simulator]) -> None:
    """The counts are those of the bill to come, though the request caps its output; nothing is executed."""
    script = {"input_tokens": {"perturb": 0.1}, "faults": [{"on": "input_tokens", "nth": 2, "fault": "overloaded"}]}
    simulator = play(script)
    path = written(tmp_path, simulator, request={"max_output_tokens": 20, "temperature": 0})
    counted = exact(loaded(path), 40, consent=lambda _offer: None, environ=os.environ)
    assert simulator.requests() == []
    assert (counted.output_tokens, counted.cost, counted.notes) == (None, None, ())
    api.run(path, yes=True)
    billed = sum(record["usage"]["input_tokens"] for record in simulator.requests())
    assert counted.input_tokens == Interval.exactly(billed)
    assert counted.input_ratio is not None


def test_a_few_counts_say_how_far_the_whole_may_be_off(tmp_path: Path, play: Callable[..., Simulator]) -> None:
    """From 20 of 200 rows on there is an interval, and the bill lies in it, or in one of twenty cases near it: which rows are counted
    depends on the provider's address, and so on its port.
    """
    simulator = play({"input_tokens": {"perturb": 0.1}})
    path = written(tmp_path, simulator, rows=200)
    counted = exact(loaded(path), 20, consent=lambda _offer: None, environ=os.environ)
    api.run(path, yes=True)
    billed = sum(record["usage"]["input_tokens"] for record in simulator.requests())
    assert counted.input_tokens is not None
    assert 0.97 * counted.input_tokens.low < billed < 1.03 * counted.input_tokens.high
    assert counted.input_tokens.high / counted.input_tokens.low < 1.2


def test_a_gateway_counts_nothing(tmp_path: Path, play: Callable[..., Simulator]) -> None:
    """The error says so, and what to do; an address given by hand that is not there is refused by the provider."""
    simulator = play()
    provider = {"base_url": simulator.base_url("qingbo"), "name": "qingbo"}
    with pytest.raises(SpecError, match="no place where input tokens are counted") as error:
        exact(
            loaded(written(tmp_path, simulator, provider=provider)), 5, consent=lambda _offer: None, environ=os.environ
        )
    assert "use a pilot" in str(error.value.hint)
    provider["overrides"] = {"input_tokens_path": "/input_tokens"}  # type: ignore[assignment]
    with pytest.raises(ProviderRefused, match="no input tokens could be counted"):
        exact(
            loaded(written(tmp_path, simulator, provider=provider)), 5, consent=lambda _offer: None, environ=os.environ
        )


def test_a_pilot_that_nobody_answered_says_nothing_of_the_cost(tmp_path: Path, play: Callable[..., Simulator]) -> None:
    """Requests that were all turned away cost nothing, but that is no estimate: unknown, not $0."""
    fitted = piloted(written(tmp_path, play({"faults": [{"fault": "bad_request"}]})), 12)
    assert (fitted.cost, fitted.input_tokens, fitted.output_tokens) == (None, None, None)
    assert "the cost of 12 of the 12 requests is not known; they are left out of it" in fitted.notes


def test_answers_of_a_retry_with_changes_are_learned_from(tmp_path: Path, play: Callable[..., Simulator]) -> None:
    """They stand for the requests that the pilot draws, and cost what they did."""
    simulator = play({"faults": [{"fault": "bad_request", "nth": [*range(1, 13)]}]})
    path = written(tmp_path, simulator, rows=12)
    api.run(path, yes=True)
    api.run(path, sets=["request.temperature=0.5"], retry=["failed"], yes=True)
    fitted = piloted(path, 12)
    assert fitted.cost is not None
    assert fitted.cost.mid == api.status(path).totals.money.table
    assert len(simulator.requests()) == 24


def test_a_row_that_holds_most_of_the_table_is_always_drawn(tmp_path: Path, play: Callable[..., Simulator]) -> None:
    """One row of half the input cannot be missed by chance: the pilot asks as many as it was told, that one among them."""
    simulator = play()
    path = written(tmp_path, simulator, rows=0)
    rows = [f"{number},{'word ' * (number % 7)}{number}" for number in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["id,text", *rows, f"60,{'long ' * 3000}"]))
    fitted = piloted(path, 14)
    assert len(simulator.requests()) == 14
    assert fitted.requests == 14
    assert any("too large to be left to chance" in note for note in fitted.notes)
    assert fitted.input_tokens.low > 3000
    assert fitted.input_tokens.high < 4500


def test_the_total_after_a_pilot_is_what_the_rest_will_cost(tmp_path: Path, play: Callable[..., Simulator]) -> None:
    """The run then pays what the headline says; a second pilot asks nothing, and says so."""
    simulator = play({"output_tokens": {"median": 40, "p95": 60}, "input_tokens": {"perturb": 0.1}})
    path = written(tmp_path, simulator, rows=60)
    asked = api.estimate(path, pilot=30, yes=True)[0]
    again = api.estimate(path, pilot=30, yes=True)[0]
    assert (asked.sampled[0].sent, again.sampled[0].sent) == (30, 0)
    assert asked.total == again.total
    assert asked.measured["cost"] == "pilot"
    before = sum(record["usage"]["output_tokens"] for record in simulator.requests())
    api.run(path, yes=True)
    left = sum(record["usage"]["output_tokens"] for record in simulator.requests()) - before
    assert left == pytest.approx(asked.total.output.mid, rel=0.25)
