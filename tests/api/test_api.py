"""What the commands do, as functions: alone, in an event loop, and in a notebook."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pyarrow.parquet as pq
import pytest
import yaml

import pipeline
from pipeline import api
from pipeline.errors import DataError, Interrupted, NullCell, RunDirectoryError, SpecError
from pipeline.events import Event, Offer, RowFinished, RunFinished, RunStarted
from pipeline.simulator import Simulator

ROWS = ("Alien", "Brazil", "Casablanca")


@pytest.fixture(autouse=True)
def _no_blocking_calls() -> None:
    """These functions block whoever calls them, on purpose; in a running loop the work is done in another thread."""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A job over three films, answered by the embedded simulator."""
    return written(tmp_path)


def written(folder: Path, **settings: Any) -> Path:
    """Write a job and its table."""
    (folder / "films.csv").write_text("title\n" + "".join(f"{title}\n" for title in ROWS))
    spec = {
        "name": "films",
        "provider": "simulator",
        "model": "gpt-5.4-mini",
        "input": "films.csv",
        "prompt": "Genre of {{ title }}?",
        "output": "out/films.parquet",
        **settings,
    }
    path = folder / "films.yaml"
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    return path


def elsewhere(folder: Path, simulator: Simulator, **settings: Any) -> Path:
    """Write a job for a server that, for all we know, costs money."""
    return written(folder, provider={"base_url": simulator.base_url(), "api_key_env": "FILMS_KEY"}, **settings)


# -- run -------------------------------------------------------------------------------------------------------------


def test_a_run_writes_a_table_and_returns_its_figures(spec: Path) -> None:
    """Every row answered, in order, with what it cost."""
    closing = pipeline.run(spec)
    table = pq.read_table(spec.parent / "out" / "films.parquet")
    assert table["title"].to_pylist() == list(ROWS)
    assert set(table["status"].to_pylist()) == {"ok"}
    assert (closing.rows, closing.by_status, closing.attempts, closing.exit_code) == (3, {"ok": 3}, 3, 0)
    assert closing.usage.total_tokens == sum(table["total_tokens"].to_pylist())
    assert closing.output == spec.parent / "out" / "films.parquet"


def test_a_second_run_asks_nothing(spec: Path) -> None:
    """Its figures are those of the whole table."""
    first = pipeline.run(spec)
    second = pipeline.run(spec)
    assert (second.attempts, second.by_status, second.usage) == (first.attempts, first.by_status, first.usage)


def test_a_run_tells_what_happens(spec: Path) -> None:
    """The beginning first, each row once, the end last."""
    events: list[Event] = []
    closing = pipeline.run(spec, observe=events.append)
    assert isinstance(events[0], RunStarted)
    assert (events[0].name, events[0].rows, events[0].known, events[0].simulated) == ("films", 3, 0, True)
    assert sorted(event.result.row for event in events if isinstance(event, RowFinished)) == [0, 1, 2]
    assert events[-1] is closing
    events.clear()
    pipeline.run(spec, observe=events.append)
    assert isinstance(events[0], RunStarted)
    assert (events[0].rows, events[0].known) == (3, 3)
    assert not [event for event in events if isinstance(event, RowFinished)]


@pytest.mark.anyio
async def test_a_run_works_inside_a_running_loop(spec: Path) -> None:
    """As in a notebook: the caller's loop is left alone, and nothing is patched."""
    loop = asyncio.get_running_loop()
    closing = pipeline.run(spec)
    assert closing.exit_code == 0
    assert asyncio.get_running_loop() is loop
    assert not [thread for thread in threading.enumerate() if thread.name == "pipeline"]


@pytest.mark.anyio
async def test_an_error_comes_through_from_inside_a_running_loop(tmp_path: Path, simulator: Simulator) -> None:
    """As the same object that would be raised without one."""
    with pytest.raises(SpecError, match="FILMS_KEY is not set"):
        pipeline.run(elsewhere(tmp_path, simulator), yes=True)


