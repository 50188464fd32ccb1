"""What `check` says about the sizes of the first pictures: what ``media.max_side`` saves, or that it is worth setting."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.client.body import media_of
from pipeline.client.loader import image_rules, largest_source
from pipeline.errors import MediaError
from pipeline.media.load import read_media
from pipeline.media.prepare import carry_out, plan_image
from pipeline.records import Request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.engine.check import Prepared
    from pipeline.engine.first import First
    from pipeline.media.prepare import ImageRules
    from pipeline.records import Media

RECOMMENDED_SIDE = 2048
"""Pixels. Both gateways recommend no longer side, and say that providers scale larger pictures down; tokens are counted by resolution."""

_PICTURES = 40  # looked at, at most: to scale a photo down takes a tenth of a second


@dataclass(frozen=True, slots=True)
class _Saving:
    """Bytes and pixels of one picture, as it is stored and as it would be sent; ``bytes_sent`` is None where nobody has tried."""

    bytes: int
    pixels: int
    bytes_sent: int | None
    pixels_sent: int


def size_notes(prepared: Prepared, first: First) -> tuple[str, ...]:
    """Return a sentence about pictures of the first rows that are, or could be, scaled down. Blocking; reads them."""
    rules, dialect = prepared.job.media, prepared.endpoint.dialect
    side = rules.max_side
    asked = replace(image_rules(rules, dialect), max_side=side or RECOMMENDED_SIDE)
    looked = [_saving(data, asked, try_out=side is not None) for data in _pictures(prepared, first)]
    shrunk = [saving for saving in looked if saving is not None]
    if not shrunk:
        return ()
    pixels = f"{sum(s.pixels for s in shrunk) / 1e6:,.1f} -> {sum(s.pixels_sent for s in shrunk) / 1e6:,.1f} megapixels"
    of = f"{len(shrunk)} of the first {len(looked)} pictures"
    if side is None:
        many = "has" if len(shrunk) == 1 else "have"
        return (
            f"{of} {many} a side of more than the {RECOMMENDED_SIDE:,} pixels that providers recommend; "
            f"media.max_side: {RECOMMENDED_SIDE} would send {pixels}, by which input tokens are counted",
        )
    size = f"{sum(s.bytes for s in shrunk) / 1e6:,.1f} MB -> {sum(s.bytes_sent or 0 for s in shrunk) / 1e6:,.1f} MB"
    return (f"media.max_side {side} shrinks {of}: {size}, {pixels}, by which input tokens are counted",)


def _pictures(prepared: Prepared, first: First) -> Iterator[bytes]:
    """Yield the bytes of the pictures that the rows send inline, each once; those that cannot be read say so in their row."""
    seen: dict[str, Media] = {}
    for _, request in first:
        for media in media_of(request.body) if isinstance(request, Request) else ():
            if media.url is None and media.kind == "image":
                seen.setdefault(media.identity, media)
    limit = largest_source(prepared.job.media, prepared.endpoint.dialect)
    for media in list(seen.values())[:_PICTURES]:
        try:
            yield read_media(media, limit)
        except MediaError:
            continue


def _saving(data: bytes, rules: ImageRules, *, try_out: bool) -> _Saving | None:
    """Return what scaling a picture saves, or None where it is not scaled. Tried out, it is decoded and written."""
    try:
        plan = plan_image(data, rules)
        if plan.size == (plan.facts.width, plan.facts.height):
            return None
        sent = len(carry_out(plan, data, rules).data) if try_out else None
    except MediaError:
        return None
    width, height = plan.size
    return _Saving(len(data), plan.facts.width * plan.facts.height, sent, width * height)
