"""Figures and texts as a page shows them: money, counts, shares, times, and strangers' texts with nothing hidden in them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime

from pipeline.cost.prices import LAST_S
from pipeline.report.text import duration, visible

UNKNOWN = "unknown"
_PLAIN = re.compile(
    r"[^\n\t\u200c\u200d]+"
)  # line ends and tabs are laid out by a page; the joiners belong to emoji and to many scripts
_SCALES = ((1e9, "B"), (1e6, "M"), (1e3, "k"))


def shown(text: str) -> str:
    """Return a text of a stranger with controls, bidirectional overrides, lone surrogates and other invisible characters as escapes."""
    return _PLAIN.sub(lambda run: run[0] if run[0].isprintable() else visible(run[0]), text.replace("\r\n", "\n"))


def plain(value: object, most: int | None = None) -> object:
    """Return dataclasses, mappings and sequences as dicts and lists that a template and JSON can take, with every text ``shown``.

    Texts longer than ``most`` characters are cut.
    """
    if isinstance(value, str):
        return shown(value) if most is None or len(value) <= most else shown(value[:most]) + "…"
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name), most) for field in fields(value)}
    if isinstance(value, Mapping):
        return {plain(str(name), most): plain(member, most) for name, member in value.items()}
    if isinstance(value, Sequence):
        return [plain(member, most) for member in value]
    return value


def money(usd: float | None) -> str:
    """Return ``$1,204``, ``$12.40``, ``$0.0123``: cents from a dollar on, three significant digits below it."""
    if usd is None:
        return UNKNOWN
    sign, size = ("-" if usd < 0 else ""), abs(usd)
    if size == 0:
        return "$0.00"
    if size >= 1000:
        return f"{sign}${size:,.0f}"
    if size >= 0.9995:
        return f"{sign}${size:,.2f}"
    return f"{sign}${_digits(size)}"


def _digits(size: float) -> str:
    places = 2 - int(f"{size:.2e}".partition("e")[2])
    return f"{size:.{places}f}"


def count(number: float | None) -> str:
    """Return ``12,345``."""
    return UNKNOWN if number is None else f"{number:,.0f}"


def short(number: float | None) -> str:
    """Return ``812``, ``12.3 k``, ``1.20 M``: three significant digits."""
    if number is None:
        return UNKNOWN
    for scale, letter in _SCALES:
        if abs(number) >= scale * 0.9995:
            size = number / scale
            return f"{size:,.{2 if abs(size) < 9.995 else 1 if abs(size) < 99.95 else 0}f} {letter}"
    return f"{number:,.0f}"


def share(part: float | None, whole: float | None) -> str:
    """Return ``38.2 %``. What is not all never reads as 100 %, and what is not nothing never as 0 %."""
    if part is None or not whole:
        return UNKNOWN
    rounded = f"{100 * part / whole:.1f}".removesuffix(".0")
    if rounded == "100" and part < whole:
        return "> 99.9 %"
    return "< 0.1 %" if rounded == "0" and part > 0 else f"{rounded} %"


def signed(error: float | None) -> str:
    """Return a relative error as ``+4.1 %``."""
    if error is None:
        return UNKNOWN
    return f"{100 * error:+.1f} %".replace("-", "\N{MINUS SIGN}") if error else "±0 %"


def points(change: float | None) -> str:
    """Return the difference of two shares as ``+2.3 points``, those of a percentage."""
    if change is None:
        return UNKNOWN
    return f"{100 * change:+.1f} points".replace("-", "\N{MINUS SIGN}") if change else "±0 points"


def seconds(span: float | None) -> str:
    """Return ``340 ms``, ``3.2 s``, ``2 min 05 s``; no span is negative or without end."""
    if span is None or not 0 <= span < math.inf:
        return UNKNOWN
    return f"{span * 1000:.0f} ms" if 0 < span < 0.9995 else duration(span)


def when(moment: float | None) -> str:
    """Return ``14 Nov 2026, 09:12 UTC``; what lies beyond the calendar is unknown."""
    if moment is None or not 0 <= moment < LAST_S:
        return UNKNOWN
    return f"{datetime.fromtimestamp(moment, UTC):%-d %b %Y, %H:%M} UTC"


FILTERS = {function.__name__: function for function in (money, count, short, share, signed, points, seconds, when)}
"""What templates may call these by."""
