"""Reading JSON that others wrote: nothing is taken for granted, and nothing in it makes us stumble.

Replies are never parsed through a closed model. The vendors' own examples break their own schemas, so a reader asks for
what it needs with a getter that answers "not there" for everything that is missing, null or of another type.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import orjson

# Far deeper than any reply, and well inside what the JSON writers of the journal can take (orjson stops at 254).
MAX_DEPTH = 100
TOO_DEEP = "[nested too deeply]"

_NOTHING: Mapping[str, object] = {}
# What envelopes call success; apimart's pages show 200.
_FINE = frozenset({"200", "0", "success"})


class NotJsonError(ValueError):
    """A text is no JSON. ``cut`` says that it began as JSON and stops in the middle, as after a lost connection."""

    def __init__(self, reason: str, *, cut: bool = False) -> None:
        super().__init__(reason)
        self.cut = cut


def parse(content: bytes | str) -> object:
    """Return the value of a JSON text. Raises ``NotJsonError``, and nothing else.

    What a strict parser refuses but a person would read is accepted: a byte order mark, bytes that are no UTF-8 (they
    become U+FFFD), lone surrogates (see ``tamed``), NaN and Infinity, and numbers of any length.
    """
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        text = content if isinstance(content, str) else content.decode("utf-8", errors="replace")
    text = text.removeprefix("\ufeff").strip()
    try:
        return json.loads(text, parse_int=_whole_number)
    except RecursionError as error:
        raise NotJsonError("nested too deeply") from error
    except json.JSONDecodeError as error:
        raise NotJsonError(str(error), cut=_is_cut(text, error)) from error


def read(content: bytes) -> object:
    """Return the value of a JSON text, safe to walk and to write: what ``parse`` and then ``tamed`` make of it.

    Raises ``NotJsonError``, and nothing else.
    """
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return tamed(parse(content))
    # What the strict parser took holds no lone surrogate: nearly no answer is gone through.
    return value if _is_shallow(content) else _tamed(value)


def _is_shallow(content: bytes) -> bool:
    """Say of a JSON text that it cannot nest too deeply: it has not as many brackets."""
    return content.count(b"{") + content.count(b"[") <= MAX_DEPTH


def _is_cut(text: str, error: json.JSONDecodeError) -> bool:
    if not text:
        return True
    rest = text[error.pos :]
    stops_inside = error.msg.startswith("Unterminated string") or not ("}" in rest or "]" in rest)
    return text[0] in "{[" and stops_inside


def _whole_number(digits: str) -> int | float:
    # Python refuses to read integers of thousands of digits, and nobody counts that far.
    return int(digits) if len(digits) <= 18 else float(digits)


def tamed(value: object) -> object:
    """Return the value safe to walk and to write: a copy with lone surrogates replaced and the deepest levels cut off, where there are any.

    To write it tells whether there are, in a tenth of the time that going through it takes.
    """
    try:
        return value if _is_shallow(orjson.dumps(value)) else _tamed(value)
    except orjson.JSONEncodeError:
        return _tamed(value)


def _tamed(value: object, depth: int = MAX_DEPTH) -> object:
    if isinstance(value, str):
        return clean(value)
    if not isinstance(value, dict | list):
        return value
    if depth == 0:
        return TOO_DEEP
    if isinstance(value, list):
        return [_tamed(member, depth - 1) for member in value]
    return {clean(str(key)): _tamed(member, depth - 1) for key, member in value.items()}


def clean(text: str) -> str:
    """Return the text with lone surrogates replaced by U+FFFD; surrogate pairs become the character they mean."""
    if text.isascii():
        return text
    return text.encode("utf-16", errors="surrogatepass").decode("utf-16", errors="replace")


def mapping_at(value: Mapping[str, object], name: str) -> Mapping[str, object]:
    """Return the mapping under a name, or an empty one."""
    found = value.get(name)
    # A dict nearly always, which is asked first: the check against an abstract class takes four times as long.
    return found if isinstance(found, dict) or isinstance(found, Mapping) else _NOTHING  # noqa: SIM101


def mappings_at(value: Mapping[str, object], name: str) -> Iterator[Mapping[str, object]]:
    """Yield the mappings in the list under a name; other members are passed over."""
    found = value.get(name)
    if isinstance(found, list):
        for member in found:
            if isinstance(member, dict) or isinstance(member, Mapping):  # noqa: SIM101 - as above
                yield member


def text_at(value: Mapping[str, object], *names: str) -> str | None:
    """Return the first text under one of the names, or None."""
    for name in names:
        if isinstance(found := value.get(name), str):
            return found
    return None


def number_at(value: Mapping[str, object], *names: str) -> float | None:
    """Return the first number under one of the names, or None; true and false are no numbers."""
    for name in names:
        found = value.get(name)
        if isinstance(found, int | float) and not isinstance(found, bool):
            return found
    return None


def reports_failure(envelope: Mapping[str, object]) -> bool:
    """Say whether an envelope's ``code`` is that of a failure, which comes with HTTP 200, too."""
    return envelope.get("code") is not None and str(envelope["code"]).lower() not in _FINE
