"""Fills a JSON Schema with values that are valid, plausible and the same every time."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.simulator.evidence import Evidence
from pipeline.simulator.problems import RequestError

__all__ = ["Filler"]

SENTENCE_NAMES = re.compile(
    r"caption|descri|text|reason|summary|answer|comment|explan|rationale|content|note|title", re.IGNORECASE
)
SHARE_NAMES = re.compile(r"confidence|score|probab|certainty|share|ratio", re.IGNORECASE)
DEPTH = 8
"""From here on what may be left out is left out."""
DEEPEST = 40
STEADY = 7
"""How many of ten further answers stay with the first."""

WORDS = ("amber", "basalt", "cedar", "delta", "ember", "fjord", "grove", "harbor", "iris", "juniper", "kelp", "lagoon",
         "maple", "nectar", "onyx", "prairie", "quartz", "reef", "summit", "tundra")  # fmt: skip

FORMATS: Mapping[str, str] = {
    "date": "2026-01-15",
    "date-time": "2026-01-15T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "P1D",
    "email": "someone@example.com",
    "hostname": "example.com",
    "uri": "https://example.com/item",
    "uuid": "8c5f2f0e-6a3b-4c57-9a3e-1f2d3c4b5a69",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
}

# A pattern is met by the first of these that matches it: a generator for any pattern is not worth its weight here.
PATTERN_GUESSES = ("amber", "Amber", "AMBER", "A", "AB", "ABC", "AB12", "A-1", "1", "12", "123", "1234", "12345",
                   "2026-01-15", "12:00", "#a1b2c3", "a@example.com", "https://example.com/item", "+4930123456", "en",
                   "en-US", "1.0", "1.0.0", "amber_basalt", "amber-basalt", "a1b2c3d4", "")  # fmt: skip

# What Python raises when a schema's keyword holds something of the wrong type: a cheaper check than a metaschema.
_SENSELESS = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError, re.error)


class Draws:
    """Numbers that the question decides; where `repeat` is above 1, a vote may differ from the first one."""

    def __init__(self, digest: str, repeat: int) -> None:
        self._digest = digest
        self._repeat = repeat

    def draw(self, place: str, below: int) -> int:
        """A number the place and the question decide."""
        if below <= 1:
            return 0
        return int.from_bytes(hashlib.sha256(f"{self._digest}/{place}".encode()).digest()[:6], "big") % below

    def vote(self, place: str, below: int, first: int | None = None) -> int:
        """The same, or another one in three of ten repetitions."""
        first = self.draw(place, below) if first is None else first
        if self._repeat == 1 or below <= 1 or self.draw(f"{place}?{self._repeat}", 10) < STEADY:
            return first
        return (first + 1 + self.draw(f"{place}!{self._repeat}", below - 1)) % below


class Filler:
    """One answer's values: `sentence` for what is prose, choices by the digest of what was asked.

    `evidence` comes before both. A `repeat` above 1 is a further answer to the same question: each choice, number and
    truth value is that of the first one in seven of ten cases.
    """

    def __init__(
        self,
        root: Mapping[str, Any],
        sentence: str,
        asked: str,
        digest: str,
        *,
        evidence: Evidence | None = None,
        repeat: int = 1,
    ) -> None:
        self._evidence = evidence
        self._draws = Draws(digest, repeat)
        self._root = root
        self._sentence = sentence
        self._asked = asked.casefold()

    def fill(self) -> Any:
        """A value for the whole schema; one that makes no sense is HTTP 400."""
        try:
            return self._value(self._root, "", 0)
        except _SENSELESS as error:
            raise RequestError(f"Invalid schema: {error}", code="invalid_json_schema") from error

    def _value(self, schema: Any, place: str, depth: int) -> Any:
        if depth > DEEPEST:
            raise RecursionError("it requires itself without end")
        if not isinstance(schema, Mapping):
            return self._sentence
        schema = self._resolve(schema, depth)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            options = schema["enum"]
            named = next((index for index, option in enumerate(options) if _names(self._asked, option)), None)
            return options[self._draws.vote(f"enum{place}", len(options), named)]
        kind = self._kind(schema, place, depth)
        maker = _MAKERS.get(kind)
        return maker(self, schema, place, depth) if maker else None

    def _resolve(self, schema: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
        """Follow references, merge allOf, choose a branch of anyOf or oneOf."""
        for _ in range(32):
            if "$ref" in schema:
                target = _look_up(self._root, schema["$ref"])
                schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
            elif schema.get("allOf"):
                schema = _merged(schema)
            elif schema.get("anyOf") or schema.get("oneOf"):
                branch = self._branch(schema.get("anyOf") or schema["oneOf"], depth)
                rest = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf")}
                schema = {**rest, **branch}
            else:
                break
        return schema

    def _branch(self, given: Sequence[Any], depth: int) -> Mapping[str, Any]:
        options: list[Mapping[str, Any]] = [option for option in given if isinstance(option, Mapping)] or [{}]
        empty = [option for option in options if option.get("type") == "null"]
        full = [option for option in options if option.get("type") != "null"]
        if empty and (not full or depth >= DEPTH or self._draws.draw(f"null{options}", 8) == 0):
            return empty[0]
        return full[self._draws.draw(f"any{options}", len(full))] if depth < DEPTH else full[-1]

    def _kind(self, schema: Mapping[str, Any], place: str, depth: int) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            full = [name for name in kind if name != "null"]
            if not full or ("null" in kind and (depth >= DEPTH or self._draws.draw(f"null{place}", 8) == 0)):
                return "null"
            return str(full[0])
        if kind is None:
            return "object" if "properties" in schema else "array" if "items" in schema else "string"
        return str(kind)

    def _string(self, schema: Mapping[str, Any], place: str, depth: int) -> str:  # noqa: ARG002 - one signature for all makers
        name = _name(place)
        told = self._evidence.string(name) if self._evidence else None
        if "pattern" in schema:
            guesses = PATTERN_GUESSES if told is None else (told, *PATTERN_GUESSES)
            return next((guess for guess in guesses if re.search(schema["pattern"], guess)), WORDS[0])
        if schema.get("format") in FORMATS:
            return FORMATS[schema["format"]]
        is_prose = not name or SENTENCE_NAMES.search(name)
        text = told or (self._sentence if is_prose else WORDS[self._draws.draw(place, len(WORDS))])
        low, high = schema.get("minLength") or 0, schema.get("maxLength")
        if len(text) < low:
            text = (text + " " + self._sentence * low)[:low]
        return text if high is None else text[:high]

    def _number(self, schema: Mapping[str, Any], place: str, depth: int) -> float:  # noqa: ARG002
        low, high = _bounds(schema, share=bool(SHARE_NAMES.search(_name(place))))
        step = schema.get("multipleOf")
        told = _told(self._evidence, place, schema)
        if told is not None:
            return told
        if step:
            first = -(-low // step)
            return float(step * (first + self._draws.vote(place, int(high // step - first) + 1)))
        value = round(low + (high - low) * (1 + self._draws.vote(place, 98)) / 100, 4)
        return min(max(value, low), high)

    def _integer(self, schema: Mapping[str, Any], place: str, depth: int) -> int:  # noqa: ARG002
        told = _told(self._evidence, place, schema)
        if told is not None and told == int(told):
            return int(told)
        step = int(schema.get("multipleOf") or 1)
        low, high = _bounds({"maximum": 10, **schema} if _open_above(schema) else schema, share=False)
        low += "exclusiveMinimum" in schema and low == int(low)
        high -= "exclusiveMaximum" in schema and high == int(high)
        first = -(-int(-(-low // 1)) // step)
        return step * (first + self._draws.vote(place, max(1, int(high // step) - first + 1)))

    def _array(self, schema: Mapping[str, Any], place: str, depth: int) -> list[Any]:
        low, high = schema.get("minItems") or 0, schema.get("maxItems")
        wanted = low if depth >= DEPTH else max(low, 1 + self._draws.draw(place, 3))
        wanted = wanted if high is None else min(wanted, high)
        found: list[Any] = []
        for index in range(wanted * (4 if schema.get("uniqueItems") else 1)):
            value = self._value(schema.get("items", {"type": "string"}), f"{place}[{index}]", depth + 1)
            if len(found) < wanted and not (schema.get("uniqueItems") and value in found):
                found.append(value)
        return found

    def _object(self, schema: Mapping[str, Any], place: str, depth: int) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        required = schema.get("required") or ()
        names = list(properties) if depth < DEPTH else [name for name in properties if name in required]
        names += [name for name in required if name not in properties]
        values = {name: self._value(properties.get(name, {}), f"{place}.{name}", depth + 1) for name in names}
        extra = schema.get("additionalProperties")
        if not properties and isinstance(extra, Mapping):
            values[WORDS[self._draws.draw(place, len(WORDS))]] = self._value(extra, f"{place}.*", depth + 1)
        return values


_MAKERS: Mapping[str, Callable[[Filler, Mapping[str, Any], str, int], Any]] = {
    "string": Filler._string,
    "number": Filler._number,
    "integer": Filler._integer,
    "boolean": lambda filler, _schema, place, _depth: filler._draws.vote(place, 2) == 1,
    "array": Filler._array,
    "object": Filler._object,
}


def _name(place: str) -> str:
    """The property's name; a member of an array has that of the array."""
    return place.rpartition(".")[2].partition("[")[0]


