"""One request in several rounds, from the spec to the table: no round is paid twice, and every token is counted."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

import pipeline
from pipeline.client.tools import THREADS
from pipeline.errors import FunctionsHang, SpecError
from pipeline.events import Calls, FunctionCalled

if TYPE_CHECKING:
    from tests.e2e.bench import Bench, Provider
    from tests.e2e.process import Process

DIALECTS = ("openai", "qingbo", "apimart")
CODE = '''
def step(word: str) -> str:
    """Take a step."""
    return "@"
'''
NEVER_FITS = {"type": "object", "properties": {"code": {"type": "string", "pattern": "^zz$"}}, "required": ["code"]}


@pytest.fixture
def looping(bench: Callable[..., Bench]) -> Callable[..., Bench]:
    """Set up a job whose model is told to take a step; each output is an ``@`` in the ledger's text."""

    def set_up(asks: Provider | None = None, *, rows: int = 4, code: str = CODE, **settings: Any) -> Bench:
        wanted = {"prompt": "#{{ id }}# Take a step.", "tools": ["code.py:step"], **settings}
        job = bench(asks, rows=rows, **wanted)
        (job.folder / "code.py").write_text(code, encoding="utf-8")
        return job

    return set_up


def each(rows: int, *numbers: int) -> dict[tuple[str, int], int]:
    return {(f"r{row}", number): 1 for row in range(rows) for number in numbers}


# -- functions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delivery", ["plain", "stream"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_functions_run_in_every_dialect_and_delivery(
    looping: Callable[..., Bench], play: Callable[..., Provider], dialect: str, delivery: str
) -> None:
    """The final answer is built on the outputs, and the table has the calls of all rounds with them."""
    provider = play({"tool_rounds": 3})
    job = looping(provider, delivery=delivery, request={"tool_choice": "required"})
    job.spec["provider"] = {"base_url": provider.base(dialect), "dialect": dialect}
    assert job.run().by_status == {"ok": 4}
    for row in job.table():
        assert "The tool answered" in row["output"]
        assert [call["output"] for call in json.loads(row["tool_calls"])] == ["@"] * 3
        assert row["attempts"] == 4
    assert provider.ledger.rounds() == each(4, 0, 1, 2, 3)


