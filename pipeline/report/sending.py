"""What a job will send, before it does: the screens of ``check``, ``preview`` and of the question before the first paid request.

All of them are functions from plain values to text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.events import Offer
from pipeline.records import Media
from pipeline.report.expected import expected_cost
from pipeline.report.text import columns as width_of
from pipeline.report.text import counted, extent, figure, labelled, near, pretty, visible


def render_check(  # noqa: PLR0913 - one value per line of the screen
    *,
    name: str,
    provider: str,
    url: str,
    model: str,
    rows: int | None,
    columns: Mapping[str, str],
    output: Path,
    notes: Sequence[str] = (),
    samples: int = 1,
    secrets: Sequence[str] = (),
) -> str:
    """Return what a checked job is: who is asked about how many rows, and the ``columns`` of its output with their types.

    ``secrets`` say, by name, which keys and tokens are sent to whom.
    """
    width = max((width_of(visible(column)) for column in columns), default=0)
    lines = [
        f"{visible(name, 100)} is ready to run.",
        labelled("provider", visible(provider)),
        labelled("endpoint", visible(url)),
        *_secrets(secrets),
        labelled("model", visible(model)),
        labelled("rows", "not counted before the run" if rows is None else _rows(rows, samples)),
        labelled("output", near(output)),
    ]
    for column, kind in columns.items():
        shown = visible(column)
        lines.append(f"    {shown}{' ' * (width - width_of(shown))}  {visible(kind)}")
    return "\n".join([*lines, *(labelled("note", visible(note)) for note in notes)])


def render_preview(
    row: int, url: str, headers: Mapping[str, str], body: Mapping[str, object] | None, error: Exception | None = None
) -> str:
    """Return one row's request as it would leave, pictures by their names, or why the row makes none."""
    if body is None:
        return f"row {row}: sends nothing: {visible(str(error))}"
    lines = [f"row {row}", f"POST {visible(url)}"]
    lines += [f"{visible(name)}: {visible(value)}" for name, value in headers.items()]
    return "\n".join([*lines, "", pretty(with_pictures_named(body))])


def with_pictures_named(value: object) -> object:
    """Return a request's body with a label where each picture, video and file will be."""
    if isinstance(value, Media):
        return f"<{value.kind} {value.label}>"
    if isinstance(value, Mapping):
        return {str(name): with_pictures_named(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [with_pictures_named(member) for member in value]
    return value


def render_offer(offer: Offer) -> str:
    """Return what a run is about to send, for a person to agree to.

    None is shown as unknown, and limits that are not set are left out: those are left to what the provider allows. What is simulated
    costs nothing, and is asked for its downloads.
    """
    risk = "It downloads from addresses that the spec writes" if offer.simulated else "This may cost money"
    rows, samples, wanted = offer.rows, offer.samples, offer.wanted
    answers = rows * samples if wanted is None and rows is not None else wanted
    lines = [
        f"{visible(offer.name, 100)} is about to ask {visible(offer.provider, 60)}. {risk}.",
        labelled("endpoint", visible(offer.url)),
        *_secrets(offer.secrets),
        labelled("model", visible(offer.model)),
        labelled("rows", "unknown" if rows is None else _rows(rows, samples, wanted)),
        labelled("known", f"{figure(offer.known)}, not asked again" if offer.known else "none"),
        labelled("to send", _to_send(answers, offer.known)),
    ]
    if offer.expected is not None:
        lines.append(labelled("cost", expected_cost(offer.expected)))
    limits = [f"{limit} {value:,.10g}" for limit, value in offer.limits.items() if value is not None]
    if limits:
        lines.append(labelled("limits", ", ".join(limits)))
    lines.append(labelled("output", near(offer.output)))
    return "\n".join([*lines, *(labelled("note", visible(note)) for note in offer.notes)])


def _secrets(secrets: Sequence[str]) -> list[str]:
    return [labelled("secrets", visible(", ".join(secrets)))] if secrets else []


def _rows(rows: int, samples: int, wanted: int | None = None) -> str:
    return f"{rows:,}" if samples == 1 else extent(rows, samples, wanted)


def _to_send(answers: int | None, known: int) -> str:
    if answers is None:
        return "unknown before the input is read"
    return f"at most {counted(max(answers - known, 0), 'request')}, and some again where they fail in passing"