def test_a_run_in_a_thread_of_its_own_works(spec: Path) -> None:
    """Signals are the main thread's; a run in another one leaves them alone."""
    closings: list[RunFinished] = []
    thread = threading.Thread(target=lambda: closings.append(pipeline.run(spec)))
    thread.start()
    thread.join()
    assert closings[0].exit_code == 0


def test_settings_may_be_changed_for_a_run(spec: Path) -> None:
    """As with ``--set``."""
    assert pipeline.run(spec, sets=["input.limit=2", "name=two"]).rows == 2


def test_rows_that_are_not_as_wished_are_told_by_the_exit_code(tmp_path: Path) -> None:
    """The run is finished, and says that something is left to look at."""
    closing = pipeline.run(written(tmp_path, request={"max_output_tokens": 1}))
    assert closing.exit_code == 1
    assert closing.by_status == {"truncated": 3}


def test_rows_may_be_retried(tmp_path: Path) -> None:
    """With a change, and only those of the status that is named."""
    spec = written(tmp_path, request={"max_output_tokens": 1})
    pipeline.run(spec)
    closing = pipeline.run(spec, retry=["truncated"], sets=["request.max_output_tokens=500"])
    assert closing.by_status == {"ok": 3}
    assert pipeline.run(spec).by_status == {"ok": 3}


@pytest.mark.parametrize("name", ["ok", "pending", "skipped", "TRUNCATED", "nonsense", ""])
def test_only_a_status_that_is_not_fine_may_be_retried(spec: Path, name: str) -> None:
    """The others are named."""
    with pytest.raises(SpecError, match="is no status; choose from cancelled, empty, failed"):
        pipeline.run(spec, retry=[name])


# -- what may cost money ---------------------------------------------------------------------------------------------


