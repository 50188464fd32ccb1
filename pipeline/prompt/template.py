"""Strict text templates over the columns of a row.

The language is Jinja's common subset (minijinja): ``{{ column }}``, ``{{ row["a name with spaces"] }}``, filters, ``if`` and ``for``. A
template sees the row and nothing else, its work is bounded by fuel, and cells are values: text in a cell is never a template again.

Nulls. A null may be tested (``{% if x is none %}``, ``{{ x or "none" }}``), but where it would become text, ``NullCell`` is raised, or
with ``on_null: empty`` nothing is written. It is never the word "None".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from minijinja import Environment, TemplateError

from pipeline.errors import NullCell, Problem, PromptError, RowError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FUEL = 1_000_000  # steps; a long few-shot loop takes some thousands, a runaway template stops within a second
# Of the language. Where they are not called, they are columns like any other name.
FUNCTIONS = ("cycler", "dict", "joiner", "namespace", "range")
# What a list's or dict's methods raise when a template misuses them, and whatever is called that is no function.
_MISUSES = (AttributeError, LookupError, TypeError, ValueError)
MARKS = ("{{", "{%", "{#")
_BY_NAME = re.compile(r"""\brow\s*\[\s*(?:"([^"]+)"|'([^']+)')\s*\]""")
_SOLE = re.compile(r"""\s*\{\{\s*(?:([A-Za-z_]\w*)|row\s*\[\s*(?:"([^"]+)"|'([^']+)')\s*\])\s*\}\}\s*""")


class _NoText:
    """A value that has no text: a null or bytes. It notes when a template tries to write it; templates see no attribute of it."""

    __slots__ = ("_refusal", "_refused")

    def __init__(self, refusal: RowError, refused: list[RowError]) -> None:
        self._refusal = refusal
        self._refused = refused

    def __str__(self) -> str:
        self._refused.append(self._refusal)
        return ""

    __repr__ = __str__


class _Null(_NoText):
    __slots__ = ()

    def __bool__(self) -> bool:
        return False


class _Bytes(_NoText):
    __slots__ = ()


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
            undefined_behavior="strict",
            fuel=FUEL,
            pycompat=False,
            debug=False,
            keep_trailing_newline=True,
            auto_escape_callback=_never,
        )
        self._environment.add_test("none", lambda value: value is None or isinstance(value, _Null))
        for name in ("default", "d"):
            self._environment.add_filter(name, _default)
        self._environment.remove_global("debug")  # it would write out more than the row
        self._null_is_empty = null_is_empty
        self.columns: dict[str, set[str]] = {}

    def add(self, place: str, source: str) -> None:
        """Compile a template; raises ``PromptError`` with the template's own line when it is no template."""
        try:
            self._environment.add_template(place, source)
            self.columns[place] = self._used(place, source)
        except TemplateError as error:
            raise PromptError(error.message) from error

    def _used(self, place: str, source: str) -> set[str]:
        names: dict[str, str] = {}

        def as_member(found: re.Match[str]) -> str:
            member = f"__{len(names)}"
            names[member] = found[1] or found[2]
            return f"row.{member}"

        # The compiler tells the members of `row` that are written with a dot, so those in brackets are written so for it.
        seen = self._environment.undeclared_variables_in_str(_BY_NAME.sub(as_member, source), nested=True)
        if "row" in seen:
            raise PromptError(
                f'{place}: name the columns of the row, as in {{{{ title }}}} or {{{{ row["a title"] }}}}'
            )
        columns = {name.removeprefix("row.").partition(".")[0] for name in seen}
        functions = {name for name in FUNCTIONS if re.search(rf"\b{name}\s*\(", source)}
        return {names.get(column, column) for column in columns - functions}

    def render(self, place: str, context: Context) -> str:
        """Return the text of a template for a row. Raises ``NullCell`` or ``PromptError``."""
        try:
            text = self._environment.render_template(place, **context.values)
        except TemplateError as error:
            message = error.message.replace("plain object", "null or bytes")
            raise PromptError(message, problems=[Problem(place, message)]) from error
        except _MISUSES as error:
            raise PromptError(f"{place}: {error}", problems=[Problem(place, str(error))]) from error
        context.refuse_textless(null_is_empty=self._null_is_empty)
        return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


class Context:
    """A row's cells as templates may see them: texts, numbers, lists and maps; dates and decimals as their exact text."""

    __slots__ = ("_refused", "values")

    def __init__(self, cells: Mapping[str, object], names: Iterable[str]) -> None:
        self._refused: list[RowError] = []
        self.values: dict[str, object] = {name: self._seen(cells[name], name) for name in names}
        self.values["row"] = dict(self.values)

    def _seen(self, value: object, name: str) -> object:
        if isinstance(value, str | int | float):
            return value
        if value is None:
            return _Null(NullCell(name), self._refused)
        if isinstance(value, bytes | bytearray | memoryview):
            refusal = PromptError(f"column {name!r} holds bytes, which are no text; use it as an image part")
            return _Bytes(refusal, self._refused)
        if isinstance(value, dict):
            return {key: self._seen(item, f"{name}.{key}") for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._seen(item, f"{name}[{index}]") for index, item in enumerate(value)]
        # Objects have methods, which a template must not reach; and a Decimal would become a float: 1.10 the number 1.1.
        return str(value)

    def refuse_textless(self, *, null_is_empty: bool) -> None:
        """Raise for the first cell without text that was written, and forget what was written."""
        refused = [*self._refused]
        self._refused.clear()
        for refusal in refused:
            if not (null_is_empty and isinstance(refusal, NullCell)):
                raise refusal


def _never(_place: str) -> bool:
    """Escape nothing: a place in a spec that ends in ``.html`` or ``.json`` is no file of that kind."""
    return False


def _default(value: object, other: object = "", boolean: object = False) -> object:
    lacking = value is None or isinstance(value, _Null) or (boolean and not value)
    return other if lacking else value
