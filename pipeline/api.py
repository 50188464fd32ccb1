"""What the commands do, as functions: also inside a running event loop, such as a notebook's. They have the names of the commands, but for
``write_report``: ``pipeline.report`` is the package that draws.

Everything a run needs from outside comes together here and flows down: the environment, the clock's time of day, the version. Below this
module nobody reads them.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from pipeline.checkpoint.columns import Columns
from pipeline.checkpoint.past import past_by
from pipeline.checkpoint.reader import Reader, Totals, reading
from pipeline.checkpoint.rundir import is_held, journal_path, table_of
from pipeline.checkpoint.spent import purse_of
from pipeline.checkpoint.table import write_csv, write_table
from pipeline.cost.estimate import Sampled
from pipeline.cost.measured import measured
from pipeline.cost.prices import Book
from pipeline.engine.check import Prepared, prepare, replaces_input
from pipeline.engine.consent import consent_of
from pipeline.engine.details import detail_notes
from pipeline.engine.estimate import Wanted, check_choices
from pipeline.engine.estimate import estimate as estimated
from pipeline.engine.first import FIRST_ROWS, first_requests
from pipeline.engine.outside import outside_loop
from pipeline.engine.pilot import exact as counted_exactly
from pipeline.engine.pilot import pilot as piloted
from pipeline.engine.pricing import price_notes
from pipeline.engine.ready import check_script
from pipeline.engine.session import metadata, run_job
from pipeline.engine.silent import silent_notes
from pipeline.engine.sizes import size_notes
from pipeline.engine.starter import starter
from pipeline.engine.tokens import token_variables
from pipeline.errors import DataError, Problem, RowError, SpecError
from pipeline.events import Event, Offer, RunFinished
from pipeline.records import STATUS_FACTS, Purse, Status
from pipeline.rows.source import open_source
from pipeline.spec.comparison import Asked
from pipeline.spec.job import Job
from pipeline.spec.load import load_comparison, load_job
from pipeline.wire.credentials import filled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.cost.estimate import Estimate
    from pipeline.engine.consent import Consent
    from pipeline.events import Observer
    from pipeline.report.story import Comparison, Story
    from pipeline.simulator import Simulator


@dataclass(frozen=True, slots=True)
class Preview:
    """One row's request as it would leave: where to, with which headers, and its body with pictures still references."""

    row: int
    url: str
    headers: Mapping[str, str]
    body: Mapping[str, object] | None
    error: RowError | None


@dataclass(frozen=True, slots=True)
class State:
    """How far a run is: its newest session, what its rows add up to, and which rows have an attempt that may have been paid for nothing.

    ``rows`` is the number of rows of the job where it was known when the session began, ``running`` whether a process holds the run now.
    ``purse`` is where the job's budget stands, None where it has none; it is of the job as it was run last.
    """

    session: Mapping[str, object]
    totals: Totals
    running: bool
    rows: int | None
    maybe_paid_rows: Sequence[int]
    purse: Purse | None = None


def silent(event: Event) -> None:
    """Hear an event and say nothing."""


