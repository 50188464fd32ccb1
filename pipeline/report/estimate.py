"""What a job will cost, on a screen: functions from plain values to text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from pipeline.cost.estimate import KINDS, Estimate, Quote, Rate, Sampled, together
from pipeline.cost.interval import Interval
from pipeline.report.expected import between, usd_text
from pipeline.report.text import columns as width_of
from pipeline.report.text import counted, duration, extent, labelled, visible

if TYPE_CHECKING:
    from collections.abc import Callable

_CELL = 40  # columns of a terminal for a name


def render_estimates(estimates: Sequence[Estimate]) -> str:
    """Return a screen for each job, and where several are priced the sum for each model, detail and tier."""
    screens = [render_estimate(estimate) for estimate in estimates]
    if len(estimates) > 1:
        screens.append(_together(estimates))
    sent = any(estimate.sampled for estimate in estimates)
    return "\n\n".join([*screens, *([] if sent else ["Nothing was sent."])])


def render_estimate(estimate: Estimate) -> str:
    """Return what one job will cost, what that rests on, and what it leaves out."""
    total = estimate.total
    real = "; priced as the real model would be" if estimate.simulated else ""
    lines = [
        f"{visible(estimate.job, 100)}: {visible(total.model, 60)} at {visible(estimate.provider, 60)}{real}",
        labelled("rows", _rows(estimate)),
        labelled("to send", _to_send(estimate)),
        labelled("input", f"{amount(total.input_total)} tokens{_by(estimate, 'input')}{_by_kind(total.input)}"),
        labelled("output", f"{amount(total.output)} tokens{_by(estimate, 'output')}"),
        labelled("cost", f"{_cost(total)}{_by(estimate, 'cost')}"),
        labelled("time", _time(estimate)),
        *(line for sampled in estimate.sampled for line in _sampled(sampled, estimate.total.cost)),
    ]
    if len(estimate.quotes) > 1 or any(quote.model != total.model for quote in estimate.quotes):
        lines += ["", *_table(_quote_columns(estimate.quotes), estimate.quotes), *_range(estimate.quotes)]
    if estimate.groups:
        columns = {str(estimate.by): _group, **_quote_columns(estimate.groups)}
        lines += ["", *_table(columns, estimate.groups)]
    lines += ["", *_rates(estimate.rates)]
    lines += [labelled("assumed", visible(line)) for line in estimate.assumptions]
    lines += [labelled("left out", visible(line)) for line in estimate.not_counted]
    return "\n".join(lines)


def _rows(estimate: Estimate) -> str:
    if estimate.samples > 1:
        return extent(estimate.rows, estimate.samples)
    if estimate.input_rows is None or estimate.input_rows == estimate.rows:
        return f"{estimate.rows:,}"
    return f"{estimate.rows:,} of the {estimate.input_rows:,} rows of the input ({', '.join(estimate.chosen_by)})"


def _to_send(estimate: Estimate) -> str:
    aside = {
        "known already": estimate.known,
        "shared by identical rows": estimate.shared,
        "of rows that ask nothing": estimate.silent * estimate.samples,
    }
    told = [f"{number:,} {what}" for what, number in aside.items() if number]
    calls = estimate.total.calls
    rounds = f" in {amount(calls)} calls" if calls.high > estimate.requests else ""
    return f"{counted(estimate.requests, 'request')}{rounds}" + (f" ({', '.join(told)})" if told else "")


def _by_kind(kinds: Mapping[str, Interval]) -> str:
    told = [f"{kind} {kinds[kind].mid:,.0f}" for kind in KINDS if kinds[kind].high]
    return f": {', '.join(told)}" if told else ""


def _by(estimate: Estimate, figure: str) -> str:
    """Return what a figure of the total was measured by, where it was."""
    how = estimate.measured.get(figure)
    if how is None:
        return ""
    return (
        ", by the pilot" if how == "pilot" else f", {'its input ' if figure == 'cost' else ''}by the provider's count"
    )


def _cost(quote: Quote) -> str:
    if quote.cost is None:
        return f"unknown: {visible(quote.missing or 'no price')}"
    return (
        f"{between(quote.cost.low, quote.cost.high)}, about {usd_text(quote.cost.mid)}"
        if quote.cost.high
        else usd_text(0.0)
    )


def _sampled(sampled: Sampled, unpaid: Interval | None) -> list[str]:
    """Return what a pilot or an exact count says of the whole table, what is answered already included; ``unpaid`` is the rest."""
    done = {"pilot": "asked and kept" if sampled.sent != 0 else "answered before", "exact": "counted by the provider"}
    spent = "" if sampled.spent is None else f" for {usd_text(sampled.spent)}"
    told = any((sampled.input, sampled.output, sampled.cost))
    follows = "; of all of them, 9 times in 10:" if told else ""
    lines = [
        labelled(sampled.how, f"{sampled.requests:,} of {sampled.of:,} requests, {done[sampled.how]}{spent}{follows}")
    ]
    if sampled.input is not None and sampled.input_ratio is not None:
        ratio = f"{sampled.input_ratio.mid:.2f} for each that is counted here"
        lines.append(f"    input   {amount(sampled.input)} tokens, {ratio}")
    if sampled.output is not None:
        each = ", ".join(f"{share:.0%} below {tokens:,.0f}" for share, tokens in sampled.output_quantiles.items())
        lines.append(f"    output  {amount(sampled.output)} tokens; of the requests {each}")
    if sampled.cost is not None:
        cost = sampled.cost
        left = "" if sampled.spent is None or unpaid is None else f"; still to pay about {usd_text(unpaid.mid)}"
        lines.append(f"    cost    {between(cost.low, cost.high)}, about {usd_text(cost.mid)}{left}")
    return [*lines, *(f"    note    {visible(note)}" for note in sampled.notes)]


def _time(estimate: Estimate) -> str:
    if estimate.duration_s is None:
        return visible(estimate.duration_note)
    low, high = (duration(value) for value in (estimate.duration_s.low, estimate.duration_s.high))
    return f"{low if low == high else f'{low} to {high}'} {visible(estimate.duration_note)}"


Columns = Mapping[str, "Callable[[Quote], str]"]
"""A table's columns by their titles: what each says of a quote."""


