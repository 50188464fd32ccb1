"""The innermost layers: the bytes that leave, and when the journal hears of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import orjson
import pytest

from pipeline.client.exchange import Answer, Hear
from pipeline.client.loader import Loader
from pipeline.client.send import conforming, journaled, sending
from pipeline.errors import AttemptError, DiskFailed, MediaError, PromptError, RowError, Sent
from pipeline.records import Attempt, Claim, Outcome, Post, Reply, Request, Status, Usage
from pipeline.spec.fields import Fields
from pipeline.spec.provider import Provider
from pipeline.spec.rules import MediaRules
from pipeline.wire.dialect import DIALECTS, Endpoint
from pipeline.wire.signals import RateHeaders

OPENAI = DIALECTS["openai"]
REQUEST = Request(3, "m", {"model": "m", "input": "hi"}, b"0" * 16, 10)


def pictures(**rules: object) -> Loader:
    """Return the pictures of a run by these rules."""
    return Loader(MediaRules.model_validate(rules), OPENAI)


# -- one attempt -----------------------------------------------------------------------------------------------------


@dataclass
class Recorder:
    """A transport that keeps what it is given and answers what it is told."""

    answer: Answer = field(default_factory=lambda: Answer(200, {}, b'{"output_text": "ok", "id": "r"}'))
    sent: list[tuple[str, Mapping[str, str], Any]] = field(default_factory=list)
    heard: bool = False

    pieces: Sequence[tuple[float, bytes]] = ()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, hear: Hear | None = None) -> Answer:
        """Keep a request, and let the answer's pieces be heard, each so many seconds after the one before."""
        self.sent.append((url, headers, orjson.loads(body)))
        self.heard = hear is not None
        for wait_s, piece in self.pieces:
            await anyio.sleep(wait_s)
            if hear is not None:
                hear(piece)
        return replace(self.answer, content=b"".join(piece for _, piece in self.pieces) or self.answer.content)


def endpoint(**provider: object) -> Endpoint:
    """Return an endpoint of a provider's settings."""
    return Provider.model_validate({"base_url": "https://x/v1", **provider}).endpoint()


def quiet(model: str, headers: RateHeaders) -> None:
    """Hear nothing."""


@pytest.mark.anyio
async def test_a_request_goes_to_the_endpoint_with_its_key() -> None:
    """The key is asked for when the headers are made, and stands only there."""
    http = Recorder()
    send = sending(http, endpoint(headers={"OpenAI-Project": "p"}), lambda: "secret", {}, pictures(), quiet)
    reply = await send(REQUEST)
    ((url, headers, body),) = http.sent
    assert url == "https://x/v1/responses"
    assert headers["authorization"] == "Bearer secret"
    assert (headers["OpenAI-Project"], headers["content-type"]) == ("p", "application/json")
    assert (body["model"], body["input"]) == ("m", "hi")
    assert (reply.text, reply.response_id) == ("ok", "r")


@pytest.mark.anyio
async def test_without_a_key_none_is_sent() -> None:
    """A server of one's own may want none."""
    http = Recorder()
    await sending(http, endpoint(), lambda: None, {}, pictures(), quiet)(REQUEST)
    assert "authorization" not in {name.lower() for name in http.sent[0][1]}


@pytest.mark.anyio
async def test_the_extra_body_is_sent_verbatim_and_wins() -> None:
    """Whatever it holds, also over what the job says itself."""
    http = Recorder()
    extra = {"model": "other", "seed": 7, "nested": {"a": [None, "{{ x }}"]}, "store": None}
    await sending(http, endpoint(), lambda: None, extra, pictures(), quiet)(REQUEST)
    body = http.sent[0][2]
    assert {name: body[name] for name in extra} == extra


@pytest.mark.anyio
async def test_every_answer_tells_its_limits() -> None:
    """The throttle hears of the headers for the asked model, also when the answer is a refusal."""
    heard: list[tuple[str, RateHeaders]] = []
    http = Recorder(Answer(429, {"x-ratelimit-remaining-requests": "0", "x-ratelimit-limit-requests": "60"}, b"{}"))
    with pytest.raises(AttemptError):
        await sending(http, endpoint(), lambda: None, {}, pictures(), lambda *said: heard.append(said))(REQUEST)
    ((model, _),) = heard
    assert model == "m"


