"""The innermost layers: the bytes that leave, and when the journal hears of them."""

from __future__ import annotations

import io
import os
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.client.http import Answer, Hear
from pipeline.client.loader import Loader
from pipeline.client.send import conforming, journaled, media_of, sending, serialized
from pipeline.errors import AttemptError, DiskFailed, MediaError, PromptError, RowError, Sent
from pipeline.records import Attempt, Claim, Media, Outcome, Post, Reply, Request, Status, Usage
from pipeline.spec.fields import Fields
from pipeline.spec.provider import Provider
from pipeline.spec.rules import MediaRules
from pipeline.wire.dialect import DIALECTS, Endpoint
from pipeline.wire.signals import RateHeaders

if TYPE_CHECKING:
    from tests.conftest import FileServer

OPENAI = DIALECTS["openai"]
REQUEST = Request(3, "m", {"model": "m", "input": "hi"}, b"0" * 16, 10)


def picture(form: str = "PNG", size: int = 1) -> bytes:
    """Return a small picture."""
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), "red").save(buffer, form)
    return buffer.getvalue()


def cell(data: bytes) -> Media:
    """Return bytes of a cell."""
    return Media(identity="", label="photo", data=data)


def pictures(**rules: object) -> Loader:
    """Return the pictures of a run by these rules."""
    return Loader(MediaRules.model_validate(rules), OPENAI)


# -- the body's bytes ------------------------------------------------------------------------------------------------

PICTURES = [picture("PNG"), picture("JPEG", 9), picture("GIF"), picture("WEBP", 30)]
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
BODY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXT | st.sampled_from(PICTURES),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)
TYPES = dict(zip(PICTURES, ("png", "jpeg", "gif", "webp"), strict=True))


def naive(value: object) -> object:
    """Replace each picture by its data URI, as one would who has memory to spare."""
    if isinstance(value, dict):
        return {key: naive(item) for key, item in value.items()}
    if isinstance(value, list):
        return [naive(item) for item in value]
    return f"data:image/{TYPES[value]};base64,{b64encode(value).decode()}" if isinstance(value, bytes) else value


def referring(value: object) -> object:
    """Replace each picture by a reference, as requests hold it."""
    if isinstance(value, dict):
        return {key: referring(item) for key, item in value.items()}
    if isinstance(value, list):
        return [referring(item) for item in value]
    return cell(value) if isinstance(value, bytes) else value


@given(BODY)
def test_pictures_stand_where_plain_json_would_have_them(value: object) -> None:
    """Any number of them, anywhere, beside any text: the bytes are those of JSON with data URIs."""
    body = {"input": value}

    async def send() -> bytes:
        return await serialized({"input": referring(value)}, pictures())

    assert anyio.run(send) == orjson.dumps(naive(body))


@pytest.mark.anyio
async def test_files_and_cells_and_urls_go_together(tmp_path: Path) -> None:
    """A file's bytes are read when it is sent, a URL is left to the provider, and each is at its place."""
    (tmp_path / "a").write_bytes(PICTURES[1])
    shown = [
        Media(identity="", label="a", path=tmp_path / "a"),
        Media(identity="", label="u", url="https://x/y?a=ä\u2028"),
        cell(PICTURES[0]),
    ]
    sent = orjson.loads(await serialized({"input": [*shown, "data:image/png;base64,mine"]}, pictures()))
    assert sent["input"] == [
        naive(PICTURES[1]),
        "https://x/y?a=ä\u2028",
        naive(PICTURES[0]),
        "data:image/png;base64,mine",
    ]


