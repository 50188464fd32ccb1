"""Where a URL leads, and whether a row may send us there.

Rows are untrusted, and this machine can reach what their authors cannot: its own services, its neighbours, its cloud's
metadata. So a URL is read once, into a ``Place``; its host is resolved once; and every address found has to be public.
Addresses are judged and never names, because ``2130706433``, ``0177.0.0.1`` and ``127.0.0.1.example.com`` are all
loopback to a resolver.

The judgement is our own. ``ipaddress.is_global`` calls the metadata service behind NAT64 (64:ff9b::a9fe:a9fe), loopback
behind 6to4 (2002:7f00:1::) and multicast global (Python 3.11.7).
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import quote, urljoin, urlsplit

from pipeline.errors import MediaError

DEFAULT_PORTS = {"http": 80, "https": 443}
MAX_URL = 8192  # characters; servers take no longer ones

Lookup = Callable[[str, int], Sequence[str]]
"""Returns the addresses of a host, at least one; takes its name and the port, may block, and raises ``OSError``."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?")
_KEPT = "/:@!$&'()*+,;=~%?"  # quoted already, or in need of no quotes

# First match wins. After IANA's registries of special-purpose addresses, and the clouds' own documents for metadata.
_NOT_PUBLIC = tuple(
    (ip_network(block), reason)
    for block, reason in (
        ("169.254.169.254/32", "a cloud's metadata service"),
        ("100.100.100.200/32", "a cloud's metadata service"),  # Alibaba
        ("192.0.0.192/32", "a cloud's metadata service"),  # Oracle
        ("168.63.129.16/32", "a cloud's metadata service"),  # Azure; it looks public
        ("fd00:ec2::254/128", "a cloud's metadata service"),
        ("0.0.0.0/8", "an unspecified address"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "a carrier's inner address"),
        ("127.0.0.0/8", "a loopback address"),
        ("169.254.0.0/16", "a link-local address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "a reserved address"),
        ("192.0.2.0/24", "an address for documents"),
        ("192.88.99.0/24", "a tunnel to IPv6"),
        ("192.168.0.0/16", "a private address"),
        ("198.18.0.0/15", "an address for benchmarks"),
        ("198.51.100.0/24", "an address for documents"),
        ("203.0.113.0/24", "an address for documents"),
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", "a reserved address"),
        ("::/128", "an unspecified address"),
        ("::1/128", "a loopback address"),
        ("64:ff9b::/96", "a tunnel to IPv4"),  # NAT64
        ("64:ff9b:1::/48", "a tunnel to IPv4"),
        ("2001::/32", "a tunnel to IPv4"),  # Teredo
        ("2001::/23", "a reserved address"),
        ("2001:db8::/32", "an address for documents"),
        ("2002::/16", "a tunnel to IPv4"),  # 6to4
        ("3fff::/20", "an address for documents"),
        ("fc00::/7", "a private address"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a private address"),
        ("ff00::/8", "a multicast address"),
    )
)
_EMBEDDING = (ip_network("::ffff:0:0/96"), ip_network("::/96"))  # IPv4-mapped and IPv4-compatible
_GLOBAL_V6 = ip_network("2000::/3")  # all that was ever given out


def why_not_public(address: IPv4Address | IPv6Address) -> str | None:
    """Return what an address is instead of public, or None."""
    for block, reason in _NOT_PUBLIC:
        if address in block:
            return reason
    if isinstance(address, IPv4Address):
        return None
    if any(address in block for block in _EMBEDDING):
        return why_not_public(IPv4Address(int(address) & 0xFFFFFFFF))
    return None if address in _GLOBAL_V6 and address.scope_id is None else "a reserved address"


def require_public(host: str, addresses: Sequence[str]) -> None:
    """Raise ``MediaError`` unless every address that was found for ``host`` is public."""
    for address in addresses:
        reason = why_not_public(ip_address(address))
        if reason is not None:
            place = host if host == address else f"{host} ({address})"
            raise MediaError(f"{place} is {reason}", hint="set media.allow_private to true if you trust the rows")


def lookup(host: str, port: int) -> list[str]:
    """Return the addresses of a host in the system's order of preference. Blocking. Raises ``OSError``."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(frozen=True, slots=True)
class Place:
    """What a URL names. ``host`` is ASCII in lower case, an IPv6 address without brackets; ``target`` is path and query."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The host as the ``Host`` header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def redirected(self, location: str | None, ports: Container[int]) -> Place:
        """Return the place that a redirect from here leads to; raises ``MediaError``."""
        if not location:
            raise MediaError("it redirects without saying where to")
        try:
            url = urljoin(f"{self.scheme}://{self.authority}{self.target}", location)
        except ValueError as error:
            raise MediaError(f"it redirects to what is no URL: {error}") from error
        there = place_of(url, ports)
        if self.scheme == "https" and there.scheme != "https":
            raise MediaError("it redirects from https to plain http")
        return there


def place_of(url: str, ports: Container[int]) -> Place:
    """Return what a URL names; raises ``MediaError`` for one that is broken, or that is not plain http(s) to one of ``ports``."""
    if len(url) > MAX_URL:
        raise MediaError(f"the URL is longer than {MAX_URL} characters")
    if _CONTROL.search(url):
        raise MediaError("the URL holds control characters")
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise MediaError(f"it is no URL: {error}") from error
    if parts.scheme not in DEFAULT_PORTS:
        raise MediaError("only http and https URLs are fetched")
    if "@" in parts.netloc:
        raise MediaError("the URL holds a user name or a password, and neither is ever sent")
    port = DEFAULT_PORTS[parts.scheme] if port is None else port
    if port not in ports:
        raise MediaError(f"port {port} is not one that rows may name")
    query = f"?{quote(parts.query, safe=_KEPT)}" if parts.query else ""
    return Place(parts.scheme, _host(parts.hostname or ""), port, (quote(parts.path, safe=_KEPT) or "/") + query)


def _host(name: str) -> str:
    """Return a host's name as it goes on the wire."""
    try:
        if ":" in name and "%" not in name:  # a zone would be an interface of this machine
            return str(IPv6Address(name))
        host = name.removesuffix(".").encode("idna").decode("ascii").lower()
    except ValueError as error:
        raise MediaError("the URL names no valid host") from error
    if not _HOST.fullmatch(host):
        raise MediaError("the URL names no valid host")
    return host