def init(table: str | Path, target: str | Path = "job.yaml") -> Path:
    """Write a commented job spec for a table and return its path. Raises ``SpecError`` where ``target`` exists already."""
    path = Path(target)
    text = starter(Path(table), path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise SpecError(
            [Problem("", f"cannot write {path}: {error.strerror}")], source="init", hint="name another file with -o"
        ) from error
    return path


def check(spec: str | Path, *, sets: Sequence[str] = (), allow_code: bool = False) -> Prepared:
    """Check a job spec against its input; nothing is sent. With ``allow_code`` the functions that the job names are loaded.

    Returns the checked job, whose ``notes`` are warnings, which of the first rows would send nothing, and what is worth knowing of their
    pictures. Raises ``SpecError`` with every mistake at once, or ``DataError``.
    """
    prepared = _checked(spec, sets, allow_code=allow_code)
    first = list(first_requests(prepared, FIRST_ROWS))
    looked = (
        *price_notes(prepared, first, datetime.now(UTC).date()),
        *silent_notes(prepared, first),
        *size_notes(prepared, first),
        *detail_notes(prepared, first),
    )
    return replace(prepared, notes=(*prepared.notes, *looked))


def _checked(spec: str | Path, sets: Sequence[str], *, allow_code: bool) -> Prepared:
    prepared = prepare(_load(spec, sets), allow_code=allow_code)
    name = prepared.endpoint.key_env
    named = [*([] if name is None else [name]), *token_variables(prepared.job)]
    missing = [f"{name} is not set in this shell; `run` needs it" for name in named if not os.environ.get(name)]
    return replace(prepared, notes=(*prepared.notes, *missing))


def preview(spec: str | Path, *, rows: int = 1, sets: Sequence[str] = (), allow_code: bool = False) -> list[Preview]:
    """Return the exact requests of the first rows; nothing is sent. Raises ``SpecError`` or ``DataError``."""
    prepared = _checked(spec, sets, allow_code=allow_code)
    endpoint = prepared.endpoint
    headers = dict(endpoint.headers)
    if endpoint.key_env is not None:
        headers["authorization"] = f"Bearer ${endpoint.key_env}"
    previews = []
    for row, built in first_requests(prepared, rows):
        if isinstance(built, RowError):
            previews.append(Preview(row, endpoint.url, headers, None, built))
        else:
            previews.append(Preview(row, endpoint.url, headers, _named(prepared.body(built)), None))
    return previews


def estimate(  # noqa: PLR0913 - one parameter per option
    spec: str | Path,
    *,
    sets: Sequence[str] = (),
    models: Sequence[str] = (),
    details: Sequence[str] = (),
    tiers: Sequence[str] = (),
    by: str | None = None,
    pilot: int = 0,
    exact: int = 0,
    yes: bool = False,
    confirm: Callable[[Offer], bool] | None = None,
    observe: Observer = silent,
    target: str | Path | None = None,
    allow_code: bool = False,
) -> list[Estimate]:
    """Say what a job will cost: one estimate, or one for each job of an estimate's spec. Without ``pilot`` and ``exact`` nothing is sent.

    ``models``, image ``details`` and service ``tiers`` (``batch`` among them) are compared with each other, every one with every other, in
    place of what the job has; ``by`` is an input column to split the figures by. They go before what an estimate's spec says, and ``sets``
    change each of its jobs. Every row is rendered and the headers of its media are read, which for a million short rows takes minutes.

    A ``pilot`` asks so many requests, drawn at random, as a run does: with consent (``yes``, ``confirm``), and their answers are kept for
    the run. ``exact`` has the provider count the input of so many. What they say of the whole table is in ``Estimate.sampled``, and the
    ``total`` of what is left to send rests on it; ``Estimate.measured`` says where.
    ``target`` is a .parquet or .html file to write it all to. Raises ``SpecError``, ``DataError`` or another ``RunError``.
    """
    from pipeline.report.estimate_files import writer_for  # draws pages, which few estimates need

    check_choices(details, tiers)
    title = Path(spec).stem
    write = None
    if target is not None:
        write = writer_for(Path(target), title=title, version=version("responses-pipeline"), made_at=time.time())
    comparison = load_comparison(Path(spec), os.environ)
    asked = Asked(jobs=[str(spec)]) if comparison is None else comparison.estimate
    wanted = Wanted(models or asked.models, details or asked.details, tiers or asked.tiers, by or asked.by)
    today = datetime.now(UTC).date()
    jobs = [_load(job, sets) for job in ([Path(spec)] if comparison is None else comparison.jobs)]
    every = [prepare(job, allow_code=allow_code) for job in jobs]  # all mistakes before the first long pass
    estimates = []
    for prepared in every:
        job = prepared.job
        consent = consent_of(job, yes=yes, confirm=confirm) if pilot or exact else None
        sampled = _sampled(job, pilot, exact, consent, observe, allow_code=allow_code) if consent else []
        estimates.append(measured(replace(estimated(prepared, wanted, today), sampled=sampled)))
    if write is not None:
        write(estimates)
    return estimates


def _sampled(
    job: Job, pilot: int, exact: int, consent: Consent, observe: Observer, *, allow_code: bool
) -> list[Sampled]:
    """Have some requests counted, and some asked, and return what that says of all."""
    found = []
    if exact:
        count = partial(counted_exactly, consent=consent, environ=os.environ, allow_code=allow_code)
        found.append(Sampled.of_fit("exact", outside_loop(lambda _brake: count(job, exact))))
    if pilot:
        ask = partial(piloted, consent=consent, environ=os.environ, observe=observe, allow_code=allow_code)
        found.append(Sampled.of_fit("pilot", outside_loop(lambda brake: ask(job, pilot, brake=brake))))
    return found


def run(
    spec: str | Path,
    *,
    sets: Sequence[str] = (),
    yes: bool = False,
    retry: Sequence[str] = (),
    confirm: Callable[[Offer], bool] | None = None,
    observe: Observer = silent,
    allow_code: bool = False,
) -> RunFinished:
    """Run a job to its end, or go on with it where an earlier run stopped, and write its table.

    A provider other than the embedded simulator is asked only with ``yes``, or when ``confirm`` says so for the offer it is given, or,
    where nobody is there to be asked, when the job has a budget. Pictures are downloaded from addresses which the spec itself writes
    only with a yes, too.
    ``retry`` names statuses (``failed``, ``truncated`` …): only rows that have one of them are asked, once more. A job that names Python
    functions runs only with ``allow_code``. Returns the closing figures, whose ``exit_code`` is 0 when every row is as wished and 1 when
    some are not. Raises a ``RunError`` when the run could not start or had to stop; what was finished by then is in the journal and in
    the table.
    """
    job = _load(spec, sets)
    statuses = _statuses(retry)
    consent = consent_of(job, yes=yes, confirm=confirm)
    return outside_loop(
        lambda brake: run_job(
            job,
            retry=statuses,
            consent=consent,
            environ=os.environ,
            observe=observe,
            brake=brake,
            allow_code=allow_code,
        )
    )


def status(spec: str | Path, *, sets: Sequence[str] = ()) -> State:
    """Say how far a run is; ``spec`` may be its run directory. Raises ``RunDirectoryError`` where there is no run."""
    run_dir, book = _run(spec, sets)
    with reading(run_dir, book=book) as reader:
        session, totals, rows = reader.session(), reader.totals(), reader.planned_rows
        if rows is None and session["exit_code"] in (0, 1):
            rows = totals.rows  # a finished run has counted them
        purse = _purse(reader, book)
        return State(session, totals, is_held(run_dir), rows, reader.maybe_paid_rows(), purse)


def show(spec: str | Path, row: int, *, sets: Sequence[str] = ()) -> Mapping[str, object]:
    """Return everything known of one row: its result, its request's attempts and their replies."""
    run_dir, book = _run(spec, sets)
    with reading(run_dir, book=book) as reader:
        shown = reader.row(row)
        never_asked = shown["status"] == Status.PENDING and shown.get("attempts") == []
        if never_asked and reader.session()["exit_code"] in (0, 1):
            raise SpecError(
                [Problem("", f"row {row} is not among the {reader.totals().rows:,} rows of this run")], source="show"
            )
        return shown


def export(spec: str | Path, target: str | Path | None = None, *, sets: Sequence[str] = ()) -> tuple[Path, int]:
    """Write the table from what the journal has now, as Parquet or, where the name ends in .csv, as CSV; also while a run goes on.

    Returns the path and the number of rows. Rows that are not finished are ``pending``. Raises ``DataError`` where the input has changed
    since, or would be replaced.
    """
    run_dir, book = _run(spec, sets)
    with reading(run_dir, book=book) as reader:
        job = reader.job()
        path = Path(target or table_of(run_dir, job))
        source = open_source(job.input, job.place("."))
        if replaces_input(path, source):
            raise DataError(f"{path} is a file of the input, which the table would replace", hint="name another file")
        columns = Columns.of(job, source.schema)
        if path.suffix == ".csv":
            return path, write_csv(source, reader, columns, path)
        return path, write_table(source, reader, columns, path, silent, metadata(job, reader.totals()))


def write_report(
    spec: str | Path, target: str | Path | None = None, *, by: Sequence[str] = (), sets: Sequence[str] = ()
) -> tuple[Path, Story]:
    """Write a page on a run, also while it goes on, and return its path and what it tells; ``spec`` may be the run directory.

    By default it lies beside the table, under its name with ``.html``. ``by`` names input columns to tell cost by, whatever the number of
    their values. Raises ``RunDirectoryError`` where there is no run, ``SpecError`` for a column that there is not, and ``DiskFailed``.
    """
    from pipeline.report.publish import publish_story  # what draws takes a second to load

    return publish_story(_run(spec, sets), target, made_at=time.time(), by=by, command=_command(spec, sets))


def compare(
    spec: str | Path, other: str | Path, target: str | Path | None = None, *, sets: Sequence[str] = ()
) -> tuple[Path, Comparison]:
    """Write a page on how the run of ``spec`` differs from that of ``other``, the one before, and return its path and what it tells.

    Both may be run directories; ``sets`` belong to ``spec``, beside whose table the page lies by default. Raises ``RunDirectoryError``
    where there is no run, ``DataError`` where nothing tells which rows are the same or no field is in both, and ``DiskFailed``.
    """
    from pipeline.report.publish import publish_comparison

    return publish_comparison(_run(other, ()), _run(spec, sets), target, made_at=time.time())


@contextmanager
def simulate(
    *, port: int = 0, script: Mapping[str, object] | None = None, ledger: Path | None = None
) -> Iterator[Simulator]:
    """Run the simulator while the block runs; its ``base_url()`` goes into ``provider.base_url``."""
    from pipeline.simulator import Simulator

    with Simulator(port=port, script=script, ledger=ledger) as running:
        yield running


def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    script: Path | None = None,
    ledger: Path | None = None,
    on_ready: Callable[[str], None] = print,
) -> None:
    """Run the simulator as a server until SIGINT or SIGTERM; ``on_ready`` is told its address. Raises ``SpecError`` for a wrong script."""
    from pipeline import simulator

    try:
        simulator.serve(host, port, simulator.load_script(script) if script is not None else None, ledger, on_ready)
    except simulator.ScriptError as error:
        raise SpecError([Problem("", str(error))], source=str(script)) from error
    except OSError as error:
        raise SpecError([Problem("", str(error))], source=f"{host}:{port}", hint="port 0 takes a free one") from error