@pytest.fixture
def paid(tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job for a server that may cost money, with its key."""
    monkeypatch.setenv("FILMS_KEY", "k")
    return elsewhere(tmp_path, simulator)


def test_a_run_that_may_cost_money_needs_a_yes(paid: Path) -> None:
    """Nothing is sent without one, and the error says how to give it."""
    with pytest.raises(SpecError, match="may cost money"):
        pipeline.run(paid)
    assert pipeline.run(paid, yes=True).attempts == 3


def test_a_budget_lets_a_run_send_where_nobody_can_be_asked(paid: Path) -> None:
    """It says what the run may cost; a person who is there is asked nevertheless."""
    sets = ["budget.usd=1", "request.max_output_tokens=40"]
    with pytest.raises(SpecError, match="not started"):
        pipeline.run(paid, sets=sets, confirm=lambda _offer: False)
    assert pipeline.run(paid, sets=sets).attempts == 3


def test_a_spec_that_writes_addresses_needs_a_yes_for_the_simulator_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To run a stranger's spec must not carry rows and variables to the stranger's server without a question that names them."""
    monkeypatch.setenv("PLACE", "hidden-from-all")
    image = {"image": "http://127.0.0.1:9/?d=${PLACE}{{ title }}"}
    spec = written(tmp_path, prompt=[{"text": "what?"}, image], media={"send": "inline", "fetch": True})
    with pytest.raises(
        SpecError, match=r"prompt\.user\.1\.image is downloaded from addresses that the spec writes, and nobody"
    ):
        pipeline.run(spec)
    offers: list[Offer] = []
    with pytest.raises(SpecError, match="nothing was sent"):
        pipeline.run(spec, confirm=lambda offer: bool(offers.append(offer)))
    (offer,) = offers
    assert offer.simulated
    assert offer.notes[:2] == (
        "from the environment: PLACE in prompt.1.image",
        "what prompt.user.1.image shows is downloaded here, from addresses that the spec writes",
    )
    assert "hidden-from-all" not in str(offer)
    assert pipeline.run(spec, yes=True).by_status == {"failed": 3}  # nothing on this machine is fetched


@pytest.mark.parametrize("answer", [True, False])
def test_an_offer_is_shown_before_the_first_paid_request(paid: Path, answer: bool) -> None:
    """With what will be sent where; who says no has paid nothing and may come back."""
    offers: list[Offer] = []
    confirm: Callable[[Offer], bool] = lambda offer: bool(offers.append(offer)) or answer  # noqa: E731
    if answer:
        assert pipeline.run(paid, confirm=confirm).attempts == 3
    else:
        with pytest.raises(SpecError, match="nothing was sent"):
            pipeline.run(paid, confirm=confirm)
        assert pipeline.run(paid, yes=True).attempts == 3
    (offer,) = offers
    assert (offer.name, offer.model, offer.known) == ("films", "gpt-5.4-mini", 0)
    assert offer.url.endswith("/v1/responses")
    assert offer.secrets == ("$FILMS_KEY -> 127.0.0.1",)
    assert offer.output == paid.parent / "out" / "films.parquet"


# -- the others ------------------------------------------------------------------------------------------------------


def test_a_check_sends_nothing_and_needs_no_key(tmp_path: Path, simulator: Simulator) -> None:
    """It returns the job, the columns and what should be known."""
    prepared = pipeline.check(elsewhere(tmp_path, simulator))
    assert prepared.columns.schema.names[:2] == ["title", "output"]
    assert list(tmp_path.glob("out/*")) == []


def test_a_preview_shows_the_exact_bodies(tmp_path: Path, simulator: Simulator) -> None:
    """Of the first rows, with the name of the key instead of the key."""
    first, second = pipeline.preview(elsewhere(tmp_path, simulator, request={"temperature": 0}), rows=2)
    assert (first.row, second.row) == (0, 1)
    assert first.headers["authorization"] == "Bearer $FILMS_KEY"
    assert first.body is not None
    assert (first.body["model"], first.body["temperature"]) == ("gpt-5.4-mini", 0)
    assert json.dumps(first.body["input"]).count("Genre of Alien?") == 1


def test_a_preview_shows_why_a_row_has_no_request(tmp_path: Path) -> None:
    """In its place among the others."""
    spec = written(tmp_path, prompt="{{ title }} {{ year }}")
    (tmp_path / "films.csv").write_text("title,year\nAlien,1979\nBrazil,\n")
    first, second = pipeline.preview(spec, rows=5)
    assert (first.error, second.body) == (None, None)
    assert isinstance(second.error, NullCell)


@pytest.mark.parametrize("by", ["spec", "run directory"])
def test_a_run_is_found_by_its_spec_and_by_its_directory(spec: Path, by: str) -> None:
    """For status, for one row, and for the table."""
    pipeline.run(spec)
    name = spec if by == "spec" else spec.parent / "out" / "films.parquet.run"
    state = pipeline.status(name)
    assert (state.totals.by_status, state.running, state.session["exit_code"]) == ({"ok": 3}, False, 0)
    shown = pipeline.show(name, 1)
    assert (shown["status"], len(shown["attempts"])) == ("ok", 1)  # type: ignore[arg-type]
    path, rows = pipeline.export(name, spec.parent / "again.csv")
    assert (path.read_text().splitlines()[0].split(",")[0], rows) == ('"title"', 3)


@pytest.mark.parametrize("ask", [pipeline.status, lambda spec: pipeline.show(spec, 0), pipeline.export])
def test_without_a_run_there_is_nothing_to_show(spec: Path, ask: Callable[[Path], object]) -> None:
    """The message says so, and nothing is made."""
    with pytest.raises(RunDirectoryError, match="holds no run"):
        ask(spec)
    assert not (spec.parent / "out").exists()


@pytest.mark.anyio
async def test_an_interrupt_ends_a_run_inside_a_running_loop(spec: Path) -> None:
    """As in a notebook's cell: what is out comes home, nothing new is sent, and the same call goes on."""
    told = {"simulator.latency_s=0.02", "limits.concurrency=1"}
    before = signal.getsignal(signal.SIGINT)

    def interrupt(event: Event) -> None:
        if isinstance(event, RowFinished):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match="SIGINT"):
        pipeline.run(spec, sets=sorted(told), observe=interrupt)
    assert signal.getsignal(signal.SIGINT) is before
    state = pipeline.status(spec)
    assert state.session["exit_code"] == 130
    assert 1 <= state.totals.by_status["ok"] < 3
    assert pipeline.run(spec).by_status == {"ok": 3}