def test_a_server_that_wants_chat_messages_gets_them(
    looping: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """An override of the dialect says so, and everything else is the same."""
    provider = play({"tool_rounds": 2})
    job = looping(provider, rows=2)
    overrides = {"tool_results": "messages"}
    job.spec["provider"] = {"base_url": provider.base("apimart"), "dialect": "apimart", "overrides": overrides}
    assert job.run().by_status == {"ok": 2}
    assert provider.ledger.rounds() == each(2, 0, 1, 2)


@pytest.mark.parametrize(
    ("request_", "text"),
    [({}, "#"), ({"store": True}, "@"), ({"conversation": "conv_{{ id }}"}, "@")],
    ids=["not kept", "kept", "conversation"],
)
@pytest.mark.usefixtures("quick_looks")
@pytest.mark.parametrize("delivery", ["plain", "background"])
def test_both_exchanges_carry_reasoning_and_pay_each_round_once(
    looping: Callable[..., Bench], play: Callable[..., Provider], request_: dict[str, Any], text: str, delivery: str
) -> None:
    """What the provider keeps is not sent again; tokens and attempts are those of all rounds."""
    provider = play({"tool_rounds": 2})
    job = looping(provider, request={"reasoning": {"effort": "low"}, **request_}, delivery=delivery)
    text = "@" if delivery == "background" else text  # which the provider keeps in any case
    closing = job.run()
    assert (closing.by_status, closing.attempts) == ({"ok": 4}, 12)
    assert closing.usage.total_tokens == sum(job.column("total_tokens")) == provider.ledger.tokens()
    assert sum(text in line["request_text"] for line in provider.ledger.executed()) == (12 if text == "#" else 8)


def test_every_round_is_shown_with_its_whole_reply(looping: Callable[..., Bench]) -> None:
    """In the order in which they were asked; none of this needs the code."""
    job = looping(simulator={"tool_rounds": 2})
    job.run()
    attempts: Any = pipeline.show(job.job, 1)["attempts"]
    assert [attempt["state"] for attempt in attempts] == ["answered"] * 3
    kinds = [[item["type"] for item in attempt["reply"]["output"]] for attempt in attempts]
    assert kinds == [["function_call"], ["function_call"], ["message"]]
    (job.folder / "code.py").unlink()
    assert pipeline.status(job.job).totals.by_status == {"ok": 4}
    assert pipeline.export(job.job, job.folder / "again.parquet")[1] == 4


def test_a_model_that_never_stops_calling_ends_at_the_limit(
    looping: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """A retry begins with the first round and has as many again."""
    provider = play({"tool_rounds": "always"})
    job = looping(provider, tools={"functions": ["code.py:step"], "rounds": 2})
    assert job.run().by_status == {"tool_calls": 4}
    assert set(job.column("error_kind")) == {"round_limit"}
    assert "tools.rounds" in job.column("error_message")[0]
    assert provider.ledger.rounds() == each(4, 0, 1, 2)
    ledger = provider.ledger.now()
    job.run("tools.rounds=1", retry=["tool_calls"])
    assert ledger.rounds() == each(4, 0, 1)


def test_an_edited_function_asks_its_rows_anew_and_other_settings_do_not(
    looping: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """Its source is part of what is asked; limits and repairs are not."""
    provider = play({"tool_rounds": 1})
    job = looping(provider)
    job.run()
    job.run("tools.rounds=3", "tools.timeout_s=5")
    assert provider.ledger.rounds() == each(4, 0, 1)
    (job.folder / "code.py").write_text(CODE.replace('"@"', '"@@"'), encoding="utf-8")
    ledger = provider.ledger.now()
    assert job.run().by_status == {"ok": 4}
    assert ledger.rounds() == each(4, 0, 2)


def test_nothing_runs_and_nothing_is_sent_without_permission(looping: Callable[..., Bench], provider: Provider) -> None:
    """Neither by a run nor by what only looks at its requests."""
    job = looping(provider, code="raise SystemExit('it ran')")
    for act in (
        lambda: pipeline.run(job.job, yes=True),
        lambda: pipeline.check(job.job),
        lambda: pipeline.preview(job.job),
    ):
        with pytest.raises(SpecError) as error:
            act()
        assert "--allow-code" in str(error.value.hint)
    assert provider.ledger.requests() == []
    assert not (job.folder / "out.parquet.run").exists()


def test_what_is_about_to_run_is_said_before_it_is_sent(looping: Callable[..., Bench], provider: Provider) -> None:
    """In the question before the first request."""
    offers: list[Any] = []
    job = looping(provider)
    with pytest.raises(SpecError, match="not started"):
        pipeline.run(job.job, confirm=lambda offer: bool(offers.append(offer)), allow_code=True)
    assert "the code of code.py runs on this machine" in offers[0].notes


BROKEN = """
def step(word: str) -> str:
    \"\"\"Take a step.\"\"\"
    raise ValueError("too far")
"""


def test_a_function_that_fails_in_every_row_is_seen(
    looping: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """The rows may be answered all the same, so the events and the closing figures say it."""
    job = looping(play({"tool_rounds": 1}), code=BROKEN)
    closing = job.run()
    assert closing.by_status == {"ok": 4}
    assert closing.functions == (Calls("step", 4, 4, "ValueError: too far"),)
    assert {(event.row, event.error) for event in job.said(FunctionCalled)} == {
        (row, "ValueError: too far") for row in range(4)
    }
    assert job.run().functions == ()


CHATTY = """
import threading

def step(word: str) -> str:
    \"\"\"Take a step.\"\"\"
    print("in", threading.current_thread().name)
    return "@"

async def hop(word: str) -> str:
    \"\"\"Take a hop.\"\"\"
    print("in", threading.current_thread().name)
    return "@"

print("loaded")
"""


def test_what_functions_print_stands_apart_from_our_lines(
    looping: Callable[..., Bench], play: Callable[..., Provider], start: Callable[..., Process]
) -> None:
    """Machines read standard output; what is printed while the file is loaded, in threads and on the loop goes to standard error."""
    provider = play({"tool_rounds": 2})
    job = looping(provider, code=CHATTY, tools=["code.py:step", "code.py:hop"], prompt="Take a step and a hop.")
    with start("run", str(job.job), "--yes", "--allow-code", "--json") as run:
        events = [json.loads(line)["event"] for line in run.output]
        assert run.end() == 0
        assert events[-1] == "run_finished"
        assert set(run.errors.splitlines()) == {"loaded", "in tool", "in MainThread"}


STUCK = """
import threading

def step(word: str) -> str:
    \"\"\"Take a step.\"\"\"
    threading.Event().wait()
    return "@"
"""


def test_functions_that_hang_in_every_row_stop_the_run_before_it_pays_for_more(
    looping: Callable[..., Bench], play: Callable[..., Provider], start: Callable[..., Process]
) -> None:
    """Once they hold every place; the rounds that are paid are in the journal, and the same command goes on with them."""
    provider = play({"tool_rounds": 1})
    tools = {"functions": ["code.py:step"], "timeout_s": 0.2}
    job = looping(provider, rows=100, code=STUCK, tools=tools, limits={"concurrency": 100})
    with start("run", str(job.job), "--yes", "--allow-code") as run:
        assert run.end() == FunctionsHang.exit_code
        assert "tools.timeout_s" in run.errors
    told = len(provider.ledger.executed()) - 100  # rows whose call was too slow while there still were places
    assert told < THREADS
    assert pipeline.status(job.job).totals.by_status["pending"] >= 100 - told


# -- what goes wrong between two rounds ------------------------------------------------------------------------------


def test_a_round_that_fails_in_passing_is_asked_again_alone(
    looping: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """The rounds before it stand."""
    provider = play({"tool_rounds": 2, "faults": [{"fault": "server_error", "text": "@", "times": 1}]})
    job = looping(provider)
    assert job.run().by_status == {"ok": 4}
    assert provider.ledger.rounds() == each(4, 0, 1, 2)
    assert len(provider.ledger.requests()) == 4 * 5


def test_a_run_that_ended_between_two_rounds_goes_on_with_the_next(
    looping: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """Also where some rows had finished more rounds than others."""
    faults = [{"fault": "server_error", "text": text, "times": 1} for text in ("#r1# Take a step. @", "@ @")]
    provider = play({"tool_rounds": 3, "faults": faults})
    job = looping(provider, retry={"attempts": 1})
    assert job.run().by_status == {"failed": 4}
    runs = [job.run() for _ in range(5)]  # each later round fails once, those of one row more often
    closing = runs[-1]
    assert (runs[0].by_status, closing.by_status) == ({"failed": 4}, {"ok": 4})
    assert provider.ledger.rounds() == each(4, 0, 1, 2, 3)
    assert all(len(json.loads(calls)) == 3 for calls in job.column("tool_calls"))
    assert closing.usage.total_tokens == provider.ledger.tokens()


HANGING = '''
import os, signal, threading
from pathlib import Path

def step(word: str) -> str:
    """Take a step."""
    marker = Path(__file__).with_name("begun")
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait()
    return "@"
'''


def test_a_run_ends_although_a_function_hangs_and_goes_on_from_there(
    looping: Callable[..., Bench], play: Callable[..., Provider], start: Callable[..., Process]
) -> None:
    """The function's thread is left behind; its round is in the journal, and the next run calls it again."""
    provider = play({"tool_rounds": 1})
    job = looping(provider, rows=1, code=HANGING)
    with start("run", str(job.job), "--yes", "--allow-code") as run:
        assert run.end() == 128 + signal.SIGINT
    assert pipeline.status(job.job).totals.by_status == {"pending": 1}
    assert job.run().by_status == {"ok": 1}
    assert provider.ledger.rounds() == each(1, 0, 1)


# -- repairs ---------------------------------------------------------------------------------------------------------


def test_a_repair_is_paid_for_and_counted(bench: Callable[..., Bench], provider: Provider) -> None:
    """The answer that stays wrong is invalid, with the tokens of both; a retry begins with the first round."""
    job = bench(provider, rows=3, output={"path": "out.parquet", "fields": NEVER_FITS, "repair": 1})
    closing = job.run()
    assert (closing.by_status, closing.attempts) == ({"invalid": 3}, 6)
    assert closing.usage.total_tokens == sum(job.column("total_tokens")) == provider.ledger.tokens()
    asked = [line["request_text"] for line in provider.ledger.executed()]
    assert sum("does not fit" in text for text in asked) == 3
    ledger = provider.ledger.now()
    job.run("output.repair=0", retry=["invalid"])
    assert [("does not fit" in line["request_text"]) for line in ledger.executed()] == [False] * 3


def test_tokens_that_a_gateway_does_not_report_are_named(
    looping: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """Its replies with calls have no usage, so the sum of a row lacks them, and the closing figures say of how many rows."""
    provider = play({"tool_rounds": 1})
    job = looping(provider)
    job.spec["provider"] = {"base_url": provider.base("qingbo"), "dialect": "qingbo"}
    closing = job.run()
    assert closing.unknown_usage == job.metadata()["rows_without_usage"] == 4
    assert (closing.usage.total_tokens or 0) < provider.ledger.tokens()
