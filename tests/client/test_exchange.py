"""HTTP against servers that misbehave, over both transports: what came, how far a request got, and how long that may take."""

from __future__ import annotations

import asyncio
import gc
import gzip
import socket
import ssl
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from raw_server import OK, Clock, Handler, Server, failing, http_with, post, saying, serving

from pipeline.client import exchange
from pipeline.client.exchange import MAX_BODY_BYTES, Answer
from pipeline.errors import AttemptError, Sent

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("transport")]


# -- what comes back -------------------------------------------------------------------------------------------------


async def test_an_answer_comes_whole() -> None:
    """Status, headers by lower-case names with doubled ones joined, and the body; and the request left as it was given."""
    said = b'HTTP/1.1 429 Slow down\r\nX-A: 1\r\nx-a: 2\r\nRetry-After: 3\r\ncontent-length: 7\r\n\r\n{"a":1}'
    async with serving(saying(said, then="close")) as server:
        answer = await post(server.url, b'{"b": 2}', {"authorization": "Bearer k", "x-b": "c"})
    assert (answer.status, answer.content) == (429, b'{"a":1}')
    assert (answer.headers["x-a"], answer.headers["retry-after"]) == ("1, 2", "3")
    (request,) = server.requests
    assert request.startswith(b"POST /v1/responses HTTP/1.1\r\n")
    assert request.endswith(b'\r\n\r\n{"b": 2}')
    assert b"authorization: Bearer k\r\n" in request.replace(b"Authorization", b"authorization")


async def test_pieces_are_heard_as_they_come() -> None:
    """Each once, decoded and in order, before the answer is whole."""
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: "
    packed = gzip.compress(b"data: 1\n\ndata: 2\n\n")
    heard: list[bytes] = []
    said = saying(head + b"%d\r\n\r\n" % len(packed), packed[:20], packed[20:], then="close")
    async with serving(said) as server, http_with() as http:
        answer = await http.post(server.url, {}, b"{}", heard.append)
    assert b"".join(heard) == answer.content == b"data: 1\n\ndata: 2\n\n"


@pytest.mark.parametrize("status", [200, 301, 302, 307, 308, 400, 401, 404, 500, 503])
async def test_every_status_is_an_answer(status: int) -> None:
    """What it means is for the wire package to say."""
    async with serving(saying(b"HTTP/1.1 %d X\r\ncontent-length: 1\r\n\r\n!" % status, then="close")) as server:
        assert (await post(server.url)).status == status


async def test_a_body_may_come_in_chunks() -> None:
    """As streams do, in pieces of any size."""
    said = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n", b"1\r\nc\r\n", b"0\r\n\r\n"
    async with serving(saying(*said)) as server:
        assert (await post(server.url)).content == b"abc"


async def test_a_body_without_a_length_ends_with_its_connection() -> None:
    """Old servers and some proxies answer so; whether it is whole, its JSON must tell."""
    async with serving(saying(b"HTTP/1.1 200 OK\r\n\r\n{}", then="close")) as server:
        assert (await post(server.url)).content == b"{}"


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_compressed_body_is_unpacked(encoding: str) -> None:
    """The body is what was said, not how it was packed."""
    body = gzip.compress(b"{}" * 99)
    if encoding == "deflate":
        import zlib

        body = zlib.compress(b"{}" * 99)
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    async with serving(saying(head + body)) as server:
        assert (await post(server.url)).content == b"{}" * 99


async def test_a_broken_compression_may_have_been_paid() -> None:
    """An answer came, and it cannot be read."""
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 9\r\n\r\n"
    async with serving(saying(head + b"not gzip!")) as server:
        error = await failing(server.url)
    assert (error.kind, error.sent, error.transient) == ("bad_body", Sent.MAYBE, True)


async def test_a_body_that_is_too_large_is_not_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its row fails for good: the same question would get the same answer."""
    monkeypatch.setattr(exchange, "MAX_BODY_BYTES", 2**20)
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % 2**40
    async with serving(saying(head, *[b" " * 2**16] * 17)) as server:
        error = await failing(server.url)
    assert (error.kind, error.sent, error.transient, error.scope) == ("bad_body", Sent.MAYBE, False, "row")
    assert "larger than 1 MiB" in error.message
    assert MAX_BODY_BYTES == 64 * 2**20


async def test_a_body_that_unpacks_to_too_much_is_not_unpacked_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cap counts what it becomes, not what was sent."""
    monkeypatch.setattr(exchange, "MAX_BODY_BYTES", 2**20)
    body = gzip.compress(b" " * 2**24)
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body)
    async with serving(saying(head + body)) as server:
        assert (await failing(server.url)).kind == "bad_body"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    """The key and the prompt go to the address of the spec and nowhere else."""
    async with serving(saying(OK)) as elsewhere:
        said = f"HTTP/1.1 {status} Moved\r\nlocation: {elsewhere.url}\r\ncontent-length: 0\r\n\r\n".encode()
        async with serving(saying(said)) as server:
            answer = await post(server.url, headers={"authorization": "Bearer secret"})
    assert (answer.status, elsewhere.connections) == (status, 0)


