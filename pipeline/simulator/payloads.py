"""Bytes that came inside a request."""

from __future__ import annotations

import pybase64

from pipeline.simulator.problems import RequestError

__all__ = ["payload"]


def payload(given: str, place: str, noun: str, largest: int) -> tuple[str, bytes]:
    """The media type and the bytes of a data URI; bare base64 has no media type. What is wrong with it is HTTP 400."""
    mime, coded = "", given
    if given.startswith("data:"):
        head, _, coded = given.partition(",")
        mime, _, encoding = head[5:].partition(";")
        if encoding.rpartition(";")[2] != "base64":
            raise RequestError("Expected a base64-encoded data URI.", code=f"invalid_{noun}", param=place)
    try:
        data = pybase64.b64decode(coded, validate=True)
    except ValueError as error:
        raise RequestError(f"The {noun} is not valid base64.", code=f"invalid_{noun}", param=place) from error
    if not data:
        raise RequestError(f"The {noun} is empty.", code=f"empty_{noun}", param=place)
    if len(data) > largest:
        message = f"The {noun} is larger than {largest // 1024**2} MB."
        raise RequestError(message, code=f"{noun}_too_large", param=place)
    return mime, data
