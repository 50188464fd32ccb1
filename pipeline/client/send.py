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

from pipeline.client.secrecy import starring
from pipeline.errors import AttemptError, PromptError, RowError, Sent, Unfetched
from pipeline.media.attachments import Attachment, name_for
from pipeline.media.prepare import PreparedImage
from pipeline.records import Journal, Media, Outcome, Post, Reply, Request, Status
from pipeline.spec.columns import FieldsError
from pipeline.wire.credentials import filled, variables
from pipeline.wire.decode import read_answer
from pipeline.wire.encode import encode, refusals
from pipeline.wire.signals import RateHeaders, rate_headers
from pipeline.wire.sse import EventReader, has_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.client.http import Http
    from pipeline.client.loader import Loader
    from pipeline.spec.fields import Fields
    from pipeline.wire.dialect import Endpoint

Secret = Callable[[], str | None]
"""Gives the key at the moment it is put into a header, so that no record of ours ever holds it."""

Tokens = Callable[[str], str]
"""Gives the token that an environment variable holds; raises ``PromptError`` for a variable that the job itself does not name."""

Feedback = Callable[[str, RateHeaders], None]
"""Takes a model and the rate headers of one of its answers."""

Inline = PreparedImage | Attachment
"""Bytes that go into a body, with their media type."""


def no_tokens(variable: str) -> str:
    """Give no token: for jobs whose tools have none. Raises ``PromptError``."""
    raise PromptError(
        f"a tool names the environment variable {variable}; only those that the job itself names are sent"
    )


_LARGE = 1024 * 1024  # bytes of media; to put more into a body takes milliseconds, which others should not wait for


def sending(
    http: Http,
    endpoint: Endpoint,
    key: Secret,
    extra_body: Mapping[str, object],
    loader: Loader,
    feedback: Feedback,
    tokens: Tokens = no_tokens,
) -> Post:
    """Return the layer that encodes a request for the endpoint, puts its media in, sends it and reads the answer.

    Key and ``tokens`` of its tools are in nothing but these bytes; an answer that echoes one comes back with stars in its place.
    """

    stars_of = starring()

    async def send(request: Request) -> Reply:
        if reasons := refusals(request.body, endpoint.dialect):
            raise PromptError(reasons[0])
        body = encode(request.body, endpoint.dialect, extra_body)
        content = await serialized(filled(body, tokens), loader)
        first_token = _FirstToken() if body.get("stream") is True else None
        hear = first_token.hear if first_token is not None else None
        secret = key()
        stars = stars_of((secret, *map(tokens, variables(body))))
        headers = headers_of(endpoint, secret, streams=hear is not None)
        try:
            answer = stars.answer(await http.post(endpoint.url, headers, content, hear))
            feedback(request.model, rate_headers(answer.headers))
            unfinished = body.get("background") is True  # then an answer that is still to be made is a good one
            reply = read_answer(answer.status, answer.headers, answer.content, now=time.time(), background=unfinished)
        except AttemptError as error:
            stars.hide_in(error)
            note_downloads(error, body, loader)
            if error.kind == "auth" and endpoint.key_env is None:
                error.hint = "no key is sent to this address; name the variable that holds it in provider.api_key_env"
            raise
        reply = stars.reply(reply, answer.content)
        return reply if first_token is None else replace(reply, first_token_s=first_token.after_s)

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


def note_downloads(error: AttemptError, body: Mapping[str, object], loader: Loader) -> None:
    """Note a body's pictures where the provider could not download one, so that the next attempt can send their bytes.

    It does not say which it was.
    """
    if error.kind == "image_download":
        shown = (media for media in media_of(body) if media.kind == "image")
        loader.could_not_download(media.url for media in shown if media.url is not None)


def media_of(value: object) -> Iterator[Media]:
    """Yield the media of a body, or of a part of one, that are references."""
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
        except Unfetched:
            raise  # the attempt stays open: a later run fetches its answer
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


async def serialized(body: Mapping[str, object], loader: Loader) -> bytes:
    """Return a body's bytes, its media as URLs or data URIs; raises ``MediaError``.

    JSON is written around tokens, and the base64 put in their places as bytes: a picture is copied twice instead of five times.
    """
    shows_media = any(media_of(body))
    token = os.urandom(16).hex() if shows_media else ""  # cannot occur in a row's text by design or by accident
    inline: list[Inline] = []

    def stand_in(value: object) -> str:
        if not isinstance(value, PreparedImage | Attachment):
            raise TypeError
        inline.append(value)
        return token

    shown = await _loaded(body, loader) if shows_media else body
    try:
        skeleton = orjson.dumps(
            shown, default=stand_in, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS
        )
    except TypeError as error:
        raise PromptError(f"the request holds a value that JSON cannot carry: {error}") from error
    if not inline:
        return skeleton
    if sum(len(each.data) for each in inline) > _LARGE:
        return await anyio.to_thread.run_sync(_spliced, skeleton, token, inline)
    return _spliced(skeleton, token, inline)


async def _loaded(body: Mapping[str, object], loader: Loader) -> object:
    """Return a body with each reference as the URL or the bytes that are sent."""
    wanted = [media for media in media_of(body) if not loader.goes_as_url(media)]
    bytes_of = dict(zip(map(id, wanted), await loader.inline_all(wanted), strict=True))
    return _shown(body, lambda media: bytes_of.get(id(media), media.url))


def _shown(value: object, sent: Callable[[Media], Inline | str | None]) -> object:
    """Return a body, or a part of one, with what is sent for each reference."""
    if isinstance(value, Media):
        return sent(value)
    if isinstance(value, list | tuple):
        return [_shown(item, sent) for item in value]
    if not isinstance(value, Mapping):
        return value
    shown = {name: _shown(item, sent) for name, item in value.items()}
    if value.get("type") == "input_file":
        for name in ("file_url", "file_data"):
            media, given = value.get(name), shown.get(name)
            if isinstance(media, Media) and isinstance(given, Attachment):
                del shown[name]  # a URL that was fetched here is no URL any more
                shown |= {"filename": media.filename or name_for(given.media_type), "file_data": given}
    return shown


def _spliced(skeleton: bytes, token: str, inline: Sequence[Inline]) -> bytes:
    first, *pieces = skeleton.split(token.encode())
    out = [first]
    for each, piece in zip(inline, pieces, strict=True):
        out += [f"data:{each.media_type};base64,".encode(), pybase64.b64encode(each.data), piece]
    return b"".join(out)


def headers_of(endpoint: Endpoint, key: str | None, *, streams: bool = False) -> dict[str, str]:
    """Return the headers of a request to the endpoint, with the key if there is one; ``streams`` says that events are wanted."""
    headers = {
        "content-type": "application/json",
        "accept": "text/event-stream" if streams else "application/json",
        "user-agent": "responses-pipeline",
        **endpoint.headers,
    }
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    return headers
