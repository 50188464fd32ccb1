"""Our secrets in other people's answers: starred out before anybody reads, keeps or shows them."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from pipeline.records import Reply, Source, ToolCall

if TYPE_CHECKING:
    from pipeline.client.exchange import Answer
    from pipeline.errors import AttemptError

Record = TypeVar("Record", bound=Reply | ToolCall | Source)

STARS = "***"
_SHORTEST = 8  # characters; a shorter secret is a placeholder, and would turn up in plain words


class Stars:
    """Stars out some secrets.

    An answer is treated twice: as it came, where a secret may be spelled in several ways, and once more when it is read, because only then
    all escapes are resolved and the pieces of a stream are put together.
    """

    def __init__(self, secrets: Iterable[str | None]) -> None:
        self._secrets = sorted({each for each in secrets if each is not None and len(each) >= _SHORTEST}, key=len)[::-1]
        spelled = {spelling for secret in self._secrets for spelling in _spellings(secret)}
        # A longer one may hold a shorter one, so it comes first.
        self._spellings = [(each, each.encode()) for each in sorted(spelled, key=len, reverse=True)]
        self._plain = [(secret, secret.encode()) for secret in self._secrets]
        self._veils = sorted({veil for secret in self._secrets for veil in _veils(secret)})
        self._odd = not all(
            secret.isascii() and secret.isprintable() for secret in self._secrets
        )  # may come in too many ways

    def answer(self, answer: Answer) -> Answer:
        """Return the answer with stars in its headers and its body; the same where there is nothing to star."""
        headers, content = answer.headers, answer.content
        shown = "\n".join(headers.values())
        for spelling, as_bytes in self._spellings:
            if spelling in shown:
                headers = {name: value.replace(spelling, STARS) for name, value in headers.items()}
            if as_bytes in content:
                content = content.replace(as_bytes, STARS.encode())
        if headers is answer.headers and content is answer.content:
            return answer
        return replace(answer, headers=headers, content=content)

    def reply(self, reply: Reply, body: bytes | None = None) -> Reply:
        """Return the reply with stars in all of its texts.

        ``body`` is the answer that it was read from. Nearly none can hide a secret, and then the reply is not gone through text by text,
        which would take longer than all other reading of it.
        """
        if not self._secrets or (body is not None and not self._could_hide(body, reply)):
            return reply
        return self._members(reply)

    def _could_hide(self, body: bytes, reply: Reply) -> bool:
        """Tell whether a text of the reply may hold a secret.

        Most texts are a piece of the body, as it stands but for escapes. Some are put together from several, or written anew: those of
        calls and errors, for which this takes the long way, and the few looked at here. Of a stream, too, no others are put together.
        """
        if self._odd or reply.tool_calls or reply.error_message is not None:
            return True
        if b"\\" in body and any(veil in body for veil in self._veils):
            return True
        joined = f"{reply.text}\n{reply.refusal}\n{reply.request_id}"
        return any(plain in body or secret in joined for secret, plain in self._plain)

    def hide_in(self, error: AttemptError) -> None:
        """Put stars into an error's message, and into the reply it may hold."""
        error.message = self._text(error.message)
        error.args = (error.message,)
        error.code, error.request_id = self._starred(error.code), self._starred(error.request_id)
        error.reply = self._starred(error.reply)

    def _text(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, STARS)
        return text

    def _starred(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value) if type(value) is str else value  # a status is a text, too
        if isinstance(value, Mapping):
            return {self._starred(key): self._starred(member) for key, member in value.items()}
        if isinstance(value, list):
            return [self._starred(member) for member in value]
        if type(value) is tuple:
            return tuple(self._starred(member) for member in value)
        return self._members(value) if isinstance(value, Reply | ToolCall | Source) else value

    def _members(self, record: Record) -> Record:
        members = {each.name: self._starred(getattr(record, each.name)) for each in fields(record)}
        return replace(record, **members)


def _spellings(secret: str) -> Iterator[str]:
    """Yield a secret plain, with the escapes of JSON and of URLs, and in base64."""
    escaped = json.dumps(secret)[1:-1]
    yield from (secret, escaped, escaped.replace("/", "\\/"), quote(secret, safe=""))
    for text in _in_base64(secret.encode()):
        yield from (text, text.replace("+", "-").replace("/", "_"))


def _veils(secret: str) -> Iterator[bytes]:
    """Yield what a JSON text must hold to spell a secret otherwise than plain: the escapes of its characters."""
    yield b"\\u00"  # any character of ASCII
    yield from (f"\\{escaped}".encode() for escaped in '"\\/' if escaped in secret)


def _in_base64(secret: bytes) -> Iterator[str]:
    """Yield what base64 makes of a secret at each of the three places it can have, without what its neighbours have a share in."""
    for before in range(3):
        text = b64encode(bytes(before) + secret).decode().rstrip("=")
        shared = int((before + len(secret)) % 3 > 0)
        yield text[(0, 2, 3)[before] : len(text) - shared]
