"""Making a stranger's text fit for a message: short, on one line, without keys and without pictures."""

from __future__ import annotations

import re

# Each pattern keeps its first group and masks the rest. They are linear, for a provider may echo megabytes.
_SECRETS: tuple[re.Pattern[str], ...] = (
    re.compile(r"(://)[^/\s@\"']+(?=@)"),
    re.compile(r"([?&][\w.-]*(?:key|token|secret|credential|signature|sig)=)[^&\s\"']+", re.IGNORECASE),
    re.compile(r"(\bBearer\s+)\S+", re.IGNORECASE),
    re.compile(r"\b((?:sk|pk|rk)-)[\w*.-]{4,}"),
    re.compile(r"(\bapi[ _-]?key(?:\s+provided)?[\"']?\s*[:=]\s*[\"']?)[^\s\"',}&]+", re.IGNORECASE),
)
_PAYLOAD = re.compile(r"(\bdata:[\w.+/-]{0,100}(?:;[\w=.-]{1,100}){0,3};base64,)[A-Za-z0-9+/=_-]+")


def presentable(value: object, limit: int = 500) -> str:
    """Return a value as one short line: secrets masked, control characters escaped, cut at ``limit`` characters."""
    text = str(value)
    for pattern in _SECRETS:
        text = pattern.sub(r"\1***", text)
    text = " ".join(_PAYLOAD.sub(r"\1…", text).split())
    text = text if len(text) <= limit else f"{text[: limit - 1]}…"
    shown = "".join(character if character.isprintable() else _escaped(character) for character in text)
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
