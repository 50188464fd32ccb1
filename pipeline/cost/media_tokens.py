"""What pictures, videos and pages cost in tokens, by the rules that vendors publish. Which model follows which stands in ``families``.

A rule gives what its text says (``tokens``), and the most that any reading of the text allows (``most``): texts are vague in places.
``cap`` is the most that a picture of unknown size can cost. Sizes are upright pixels. Products stay unrounded: no vendor says how it
rounds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pipeline.records import MediaKind

_PATCH = 32  # pixels
_TILE, _FIT, _SHORT = 512, 2048, 768  # pixels; Guide "Images and vision", tile models


class ImageRule(Protocol):
    """How a family counts a picture. ``detail`` is one of the words of the API; one that the family does not have means its finest."""

    def tokens(self, width: int, height: int, detail: str, /) -> float:
        """Return what the vendor's text says."""

    def most(self, width: int, height: int, detail: str, /) -> float:
        """Return the most that the text allows, however it is read."""

    def cap(self, detail: str, side: int | None = None, /) -> float | None:
        """Return the most that a picture costs whose sides are at most ``side``, or of any size; None where nothing limits it."""


@dataclass(frozen=True, slots=True)
class Tiles:
    """OpenAI's older vision models: a base, and so much for each square of 512 pixels once the picture was fitted."""

    base: float
    tile: float

    def tokens(self, width: int, height: int, detail: str) -> float:
        """Return what the vendor's text says: pictures are scaled down, never up."""
        return self._counted(width, height, detail, enlarge=False)

    def most(self, width: int, height: int, detail: str) -> float:
        """Return the most that the text allows: older copies can be read as if small pictures were scaled up to a short side of 768."""
        return max(self._counted(width, height, detail, enlarge=large) for large in (False, True))

    def cap(self, detail: str, _side: int | None = None) -> float | None:
        """Return the base and eight tiles: 2048 x 768 pixels are the most that is looked at."""
        return self.base if detail == "low" else self.base + 8 * self.tile

    def _counted(self, width: int, height: int, detail: str, *, enlarge: bool) -> float:
        if detail == "low":
            return self.base
        fit = min(1.0, _FIT / max(width, height))
        short = min(width, height) * fit
        scale = fit * (_SHORT / short if enlarge or short > _SHORT else 1.0)
        scale = min(scale, _FIT / max(width, height)) if enlarge else scale
        across, down = (math.ceil(max(round(side * scale), 1) / _TILE) for side in (width, height))
        return self.base + self.tile * across * down


@dataclass(frozen=True, slots=True)
class Limit:
    """What a picture is scaled down to: so many patches at most, and no side longer. None is no limit.

    Where the vendor gives no figure it is not ``sure``, and the whole budget may be counted for any picture.
    """

    patches: int | None
    side: int | None = None
    sure: bool = True


@dataclass(frozen=True, slots=True)
class Patches:
    """OpenAI's newer vision models: patches of 32 pixels, within limits that the detail sets, times a factor of the model."""

    limits: Mapping[str, Limit]
    finest: str = "high"
    factor: float = 1.0

    def tokens(self, width: int, height: int, detail: str) -> float:
        """Return what the vendor's text says."""
        return _patches(width, height, self._limit(detail)) * self.factor

    def most(self, width: int, height: int, detail: str) -> float:
        """Return what the text says, and the whole budget where that is a guess."""
        limit = self._limit(detail)
        guessed = not limit.sure and limit.patches is not None
        return (limit.patches or 0) * self.factor if guessed else self.tokens(width, height, detail)

    def cap(self, detail: str, side: int | None = None) -> float | None:
        """Return the budget, or what a square of such sides takes where there is none."""
        patches = self._limit(detail).patches
        if patches is None and side is not None:
            return self.tokens(side, side, detail)
        return None if patches is None else patches * self.factor

    def _limit(self, detail: str) -> Limit:
        return self.limits.get(detail) or self.limits[self.finest]


def _patches(width: int, height: int, limit: Limit) -> int:
    """Return how many patches cover a picture after it was scaled down to fit."""
    count = _cover(width, height)
    budget, side = limit.patches or math.inf, limit.side or math.inf
    if count <= budget and max(width, height) <= side:
        return count
    scale = min(1.0, side / max(width, height))
    if (shrink := math.sqrt(_PATCH**2 * budget / (width * height))) < scale:
        scale = shrink * min(_whole(width * shrink), _whole(height * shrink))
    return int(min(_cover(max(round(width * scale), 1), max(round(height * scale), 1)), budget))


def _cover(width: int, height: int) -> int:
    return math.ceil(width / _PATCH) * math.ceil(height / _PATCH)


