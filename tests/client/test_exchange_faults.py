"""The fault matrix: what each transport makes of a server that breaks off, lies, floods or hangs, on both event loops.

Our own transport is the default because it passes this. Where the two differ, the table below says so, and why.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import ssl
import traceback
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import anyio
import pytest
from raw_server import OK, Handler, Server, failing, http_with, post, saying, serving

from pipeline.client import exchange
from pipeline.client.exchange import Answer
from pipeline.errors import AttemptError, Sent

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("transport")]

KEY = "sk-canary-0123456789"
HEADERS = {"authorization": f"Bearer {KEY}"}
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"x-a: 1\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n1;a=b\r\n \r\n0\r\nx-trailer: 1\r\n\r\n"
WITH_LENGTH = HEAD + b"x-a: 1\r\ncontent-length: 3\r\n\r\n{} "
ZIPPED = gzip.compress(b"{}" * 500)
BOMB = gzip.compress(bytes(2**22))
CAP = 2**20  # of a body, in these tests


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """Run each test on both event loops."""
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture(autouse=True)
def _small_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "MAX_BODY_BYTES", CAP)


def sized(body: bytes, head: bytes = HEAD) -> bytes:
    """Return an answer with its length."""
    return head + b"content-length: %d\r\n\r\n" % len(body) + body


def zipped(body: bytes) -> bytes:
    """Return an answer that says its body is gzip."""
    return sized(body, HEAD + b"content-encoding: gzip\r\n")


def stock_fails(transport: str, request: pytest.FixtureRequest, reason: str) -> None:
    """Say that stock httpx fails the test, and why; the test fails when it does no more."""
    if transport == "httpx":
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))


@dataclass(frozen=True)
class Case:
    """What a server says to a request before it closes, and what becomes of the attempt: a body, or the kind of a failure."""

    said: bytes
    body: bytes | None = None
    kind: str | None = None
    transient: bool = True
    stock: bytes | str | None = None
    """The body or the kind that stock httpx makes of it, where it differs. It takes any nonsense for a connection that broke: transient."""


CASES = {
    "a status line of nonsense": Case(b"HTTP/1.1 abc OK\r\n\r\n", kind="disconnected"),
    "another protocol": Case(b"220 mail.example ESMTP\r\n", kind="disconnected"),
    "an oversize header": Case(
        HEAD + b"x-a: " + b"a" * 300_000 + b"\r\ncontent-length: 0\r\n\r\n", kind="disconnected", transient=False
    ),
    "endless headers": Case(HEAD + b"x-a: 1\r\n" * 40_000, kind="disconnected", transient=False),
    "an oversize body with its length": Case(sized(bytes(CAP + 1)), kind="bad_body", transient=False),
    "an oversize body in chunks": Case(
        HEAD + b"transfer-encoding: chunked\r\n\r\n" + (b"10000\r\n" + bytes(65536) + b"\r\n") * 17 + b"0\r\n\r\n",
        kind="bad_body",
        transient=False,
    ),
    "an oversize body without a length": Case(HEAD + b"\r\n" + bytes(CAP + 1), kind="bad_body", transient=False),
    "a gzip bomb": Case(zipped(BOMB), kind="bad_body", transient=False),
    "a body as large as may be": Case(zipped(gzip.compress(bytes(CAP))), body=bytes(CAP)),
    "no gzip at all": Case(zipped(b"no gzip here"), kind="bad_body"),
    # httpx takes what it could unpack for the whole body; half a text would pass for an answer.
    "half a gzip": Case(zipped(ZIPPED[:-9]), kind="bad_body", stock=b"{}" * 500),
    "gzip in two members": Case(zipped(ZIPPED + ZIPPED), body=b"{}" * 1000, stock=b"{}" * 500),
    "gzip with padding": Case(zipped(ZIPPED + bytes(9)), body=b"{}" * 500),
    "deflate without a wrapper": Case(
        sized(zlib.compress(b"{}" * 9)[2:-4], HEAD + b"content-encoding: deflate\r\n"), body=b"{}" * 9
    ),
    # httpx takes the packed bytes for the body.
    "a coding that nobody asked for": Case(
        sized(b"{}", HEAD + b"content-encoding: br\r\n"), kind="bad_body", transient=False, stock=b"{}"
    ),
    "a refusal in a coding that nobody asked for": Case(
        sized(b"{}", b"HTTP/1.1 429 No\r\ncontent-encoding: br\r\n"), body=b"{}"
    ),
    "gzip in gzip": Case(sized(gzip.compress(ZIPPED), HEAD + b"content-encoding: gzip, gzip\r\n"), body=b"{}" * 500),
    "interim answers": Case(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: a\r\n\r\n" + OK, body=b"{}"),
    "chunks with extensions and trailers": Case(CHUNKED, body=b"{} "),
    "HTTP/1.0": Case(b"HTTP/1.0 200 OK\r\n\r\n{}", body=b"{}"),
    "no reason": Case(b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\n{}", body=b"{}"),
    "no body": Case(b"HTTP/1.1 204 Nothing\r\n\r\n", body=b""),
    "line feeds alone": Case(b"HTTP/1.1 200 OK\ncontent-length: 2\n\n{}", body=b"{}"),
    "a length beside chunks": Case(
        HEAD + b"content-length: 9\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", body=b"{}"
    ),
    "a folded header": Case(HEAD + b"x-a: 1\r\n 2\r\ncontent-length: 2\r\n\r\n{}", body=b"{}"),
    "spaces behind a chunk's size": Case(HEAD + b"transfer-encoding: chunked\r\n\r\n2 \r\n{}\r\n0\r\n\r\n", body=b"{}"),
    "one length twice": Case(HEAD + b"content-length: 2\r\nContent-Length: 2\r\n\r\n{}", body=b"{}"),
    "one length twice in a line": Case(HEAD + b"content-length: 2, 2\r\n\r\n{}", body=b"{}"),
    "one length twice after an interim answer": Case(
        b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"content-length: 2\r\ncontent-length: 2\r\n\r\n{}", body=b"{}"
    ),
    "two lengths": Case(
        HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}", kind="disconnected", transient=False
    ),
    "two lengths of an error": Case(
        b"HTTP/1.1 502 No\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}", kind="disconnected"
    ),
    "a chunk of nonsense": Case(
        HEAD + b"transfer-encoding: chunked\r\n\r\nxyz\r\n", kind="disconnected", transient=False
    ),
    "an unknown transfer coding": Case(
        HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", kind="disconnected", transient=False
    ),
    "another protocol from here on": Case(
        b"HTTP/1.1 101 Go\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nabc", kind="disconnected"
    ),
    "bytes that are no UTF-8": Case(b"HTTP/1.1 200 \xff\r\nx-a: \xff\r\ncontent-length: 2\r\n\r\n{}", body=b"{}"),
    "bytes after the answer": Case(OK + b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", body=b"{}"),
    "garbage after the answer": Case(OK + b"\0garbage", body=b"{}"),
}


@pytest.mark.parametrize("sliced", [False, True], ids=["at once", "sliced"])
@pytest.mark.parametrize("name", CASES)
async def test_each_fault_has_its_outcome(name: str, sliced: bool, transport: str) -> None:
    """The same in one piece and in small ones; what fails may have been paid, and no text shows the key."""
    case = CASES[name]
    expected = case.stock if transport == "httpx" and case.stock is not None else (case.kind or case.body)
    step = max(len(case.said) // 200, 1) if sliced else len(case.said)
    pieces = [case.said[at : at + step] for at in range(0, len(case.said), step)]
    async with serving(saying(*pieces, then="close")) as server:
        if isinstance(expected, str):
            error = await failing(server.url, headers=HEADERS)
            transient = case.transient or (transport == "httpx" and expected == "disconnected")
            assert (error.kind, error.sent, error.transient) == (expected, Sent.MAYBE, transient)
            assert KEY not in "".join(traceback.format_exception(error)) + repr(vars(error))
        else:
            assert (await post(server.url, headers=HEADERS)).content == expected
    assert len(server.requests) == 1


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize("said", [WITH_LENGTH, CHUNKED], ids=["length", "chunks"])
async def test_an_answer_that_ends_at_any_byte_may_have_been_paid(said: bytes, then: str) -> None:
    """Only with its last byte is it an answer."""

    def of(server: Server) -> Handler:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await saying(said[: server.connections - 1], then=then)(server)(reader, writer)

        return handle

    async with serving(of) as server, http_with() as http:
        for _ in said:
            with pytest.raises(AttemptError) as failed:
                await http.post(server.url, HEADERS, b"{}")
            error = failed.value
            assert (error.kind, error.sent, error.transient) == ("disconnected", Sent.MAYBE, True)
        if then == "close":  # the system may drop what a reset overtakes
            assert (await http.post(server.url, HEADERS, b"{}")).content == b"{} "
    assert len(server.requests) == server.connections


# -- whether a connection is used again ------------------------------------------------------------------------------


ENDINGS = {
    "length": (OK, True),
    "chunks": (CHUNKED, True),
    "204 with a length": (b"HTTP/1.1 204 No\r\ncontent-length: 9\r\n\r\n", False),
    "a length beside chunks": (
        HEAD + b"content-length: 9\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        False,
    ),
    "interim": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, False),
    "close": (sized(b"{}", HEAD + b"connection: close\r\n"), False),
    "1.0": (sized(b"{}", b"HTTP/1.0 200 OK\r\n"), False),
    "another answer": (OK + b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", False),
    "garbage": (OK + b"\0garbage", False),
}


TRUSTED_BY_STOCK = ("204 with a length", "a length beside chunks", "interim")
"""Where httpx uses the connection again. Ours does not: what can be read in two ways may have been, by a proxy on the way."""


@pytest.mark.parametrize("name", ENDINGS)
async def test_a_connection_is_used_again_only_where_nothing_can_follow(
    name: str, transport: str, request: pytest.FixtureRequest
) -> None:
    """What comes after an answer must not be taken for the next one's."""
    said, again = ENDINGS[name]
    if name in ("another answer", "garbage"):
        stock_fails(transport, request, "it keeps what follows an answer, and reads it as the next one's")
    if name in TRUSTED_BY_STOCK and transport == "httpx":
        again = True
    async with serving(saying(said, then="again")) as server, http_with() as http:
        for _ in range(3):
            assert (await http.post(server.url, HEADERS, b"{}")).status in (200, 204)
    assert server.connections == (1 if again else 3)


