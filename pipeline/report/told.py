"""The main figures of a report for the terminal: what a page tells, in some lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any

from pipeline.cost.rates import PICOS, dollars
from pipeline.events import Caching
from pipeline.report.cost_lines import UNPAID, cache_lines
from pipeline.report.story import Cache, Comparison, Story, Tokens, Verdicts
from pipeline.report.text import counted, figure, labelled, unit, unknown_cost, visible

_ROWS = ("cards", "changes", "moments")
_MOST_NOTES = 6


def figures(told: Story | Comparison) -> dict[str, Any]:
    """Return the figures of a report as a mapping that JSON can carry, without single rows and moments."""
    shown: dict[str, Any] = {}
    for each in fields(told):
        value = getattr(told, each.name)
        if isinstance(value, Story):
            shown[each.name] = figures(value)
        elif each.name not in _ROWS:
            shown[each.name] = _plain(value)
    return shown


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return asdict(value) if hasattr(value, "__dataclass_fields__") else value


def render_story_text(story: Story) -> str:
    """Return the main figures of a run."""
    lines = [
        labelled(
            f"{unit(story.samples)}s", ", ".join(f"{status} {count:,}" for status, count, _, _ in story.by_status)
        ),
        labelled("tokens", _tokens(story.tokens)),
        *cache_lines(_caching(story.cache), simulated=story.simulated),
        *(labelled("cost", line) for line in _cost(story)),
        labelled(
            "attempts", figure(story.attempts) + (f", {story.repaired:,} answers repaired" if story.repaired else "")
        ),
        *(labelled("accuracy", _accuracy(each)) for each in _verdicts(story)),
    ]
    if story.outliers:
        lines.append(labelled("unusual", f"{counted(len(story.outliers), 'row')} billed otherwise than expected"))
    return "\n".join([*lines, *_notes(story.notes)])


def render_comparison_text(comparison: Comparison) -> str:
    """Return how two runs differ."""
    alone = [(comparison.only_before, "only before"), (comparison.only_after, "only after")]
    alone += [(comparison.neither, "answered in neither")]
    only = "".join(f", {rows:,} {which}" for rows, which in alone if rows)
    before, after = comparison.before, comparison.after
    lines = [
        *(labelled(which, _run(story)) for which, story in (("before", before), ("after", after))),
        labelled(
            "rows", f"{comparison.rows:,} compared: {comparison.same:,} same, {comparison.changed:,} changed{only}"
        ),
        *(
            labelled(visible(name, 30), _agreement(agree, rows, kappa))
            for name, agree, rows, kappa in comparison.fields
        ),
        labelled("cost", f"{_dollars(before.bill.table)} -> {_dollars(after.bill.table)}"),
        labelled("tokens", f"{figure(before.tokens.total)} -> {figure(after.tokens.total)}"),
        labelled("latency", f"{_latency(before)} -> {_latency(after)} in the median"),
    ]
    statuses = dict.fromkeys(status for story in (before, after) for status, *_ in story.by_status)
    first, second = ({status: count for status, count, *_ in story.by_status} for story in (before, after))
    lines += [labelled(status, f"{first.get(status, 0):,} -> {second.get(status, 0):,}") for status in statuses]
    return "\n".join([*lines, *_notes(comparison.notes)])


def _run(story: Story) -> str:
    models = ", ".join(group.name for group in story.models[:3])
    return f"{visible(story.name, 60)} ({visible(models, 80)})" if models else visible(story.name, 60)


def _dollars(usd: float | None) -> str:
    return dollars(None if usd is None else round(usd * PICOS))


def _cost(story: Story) -> Iterator[str]:
    bill = story.bill
    besides = f" + {_dollars(bill.superseded)} for answers that no row uses" if bill.superseded else ""
    yield _dollars(bill.table) + besides + (UNPAID if story.simulated and bill.table is not None else "")
    if (unknown := unknown_cost(bill.maybe_paid, bill.unreported, bill.unpriced)) is not None:
        yield unknown
    if bill.expected is not None:
        yield f"expected {_dollars(bill.expected_low)} to {_dollars(bill.expected_high)}"


def _caching(cache: Cache | None) -> Caching:
    if cache is None:
        return Caching()
    saved = None if cache.saved is None else round(cache.saved * PICOS)
    return Caching(cache.requests, cache.hits, cache.input, cache.cached, saved)


def _tokens(tokens: Tokens) -> str:
    return f"{figure(tokens.input)} in ({figure(tokens.cached)} cached) + {figure(tokens.output)} out = {figure(tokens.total)}"


def _verdicts(story: Story) -> Iterator[Verdicts]:
    yield from (each for each in (story.verdicts, *story.more_verdicts) if each is not None)


def _accuracy(verdicts: Verdicts) -> str:
    if verdicts.accuracy is None:
        return f"{visible(verdicts.field)}: no row has both an answer and a known one"
    return f"{visible(verdicts.field)} {verdicts.accuracy:.2f} ({verdicts.right:,} of {counted(verdicts.rows, 'row')} with a known answer)"


def _agreement(agree: int, rows: int, kappa: float | None) -> str:
    beyond = "" if kappa is None else f", kappa {kappa:.2f}"
    return f"{agree:,} of {rows:,} agree ({agree / rows:.0%}{beyond})" if rows else "nothing to compare"


def _latency(story: Story) -> str:
    """Return the median latency of the model with the most rows."""
    busiest = max(story.models, key=lambda group: group.rows, default=None)
    return "unknown" if busiest is None or busiest.median_s is None else f"{busiest.median_s:.2f} s"


def _notes(notes: Any) -> list[str]:
    return [labelled("note", visible(note)) for note in list(notes)[:_MOST_NOTES]]
