"""Which endpoint a request is for, and what it carries there."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any

import orjson

from pipeline.simulator.connection import Exchange
from pipeline.simulator.dialects import Dialect
from pipeline.simulator.problems import RequestError

__all__ = ["Work", "endpoint_of", "parse"]


@dataclass(slots=True)
class Work:
    """One request on its way through the provider."""

    exchange: Exchange
    dialect: Dialect
    endpoint: str
    target: str
    n: int
    begun: float
    body: dict[str, Any] = field(default_factory=dict)
    digest: bytes = b""
    text: str = ""
    images: int = 0


def parse(work: Work) -> None:
    """The body as JSON, with its digest and its words."""
    work.digest = hashlib.sha256(work.exchange.body).digest()
    try:
        body = orjson.loads(work.exchange.body)
    except orjson.JSONDecodeError as error:
        raise RequestError("We could not parse the JSON body of your request.") from error
    if not isinstance(body, dict):
        raise RequestError("Invalid body: expected an object.", code="invalid_type")
    work.body = body
    work.text = " ".join(_words(body.get("instructions"))) + " ".join(_words(body.get("input")))


def _words(node: Any) -> list[str]:
    """The words of an input not yet checked: every string, and every `text` or `content` within."""
    if isinstance(node, str):
        return [node]
    if isinstance(node, list):
        return [word for member in node for word in _words(member)]
    if isinstance(node, dict):
        return [word for key in ("text", "content", "output") if key in node for word in _words(node[key])]
    return []


_ENDPOINTS: tuple[tuple[str, re.Pattern[str], str, bool], ...] = (
    ("POST", re.compile(r"/responses()\Z"), "create", False),
    ("POST", re.compile(r"/responses/input_tokens()\Z"), "input_tokens", True),
    ("GET", re.compile(r"/responses/([^/]+)\Z"), "retrieve", True),
    ("DELETE", re.compile(r"/responses/([^/]+)\Z"), "delete", True),
    ("POST", re.compile(r"/responses/([^/]+)/cancel\Z"), "cancel", True),
    ("GET", re.compile(r"/responses/([^/]+)/input_items\Z"), "input_items", True),
    ("GET", re.compile(r"/models()\Z"), "models", False),
)
"""Method, path after the prefix, name, and whether only a dialect that stores responses has it."""


def endpoint_of(method: str, rest: str, dialect: Dialect) -> tuple[str, str]:
    """The endpoint's name and the id in its path."""
    for verb, pattern, name, needs_store in _ENDPOINTS:
        if verb == method and (dialect.stores or not needs_store):
            match = pattern.match(rest)
            if match:
                return name, match[1]
    return "unknown", ""
