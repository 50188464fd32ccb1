"""A job spec from its file: every mistake at once, each with its line.

The way is: text → tree (``syntax``) → changed by ``--set`` (``overrides``) → values (``evaluate``) → ``Job``. Nothing that a spec holds is
ever executed or fetched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from pipeline.errors import Problem
from pipeline.spec import overrides
from pipeline.spec.comparison import COMPARES, Comparison
from pipeline.spec.evaluate import borrowings, evaluate
from pipeline.spec.explain import Explainer
from pipeline.spec.job import Job
from pipeline.spec.problems import Report
from pipeline.spec.request import check_request
from pipeline.spec.syntax import LARGEST, Format, read
from pipeline.spec.tree import Entries, nearest
from pipeline.wire.shape import Complaint, closest

FORMATS: Mapping[str, Format] = {".json": "json", ".toml": "toml"}
"""By the file's ending; every other one is YAML."""

_NO_ENVIRONMENT: Mapping[str, str] = {}


def load_job(path: Path, sets: Sequence[str] = (), environ: Mapping[str, str] = _NO_ENVIRONMENT) -> Job:
    """Read the job spec at ``path``, changed by ``sets`` (``a.b=value``), with ``${VAR}`` taken from ``environ``.

    Relative paths of the job count from the spec's folder. Raises ``SpecError`` with every mistake.
    """
    text, folder = _text(path), path.absolute().parent
    return load_text(text, format=_format(path), source=str(path), folder=folder, sets=sets, environ=environ)


def load_comparison(path: Path, environ: Mapping[str, str] = _NO_ENVIRONMENT) -> Comparison | None:
    """Read the spec of an estimate at ``path``; None where it is a job's. Raises ``SpecError`` with every mistake."""
    text = _text(path)
    report = Report(text, str(path))
    root = read(text, _format(path), report)
    root.nodes.pop("$schema", None)
    if COMPARES not in root.nodes:
        return None
    values, spoiled = evaluate(root, environ, report)
    try:
        comparison = Comparison.model_validate(values)
    except ValidationError as error:
        Explainer(root, spoiled, report, Comparison).findings(error, values)
        raise report.error() from None
    if report.problems:
        raise report.error()
    return comparison.located(path.absolute().parent)


def _refuse_comparison(root: Entries, report: Report) -> None:
    """Refuse the spec of an estimate, also where its key is misspelled: one mistake, not all that a job has and it lacks."""
    if COMPARES in root.nodes:
        message = "is the spec of an estimate, which only `pipeline estimate` reads; here a job is wanted"
        raise report.fatal(message, root.keys[COMPARES], (COMPARES,))
    for name, place in root.keys.items():
        if closest(name, [COMPARES], likeness=0.8) is not None:
            report.add((name,), "is no setting, neither of a job nor of an estimate", place, COMPARES)
            raise report.error()


def _format(path: Path) -> Format:
    return FORMATS.get(path.suffix.lower(), "yaml")


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise Report("", str(path)).fatal(f"cannot be read: {error.strerror or error}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Report("", str(path)).fatal(
            f"is not UTF-8 text: byte {content[error.start]:#04x} in line {line}"
        ) from error


def load_text(
    text: str,
    *,
    format: Format = "yaml",
    source: str = "job spec",
    folder: Path,
    sets: Sequence[str] = (),
    environ: Mapping[str, str] = _NO_ENVIRONMENT,
) -> Job:
    """Read a job spec from its text; ``source`` is what messages call it. Raises ``SpecError`` with every mistake."""
    report = Report(text, source)
    root = read(text, format, report)
    root.nodes.pop("$schema", None)  # an editor's hint, which JSON can't put into a comment
    if "prompt" not in root.nodes:
        _refuse_comparison(root, report)
    for option in sets:
        overrides.apply(root, option, report)
    values, spoiled = evaluate(root, environ, report)
    try:
        job = Job.model_validate(values)
    except ValidationError as error:
        explainer = Explainer(root, spoiled, report)
        explainer.findings(error, values)
        explainer.complaints(_parameters(values))
        raise report.error() from None
    if report.problems:
        raise report.error()

    def describe(path: tuple[str | int, ...], message: str, suggestion: str | None) -> Problem:
        return report.problem(path, message, nearest(root, path)[1], suggestion)

    return job.located(folder, source=source, describe=describe, borrowed=tuple(borrowings(root, environ)))


def _parameters(values: Mapping[str, object]) -> Sequence[Complaint]:
    """Check the request even where the rest of the job is too wrong for the job to check it itself."""
    request, output, prompt = values.get("request"), values.get("output"), values.get("prompt")
    extra_body = values.get("extra_body")
    if not isinstance(request, Mapping):
        return ()
    asks_fields = isinstance(output, Mapping) and output.get("fields") is not None
    asks_system = isinstance(prompt, Mapping) and prompt.get("system") is not None
    verbatim = extra_body if isinstance(extra_body, Mapping) else {}
    return check_request(request, verbatim, asks_fields=asks_fields, asks_system=asks_system)