@pytest.mark.anyio
async def test_what_a_dialect_cannot_say_is_not_sent() -> None:
    """A row that needs it fails by itself, before anything leaves."""
    http = Recorder()
    parts = [{"role": "user", "content": [{"type": "input_video", "video_url": "x"}]}]
    with pytest.raises(PromptError, match="takes no video; qingbo does"):
        await sending(http, endpoint(), lambda: None, {}, pictures(), quiet)(
            replace(REQUEST, body={"model": "m", "input": parts})
        )
    assert http.sent == []


@pytest.mark.anyio
async def test_what_is_encoded_already_is_sent_as_it_is() -> None:
    """In every attempt, and the transport is given the very same headers each time, so that it may know them again."""
    http = Recorder()
    send = sending(http, endpoint(), lambda: "secret", {}, pictures(), quiet)
    ready = replace(REQUEST, content=b'{"as":"it is"}')
    await send(ready)
    await send(replace(ready, row=4))
    (_, first, body), (_, second, _) = http.sent
    assert body == {"as": "it is"}
    assert first is second


@pytest.mark.anyio
async def test_a_new_key_is_sent_from_the_next_attempt_on() -> None:
    """It is asked for each time, whatever was made of the one before."""
    http = Recorder()
    keys = iter(["first", "first", "second"])
    send = sending(http, endpoint(), lambda: next(keys), {}, pictures(), quiet)
    await send(REQUEST)
    await send(REQUEST)
    assert [headers["authorization"] for _, headers, _ in http.sent] == ["Bearer first", "Bearer second"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("extra", "accepted"), [({"stream": False}, "application/json"), ({"stream": True}, "text/event-stream")]
)
async def test_the_extra_body_says_how_the_answer_comes(extra: dict[str, object], accepted: str) -> None:
    """Over what the job says itself, as the bytes have it."""
    http = Recorder()
    stated = replace(REQUEST, body={**REQUEST.body, "stream": not extra["stream"]}, content=b"{}")
    await sending(http, endpoint(), lambda: None, extra, pictures(), quiet)(stated)
    assert http.sent[0][1]["accept"] == accepted


# -- a streamed answer -----------------------------------------------------------------------------------------------

STREAMED = replace(REQUEST, body={**REQUEST.body, "stream": True})
FINAL = b'data: {"type": "response.completed", "response": {"id": "r", "status": "completed", "output_text": "hi"}}\n\n'
RESPONSE = (
    (1.0, b'event: response.created\ndata: {"type": "response.created", "response": {"id": "r"}}\n\n'),
    (0.5, b'event: response.output_text.delta\ndata: {"type": "response.output_text.del'),
    (0.25, b'ta", "delta": "h"}\n\n'),
    (2.0, b'data: {"type": "response.output_text.delta", "delta": "i"}\n\n'),
    (0.0, FINAL),
)
CHAT = (
    (1.0, b'data: {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}\n\n'),
    (0.5, b'data: {"choices": [{"index": 0, "delta": {"content": "hi"}}]}\r\n\r\n'),
    (2.0, b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'),
)
SILENT = ((1.0, FINAL),)
WHOLE = ((1.0, b'{"output_text": "hi", "id": "r"}'),)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("pieces", "first_token_s"),
    [(RESPONSE, 1.75), (CHAT, 1.5), (SILENT, None), (WHOLE, None)],
    ids=["response", "chat", "no delta", "plain json"],
)
async def test_the_first_token_is_when_the_first_text_is_whole(
    virtual_time: Callable[[], float], pieces: Sequence[tuple[float, bytes]], first_token_s: float | None
) -> None:
    """However the events are cut; neither an opening event nor an empty delta is text, and an answer without any has no such time."""
    http = Recorder(pieces=pieces)
    reply = await sending(http, endpoint(), lambda: None, {}, pictures(), quiet)(STREAMED)
    assert (reply.text, reply.first_token_s) == ("hi", first_token_s)
    _, headers, body = http.sent[0]
    assert (body["stream"], headers["accept"]) == (True, "text/event-stream")


