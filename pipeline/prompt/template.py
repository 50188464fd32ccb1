"""Strict text templates over the columns of a row.

The language is Jinja's common subset (minijinja): ``{{ column }}``, ``{{ row["a name with spaces"] }}``, filters, ``if`` and ``for``. A
template sees the row and nothing else, its work is bounded by fuel, and cells are values: text in a cell is never a template again.

Nulls. A null may be tested (``{% if x is none %}``, ``{{ x or "none" }}``), but where it would become text, ``NullCell`` is raised, or
with ``on_null: empty`` nothing is written. It is never the word "None".
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

from minijinja import Environment, TemplateError

from pipeline.errors import NullCell, PromptError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FUEL = 1_000_000  # steps; a long few-shot loop takes some thousands, a runaway template stops within a second
MARKS = ("{{", "{%", "{#")
_BY_NAME = re.compile(r"""\brow\s*\[\s*(?:"([^"]+)"|'([^']+)')\s*\]""")
_SOLE = re.compile(r"""\s*\{\{\s*(?:([A-Za-z_]\w*)|row\s*\[\s*(?:"([^"]+)"|'([^']+)')\s*\])\s*\}\}\s*""")


class _NoText:
    """A value that has no text: a null or bytes. It notes that a template tried to write it."""

    __slots__ = ("column", "touched")

    def __init__(self, column: str) -> None:
        self.column = column
        self.touched = False

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        self.touched = True
        return ""

    __repr__ = __str__


class _Null(_NoText):
    __slots__ = ()


class _Bytes(_NoText):
    __slots__ = ()

    def __bool__(self) -> bool:
        return True


def is_template(text: str) -> bool:
    """Tell whether a text has anything to render."""
    return any(mark in text for mark in MARKS)


def sole_column(text: str) -> str | None:
    """Return the column of a template that is nothing but ``{{ column }}``: such a value keeps its type."""
    found = _SOLE.fullmatch(text)
    return next(name for name in found.groups() if name) if found else None


class Templates:
    """The compiled templates of a job, by the place in the spec where each stands; all are compiled before the first row."""

    def __init__(self, *, null_is_empty: bool = False) -> None:
        self._environment = Environment(
            undefined_behavior="strict", fuel=FUEL, pycompat=False, debug=False, keep_trailing_newline=True
        )
        self._environment.add_test("none", lambda value: value is None or isinstance(value, _Null))
        self._environment.add_filter("default", _default)
        self._null_is_empty = null_is_empty
        self.columns: dict[str, set[str]] = {}

    def add(self, place: str, source: str) -> None:
        """Compile a template; raises ``PromptError`` with the template's own line when it is no template."""
        try:
            self._environment.add_template(place, source)
            self.columns[place] = self._used(place, source)
        except TemplateError as error:
            raise PromptError(f"{place}: {error}") from error

    def _used(self, place: str, source: str) -> set[str]:
        names = set(self._environment.undeclared_variables_in_template(place))
        if "row" in names:
            dotted = self._environment.undeclared_variables_in_template(place, nested=True)
            names |= {name.removeprefix("row.").split(".")[0] for name in dotted if name.startswith("row.")}
            names |= {next(filter(None, found)) for found in _BY_NAME.findall(source)}
            names.discard("row")
        return names - {"range", "dict", "namespace", "debug"}

    def render(self, place: str, context: Context) -> str:
        """Return the text of a template for a row. Raises ``NullCell`` or ``PromptError``."""
        try:
            text = self._environment.render_template(place, **context.values)
        except TemplateError as error:
            raise PromptError(f"{place}: {error}") from error
        context.refuse_textless(null_is_empty=self._null_is_empty)
        return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


class Context:
    """A row's cells as templates may see them."""

    __slots__ = ("_textless", "values")

    def __init__(self, cells: Mapping[str, object], names: Iterable[str]) -> None:
        self._textless: list[_NoText] = []
        self.values: dict[str, object] = {name: self._seen(cells[name], name) for name in names}
        self.values["row"] = dict(self.values)

    def _seen(self, value: object, name: str) -> object:
        if isinstance(value, str | int | float):
            return value
        if value is None or isinstance(value, bytes | memoryview):
            textless = _Null(name) if value is None else _Bytes(name)
            self._textless.append(textless)
            return textless
        if isinstance(value, Decimal):
            return str(value)  # minijinja would turn it into a float: 1.10 into 1.1
        if isinstance(value, dict):
            return {key: self._seen(item, f"{name}.{key}") for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._seen(item, f"{name}[{index}]") for index, item in enumerate(value)]
        return value

    def refuse_textless(self, *, null_is_empty: bool) -> None:
        """Raise for the first cell without text that was written, and forget what was written."""
        for value in self._textless:
            if value.touched:
                value.touched = False
                if isinstance(value, _Bytes):
                    raise PromptError(
                        f"column {value.column!r} holds bytes, which are no text; use it as an image part"
                    )
                if not null_is_empty:
                    raise NullCell(value.column)


def _default(value: object, other: object = "") -> object:
    return other if value is None or isinstance(value, _Null) else value
