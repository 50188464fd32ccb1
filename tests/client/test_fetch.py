"""Downloads for rows, against real servers on loopback.

- nowhere private: ``test_no_spelling_*``, ``test_*_canary*``, ``test_a_redirect_*``, ``test_a_name_*``, ``test_the_address_*``
- nothing of ours leaves: ``test_the_bytes_*``, ``test_a_cookie_*``, ``test_a_proxy_*``, ``test_a_query_*``
- encryption: ``test_a_certificate_*``, ``test_a_connection_is_not_*``, ``test_broken_encryption_*``
- sizes and compression: ``test_*_too_large_*``, ``test_*_compress*``, ``test_*_cut_*``
- patience: ``test_*_asked_again*``, ``test_*_retry_after*``, ``test_a_trickle_*``, ``test_a_slow_lookup_*``
- company: ``test_rows_*``, ``test_a_cancelled_*``, ``test_the_cache_*``
"""

from __future__ import annotations

import gzip
import random
import socket
import ssl
import subprocess
import threading
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import anyio.abc
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.tls import TLSStream

from pipeline.client.addresses import Place, lookup
from pipeline.client.exchange import Answer
from pipeline.client.fetch import MAX_REDIRECTS, MAX_RETRY_AFTER_S, Fetcher, FetchRules, FetchStatistics
from pipeline.client.http import MAX_IDLE, PinnedHttp
from pipeline.errors import MediaError

pytestmark = pytest.mark.anyio

Clock = Callable[[], float]

BARE = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody, and is made in no time

PICTURE = bytes(range(256)) * 4
PUBLIC = "93.184.215.14"
ALSO_PUBLIC = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"