@pytest.mark.anyio
async def test_a_plain_answer_is_not_listened_to(virtual_time: Callable[[], float]) -> None:
    """Also where the server streams unasked: the answer is read, and has no time of a first token."""
    http = Recorder(pieces=RESPONSE)
    reply = await sending(http, endpoint(), lambda: None, {}, pictures(), quiet)(REQUEST)
    assert (reply.text, reply.first_token_s, http.heard) == ("hi", None, False)
    assert http.sent[0][1]["accept"] == "application/json"


class Garbling:
    """A transport whose server breaks HTTP, which the error quotes."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, hear: Hear | None = None) -> Answer:
        """Fail with the words of the request."""
        raise AttemptError(
            f"illegal header line: {headers['authorization']}", kind="x", sent=Sent.MAYBE, transient=True
        )


@pytest.mark.anyio
async def test_a_broken_exchange_that_quotes_the_key_is_starred_too() -> None:
    """What HTTP itself complains about may hold what the server sent back."""
    with pytest.raises(AttemptError, match=r"illegal header line: Bearer \*\*\*$"):
        await sending(Garbling(), endpoint(), lambda: "a-secret-key", {}, pictures(), quiet)(REQUEST)


# -- in the journal --------------------------------------------------------------------------------------------------


FIRST = Attempt(7)


@dataclass
class Log:
    """A journal that writes down what it is told, in order, and may fail or be slow."""

    told: list[str] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    full: str = ""
    slow: bool = False
    attempt: Attempt = FIRST

    def claim(self, request: Request) -> AbstractContextManager[Claim]:
        """Not part of these tests."""
        raise NotImplementedError

    def note(self, row: int, status: Status, error: RowError) -> None:
        """Not part of these tests."""
        raise NotImplementedError

    async def intend(self, request: Request) -> Attempt:
        """Write down an intent."""
        await self._write("intend")
        return self.attempt

    async def submitted(self, attempt: Attempt, response_id: str) -> None:
        """Is not asked for here."""
        raise NotImplementedError

    async def settle(self, request: Request, attempt: Attempt, outcome: Outcome) -> None:
        """Write down an outcome."""
        assert attempt == self.attempt
        await self._write("settle")
        self.outcomes.append(outcome)

    async def _write(self, what: str) -> None:
        if self.slow:
            await anyio.sleep(1)
        if self.full == what:
            raise DiskFailed("full")
        self.told.append(what)


def ending(log: Log, end: Reply | Exception) -> Post:
    """Return a layer that notes when an attempt leaves, and ends it so."""

    async def post(request: Request) -> Reply:
        log.told.append("send")
        await anyio.sleep(2)
        if isinstance(end, Exception):
            raise end
        return end

    return post


OK = Reply(Status.OK, text="ok", usage=Usage(1, 0, 1, 0, 2))


@pytest.mark.anyio
async def test_an_answer_is_journaled_before_it_is_returned(virtual_time: Callable[[], float]) -> None:
    """Intent, send, outcome, in this order; and the latency is that of the attempt alone."""
    log = Log(slow=True)
    assert await journaled(ending(log, OK), log)(REQUEST) is OK
    assert log.told == ["intend", "send", "settle"]
    assert (log.outcomes[0].reply, log.outcomes[0].latency_s) == (OK, 2.0)
    assert virtual_time() == pytest.approx(4, abs=0.01)


@pytest.mark.anyio
@pytest.mark.parametrize("sent", Sent)
async def test_a_failure_is_journaled_before_it_is_raised(virtual_time: Callable[[], float], sent: Sent) -> None:
    """As it came, with how far it got."""
    log, error = Log(), AttemptError("no", kind="server", sent=sent, transient=True)
    with pytest.raises(AttemptError) as failed:
        await journaled(ending(log, error), log)(REQUEST)
    assert failed.value is error
    assert log.told == ["intend", "send", "settle"]
    assert log.outcomes == [Outcome(2.0, error=error)]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "error", [MediaError("no such file"), MediaError("not just now", transient=True), PromptError("no JSON")]
)
async def test_what_could_not_be_sent_is_journaled_as_never_sent(
    virtual_time: Callable[[], float], error: RowError
) -> None:
    """Its intent is closed, so that it is never counted as perhaps paid; the row's own error goes on."""
    log = Log()
    with pytest.raises(type(error)) as failed:
        await journaled(ending(log, error), log)(REQUEST)
    assert failed.value is error
    settled = log.outcomes[0].error
    assert settled is not None
    assert (settled.kind, settled.sent, settled.transient, settled.message) == (
        error.kind,
        Sent.NEVER,
        error.transient,
        error.message,
    )