async def test_a_connection_that_speaks_unasked_is_not_used_again() -> None:
    """Such as a server that says it has waited for too long."""

    def of(server: Server) -> Handler:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await server.read(reader)
            writer.write(OK)
            await told.wait()
            os.write(writer.get_extra_info("socket").fileno(), b"HTTP/1.1 408 Too slow\r\ncontent-length: 0\r\n\r\n")
            written.set()
            await reader.read()

        return handle

    told, written = asyncio.Event(), asyncio.Event()
    async with serving(of) as server, http_with() as http:
        for _ in range(2):
            told.clear()
            assert (await http.post(server.url, HEADERS, b"{}")).status == 200
            told.set()
            await written.wait()
            written.clear()
            await anyio.sleep(0.01)  # for the kernel to carry it over
    assert server.connections == 2


async def test_a_request_on_a_used_connection_is_never_sent_twice() -> None:
    """A server that hangs up on the second request of a connection may have carried it out."""

    def of(server: Server) -> Handler:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await server.read(reader)
            writer.write(OK)
            await server.read(reader)

        return handle

    async with serving(of) as server, http_with() as http:
        await http.post(server.url, HEADERS, b"{}")
        with pytest.raises(AttemptError) as failed:
            await http.post(server.url, HEADERS, b"{}")
    assert (failed.value.kind, failed.value.sent) == ("disconnected", Sent.MAYBE)
    assert (len(server.requests), server.connections) == (2, 1)


