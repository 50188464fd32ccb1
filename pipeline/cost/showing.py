"""What one picture, video or file of a request costs, as it will be sent: within its band, and at worst."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.cost.interval import ZERO, Interval
from pipeline.cost.media_tokens import given, page_tokens, video_tokens
from pipeline.errors import PromptError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.cost.contents import Shown
    from pipeline.cost.media_tokens import Family
    from pipeline.records import MediaKind
    from pipeline.spec.rules import MediaRules
    from pipeline.wire.dialect import Dialect

Size = tuple[int, int]

_THUMBNAIL, _USUAL, _CAMERA = (256, 256), (1024, 1024), (6000, 4000)  # pixels of a picture of unknown size
_UNKNOWN_SECONDS = (5.0, 40.0)  # and the longest that the dialect takes
_UNKNOWN_FILE = Interval(500, 5_000, 100_000)  # tokens: a letter, some pages, a book
_DRAWN = ((612, 792), (1275, 1650), (2550, 3300))  # pixels of a page: a letter at 72, 150 and 300 dpi
_PAGE_TEXT = Interval(0, 500, 1_500)  # tokens: a scan, a page of prose, a page of small print
_MOST_PAGE_TEXT = 4_000  # tokens: a page of nothing but figures
_BYTES_PER_TOKEN = (6, 4, 2)  # of a text file, which is not read
MEND = "set budget.per_request_tokens, the most that you allow for one request"
"""What to do where a request has no worst case."""


@dataclass(frozen=True, slots=True)
class Showing:
    """How a job's media are sent to models of one family."""

    family: Family
    rules: MediaRules
    dialect: Dialect

    def span(self, shown: Shown, detail: str | None) -> Interval:
        """Return what media cost; where the vendor's page does not list ``detail``, it may be ignored, which widens the band."""
        spans = [_SPANS[shown.kind](self, shown, each) for each in self._details(detail)]
        return Interval(min(s.low for s in spans), spans[0].mid, max(s.high for s in spans))

    def most(self, shown: Shown, detail: str | None) -> float:
        """Return the most that media can cost. Raises ``PromptError`` where nothing limits it."""
        return max(_MOSTS[shown.kind](self, shown, each) for each in self._details(detail))

    def inline(self, shown: Shown) -> bool:
        """Tell whether media leave as bytes, and so as this program prepares them."""
        if shown.media is None or shown.verbatim:
            return False
        return shown.media.url is None or self.rules.send == "inline"

    def size(self, shown: Shown) -> Size | None:
        """Return a picture's sides in pixels as it is sent; None where they are unknown."""
        size = _stored(shown)
        return fitted(size, self.rules.max_side) if size is not None and self.inline(shown) else size

    def side(self, shown: Shown) -> int | None:
        """Return the longest side that a picture of unknown size can have when it is sent; None where nothing limits it."""
        return self.rules.max_side if self.inline(shown) and self.rules.animated == "first" else None

    def _details(self, detail: str | None) -> tuple[str | None, ...]:
        """Return the details at which media may be counted, first the one that is asked for."""
        return (detail,) if self.dialect.image_detail or detail is None else (detail, None)


def fitted(size: Size, side: int | None) -> Size:
    """Return the size of a picture after ``media.max_side`` has scaled it down."""
    width, height = size
    longest = max(size)
    if side is None or longest <= side:
        return size
    return max(1, round(width * side / longest)), max(1, round(height * side / longest))


def _image(showing: Showing, shown: Shown, detail: str | None) -> Interval:
    family, meant = showing.family, showing.family.detail(detail)
    size = showing.size(shown)
    if size is not None:
        return Interval.exactly(family.image.tokens(*size, meant)).within(family.low, family.high)
    side = showing.side(shown)
    low, mid, high = (family.image.tokens(*fitted(each, side), meant) for each in (_THUMBNAIL, _USUAL, _CAMERA))
    cap = family.image.cap(meant, side) or high
    return Interval(min(low, mid, cap), min(mid, cap), cap).within(family.low, family.high)


def _most_image(showing: Showing, shown: Shown, detail: str | None) -> float:
    family, meant = showing.family, showing.family.detail(detail)
    # An animation that is kept goes unscaled; whether it is one takes more than its header.
    kept = _stored(shown) if showing.rules.animated == "keep" else None
    sizes = [size for size in (showing.size(shown), kept) if size is not None]
    if sizes:
        most = max(family.image.most(*size, meant) for size in sizes)
        return max(most * family.high, _image(showing, shown, detail).high)
    cap = family.image.cap(meant, showing.side(shown))
    if cap is None:
        message = f"a picture's size is unknown, and at detail {meant} nothing limits what {family.name} counts for it"
        raise PromptError(message, hint=f"set its detail to high, or {MEND}" if showing.dialect.image_detail else MEND)
    return max(cap, family.image.most(*_USUAL, meant)) * family.high


def _stored(shown: Shown) -> Size | None:
    """Return a picture's upright sides as it is stored."""
    width, height = shown.extent.width, shown.extent.height
    return None if width is None or height is None else (width, height)


def _video(showing: Showing, shown: Shown, detail: str | None) -> Interval:
    family, rule = showing.family, showing.family.video
    if (seconds := shown.extent.seconds) is not None:
        return Interval.exactly(video_tokens(family, seconds, detail)).within(rule.low, rule.high)
    lengths = (*_UNKNOWN_SECONDS, float(showing.dialect.max_video_s))
    return Interval(*sorted(video_tokens(family, length, detail) for length in lengths)).within(rule.low, rule.high)


def _most_video(showing: Showing, shown: Shown, detail: str | None) -> float:
    return _video(showing, shown, detail).high


def _file(showing: Showing, shown: Shown, detail: str | None) -> Interval:
    extent = shown.extent
    if extent.text_bytes is not None:
        return Interval(*(extent.text_bytes / each for each in _BYTES_PER_TOKEN))
    if extent.pages is None:
        return _UNKNOWN_FILE
    return _pages(showing.family, extent.pages, detail, _PAGE_TEXT)


def _most_file(showing: Showing, shown: Shown, detail: str | None) -> float:
    extent = shown.extent
    if extent.text_bytes is not None:
        return float(extent.text_bytes)  # no token is shorter than a byte
    if extent.pages is None:
        raise PromptError("how much a file holds is unknown, so what it costs has no limit", hint=MEND)
    return _pages(showing.family, extent.pages, detail, Interval.exactly(_MOST_PAGE_TEXT)).high


def _pages(family: Family, pages: int, detail: str | None, text: Interval) -> Interval:
    rule, picture = family.page, page_tokens(family, detail)
    if picture is None:
        meant = family.detail(detail)
        low, mid, high = sorted(family.image.tokens(*size, meant) for size in _DRAWN)
        page = Interval(low, mid, max(high, family.image.cap(meant) or high)).within(family.low, family.high)
    else:
        page = Interval.exactly(picture)
    page += text if rule.picture is None or given(detail) in rule.texts else ZERO
    return (page.times(pages) + Interval.exactly(rule.once)).within(rule.low, rule.high)


_SPANS: Mapping[MediaKind, Callable[[Showing, Shown, str | None], Interval]] = {
    "image": _image,
    "video": _video,
    "file": _file,
}
_MOSTS: Mapping[MediaKind, Callable[[Showing, Shown, str | None], float]] = {
    "image": _most_image,
    "video": _most_video,
    "file": _most_file,
}