@dataclass(frozen=True)
class Page:
    """One answer of a site. ``headers`` win over the content length; a page that ``closes`` ends its connection."""

    body: bytes = PICTURE
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    closes: bool = False
    late_s: float = 0.0
    drip_s: float = 0.0
    after: anyio.Event | None = None
    garbage: bytes = b""

    async def send(self, stream: anyio.abc.ByteStream) -> None:
        """Write the answer, where it drips one byte at a time."""
        if self.after is not None:
            await self.after.wait()
        await anyio.sleep(self.late_s)
        headers = {"content-length": str(len(self.body)), **self.headers}
        if "transfer-encoding" in headers:
            del headers["content-length"]
        lines = [f"HTTP/1.1 {self.status} Whatever", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        await stream.send("\r\n".join(lines).encode())
        for piece in (self.body[at : at + 1] for at in range(len(self.body))) if self.drip_s else (self.body,):
            await stream.send(piece)
            await anyio.sleep(self.drip_s)
        if self.garbage:
            assert isinstance(stream, TLSStream)
            await stream.transport_stream.send(self.garbage)


CUT = Page(b"", status=0)
"""Closes the connection without a word."""


@dataclass(frozen=True)
class Raw(Page):
    """An answer that is all body: whatever the server likes to send, and then the end."""

    closes: bool = True

    async def send(self, stream: anyio.abc.ByteStream) -> None:
        """Write it."""
        await stream.send(self.body)


@dataclass
class Site:
    """A server on loopback. Each path has pages for its first, second … request, the last one for ever."""

    pages: Mapping[str, Sequence[Page]]
    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    open: int = 0

    @property
    def paths(self) -> list[str]:
        """What was asked for, in order."""
        return [request.split(b" ")[1].decode() for request in self.requests]

    def url(self, path: str = "/a.jpg", host: str = "127.0.0.1", scheme: str = "http") -> str:
        """Return the URL of a path."""
        return f"{scheme}://{host}:{self.port}{path}"

    async def left_with(self, connections: int) -> None:
        """Return when that many connections are open."""
        with anyio.fail_after(5):
            while self.open != connections:
                await anyio.wait_all_tasks_blocked()

    async def serve(self, stream: anyio.abc.ByteStream) -> None:
        """Answer the requests of one connection."""
        self.connections += 1
        self.open += 1
        try:
            async with stream:
                buffered = BufferedByteReceiveStream(stream)
                while True:
                    self.requests.append(await buffered.receive_until(b"\r\n\r\n", 65536))
                    path = self.paths[-1]
                    pages = self.pages.get(path, [Page(b"", status=404)])
                    page = pages[min(self.paths.count(path), len(pages)) - 1]
                    if page is CUT:
                        return
                    await page.send(stream)
                    if page.closes:
                        return
        except (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # the client has left
        finally:
            self.open -= 1


@asynccontextmanager
async def site(
    *pages: Page, paths: Mapping[str, Sequence[Page]] | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Site]:
    """Run a site whose path ``/a.jpg`` has these pages, on every address of this machine."""
    server = Site({"/a.jpg": pages or [Page()], **(paths or {})})

    async def accept(stream: anyio.abc.ByteStream) -> None:
        async with stream:
            if tls is not None:
                try:
                    stream = await TLSStream.wrap(stream, server_side=True, ssl_context=tls, standard_compatible=False)
                except (anyio.BrokenResourceError, anyio.EndOfStream, ssl.SSLError):
                    return  # the client does not trust us
            await server.serve(stream)

    async with await anyio.create_tcp_listener() as listener, anyio.create_task_group() as tasks:
        server.port = listener.extra(anyio.abc.SocketAttribute.local_port)
        tasks.start_soon(listener.serve, accept)
        yield server
        tasks.cancel_scope.cancel()


class Map(PinnedHttp):
    """The internet as these tests need it: some public addresses lead to loopback. Every address asked for is noted."""

    def __init__(self, routes: Mapping[str, int] | None = None, tls: ssl.SSLContext = BARE) -> None:
        super().__init__(tls)
        self.asked: list[str] = []
        self._routes = routes or {}

    async def get(self, place: Place, address: str, max_bytes: int) -> Answer:
        """Ask where the address leads."""
        self.asked.append(address)
        if address in self._routes:
            place, address = replace(place, port=self._routes[address]), "127.0.0.1"
        return await super().get(place, address, max_bytes)


class Names:
    """A resolver with a list of answers per name, the last one for ever. Knows no others, but what is an address in any spelling."""

    def __init__(self, names: Mapping[str, Sequence[Sequence[str]]] | None = None) -> None:
        self.asked: list[str] = []
        self._names = names or {}

    def lookup(self, host: str, port: int) -> list[str]:
        """Return the addresses of a name."""
        self.asked.append(host)
        if host in self._names:
            answers = self._names[host]
            return list(answers[min(self.asked.count(host), len(answers)) - 1])
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        return [str(address[0]) for *_, address in found]


def trusting(server: Site, **rules: object) -> FetchRules:
    """Return rules under which a site on loopback may be fetched from."""
    return replace(FetchRules(allow_private=True, ports=frozenset({server.port})), **rules)  # type: ignore[arg-type]


def fetching(server: Site, **rules: object) -> Fetcher:
    """Return a fetcher for which every name is loopback."""
    return Fetcher(
        trusting(server, **rules),
        lookup=lambda _host, _port: ["127.0.0.1"],
        rng=random.Random(7),
        http=PinnedHttp(BARE),
    )


async def refusal(fetcher: Fetcher, url: str) -> MediaError:
    """Return the error of a fetch that has to fail."""
    with pytest.raises(MediaError) as raised:
        await fetcher.fetch(url)
    return raised.value


# Nowhere private

LOOPBACK = (
    *("127.0.0.1", "127.1", "127.0.1", "127.0.0.1.", "2130706433", "0x7f000001"),
    *("0x7F.0.0.1", "0x7f.1", "0177.0.0.1", "0177.1", "017700000001", "0177.0x0.0.1", "00000177.0.0.1", "127.0x000001"),
    *("127。0。0。1", "127．0．0．1", "127｡0｡0｡1", "１２７.0.0.1", "①②⑦.⓪.⓪.①", "𝟏𝟐𝟕.𝟎.𝟎.𝟏", "0x7ⓕ.1"),  # noqa: RUF001
    *("0", "0.0.0.0", "0x0", "00", "[::1]", "[0:0:0:0:0:0:0:1]", "[0000::0001]", "[::]", "[::0.0.0.1]"),
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::FFFF:7F00:0001]", "[0:0:0:0:0:ffff:7f00:0001]", "[::ffff:0.0.0.0]"),
)
INNER = (
    *(
        "127.0.0.2",
        "127.255.255.254",
        "10.0.0.1",
        "10.255.255.255",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "0xc0a80001",
        "3232235521",
    ),
    *("192.168.257", "0300.0250.0.1", "100.64.0.1", "100.127.255.255", "169.254.1.1", "169.254.169.254", "2852039166"),
    *("0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
    *("192.0.0.1", "192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "192.88.99.1", "224.0.0.1", "239.1.1.1"),
    *("240.0.0.1", "255.255.255.255", "[::127.0.0.1]", "[::7f00:1]", "[::ffff:10.0.0.1]", "[::ffff:169.254.169.254]"),
    *(
        "[::169.254.169.254]",
        "[::ffff:0:127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b::a9fe:a9fe]",
        "[64:ff9b:1::7f00:1]",
    ),
    *(
        "[2002:7f00:1::]",
        "[2002:a9fe:a9fe::1]",
        "[2001:0:7f00:1::]",
        "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
        "[fe80::1]",
    ),
    *("[fec0::1]", "[fc00::1]", "[fd00::1]", "[fd00:ec2::254]", "[ff02::1]", "[ff0e::1]", "[100::1]", "[2001:db8::1]"),
    *("[2001:10::1]", "[3fff::1]", "[5f00::1]", "[4000::1]"),
)
BY_NAME: Mapping[str, Sequence[str]] = {
    "loopback.example": ["127.0.0.1"],
    "loopback6.example": ["::1"],
    "inner.example": ["10.0.0.5"],
    "metadata.example": ["169.254.169.254"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "nat64.example": ["64:ff9b::7f00:1"],
    "link.example": ["fe80::1%lo"],
    "mixed.example": [PUBLIC, "127.0.0.1"],
    "mixed-too.example": ["127.0.0.1", PUBLIC],
    "mixed6.example": [PUBLIC, ALSO_PUBLIC, "::1"],
    "127.0.0.1.example.com": ["127.0.0.1"],
}


@asynccontextmanager
async def besieged(names: Names | None = None, **routes: int) -> AsyncIterator[tuple[Site, Map, Fetcher]]:
    """Run a canary on every address of this machine, with a strict fetcher that may at least use its port."""
    async with site() as canary:
        internet = Map({PUBLIC: routes.get("public", canary.port)})
        rules = FetchRules(ports=frozenset({80, 443, canary.port}))
        async with Fetcher(rules, http=internet, lookup=(names or Names()).lookup) as fetcher:
            yield canary, internet, fetcher


@pytest.mark.parametrize("host", [*LOOPBACK, *INNER])
async def test_no_spelling_of_an_inner_address_is_connected_to(host: str) -> None:
    """The canary sees no connection, nor does anyone else, and the row fails with a reason that names the address."""
    async with besieged() as (canary, internet, fetcher):
        error = await refusal(fetcher, canary.url(host=host))
    assert (canary.connections, internet.asked) == (0, [])
    assert " is a" in error.message
    assert error.hint is not None
    assert not error.transient


def speaks_ipv6() -> bool:
    """Return whether this machine can be reached by IPv6 from itself."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("host", LOOPBACK)
async def test_each_of_these_spellings_would_reach_the_canary(host: str) -> None:
    """Where private addresses are allowed they do, so the test above is about something."""
    if host.startswith("[") and not speaks_ipv6():
        pytest.skip("this machine has no IPv6")
    async with site() as canary, Fetcher(trusting(canary), http=Map(), lookup=Names().lookup) as fetcher:
        assert await fetcher.fetch(canary.url(host=host)) == PICTURE
    assert canary.connections == 1


@pytest.mark.parametrize("name", BY_NAME)
async def test_a_name_is_judged_by_every_address_it_has(name: str) -> None:
    """One inner address among public ones is enough."""
    async with besieged(Names({name: [BY_NAME[name]]})) as (canary, internet, fetcher):
        error = await refusal(fetcher, canary.url(host=name))
    assert (canary.connections, internet.asked) == (0, [])
    assert error.message.partition("a.jpg: ")[2].startswith(f"{name} (")


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST", "localhost."])
async def test_this_machine_s_own_name_is_refused_by_the_system_s_resolver(name: str) -> None:
    """The real lookup takes part here."""
    async with site() as canary, Fetcher(FetchRules(ports=frozenset({canary.port})), lookup=lookup) as fetcher:
        assert "loopback" in (await refusal(fetcher, canary.url(host=name))).message
    assert canary.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        *(
            "file:///etc/passwd",
            "ftp://127.0.0.1:{port}/",
            "gopher://127.0.0.1:{port}/_GET",
            "dict://127.0.0.1:{port}/",
        ),
        *(
            "data:text/plain,hello",
            "javascript:alert(1)",
            "//127.0.0.1:{port}/",
            "127.0.0.1:{port}/",
            "ws://127.0.0.1/",
        ),
        *("", " ", "http://", "http:///a.jpg", "http:127.0.0.1:{port}/", "http:/127.0.0.1:{port}/"),
        *("http://pics.example@127.0.0.1:{port}/", "http://me:secret@pics.example/", "http://:@127.0.0.1:{port}/"),
        *("http://127.0.0.1:{port}\\@pics.example/", "http://pics.example\\@127.0.0.1:{port}/"),
        *("http://127.0.0.1:{port}#@pics.example/", "http://127.0.0.1:{port}?@pics.example/"),
        *("http://127.0.0.1\t:{port}/", "http://127.0.0.1\r\n:{port}/", "http://127.0.0.1\x00.pics.example:{port}/"),
        *("http://127.0.0.1%00:{port}/", "http://%31%32%37.0.0.1:{port}/", "http://127.0.0.1%2f.pics.example:{port}/"),
        *(
            "http://127.0.0.1 :{port}/",
            "http://127.0.0.1 pics.example:{port}/",
            "http://127.0.0.1,pics.example:{port}/",
        ),
        *("http://[::1/", "http://::1:{port}/", "http://[127.0.0.1]:{port}/", "http://[fe80::1%25lo]:{port}/"),
        *("http://pics.example:22/", "http://pics.example:6379/", "http://pics.example:0/", "http://pics.example:-80/"),
        *("http://pics.example:99999/", "http://pics.example:8o/", "https://pics.example:2375/"),
    ],
)
async def test_no_other_url_comes_past_the_door(url: str) -> None:
    """Other schemes and ports, user names and tricks of parsers end the same way, before any connection."""
    names = Names({"pics.example": [[PUBLIC]]})
    async with besieged(names) as (canary, internet, fetcher):
        error = await refusal(fetcher, url.format(port=canary.port))
    assert (canary.connections, internet.asked) == (0, [])
    assert not error.transient


@pytest.mark.parametrize(
    "location",
    [
        *("http://127.0.0.1:{port}/", "//127.0.0.1:{port}/", "http://2130706433:{port}/", "http://[::1]:{port}/"),
        *("http://[::ffff:127.0.0.1]:{port}/", "http://169.254.169.254/latest/meta-data/", "http://inner.example/"),
        *("http://pics.example@127.0.0.1:{port}/", "file:///etc/passwd", "http://pics.example:22/", "http://[::1/"),
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_judged_like_a_row_s_own_url(status: int, location: str) -> None:
    """The first server is public and honest-looking; the second is never connected to."""
    names = Names({"pics.example": [[PUBLIC]], "inner.example": [["10.0.0.5"]]})
    async with site() as first, besieged(names, public=first.port) as (canary, internet, fetcher):
        first.pages = {"/a.jpg": [Page(b"", status, {"location": location.format(port=canary.port)})]}
        error = await refusal(fetcher, "http://pics.example/a.jpg")
    assert (canary.connections, internet.asked, len(first.requests)) == (0, [PUBLIC], 1)
    assert not error.transient


async def test_a_redirect_at_the_end_of_a_chain_is_judged_too() -> None:
    """Two public hops buy no trust for the third."""
    names = Names({"pics.example": [[PUBLIC]]})
    async with site() as first, besieged(names, public=first.port) as (canary, internet, fetcher):
        first.pages = {
            "/a.jpg": [Page(b"", 302, {"location": "/b.jpg"})],
            "/b.jpg": [Page(b"", 302, {"location": "http://pics.example/c.jpg"})],
            "/c.jpg": [Page(b"", 302, {"location": canary.url()})],
        }
        assert "127.0.0.1 is a loopback address" in (await refusal(fetcher, "http://pics.example/a.jpg")).message
    assert (canary.connections, internet.asked) == (0, [PUBLIC] * 3)


@pytest.mark.parametrize("hops", range(MAX_REDIRECTS + 2))
async def test_redirects_are_followed_three_times(hops: int) -> None:
    """A longer chain fails the row."""
    paths = {f"/{hop}": [Page(b"", 302, {"location": f"/{hop + 1}"})] for hop in range(hops)}
    async with site(paths={**paths, f"/{hops}": [Page()]}) as server, fetching(server) as fetcher:
        if hops <= MAX_REDIRECTS:
            assert await fetcher.fetch(server.url("/0")) == PICTURE
        else:
            assert "more than 3 times" in (await refusal(fetcher, server.url("/0"))).message
        assert len(server.requests) == min(hops, MAX_REDIRECTS) + 1


async def test_the_address_that_was_judged_is_the_one_connected_to() -> None:
    """A name that changes its mind after the judgement (DNS rebinding) changes nothing: it is asked once."""
    names = Names({"pics.example": [[PUBLIC], ["127.0.0.1"]]})
    async with site() as first, besieged(names, public=first.port) as (canary, internet, fetcher):
        assert await fetcher.fetch("http://pics.example/a.jpg") == PICTURE
    assert (canary.connections, internet.asked, names.asked) == (0, [PUBLIC], ["pics.example"])


@pytest.mark.usefixtures("virtual_time")
async def test_the_address_is_judged_anew_for_each_attempt() -> None:
    """A server that fails in order to be asked again gains nothing by a new address."""
    names = Names({"pics.example": [[PUBLIC], ["127.0.0.1"]]})
    async with site(Page(status=500)) as first, besieged(names, public=first.port) as (canary, internet, fetcher):
        assert "loopback" in (await refusal(fetcher, "http://pics.example/a.jpg")).message
    assert (canary.connections, internet.asked) == (0, [PUBLIC])


async def test_an_address_that_nobody_answers_at_gives_way_to_the_next() -> None:
    """As with a machine that has an IPv6 address and no way out."""
    async with site() as server:
        async with anyio.create_task_group(), await anyio.create_tcp_listener(local_host="127.0.0.1") as closed:
            dead = closed.extra(anyio.abc.SocketAttribute.local_port)
        internet = Map({ALSO_PUBLIC: dead, PUBLIC: server.port})
        async with Fetcher(FetchRules(), http=internet, lookup=lambda _host, _port: [ALSO_PUBLIC, PUBLIC]) as fetcher:
            assert await fetcher.fetch("http://pics.example/a.jpg") == PICTURE
    assert internet.asked == [ALSO_PUBLIC, PUBLIC]


@pytest.mark.parametrize("page", [Page(b"", 404), CUT], ids=["with a no", "and breaks off"])
async def test_an_address_that_answers_is_the_only_one_asked(page: Page) -> None:
    """Another address of the same name would do the same."""
    async with site(page) as server:
        internet = Map({ALSO_PUBLIC: server.port, PUBLIC: server.port})
        rules = FetchRules(attempts=1)
        async with Fetcher(rules, http=internet, lookup=lambda _host, _port: [ALSO_PUBLIC, PUBLIC]) as fetcher:
            await refusal(fetcher, "http://pics.example/a.jpg")
    assert internet.asked == [ALSO_PUBLIC]


# Nothing of ours leaves


async def test_the_bytes_that_leave_are_these_and_no_others() -> None:
    """No key, no cookie, no referrer; the host is the name although the connection goes to an address."""
    async with site(paths={"/a%20b?c=d": [Page()]}) as server, fetching(server) as fetcher:
        await fetcher.fetch(server.url("/a b?c=d#e", host="pics.example"))
    assert server.requests == [
        b"GET /a%%20b?c=d HTTP/1.1\r\n"
        b"host: pics.example:%d\r\n"
        b"accept: */*\r\n"
        b"accept-encoding: identity\r\n"
        b"user-agent: responses-pipeline" % server.port
    ]


async def test_a_cookie_is_never_sent_back() -> None:
    """Neither to a redirect nor to the next row."""
    cookie = {"set-cookie": "who=you; Path=/"}
    paths = {"/b.jpg": [Page(headers=cookie)]}
    async with (
        site(Page(b"", 302, {"location": "/b.jpg", **cookie}), paths=paths) as server,
        fetching(server) as fetcher,
    ):
        await fetcher.fetch(server.url())
        await fetcher.fetch(server.url("/b.jpg"))
    assert len(server.requests) == 3
    assert not any(b"cookie" in request.lower() for request in server.requests)


@pytest.mark.parametrize("name", ["http_proxy", "HTTPS_PROXY", "ALL_PROXY"])
async def test_a_proxy_of_the_environment_is_not_used(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would resolve the name again, out of our sight."""
    async with site() as proxy, site() as server:
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        async with fetching(server) as fetcher:
            assert await fetcher.fetch(server.url()) == PICTURE
    assert (proxy.connections, server.connections) == (0, 1)


async def test_a_query_stays_out_of_messages() -> None:
    """It may be a signature that opens the bucket."""
    async with site() as server, fetching(server) as fetcher:
        error = await refusal(fetcher, server.url("/gone.jpg?X-Amz-Signature=5ecret#5ecret"))
    assert error.message == f"cannot fetch http://127.0.0.1:{server.port}/gone.jpg: the server says 404 Not Found"


# Encryption


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for ``pics.example``, signed by itself, in one file with its key."""
    folder = tmp_path_factory.mktemp("certificate")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    options = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=pics.example", "-addext", "subjectAltName=DNS:pics.example"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", *options, *names, *files], check=True, capture_output=True)
    with certificate.open("a") as both:
        both.write(key.read_text())
    return certificate


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    """What a site needs to be ``pics.example``."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


@asynccontextmanager
async def encrypted(page: Page, tls: ssl.SSLContext, trusted: Path | None) -> AsyncIterator[tuple[Site, Fetcher]]:
    """Run a site behind TLS, with a fetcher that trusts a certificate and finds any name there."""
    context = ssl.create_default_context(cafile=trusted)
    async with (
        site(page, tls=tls) as server,
        Fetcher(
            trusting(server, attempts=1), http=PinnedHttp(context), lookup=lambda _host, _port: ["127.0.0.1"]
        ) as fetcher,
    ):
        yield server, fetcher


async def test_a_certificate_is_checked_for_the_name_though_the_address_is_connected_to(
    certificate: Path, server_tls: ssl.SSLContext
) -> None:
    """And the server is told the name, as one with many names must be."""
    told: list[str | None] = []
    server_tls.sni_callback = lambda _socket, name, _context: told.append(name)
    async with encrypted(Page(), server_tls, certificate) as (server, fetcher):
        assert await fetcher.fetch(server.url(host="pics.example", scheme="https")) == PICTURE
    assert told == ["pics.example"]


@pytest.mark.parametrize("host", ["other.example", "127.0.0.1"])
async def test_a_certificate_for_another_name_is_refused(
    certificate: Path, server_tls: ssl.SSLContext, host: str
) -> None:
    """Nothing is asked of that server, and the row fails for good."""
    async with encrypted(Page(), server_tls, certificate) as (server, fetcher):
        error = await refusal(fetcher, server.url(host=host, scheme="https"))
    assert "certificate is not trusted" in error.message
    assert (error.transient, error.hint, error.scope, server.requests) == (False, None, "row", [])


async def test_a_certificate_that_nobody_vouches_for_is_refused(server_tls: ssl.SSLContext) -> None:
    """Verification is never off."""
    async with encrypted(Page(), server_tls, None) as (server, fetcher):
        assert "not trusted" in (await refusal(fetcher, server.url(host="pics.example", scheme="https"))).message
    assert server.requests == []


async def test_a_connection_is_not_used_again_for_another_name(certificate: Path, server_tls: ssl.SSLContext) -> None:
    """Its certificate was checked for the first one only, though both have one address."""
    async with encrypted(Page(), server_tls, certificate) as (server, fetcher):
        await fetcher.fetch(server.url(host="pics.example", scheme="https"))
        assert "not trusted" in (await refusal(fetcher, server.url(host="other.example", scheme="https"))).message
    assert len(server.requests) == 1


async def test_broken_encryption_fails_the_row_only(certificate: Path, server_tls: ssl.SSLContext) -> None:
    """A server that sends rubbish amid its answer does not end the run."""
    rubbish = Page(headers={"content-length": "9999"}, garbage=b"\x17\x03\x03\x00\x20" + b"x" * 32)
    async with encrypted(rubbish, server_tls, certificate) as (server, fetcher):
        error = await refusal(fetcher, server.url(host="pics.example", scheme="https"))
    assert "the encryption broke" in error.message
    assert error.transient


# Sizes and compression


def chunked(body: bytes) -> Page:
    """Return a page that does not say how long it is."""
    return Page(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), headers={"transfer-encoding": "chunked"})


def zipped(body: bytes, encoding: str = "gzip") -> Page:
    """Return a page whose body is said to be compressed."""
    return Page(body, headers={"content-encoding": encoding})


@pytest.mark.parametrize("page", [Page(b"x" * 1000), chunked(b"x" * 1000), zipped(gzip.compress(b"x" * 1000))])
async def test_a_content_of_just_the_size_that_is_allowed_comes_whole(page: Page) -> None:
    """The cap is inclusive."""
    async with site(page) as server, fetching(server, max_bytes=1000) as fetcher:
        assert await fetcher.fetch(server.url()) == b"x" * 1000


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(Page(b"x" * 1001), id="announced"),
        pytest.param(Page(b"", headers={"content-length": str(10**18)}), id="announced, and never sent"),
        pytest.param(chunked(b"x" * 1001), id="not announced"),
        pytest.param(zipped(gzip.compress(b"x" * 1001)), id="by one byte when decompressed"),
        pytest.param(zipped(gzip.compress(bytes(10**6))[:900]), id="a bomb that is cut off"),
    ],
)
async def test_a_content_that_is_too_large_is_refused_at_once(page: Page) -> None:
    """Whatever its length is said to be, and without asking again."""
    async with site(page) as server, fetching(server, max_bytes=1000) as fetcher:
        error = await refusal(fetcher, server.url())
    assert "larger than 1,000 bytes" in error.message
    assert (error.transient, len(server.requests)) == (False, 1)


async def test_a_bomb_is_never_unpacked_beyond_the_cap() -> None:
    """A hundred megabytes in a hundred kilobytes take no more memory than is allowed."""
    pack = zlib.compressobj(wbits=31)
    bomb = b"".join([*(pack.compress(bytes(10**6)) for _ in range(100)), pack.flush()])
    async with site(zipped(bomb)) as server, fetching(server, max_bytes=10**6) as fetcher:
        tracemalloc.start()
        try:
            assert "when decompressed" in (await refusal(fetcher, server.url())).message
            assert tracemalloc.get_traced_memory()[1] < 10 * 10**6
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("encoding", ["", "identity", "Identity", "gzip", "GZIP", "x-gzip"])
async def test_a_server_that_compresses_unasked_is_understood(encoding: str) -> None:
    """Some do, whatever was asked for."""
    body = gzip.compress(PICTURE) if "gzip" in encoding.lower() else PICTURE
    async with site(zipped(body, encoding)) as server, fetching(server) as fetcher:
        assert await fetcher.fetch(server.url()) == PICTURE


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip", "utf-8"])
async def test_any_other_compression_is_refused(encoding: str) -> None:
    """Its end could not be verified."""
    async with site(zipped(PICTURE, encoding)) as server, fetching(server) as fetcher:
        error = await refusal(fetcher, server.url())
    assert f"compressed as {encoding}" in error.message
    assert not error.transient


WHOLE = gzip.compress(PICTURE)


@pytest.mark.usefixtures("virtual_time")
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        *(
            pytest.param(WHOLE[:size], id=f"cut at {size}")
            for size in (1, 10, len(WHOLE) // 2, len(WHOLE) - 8, len(WHOLE) - 1)
        ),
        pytest.param(WHOLE[:-8] + bytes(4) + WHOLE[-4:], id="a wrong checksum"),
        pytest.param(WHOLE[:-4] + bytes(4), id="a wrong length"),
        pytest.param(WHOLE + WHOLE, id="two members"),
        pytest.param(WHOLE + b"more", id="something behind"),
        pytest.param(PICTURE, id="not compressed at all"),
    ],
)
async def test_broken_compression_is_asked_again_and_never_taken(body: bytes) -> None:
    """A picture cut off in the middle would otherwise pass for one."""
    async with site(zipped(body), zipped(WHOLE), zipped(body)) as server, fetching(server, attempts=2) as fetcher:
        assert await fetcher.fetch(server.url()) == PICTURE
        assert "compression is broken" in (await refusal(fetcher, server.url("/a.jpg#again"))).message