async def test_an_answer_before_the_whole_request_is_an_answer(transport: str, request: pytest.FixtureRequest) -> None:
    """A server that refuses a large body says so and hangs up without reading it; its word is not lost over the broken pipe."""
    stock_fails(transport, request, "it stops at the broken pipe and does not look for an answer")
    said = sized(b"too large", b"HTTP/1.1 413 No\r\nconnection: close\r\n")

    def of(server: Server) -> Handler:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(said)
            await writer.drain()

        return handle

    async with serving(of) as server, http_with() as http:
        for _ in range(3):
            answer = await http.post(server.url, HEADERS, b" " * 2**23)
            assert (answer.status, answer.content) == (413, b"too large")


async def test_a_good_answer_to_half_a_request_is_not_believed(transport: str) -> None:
    """It can only be another's: it was made before the whole question was there."""
    if transport == "httpx":
        pytest.skip("it reads no answer before it has written all")

    def of(server: Server) -> Handler:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK)
            await asyncio.Event().wait()

        return handle

    async with serving(of) as server:
        error = await failing(server.url, b" " * 2**24, HEADERS)
    assert (error.kind, error.sent, error.transient) == ("disconnected", Sent.MAYBE, True)


# -- being cancelled -------------------------------------------------------------------------------------------------

PHASES = {"sent": b"", "amid the head": HEAD + b"x-", "amid the body": OK[:-1], "amid a chunk": CHUNKED[:70]}


