"""A pass over a job's rows that adds up what their requests weigh, for the job as it stands and for others it is compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from pipeline.cost.adding import Sum
from pipeline.cost.interval import Interval
from pipeline.cost.rates import Unpriced
from pipeline.cost.tiers import tier_of
from pipeline.cost.tokens import count_tokens
from pipeline.cost.weigh import Scales, with_extents
from pipeline.engine.beginnings import CACHED_FROM, REMEMBERED, Openings
from pipeline.errors import RowError
from pipeline.wire.shape import is_template

if TYPE_CHECKING:
    from datetime import date

    from pipeline.cost.output import Outputs
    from pipeline.cost.prices import Book
    from pipeline.cost.rates import Rates
    from pipeline.cost.weigh import Weight
    from pipeline.engine.check import Prepared
    from pipeline.engine.feed import Question
    from pipeline.records import Request
    from pipeline.spec.job import Job

MOST_GROUPS = 10_000
"""Values of a column that are told apart; more would take memory without end. The others are summed up."""

Sort = Callable[["Request"], tuple[bool, bool]]
"""Says of a request whether it needs no asking, and whether it is the first that asks this."""


class Variant(NamedTuple):
    """What a job is priced for: another model, another image detail, other tiers. None, and no tiers, are what the job has."""

    model: str | None = None
    detail: str | None = None
    tiers: tuple[str, ...] = ()


OWN = Variant()


class Key(NamedTuple):
    """What a sum is of: a variant, the model and tier that are asked (no tier where the variant has its own), and a column's value.

    A ``group`` that is None stands for all values that are not told apart.
    """

    variant: Variant
    model: str
    tier: str | None
    group: str | None


class Asked(NamedTuple):
    """A row's request: how many of its answers nobody has yet, and how many nobody asked for before it in this pass."""

    request: Request
    new: int
    first: int
    group: str | None


@dataclass(slots=True)
class Counts:
    """What became of the rows of a pass: ``rows`` and ``silent`` (without a request, or with media that cannot be read) count rows, the
    others single answers.
    """

    rows: int = 0
    silent: int = 0
    answers: int = 0
    known: int = 0
    shared: int = 0


_OFF = 1.5
"""The tokens of a beginning are counted by a rule of thumb: only so much more than all have in common is surely more."""


