"""What a function's docstring says: its running text, and a description of each parameter."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from textwrap import dedent
from typing import NamedTuple

_PARAMETER_HEADINGS = frozenset(
    {"args", "arguments", "parameters", "params", "keyword args", "keyword arguments", "other parameters"}
)
_OTHER_HEADINGS = frozenset(
    {"returns", "return", "yields", "raises", "warns", "examples", "example", "notes", "note", "see also", "references"}
)
_UNDERLINE = re.compile(r"-{3,}\s*")
_GOOGLE_ENTRY = re.compile(r"(?P<names>\w+)\s*(?:\(.*?\))?\s*:\s*(?P<text>.*)")
_NUMPY_ENTRY = re.compile(r"(?P<names>\w+(?:\s*,\s*\w+)*)\s*(?::.*)?(?P<text>)")
_REST_FIELD = re.compile(r":(?P<kind>\w+)\b(?:[^:]*?(?P<name>\w+))?:(?P<text>.*)")
_REST_PARAMETERS = frozenset({"param", "parameter", "arg", "argument", "key", "keyword"})
_REST_OTHERS = frozenset({"type", "return", "returns", "rtype", "raise", "raises"})


class Documentation(NamedTuple):
    """A docstring's running text, and what it says of each parameter."""

    text: str
    parameters: Mapping[str, str]


class _Section(NamedTuple):
    """A part of a docstring. ``entry`` says how its parameters are written, if it has any; the opening has no title."""

    title: str
    lines: list[str]
    entry: re.Pattern[str] | None = None
    indented: bool = False  # it ends where the indentation does


def documentation_of(function: Callable[..., object]) -> Documentation:
    """Return what a function's docstring says; parameters are described in Google's, NumPy's or reST's way."""
    text: list[str] = []
    parameters: dict[str, str] = {}
    for section in _sections((inspect.getdoc(function) or "").splitlines()):
        if not section.title:
            text += section.lines
        elif section.entry:
            parameters |= _entries(dedent("\n".join(section.lines)).splitlines(), section.entry)
    return Documentation(re.sub(r"\n{3,}", "\n\n", "\n".join(text)).strip(), parameters)


def _sections(lines: list[str]) -> Iterator[_Section]:
    section = _Section("", [])
    for line, below in pairwise([*lines, ""]):
        if started := _started(line, below):
            yield section
            section = started
        elif section.indented and line and not line[0].isspace():
            yield section
            section = _Section("", [line])
        elif not _UNDERLINE.fullmatch(line):
            section.lines.append(line)
    yield section


def _started(line: str, below: str) -> _Section | None:
    """Return the section that a line opens, or None."""
    field = _REST_FIELD.fullmatch(line)
    if field and field["kind"] in _REST_PARAMETERS | _REST_OTHERS:
        entry = _GOOGLE_ENTRY if field["kind"] in _REST_PARAMETERS else None
        return _Section(field["kind"], [f"{field['name']}: {field['text']}"], entry, indented=True)
    underlined = _UNDERLINE.fullmatch(below) is not None
    title = line.rstrip().lower().removesuffix("" if underlined else ":")
    if title not in _PARAMETER_HEADINGS | _OTHER_HEADINGS or not (underlined or line.rstrip().endswith(":")):
        return None
    entry = (_NUMPY_ENTRY if underlined else _GOOGLE_ENTRY) if title in _PARAMETER_HEADINGS else None
    return _Section(title, [], entry, indented=not underlined)


def _entries(lines: list[str], entry: re.Pattern[str]) -> dict[str, str]:
    """Return the text of each parameter; what is indented goes on with the entry above it."""
    found: dict[str, list[str]] = {}
    names: list[str] = []
    for line in lines:
        text = line.strip()
        if line and not line[0].isspace():
            match = entry.fullmatch(line)
            names = re.findall(r"\w+", match["names"]) if match else []
            text = match["text"] if match else ""
        for name in names:
            found.setdefault(name, []).append(text)
    return {name: " ".join(filter(None, texts)) for name, texts in found.items()}
