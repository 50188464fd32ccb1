"""In which order requests leave: those that begin alike near each other, so that the provider has their beginning in its prompt cache.

The order changes within a window only, so memory stays flat and no row comes much later than its place says. Where no two requests of a
window have a long beginning in common, its order stays as it is. The output's order is the input's in any case.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from pipeline.engine.beginnings import REMEMBERED, Opening, Openings
from pipeline.records import Request
from pipeline.wire.content import Encoded, with_member

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pipeline.engine.beginnings import Beginning
    from pipeline.engine.feed import Question
    from pipeline.spec.job import Job
    from pipeline.wire.dialect import Dialect

WINDOW = 2_048
"""Questions among which the order changes."""
WINDOW_BYTES = 64 * 1024 * 1024
"""Bytes of them, about: whichever is reached first, at the end of what was read at once."""
_KEY = "prompt_cache_key"
_NOTHING = Opening()


def in_order(batches: Iterator[list[Question]], job: Job, dialect: Dialect) -> Iterator[list[Question]]:
    """Yield all questions, those that begin alike near each other if the job wants that. Blocking; raises what ``batches`` raises."""
    if not job.prompt_cache:
        return batches
    keyed = _KEY in dialect.documented and _KEY not in job.extra_body
    return Arranger(Openings(job.media, dialect).of, keyed=keyed).arranged(batches)


class Arranger:
    """Arranges one run's questions window by window. ``keyed`` requests tell the provider which of them belong together."""

    def __init__(self, opening_of: Callable[[Request], Opening], *, keyed: bool) -> None:
        self._opening_of = opening_of
        self._keyed = keyed
        self._remembered: OrderedDict[bytes, None] = OrderedDict()

    def arranged(self, batches: Iterator[list[Question]]) -> Iterator[list[Question]]:
        """Yield all questions. Batches without any long request go through as they are."""
        held: list[Question] = []
        openings: list[Opening] = []
        size = 0
        try:
            for batch in batches:
                seen = self._seen(batch)
                if not held and not any(opening.beginnings for opening in seen):
                    yield batch
                    continue
                held += batch
                openings += seen
                size += sum(opening.size for opening in seen)
                if len(held) >= WINDOW or size >= WINDOW_BYTES:
                    yield self._window(held, openings)
                    held, openings, size = [], [], 0
        except Exception:  # the input is broken: what was read before is still asked
            yield self._window(held, openings)
            raise
        if held:
            yield self._window(held, openings)

    def _seen(self, batch: Sequence[Question]) -> list[Opening]:
        """Look at what the requests begin with; the samples of a row have one body."""
        seen: list[Opening] = []
        body: object = None
        opening = _NOTHING
        for question in batch:
            request = question.built
            if not isinstance(request, Request):
                seen.append(_NOTHING)
                continue
            if request.body is not body:
                body, opening = request.body, self._opening_of(request)
            seen.append(opening)
        return seen

    def _window(self, held: Sequence[Question], openings: Sequence[Opening]) -> list[Question]:
        """Return a window's questions in the order in which they leave."""
        counts = Counter(beginning.digest for opening in openings for beginning in opening.beginnings)
        counts.update(digest for digest in self._remembered if digest in counts)
        if counts.total() == len(counts):  # pictures, most of all: each row has its own
            return [*held]
        shared = [_shared(opening.beginnings, counts) for opening in openings]
        for digest in dict.fromkeys(beginning.digest for beginnings in shared for beginning in beginnings):
            self._remember(digest)
        return [
            self._told(held[place], openings[place].size, shared[place], counts) if shared[place] else held[place]
            for place in places(shared)
        ]

    def _remember(self, digest: bytes) -> None:
        self._remembered[digest] = None
        self._remembered.move_to_end(digest)
        if len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)

    def _told(self, question: Question, size: int, shared: Sequence[Beginning], counts: Counter[bytes]) -> Question:
        """Return a question that knows with which beginnings others start, and whose request tells the provider of one of them."""
        request = question.request()
        if self._keyed and _KEY not in request.body:
            request = _keyed(request, _key(shared, counts))
        return replace(question, built=request, begins=tuple(beginning.digest for beginning in shared), size=size)


def _keyed(request: Request, key: str) -> Request:
    body = {**request.body, _KEY: key}
    if request.content is None:
        return replace(request, body=body)
    encoded = with_member(Encoded(request.content, request.shown), _KEY, key)
    return replace(request, body=body, content=encoded.content, shown=encoded.shown)


def _shared(beginnings: Sequence[Beginning], counts: Counter[bytes]) -> list[Beginning]:
    """Return the beginnings that a request has in common with others: of those that the same others have, the longest."""
    ends = [
        this
        for this, longer in pairwise(beginnings)
        if counts[this.digest] > 1 and counts[longer.digest] != counts[this.digest]
    ]
    return [*ends, *(last for last in beginnings[-1:] if counts[last.digest] > 1)]


def places(shared: Sequence[Sequence[Beginning]]) -> list[int]:
    """Return the places of requests in the order in which they leave, by the beginnings that each shares with others.

    Those with a beginning in common stand together where the first of them stood, in their own order; among them again those with a longer
    one.
    """
    first: dict[bytes, int] = {}
    for place, beginnings in enumerate(shared):
        for beginning in beginnings:
            first.setdefault(beginning.digest, place)
    return sorted(
        range(len(shared)), key=lambda place: (*(first[beginning.digest] for beginning in shared[place]), place)
    )


def _key(shared: Sequence[Beginning], counts: Counter[bytes]) -> str:
    """Return the key of the beginning that saves the most if each request but the first finds it.

    The provider sends requests with the same key and the same first tokens to the same machine. So the key is worth most where requests
    begin alike and go on in some ways; for what all requests begin with it changes nothing.
    """
    best = max(shared, key=lambda beginning: beginning.tokens * (1 - 1 / counts[beginning.digest]))
    return best.digest.hex()
