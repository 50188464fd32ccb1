"""The short way to write ``output.fields``: a map of names to types.

::

    caption: string                      text
    width: int                           a whole number
    score: float?                        a number or null; `?` goes behind any type
    sharp: bool
    mood: enum[calm, loud, "a, b"]       one of these texts; quotes where one holds a comma, a bracket, a quote or `?`
    tags: list[string]                   a list; `[string]` says the same and needs no quotes inside `{ }`
    maker: {name: string, year: int?}    an object
    parts: [{name: string, price: float}]    a list of objects
    colour: {type: string, description: The colour of the roof.}

A map of exactly ``type`` and ``description`` is one field with a description for the model, unless that description is itself a type: then
it is an object with two fields of those names.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping

from pipeline.spec.columns import Column, Enum, FieldsError, FieldType, ListOf, Scalar, Struct, misfit
from pipeline.spec.paths import Path
from pipeline.wire.shape import Complaint, closest, shown

SCALARS: Mapping[str, Scalar] = {
    "string": Scalar("string"),
    "int": Scalar("int"),
    "float": Scalar("float"),
    "bool": Scalar("bool"),
}
TYPES = (*SCALARS, "enum[a, b]", "list[string]")
DEEPEST = 9
"""Levels below the fields; with the fields themselves as many as strict mode takes."""

_OTHER_NAMES = {
    "str": "string",
    "text": "string",
    "date": "string",
    "integer": "int",
    "number": "float",
    "double": "float",
    "boolean": "bool",
    "array": "list[string]",
    "list": "list[string]",
    "enum": "enum[a, b]",
}
_TOKEN = re.compile(r"""\s*("[^"]*"|'[^']*'|[][,?]|[^][,?"'\s]+(?:\s+[^][,?"'\s]+)*|["'])\s*""")
_MARKS = ("[", "]", ",", "?", '"', "'", "")


def read_struct(members: Mapping[object, object], path: Path = ()) -> Struct:
    """Return the object type that a map of names to types describes; raise ``FieldsError`` with every mistake in it."""
    if not members:
        raise misfit(path, "needs at least one field")
    if len(path) >= DEEPEST:
        raise misfit(path, f"lies more than {DEEPEST} levels deep")
    columns: list[Column] = []
    complaints: list[Complaint] = []
    for name, written in members.items():
        try:
            columns.append(_column(name, written, path))
        except FieldsError as error:
            complaints.extend(error.complaints)
    if complaints:
        raise FieldsError(complaints)
    return Struct(tuple(columns))


def _column(name: object, written: object, path: Path) -> Column:
    if not isinstance(name, str) or not name.isprintable() or not name or name != name.strip():
        raise misfit(path, f"{name!r} is no name for a field; a name is printable text without blanks around it")
    path = (*path, name)
    if _described(written):
        assert isinstance(written, Mapping)
        return Column(name, _type(written["type"], (*path, "type")), written["description"])
    return Column(name, _type(written, path))


def _described(written: object) -> bool:
    """Tell whether ``{type: …, description: …}`` means one field with a description, and not an object with these two fields."""
    if not isinstance(written, Mapping) or written.keys() != {"type", "description"}:
        return False
    description = written["description"]
    if not isinstance(description, str):
        return False
    try:
        _Reader(description, ()).whole()
    except FieldsError:
        return True
    return False


def _type(written: object, path: Path) -> FieldType:
    if isinstance(written, Mapping):
        return read_struct(written, path)
    if isinstance(written, list) and len(written) == 1:
        return ListOf(_type(written[0], (*path, 0)))
    if isinstance(written, str):
        return _Reader(written, path).whole()
    raise misfit(path, f"is not a type; types are {', '.join(TYPES)}, a map of fields, or a list of one type")


class _Reader:
    """Reads one type from its text, token by token."""

    def __init__(self, text: str, path: Path) -> None:
        self._text = text.strip()
        self._path = path
        self._tokens = deque(_TOKEN.findall(text))

    def whole(self) -> FieldType:
        """Return the type; raise ``FieldsError`` if there is none, or more than one."""
        found = self._one(len(self._path))
        if self._tokens:
            raise self._wrong(f"has {self._tokens[0]!r} behind the type")
        return found

    def _one(self, depth: int) -> FieldType:
        if depth > DEEPEST:
            raise self._wrong(f"lies more than {DEEPEST} levels deep")
        word = self._next()
        if word in SCALARS:
            return Scalar(SCALARS[word].kind, nullable=self._accept("?"))
        if word not in ("enum", "list") or not self._accept("["):
            raise self._unknown(word)
        if word == "list":
            item = self._one(depth + 1)
            self._close()
            return ListOf(item, nullable=self._accept("?"))
        return Enum(self._values(), nullable=self._accept("?"))

    def _values(self) -> tuple[str, ...]:
        values = [self._value()]
        while self._accept(","):
            values.append(self._value())
        self._close()
        if twice := sorted({value for value in values if values.count(value) > 1}):
            raise self._wrong(f"names {twice[0]!r} twice")
        return tuple(values)

    def _value(self) -> str:
        word = self._next()
        if word in _MARKS:
            raise self._wrong(
                "misses a value; put quotes around a value with a comma, a bracket, a quote or a question mark in it"
            )
        return word[1:-1] if word[0] in "\"'" else word

    def _next(self) -> str:
        return self._tokens.popleft() if self._tokens else ""

    def _accept(self, mark: str) -> bool:
        found = bool(self._tokens) and self._tokens[0] == mark
        if found:
            self._tokens.popleft()
        return found

    def _close(self) -> None:
        if not self._accept("]"):
            raise self._wrong("misses a ]")

    def _unknown(self, word: str) -> FieldsError:
        suggestion = _OTHER_NAMES.get(word.lower()) or closest(word, SCALARS)
        return self._wrong(f"is not a type; types are {', '.join(TYPES)}", suggestion)

    def _wrong(self, message: str, suggestion: str | None = None) -> FieldsError:
        return misfit(self._path, f"{shown(self._text)} {message}", suggestion)