@pytest.mark.usefixtures("virtual_time")
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(CUT, id="before the answer"),
        pytest.param(Page(PICTURE[:9], headers={"content-length": "1024"}, closes=True), id="amid a known length"),
        pytest.param(replace(chunked(PICTURE), body=b"400\r\n" + PICTURE[:9], closes=True), id="amid a chunk"),
        pytest.param(
            replace(chunked(PICTURE), body=b"9\r\n" + PICTURE[:9] + b"\r\n", closes=True), id="between chunks"
        ),
    ],
)
async def test_an_answer_that_is_cut_off_is_asked_again_and_never_taken(page: Page) -> None:
    """All three attempts are used."""
    async with site(page) as server, fetching(server) as fetcher:
        error = await refusal(fetcher, server.url())
    assert error.transient
    assert len(server.requests) == 3


@pytest.mark.usefixtures("virtual_time")
@pytest.mark.parametrize(
    "answer",
    [
        *(
            b"",
            b"\r\n\r\n",
            b"hello",
            b"HTTP/1.1",
            b"HTTP/1.1 200\r\n",
            b"\x16\x03\x01\x02\x00",
        ),
        *(
            b"HTTP/1.1 200 OK\r\n" + header + b"\r\n\r\nhello"
            for header in (
                *(
                    b"content-length: -1",
                    b"content-length: five",
                    b"content-length: " + b"9" * 5000,
                    b"content-length: 5, 6",
                ),
                *(
                    b"transfer-encoding: gzip",
                    b"transfer-encoding: chunked",
                    b"a: " + b"b" * 200_000,
                    b"a\x00: b",
                    b": b",
                ),
                *(b"content-encoding: \xff\xfe", b"location"),
            )
        ),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffffffffff\r\nhello",
        b"HTTP/1.1 302 Found\r\nlocation: http://[\xff\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 1000,
    ],
    ids=lambda answer: repr(answer[:60]),
)
async def test_a_server_that_speaks_rubbish_fails_its_row_only(answer: bytes) -> None:
    """Whatever it says becomes a reason that is fit for a screen."""
    async with site(Raw(answer)) as server, fetching(server) as fetcher:
        error = await refusal(fetcher, server.url())
    assert error.message.isprintable()


