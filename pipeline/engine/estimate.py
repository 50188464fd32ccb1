"""What a job will cost, before a cent is spent: one pass over its rows, for the job as it stands and for whatever it is compared with.

Nothing is sent, and no server is started. The pass renders every row and reads the headers of its media; what it keeps of a request is its
fingerprint.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import product
from typing import TYPE_CHECKING, get_args

import pyarrow as pa

from pipeline.checkpoint.known import known_answers
from pipeline.cost.adding import Sum
from pipeline.cost.estimate import Estimate, Quote, Rate, together
from pipeline.cost.interval import ZERO, Interval
from pipeline.cost.output import TOKENS_PER_SECOND, Outputs
from pipeline.cost.prices import Book
from pipeline.cost.rates import Unpriced
from pipeline.engine.beginnings import CACHED_FROM
from pipeline.engine.feed import Question, everything, questions_of
from pipeline.engine.pricing import idle_prices
from pipeline.engine.survey import OWN, Key, Survey, Variant
from pipeline.errors import Problem, SpecError
from pipeline.records import Row
from pipeline.rows.columns import cells
from pipeline.rows.table import TARGET_BYTES
from pipeline.spec.comparison import Tier
from pipeline.spec.prompt import Detail

if TYPE_CHECKING:
    from datetime import date

    from pipeline.engine.check import Prepared
    from pipeline.engine.feed import Selection

MOST_LISTED = 20
"""Values of a column that get quotes of their own: those with the most tokens."""

_CHOOSING = ("where", "sample", "limit")
_AT_ONCE = 1_024  # rows of a batch; no event loop waits for it, as one does for a run's
_LONGEST = 100  # characters of a column's value
_HOSTED = ("tools", "prompt")  # what may bring tools that the provider runs, and bills beside the tokens

Batch = Sequence[tuple[Sequence[Question], "str | None"]]
"""Rows by their questions, each with its value of a column, as text."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an estimate is asked for besides the job as it stands: other models, image details and tiers, and a column to split it by."""

    models: Sequence[str] = ()
    details: Sequence[str] = ()
    tiers: Sequence[str] = ()
    by: str | None = None

    def variants(self) -> list[Variant]:
        """Return the comparisons, none where nothing is compared."""
        if not (self.models or self.details or self.tiers):
            return []
        models, details = self.models or (None,), self.details or (None,)
        return [Variant(model, detail, tuple(self.tiers)) for model, detail in product(models, details)]


def check_choices(details: Sequence[str], tiers: Sequence[str]) -> None:
    """Refuse details and tiers that there are not. Raises ``SpecError``."""
    known = {"--details": (details, get_args(Detail)), "--tiers": (tiers, get_args(Tier))}
    problems = [
        Problem(option, f"{value!r} is none of {', '.join(choices)}")
        for option, (values, choices) in known.items()
        for value in values
        if value not in choices
    ]
    if problems:
        raise SpecError(problems, source="command line")


def estimate(prepared: Prepared, wanted: Wanted, on: date) -> Estimate:
    """Price a job by the rates of a day. Blocking. Raises ``SpecError`` for a column that the input lacks, ``DataError`` or
    ``RunDirectoryError``.
    """
    job = prepared.job
    if wanted.by is not None:
        _check_column(prepared, wanted.by)
    known = known_answers(job.run_path, prepared.start(), dedupe=prepared.dedupe)
    fields = job.output.fields
    outputs = Outputs(fields.columns if fields else None, known.observed)
    survey = Survey(prepared, known.sort, outputs, Book.of(job), on, wanted.variants())
    for batch in rows_of(prepared, everything(job.samples), wanted.by):
        survey.see(batch)
    return _told(prepared, survey, outputs, wanted)


def rows_of(
    prepared: Prepared, selection: Selection, by: str | None = None, target_bytes: int = TARGET_BYTES
) -> Iterator[Batch]:
    """Yield the selected rows' questions with their values of a column, in batches of about ``target_bytes`` of input. Blocking."""
    span, samples = selection
    builder = prepared.builder
    columns = list(dict.fromkeys([*builder.columns, *([] if by is None else [by])]))
    for batch in prepared.source.batches(columns, wanted=span, target_bytes=target_bytes, most=_AT_ONCE):
        yield [
            (questions_of(Row(number, row), asked, builder), None if by is None else _label(row[by]))
            for number, row in zip(batch.numbers, cells(batch.table), strict=True)
            if (asked := samples(number))
        ]


