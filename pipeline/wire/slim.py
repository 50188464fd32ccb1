"""A reply without its pictures, for the journal."""

from __future__ import annotations

import re
from collections.abc import Mapping

# Where the model's own words stand, or what it needs to go on; never taken for a payload, whatever they look like.
_WORDS = frozenset({"text", "refusal", "arguments", "input", "content", "output_text", "encrypted_content"})
_DATA_URI = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w=.-]+)*;base64,", re.ASCII)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_BASE64_BYTES = re.compile(_BASE64.pattern.encode())
_NOTE = re.compile(r"\[\d+ characters removed\]", re.ASCII)
# Longer than any id, hash or token that a reply carries in plain sight.
_LONG = 1024


def slim(raw: Mapping[str, object]) -> dict[str, object]:
    """Return a copy of a decoded body in which base64 payloads are replaced by a note of their length. Once more changes nothing."""
    copy = {name: _slimmed(name, value) for name, value in raw.items()}
    if raw.get("type") == "image_generation_call" and isinstance(picture := raw.get("result"), str):
        copy["result"] = _noted(picture)
    return copy


def may_hold_payload(body: bytes) -> bool:
    """Say of a body's JSON, as orjson writes it, whether ``slim`` could change anything; it says yes rather than no.

    A data URI and a picture's item are told by words that they hold. Any other payload is a string of so many bytes that it passes one of
    the places that lie as far apart: only the strings there are looked at.
    """
    if b";base64," in body or b'"image_generation_call"' in body:
        return True
    place = _LONG
    while place < len(body):
        start, end = body.rfind(b'"', 0, place) + 1, body.find(b'"', place)
        if end - start >= _LONG and _BASE64_BYTES.fullmatch(body, start, end):
            return True
        place = (max(place, end) // _LONG + 1) * _LONG
    return False


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
