"""The mistakes of one spec, gathered until all are known."""

from __future__ import annotations

import re

from pipeline.errors import Problem, SpecError
from pipeline.spec.paths import Path, dotted
from pipeline.spec.secrecy import masked
from pipeline.spec.tree import NOWHERE, Place

_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # what YAML counts as one
_WIDEST_EXCERPT = 160
_LONGEST_KEY = 400
MOST_PROBLEMS = 100
"""A report with more is cut off: nobody reads on, and a hostile spec can hold a hundred thousand."""


class Report:
    """Gathers problems. What looks like a key is masked, and control characters never reach a terminal."""

    def __init__(self, text: str, source: str) -> None:
        self._lines = _LINE_BREAK.split(text)
        self._source = source
        self._problems: dict[Problem, None] = {}  # a set that keeps its order

    def problem(self, path: Path, message: str, place: Place = NOWHERE, suggestion: str | None = None) -> Problem:
        """Return a mistake in the setting at ``path`` as a problem, without noting it."""
        where = dotted(path)
        if place.option is not None:
            message = message if _same(where, place.option) else f"{where} {message}"
            where = f"--set {place.option}"
        return Problem(
            _harmless(where),
            _harmless(message.strip()),
            place.line,
            place.column,
            self._excerpt(place),
            suggestion and _harmless(suggestion),
        )

    def add(self, path: Path, message: str, place: Place = NOWHERE, suggestion: str | None = None) -> None:
        """Note a mistake in the setting at ``path``, once, as long as there is room."""
        if self.is_full:
            return
        self._problems[self.problem(path, message, place, suggestion)] = None

    def fatal(self, message: str, place: Place = NOWHERE, path: Path = ()) -> SpecError:
        """Return the error for a mistake that hides all that come after it."""
        self.add(path, message, place)
        return self.error()

    def error(self) -> SpecError:
        """Return everything noted so far as one error, in the order of the file; what stands in no line comes last."""
        more = [Problem("", f"only the first {MOST_PROBLEMS} mistakes are shown")] if self.is_full else []
        ordered = sorted(
            self._problems, key=lambda problem: (problem.line is None, problem.line or 0, problem.column or 0)
        )
        return SpecError([*ordered, *more], source=self._source)

    @property
    def is_full(self) -> bool:
        """True when nothing more is noted."""
        return len(self._problems) >= MOST_PROBLEMS

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What was noted so far."""
        return tuple(self._problems)

    def _excerpt(self, place: Place) -> str | None:
        if place.line is None or place.line > len(self._lines):
            return None
        if (place.column or 1) > _WIDEST_EXCERPT:
            return None
        line = _harmless(self._lines[place.line - 1][: _WIDEST_EXCERPT + _LONGEST_KEY])
        return line if len(line) <= _WIDEST_EXCERPT else line[: _WIDEST_EXCERPT - 1] + "…"


def _same(where: str, option: str) -> bool:
    return where.replace("[", ".").replace("]", "") == option


def _harmless(text: str) -> str:
    return "".join(
        char if char.isprintable() else " " if char.isspace() else "\N{REPLACEMENT CHARACTER}" for char in masked(text)
    )
