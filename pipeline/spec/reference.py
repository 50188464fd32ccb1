"""What can stand in a job spec, for editors (JSON Schema) and for readers (a table), both generated from the job's model.

``python -m pipeline.spec.reference > jobs/job.schema.json`` refreshes the schema file; with the argument ``estimate`` it writes that of an
estimate's spec, ``jobs/estimate.schema.json``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from pipeline.spec.comparison import Comparison
from pipeline.spec.fields import Fields
from pipeline.spec.group import Settings
from pipeline.spec.job import Job
from pipeline.spec.paths import Path, dotted
from pipeline.spec.settings import is_group, item_of, options, paths, settings_at

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_TYPES: dict[object, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    Decimal: "number",
    date: "day",
    bool: "true or false",
    Fields: "map of names to types, or JSON Schema",
}


SPECS: Mapping[str, type[Settings]] = {"job": Job, "estimate": Comparison}
"""The kinds of spec that there are."""


def schema(kind: str = "job") -> dict[str, Any]:
    """Return the JSON Schema of a kind of spec. Short forms are allowed wherever its model takes them."""
    spec = SPECS[kind]
    generated = spec.model_json_schema()
    definitions = {name: _titleless(node) for name, node in generated.pop("$defs").items()}
    for group in _groups(spec):
        if group.shorthand is not None:
            definitions[group.__name__] = _with_short_form(definitions[group.__name__], group.shorthand)
    whole = _titleless(generated)
    whole["properties"] = {"$schema": {"type": "string"}, **whole["properties"]}
    return {"$schema": DIALECT, "title": f"{kind.capitalize()} spec", **whole, "$defs": definitions}


def reference() -> list[tuple[str, str, str, str]]:
    """Return a row for every setting: its dotted key, what it takes, its default, and what it means.

    An item of a list is written ``[]``. The default is YAML, ``required`` where there is none, and empty where leaving it out means none.
    """
    return [_row(path) for path in paths()]


def _row(path: Path) -> tuple[str, str, str, str]:
    group = settings_at(path[:-1])
    assert group is not None  # every path ends in a setting of a group
    field = group.model_fields[str(path[-1])]
    return dotted(path).replace("[0]", "[]"), _type_words(field.annotation), _default(field), field.description or ""


def _type_words(annotation: Any) -> str:
    return " or ".join(dict.fromkeys(words for option in options(annotation) for words in _option_words(option)))


def _option_words(option: Any) -> Iterator[str]:
    if option is type(None):
        return
    if is_group(option):
        if option.shorthand is not None:
            yield _type_words(option.model_fields[option.shorthand].annotation)
        yield "map"
    elif get_origin(option) is Literal:
        yield "one of " + ", ".join(f"`{value}`" for value in get_args(option))
    elif get_origin(option) is list:
        item = item_of(option)
        yield "list of maps" if is_group(item) else f"list of {_type_words(item)}"
    elif get_origin(option) is dict:
        value = get_args(option)[1]
        yield "map" if value is Any else f"map to {_type_words(value)}"
    else:
        yield _TYPES[option]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.default
    return "" if default is None or default in ({}, [], "") or isinstance(default, Settings) else json.dumps(default)


def _groups(spec: type[Settings]) -> set[type[Settings]]:
    return {group for path in paths(spec) if (group := settings_at(path, spec)) is not None}


def _with_short_form(definition: dict[str, Any], shorthand: str) -> dict[str, Any]:
    short = {
        key: value
        for key, value in definition["properties"][shorthand].items()
        if key not in ("description", "default")
    }
    forms = [form for form in short.get("anyOf", [short]) if form != {"type": "null"}]
    description = definition.pop("description")
    return {"description": description, "anyOf": [*forms, definition]}


def _titleless(node: Any) -> Any:
    """Drop the titles that pydantic makes of names: an editor would show them in place of the description."""
    if isinstance(node, list):
        return [_titleless(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {key: _titleless(value) for key, value in node.items() if not (key == "title" and isinstance(value, str))}


def main() -> None:
    """Write the JSON Schema of the kind of spec that the first argument names, or of a job's, to standard output."""
    sys.stdout.write(json.dumps(schema(*sys.argv[1:2]), indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
