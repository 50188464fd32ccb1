"""The two innermost layers: one attempt put on the wire (``sending``), and its place in the journal (``journaled``)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import orjson
import pybase64

from pipeline.errors import AttemptError, PromptError, RowError, Sent
from pipeline.records import Journal, Media, Outcome, Post, Reply, Request, Status
from pipeline.spec.columns import FieldsError
from pipeline.wire.decode import read_answer
from pipeline.wire.encode import encode, refusals
from pipeline.wire.signals import RateHeaders, rate_headers
from pipeline.wire.sse import EventReader, has_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.client.http import Answer, Http
    from pipeline.client.pictures import Pictures
    from pipeline.media.prepare import PreparedImage
    from pipeline.spec.fields import Fields
    from pipeline.wire.dialect import Endpoint

Secret = Callable[[], str | None]
"""Gives the key at the moment it is put into a header, so that no record of ours ever holds it."""

_SHORTEST_KEY = 8  # characters; a shorter one is a placeholder, and would turn up in plain words

Feedback = Callable[[str, RateHeaders], None]
"""Takes a model and the rate headers of one of its answers."""


_LARGE = 1024 * 1024  # bytes of pictures; to put more into a body takes milliseconds, which others should not wait for


def sending(
    http: Http,
    endpoint: Endpoint,
    key: Secret,
    extra_body: Mapping[str, object],
    pictures: Pictures,
    feedback: Feedback,
) -> Post:
    """Return the layer that encodes a request for the endpoint, puts its pictures in, sends it and reads the answer."""

    async def send(request: Request) -> Reply:
        if reasons := refusals(request.body, endpoint.dialect):
            raise PromptError(reasons[0])
        body = encode(request.body, endpoint.dialect, extra_body)
        content = await serialized(body, pictures)
        first_token = _FirstToken()
        hear = first_token.hear if body.get("stream") is True else None
        secret = key()
        answer = without(secret, await http.post(endpoint.url, headers_of(endpoint, secret), content, hear))
        feedback(request.model, rate_headers(answer.headers))
        try:
            unfinished = body.get("background") is True  # then an answer that is still to be made is a good one
            reply = read_answer(answer.status, answer.headers, answer.content, now=time.time(), background=unfinished)
        except AttemptError as error:
            note_downloads(error, body, pictures)
            if error.kind == "auth" and endpoint.key_env is None:
                error.hint = "no key is sent to this address; name the variable that holds it in provider.api_key_env"
            raise
        return replace(reply, first_token_s=first_token.after_s)

    return send


class _FirstToken:
    """Listens to a stream until the first piece of text is here, and keeps how many seconds that took."""

    def __init__(self) -> None:
        self.after_s: float | None = None
        self._start = anyio.current_time()
        self._events = EventReader()

    def hear(self, piece: bytes) -> None:
        if self.after_s is None and any(map(has_text, self._events.feed(piece))):
            self.after_s = _since(self._start)


def note_downloads(error: AttemptError, body: Mapping[str, object], pictures: Pictures) -> None:
    """Note a body's pictures where the provider could not download one, so that the next attempt can send their bytes.

    It does not say which it was.
    """
    if error.kind == "image_download":
        pictures.could_not_download(media.url for media in media_of(body) if media.url is not None)


def media_of(value: object) -> Iterator[Media]:
    """Yield the pictures of a body, or of a part of one, that are references."""
    if isinstance(value, Media):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from media_of(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from media_of(item)


def journaled(post: Post, journal: Journal) -> Post:
    """Return a layer that makes the intent durable before an attempt leaves, and its outcome before anybody hears of it.

    A cancelled attempt is left as an intent without an outcome: it may have been paid, and the journal says so; or its answer can be
    fetched. How long an attempt took that an earlier process sent is not known.
    """

    async def settle(request: Request, outcome: Outcome) -> None:
        with anyio.CancelScope(shield=True):  # an answer that is here is paid: it is kept, whatever ends the run now
            assert request.attempt is not None
            await journal.settle(request, request.attempt, outcome)

    async def ask(request: Request) -> Reply:
        attempt = await journal.intend(request)
        request = replace(request, attempt=attempt)
        start = anyio.current_time() if attempt.response_id is None else None
        try:
            reply = await post(request)
        except AttemptError as error:
            await settle(request, Outcome(_since(start), error=error))
            raise
        except RowError as error:  # a picture or a value that cannot be sent, found when its bytes were loaded
            unsent = AttemptError(error.message, kind=error.kind, sent=Sent.NEVER, transient=error.transient)
            await settle(request, Outcome(_since(start), error=unsent))
            raise
        await settle(request, Outcome(_since(start), reply=reply))
        return reply

    return ask


def _since(start: float | None) -> float | None:
    """Seconds since ``start``, to the millisecond: what uvloop's clock tells."""
    return None if start is None else round(anyio.current_time() - start, 3)


def conforming(post: Post, fields: Fields | None) -> Post:
    """Return a layer that turns an answer that does not fit ``output.fields`` into one with the status ``invalid``."""
    if fields is None:
        return post

    async def check(request: Request) -> Reply:
        return conformed(await post(request), fields)

    return check


def conformed(reply: Reply, fields: Fields | None) -> Reply:
    """Return a reply, as ``invalid`` where its text does not fit the fields."""
    if fields is None or reply.status is not Status.OK:
        return reply
    try:
        fields.read(reply.text)
    except FieldsError as error:
        return replace(reply, status=Status.INVALID, error_code="schema", error_message=str(error))
    return reply


async def serialized(body: Mapping[str, object], pictures: Pictures) -> bytes:
    """Return a body's bytes, its pictures as URLs or data URIs; raises ``MediaError``.

    JSON is written around tokens, and the base64 put in their places as bytes: a picture is copied twice instead of five times.
    """
    token = os.urandom(16).hex()  # cannot occur in a row's text by design or by accident
    inline: list[Media] = []

    def stand_in(value: object) -> str:
        if not isinstance(value, Media):
            raise TypeError
        if value.url is not None and pictures.goes_as_url(value):
            return value.url
        inline.append(value)
        return token

    try:
        skeleton = orjson.dumps(
            body, default=stand_in, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS
        )
    except TypeError as error:
        raise PromptError(f"the request holds a value that JSON cannot carry: {error}") from error
    if not inline:
        return skeleton
    images = [await pictures.inline(media) for media in inline]
    if sum(len(image.data) for image in images) > _LARGE:
        return await anyio.to_thread.run_sync(_spliced, skeleton, token, images)
    return _spliced(skeleton, token, images)


def _spliced(skeleton: bytes, token: str, images: Sequence[PreparedImage]) -> bytes:
    first, *pieces = skeleton.split(token.encode())
    out = [first]
    for image, piece in zip(images, pieces, strict=True):
        out += [f"data:{image.media_type};base64,".encode(), pybase64.b64encode(image.data), piece]
    return b"".join(out)


def without(key: str | None, answer: Answer) -> Answer:
    """Return the answer with our key starred out: what echoes it must reach neither journal nor table."""
    if key is None or len(key) < _SHORTEST_KEY:
        return answer
    headers = {name: value.replace(key, "***") for name, value in answer.headers.items()}
    return replace(answer, headers=headers, content=answer.content.replace(key.encode(), b"***"))


def headers_of(endpoint: Endpoint, key: str | None) -> dict[str, str]:
    """Return the headers of a request to the endpoint, with the key if there is one."""
    headers = {
        "content-type": "application/json",
        "accept": "application/json",
        "user-agent": "responses-pipeline",
        **endpoint.headers,
    }
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    return headers