@pytest.mark.parametrize("said", PHASES.values(), ids=PHASES)
async def test_what_is_cancelled_closes_its_connection(said: bytes) -> None:
    """At once, and not when the run ends: the server sees the end while others go on."""

    def of(server: Server) -> Handler:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await server.read(reader)
            writer.write(said)
            reached.set()
            with suppress(ConnectionError):
                await reader.read()
            closed.set()

        return handle

    reached, closed = asyncio.Event(), asyncio.Event()
    async with serving(of) as server, http_with() as http:
        async with anyio.create_task_group() as group:
            group.start_soon(http.post, server.url, HEADERS, b"{}")
            await reached.wait()
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
        with anyio.fail_after(5):
            await closed.wait()


async def test_a_handshake_that_is_cancelled_closes_its_connection(transport: str) -> None:
    """Although nothing was sent, no socket stays."""
    if transport == "httpx":
        pytest.skip("it leaves the socket to the collector, which warns of it some time later")

    def of(server: Server) -> Handler:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            reached.set()
            await reader.read()
            closed.set()

        return handle

    reached, closed = asyncio.Event(), asyncio.Event()
    async with serving(of) as server, http_with() as http:
        async with anyio.create_task_group() as group:
            group.start_soon(http.post, server.url.replace("http:", "https:"), HEADERS, b"{}")
            await reached.wait()
            group.cancel_scope.cancel()
        with anyio.fail_after(5):
            await closed.wait()


# -- encryption ------------------------------------------------------------------------------------------------------


@pytest.fixture
def trusted(certificate: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers' certificate is one that we trust."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


def breaking(said: bytes, how: Callable[[asyncio.StreamWriter], None]) -> Callable[[Server], Handler]:
    """Return a server that says something encrypted, and then breaks the connection below the encryption."""

    def of(server: Server) -> Handler:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await server.read(reader)
            writer.write(said)
            await writer.drain()
            how(writer)
            await asyncio.Event().wait()

        return handle

    return of


def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close the connection without the good-bye of TLS."""
    writer.transport.abort()


def talk_plainly(writer: asyncio.StreamWriter) -> None:
    """Say something that is not encrypted."""
    os.write(writer.get_extra_info("socket").fileno(), b"{} " * 99)


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("how", [hang_up, talk_plainly])
@pytest.mark.parametrize(
    "said", [b"", HEAD, WITH_LENGTH[:-1], CHUNKED[:-1]], ids=["nothing", "head", "length", "chunks"]
)
async def test_encryption_that_breaks_amid_an_answer_may_have_been_paid(
    said: bytes, how: Callable[[asyncio.StreamWriter], None], server_tls: ssl.SSLContext
) -> None:
    """Half an answer is none, whether it was cut or mixed with what is not encrypted."""
    async with serving(breaking(said, how), server_tls) as server:
        error = await failing(server.url, headers=HEADERS)
    assert (error.kind, error.sent, error.transient) == ("disconnected", Sent.MAYBE, True)
    assert KEY not in "".join(traceback.format_exception(error))


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("said", [WITH_LENGTH, CHUNKED], ids=["length", "chunks"])
async def test_encryption_that_ends_without_good_bye_after_an_answer_does_no_harm(
    said: bytes, server_tls: ssl.SSLContext
) -> None:
    """Many servers end so; the answer's own form says that it is whole."""
    async with serving(breaking(said, hang_up), server_tls) as server, http_with() as http:
        for _ in range(3):
            assert (await http.post(server.url, HEADERS, b"{}")).content == b"{} "


@pytest.mark.usefixtures("trusted")
async def test_encrypted_connections_carry_large_bodies_and_are_used_again(server_tls: ssl.SSLContext) -> None:
    """As plain ones do."""
    body = os.urandom(2**21)
    async with serving(saying(OK, then="again"), server_tls) as server, http_with() as http:
        answers: list[Answer] = [await http.post(server.url, HEADERS, body) for _ in range(3)]
    assert [answer.status for answer in answers] == [200] * 3
    assert server.connections == 1
    assert all(request.endswith(body) for request in server.requests)


async def test_a_server_that_hangs_up_on_the_handshake_was_never_sent_anything() -> None:
    """Nor one that talks nonsense: no byte of the request leaves before both know each other."""
    for said in (b"", b"\x16\x03\x03nonsense", os.urandom(99)):

        def of(server: Server, said: bytes = said) -> Handler:
            async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.read(1)
                writer.write(said)

            return handle

        async with serving(of) as server:
            error = await failing(server.url.replace("http:", "https:"), headers=HEADERS)
        assert (error.kind, error.sent, error.transient) == ("connect", Sent.NEVER, True)