def test_a_row_that_is_not_there_is_named(spec: Path) -> None:
    """A finished run knows its rows, and says how many there are."""
    pipeline.run(spec)
    with pytest.raises(SpecError, match="row 99 is not among the 3 rows"):
        pipeline.show(spec, 99)


@pytest.mark.parametrize("name", ["other.parquet", "other.csv", "new/other.parquet"])
def test_the_table_may_be_written_again(spec: Path, name: str) -> None:
    """Anywhere, as Parquet or as CSV, with the same rows."""
    pipeline.run(spec)
    path, rows = pipeline.export(spec, spec.parent / name)
    assert (path, rows) == (spec.parent / name, 3)
    assert path.exists()


def test_the_jobs_own_table_may_be_written_again(spec: Path) -> None:
    """Where the spec says, when no other place is named."""
    pipeline.run(spec)
    table = spec.parent / "out" / "films.parquet"
    before = pq.read_table(table)
    table.unlink()
    assert pipeline.export(spec) == (table, 3)
    assert pq.read_table(table).equals(before)


def test_an_export_never_replaces_the_input(spec: Path) -> None:
    """By whatever name it is called."""
    pipeline.run(spec)
    (spec.parent / "link.csv").symlink_to("films.csv")
    before = (spec.parent / "films.csv").read_bytes()
    for name in ("films.csv", "link.csv"):
        with pytest.raises(DataError, match="is a file of the input"):
            pipeline.export(spec, spec.parent / name)
    assert (spec.parent / "films.csv").read_bytes() == before


def test_an_export_of_a_changed_input_is_refused(spec: Path) -> None:
    """Its answers would stand beside the wrong rows; running again puts them right, and pays for nothing known."""
    pipeline.run(spec)
    (spec.parent / "films.csv").write_text("title\nCasablanca\nAlien\n")
    with pytest.raises(DataError, match="input has changed"):
        pipeline.export(spec)
    closing = pipeline.run(spec)
    assert (closing.rows, closing.attempts) == (2, 3)


def test_a_simulator_may_be_run_beside(tmp_path: Path) -> None:
    """For rehearsals against a server's address."""
    with pipeline.simulate() as simulator:
        spec = written(tmp_path, provider={"base_url": simulator.base_url()})
        assert pipeline.run(spec, yes=True).by_status == {"ok": 3}
    assert set(pq.read_table(tmp_path / "out" / "films.parquet")["provider"].to_pylist()) == {"simulator"}


# -- the front door --------------------------------------------------------------------------------------------------


def test_the_front_door_is_narrow() -> None:
    """What the package offers is listed, there, and little."""
    assert len(pipeline.__all__) <= 30
    assert set(pipeline.__all__) <= set(dir(pipeline))
    for name in pipeline.__all__:
        assert getattr(pipeline, name) is not None
    assert (pipeline.run, pipeline.write_report) == (api.run, api.write_report)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        pipeline.nonsense  # noqa: B018


# -- a notebook ------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")  # the kernel's client has its own
def test_a_job_runs_in_a_notebook(spec: Path) -> None:
    """In a real kernel, whose loop runs while a cell does: run, look, and run again, without patching anything."""
    cells = [
        "import asyncio, pipeline; loop = asyncio.get_running_loop()",
        f"closing = pipeline.run({str(spec)!r}); print(closing.by_status, closing.exit_code)",
        f"print(pipeline.status({str(spec)!r}).totals.by_status, asyncio.get_running_loop() is loop)",
        "await asyncio.sleep(0)\n"
        f"try: pipeline.run({str(spec)!r}, retry=['nonsense'])\nexcept pipeline.SpecError as error: print(type(error).__name__)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, timeout=30, kernel_name="python3").execute()
    printed = ["".join(output.get("text", "") for output in cell.outputs) for cell in notebook.cells]
    assert printed == ["", "{'ok': 3} 0\n", "{'ok': 3} True\n", "SpecError\n"]