@pytest.mark.anyio
async def test_a_cancelled_attempt_leaves_its_intent(virtual_time: Callable[[], float]) -> None:
    """Nobody knows how it ended, and the journal says so."""
    log = Log()
    with anyio.move_on_after(1):
        await journaled(ending(log, OK), log)(REQUEST)
    assert log.told == ["intend", "send"]


@pytest.mark.anyio
async def test_how_long_an_attempt_of_an_earlier_process_took_is_not_known(virtual_time: Callable[[], float]) -> None:
    """It was sent by another clock."""
    log = Log(attempt=Attempt(7, "resp_1"))
    assert await journaled(ending(log, OK), log)(REQUEST) is OK
    assert log.outcomes == [Outcome(None, reply=OK)]


@pytest.mark.anyio
async def test_nothing_is_sent_when_the_intent_cannot_be_written(virtual_time: Callable[[], float]) -> None:
    """A full disk costs no money."""
    log = Log(full="intend")
    with pytest.raises(DiskFailed):
        await journaled(ending(log, OK), log)(REQUEST)
    assert log.told == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    "end", [OK, AttemptError("no", kind="server", sent=Sent.MAYBE, transient=True), MediaError("gone")]
)
async def test_an_outcome_that_cannot_be_written_stops_the_run(
    virtual_time: Callable[[], float], end: Reply | RowError
) -> None:
    """It is neither returned nor tried again as if nothing had happened."""
    log = Log(full="settle")
    with pytest.raises(DiskFailed):
        await journaled(ending(log, end), log)(REQUEST)


# -- against the fields ----------------------------------------------------------------------------------------------

FIELDS = Fields.parse({"n": "int"})


async def checked(reply: Reply, fields: Fields | None = FIELDS) -> Reply:
    """Return what becomes of a reply."""

    async def post(request: Request) -> Reply:
        return reply

    return await conforming(post, fields)(REQUEST)


@pytest.mark.anyio
async def test_an_answer_that_fits_passes() -> None:
    """As it came."""
    reply = Reply(Status.OK, text='{"n": 1}')
    assert await checked(reply) is reply


@pytest.mark.anyio
@pytest.mark.parametrize("text", ["", "n = 1", '{"n": "one"}', '{"n": 1', "{}", "[1]"])
async def test_an_answer_that_does_not_fit_is_invalid(text: str) -> None:
    """Text and usage are kept, for they are paid, and the reason is said."""
    reply = await checked(Reply(Status.OK, text=text, usage=Usage(1, 0, 1, 0, 2), response_id="r"))
    assert (reply.status, reply.error_code, reply.text, reply.response_id) == (Status.INVALID, "schema", text, "r")
    assert reply.error_message
    assert reply.usage.total_tokens == 2


@pytest.mark.anyio
@pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK])
async def test_only_a_good_answer_is_held_against_the_fields(status: Status) -> None:
    """A refusal or a cut-off text has its own name already."""
    reply = Reply(status, text="no JSON")
    assert await checked(reply) is reply


@pytest.mark.anyio
async def test_without_fields_any_text_passes() -> None:
    """Plain text is what was asked for."""
    reply = Reply(Status.OK, text="no JSON")
    assert await checked(reply, None) is reply
