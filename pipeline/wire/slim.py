"""A reply without its pictures, for the journal."""

from __future__ import annotations

import re
from collections.abc import Mapping

# Where the model's own words stand, or what it needs to go on; never taken for a payload, whatever they look like.
_WORDS = frozenset({"text", "refusal", "arguments", "input", "content", "output_text", "encrypted_content"})
_DATA_URI = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w=.-]+)*;base64,", re.ASCII)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_NOTE = re.compile(r"\[\d+ characters removed\]", re.ASCII)
# Longer than any id, hash or token that a reply carries in plain sight.
_LONG = 1024


def slim(raw: Mapping[str, object]) -> dict[str, object]:
    """Return a copy of a decoded body in which base64 payloads are replaced by a note of their length. Once more changes nothing."""
    copy = {name: _slimmed(name, value) for name, value in raw.items()}
    if raw.get("type") == "image_generation_call" and isinstance(picture := raw.get("result"), str):
        copy["result"] = _noted(picture)
    return copy


def _slimmed(name: str, value: object) -> object:
    if isinstance(value, str):
        return _noted(value) if name not in _WORDS and _is_payload(value) else value
    if isinstance(value, list):
        return [_slimmed(name, member) for member in value]
    return slim(value) if isinstance(value, Mapping) else value


def _is_payload(text: str) -> bool:
    return _DATA_URI.match(text) is not None or (len(text) >= _LONG and _BASE64.fullmatch(text) is not None)


def _noted(text: str) -> str:
    uri = _DATA_URI.match(text)
    if _NOTE.fullmatch(text, uri.end() if uri else 0):
        return text
    return f"{uri.group() if uri else ''}[{len(text)} characters removed]"