def _label(value: object) -> str:
    return "" if value is None else str(value)[:_LONGEST]


def _check_column(prepared: Prepared, column: str) -> None:
    names = prepared.source.schema.names
    if column not in names:
        close = get_close_matches(column, names, n=1)
        message = f"the input of {prepared.job.name} has no column {column!r} (it has {', '.join(names[:20])})"
        problem = Problem("by", message, suggestion=close[0] if close else None)
        raise SpecError([problem], source=prepared.job.source)
    kind = prepared.source.schema.field(column).type
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        problem = Problem(
            "by", f"column {column!r} of {prepared.job.name} holds {kind}, which are no values to split by"
        )
        raise SpecError([problem], source=prepared.job.source)


def _told(prepared: Prepared, survey: Survey, outputs: Outputs, wanted: Wanted) -> Estimate:
    job, counts = prepared.job, survey.counts
    shown = _shown(survey)
    total = together(priced_by_model(survey), model=job.model)
    duration, note = _duration(prepared, survey, outputs)
    return Estimate(
        job=job.name,
        provider=job.provider.label,
        simulated=job.provider.simulated,
        rows=counts.rows,
        samples=job.samples,
        silent=counts.silent,
        known=counts.known,
        shared=counts.shared,
        requests=total.requests,
        total=total,
        quotes=_quotes(survey, shown),
        groups=_groups(survey, shown) if wanted.by is not None else (),
        by=wanted.by,
        rates=_rates(survey, shown),
        duration_s=duration,
        duration_note=note,
        assumptions=[*_assumptions(survey, outputs, wanted), *idle_prices(job, wanted.models)],
        not_counted=_not_counted(prepared),
        input_rows=prepared.source.whole,
        chosen_by=[f"input.{name}" for name in _CHOOSING if getattr(job.input, name) is not None],
    )


def _shown(survey: Survey) -> dict[Key, Sum]:
    """Return what is compared, or the job as it stands. Of a job without pictures one detail stands for all, which change nothing."""
    sums = {key: added for key, added in survey.sums.items() if key.variant != OWN} or survey.sums
    if any(added.input["image"].high for added in sums.values()):
        return sums
    return {key._replace(variant=key.variant._replace(detail=None)): added for key, added in sums.items()}


def _merged(survey: Survey, sums: Mapping[Key, Sum]) -> Sum:
    """Return the sum of what one model in one tier, or several tiers priced alike, has in several groups."""
    whole = Sum(survey.edges(next(iter(sums))))
    for added in sums.values():
        whole.join(added)
    return whole


def _quotes(survey: Survey, sums: Mapping[Key, Sum]) -> list[Quote]:
    """Return one quote for each model, detail and tier."""
    alike: dict[Key, dict[Key, Sum]] = {}
    for key, added in sums.items():
        alike.setdefault(key._replace(group=None), {})[key] = added
    return [quote for key, group in alike.items() for quote in _priced(survey, key, _merged(survey, group))]


def _groups(survey: Survey, sums: Mapping[Key, Sum]) -> list[Quote]:
    """Return the same for each of the values with the most tokens, the others in one."""
    tokens: dict[str, float] = {}
    for key, added in sums.items():
        if key.group is not None:
            tokens[key.group] = tokens.get(key.group, 0.0) + added.tokens
    listed: list[str | None] = [*sorted(tokens, key=lambda group: (-tokens[group], group))[:MOST_LISTED]]
    alike: dict[Key, dict[Key, Sum]] = {}
    for key, added in sums.items():
        alike.setdefault(key if key.group in listed else key._replace(group=None), {})[key] = added
    others = len(survey.values) - len(listed)
    order = [*listed, None]
    return [
        quote
        for key in sorted(alike, key=lambda key: order.index(key.group))
        for quote in _priced(survey, key, _merged(survey, alike[key]), others=others if key.group is None else 0)
    ]


