"""What `check` says of pictures whose `detail` is left out, where that multiplies the bill.

Models differ in what they take it to mean.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pipeline.cost.contents import contents_of
from pipeline.cost.families import family_of
from pipeline.cost.showing import Showing
from pipeline.cost.weigh import with_extents
from pipeline.errors import MediaError
from pipeline.records import Request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.cost.contents import Shown
    from pipeline.engine.check import Prepared
    from pipeline.engine.first import First
    from pipeline.spec.job import Job

_WORTH_SAYING = 2.0  # times what the same pictures cost at `detail: high`


def detail_notes(prepared: Prepared, first: First) -> tuple[str, ...]:
    """Return a sentence for each model that counts the first rows' pictures much dearer than at ``detail: high``. Blocking."""
    pictures: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    at_high: Counter[str] = Counter()
    for model, shown in _undetailed(first):
        showing = Showing(family_of(model), prepared.job.media, prepared.endpoint.dialect)
        pictures[model] += 1
        left_out[model] += round(showing.span(shown, None).mid)
        at_high[model] += round(showing.span(shown, "high").mid)
    return tuple(
        f"detail is left out, which {model} takes for {family_of(model).omitted}: {_counted(pictures[model])} "
        f"about {left_out[model]:,} input tokens, and {at_high[model]:,} with `detail: high`; {_where(prepared.job)}"
        for model in pictures
        if left_out[model] >= _WORTH_SAYING * at_high[model]
    )


def _undetailed(first: First) -> Iterator[tuple[str, Shown]]:
    """Yield the pictures of known size that have no detail, with the model that sees them; other notes tell of unreadable ones."""
    for _, request in first:
        if not isinstance(request, Request):
            continue
        try:
            measured = with_extents(request)
        except MediaError:
            continue
        for shown in contents_of(measured.body).shown:
            if shown.kind == "image" and shown.detail in (None, "auto") and shown.extent.width is not None:
                yield request.model, shown


def _counted(pictures: int) -> str:
    return "the first picture costs" if pictures == 1 else f"the first {pictures:,} pictures cost"


def _where(job: Job) -> str:
    """Say where in the spec to write it."""
    places = [place for place, part in job.prompt.parts if part.kind == "image" and part.detail in (None, "auto")]
    return f"write that into {' and '.join(places)}" if places else "give each image of a message that"
