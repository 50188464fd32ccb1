"""Make an image fit to be sent: turned as EXIF asks, in colors that models read, scaled where the job asks for it.

An image that needs nothing leaves as the very bytes it came as. What must change is seen in the structure alone (``plan_image``),
so that only an image that needs it is decoded. All of it is blocking: call it in a worker thread.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pipeline.errors import MediaError
from pipeline.media.sniff import convertible_type, describe
from pipeline.media.structure import MAX_PIXELS, ImageFacts, image_facts

MAX_FRAMES = 1_000
"""The longest animation that is sent as it is; a few megabytes can hold a hundred thousand frames, each decoded by the provider."""

_STEP = 64  # pixels; a suggested side is a multiple of it
_SPARE = 0.95  # of the side that would just fit: smaller pictures have a little more bytes per pixel

_NAMES: Mapping[str, str] = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/gif": "GIF",
    "image/webp": "WebP",
    "image/tiff": "TIFF",
    "image/bmp": "BMP",
}
_WRITTEN: Mapping[str, tuple[str, ...]] = {  # what a changed image is written as: the first that is taken
    "image/jpeg": ("image/jpeg",),  # never PNG, which makes several times the bytes of a photo
    "image/png": ("image/png",),
    "image/gif": ("image/png", "image/gif"),  # PNG holds every color that scaling makes, GIF only 256
    "image/webp": ("image/webp", "image/png"),
    "image/tiff": ("image/png",),
    "image/bmp": ("image/png",),
}


@dataclass(frozen=True, slots=True)
class ImageRules:
    """What an image must be like when it leaves."""

    formats: frozenset[str]
    """The media types that are taken."""
    max_bytes: int
    """The largest file, in bytes before base64."""
    max_side: int | None = None
    """The longest side in pixels; a longer one is scaled down. None leaves sizes alone."""
    animated: Literal["first", "keep"] = "first"
    """Whether an animation is sent as its first frame, or whole and as it is: also unscaled."""
    convert: bool = False
    """Whether an image of a format that is not taken, TIFF and BMP among them, is turned into PNG: its first picture."""


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """An image as it is sent. Sides are in pixels; ``changes`` says in plain words what was done, nothing if it is as it came."""

    data: bytes
    media_type: str
    width: int
    height: int
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """What will be done to an image. ``size`` is that before it is turned; without ``changes`` it goes as it is."""

    facts: ImageFacts
    size: tuple[int, int]
    media_type: str
    changes: tuple[str, ...]

    @property
    def displayed(self) -> tuple[int, int]:
        """Width and height in pixels as the image is sent."""
        width, height = self.size
        sideways = (self.facts.orientation or 1) >= 5 and bool(self.changes)
        return (height, width) if sideways else (width, height)


def prepare_image(data: bytes, rules: ImageRules) -> PreparedImage:
    """Return the image as it is to be sent. Blocking. Raises ``MediaError`` with a plain reason where it cannot be sent."""
    return carry_out(plan_image(data, rules), data, rules)


def plan_image(data: bytes, rules: ImageRules) -> ImagePlan:
    """Return what has to change, without decoding a pixel. Raises ``MediaError`` where the image cannot be sent."""
    facts = _sound_facts(data, rules)
    taken = facts.media_type in rules.formats
    if facts.frames > 1 and rules.animated == "keep" and taken:
        if facts.frames > MAX_FRAMES:
            raise MediaError(f"the image is an animation of {facts.frames:,} frames; {MAX_FRAMES:,} are the limit")
        return ImagePlan(facts, (facts.width, facts.height), facts.media_type, ())
    size = _scaled(facts, rules.max_side)
    changes = tuple(_changes(facts, size))
    if taken and not changes:
        return ImagePlan(facts, size, facts.media_type, ())
    if not taken and not rules.convert:
        raise _not_taken(facts.media_type, rules)
    media_type = next((form for form in _WRITTEN[facts.media_type] if form in rules.formats), None)
    if media_type is None:
        raise _not_taken(facts.media_type, rules)
    if media_type != facts.media_type:
        changes += (f"converted from {_NAMES[facts.media_type]} to {_NAMES[media_type]}",)
    return ImagePlan(facts, size, media_type, changes)


def carry_out(plan: ImagePlan, data: bytes, rules: ImageRules) -> PreparedImage:
    """Return the image that ``plan_image`` has planned. Blocking. Raises ``MediaError``."""
    if plan.changes:
        from pipeline.media.pixels import redraw  # Pillow, which most runs never need

        data = redraw(data, plan.facts, plan.size, plan.media_type)
    if len(data) > rules.max_bytes:
        raise _too_large(len(data), plan, rules)
    return PreparedImage(data, plan.media_type, *plan.displayed, plan.changes)


def _sound_facts(data: bytes, rules: ImageRules) -> ImageFacts:
    """Return the facts of an image that can be decoded, as far as its structure tells."""
    facts = image_facts(data) or _foreign_facts(data, rules)
    if facts.broken is not None:
        raise MediaError(f"the image {facts.broken}")
    pixels = facts.width * facts.height
    if pixels == 0:
        raise MediaError("the image is damaged: its header gives it no size")
    if pixels > MAX_PIXELS:
        raise MediaError(
            f"the image has {facts.width:,} x {facts.height:,} pixels; {MAX_PIXELS:,} are the limit",
            hint="downscale it before the run",
        )
    return facts


def _foreign_facts(data: bytes, rules: ImageRules) -> ImageFacts:
    """Return the facts of an image of another format that can be turned into one that is taken, if that is asked."""
    media_type = convertible_type(data)
    if media_type is None:
        raise MediaError(f"the image is not a JPEG, PNG, GIF or WebP: it is {describe(data)}")
    if not rules.convert:
        raise _not_taken(media_type, rules)
    from pipeline.media.pixels import foreign_facts  # Pillow, which most runs never need

    return foreign_facts(data, media_type)


def _scaled(facts: ImageFacts, max_side: int | None) -> tuple[int, int]:
    """Return the stored size, scaled down so that no side is longer than ``max_side``."""
    width, height = facts.width, facts.height
    longest = max(width, height)
    if max_side is None or longest <= max_side:
        return width, height
    return max(1, round(width * max_side / longest)), max(1, round(height * max_side / longest))


def _changes(facts: ImageFacts, size: tuple[int, int]) -> Iterator[str]:
    if facts.frames > 1:
        yield f"the first of {facts.frames:,} frames"
    if facts.cmyk:
        yield "turned from CMYK into RGB"
    if facts.bits > 8:
        yield f"reduced from {facts.bits} to 8 bits per color"
    if facts.orientation != 1:
        yield "turned by EXIF"
    if size != (facts.width, facts.height):
        yield "scaled from {}x{}".format(*facts.displayed)


def _not_taken(media_type: str, rules: ImageRules) -> MediaError:
    taken = ", ".join(name for form, name in _NAMES.items() if form in rules.formats)
    possible = not rules.convert and any(form in rules.formats for form in _WRITTEN[media_type])
    return MediaError(
        f"the image is a {_NAMES[media_type]}; taken are {taken}",
        hint="set media.convert to true" if possible else "convert it before the run",
    )


def _too_large(size: int, plan: ImagePlan, rules: ImageRules) -> MediaError:
    width, height = plan.displayed
    side = int(max(width, height) * math.sqrt(rules.max_bytes / size) * _SPARE)
    return MediaError(
        f"the image has {size:,} bytes at {width}x{height} pixels; {rules.max_bytes:,} are the limit",
        hint=f"set media.max_side to about {max(side // _STEP * _STEP, 1)}",
    )
