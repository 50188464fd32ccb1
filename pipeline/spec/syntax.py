"""The text of a spec, in any of its three formats, to a tree."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Literal, NoReturn

from pipeline.spec.compose import compose
from pipeline.spec.paths import Path
from pipeline.spec.problems import Report
from pipeline.spec.tree import DEEPEST, NOWHERE, Entries, Node, Place, planted

Format = Literal["yaml", "json", "toml"]
LARGEST = 1_000_000
"""Bytes of a spec, at most."""

_TOO_DEEP = f"is nested more than {DEEPEST} levels deep"
_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ESCAPED_PAIR = re.compile(r"(?<!\\)((?:\\\\)*)(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})")


def read(text: str, format_: Format, report: Report) -> Entries:
    """Return the tree of a spec's text. Mistakes go into ``report``; raises ``SpecError`` where no tree can be made."""
    if (unwanted := _CONTROL.search(text)) is not None:
        raise report.fatal(
            f"holds the character U+{ord(unwanted[0]):04X}, which is not text", _at(text, unwanted.start())
        )
    if len(text.encode()) > LARGEST:
        raise report.fatal(f"is larger than {LARGEST:,} bytes; data belongs into the input")
    root = _READERS[format_](text, report)
    if not isinstance(root, Entries):
        raise report.fatal("is empty" if root is None else "must be a map of settings", root.place if root else NOWHERE)
    return root


def _json(text: str, report: Report) -> Node | None:
    """JSON is read as the YAML it is, once it is known to be JSON."""
    try:
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise report.fatal(
            f"is not JSON: {error.msg[:1].lower()}{error.msg[1:]}", Place(error.lineno, error.colno)
        ) from error
    except ValueError as error:
        raise report.fatal(f"is not JSON: {error}") from error
    except RecursionError as error:
        raise report.fatal(_TOO_DEEP) from error
    # YAML has no surrogate pairs; this is how JSON writers put an emoji into ASCII.
    return compose(_ESCAPED_PAIR.sub(lambda pair: pair[1] + json.loads(f'"{pair[2]}"'), text), report)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _toml(text: str, report: Report) -> Node:
    places = _toml_places(text)
    try:
        return planted(tomllib.loads(text), lambda path: _nearest(path, places))
    except tomllib.TOMLDecodeError as error:
        message, _, place = str(error).partition(" (at ")
        line, column = [int(number) for number in re.findall(r"\d+", place)] or (text.count("\n") + 1, 1)
        raise report.fatal(f"is not TOML: {message[:1].lower()}{message[1:]}", Place(line, column)) from error
    except ValueError as error:
        raise report.fatal(f"is not TOML that can be read: {error}") from error
    except RecursionError as error:
        raise report.fatal(_TOO_DEEP) from error


_READERS: dict[Format, Callable[[str, Report], Node | None]] = {"yaml": compose, "json": _json, "toml": _toml}

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(#.*)?")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_KEY_PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")


def _toml_places(text: str) -> dict[Path, Place]:
    """Find where TOML's keys stand, as well as can be told line by line: its parser does not say."""
    places: dict[Path, Place] = {}
    table: Path = ()
    tables: dict[Path, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if header := _HEADER.fullmatch(line):
            table = _parts(header[2])
            places.setdefault(table, Place(number, header.start(1) + 1))
            if header[1] == "[[":
                tables[table] = tables.get(table, -1) + 1
                table = (*table, tables[table])
            places.setdefault(table, Place(number, header.start(1) + 1))
        elif key := _KEY.match(line):
            places.setdefault((*table, *_parts(key[1])), Place(number, key.start(1) + 1))
    return places


def _nearest(path: Path, places: Mapping[Path, Place]) -> Place:
    above = (path[:length] for length in range(len(path), 0, -1))
    return next((places[known] for known in above if known in places), NOWHERE)


def _parts(key: str) -> Path:
    return tuple(part.strip("\"'") for part in _KEY_PART.findall(key))


def _at(text: str, offset: int) -> Place:
    before = text[:offset]
    return Place(before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)
