"""``output.fields``: the typed columns a job asks of the model, and how an answer is read into them.

Written in short form (``shorthand.py``) or as a raw JSON Schema: a map with ``$schema``, or with ``type: object`` and ``properties``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, cast

import jsonschema_rs
import orjson
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from pipeline.spec.columns import Column, Enum, FieldsError, FieldType, ListOf, Scalar, Struct, fit, misfit
from pipeline.spec.json_schema import columns_of, nodes, schema_of, strict_obstacles
from pipeline.spec.shorthand import TYPES, read_struct
from pipeline.wire.encode import strict_qualifies

__all__ = ["Column", "Enum", "FieldType", "Fields", "FieldsError", "ListOf", "Scalar", "Struct"]

_FENCE = re.compile(r"\A```[A-Za-z0-9]*[ \t]*\r?\n(?P<inside>.*?)\r?\n?```\Z", re.DOTALL)
_SHOWN_OBSTACLES = 3


class _Validator(Protocol):
    def iter_errors(self, instance: Any) -> Iterator[jsonschema_rs.ValidationError]: ...


@dataclass(frozen=True)
class Fields:
    """The columns of the answer. ``written`` is what the spec says, ``schema`` its JSON Schema.

    ``strict`` is false for a raw schema that strict mode does not take; ``warnings`` say why.
    """

    written: Mapping[str, Any] = field(hash=False)
    schema: dict[str, Any] = field(hash=False)
    columns: tuple[Column, ...]
    strict: bool = True
    warnings: tuple[str, ...] = ()

    @classmethod
    def parse(cls, value: object) -> Fields:
        """Read the spec's ``output.fields``; raise ``FieldsError`` with every mistake in it."""
        if not isinstance(value, Mapping):
            raise misfit((), f"must be a map of column names to types ({', '.join(TYPES)}), or a JSON Schema")
        if "$schema" in value or (value.get("type") == "object" and isinstance(value.get("properties"), Mapping)):
            return cls._from_schema(value)
        struct = read_struct(value)
        return cls(written=value, schema=schema_of(struct), columns=struct.fields)

    @classmethod
    def _from_schema(cls, schema: Mapping[str, Any]) -> Fields:
        for path, node in nodes(schema):
            if isinstance(reference := node.get("$ref"), str) and not reference.startswith("#"):
                raise misfit(
                    (*path, "$ref"), "points outside the schema; nothing is fetched, so bring that part in under $defs"
                )
        _compiled(dict(schema))
        columns = columns_of(schema)
        if not columns:
            raise misfit((), "the schema's root must be an object with properties; each property becomes a column")
        if strict_qualifies(sent := _without_dialect(schema)):
            return cls(schema, dict(schema), columns)
        return cls(schema, dict(schema), columns, strict=False, warnings=(_warning(strict_obstacles(sent)),))

    def text_format(self) -> dict[str, Any]:
        """Return what ``text.format`` of a request holds. Its name is the schema's title, as far as the API takes it."""
        title = re.sub(r"[^A-Za-z0-9_-]+", "_", str(self.schema.get("title", ""))).strip("_")[:64]
        return {
            "type": "json_schema",
            "name": title or "fields",
            "schema": _without_dialect(self.schema),
            "strict": self.strict,
        }

    def read(self, text: str) -> dict[str, object]:
        """Return the columns' values from an answer; raise ``FieldsError`` with a short reason if it does not fit.

        The answer is JSON, alone or inside one Markdown code fence (which models without structured output like to add); text before or
        behind it is not searched for JSON. Members that no column asks for are dropped where the schema allows them.
        """
        try:
            value = orjson.loads(_unfenced(text))
        except orjson.JSONDecodeError as error:
            reason = "is not JSON: " + str(error) if text.strip() else "is empty"
            raise misfit((), f"the answer {reason}") from error
        row = fit(Struct(self.columns), value)  # the types; the schema may ask for more, such as a pattern
        for misfitting in self._validator.iter_errors(value):
            raise misfit(tuple(misfitting.instance_path), misfitting.message)
        return cast("dict[str, object]", row)

    @cached_property
    def _validator(self) -> _Validator:
        return _compiled(self.schema)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, Fields) else cls.parse(value),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda fields: fields.written),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        types = " | ".join(TYPES)
        return {
            "type": "object",
            "minProperties": 1,
            "description": f"Column names to types ({types}, `?` = or null), or a JSON Schema.",
        }


def _unfenced(text: str) -> str:
    text = text.strip().removeprefix("\ufeff")
    fenced = _FENCE.match(text)
    return fenced["inside"] if fenced else text


def _without_dialect(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Leave ``$schema`` out: it tells us and editors which JSON Schema is meant, and providers take only one."""
    return {key: value for key, value in schema.items() if key != "$schema"}


def _warning(obstacles: list[str]) -> str:
    more = f" and {len(obstacles) - _SHOWN_OBSTACLES} more" if len(obstacles) > _SHOWN_OBSTACLES else ""
    reasons = ", ".join(obstacles[:_SHOWN_OBSTACLES]) + more
    return f"output.fields is sent with strict: false, so answers may not fit it: {reasons}"


def _compiled(schema: dict[str, Any]) -> _Validator:
    try:
        return jsonschema_rs.validator_for(schema, retriever=_refuse)
    except (jsonschema_rs.ValidationError, ValueError) as error:
        raise misfit(
            tuple(getattr(error, "instance_path", ())),
            f"is not a valid JSON Schema: {getattr(error, 'message', error)}",
        ) from error


def _refuse(uri: str) -> Any:
    """A schema is never fetched: a spec is data, and must mean the same tomorrow."""
    raise LookupError(uri)
