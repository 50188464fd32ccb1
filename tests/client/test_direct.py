"""What our own transport does beside what every transport does."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl

import anyio
import pytest
from raw_server import OK, Clock, Handler, Server, failing, saying, serving

from pipeline.client.connection import KEEP_S
from pipeline.client.direct import DirectHttp
from pipeline.client.http import authorities
from pipeline.client.reader import Reader
from pipeline.errors import AttemptError, Sent
from pipeline.spec.rules import Deadlines

pytestmark = pytest.mark.anyio
KEY = "sk-canary-0123456789"


def direct(**deadlines: float) -> DirectHttp:
    """Return a transport."""
    return DirectHttp(Deadlines.model_validate(deadlines), authorities)


async def test_the_head_of_a_request_is_made_once_for_the_same_headers() -> None:
    """They are known by identity: an equal copy is made anew, and each request has its own length."""
    headers = {"Authorization": f"Bearer {KEY}", "x-a": " b "}
    async with serving(saying(OK, then="again")) as server, direct() as http:
        await http.post(server.url, headers, b"12")
        made = http._head
        await http.post(server.url, headers, b"345")
        assert http._head is made
        await http.post(server.url, dict(headers), b"345")
        assert http._head is not made
    host = server.url.split("/")[2]
    first, second, third = server.requests
    assert first.decode() == (
        f"POST /v1/responses HTTP/1.1\r\nhost: {host}\r\naccept: */*\r\naccept-encoding: identity\r\n"
        f"user-agent: responses-pipeline\r\nauthorization: Bearer {KEY}\r\nx-a: b\r\ncontent-length: 2\r\n\r\n12"
    )
    assert second == third == first.replace(b"length: 2\r\n\r\n12", b"length: 3\r\n\r\n345")


async def test_other_headers_and_other_addresses_have_heads_of_their_own() -> None:
    """A key goes only where it was meant to go."""
    async with serving(saying(OK, then="again")) as one, serving(saying(OK, then="again")) as other, direct() as http:
        for server, name in ((one, "a"), (other, "b"), (one, "c")):
            await http.post(server.url, {"x-name": name}, b"{}")
    assert [b"x-name: a" in one.requests[0], b"x-name: c" in one.requests[1], b"x-name: b" in other.requests[0]] == [
        True
    ] * 3
    assert len(other.requests) == 1


async def test_a_refused_request_changes_nothing_for_the_next() -> None:
    """One that fails before it leaves must not turn the last one's head, with its key, to another server."""
    headers = {"authorization": f"Bearer {KEY}"}
    async with serving(saying(OK, then="again")) as one, serving(saying(OK, then="again")) as other, direct() as http:
        await http.post(one.url, headers, b"{}")
        with pytest.raises(AttemptError):
            await http.post(other.url, {"x-a": "\n"}, b"{}")
        await http.post(one.url, headers, b"{}")
    assert (len(one.requests), other.connections) == (2, 0)


async def test_no_object_shows_the_key() -> None:
    """Neither the transport nor a connection, idle or busy."""
    async with serving(saying(OK, then="again")) as server, direct() as http:
        await http.post(server.url, {"authorization": f"Bearer {KEY}"}, b"{}")
        assert KEY not in repr(http) + repr(http._open) + repr(http._servers)
        assert len(http._open) == 1


async def test_an_idle_connection_is_closed_in_time(virtual_time: Clock) -> None:
    """As many are open as are needed: the others go half a minute after their last answer."""
    async with serving(saying(OK, then="again")) as server, direct() as http:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(http.post, server.url, {}, b"{}")
        assert len(http._open) == 5
        for _ in range(8):
            await anyio.sleep(KEEP_S / 4)
            await http.post(server.url, {}, b"{}")
        assert len(http._open) == 1
        await anyio.sleep(KEEP_S + 1)
        assert len(http._open) == 0
    assert server.connections == 5


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
async def test_an_address_may_be_a_literal_of_ipv6() -> None:
    """With its brackets in the header."""
    server = Server(lambda reader, writer: saying(OK, then="close")(server)(reader, writer))
    try:
        listening = await asyncio.start_server(server.meet, "::1", 0)
    except OSError:
        pytest.skip("no IPv6 on loopback")
    port = listening.sockets[0].getsockname()[1]
    async with listening, direct() as http:
        assert (await http.post(f"http://[::1]:{port}/v1?a=b c", {}, b"{}")).status == 200
    assert server.requests[0].startswith(b"POST /v1?a=b%%20c HTTP/1.1\r\nhost: [::1]:%d\r\n" % port)