async def test_a_request_is_forgotten_with_its_answer() -> None:
    """Bodies hold whole pictures: with the collector switched off, nothing of a sent one is kept."""
    body = bytes(100_000)
    gc.disable()
    try:
        async with serving(saying(OK, then="again")) as server, http_with() as http:
            before = sys.getrefcount(body)
            answers = [await http.post(server.url, {}, body) for _ in range(3)]
            assert sys.getrefcount(body) == before
    finally:
        gc.enable()
    assert [answer.status for answer in answers] == [200] * 3


# -- connections -----------------------------------------------------------------------------------------------------


async def test_a_connection_is_used_again() -> None:
    """One after the other, requests share one connection."""
    async with serving(saying(OK, then="again")) as server, http_with() as http:
        for _ in range(3):
            await http.post(server.url, {}, b"{}")
    assert (server.connections, len(server.requests)) == (1, 3)


async def test_requests_in_the_air_have_a_connection_each() -> None:
    """None waits for another's answer, and later ones find those connections idle."""
    async with serving(saying(OK, then="again")) as server, http_with() as http:
        for _ in range(2):
            async with anyio.create_task_group() as group:
                for _ in range(5):
                    group.start_soon(http.post, server.url, {}, b"{}")
    assert (server.connections, len(server.requests)) == (5, 10)


@pytest.mark.parametrize("then", ["close", "reset"])
async def test_a_connection_that_was_closed_while_idle_costs_no_attempt(then: str) -> None:
    """A server may close after any answer; the next request opens another connection and does not fail."""
    async with serving(saying(OK, then=then)) as server, http_with() as http:
        for _ in range(3):
            assert (await http.post(server.url, {}, b"{}")).status == 200
            await anyio.wait_all_tasks_blocked()
            await anyio.sleep(0.01)  # for the kernel to carry the end of the connection over
    assert (server.connections, len(server.requests)) == (3, 3)


async def test_a_connection_is_not_used_again_after_a_failure() -> None:
    """The rest of a late answer must not be taken for the next one's."""

    def of(server: Server) -> Handler:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await server.read(reader)
            first = len(server.requests) == 1
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nold" if first else OK)
            await asyncio.Event().wait()

        return handle

    async with serving(of) as server, http_with(idle_s=0.05) as http:
        with pytest.raises(AttemptError):
            await http.post(server.url, {}, b"{}")
        assert (await http.post(server.url, {}, b"{}")).content == b"{}"
    assert server.connections == 2


async def test_a_cancelled_request_leaves_a_client_that_works() -> None:
    """What was cancelled amid its answer closes its connection and harms nobody after it."""
    async with (
        serving(saying(OK[:-1], then="stay")) as slow,
        serving(saying(OK)) as fast,
        http_with() as http,
    ):
        with anyio.move_on_after(0.05):
            await http.post(slow.url, {}, b"{}")
        assert (await http.post(fast.url, {}, b"{}")).status == 200


# -- how far it got --------------------------------------------------------------------------------------------------


