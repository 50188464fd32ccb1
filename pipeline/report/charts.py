"""The charts of a page, as Vega-Lite specifications over aggregates: never more marks than a run has spans of time, or outliers.

Colours are the page's own CSS variables, so that a chart follows it into the dark and onto paper. ``altair`` and ``vl_convert`` are heavy:
whoever draws imports this module only then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import altair as alt
import vl_convert

from pipeline.report.story import Bill, Moment, Outlier, Story

Spec = Mapping[str, Any]

_UNITS = ((2 * 86_400, 86_400, "days"), (2 * 3600, 3600, "hours"), (120, 60, "minutes"), (0, 1, "seconds"))
_LEAST_MOMENTS = 3  # with fewer a table says it better
_HEIGHT = 190
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"
_AXIS = {
    "labelColor": "var(--muted)", "titleColor": "var(--muted)", "titleFontWeight": "normal", "gridColor": "var(--line)",
    "domainColor": "var(--edge)", "tickColor": "var(--edge)", "labelFontSize": 11, "titleFontSize": 11, "tickCount": 5,
}  # fmt: skip
_CONFIG = {
    "font": _FONT, "background": "transparent", "view": {"stroke": None}, "axis": _AXIS,
    "legend": {
        "orient": "top", "title": None, "labelColor": "var(--ink)", "labelFontSize": 11, "symbolType": "square", "padding": 0, "offset": 8,
    },
}  # fmt: skip


def bundle() -> str:
    """Return the JavaScript that draws: Vega, Vega-Lite and vega-embed, which become properties of ``window``."""
    return str(vl_convert.javascript_bundle())  # type: ignore[call-arg]  # its stub misses the default


def charts_of(story: Story) -> dict[str, Spec]:
    """Return the charts that a run has something to draw for, by the names of their places on the page."""
    made: dict[str, Spec] = {}
    moments = story.moments if len(story.moments) >= _LEAST_MOMENTS else ()
    if moments:
        made["throughput"] = _throughput(moments)
    if any(moment.input_tokens or moment.output_tokens for moment in moments):
        made["tokens"] = _tokens(moments)
    if any(moment.median_s is not None for moment in moments):
        made["latency"] = _latency(moments)
    if any(moment.cost for moment in moments):
        made["spending"] = _spending(moments, story.bill)
    if story.outliers:
        made["outliers"] = _outliers(story.outliers)
    return made


def _throughput(moments: Sequence[Moment]) -> Spec:
    kinds = (("answered", "var(--good)"), ("failed", "var(--bad)"), ("throttled", "var(--warn)"))
    return _bars(moments, kinds, "per minute", lambda moment, kind: float(getattr(moment, kind)))


def _tokens(moments: Sequence[Moment]) -> Spec:
    kinds = (("input", "var(--input)"), ("output", "var(--output)"))
    return _bars(moments, kinds, "tokens per minute", lambda moment, kind: float(getattr(moment, f"{kind}_tokens")))


def _bars(
    moments: Sequence[Moment], kinds: Sequence[tuple[str, str]], title: str, value: Callable[[Moment, str], float]
) -> Spec:
    """Draw rates per minute, stacked: one bar for each span of time and kind that there was any of."""
    size, unit = _unit(moments)
    met = [(kind, color) for kind, color in kinds if any(value(moment, kind) for moment in moments)] or [kinds[0]]
    values = [
        {"from": moment.at_s / size, "to": (moment.at_s + moment.width_s) / size, "kind": kind, "order": order,
         "rate": 60 * value(moment, kind) / moment.width_s}
        for moment in moments
        for order, (kind, _) in enumerate(met)
    ]  # fmt: skip
    chart = (
        _over(values)
        .mark_bar(binSpacing=1)
        .encode(
            x=alt.X("from:Q", bin="binned", title=f"{unit} since the start"),
            x2="to:Q",
            y=alt.Y("rate:Q", title=title, stack="zero", axis=alt.Axis(format="~s")),
            color=_colors("kind", met),
            order="order:Q",
            tooltip=[alt.Tooltip("kind:N"), alt.Tooltip("rate:Q", title="per minute", format=",.1f"), _since(unit)],
        )
    )
    return _finished(chart)


def _latency(moments: Sequence[Moment]) -> Spec:
    size, unit = _unit(moments)
    kinds = (
        ("median", "median_s", "var(--input)"),
        ("p95", "p95_s", "var(--output)"),
        ("waited before", "waited_s", "var(--reasoning)"),
    )
    values = [
        {"from": (moment.at_s + moment.width_s / 2) / size, "kind": kind, "seconds": getattr(moment, name)}
        for moment in moments
        for kind, name, _ in kinds
        if getattr(moment, name) is not None
    ]
    chart = (
        _over(values)
        .mark_line(strokeWidth=1.75, point={"size": 14, "filled": True})
        .encode(
            x=alt.X("from:Q", title=f"{unit} since the start"),
            y=alt.Y("seconds:Q", title="seconds"),
            color=_colors("kind", [(kind, color) for kind, _, color in kinds]),
            tooltip=[alt.Tooltip("kind:N"), alt.Tooltip("seconds:Q", format=",.2f"), _since(unit)],
        )
    )
    return _finished(chart)


def _spending(moments: Sequence[Moment], bill: Bill) -> Spec:
    """Draw what was spent by each time, with the estimate's interval and the cap where there are some."""
    size, unit = _unit(moments)
    spent = [0.0]
    for moment in moments:
        spent.append(spent[-1] + (moment.cost or 0))
    ends = [0.0, *((moment.at_s + moment.width_s) / size for moment in moments)]
    values = [{"from": end, "usd": usd} for end, usd in zip(ends, spent, strict=True)]
    x, y = alt.X("from:Q", title=f"{unit} since the start"), alt.Y("usd:Q", title="USD")
    tooltip = [alt.Tooltip("usd:Q", title="spent, USD", format=",.4~f"), _since(unit)]
    curve = _over(values).encode(x=x, y=y, tooltip=tooltip)
    layers = [
        curve.mark_area(color="var(--accent)", opacity=0.12),
        curve.mark_line(
            color="var(--accent)", strokeWidth=2, point={"color": "var(--accent)", "size": 10, "filled": True}
        ),
    ]
    if bill.expected_low is not None and bill.expected_high is not None:
        band = _over([{"low": bill.expected_low, "high": bill.expected_high}])
        layers.insert(0, band.mark_rect(color="var(--output)", opacity=0.16).encode(y="low:Q", y2="high:Q"))
    if bill.budget is not None:
        cap = _over([{"usd": bill.budget}])
        layers.append(cap.mark_rule(color="var(--bad)", strokeDash=[4, 3]).encode(y="usd:Q"))
    return _finished(alt.layer(*layers))