# Patience


@pytest.mark.parametrize("status", [201, 204, 206, 300, 304, 400, 401, 402, 403, 404, 405, 407, 410, 414, 451, 499])
async def test_a_no_is_taken_for_an_answer(status: int) -> None:
    """One request, and the row fails for good, by the row's fault and not the run's."""
    async with site(Page(b"", status)) as server, fetching(server) as fetcher:
        error = await refusal(fetcher, server.url())
    assert f"the server says {status}" in error.message
    assert (error.transient, error.scope, error.hint, error.kind) == (False, "row", None, "media")
    assert len(server.requests) == 1


@pytest.mark.usefixtures("virtual_time")
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 529])
@pytest.mark.parametrize("attempts", [1, 2, 5])
async def test_trouble_of_the_server_is_asked_again_as_often_as_is_allowed(status: int, attempts: int) -> None:
    """And then fails the row in a way that says that another time may do better."""
    async with site(Page(b"", status)) as server, fetching(server, attempts=attempts) as fetcher:
        assert (await refusal(fetcher, server.url())).transient
    assert len(server.requests) == attempts


async def test_a_picture_that_comes_at_the_second_attempt_is_there(virtual_time: Clock) -> None:
    """After a wait that is below the base of the back-off."""
    async with site(Page(b"", 503), Page()) as server, fetching(server) as fetcher:
        assert await fetcher.fetch(server.url()) == PICTURE
        assert 0 < virtual_time() < 0.6