def _quote_columns(quotes: Sequence[Quote]) -> dict[str, Callable[[Quote], str]]:
    """Return the columns that tell quotes apart, and their figures."""
    telling: dict[str, Callable[[Quote], str]] = {
        "model": lambda quote: visible(quote.model, _CELL),
        "detail": lambda quote: quote.detail or "",
        "tier": lambda quote: quote.tier or "",
    }
    return {
        **{title: tell for title, tell in telling.items() if any(map(tell, quotes))},
        "requests": lambda quote: f"{quote.requests:,}",
        "input": lambda quote: f"{quote.input_total.mid:,.0f}",
        "output": lambda quote: f"{quote.output.mid:,.0f}",
        "cost": lambda quote: (
            between(quote.cost.low, quote.cost.high)
            if quote.cost is not None
            else f"unknown: {visible(quote.missing or '')}"
        ),
    }


def _group(quote: Quote) -> str:
    if quote.group is None:
        return f"({quote.others:,} others)"
    return visible(quote.group, _CELL) or "(empty)"


def _table(columns: Columns, quotes: Iterable[Quote]) -> list[str]:
    lines = [list(columns), *([tell(quote) for tell in columns.values()] for quote in quotes)]
    widths = [max(map(width_of, cells)) for cells in zip(*lines, strict=True)]
    figures = {"requests", "input", "output"}
    return [
        "  "
        + "  ".join(
            f"{' ' * (width - width_of(cell))}{cell}" if title in figures else f"{cell}{' ' * (width - width_of(cell))}"
            for cell, width, title in zip(line, widths, columns, strict=True)
        ).rstrip()
        for line in lines
    ]


def _rates(rates: Sequence[Rate]) -> list[str]:
    """Return the rates, and each source once with the models whose rates are from there."""
    lines = []
    sources: dict[str, dict[str, None]] = {}
    for rate in rates:
        name = f"{visible(rate.model, 60)}{f' {rate.tier}' if rate.tier else ''}"
        if rate.missing is not None:
            lines.append(labelled("rate", f"{name}: unknown: {visible(rate.missing)}"))
            continue
        told = f"{name}: ${rate.input} in, ${rate.cached} cached, ${rate.output} out per million tokens"
        lines.append(labelled("rate", told))
        source = " of ".join(filter(None, (rate.source, rate.as_of)))
        sources.setdefault("; ".join(filter(None, (source, rate.note))), {})[visible(rate.model, 60)] = None
    return [
        *lines,
        *(labelled("rates from", f"{visible(source)} ({', '.join(models)})") for source, models in sources.items()),
    ]


def _together(estimates: Sequence[Estimate]) -> str:
    """Return a table of what all jobs come to, for each model, detail and tier that every one of them is priced for."""
    priced = [{(quote.model, quote.detail, quote.tier): quote for quote in each.quotes} for each in estimates]
    sums = []
    for model, detail, tier in dict.fromkeys(key for quotes in priced for key in quotes):
        found = [quotes.get((model, detail, tier), quotes.get((model, None, tier))) for quotes in priced]
        every = [quote for quote in found if quote is not None]
        if len(every) == len(priced) and any((model, detail, tier) in quotes for quotes in priced):
            sums.append(together(every, model=model, detail=detail, tier=tier))
    told = [quote for quote in sums if quote.detail is not None] or sums
    if not told:
        return "The jobs have no model in common; name some with --models to compare them."
    names = ", ".join(visible(estimate.job, _CELL) for estimate in estimates)
    return "\n".join([f"together: {names}", *_table(_quote_columns(told), told), *_range(told)])


def _range(quotes: Sequence[Quote]) -> list[str]:
    """Return a sentence on the cheapest and the dearest of several quotes."""
    ranked = sorted((quote.cost.mid, place) for place, quote in enumerate(quotes) if quote.cost is not None)
    if len(ranked) < 2:
        return []
    cheapest, dearest = (quotes[place] for _, place in (ranked[0], ranked[-1]))
    return [f"  cheapest: {_sentence(cheapest)}; dearest: {_sentence(dearest)}"]


def _sentence(quote: Quote) -> str:
    detail = f" at detail {quote.detail}" if quote.detail else ""
    tier = f" in tier {quote.tier}" if quote.tier else ""
    return f"{visible(quote.model, _CELL)}{detail}{tier}: {between(quote.cost.low, quote.cost.high) if quote.cost else 'unknown'}"


def amount(interval: Interval) -> str:
    """Return ``2,248`` or ``2,248 (2,100-2,400)``."""
    low, mid, high = (f"{value:,.0f}" for value in (interval.low, interval.mid, interval.high))
    return mid if low == high else f"{mid} ({low}-{high})"
