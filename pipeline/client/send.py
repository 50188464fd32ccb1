"""The two innermost layers: one attempt put on the wire (``sending``), and its place in the journal (``journaled``)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio

from pipeline.client.attempt import on_its_way
from pipeline.client.body import completed, media_of, serialized
from pipeline.client.secrecy import Stars
from pipeline.errors import AttemptError, PromptError, RowError, Sent, Unfetched
from pipeline.records import Journal, Outcome, Post, Reply, Request, Status
from pipeline.spec.columns import FieldsError
from pipeline.wire.credentials import filled, variables
from pipeline.wire.decode import read_answer
from pipeline.wire.encode import encode, refusals
from pipeline.wire.signals import RateHeaders, rate_headers
from pipeline.wire.sse import EventReader, has_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.client.exchange import Http
    from pipeline.client.loader import Loader
    from pipeline.spec.fields import Fields
    from pipeline.wire.dialect import Endpoint

Secret = Callable[[], str | None]
"""Gives the key for headers, at the moment an attempt leaves, so that no record of ours ever holds it."""

Tokens = Callable[[str], str]
"""Gives the token that an environment variable holds; raises ``PromptError`` for a variable that the job itself does not name."""

Feedback = Callable[[str, RateHeaders], None]
"""Takes a model and the rate headers of one of its answers."""


def no_tokens(variable: str) -> str:
    """Give no token: for jobs whose tools have none. Raises ``PromptError``."""
    raise PromptError(
        f"a tool names the environment variable {variable}; only those that the job itself names are sent"
    )


def sending(
    http: Http,
    endpoint: Endpoint,
    key: Secret,
    extra_body: Mapping[str, object],
    loader: Loader,
    feedback: Feedback,
    tokens: Tokens = no_tokens,
) -> Post:
    """Return the layer that puts a request's media in, sends it to the endpoint and reads the answer.

    Most requests come encoded; one that does not is encoded here. Key and ``tokens`` of its tools are in nothing but these bytes; an answer
    that echoes one comes back with stars in its place.
    """
    badge = _Badge(endpoint, key())

    async def made(body: Mapping[str, object]) -> tuple[bytes, Sequence[str]]:
        """Return a body's bytes, and the tokens in them."""
        if reasons := refusals(body, endpoint.dialect):
            raise PromptError(reasons[0])
        sent = encode(body, endpoint.dialect, extra_body)
        return await serialized(filled(sent, tokens), loader), [*map(tokens, variables(sent))]

    def asks(request: Request, name: str) -> bool:
        """Tell whether a request's body, as it is sent, asks for a kind of delivery."""
        return (extra_body[name] if name in extra_body else request.body.get(name)) is True

    async def send(request: Request) -> Reply:
        nonlocal badge
        if (secret := key()) != badge.key:
            badge = _Badge(endpoint, secret)
        if request.content is None:
            content, inside = await made(request.body)
        else:
            content, inside = await completed(request.content, request.shown, loader), ()
        stars = Stars([secret, *inside]) if inside else badge.stars
        first_token = _FirstToken() if asks(request, "stream") else None
        headers, hear = (badge.plain, None) if first_token is None else (badge.streaming, first_token.hear)
        try:
            answer = stars.answer(await http.post(endpoint.url, headers, content, hear))
            feedback(request.model, rate_headers(answer.headers))
            unfinished = asks(request, "background")  # then an answer that is still to be made is a good one
            reply = read_answer(answer.status, answer.headers, answer.content, now=time.time(), background=unfinished)
        except AttemptError as error:
            stars.hide_in(error)
            note_downloads(error, request.body, loader)
            if error.kind == "auth" and endpoint.key_env is None:
                error.hint = "no key is sent to this address; name the variable that holds it in provider.api_key_env"
            raise
        reply = stars.reply(reply, answer.content)
        return reply if first_token is None else replace(reply, first_token_s=first_token.after_s)

    return send


class _Badge:
    """What a key makes, once for all requests: headers, whose objects a transport may know again, and the stars that hide it.

    Nothing that is shown or kept holds one.
    """

    def __init__(self, endpoint: Endpoint, key: str | None) -> None:
        self.key = key
        self.plain = headers_of(endpoint, key)
        self.streaming = headers_of(endpoint, key, streams=True)
        self.stars = Stars([key])


class _FirstToken:
    """Listens to a stream until the first piece of text is here, and keeps how many seconds that took."""

    def __init__(self) -> None:
        self.after_s: float | None = None
        self._start = anyio.current_time()
        self._events = EventReader()

    def hear(self, piece: bytes) -> None:
        if self.after_s is None and any(map(has_text, self._events.feed(piece))):
            self.after_s = round(anyio.current_time() - self._start, 3)


def note_downloads(error: AttemptError, body: Mapping[str, object], loader: Loader) -> None:
    """Note a body's pictures where the provider could not download one, so that the next attempt can send their bytes.

    It does not say which it was.
    """
    if error.kind == "image_download":
        shown = (media for media in media_of(body) if media.kind == "image")
        loader.could_not_download(media.url for media in shown if media.url is not None)


def journaled(post: Post, journal: Journal) -> Post:
    """Return a layer that makes the intent durable before an attempt leaves, and its outcome before anybody hears of it.

    An answer that is here is paid: the journal keeps it even where the run is cut off while it is written. A cancelled attempt is left as
    an intent without an outcome: it may have been paid, and the journal says so; or its answer can be fetched. How long an attempt took
    that an earlier process sent is not known. To be composed inside the loop.
    """
    clock = asyncio.get_running_loop().time

    def since(start: float | None) -> float | None:  # to the millisecond: what uvloop's clock tells
        return None if start is None else round(clock() - start, 3)

    async def ask(request: Request) -> Reply:
        attempt = await journal.intend(request)
        request = on_its_way(request, attempt=attempt)
        start = clock() if attempt.response_id is None else None
        try:
            reply = await post(request)
        except AttemptError as error:
            await journal.settle(request, attempt, Outcome(since(start), error=error))
            raise
        except Unfetched:
            raise  # the attempt stays open: a later run fetches its answer
        except RowError as error:  # a picture or a value that cannot be sent, found when its bytes were loaded
            unsent = AttemptError(error.message, kind=error.kind, sent=Sent.NEVER, transient=error.transient)
            await journal.settle(request, attempt, Outcome(since(start), error=unsent))
            raise
        await journal.settle(request, attempt, Outcome(since(start), reply))
        return reply

    return ask


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
