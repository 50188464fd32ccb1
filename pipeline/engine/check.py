"""Everything about a job that can be known to be right or wrong before a request leaves."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from hashlib import blake2b
from importlib.metadata import version
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import orjson

from pipeline.checkpoint.columns import Columns
from pipeline.checkpoint.gallery import folder_of
from pipeline.checkpoint.gold import field_types, spelled
from pipeline.checkpoint.store import Start
from pipeline.client import transports
from pipeline.engine import leaving
from pipeline.engine.bounds import check_budget
from pipeline.engine.first import check_first
from pipeline.engine.pricing import idle_prices
from pipeline.errors import DataError, Problem, SpecError
from pipeline.prompt.build import RequestBuilder
from pipeline.rows.columns import to_python
from pipeline.rows.source import open_source
from pipeline.spec.asked import may_draw
from pipeline.spec.columns import Enum
from pipeline.spec.toolset import files_of, load_toolset
from pipeline.wire.encode import encode
from pipeline.wire.parameters import advise, identity_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.records import Request
    from pipeline.rows.source import Source
    from pipeline.spec.job import Job
    from pipeline.spec.toolset import Toolset
    from pipeline.wire.dialect import Endpoint


COUNTED_BYTES = 64 * 1024 * 1024  # an input up to this size is counted before the run, which takes some seconds at most
GOLD_BYTES = 1024 * 1024  # of known answers that are looked at before a run
_DECIDING = {"model", "prompt", "extra_body", "on_null", "dedupe", "media", "samples"}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A job that has been checked against its input: ready to preview and to run."""

    job: Job
    endpoint: Endpoint
    source: Source
    builder: RequestBuilder
    columns: Columns
    notes: tuple[str, ...]
    toolset: Toolset
    """The functions that the model may call."""
    rows: int | None
    """How many rows the job has; None where only a long pass over the input could tell."""

    def body(self, request: Request) -> dict[str, object]:
        """Return the body that is sent for a request, with pictures still references."""
        return encode(request.body, self.endpoint.dialect, self.job.extra_body)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Which keys and tokens are sent, by the names of their variables, and to whom."""
        return leaving.secrets(self.job, self.endpoint)

    def digest(self) -> str:
        """Return what changes with any part of the job that can change a request, a row's outcome or a column."""
        job = self.job.model_dump(mode="json", include=_DECIDING)
        fields = self.job.output.fields
        whole = [
            self.endpoint.identity,
            self.endpoint.dialect.name,
            job,
            identity_of(self.job.request),
            fields.schema if fields else None,
            self.toolset.sources,
            self.toolset.tools,
        ]
        return blake2b(orjson.dumps(whole, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()

    def start(self, *, retry: bool = False) -> Start:
        """Return what a session of this job begins with; a retry goes on with the newest plan whatever the job says now."""
        return Start(
            job=self.job.model_dump_json(),
            folder=str(self.job.place(".").resolve()),
            job_digest=None if retry else self.digest(),
            input_signature=self.source.signature(),
            rows=self.rows,
            names_files=self.builder.names_files,
            simulated=self.job.provider.simulated,
            version=version("responses-pipeline"),
            samples=self.job.samples,
        )

    @property
    def dedupe(self) -> bool:
        """Whether rows that ask the same share an answer."""
        return self.job.dedupe and self.job.extra_body.get("conversation") is None


def prepare(job: Job, base_url: str | None = None, *, allow_code: bool = False) -> Prepared:
    """Check a job against its input, and against what its dialect takes by the first row that makes a request.

    ``base_url`` is the embedded simulator's. With ``allow_code`` the functions that the job names are loaded. Blocking. Raises
    ``SpecError`` or ``DataError``; rows that fail alone are no error here.
    """
    endpoint = job.provider.endpoint(base_url)
    _check_address(job, endpoint)
    _check_delivery(job, endpoint)
    _check_transport(job, endpoint)
    toolset = load_toolset(job, allow_code=allow_code)
    source = open_source(job.input, job.place("."))
    builder = RequestBuilder(job, endpoint, source.root, toolset)
    _check_columns(job, builder, source.schema.names)
    columns = Columns.of(job, source.schema)
    _check_target(job, source)
    rows = source.rows
    if rows is None and sum(file.stat().st_size for file in source.files) <= COUNTED_BYTES:
        rows = source.count()
    prepared = Prepared(job, endpoint, source, builder, columns, (), toolset, rows)
    asked = {**job.request, "stream": job.delivery == "stream"}
    notes = (
        *_code_notes(job),
        *leaving.notes(job),
        *transports.note(job, endpoint.url),
        *advise(asked),
        *_fields_notes(job),
        *_gold_notes(job, source),
        *_samples_notes(job),
        *_rounds_notes(job),
        *_hedging_notes(job),
        *check_first(prepared),
        *check_budget(prepared),
        *idle_prices(job),
    )
    return replace(prepared, notes=notes)


def check_key(endpoint: Endpoint, key: str | None) -> None:
    """Refuse to start without the key the job names, or to send one in the clear. Raises ``SpecError``."""
    if endpoint.key_env is not None:
        check_secret(endpoint, endpoint.key_env, key)


def check_secret(endpoint: Endpoint, variable: str, value: str | None) -> None:
    """Refuse to start without the value of a variable the job names, or to send it in the clear. Raises ``SpecError``."""
    if not value:
        hint = f"export {variable}=… in the shell that runs the job; keys never stand in the spec"
        raise SpecError([Problem("provider", f"the environment variable {variable} is not set")], hint=hint)
    if not (endpoint.url.startswith("https://") or is_loopback(endpoint.url)):
        raise SpecError(
            [Problem("provider.base_url", f"a key is not sent over plain http to {urlsplit(endpoint.url).hostname}")]
        )
    if not (value.isascii() and value.isprintable() and " " not in value):
        raise SpecError([Problem("provider", f"{variable} holds spaces, line ends or characters that no key has")])


def _check_address(job: Job, endpoint: Endpoint) -> None:
    """Refuse an address that names no host, or a port that there is not. Raises ``SpecError``."""
    try:
        parts = urlsplit(endpoint.url)
        mistake = None if parts.hostname and parts.port != 0 else "names no host and port"
    except ValueError:  # what it says may quote a password
        mistake = "is no address: its host or port cannot be read"
    if mistake is not None:
        raise SpecError([job.problem("provider.base_url", mistake)], source=job.source)


def _check_delivery(job: Job, endpoint: Endpoint) -> None:
    """Refuse a delivery that the dialect does not have, or that another setting rules out. Raises ``SpecError``."""
    dialect = endpoint.dialect
    if job.delivery not in dialect.deliveries:
        message = f"{dialect.name} has no delivery {job.delivery}; it has {', '.join(sorted(dialect.deliveries))}"
        hint = "if this server has it nevertheless, list it in provider.overrides: {deliveries: […]}"
        raise SpecError([job.problem("delivery", message)], source=job.source, hint=hint)
    for place, body in (("request.store", job.request), ("extra_body.store", job.extra_body)):
        if job.delivery == "background" and body.get("store") is False:
            message = "a background answer can only be fetched where it is stored; leave store out"
            raise SpecError([job.problem(place, message)], source=job.source)


def _check_transport(job: Job, endpoint: Endpoint) -> None:
    """Refuse a transport that is not installed, or that the environment spoils. Raises ``SpecError``."""
    if (message := transports.missing(job)) is not None:
        raise SpecError([job.problem("transport", message)], source=job.source)
    transports.http_of(job, endpoint.url)


def is_loopback(url: str) -> bool:
    """Tell whether a URL's host is this machine by its own name or address."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_columns(job: Job, builder: RequestBuilder, known: list[str]) -> None:
    problems = []
    for place, columns in builder.places.items():
        for column in sorted(columns - set(known)):
            close = get_close_matches(column, known, n=1)
            message = (
                f"the input has no column {column!r} (it has {', '.join(known[:20])}{', …' if len(known) > 20 else ''})"
            )
            problems.append(job.problem(place, message, suggestion=close[0] if close else None))
    if problems:
        mark = next((mark for mark in ";\t|" if len(known) == 1 and mark in known[0]), None)
        hint = f"if the columns are separated by {mark!r}, set input.delimiter" if mark is not None else None
        raise SpecError(problems, source=job.source, hint=hint)


def replaces_input(target: Path, source: Source) -> bool:
    """Tell whether a file to write is one of the input's, by whatever name."""
    return target.exists() and any(target.samefile(file) for file in source.files)


def _check_target(job: Job, source: Source) -> None:
    """Find out before the first paid call that the output cannot be written. Raises ``SpecError`` or ``DataError``."""
    target, pictures = job.output_path, folder_of(job.output_path)
    try:
        if replaces_input(target, source):
            message = "is a file of the input, which the table would replace; name another one"
            raise SpecError([job.problem("output.path", message)], source=job.source)
        if target.is_dir():
            raise DataError(f"output.path {target} is a folder", hint="name a .parquet file in it")
        target.parent.mkdir(parents=True, exist_ok=True)
        _probe(target.with_name(f".{target.name}.probe"))
    except OSError as error:
        message = f"output.path {target} cannot be written: {error.strerror}"
        raise DataError(message, hint="choose another folder") from error
    try:
        if may_draw(job) and pictures.exists():
            _probe(pictures / ".probe")
    except OSError as error:
        message = f"the folder for pictures, {pictures}, cannot be written: {error.strerror}"
        raise DataError(message, hint="make room for it, or choose another output.path") from error


def _probe(file: Path) -> None:
    file.touch()
    file.unlink(missing_ok=True)  # another run of the same job may be looking, too


def _code_notes(job: Job) -> tuple[str, ...]:
    return tuple(f"the code of {file} runs on this machine" for file in files_of(job.tools.functions))


def _fields_notes(job: Job) -> tuple[str, ...]:
    return job.output.fields.warnings if job.output.fields is not None else ()


def _gold_notes(job: Job, source: Source) -> list[str]:
    """Name the columns of known answers whose first values are none of the choices that they are held against."""
    types = field_types(job)
    choices = {name: type_ for name in job.output.known if isinstance(type_ := types[name], Enum)}
    columns = [job.output.known[name] for name in choices]
    notes = []
    for batch in islice(source.batches(columns, target_bytes=GOLD_BYTES), 1) if columns else ():
        for (name, type_), column in zip(choices.items(), columns, strict=True):
            known = {spelled(cell, type_) for cell in to_python(batch.table.column(column))} - {None, ""}
            if known and known.isdisjoint(spelled(value, type_) for value in type_.values):
                given, wanted = _some(sorted(map(str, known))), _some(type_.values)
                notes.append(
                    f"output.gold: no value of {column} that was looked at ({given}) is a choice of {name} ({wanted})"
                )
    return notes


def _some(values: Sequence[str]) -> str:
    return ", ".join(value[:30] for value in values[:5]) + (", …" if len(values) > 5 else "")


def _samples_notes(job: Job) -> tuple[str, ...]:
    """What makes the samples of a row the same answer several times, each of them paid."""
    asked = {**job.request, **job.extra_body}
    fixed = [f"{name} {asked[name]}" for name in ("temperature", "top_p") if asked.get(name) in (0, "0")]
    fixed += ["a seed"] if asked.get("seed") is not None else []
    if job.samples == 1 or not fixed:
        return ()
    return (f"samples is {job.samples}, but with {' and '.join(fixed)} the answers of a row will hardly differ",)


def _hedging_notes(job: Job) -> tuple[str, ...]:
    """That slow requests may be paid twice: nobody should learn it from the bill, and no estimate knows how many will be slow."""
    if (seconds := job.retry.hedge_after) is None:
        return ()
    return (
        f"retry.hedge_after: what takes longer than {seconds:g} s is asked a second time, and both may be paid; no estimate has that",
    )


def _rounds_notes(job: Job) -> tuple[str, ...]:
    """How many requests one row may become where several rounds are allowed: nobody should learn it from the bill."""
    if not job.takes_rounds:
        return ()
    rounds, repairs = job.tools.rounds if job.tools.functions else 0, job.output.repair
    parts = [f"{rounds} rounds of functions"] * bool(rounds) + [f"{repairs} to repair"] * bool(repairs)
    samples = f" for each of {job.samples} samples" if job.samples > 1 else ""
    most = job.samples * (1 + rounds + repairs)
    return (f"a row may take up to {most} requests: 1{''.join(f' + {part}' for part in parts)}{samples}",)
