"""Ask some rows to learn what all of them will cost: really answered and kept (``pilot``), or only counted by the provider (``exact``).

The rows are drawn at random among all different requests of the table, by a digest of the job and of each request: the same job draws the
same rows again, so that nothing is paid twice, and a longer table keeps most of them. Only requests that are large enough to hold a good
part of the table's input by themselves are among them for certain: the others say nothing about such ones.
"""

from __future__ import annotations

import heapq
import signal
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING

import anyio

from pipeline.checkpoint.observed import attempts_of
from pipeline.client.counting import Counter
from pipeline.client.loader import Loader
from pipeline.client.transports import http_of
from pipeline.cost.estimate import KINDS
from pipeline.cost.fit import Fit, Observation, Whole, fit
from pipeline.cost.prices import Book
from pipeline.cost.sampling import most_certain, surely_drawn
from pipeline.cost.weigh import Scales, with_extents
from pipeline.engine.feed import everything, questions
from pipeline.engine.live import interrupted
from pipeline.engine.ready import ready
from pipeline.engine.session import run_job
from pipeline.errors import MediaError, ProviderRefused, RowError, SpecError
from pipeline.events import Offer, Spent
from pipeline.records import Request

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pipeline.checkpoint.observed import Used
    from pipeline.engine.check import Prepared
    from pipeline.engine.consent import Consent
    from pipeline.engine.live import Brake, Secrets
    from pipeline.events import Event, Observer
    from pipeline.spec.job import Job

AT_ONCE = 8
"""Requests whose tokens are counted at the same time, where the job does not set its own concurrency."""


def pilot(
    job: Job,
    count: int,
    *,
    consent: Consent,
    environ: Mapping[str, str],
    observe: Observer,
    brake: Brake,
    allow_code: bool = False,
) -> Fit:
    """Ask ``count`` requests of the job, drawn at random, and conclude from them to the whole table. A later run knows their answers.

    They go the way of every run: ``consent`` is asked, budget and limits hold, and answers that the journal has are not asked again. No
    table is written. Raises the ``RunError`` that kept the pilot from starting or made it stop.
    """
    draw = Draw(count)
    sent = 0

    def hear(event: Event) -> None:
        nonlocal sent
        sent += isinstance(event, Spent)
        observe(event)

    run_job(
        job,
        retry=(),
        consent=consent,
        environ=environ,
        observe=hear,
        brake=brake,
        allow_code=allow_code,
        choose=draw.choose,
    )
    used = list(attempts_of(job.run_path, [drawn.place for drawn in draw.drawn], Book.of(job)))
    if all(each.free for attempts in used for each in attempts):  # none was answered: they show nothing
        observations = [Observation(drawn.expected, None, certain=drawn.certain) for drawn in draw.drawn]
    else:
        observations = [_observed(drawn, attempts) for drawn, attempts in zip(draw.drawn, used, strict=True)]
    return replace(fit(observations, draw.whole), sent=sent)


def exact(job: Job, count: int, *, consent: Consent, environ: Mapping[str, str], allow_code: bool = False) -> Fit:
    """Have the provider count the input of ``count`` requests, drawn at random, and conclude to the whole table. Nothing is answered.

    That is free, but rows leave: ``consent`` is asked. What comes out and what it costs stays unknown. Raises ``SpecError`` where the
    provider's dialect has no place to count, ``ProviderRefused`` where none could be counted, ``Interrupted`` or ``DataError``.
    """
    try:
        return _exact(job, count, consent, environ, allow_code=allow_code)
    except KeyboardInterrupt as error:
        raise interrupted(signal.SIGINT) from error


def _exact(job: Job, count: int, consent: Consent, environ: Mapping[str, str], *, allow_code: bool) -> Fit:
    with ready(job, environ, allow_code=allow_code) as (prepared, secrets):
        path = prepared.endpoint.dialect.input_tokens_path
        if path is None:
            message = f"{prepared.endpoint.dialect.name} has no place where input tokens are counted without an answer"
            hint = "use a pilot instead; if this server has one, name it in provider.overrides: {input_tokens_path: …}"
            raise SpecError([job.problem("provider", message)], source=job.source, hint=hint)
        url = prepared.endpoint.url + path
        draw = Draw(count)
        draw.choose(prepared)
        if not job.provider.simulated:
            consent(lambda: _offer(prepared, url, len(draw.drawn)))
        counts = anyio.run(partial(_counts, prepared, secrets, url, draw.drawn))
    observations = [
        Observation(drawn.expected, counted, certain=drawn.certain)
        for drawn, counted in zip(draw.drawn, counts, strict=True)
    ]
    return fit(observations, draw.whole, figures=("input",))


def _offer(prepared: Prepared, url: str, count: int) -> Offer:
    job = prepared.job
    return Offer(
        name=job.name,
        provider=job.provider.label,
        url=url,
        model=job.model,
        rows=prepared.rows,
        known=0,
        output=job.output_path,
        limits=job.limits.model_dump(),
        notes=("the provider only counts the input of these requests: nothing is answered, and no table is written",),
        samples=job.samples,
        wanted=count,
        secrets=prepared.secrets,
    )


@dataclass(frozen=True, slots=True)
class Drawn:
    """A request that was drawn, our count of its input tokens by kind, and whether it was drawn for its size and not by chance."""

    request: Request
    expected: Mapping[str, float]
    certain: bool = False

    @property
    def place(self) -> tuple[int, int]:
        """Its row and its sample."""
        return self.request.row, self.request.sample

    @property
    def size(self) -> float:
        """Our count of all its input tokens."""
        return sum(self.expected.values())


