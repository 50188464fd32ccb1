"""What media cost by the rules that the vendors have published for their models, written down from their guides.

OpenAI counts tiles of 512 pixels or patches of 32, Gemini crops, or a fixed number for each picture. Whatever no guide
settles (the patches of `detail: low`, a video at OpenAI, a PDF's pages) is this provider's own choice.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pipeline.simulator import tokens

__all__ = ["RULES", "Rules", "rules_for"]

PATCH = 32
TEXT_OF_PAGE = 500


@dataclass(frozen=True, slots=True)
class Rules:
    """What a picture of some size and detail, a video of some seconds, and a file of some bytes and pages cost."""

    image: Callable[[int, int, str | None], int] = tokens.image_tokens
    video: Callable[[float | None], int] = tokens.video_tokens
    file: Callable[[int, int | None], int] = tokens.file_tokens


OWN = Rules()


def rules_for(kind: str, model: str) -> Rules:
    """The provider's own rules, or those published for the model; a model without any is billed by the own ones."""
    if kind == "own":
        return OWN
    return next((rules for pattern, rules in _MODELS if pattern.match(model)), OWN)


def _tiles(base: int, tile: int, width: int, height: int, detail: str | None) -> int:
    """A base, and as much for each tile once the picture fits 2,048 and its short side 768."""
    if detail == "low":
        return base
    shrink = min(1.0, 2048 / max(width, height))
    shrink = min(shrink, 768 / min(width, height))
    across, down = (max(1, math.ceil(round(side * shrink) / 512)) for side in (width, height))
    return base + tile * across * down


@dataclass(frozen=True, slots=True)
class _Patched:
    """How many patches a picture may have and how long its sides may be, by detail, and what a patch costs."""

    factor: float
    high: tuple[float, float]
    original: tuple[float, float] = (10_000, 6000)
    unsaid: str = "high"
    """What no detail means."""


def _patches(rule: _Patched, width: int, height: int, detail: str | None) -> int:
    """Patches, made fewer until they keep to the budget."""
    meant = rule.unsaid if detail in (None, "auto") else detail
    budget, longest = {"low": (256, 512), "original": rule.original}.get(str(meant), rule.high)
    columns, rows = math.ceil(width / PATCH), math.ceil(height / PATCH)
    if columns * rows > budget or max(width, height) > longest:
        shrink = min(1.0, longest / max(width, height), PATCH * math.sqrt(budget / (width * height)))
        wide, high = width * shrink / PATCH, height * shrink / PATCH
        shrink *= min(max(1, math.floor(wide)) / wide, max(1, math.floor(high)) / high)
        columns, rows = (max(1, math.ceil(int(side * shrink) / PATCH)) for side in (width, height))
    return math.ceil(min(columns * rows, budget) * rule.factor)


def _crops(width: int, height: int, _detail: str | None) -> int:
    """258 for a small picture, and for each crop of a larger one."""
    if max(width, height) <= 384:
        return 258
    unit = max(1, min(width, height) * 2 // 3)
    return 258 * math.ceil(width / unit) * math.ceil(height / unit)


def _fixed(_width: int, _height: int, detail: str | None) -> int:
    return {"low": 280, "medium": 560}.get(detail or "", 1120)


def _per_second(rate: int, seconds: float | None) -> int:
    return tokens.VIDEO if seconds is None else rate * math.ceil(seconds)


def _pages(each: int, size: int, pages: int | None) -> int:
    return tokens.file_tokens(size) if pages is None else pages * (each + TEXT_OF_PAGE)


def _tiled(base: int, tile: int) -> Rules:
    return Rules(partial(_tiles, base, tile), file=partial(_pages, base + 4 * tile))


def _patched(rule: _Patched) -> Rules:
    return Rules(partial(_patches, rule), file=partial(_pages, math.ceil(1452 * rule.factor)))


_SMALL, _LARGE = (1536, 2048), (2500, 2048)


_GEMINI_2 = Rules(_crops, partial(_per_second, 300), partial(_pages, 258))
_GEMINI_3 = Rules(_fixed, partial(_per_second, 100), partial(_pages, 560))

_MODELS: tuple[tuple[re.Pattern[str], Rules], ...] = tuple(
    (re.compile(pattern), rules)
    for pattern, rules in (
        (r"(gpt-5(\.4)?|gpt-4\.1)-mini", _patched(_Patched(1.62, _SMALL))),
        (r"(gpt-5(\.4)?|gpt-4\.1)-nano", _patched(_Patched(2.46, _SMALL))),
        (r"o4-mini", _patched(_Patched(1.72, _SMALL))),
        (r"gpt-5\.2|gpt-5.*codex", _patched(_Patched(1.0, _SMALL))),
        (r"gpt-5\.5", _patched(_Patched(1.0, _LARGE, unsaid="original"))),
        (r"gpt-5\.6", _patched(_Patched(1.0, _LARGE, (math.inf, math.inf), unsaid="original"))),
        (r"gpt-5\.4", _patched(_Patched(1.0, _LARGE))),
        (r"gpt-5", _tiled(70, 140)),
        (r"gpt-4o-mini", _tiled(2833, 5667)),
        (r"gpt-4", _tiled(85, 170)),
        (r"o[13]", _tiled(75, 150)),
        (r"gemini-3", _GEMINI_3),
        (r"gemini", _GEMINI_2),
    )
)

RULES = ("own", "published")
