"""What only the stock client does: proxies, and the translation of its errors."""

from __future__ import annotations

import asyncio
import inspect
import ssl
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import raw_server
from raw_server import Clock, Handler, Server, failing, http_with, serving

from pipeline.client.http import StockHttp, translated
from pipeline.errors import Sent


@pytest.fixture(autouse=True)
def _stock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_server, "used", raw_server.TRANSPORTS["httpx"])


@pytest.mark.anyio
async def test_a_proxy_that_says_nothing_does_not_hold_an_attempt(
    virtual_time: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a proxy is asked is not yet the request, and it is bounded like a connection."""

    def of(server: Server) -> Handler:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            server.requests.append(await reader.readuntil(b"\r\n\r\n"))
            await asyncio.Event().wait()

        return handle

    async with serving(of) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.removesuffix("/v1/responses"))
        error = await failing("https://api.example/v1", headers={"authorization": "Bearer secret"}, connect_s=10)
        assert virtual_time() == pytest.approx(20, abs=0.5)
    assert (error.kind, error.sent) == ("connect", Sent.NEVER)
    assert "connection, after 20 s" in error.message
    assert proxy.requests[0].startswith(b"CONNECT api.example:443 ")
    assert b"secret" not in proxy.requests[0]


@pytest.mark.parametrize("said", [b"HTTP/1.1 407 Who?\r\ncontent-length: 0\r\n\r\n", b"HTTP/1.1 502 No\r\n\r\n", b""])
@pytest.mark.anyio
async def test_a_proxy_that_refuses_was_never_sent_the_request(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it just hangs up."""

    def of(server: Server) -> Handler:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(said)

        return handle

    async with serving(of) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.removesuffix("/v1/responses"))
        assert (await failing("https://api.example/v1")).sent is Sent.NEVER


# -- HTTP/2 ----------------------------------------------------------------------------------------------------------


def speaking_http2(then: str) -> Callable[[Server], Handler]:
    """Return a server that reads a request of HTTP/2, and then answers it, hangs up, or says what no client can read."""
    connection = pytest.importorskip("h2.connection")
    config, events = pytest.importorskip("h2.config"), pytest.importorskip("h2.events")

    def of(server: Server) -> Handler:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            speaker = connection.H2Connection(config.H2Configuration(client_side=False))
            speaker.initiate_connection()
            while data := await reader.read(65536):
                for event in speaker.receive_data(data):
                    if isinstance(event, events.StreamEnded):
                        server.requests.append(b"")
                        if then == "close":
                            return
                        speaker.send_headers(event.stream_id, [(":status", "200"), ("x-a", "1")])
                        speaker.send_data(event.stream_id, b"{}", end_stream=True)
                        if then == "nonsense":
                            speaker.clear_outbound_data_buffer()
                            writer.write(bytes(5000))
                writer.write(speaker.data_to_send())

        return handle

    return of


@pytest.fixture
def http2(server_tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Speak HTTP/2 on both sides."""
    server_tls.set_alpn_protocols(["h2"])
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setattr(raw_server, "used", lambda deadlines: StockHttp(deadlines, http2=True))
    return server_tls


@pytest.mark.anyio
async def test_http2_is_spoken_where_it_is_asked_for(http2: ssl.SSLContext) -> None:
    """With a server that speaks it."""
    async with serving(speaking_http2("answer"), http2) as server, http_with() as http:
        answers = [await http.post(server.url, {}, b"{}") for _ in range(2)]
    assert [(answer.status, answer.headers["x-a"], answer.content) for answer in answers] == [(200, "1", b"{}")] * 2
    assert server.connections == 1


@pytest.mark.anyio
@pytest.mark.parametrize("then", ["close", "nonsense"])
async def test_http2_that_breaks_after_a_request_may_have_been_paid(then: str, http2: ssl.SSLContext) -> None:
    """Also where the library takes the server's mistake for our own."""
    async with serving(speaking_http2(then), http2) as server:
        error = await failing(server.url)
    assert (error.kind, error.sent, error.transient) == ("disconnected", Sent.MAYBE, True)
    assert len(server.requests) == 1


# -- errors of httpx -------------------------------------------------------------------------------------------------


def errors_of_httpx() -> list[type[Exception]]:
    """Return every exception class that httpx can raise for a request."""
    classes = [each for _, each in inspect.getmembers(httpx, inspect.isclass) if issubclass(each, Exception)]
    return [each for each in classes if issubclass(each, httpx.HTTPError | httpx.InvalidURL | httpx.StreamError)]


@pytest.mark.parametrize("kind", errors_of_httpx(), ids=lambda kind: kind.__name__)
def test_every_error_of_httpx_is_translated(kind: type[Exception]) -> None:
    """None slips by, and none that was sent is said to be free."""
    error = kind.__new__(kind)
    Exception.__init__(error, "words")
    ours = translated(error)
    assert ("words" in ours.message) is (ours.kind not in ("url", "protocol", "redirect"))  # those may quote a password
    never = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
    never = (*never, httpx.LocalProtocolError, httpx.InvalidURL, httpx.TooManyRedirects)
    assert (ours.sent is Sent.NEVER) == issubclass(kind, never)


def test_the_errors_of_httpx_are_those_we_know() -> None:
    """A class that a later httpx adds elsewhere in its tree is found here."""
    classes = {each for _, each in inspect.getmembers(httpx, inspect.isclass) if issubclass(each, Exception)}
    assert classes - set(errors_of_httpx()) == {httpx.CookieConflict}


def test_an_error_without_words_is_named() -> None:
    """Some of the lower library's errors have no message."""
    assert "ReadError" in translated(httpx.ReadError("")).message