def _named(body: Mapping[str, object]) -> dict[str, object]:
    """Return a body with the names of variables, as a shell writes them, where their values are sent."""
    return dict(filled(body, "${}".format))


def _load(spec: str | Path, sets: Sequence[str]) -> Job:
    job = load_job(Path(spec), sets, os.environ)
    check_script(job)
    return job


def _purse(reader: Reader, book: Book | None) -> Purse | None:
    try:
        job = reader.job()
    except ValidationError:  # written by a version that knew other settings: everything but money can be told
        return None
    return purse_of(job, past_by(reader.lines), book or Book.of(job))


def _statuses(names: Sequence[str]) -> frozenset[Status]:
    known = {status.value for status in Status if not STATUS_FACTS[status].ok} - {Status.PENDING.value}
    wrong = [name for name in names if name not in known]
    if wrong:
        raise SpecError(
            [Problem("--retry", f"{name!r} is no status; choose from {', '.join(sorted(known))}") for name in wrong],
            source="command line",
        )
    return frozenset(Status(name) for name in names)


def _run(spec: str | Path, sets: Sequence[str]) -> tuple[Path, Book | None]:
    """Return the run directory, and the prices: a run is named by its spec, which says what it costs today, or by its run directory."""
    path = Path(spec)
    if path.is_dir() or journal_path(path).exists():
        return path, None
    job = _load(path, sets)
    return job.run_path, Book.of(job)


def _command(spec: str | Path, sets: Sequence[str]) -> str:
    """Return how the run of a spec is started; a run directory does not tell its spec."""
    named = "SPEC" if Path(spec).is_dir() else str(spec)
    return shlex.join(["pipeline", "run", named, *(word for each in sets for word in ("--set", each))])
