"""Which endpoint a request is for, and what it carries there."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from pipeline.simulator.connection import Exchange
from pipeline.simulator.dialects import Dialect
from pipeline.simulator.problems import RequestError

__all__ = ["PAID", "Work", "endpoint_of", "parse", "record_of"]

PAID = frozenset({"create", "compact"})
"""The endpoints where the model runs, so that the ledger has a record of each request."""

DEEPEST = 100


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
    """Of the body, or of the path where there is none."""
    text: str = ""
    images: int = 0

    @property
    def background(self) -> bool:
        """Whether the answer is to be fetched later."""
        return bool(self.body.get("background")) and self.dialect.stores

    def sign(self) -> None:
        """Take the request's digest."""
        self.digest = hashlib.sha256(self.exchange.body or self.exchange.path.encode()).digest()


def record_of(work: Work, outcome: str, status: int | None) -> dict[str, Any]:
    """The ledger's line for a request that was not executed; an execution overrides what it knows better."""
    return {
        "n": work.n,
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "dialect": work.dialect.name,
        "path": work.exchange.path,
        "body_sha256": work.digest.hex(),
        "request_text": work.text[:200],
        "images": work.images,
        "model": work.body.get("model"),
        "background": work.background,
        "outcome": outcome,
        "executed": False,
        "charged": False,
        "usage": None,
        "response_id": None,
        "status": status,
    }


def parse(work: Work) -> None:
    """Read the body of a request that must have one."""
    if work.endpoint not in _WITH_BODY:
        return
    try:
        body = orjson.loads(work.exchange.body)
    except orjson.JSONDecodeError as error:
        raise RequestError("We could not parse the JSON body of your request.") from error
    if not isinstance(body, dict):
        raise RequestError("Invalid body: expected an object.", code="invalid_type")
    if _may_be_deep(work.exchange.body) and _depth(body) > DEEPEST:
        raise RequestError(f"Invalid body: nested more than {DEEPEST} levels deep.", code="invalid_value")
    work.body = body
    work.text = " ".join([*_words(body.get("instructions")), *_words(body.get("input"))])


def _may_be_deep(raw: bytes) -> bool:
    """Whether there are enough brackets for it; that is cheaper to know than the depth, and nearly always all."""
    return raw.count(b"{") + raw.count(b"[") > DEEPEST


def _depth(node: Any) -> int:
    """How deep a value is nested, level by level: recursion would end where Python's does."""
    depth, level = 0, [node]
    while level:
        depth += 1
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
    return depth


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
    ("POST", re.compile(r"/responses/compact()\Z"), "compact", True),
    ("GET", re.compile(r"/responses/([^/]+)\Z"), "retrieve", True),
    ("DELETE", re.compile(r"/responses/([^/]+)\Z"), "delete", True),
    ("POST", re.compile(r"/responses/([^/]+)/cancel\Z"), "cancel", True),
    ("GET", re.compile(r"/responses/([^/]+)/input_items\Z"), "input_items", True),
    ("GET", re.compile(r"/models()\Z"), "models", False),
)
"""Method, path after the prefix, name, and whether only a dialect that stores responses has it."""


_WITH_BODY = frozenset({"create", "input_tokens", "compact"})


def endpoint_of(method: str, rest: str, dialect: Dialect) -> tuple[str, str]:
    """The endpoint's name and the id in its path."""
    for verb, pattern, name, needs_store in _ENDPOINTS:
        if verb == method and (dialect.stores or not needs_store):
            match = pattern.match(rest)
            if match:
                return name, match[1]
    return "unknown", ""
