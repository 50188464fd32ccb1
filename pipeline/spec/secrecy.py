"""Keys do not belong into a spec: what looks like one, and how it is hidden from messages."""

from __future__ import annotations

import re

from pipeline.wire.credentials import SECRET_HEADERS

_KEY = re.compile(r"\bsk-[A-Za-z0-9_-]{20,}|\bBearer\s+[A-Za-z0-9._~+/-]{16,}=*|\ABearer\s+\S+\Z")
# What follows one of these is masked to the end of its line: tokens of MCP servers and of containers have no form of their own.
_FIELDS = "|".join(sorted({*SECRET_HEADERS, "auth_token", "value"}))
_SAID = re.compile(rf"(\b(?:{_FIELDS})[\"']?\s*[:=]\s*)\S.*", re.IGNORECASE)
# Words of a variable's name, also where more follows (SECRET_KEY_BASE); MAX_TOKENS is a number, and PATH no PAT.
_NAMES = re.compile(
    r"(?:(?:KEY|SECRET|PASSWORD|PASSWD|CREDENTIAL)S?|TOKEN)\d*(?:_|\Z)|(?:\A|_)(?:PAT|DSN|DATABASE_URL)\d*(?:_|\Z)"
)

ADVICE = (
    "keys are given by the name of an environment variable (`api_key_env: NAME`, in an MCP tool `authorization_env: NAME`), "
    "never by their value"
)


def looks_like_key(text: str) -> bool:
    """Tell whether a text is, or holds, an API key or a bearer token."""
    return _KEY.search(text) is not None


def names_key(variable: str) -> bool:
    """Tell whether an environment variable holds a secret, going by its name."""
    return _NAMES.search(variable.upper()) is not None


def masked(text: str) -> str:
    """Return the text with every key in it replaced by stars."""
    return _SAID.sub(r"\1***", _KEY.sub("***", text))
