"""What is known of a run and of one of its rows, for ``status`` and ``show``: functions from the journal's values to text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from textwrap import indent

from pipeline.checkpoint.reader import Totals
from pipeline.checkpoint.schema import PILOT
from pipeline.cost.rates import dollars
from pipeline.errors import BudgetReached
from pipeline.events import exact_usd
from pipeline.records import STATUS_FACTS, Purse, Status, Usage
from pipeline.report.cost_lines import cache_lines, cost_lines
from pipeline.report.purse import projected, purse_figures, purse_parts
from pipeline.report.text import (
    block,
    counted,
    extent,
    labelled,
    pretty,
    share,
    tally_of,
    tokens,
    unit,
    visible,
)

_NAMED = 5
"""Rows that are named of many."""

_ENDINGS: Mapping[int, str] = {
    PILOT: "a pilot: some rows were asked, to estimate the others",
    0: "finished: every row is ok",
    1: "finished: some rows are not ok",
    2: "stopped: the spec is wrong, or nothing was sent",
    3: "stopped: the data is wrong",
    5: "stopped: the budget is reached",
    6: "stopped: the provider refuses everyone",
    7: "stopped: the disk failed",
    8: "stopped: the job's functions hang",
    130: "interrupted",
    143: "interrupted",
}


def render_status(
    session: Mapping[str, object],
    totals: Totals,
    *,
    running: bool,
    planned: int | None,
    maybe_paid_rows: Sequence[int],
    purse: Purse | None = None,
    zone: tzinfo = UTC,
) -> str:
    """Return how far a run is.

    ``session`` and ``totals`` are the journal's, ``planned`` is the number of rows of the job (None while it is not known), and
    ``maybe_paid_rows`` are the first rows with an attempt whose end is not known. ``purse`` is the state of the job's budget. Times are
    shown in ``zone``.
    """
    lines = [
        _job_title(session),
        labelled("state", _state(session, running=running)),
        labelled("started", _moment(session.get("started_at"), zone)),
    ]
    if session.get("ended_at") is not None and not running:
        lines.append(labelled("ended", _moment(session["ended_at"], zone)))
    wanted = None if planned is None else planned * totals.samples
    if planned is not None and totals.samples > 1:
        lines.append(labelled("rows", extent(planned, totals.samples)))
    lines.append(labelled(f"{unit(totals.samples)}s", _position(totals, wanted)))
    lines += _counts(totals, wanted)
    lines += _spending(totals, maybe_paid_rows)
    if purse is not None:
        in_all = _in_all(session, totals, purse, wanted, running=running)
        about = [f"about {dollars(in_all)} in all"] if in_all is not None and _settled(totals) != wanted else []
        lines.append(labelled("budget", ", ".join([*purse_parts(purse), *about])))
    return "\n".join(lines)


def status_figures(
    session: Mapping[str, object],
    totals: Totals,
    *,
    running: bool,
    planned: int | None,
    maybe_paid_rows: Sequence[int],
    purse: Purse | None = None,
) -> dict[str, object]:
    """Return what ``render_status`` shows for machines: money as dollars in exact decimals, and null for what is not known.

    ``projected_usd`` is what all rows will have cost, where the budget is one of money and the rows so far tell it.
    """
    wanted = None if planned is None else planned * totals.samples
    in_all = None if purse is None else _in_all(session, totals, purse, wanted, running=running)
    return {
        "session": dict(session),
        "totals": {**asdict(totals), "money": totals.money.figures(), "caching": totals.caching.figures()},
        "running": running,
        "rows": planned,
        "maybe_paid_rows": list(maybe_paid_rows),
        "purse": None if purse is None else purse_figures(purse),
        "projected_usd": exact_usd(in_all),
    }


def _job_title(session: Mapping[str, object]) -> str:
    job = session.get("job")
    settings = job if isinstance(job, Mapping) else {}
    provider = settings.get("provider")
    name = provider.get("name") if isinstance(provider, Mapping) else provider
    return " · ".join(visible(str(part), 100) for part in (settings.get("name"), settings.get("model"), name) if part)


def _state(session: Mapping[str, object], *, running: bool) -> str:
    if running:
        return f"running, process {session.get('pid')}"
    code = session.get("exit_code")
    if not isinstance(code, int):
        return "killed: the same command goes on from there"
    return _ENDINGS.get(code, f"ended with exit code {code}")


def _moment(value: object, zone: tzinfo) -> str:
    if not isinstance(value, int | float):
        return "unknown"
    return datetime.fromtimestamp(value, zone).strftime("%Y-%m-%d %H:%M:%S %Z")


def _settled(totals: Totals) -> int:
    return totals.answers - totals.by_status.get(Status.PENDING, 0)


def _position(totals: Totals, wanted: int | None) -> str:
    done = _settled(totals)
    if wanted is None:
        return f"{done:,} finished, total not known yet"
    return f"{done:,} of {wanted:,} finished ({share(done, wanted)})"


def _counts(totals: Totals, wanted: int | None) -> Iterator[str]:
    counts = {status: totals.by_status.get(status, 0) for status in Status}
    if wanted is not None:
        counts[Status.PENDING] = max(wanted - _settled(totals), 0)
    present = {status: count for status, count in counts.items() if count}
    width = max((len(f"{count:,}") for count in present.values()), default=1)
    for status, count in present.items():
        because = tally_of(totals.by_error.get(status, {}))
        yield f"    {status:<12} {count:>{width},}{'   ' if because else ''}{because}"


def _spending(totals: Totals, maybe_paid_rows: Sequence[int]) -> Iterator[str]:
    yield labelled("attempts", f"{totals.attempts:,}")
    if totals.attempts:
        yield labelled("tokens", tokens(totals.usage, totals.unknown_usage, unit(totals.samples)))
    yield from cache_lines(totals.caching, simulated=totals.money.simulated)
    yield from cost_lines(totals.money)
    if _is_spent(totals.superseded):
        yield labelled("besides", f"{tokens(totals.superseded)}, for answers that no row uses any more")
    if totals.to_fetch:
        yield labelled("to fetch", f"{counted(totals.to_fetch, 'background response')} still with the provider")
    if totals.cancelled:
        were = f"{counted(totals.cancelled, 'response')} at the provider"
        yield labelled("cancelled", f"{were}; what they cost is not known")
    if totals.maybe_paid:
        first = ", ".join(map(str, maybe_paid_rows[:_NAMED])) + (", …" if len(maybe_paid_rows) > _NAMED else "")
        named = f" (rows {first})" if maybe_paid_rows else ""
        yield labelled("unclear", f"{counted(totals.maybe_paid, 'attempt')} perhaps paid without an answer{named}")


def _in_all(
    session: Mapping[str, object], totals: Totals, purse: Purse, wanted: int | None, *, running: bool
) -> int | None:
    """Return the picodollars that all rows will have cost; None where that cannot be said."""
    if purse.picos is None:
        return None
    stopped = session.get("exit_code") == BudgetReached.exit_code and not running
    return projected(purse.spent.picos, _settled(totals), wanted, totals.attempts if stopped else None)


def _is_spent(usage: Usage) -> bool:
    return any((usage.input_tokens, usage.output_tokens, usage.total_tokens))


# What the journal's states of an attempt mean.
_STATES: Mapping[object, str] = {
    "sent": "no end yet",
    "round": "answered, and goes on in another round",
    "refused": "ended without an answer",
    "unknown": "end not known, perhaps paid",
    "never": "not carried out",
}

_ROW_FACTS = (
    *("error_kind", "error_message", "provider", "model", "service_tier", "response_id", "refusal"),
    *("phase", "confidence", "searches", "vendor_cost", "cost_usd", "cost_note"),
)
_ATTEMPT_FACTS = (
    *("status", "http_status", "error_kind", "error_message", "request_id", "response_id"),
    *("asked_model", "asked_tier", "model", "service_tier", "total_tokens", "cost_usd", "cost_note"),
)
# What takes lines of its own, by title.
_ROW_TEXTS = (
    ("output", "output"),
    ("tool calls", "tool_calls"),
    ("reasoning", "reasoning_summary"),
    ("sources", "sources"),
    ("images", "images"),
    ("notes", "notes"),
)


def render_row(row: Mapping[str, object]) -> str:
    """Return everything the journal knows of one row: its result, or each sample's, then every attempt with the reply's body."""
    title, found = f"row {row.get('row')}", row.get("samples")
    if not isinstance(found, list):
        return _result(row, title)
    samples = [_result(sample, f"sample {number} of {len(found)}") for number, sample in enumerate(found, 1)]
    return "\n\n".join([_standing(row, title), *samples])


def _standing(row: Mapping[str, object], title: str) -> str:
    status = str(row.get("status"))
    meaning = f" - {STATUS_FACTS[Status(status)].meaning}" if status in set(Status) else ""
    return f"{title}: {visible(status)}{meaning}"


def _result(row: Mapping[str, object], title: str) -> str:
    lines = [_standing(row, title)]
    lines += _facts({**row, "searches": row.get("searches") or None}, _ROW_FACTS)  # every job counts them, few search
    for heading, name in _ROW_TEXTS:
        if text := row.get(name):
            lines += ["", heading, block(_text(text), "  ")]
    found = row.get("attempts")
    attempts = found if isinstance(found, list) else []
    for number, attempt in enumerate(attempts, 1):
        lines += ["", *_attempt(attempt, f"attempt {number} of {len(attempts)}")]
    return "\n".join(lines)


def _text(value: object) -> str:
    return "\n".join(map(_member, value)) if isinstance(value, list) else str(value)


def _member(value: object) -> str:
    """Return one line on a source, in the order of its fields, or the text that a list holds."""
    parts = value.values() if isinstance(value, Mapping) else [value]
    return " · ".join(" ".join(str(part).split()) for part in parts if part is not None)


def _facts(values: Mapping[str, object], names: Iterable[str]) -> list[str]:
    present = [name for name in names if values.get(name) is not None]
    width = max(map(len, present), default=0)
    return [f"  {name:<{width}}  {visible(_fact(values[name]))}" for name in present]


def _fact(value: object) -> str:
    """Return a fact as text; a small amount of money without an exponent."""
    return f"{Decimal(repr(value)):f}" if isinstance(value, float) else str(value)


def _attempt(attempt: Mapping[str, object], title: str) -> Iterator[str]:
    latency = attempt.get("latency_s")
    took = f", {latency:.2f} s" if isinstance(latency, int | float) else ""
    sent = _moment(attempt.get("sent_at"), UTC)
    state = attempt.get("state")
    yield f"{title}: {visible(_STATES.get(state, str(state)))}, sent {sent}{took}"
    yield from _facts(attempt, _ATTEMPT_FACTS)
    if (reply := attempt.get("reply")) is not None:
        yield indent(pretty(reply), "  ")