class Draw:
    """Draws requests at random in one pass over a table, and adds up what all of them are expected to take in.

    Afterwards ``drawn`` holds them in the table's order, and ``whole`` the sums.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._seen: set[int] = set()
        self._lowest: list[tuple[int, Drawn]] = []
        self._largest: list[tuple[float, int, Drawn]] = []
        self.drawn: list[Drawn] = []
        self.whole = Whole(0, {})

    def choose(self, prepared: Prepared) -> set[tuple[int, int]]:
        """Draw, and return the rows and samples of what was drawn. Blocking. Raises ``DataError``."""
        job, seed = prepared.job, prepared.digest().encode()
        scales = Scales(job.media, prepared.endpoint.dialect)
        apart = not job.dedupe or job.extra_body.get("conversation") is not None
        expected: dict[str, float] = dict.fromkeys(KINDS, 0.0)
        for batch in questions(prepared.source, prepared.builder, everything(job.samples)):
            requests = [each.built for each in batch if isinstance(each.built, Request)]
            new = {rank: _measured(request) for rank, request in self._new(requests, seed, apart=apart)}
            for (rank, request), weight in zip(new.items(), scales.weigh(list(new.values())), strict=True):
                kinds = {kind: getattr(weight, kind).mid for kind in KINDS}
                for kind, tokens in kinds.items():
                    expected[kind] += tokens
                self._consider(rank, Drawn(request, kinds))
        self.whole = Whole(len(self._seen), expected)
        self.drawn = sorted(self._taken(sum(expected.values())), key=lambda drawn: drawn.place)
        return {drawn.place for drawn in self.drawn}

    def _new(self, requests: Iterable[Request], seed: bytes, *, apart: bool) -> Iterator[tuple[int, Request]]:
        """Yield the requests that no row before has asked, each with its rank: of equal ones, the first stands for all."""
        for request in requests:
            alone = apart or request.body.get("conversation") is not None
            row = request.row.to_bytes(8, "big") if alone else b""
            rank = int.from_bytes(blake2b(request.fingerprint + row, key=seed, digest_size=8).digest(), "big")
            if rank not in self._seen:
                self._seen.add(rank)
                yield rank, request

    def _consider(self, rank: int, drawn: Drawn) -> None:
        """Keep those with the lowest ranks, and the largest."""
        heapq.heappush(self._lowest, (-rank, drawn))
        if len(self._lowest) > self._count:
            heapq.heappop(self._lowest)
        heapq.heappush(self._largest, (drawn.size, -rank, drawn))
        if len(self._largest) > most_certain(self._count):
            heapq.heappop(self._largest)

    def _taken(self, total: float) -> list[Drawn]:
        """Return what is drawn: the requests that are too large for chance, and of the others those with the lowest ranks."""
        by_chance = sorted(self._lowest, reverse=True)
        if len(self._seen) <= self._count:
            return [drawn for _, drawn in by_chance]
        largest = sorted(self._largest, reverse=True)
        certain = largest[: surely_drawn([size for size, _, _ in largest], total, self._count)]
        ranks = {rank for _, rank, _ in certain}
        others = [drawn for rank, drawn in by_chance if rank not in ranks]
        return [*(replace(drawn, certain=True) for _, _, drawn in certain), *others[: self._count - len(certain)]]


def _measured(request: Request) -> Request:
    try:
        return with_extents(request)
    except MediaError:  # the row will fail; what it would have shown is not known
        return request


def _observed(drawn: Drawn, attempts: Sequence[Used]) -> Observation:
    """What a request used over all its attempts; those that left and came to nothing make it unknown."""
    used = [each.usage for each in attempts]
    return Observation(
        expected=drawn.expected,
        input_tokens=_sum(each.input_tokens for each in used),
        output_tokens=_sum(each.output_tokens for each in used),
        cost=_sum(each.cost for each in attempts),
        certain=drawn.certain,
    )


def _sum(figures: Iterable[int | None]) -> int | None:
    known = list(figures)
    return None if None in known else sum(figure for figure in known if figure is not None)


async def _counts(prepared: Prepared, secrets: Secrets, url: str, drawn: Sequence[Drawn]) -> list[int | None]:
    """The provider's counts of these requests; None for those that it could not count. Raises ``ProviderRefused`` where it counted none."""
    job, endpoint = prepared.job, prepared.endpoint
    counts: list[int | None] = [None] * len(drawn)
    errors: list[RowError] = []
    waiting = iter(enumerate(drawn))
    async with http_of(job, url) as http, Loader(job.media, endpoint.dialect) as loader:
        counter = Counter(url, http, endpoint, secrets.key, secrets.tokens, loader, job.extra_body, job.retry)

        async def work() -> None:
            for place, each in waiting:
                if any(error.scope == "run" for error in errors):
                    return
                try:
                    counts[place] = await counter.count(each.request)
                except RowError as error:
                    errors.append(error)

        async with anyio.create_task_group() as group:
            for _ in range(min(job.limits.concurrency or AT_ONCE, AT_ONCE, len(drawn))):
                group.start_soon(work)
    if errors and counts.count(None) == len(counts):
        raise ProviderRefused(f"no input tokens could be counted: {errors[0].message}", hint=errors[0].hint)
    return counts