async def test_a_refused_connection_was_never_sent() -> None:
    """Nobody listens: nothing left, and waiting may help."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound, but not listening
        error = await failing(f"http://127.0.0.1:{bound.getsockname()[1]}/v1")
    assert (error.kind, error.sent, error.transient) == ("connect", Sent.NEVER, True)


async def test_an_unknown_name_was_never_sent() -> None:
    """Names may be unknown for a moment."""
    error = await failing("http://no-such-host.invalid/v1")
    assert (error.kind, error.sent, error.transient) == ("connect", Sent.NEVER, True)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/v1", "http://", "nonsense"])
async def test_an_address_that_is_none_was_never_sent(url: str) -> None:
    """And trying again does not mend it."""
    error = await failing(url)
    assert (error.sent, error.transient, error.scope) == (Sent.NEVER, False, "row")


@pytest.mark.parametrize("headers", [{"x-a": "größe"}, {"größe": "a"}, {"x-a": "a\nb"}, {"x a": "b"}])
async def test_a_header_that_is_none_was_never_sent(headers: dict[str, str]) -> None:
    """It fails with a name and not with a traceback."""
    async with serving(saying(OK)) as server:
        error = await failing(server.url, headers=headers)
    assert (error.kind, error.sent, error.transient, server.requests) == ("protocol", Sent.NEVER, False, [])


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize(
    "pieces",
    [
        (),
        (b"HTTP/1.1 200",),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n",),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n", b'{"half"'),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7\r\n", b"{}"),
        (b"HTTP/1.1 100 Continue\r\n\r\n",),
    ],
    ids=["nothing", "half a line", "no body", "half a body", "half a chunk", "continue"],
)
async def test_what_was_sent_and_not_wholly_answered_may_have_been_paid(pieces: tuple[bytes, ...], then: str) -> None:
    """However much of the answer came, and whether the connection was closed or reset."""
    async with serving(saying(*pieces, then=then)) as server:
        error = await failing(server.url)
    assert (error.kind, error.sent, error.transient) == ("disconnected", Sent.MAYBE, True)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "said",
    [b"220 ftp.example ready\r\n", b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", b"\0" * 99],
)
async def test_what_is_no_http_may_have_been_paid(said: bytes, transport: str) -> None:
    """Something answered, and nobody knows what it did. What began as a good answer is not bought again by our own transport."""
    async with serving(saying(said, then="close")) as server:
        error = await failing(server.url)
    assert (error.kind, error.sent) == ("disconnected", Sent.MAYBE)
    assert error.transient is not (transport == "direct" and said.startswith(b"HTTP/1.1 200"))


async def test_a_server_that_hangs_up_on_a_large_body_may_have_been_paid() -> None:
    """Some of the request left."""

    def of(server: Server) -> Handler:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10)
            writer.transport.abort()

        return handle

    async with serving(of) as server:
        assert (await failing(server.url, b" " * 2**24)).sent is Sent.MAYBE


# -- what costs nothing ----------------------------------------------------------------------------------------------


async def call(method: str, url: str, **deadlines: float) -> Answer:
    """Send a request without a body."""
    async with http_with(**deadlines) as http:
        return await http.call(method, url, {"authorization": "Bearer k"})


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_request_without_a_body_goes_the_same_way(method: str) -> None:
    """With its headers, on a connection that is used again, and every status is an answer."""
    async with (
        serving(saying(OK.replace(b"200 OK", b"404 Gone"), then="again")) as server,
        http_with() as http,
    ):
        await http.post(server.url, {}, b"{}")
        answer = await http.call(method, f"{server.url}/resp_1", {"authorization": "Bearer k"})
    assert (answer.status, answer.content, server.connections) == (404, b"{}", 1)
    head = server.requests[1].lower()
    assert head.startswith(f"{method} /v1/responses/resp_1 http/1.1\r\n".lower().encode())
    assert b"authorization: bearer k\r\n" in head
    assert head.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("pieces", "then"), [((), "close"), ((), "reset"), ((OK[:-1],), "close"), ((b"no http\r\n\r\n",), "close")]
)
async def test_a_request_that_costs_nothing_was_never_paid(pieces: tuple[bytes, ...], then: str) -> None:
    """However far it got, asking again is free."""
    async with serving(saying(*pieces, then=then)) as server:
        with pytest.raises(AttemptError) as failed:
            await call("GET", server.url)
    assert (failed.value.kind, failed.value.sent, failed.value.transient) == ("disconnected", Sent.NEVER, True)


async def test_a_request_that_costs_nothing_has_the_same_deadlines(virtual_time: Clock) -> None:
    """They are counted from the moment it leaves, and passing them costs nothing either."""
    async with serving(saying()) as server:
        with pytest.raises(AttemptError) as failed:
            await call("GET", server.url, first_byte_s=30)
        assert virtual_time() == pytest.approx(30, abs=0.5)
    assert (failed.value.kind, failed.value.sent, failed.value.transient) == ("timeout", Sent.NEVER, True)


# -- how long it may take --------------------------------------------------------------------------------------------


async def test_a_server_that_never_answers_is_left_at_the_first_byte_deadline(virtual_time: Clock) -> None:
    """Counted from the moment the request leaves, and not a second later."""
    async with serving(saying()) as server:
        start = virtual_time()
        error = await failing(server.url, first_byte_s=30, connect_s=15, total_s=600)
        assert virtual_time() - start == pytest.approx(30, abs=0.5)
    assert (error.kind, error.sent, error.transient) == ("timeout", Sent.MAYBE, True)
    assert "first byte, after 30 s" in error.message


async def test_an_answer_that_stalls_is_left_at_the_idle_deadline(virtual_time: Clock) -> None:
    """Counted from its last piece."""
    async with serving(saying(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{")) as server:
        start = virtual_time()
        error = await failing(server.url, idle_s=20, first_byte_s=300)
        assert virtual_time() - start == pytest.approx(20, abs=0.5)
    assert (error.kind, error.sent) == ("timeout", Sent.MAYBE)
    assert "next piece" in error.message


def dribbling(every_s: float) -> Callable[[Server], Handler]:
    """Return a server that sends a byte of its body now and then, for ever."""

    def of(server: Server) -> Handler:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await server.read(reader)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n")
            while True:
                writer.write(b" ")
                await writer.drain()
                await anyio.sleep(every_s)

        return handle

    return of


async def test_a_dribble_cannot_extend_the_whole_attempt(virtual_time: Clock) -> None:
    """A byte now and then keeps the idle deadline away, and not the total one."""
    async with serving(dribbling(5)) as server:
        start = virtual_time()
        error = await failing(server.url, idle_s=10, total_s=60)
        assert virtual_time() - start == pytest.approx(60, abs=0.5)
    assert (error.kind, error.sent, error.transient) == ("timeout", Sent.MAYBE, True)
    assert "whole attempt, after 60 s" in error.message


async def test_a_slow_answer_within_its_deadlines_is_an_answer(virtual_time: Clock) -> None:
    """Deadlines are for what is due next, not for what has come."""

    def of(server: Server) -> Handler:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await server.read(reader)
            await anyio.sleep(25)
            for byte in OK:
                writer.write(bytes([byte]))
                await writer.drain()
                await anyio.sleep(9)

        return handle

    async with serving(of) as server:
        assert (await post(server.url, first_byte_s=30 + 9 * len(OK), idle_s=10, total_s=10_000)).content == b"{}"


async def test_a_connection_that_is_not_made_in_time_was_never_sent(virtual_time: Clock) -> None:
    """Also where the total deadline is shorter: nothing left, so nothing was paid."""

    def of(server: Server) -> Handler:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asyncio.Event().wait()  # the handshake is never answered

        return handle

    async with serving(of) as server:
        url = server.url.replace("http:", "https:")
        for deadlines, seconds in (({"connect_s": 7}, 7), ({"total_s": 5}, 2.5)):
            start = virtual_time()
            error = await failing(url, **deadlines)
            assert virtual_time() - start == pytest.approx(seconds, abs=0.5)
            assert (error.kind, error.sent, error.transient) == ("connect", Sent.NEVER, True)


# -- encryption ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_certificate_that_is_not_trusted_stops_the_run(server_tls: ssl.SSLContext, host: str) -> None:
    """Nothing is sent to whom one does not know, trying again is vain, and the hint says how to trust a company's own."""
    async with serving(saying(OK), server_tls) as server:
        error = await failing(server.url.replace("127.0.0.1", host), headers={"authorization": "Bearer secret"})
    assert (error.kind, error.sent, error.transient, error.scope) == ("certificate", Sent.NEVER, False, "run")
    assert "SSL_CERT_FILE" in str(error.hint)
    assert server.requests == []


async def test_an_authority_may_be_added_by_the_environment(
    server_tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``SSL_CERT_FILE`` names whom to trust; another name than the certificate's is still refused."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with serving(saying(OK), server_tls) as server:
        assert (await post(server.url)).content == b"{}"
        assert (await failing(server.url.replace("127.0.0.1", "localhost"))).kind == "certificate"


async def test_a_certificate_whose_time_is_over_stops_the_run(expired: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of a server that was trusted yesterday."""
    monkeypatch.setenv("SSL_CERT_FILE", str(expired))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(expired)
    async with serving(saying(OK), context) as server:
        error = await failing(server.url)
    assert (error.kind, error.sent, error.scope) == ("certificate", Sent.NEVER, "run")
    assert "expired" in error.message


async def test_a_server_without_encryption_was_never_sent_anything() -> None:
    """An https address of an http server is a failed connection."""

    def of(server: Server) -> Handler:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        return handle

    async with serving(of) as server:
        error = await failing(server.url.replace("http:", "https:"))
    assert (error.kind, error.sent) == ("connect", Sent.NEVER)