class Survey:
    """Sums by ``Key`` of what came by so far. What is compared is priced in full; the job as it stands lacks what is known already."""

    def __init__(
        self, prepared: Prepared, sort: Sort, outputs: Outputs, book: Book, on: date, variants: Sequence[Variant] = ()
    ) -> None:
        job = prepared.job
        self.counts = Counts()
        self.sums: dict[Key, Sum] = {}
        self.notes: dict[str, None] = {}
        self.values: set[int] = set()  # hashes of all values of the column, to count those that are not listed
        self.prefix: float | None = None
        self.alike = 0  # requests that begin like one before them with more than all have in common
        self._openings = Openings(job.media, prepared.endpoint.dialect)
        self._begun: dict[bytes, None] = {}
        self.calls = calls_of(prepared)
        self._prepared = prepared
        self._sort = sort
        self._outputs = outputs
        self._book = book
        self._on = on
        self._variants = tuple(variants)
        self._verbatim = job.extra_body
        self._scales = Scales(job.media, prepared.endpoint.dialect, job.extra_body)
        self._groups: set[str] = set()
        self._shows = may_show(job)

    def rates(self, model: str, tier: str | None) -> Rates | Unpriced:
        """Return what a model costs in a tier on the day of the estimate."""
        return self._book.rates(model, tier, self._on)

    def see(self, batch: Sequence[tuple[Sequence[Question], str | None]]) -> None:
        """Take in the questions of some rows, each row's with its value of the column, as text."""
        asked = [each for questions, group in batch if (each := self._asked(questions, group)) is not None]
        variants = (OWN, *self._variants)
        sums = [[self._sum(variant, each) for each in asked] for variant in variants]
        for added in chain.from_iterable(sums):
            added.rows += 1
        heavy = [place for place, each in enumerate(asked) if each.new or (self._variants and each.first)]
        if not heavy:
            return
        requests = [asked[place].request for place in heavy]
        weights = self._scales.compare(requests, [(variant.model, variant.detail) for variant in variants])
        if self.prefix is None:
            self.prefix = self._shared(weights[0][0])
        for variant, whole, weighed in zip(variants, sums, weights, strict=True):
            for place, weight in zip(heavy, weighed, strict=True):
                self._add(variant, asked[place], whole[place], weight)

    def _asked(self, questions: Sequence[Question], group: str | None) -> Asked | None:
        """Count a row, and return its request; None where it has none."""
        counts = self.counts
        counts.rows += 1
        counts.answers += sum(question.answers for question in questions)
        try:
            request = questions[0].request()
            request = with_extents(request) if self._shows else request
        except RowError:  # it would be the row's end in a run, too
            counts.silent += 1
            return None
        new = first = 0
        for question in questions:
            known, is_first = self._sort(question.request())
            counts.known += known
            counts.shared += not known and not is_first
            new += not known and is_first
            first += is_first
        return Asked(request, new, first, self._told_apart(group))

    def _told_apart(self, group: str | None) -> str | None:
        if group is None:
            return None
        self.values.add(hash(group))
        if len(self._groups) < MOST_GROUPS:
            self._groups.add(group)
        return group if group in self._groups else None

    def _add(self, variant: Variant, asked: Asked, added: Sum, weight: Weight) -> None:
        request = asked.request
        if times := asked.new if variant == OWN else asked.first:
            self.notes.update(dict.fromkeys(weight.notes))
            output = self._outputs.expected(variant.model or request.model, self._body(request))
            added.add(
                weight, output, self.calls, times, self._cached(request) if variant == OWN else self.prefix or 0.0
            )

    def _cached(self, request: Request) -> float:
        """Return the tokens that a provider may have in its cache: those with which all requests begin, or one that came by before."""
        shared = self.prefix or 0.0
        cached = shared
        for beginning in self._openings.of(request).beginnings:
            if beginning.digest in self._begun:
                cached = beginning.tokens if beginning.tokens > _OFF * shared else cached
            elif len(self._begun) < REMEMBERED:
                self._begun[beginning.digest] = None
        self.alike += cached > shared
        return cached

    def _body(self, request: Request) -> Mapping[str, object]:
        return {**request.body, **self._verbatim} if self._verbatim else request.body

    def _sum(self, variant: Variant, asked: Asked) -> Sum:
        model = variant.model or asked.request.model
        tier = None if variant.tiers else tier_of(self._body(asked.request))
        key = Key(variant, model, tier, asked.group)
        found = self.sums.get(key)
        if found is None:
            found = self.sums[key] = Sum(self.edges(key))
        return found

    def edges(self, key: Key) -> list[int]:
        """Return the lengths of input from which on a rate of one of the tiers that a sum is priced in changes."""
        tiers = key.variant.tiers or (key.tier,)
        known = [rates for tier in tiers if not isinstance(rates := self.rates(key.model, tier), Unpriced)]
        return sorted({step.above for rates in known for step in rates.steps if step.above})

    def _shared(self, weight: Weight) -> float:
        """Return the tokens that every request begins with, where they are enough to be cached: tools, schema and fixed instructions."""
        system = self._prepared.job.prompt.system
        fixed = system is not None and not is_template(system)
        tokens = weight.tools.low + weight.schema.low + (count_tokens([str(system)])[0] if fixed else 0)
        return tokens if tokens >= CACHED_FROM else 0.0


def may_show(job: Job) -> bool:
    """Tell whether requests may hold media, whose headers are then read."""
    prompt = job.prompt
    return isinstance(prompt.messages, str) or any(part.kind != "text" for _, part in prompt.parts)


def calls_of(prepared: Prepared) -> Interval:
    """Return how many calls leave for one answer: one, one more where functions may be called, and no more than the job's rounds allow."""
    job = prepared.job
    functions = bool(job.tools.functions)
    most = 1 + (job.tools.rounds if functions else 0) + job.output.repair
    return Interval(1.0, 2.0 if functions else 1.0, float(most))