@pytest.mark.parametrize("status", [429, 503])
async def test_a_retry_after_is_obeyed_exactly(status: int, virtual_time: Clock) -> None:
    """The wait is the server's, not ours."""
    async with site(Page(b"", status, {"retry-after": "7"}), Page()) as server, fetching(server) as fetcher:
        assert await fetcher.fetch(server.url()) == PICTURE
        assert virtual_time() == pytest.approx(7.0, abs=0.1)


async def test_a_retry_after_that_is_too_long_is_not_waited_for(virtual_time: Clock) -> None:
    """Nor is the server asked earlier than it wishes."""
    wait = {"retry-after": str(MAX_RETRY_AFTER_S + 1)}
    async with site(Page(b"", 429, wait), Page()) as server, fetching(server) as fetcher:
        assert (await refusal(fetcher, server.url())).transient
        assert virtual_time() < 0.1
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("errno", "asked"), [(socket.EAI_AGAIN, 3), (socket.EAI_NONAME, 1)], ids=["resolver in trouble", "no such name"]
)
@pytest.mark.usefixtures("virtual_time")
async def test_a_name_without_address_is_asked_again_only_where_the_resolver_was_in_trouble(
    errno: int, asked: int
) -> None:
    """A name that does not exist will not exist in a second either."""
    names: list[str] = []

    def fail(host: str, _port: int) -> list[str]:
        names.append(host)
        raise socket.gaierror(errno, "it said no")

    async with Fetcher(FetchRules(), http=Map(), lookup=fail) as fetcher:
        error = await refusal(fetcher, "http://pics.example/")
    assert error.message == "cannot fetch http://pics.example/: no address is known for pics.example: it said no"
    assert (error.transient, len(names)) == (asked > 1, asked)