def _told(evidence: Evidence | None, place: str, schema: Mapping[str, Any]) -> float | None:
    """The number the evidence gives, where the schema allows it."""
    told = evidence.number(_name(place)) if evidence else None
    if told is None or not math.isfinite(told):
        return None
    fits = (
        told >= schema.get("minimum", told)
        and told <= schema.get("maximum", told)
        and ("exclusiveMinimum" not in schema or told > schema["exclusiveMinimum"])
        and ("exclusiveMaximum" not in schema or told < schema["exclusiveMaximum"])
        and told % (schema.get("multipleOf") or told or 1) == 0
    )
    return told if fits else None


def _names(asked: str, option: Any) -> bool:
    """Whether the question itself names the option."""
    return isinstance(option, str) and bool(option and re.search(rf"\b{re.escape(option.casefold())}\b", asked))


def _look_up(root: Mapping[str, Any], reference: str) -> Mapping[str, Any]:
    node: Any = root
    for step in reference.lstrip("#").strip("/").split("/"):
        if step:
            node = node.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(node, Mapping) else {}
    return node if isinstance(node, Mapping) else {}


def _merged(schema: Mapping[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
    for member in schema["allOf"]:
        for key, value in member.items():
            if key == "properties":
                merged[key] = {**merged.get(key, {}), **value}
            elif key == "required":
                merged[key] = [*merged.get(key, ()), *value]
            else:
                merged.setdefault(key, value)
    return merged


def _open_above(schema: Mapping[str, Any]) -> bool:
    return all(name not in schema for name in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"))


def _bounds(schema: Mapping[str, Any], *, share: bool) -> tuple[float, float]:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    span = 1 if share else 100
    if low is None:
        low = 0 if high is None or high >= 0 else high - span
    return low, max(low, low + span if high is None else high)