def _whole(side: float) -> float:
    """Return the factor by which a side becomes a whole number of patches; a side of less than one stays."""
    return max(side // _PATCH, 1) * _PATCH / side if side > _PATCH else 1.0


@dataclass(frozen=True, slots=True)
class Crops:
    """Gemini 2: a small picture counts once; another is cut into squares by its shorter side, so its shape counts and not its size.

    ``whole`` is what a picture costs at details at which it is never cut.
    """

    square: float
    whole: Mapping[str, float]
    small: int = 384

    def tokens(self, width: int, height: int, detail: str) -> float:
        """Return what the vendor's text says."""
        return self.whole.get(detail) or self._cut(width, height, 1, math.inf)

    def most(self, width: int, height: int, detail: str) -> float:
        """Return the most of all readings: an older text keeps squares between 256 and 768 pixels, another speaks of twice as much."""
        return self.whole.get(detail) or max(
            2 * self._cut(width, height, 1, math.inf), self._cut(width, height, 256, 768)
        )

    def cap(self, detail: str, _side: int | None = None) -> float | None:
        """Return None where pictures are cut: a long strip has any number of squares."""
        return self.whole.get(detail)

    def _cut(self, width: int, height: int, least: int, largest: float) -> float:
        if max(width, height) <= self.small:
            return self.square
        unit = min(max(min(width, height) * 2 // 3, least), largest)
        return self.square * math.ceil(width / unit) * math.ceil(height / unit)


@dataclass(frozen=True, slots=True)
class Fixed:
    """Gemini 3: each picture costs the same, by its detail."""

    by_detail: Mapping[str, float]
    finest: str = "high"

    def tokens(self, _width: int, _height: int, detail: str) -> float:
        """Return the vendor's figure."""
        return self.by_detail.get(detail, self.by_detail[self.finest])

    def most(self, width: int, height: int, detail: str) -> float:
        """Return the same."""
        return self.tokens(width, height, detail)

    def cap(self, detail: str, _side: int | None = None) -> float | None:
        """Return the same."""
        return self.tokens(0, 0, detail)


@dataclass(frozen=True, slots=True)
class VideoRule:
    """A video costs so much for each frame that is looked at, by detail, and for each second of sound.

    ``low`` and ``high`` are factors: the vendor's pages give several figures for a second. ``note`` says what is uncertain.
    """

    frame: Mapping[str, float]
    sound: float
    low: float
    high: float
    note: str | None = None

    def tokens(self, seconds: float, detail: str, fps: float = 1.0) -> float:
        """Return what the vendor's text says, by its parts."""
        return seconds * (self.frame.get(detail, max(self.frame.values())) * fps + self.sound)


@dataclass(frozen=True, slots=True)
class PageRule:
    """A page of a PDF costs a picture of it, by detail, and its text.

    ``picture`` is None where the page is rendered and counted as any picture of the family is, at a size that the vendor does not say.
    ``texts`` are the details at which the text is counted as well, ``once`` is added for each file, ``low`` and ``high`` are factors.
    ``note`` says what is uncertain.
    """

    picture: Mapping[str, float] | None
    texts: frozenset[str]
    once: float
    low: float
    high: float
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """The rules of models that count alike, with their source; ``as_of`` is the month in which it was read.

    ``omitted`` is the detail that is meant where none is given, or ``auto``. ``low`` and ``high`` are factors around what the rule for
    pictures says, for all that it leaves open. ``note`` says what is uncertain of them; None where the vendor's text is plain.
    """

    name: str
    patterns: tuple[str, ...]
    image: ImageRule
    omitted: str
    video: VideoRule
    page: PageRule
    source: str
    as_of: str
    low: float = 0.98
    high: float = 1.02
    note: str | None = None

    def detail(self, asked: str | None) -> str:
        """Return the detail that is meant."""
        return self.omitted if asked is None or asked == "auto" else asked

    def note_on(self, kind: MediaKind) -> str | None:
        """Return what is uncertain about media of a kind."""
        notes: Mapping[MediaKind, str | None] = {"image": self.note, "video": self.video.note, "file": self.page.note}
        return notes[kind]


def image_tokens(family: Family, width: int, height: int, detail: str | None = None) -> float:
    """Return what a picture costs by the vendor's text; ``detail`` as it was asked for, None where it is left out."""
    return family.image.tokens(width, height, family.detail(detail))


def video_tokens(family: Family, seconds: float, detail: str | None = None, *, fps: float = 1.0) -> float:
    """Return what a video costs of which ``fps`` frames a second are looked at."""
    return family.video.tokens(seconds, given(detail), fps)


def page_tokens(family: Family, detail: str | None = None) -> float | None:
    """Return what the picture of a PDF's page costs, without its text; None where the vendor does not say how large it is drawn."""
    picture = family.page.picture
    return None if picture is None else picture.get(given(detail), max(picture.values()))


def given(detail: str | None) -> str:
    """Return a detail by which frames and pages are counted: nothing where it is left to the provider."""
    return "" if detail is None or detail == "auto" else detail