@pytest.mark.usefixtures("virtual_time")
async def test_a_port_where_nobody_listens_is_asked_again() -> None:
    """A server may be about to start."""
    internet = Map({PUBLIC: 1})
    async with Fetcher(FetchRules(), http=internet, lookup=lambda _host, _port: [PUBLIC]) as fetcher:
        assert (await refusal(fetcher, "http://pics.example/")).transient
    assert internet.asked == [PUBLIC] * 3


@pytest.mark.parametrize("drip", [Page(drip_s=1.0), Page(late_s=1e6)], ids=["byte by byte", "not at all"])
async def test_a_trickle_of_bytes_does_not_extend_the_deadline(drip: Page, virtual_time: Clock) -> None:
    """It is for the whole attempt."""
    async with site(drip) as server, fetching(server, attempts=1, timeout_s=5.0) as fetcher:
        error = await refusal(fetcher, server.url())
        assert virtual_time() == pytest.approx(5.0, abs=0.1)
    assert "not here after 5 s" in error.message
    assert error.transient


async def test_a_chain_of_slow_redirects_has_one_deadline(virtual_time: Clock) -> None:
    """A new hop is no new beginning."""
    slow = {f"/{hop}": [Page(b"", 302, {"location": f"/{hop + 1}"}, late_s=2.0)] for hop in range(3)}
    async with site(paths=slow) as server, fetching(server, attempts=1, timeout_s=3.0) as fetcher:
        await refusal(fetcher, server.url("/0"))
        assert virtual_time() == pytest.approx(3.0, abs=0.1)
        assert server.paths == ["/0", "/1"]


