"""Text for people: figures that read well, and nothing in it that could steer a terminal.

Whatever comes from rows, models or servers passes ``visible`` or ``pretty`` on its way to a screen. Control characters
(ESC, NUL, line ends), bidirectional overrides and other invisible characters are shown as escapes, so that a text
cannot move the cursor, write to the clipboard or pretend to be ours.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline.records import Usage

_DATA_URL_SHOWN = 200  # characters of a data URL from which on it is named instead of shown


def visible(text: str, width: int | None = None) -> str:
    """Return ``text`` on one line, with all that a terminal would obey or hide shown as escapes.

    With a ``width`` (columns, at least 1) a longer text is cut and ends in an ellipsis.
    """
    if width is None:
        return "".join(_shown(char) for char in text)
    pieces: list[str] = []
    room = width
    for char in text:
        piece = _shown(char)
        room -= columns(piece)
        if room < 0:
            return _cut(pieces, width - 1) + "…"
        pieces.append(piece)
    return "".join(pieces)


def near(path: Path) -> str:
    """Return a path as a person standing in the working folder would write it."""
    return visible(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))


def block(text: str, indent: str = "") -> str:
    """Return a text of several lines, each of them ``visible`` and indented."""
    return "\n".join(indent + visible(line) for line in text.split("\n"))


def columns(text: str) -> int:
    """Return how many columns of a terminal a visible text takes at most."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _shown(char: str) -> str:
    if char.isprintable():
        return char
    if unicodedata.category(char) == "Zs":
        return " "  # no-break and other wide or thin spaces: harmless, and common in prose
    return char.encode("unicode_escape").decode("ascii")


def _cut(pieces: list[str], width: int) -> str:
    while pieces and sum(map(columns, pieces)) > width:
        pieces.pop()
    return "".join(pieces)


def pretty(value: object) -> str:
    """Return a JSON value indented, still JSON, with all that a terminal would obey or hide as JSON's own escapes."""
    text = json.dumps(_without_data_urls(value), indent=2, ensure_ascii=False, default=str)
    return "\n".join(line if line.isprintable() else "".join(map(_json_shown, line)) for line in text.split("\n"))


def _json_shown(char: str) -> str:
    return char if char.isprintable() else json.dumps(char)[1:-1]


def _without_data_urls(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(name): _without_data_urls(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_without_data_urls(member) for member in value]
    if isinstance(value, str) and value.startswith("data:") and len(value) > _DATA_URL_SHOWN:
        return f"<{value[: value.find(',') + 1][:80]}… {len(value):,} characters>"
    return value


def compact(value: object) -> str:
    """Return a JSON value on one line of printable ASCII, for machines."""
    return json.dumps(value, default=str)


def counted(number: int, noun: str) -> str:
    """Return ``1 row``, ``12,345 rows``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def unit(samples: int) -> str:
    """Return what a run counts: rows, or where each row is asked several times, answers."""
    return "row" if samples == 1 else "answer"


def extent(rows: int, samples: int, wanted: int | None = None) -> str:
    """Return ``1,000 rows``, ``1,000 rows x 5 samples = 5,000 requests``, or how many single requests of those are ``wanted``."""
    if samples == 1:
        return counted(rows, "row")
    if wanted is not None:
        return f"{counted(wanted, 'request')} for {counted(rows, 'row')}"
    return f"{counted(rows, 'row')} x {samples} samples = {counted(rows * samples, 'request')}"


def figure(number: int | None) -> str:
    """Return a number with thousands separators, or the word for one that is not known."""
    return "unknown" if number is None else f"{number:,}"


UNKNOWN_COSTS = ("perhaps paid", "tokens not reported", "no price")
"""Why nobody knows what an attempt has cost."""


def unknown_cost(maybe_paid: int, unreported: int, unpriced: int) -> str | None:
    """Return how many attempts have a cost that nobody knows, and why, in the words of every screen; None where there are none."""
    numbers = (maybe_paid, unreported, unpriced)
    why = ", ".join(f"{cause} {number:,}" for cause, number in zip(UNKNOWN_COSTS, numbers, strict=True) if number)
    return f"{of_unknown_cost(sum(numbers))} ({why})" if why else None


def of_unknown_cost(attempts: int) -> str:
    """Return ``of unknown cost: 8 attempts``."""
    return f"of unknown cost: {counted(attempts, 'attempt')}"


def duration(seconds: float) -> str:
    """Return a time span in its two largest units: ``3.2 s``, ``2 min 05 s``, ``1 h 20 min``."""
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    for size, unit, smaller, name in _SPANS:
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // smaller:02d} {name}"
    return f"{whole} s"


_SPANS = ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))


def clipped(text: str, most: int) -> str:
    """Return a text of at most so many characters; where that is not all of it, it ends in an ellipsis."""
    return text if len(text) <= most else text[: most - 1] + "…"


def percent(done: int, rows: int) -> str:
    """Return how far work is, rounded down. It never says 100 %: that a thing is finished, only its end can say."""
    return f"{min(done * 100 // rows, 99) if rows else 0} %"


def share(done: int, rows: int) -> str:
    """Return how much of the rows are done: ``all`` of them, or their percentage."""
    return "all" if rows and done >= rows else percent(done, rows)


def labelled(label: str, content: str) -> str:
    """Return a line of a screen: what it is about, then its content."""
    return f"  {label:<10} {content}"


def listed(numbers: Iterable[int], most: int = 5) -> str:
    """Return ``row 3``, ``rows 3, 4 and 7``, or the first few ``and 12 more``."""
    every = sorted(numbers)
    names = [str(number) for number in every[:most]]
    names += [f"{len(every) - most:,} more"] if len(every) > most else []
    together = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
    return f"row {together}" if len(every) == 1 else f"rows {together}"


def tally_of(counts: Mapping[str, int]) -> str:
    """Return ``media 8, rate_limit 4``: most frequent first, names made visible."""
    return ", ".join(f"{visible(name, 40)} {counts[name]:,}" for name in _ranked(counts))


def names_of(counts: Mapping[str, int]) -> str:
    """Return ``media, rate_limit``: the names that ``tally_of`` counts, in its order."""
    return ", ".join(visible(name, 40) for name in _ranked(counts))


def _ranked(counts: Mapping[str, int]) -> list[str]:
    return sorted(counts, key=lambda name: (-counts[name], name))


def awaiting(number: int, wait_s: float) -> str:
    """Return what a run that starts nothing new still waits for, and for how long at most."""
    if number <= 0:
        return "stopping"
    answers = "1 answer on its way" if number == 1 else f"{number:,} answers on their way"
    return f"stopping: waiting up to {wait_s:g} s for {answers}"


def tokens(usage: Usage, unknown: int = 0, noun: str = "row") -> str:
    """Return a line on token usage: input, cached part, output, reasoning part, total. What is not known says so.

    ``unknown`` rows, or whatever ``noun`` counts, were answered without a word on their tokens, which the figures therefore lack.
    """
    if usage == Usage():
        return "unknown"
    lacking = f" + {counted(unknown, noun)} unknown" if unknown else ""
    return (
        f"{figure(usage.input_tokens)} in{_part(usage.cached_tokens, 'cached', zero=True)} + "
        f"{figure(usage.output_tokens)} out{_part(usage.reasoning_tokens, 'reasoning', zero=False)} = {figure(usage.total_tokens)}{lacking}"
    )


def _part(number: int | None, name: str, *, zero: bool) -> str:
    if number is None:
        return f" ({name} unknown)"
    return f" ({number:,} {name})" if number or zero else ""
