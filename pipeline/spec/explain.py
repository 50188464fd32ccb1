"""Pydantic's findings as problems in plain words, each at its own place in the spec."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from pipeline.spec.fields import FieldsError
from pipeline.spec.group import PATTERNS, Settings
from pipeline.spec.job import Job
from pipeline.spec.paths import Path, dotted
from pipeline.spec.problems import Report
from pipeline.spec.request import ParameterErrors
from pipeline.spec.settings import ANY, paths, settings_at
from pipeline.spec.tree import Entries, nearest
from pipeline.wire.parameters import check_parameters
from pipeline.wire.shape import Complaint, closest, shown

_WRONG_TYPES: Mapping[str, str] = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "decimal_type": "a number",
    "decimal_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "dict_type": "a map",
    "model_type": "a map of settings",
    "model_attributes_type": "a map of settings",
}
"""What a value of another type should have been. A value of several possible types has one finding for each."""

_WORDS: Mapping[str, str] = {
    "missing": "is required",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "finite_number": "must be a finite number",
    "date_from_datetime_parsing": "must be a day, such as 2026-11-20",
    "decimal_max_digits": "must have {max_digits} or fewer digits",
    "string_too_short": "must have {min_length} or more characters",
    "string_too_long": "must have {max_length} or fewer characters",
    "too_short": "must have {min_length} or more items",
    "value_error": "{error}",
}
_A_SLIP = 0.85  # a letter or two of a name
_SHOWN_AT_ITS_VALUE = {*_WRONG_TYPES, *_WORDS, "literal_error", "string_pattern_mismatch"} - {"missing", "value_error"}


class Explainer:
    """Adds mistakes to a report, each once and at its own place, except where a value already has one (``spoiled``).

    ``spec`` is the model that the values were to fit.
    """

    def __init__(self, root: Entries, spoiled: Set[Path], report: Report, spec: type[Settings] = Job) -> None:
        self._spec = spec
        self._root = root
        self._report = report
        self._spoiled = spoiled
        self._holds_spoiled = {above for path in spoiled for above in _above(path)}

    def findings(self, error: ValidationError, values: Mapping[str, object]) -> None:
        """Add everything that pydantic found wrong with ``values``."""
        kinds_at: dict[Path, list[str]] = {}
        located = [(_path(details, values), details) for details in error.errors(include_url=False)]
        for path, details in located:
            kinds_at.setdefault(path, []).append(details["type"])
        further_up = {above for path in kinds_at for above in _above(path)}
        for path, details in located:
            if self._report.is_full:
                return
            if details["type"] in _WRONG_TYPES and path in further_up:
                continue  # one type that the value could have had; it has another one, with a mistake further down
            for complaint in _complaints(path, details, kinds_at[path], self._spec):
                self._add(complaint, details["type"])

    def complaints(self, complaints: Iterable[Complaint]) -> None:
        """Add complaints that name their own place."""
        for complaint in complaints:
            self._add(complaint, "value_error")

    def _add(self, complaint: Complaint, kind: str) -> None:
        path = complaint.path
        judges_a_group = kind == "value_error"
        if not self._spoiled.isdisjoint((path, *_above(path))) or (judges_a_group and path in self._holds_spoiled):
            return
        # What is missing stands nowhere, so the key of the group it is missing from is shown.
        key_place, value_place = nearest(self._root, path[:-1] if kind == "missing" else path)
        place = value_place if kind in _SHOWN_AT_ITS_VALUE else key_place
        self._report.add(path, complaint.message, place, complaint.suggestion)


def _above(path: Path) -> list[Path]:
    return [path[:length] for length in range(len(path))]


def _path(details: ErrorDetails, values: Mapping[str, object]) -> Path:
    """Return where in the spec pydantic's location is: without the names of union members, and not below a short form."""
    path: list[str | int] = []
    value: Any = values
    for key in details["loc"]:
        if _has(value, key):
            path.append(key)
            value = value[key]
    return (*path, details["loc"][-1]) if details["type"] == "missing" else tuple(path)


def _has(value: object, key: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(key, int) and key < len(value)
    return isinstance(value, Mapping) and key in value


def _complaints(path: Path, details: ErrorDetails, kinds: Sequence[str], spec: type[Settings]) -> Iterator[Complaint]:
    """Yield the complaints behind a finding; ``kinds`` are those of all findings about the same value."""
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    if isinstance(cause := context.get("error"), ParameterErrors | FieldsError):
        yield from (Complaint((*path, *each.path), each.message, each.suggestion) for each in cause.complaints)
    elif kind == "extra_forbidden":
        yield Complaint(path, "is not a setting here", _meant(path, value, spec))
    elif kind in _FINDERS:
        yield _FINDERS[kind](path, value, context)
    elif value is None and kind != "missing":
        yield Complaint(path, "is empty; give it a value, or leave the line out")
    elif kind in _WRONG_TYPES:
        yield Complaint(path, _wrong_type(value, kinds))
    else:
        words = _WORDS.get(kind) or details["msg"].replace("Input should", "must").replace("{", "{{").replace("}", "}}")
        yield Complaint(path, words.format_map(context))


def _wrong_type(value: object, kinds: Sequence[str]) -> str:
    wanted = dict.fromkeys(_WRONG_TYPES[kind] for kind in kinds if kind in _WRONG_TYPES)
    quotes = "; put quotes around it" if "text" in wanted and isinstance(value, int | float) else ""
    return f"must be {' or '.join(wanted)}, not {shown(value)}{quotes}"


def _choice(path: Path, value: object, context: Mapping[str, Any]) -> Complaint:
    choices = re.findall(r"'([^']*)'", context["expected"])
    return Complaint(path, f"must be one of {', '.join(choices)}, not {shown(value)}", closest(str(value), choices))


def _pattern(path: Path, value: object, context: Mapping[str, Any]) -> Complaint:
    return Complaint(path, f"{PATTERNS[context['pattern']]}, not {shown(value)}")


_FINDERS: Mapping[str, Callable[[Path, object, Mapping[str, Any]], Complaint]] = {
    "literal_error": _choice,
    "string_pattern_mismatch": _pattern,
}


def _meant(path: Path, value: object, spec: type[Settings]) -> str | None:
    """Return what an unknown key was meant to be: a neighbour but for a letter, a setting elsewhere, or a parameter of the request."""
    name = str(path[-1])
    group = settings_at(path[:-1], spec)
    if group is not None and (slip := _slip(name, value, group)) is not None:
        return slip
    elsewhere = [dotted(other) for other in paths(spec) if other[-1] == name and ANY not in other]
    if len(elsewhere) == 1:
        return elsewhere[0]
    if group is not None and (near := closest(name, group.model_fields)) is not None:
        return near
    return f"request.{name}" if "request" in spec.model_fields and not check_parameters({name: value}) else None


def _slip(name: str, value: object, group: type[Settings]) -> str | None:
    """Return the setting of a group that is spelled almost so and can have this value: `samples: 5`, but not `limits: 5`."""
    near = closest(name, group.model_fields, likeness=_A_SLIP)
    if near is None:
        return None
    annotation: Any = group.model_fields[near].annotation
    try:
        TypeAdapter(annotation).validate_python(value, strict=True)
    except ValidationError:
        return None
    return near
