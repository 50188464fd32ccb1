"""The families of models that count media alike: each vendor's published figures, as data, with their source and its date.

The first family whose pattern fits a model's name is its own, so exceptions stand before the rule.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from pipeline.cost.media_tokens import Crops, Family, Fixed, Limit, PageRule, Patches, Tiles, VideoRule
from pipeline.cost.names import matches

if TYPE_CHECKING:
    from collections.abc import Mapping

_READ = "2026-11"  # when the pages were read
_OF_5_4 = 'OpenAI, guide "Images and vision", in its form from the time of gpt-5.4'
_OF_5_6 = 'OpenAI, guide "Images and vision", in its form from the time of gpt-5.6'
_GEMINI = 'Google, Gemini API, "Media resolution", "Image understanding" and "Video understanding"'

# The guide gives no budget for `low`, only that a picture of about 512 x 512 is looked at: 256 patches at most.
_LOW = Limit(256, None, sure=False)
_SMALL: Mapping[str, Limit] = {"low": _LOW, "high": Limit(1_536, 2_048)}
_LARGE: Mapping[str, Limit] = {"low": _LOW, "high": Limit(2_500, 2_048), "original": Limit(10_000, 6_000)}
_UNLIMITED: Mapping[str, Limit] = {**_LARGE, "original": Limit(None)}

# No OpenAI page speaks of videos. What a gateway makes of one for such a model is unknown: from a picture a second at low detail, to the
# dearest that Gemini counts.
_NO_VIDEO = VideoRule(
    {"": 258.0}, 32.0, 0.3, 1.2, "no vendor says how this model counts videos: counted as Gemini 2 does"
)
# OpenAI's guide "File inputs" (read 2026-11): the text of each page and a picture of it; no figure for a page.
_PAGES = "the vendor says neither how large a page is drawn nor what its text costs: a rough figure"
_RENDERED = PageRule(None, frozenset({"low", "high", "original"}), once=0.0, low=1.0, high=1.0, note=_PAGES)


def _openai(
    name: str,
    patterns: str,
    image: Tiles | Patches,
    omitted: str = "high",
    source: str = _OF_5_4,
    error: tuple[float, float] = (0.98, 1.02),
    note: str | None = None,
) -> Family:
    kinds = tuple(patterns.split())
    return Family(name, kinds, image, omitted, _NO_VIDEO, _RENDERED, source, _READ, *error, note)


_TEXTS = "the text of pages is counted as well and not known before: up to a page of small print"
_UNLISTED = "OpenAI's guide does not say how this model counts pictures: it is taken to count as gpt-5.6 does"

FAMILIES: tuple[Family, ...] = (
    _openai("gpt-4o-mini", "gpt-4o-mini*", Tiles(2_833, 5_667)),
    _openai("mini, patches", "gpt-5-mini* gpt-5.4-mini* gpt-4.1-mini*", Patches(_SMALL, factor=1.62)),
    _openai("nano, patches", "gpt-5-nano* gpt-5.4-nano* gpt-4.1-nano*", Patches(_SMALL, factor=2.46)),
    _openai("o4-mini", "o4-mini*", Patches(_SMALL, factor=1.72)),
    _openai("computer-use-preview", "computer-use*", Tiles(65, 129)),
    _openai("o1, o3", "o1 o1-20* o1-pro* o1-preview* o3 o3-20* o3-pro* o3-deep*", Tiles(75, 150)),
    _openai("gpt-4o, gpt-4.1", "gpt-4o* chatgpt-4o* gpt-4.1* gpt-4.5* gpt-4-turbo* gpt-4-vision*", Tiles(85, 170)),
    _openai("codex, patches", "gpt-5-codex* gpt-5.1-codex* gpt-5.2-codex* gpt-5.3-codex* codex*", Patches(_SMALL)),
    _openai(
        "gpt-5.1",
        "gpt-5.1*",
        Tiles(70, 140),
        error=(0.3, 2.9),
        note="gpt-5.1 stands in none of the guide's lists: counted by the tiles of gpt-5, perhaps billed by patches",
    ),
    _openai(
        "gpt-5.2",
        "gpt-5.2* gpt-5.3*",
        Patches(_SMALL),
        error=(0.98, 1.25),
        note="users report pictures billed at 1.2 times the guide's figure",  # OpenAI community, thread 1372291
    ),
    _openai("gpt-5.4", "gpt-5.4 gpt-5.4-20* gpt-5.4-pro*", Patches(_LARGE)),
    _openai("gpt-5.5", "gpt-5.5 gpt-5.5-20* gpt-5.5-pro*", Patches(_LARGE), omitted="original", source=_OF_5_6),
    _openai("gpt-5.6", "gpt-5.6 gpt-5.6-20* gpt-5.6-pro*", Patches(_UNLIMITED), omitted="original", source=_OF_5_6),
    _openai("gpt-5", "gpt-5 gpt-5-20* gpt-5-chat* gpt-5-pro*", Tiles(70, 140)),
    _openai(
        "OpenAI, not listed",
        "gpt-* o[1-9]* chatgpt*",
        Patches(_UNLIMITED),
        omitted="original",
        source=_OF_5_6,
        error=(0.2, 2.6),
        note=_UNLISTED,
    ),
    Family(
        "Gemini 3",
        ("gemini-3*", "gemini-[4-9]*"),
        Fixed({"low": 280, "medium": 560, "high": 1_120, "original": 2_240, "ultra_high": 2_240}),
        "high",
        VideoRule({"low": 70.0, "medium": 70.0, "": 70.0, "high": 280.0}, 25.0, low=0.95, high=1.1),
        # One page counted 561, five 2,801 and ten 5,601, whatever was on them (a public measurement, 2026-10).
        PageRule(
            {"": 560, "low": 280, "medium": 560, "high": 1_120}, frozenset({"low", "medium", "high"}), 1.0, 0.98, 1.1
        ),
        _GEMINI,
        _READ,
        low=0.9,
        high=1.1,
    ),
    Family(
        "Gemini 2",
        ("gemini*", "gemma*"),
        Crops(258, {"low": 64, "medium": 256}),
        "high",
        VideoRule({"": 258.0, "low": 66.0}, 32.0, low=0.85, high=1.1),
        PageRule({"": 258, "low": 64}, frozenset({"", "low", "medium", "high"}), 0.0, 0.9, 1.1, _TEXTS),
        _GEMINI,
        _READ,
        low=0.25,
        high=2.0,
        note="Google's pages give two rules for pictures, a factor of two apart",
    ),
)

UNKNOWN = Family(
    "unknown",
    ("*",),
    Patches({"low": _LOW, "high": Limit(2_500, 2_048), "original": Limit(None)}),
    "high",
    _NO_VIDEO,
    _RENDERED,
    "an approximation of ours: most vendors count 500 to 2,500 tokens for a photo",
    _READ,
    low=0.2,
    high=2.5,
    note="no rule is known for this model's media: a photo is taken to cost 500 to 6,000 tokens",
)
"""The rules of a model that no family fits."""


@lru_cache(maxsize=1024)
def family_of(model: str) -> Family:
    """Return the family of a model by its name, ``UNKNOWN`` where none fits."""
    return next((family for family in FAMILIES if matches(model, family.patterns)), UNKNOWN)