def _priced(survey: Survey, key: Key, added: Sum, *, others: int = 0) -> Iterator[Quote]:
    for tier in key.variant.tiers or (key.tier,):
        rates = survey.rates(key.model, tier)
        unpriced = rates.reason if isinstance(rates, Unpriced) and added.requests else None
        yield Quote(
            model=key.model,
            detail=key.variant.detail,
            tier=tier,
            rows=added.rows,
            requests=added.requests,
            calls=added.calls,
            input=added.input,
            output=added.output,
            cost=ZERO if not added.requests else None if isinstance(rates, Unpriced) else added.cost(rates),
            input_cost=None if isinstance(rates, Unpriced) else added.input_cost(rates),
            missing=unpriced,
            group=key.group,
            others=others,
        )


def priced_by_model(survey: Survey) -> list[Quote]:
    """Return what the job as it stands comes to, for each model and tier that its rows ask."""
    return _quotes(survey, {key: added for key, added in survey.sums.items() if key.variant == OWN})


def _rates(survey: Survey, keys: Iterable[Key]) -> list[Rate]:
    asked = dict.fromkeys((key.model, tier) for key in keys for tier in key.variant.tiers or (key.tier,))
    return [Rate.of(model, tier, survey.rates(model, tier)) for model, tier in asked]


def _duration(prepared: Prepared, survey: Survey, outputs: Outputs) -> tuple[Interval | None, str]:
    """Return the seconds that the job takes at its limits, which hold for each model by itself, and what that rests on."""
    limits = {name: value for name, value in prepared.job.limits.model_dump().items() if value is not None}
    if not limits:
        return None, "unknown: the job sets no limits"
    slowest = ZERO
    for part in priced_by_model(survey):
        if part.requests:
            took = _slowest(part, limits, outputs)
            slowest = Interval(*map(max, slowest.levels, took))
    told = ", ".join(f"{name} {value:,.10g}" for name, value in limits.items())
    each = "as long as this job's calls took" if outputs.timed else f"1 s and 1 s per {TOKENS_PER_SECOND} output tokens"
    return slowest, f"at {told}; a call taken to last {each}"


def _slowest(part: Quote, limits: Mapping[str, float], outputs: Outputs) -> tuple[float, float, float]:
    """Return the seconds that the limit which binds most lets the calls of one model take, at each level."""
    calls, tokens = part.calls.levels, (part.input_total + part.output).levels
    lasting = outputs.latency_s(part.model, part.output.times(1 / part.calls.mid)).levels
    low, mid, high = (max(_bounds(*level, limits)) for level in zip(calls, tokens, lasting, strict=True))
    return low, mid, high


def _bounds(calls: float, tokens: float, latency_s: float, limits: Mapping[str, float]) -> Iterator[float]:
    """Yield the seconds that each limit by itself lets so many calls take."""
    spans = {
        "requests_per_minute": lambda limit: 60 * calls / limit + latency_s,
        "tokens_per_minute": lambda limit: 60 * tokens / limit + latency_s,
        "concurrency": lambda limit: latency_s * max(calls / limit, 1.0),
    }
    yield from (spans[name](limit) for name, limit in limits.items())


def _assumptions(survey: Survey, outputs: Outputs, wanted: Wanted) -> list[str]:
    """Return what the figures rest on, besides the rates."""
    calls = survey.calls
    rounds = [f"rounds: {calls.mid:,.0f} calls an answer, up to {calls.high:,.0f} in high"] if calls.high > 1 else []
    known = [
        "compared: priced for all answers, known ones too; the figures above the table are of what is left to send"
    ]
    return [
        *outputs.basis(),
        *rounds,
        f"caching: {_caching(survey)}",
        *survey.notes,
        *(known if wanted.variants() and survey.counts.known else []),
    ]


def _caching(survey: Survey) -> str:
    if survey.alike:
        alike = f"{survey.alike:,} of the requests looked at begin with like one before them"
        return f"low takes from the cache what {alike}; mid and high take none"
    if survey.prefix:
        return f"low takes the {survey.prefix:,.0f} tokens that all requests begin with from the cache; mid and high take none"
    return f"none, for no two of the requests looked at begin with the same {CACHED_FROM:,} tokens"


def _not_counted(prepared: Prepared) -> list[str]:
    job = prepared.job
    hosted = any(body.get(name) for body in (job.request, job.extra_body) for name in _HOSTED)
    told = ["attempts that are repeated because they failed"]
    if job.tools.functions:
        told.append("the calls and results of functions in the rounds after the first")
    return [*told, *(["what the provider's own tools cost, and the text they bring into the prompt"] if hosted else [])]