async def test_a_slow_lookup_is_left_behind_at_the_deadline() -> None:
    """A resolver that hangs holds up a thread, and no row."""
    answered = threading.Event()

    def hang(_host: str, _port: int) -> list[str]:
        answered.wait(10)
        return [PUBLIC]

    try:
        async with Fetcher(FetchRules(attempts=1, timeout_s=0.05), http=Map(), lookup=hang) as fetcher:
            assert "not here after 0.05 s" in (await refusal(fetcher, "http://pics.example/")).message
    finally:
        answered.set()


# Company


async def test_rows_that_name_one_url_at_once_share_one_download() -> None:
    """Twenty rows, one request."""
    ready = anyio.Event()
    contents: list[bytes] = []
    async with site(Page(after=ready)) as server, fetching(server) as fetcher:

        async def row() -> None:
            contents.append(await fetcher.fetch(server.url()))

        async with anyio.create_task_group() as rows:
            for _ in range(20):
                rows.start_soon(row)
            await anyio.wait_all_tasks_blocked()
            ready.set()
        assert fetcher.statistics() == FetchStatistics(fetched=1, bytes=len(PICTURE), cache_hits=19)
    assert contents == [PICTURE] * 20
    assert len(server.requests) == 1


async def test_rows_that_name_one_url_at_once_share_its_failure() -> None:
    """Each gets an error of its own with the same words."""
    ready = anyio.Event()
    errors: list[MediaError] = []
    async with site(Page(b"", 404, after=ready)) as server, fetching(server) as fetcher:

        async def row() -> None:
            errors.append(await refusal(fetcher, server.url()))

        async with anyio.create_task_group() as rows:
            for _ in range(5):
                rows.start_soon(row)
            await anyio.wait_all_tasks_blocked()
            ready.set()
        assert fetcher.statistics() == FetchStatistics(fetched=0, bytes=0, cache_hits=0)
    assert (len(set(map(id, errors))), len({error.message for error in errors})) == (5, 1)
    assert len(server.requests) == 1