@pytest.mark.parametrize(
    "url",
    [
        "http://user:word@127.0.0.1/v1",
        "http://a b/v1",
        "http://a..b/v1",
        "http://[::1/v1",
        "http://x:99999/v1",
        "http://é\0/v1",
        "http://127.0.0.1/\ud800",
        "http://127.0.0.1:S3KRET/v1",
    ],
)
async def test_an_address_that_leads_nowhere_is_refused(url: str) -> None:
    """Before a name is asked for."""
    error = await failing(url)
    assert (error.kind, error.sent, error.transient) == ("url", Sent.NEVER, False)
    assert "S3KRET" not in str(error)


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding"])
async def test_the_form_of_a_request_is_the_transports_own(name: str) -> None:
    """A header of the job's cannot say otherwise."""
    error = await failing("http://127.0.0.1/v1", headers={name: "1"})
    assert (error.kind, error.sent, error.transient) == ("protocol", Sent.NEVER, False)


async def test_a_header_that_is_refused_is_not_shown() -> None:
    """It may be the key."""
    error = await failing("http://127.0.0.1/v1", headers={"authorization": f"Bearer {KEY}\r\n"})
    assert (error.kind, error.sent) == ("protocol", Sent.NEVER)
    assert KEY not in str(error)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_listener_that_fails_ends_the_request_with_its_own_error() -> None:
    """A mistake of ours is not taken for the server's, and nobody waits for ever."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)  # which tells of it, too
    async with serving(saying(OK, then="again")) as server, direct() as http:
        with pytest.raises(KeyError):
            await http.post(server.url, {}, b"{}", lambda piece: {}[piece])
        assert (await http.post(server.url, {}, b"{}")).status == 200
    assert server.connections == 2


async def test_a_large_body_is_not_copied_into_its_head() -> None:
    """And arrives whole, through a socket that takes it in many pieces."""
    body = bytes(range(256)) * 2**14

    def of(server: Server) -> Handler:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await server.read(reader)
            writer.write(OK)
            await asyncio.Event().wait()

        return handle

    async with serving(of) as server, direct() as http:
        await http.post(server.url, {}, body)
    assert server.requests[0].endswith(b"\r\n\r\n" + body)


async def test_a_dribbling_head_is_bounded_like_the_first_byte(virtual_time: Clock) -> None:
    """Neither more of it nor interim answers put its deadline off."""
    line, interim = b"x-b: 1\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"
    for first, more in ((b"HTTP/1.1 200 OK\r\n", line), (interim, interim)):

        def of(server: Server, first: bytes = first, more: bytes = more) -> Handler:
            async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await server.read(reader)
                writer.write(first)
                while True:
                    await anyio.sleep(3)
                    writer.write(more)

            return handle

        start = virtual_time()
        async with serving(of) as server, direct(first_byte_s=20, idle_s=5) as http:
            with pytest.raises(AttemptError, match="first byte, after 20") as failed:
                await http.post(server.url, {}, b"{}")
        assert virtual_time() - start == pytest.approx(20, abs=0.5)
        assert (failed.value.kind, failed.value.sent) == ("timeout", Sent.MAYBE)


async def test_authorities_that_vanish_amid_a_run_cost_nothing() -> None:
    """Nothing left for a server that cannot be trusted or not."""

    def gone() -> ssl.SSLContext:
        raise FileNotFoundError("authorities")

    async with DirectHttp(Deadlines(), gone) as http:
        with pytest.raises(AttemptError) as failed:
            await http.post("https://127.0.0.1:1/v1", {}, b"{}")
    assert (failed.value.kind, failed.value.sent, failed.value.transient) == ("connect", Sent.NEVER, False)


@pytest.mark.parametrize("cut", [False, True], ids=["closed", "cancelled"])
async def test_half_an_answer_is_let_go_with_its_exchange(cut: bool) -> None:
    """Without the collector: a server that breaks off often must not fill the memory with what it had said."""
    said = b"HTTP/1.1 200 OK\r\ncontent-length: 9000000\r\n\r\n" + b"x" * 2**20
    gc.disable()
    try:
        async with serving(saying(said, then="stay" if cut else "close")) as server, direct() as http:
            for _ in range(3):
                with anyio.CancelScope() as scope, pytest.raises(AttemptError):
                    await http.post(server.url, {}, b"{}", lambda _, scope=scope: scope.cancel() if cut else None)  # type: ignore[misc]
            readers = [each for each in gc.get_objects() if isinstance(each, Reader)]
            assert sum(len(reader._rest or reader._first) for reader in readers) == 0
    finally:
        gc.enable()
