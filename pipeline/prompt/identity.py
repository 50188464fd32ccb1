"""What makes a request another question: 16 bytes over all that can change its answer."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

import orjson

from pipeline.errors import PromptError
from pipeline.records import Media
from pipeline.wire.parameters import identity_of

FINGERPRINT_BYTES = 16  # 128 bits: among 10^9 requests a collision has a chance below 10^-20
_NO_SOURCES: Mapping[str, str] = {}
_CANONICAL = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_SORT_KEYS


def fingerprint(
    body: Mapping[str, object],
    endpoint: str,
    extra_body: Mapping[str, object],
    sources: Mapping[str, str] = _NO_SOURCES,
) -> bytes:
    """Return 16 bytes that change with anything that can change the answer.

    That is: the endpoint (so a rehearsal's answers are never taken for real ones), model, rendered input, pictures by their identity (and
    by what the job does to them), parameters that count (``wire/parameters.py`` says which), tools, the ``sources`` of the job's functions,
    output schema, and what the job sends verbatim. Neither the row's position nor limits, deadlines, keys or the spec's own place are part
    of it.
    """
    return digest(identity(body, endpoint, extra_body, sources))


def identity(
    body: Mapping[str, object],
    endpoint: str,
    extra_body: Mapping[str, object],
    sources: Mapping[str, str] = _NO_SOURCES,
) -> bytes:
    """Return the one spelling of all that is part of a fingerprint; raises ``PromptError`` where a value has none."""
    parts = {"endpoint": endpoint, "body": identity_of(body), "extra_body": extra_body}
    if sources:
        parts["functions"] = sources
    return canonical(parts)


def digest(spelling: bytes) -> bytes:
    """Return the fingerprint of an identity."""
    return blake2b(spelling, digest_size=FINGERPRINT_BYTES, person=b"request").digest()


def of_sample(fingerprint: bytes, sample: int) -> bytes:
    """Return the fingerprint of a further sample of a request."""
    place = fingerprint + sample.to_bytes(4, "big")
    return blake2b(place, digest_size=FINGERPRINT_BYTES, person=b"sample").digest()


def canonical(value: object) -> bytes:
    """Return one spelling of a JSON-like value that may hold pictures and dates; raises ``PromptError`` where it has none."""
    try:
        return orjson.dumps(value, default=_identity, option=_CANONICAL)
    except TypeError as error:
        raise PromptError(f"the request holds a value that JSON cannot carry: {error}") from error


def _identity(value: object) -> str:
    if isinstance(value, Media):
        return value.identity
    raise TypeError(f"a {type(value).__name__}")