@pytest.mark.anyio
async def test_no_text_of_a_row_can_take_a_pictures_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in for a picture has 128 random bits, drawn anew for each request, so no row can know it."""
    drawn: list[bytes] = []
    draw = os.urandom

    def recorded(size: int) -> bytes:
        drawn.append(draw(size))
        return drawn[-1]

    monkeypatch.setattr(os, "urandom", recorded)
    for _ in range(3):
        texts = [token.hex() for token in drawn]
        sent = orjson.loads(await serialized({"texts": texts, "image": cell(PICTURES[0])}, pictures()))
        assert sent == {"texts": texts, "image": naive(PICTURES[0])}
    assert [len(token) for token in drawn] == [16, 16, 16]
    assert len(set(drawn)) == 3


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        (cell(b"no picture"), MediaError, "photo: the image is not a JPEG"),
        (Media(identity="", label="gone.png", path=Path("/nowhere/gone.png")), MediaError, "cannot read gone.png"),
        (b"bytes", PromptError, "JSON cannot carry"),
        ("\ud800", PromptError, "JSON cannot carry"),
        (2**64, PromptError, "JSON cannot carry"),
    ],
)
async def test_what_cannot_be_sent_fails_the_row(value: object, error: type[RowError], said: str) -> None:
    """Before anything leaves."""
    with pytest.raises(error, match=said):
        await serialized({"input": value}, pictures())


@pytest.mark.anyio
async def test_large_pictures_are_put_in_as_small_ones_are() -> None:
    """Elsewhere, so that others need not wait, but with the same bytes."""
    noise = Image.frombytes("RGB", (700, 700), os.urandom(700 * 700 * 3))
    buffer = io.BytesIO()
    noise.save(buffer, "PNG")
    sent = orjson.loads(
        await serialized({"input": [cell(buffer.getvalue()), "between", cell(PICTURES[0])]}, pictures())
    )
    large = f"data:image/png;base64,{b64encode(buffer.getvalue()).decode()}"
    assert sent["input"] == [large, "between", naive(PICTURES[0])]


PDF = (Path(__file__).parents[2] / "data" / "documents" / "pond.pdf").read_bytes()
PDF_URI = f"data:application/pdf;base64,{b64encode(PDF).decode()}"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("media", "part", "sent"),
    [
        ({"url": "https://x/a.pdf"}, {"file_url": ...}, {"file_url": "https://x/a.pdf"}),
        ({"data": PDF, "filename": "a.pdf"}, {"file_data": ...}, {"file_data": PDF_URI, "filename": "a.pdf"}),
        (
            {"data": PDF},
            {"file_data": ..., "detail": "low"},
            {"file_data": PDF_URI, "filename": "file.pdf", "detail": "low"},
        ),
        (
            {"data": b"a text"},
            {"file_data": ...},
            {"file_data": "data:text/plain;base64,YSB0ZXh0", "filename": "file.txt"},
        ),
    ],
)
async def test_a_file_goes_with_its_bytes_and_its_name(
    media: dict[str, Any], part: dict[str, Any], sent: dict[str, str]
) -> None:
    """A URL needs none; what has no name gets one by its type."""
    reference = Media(identity="", label="f", kind="file", **media)
    content = {"type": "input_file", **{name: reference if value is ... else value for name, value in part.items()}}
    body = {"input": [{"role": "user", "content": [content]}]}
    assert orjson.loads(await serialized(body, pictures()))["input"][0]["content"] == [{"type": "input_file", **sent}]


@pytest.mark.anyio
async def test_a_file_that_is_fetched_here_is_no_url_any_more(file_server: FileServer) -> None:
    """Its bytes go where bytes belong, under the last name of its URL, beside what else the part says."""
    file_server.files["pond.pdf"] = PDF
    url = file_server.url("pond.pdf")
    out = pictures(send="inline", fetch=True, allow_private=True)
    reference = Media(identity="", label="f", kind="file", url=url, filename="pond.pdf")
    part = {"type": "input_file", "file_url": reference, "detail": "high"}
    async with out:
        sent = orjson.loads(await serialized({"input": [{"content": [part]}]}, out))
    assert sent["input"][0]["content"] == [
        {"type": "input_file", "detail": "high", "filename": "pond.pdf", "file_data": PDF_URI}
    ]


def test_the_pictures_of_a_body_are_found_in_their_order() -> None:
    """However deep they lie."""
    one, two = cell(b"1"), cell(b"2")
    assert list(media_of({"a": [{"b": one}, "text", 3], "c": {"d": (two,)}})) == [one, two]


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