def _outliers(outliers: Sequence[Outlier]) -> Spec:
    values = [{"row": each.row, "expected": each.expected, "billed": each.billed} for each in outliers]
    ends = [
        min(min(each.expected, each.billed) for each in outliers),
        max(max(each.expected, each.billed) for each in outliers),
    ]
    scale = alt.Scale(zero=False, nice=True)
    points = (
        _over(values)
        .mark_circle(size=60, color="var(--accent)", opacity=0.75)
        .encode(
            x=alt.X("expected:Q", title="expected input tokens", scale=scale, axis=alt.Axis(format="~s")),
            y=alt.Y("billed:Q", title="billed", scale=scale, axis=alt.Axis(format="~s")),
            tooltip=[
                alt.Tooltip("row:Q"),
                alt.Tooltip("expected:Q", format=",.0f"),
                alt.Tooltip("billed:Q", format=","),
            ],
        )
    )
    even = _over([{"expected": end, "billed": end} for end in ends])
    line = even.mark_line(color="var(--edge)", strokeDash=[4, 3]).encode(x="expected:Q", y="billed:Q")
    return _finished(alt.layer(line, points))


def _over(values: Sequence[Mapping[str, object]]) -> alt.Chart:
    return alt.Chart(alt.Data(values=list(values)))  # type: ignore[no-untyped-call]


def _colors(field: str, kinds: Sequence[tuple[str, str]]) -> Any:
    scale = alt.Scale(domain=[kind for kind, _ in kinds], range=[color for _, color in kinds])
    return alt.Color(f"{field}:N", scale=scale)


def _since(unit: str) -> Any:
    return alt.Tooltip("from:Q", title=f"{unit} since the start", format=",.1f")


def _finished(chart: Any) -> Spec:
    spec: Spec = chart.properties(width="container", height=_HEIGHT).configure(**_CONFIG).to_dict()
    return spec


def _unit(moments: Sequence[Moment]) -> tuple[float, str]:
    """Return the unit that a run's length is best told in, in seconds, and its name."""
    length = moments[-1].at_s + moments[-1].width_s
    return next((size, name) for least, size, name in _UNITS if length >= least)