async def test_a_cancelled_row_does_not_take_the_others_with_it() -> None:
    """The one that started the download leaves, and another one starts it again for all that remain."""
    ready = anyio.Event()
    contents: list[bytes] = []
    async with site(Page(after=ready)) as server, fetching(server) as fetcher:

        async def row(scope: anyio.CancelScope) -> None:
            with scope:
                contents.append(await fetcher.fetch(server.url()))

        scopes = [anyio.CancelScope() for _ in range(6)]
        async with anyio.create_task_group() as rows:
            for scope in scopes:
                rows.start_soon(row, scope)
            await anyio.wait_all_tasks_blocked()
            scopes[0].cancel()
            scopes[3].cancel()
            await anyio.wait_all_tasks_blocked()
            ready.set()
    assert contents == [PICTURE] * 4
    assert len(server.requests) == 2


async def test_a_cancelled_row_leaves_no_connection_and_nothing_to_wait_for() -> None:
    """The next one gets its picture."""
    async with site(Page(after=anyio.Event()), Page()) as server, fetching(server) as fetcher:
        async with anyio.create_task_group() as rows:
            rows.start_soon(fetcher.fetch, server.url())
            while not server.requests:
                await anyio.wait_all_tasks_blocked()
            rows.cancel_scope.cancel()
        assert await fetcher.fetch(server.url()) == PICTURE
    assert (server.connections, len(server.requests)) == (2, 2)


async def test_the_cache_answers_a_later_row() -> None:
    """A failure is not kept: the next row may have more luck."""
    async with site(Page(b"", 404), Page()) as server, fetching(server) as fetcher:
        await refusal(fetcher, server.url())
        assert [await fetcher.fetch(server.url()) for _ in range(3)] == [PICTURE] * 3
        assert fetcher.statistics() == FetchStatistics(fetched=1, bytes=len(PICTURE), cache_hits=2)
    assert len(server.requests) == 2


async def test_the_cache_is_bounded_in_bytes_and_forgets_what_was_used_longest_ago() -> None:
    """Three contents where two have room."""
    paths = {path: [Page()] for path in ("/a", "/b", "/c")}
    async with site(paths=paths) as server, fetching(server, cache_bytes=2 * len(PICTURE) + 100) as fetcher:
        for path in ("/a", "/b", "/a", "/c", "/a", "/b"):
            await fetcher.fetch(server.url(path))
    assert server.paths == ["/a", "/b", "/c", "/b"]


async def test_the_cache_lets_pass_what_would_fill_it_alone() -> None:
    """And keeps what it has."""
    paths = {"/small": [Page(b"x")], "/large": [Page()]}
    async with site(paths=paths) as server, fetching(server, cache_bytes=len(PICTURE)) as fetcher:
        for path in ("/small", "/large", "/large", "/small"):
            await fetcher.fetch(server.url(path))
    assert server.paths == ["/small", "/large", "/large"]


async def test_one_connection_serves_one_host_after_another_row_is_done() -> None:
    """Fifty pictures of one server need one handshake."""
    async with site(paths={f"/{number}": [Page()] for number in range(50)}) as server, fetching(server) as fetcher:
        for number in range(50):
            await fetcher.fetch(server.url(f"/{number}"))
    assert (server.connections, len(server.requests)) == (1, 50)


async def test_few_connections_stay_open_however_many_hosts_there_are() -> None:
    """And none when the fetcher is closed."""
    async with site() as server:
        async with fetching(server) as fetcher:
            for number in range(MAX_IDLE + 5):
                await fetcher.fetch(server.url(host=f"host{number}.example"))
            await server.left_with(MAX_IDLE)
        await server.left_with(0)
