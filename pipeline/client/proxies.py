"""Which proxy the environment names for an address, by the rules of httpx, which then goes through it."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies

if TYPE_CHECKING:
    from urllib.parse import SplitResult

_SCHEMES = ("http", "https", "all")
NAMELESS = "(not shown: its address is badly written)"
_PLACE = re.compile(r"[\w.\[\]:-]+")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class _Rule:
    """A proxy for the addresses that match, or None for none. Empty parts match everything."""

    scheme: str
    host: str
    port: int | None
    proxy: str | None

    @property
    def rank(self) -> tuple[bool, int, int]:
        """The most exact rule counts."""
        return self.port is None, -len(self.host), -len(self.scheme)

    def matches(self, address: SplitResult) -> bool:
        host = address.hostname or ""
        if self.scheme and self.scheme != address.scheme:
            return False
        if self.port is not None and self.port != _port(address):
            return False
        if self.host.startswith("*."):
            return host.endswith(self.host[1:])
        if self.host.startswith("*"):
            return host == self.host[1:] or host.endswith("." + self.host[1:])
        return self.host in ("", host)


def proxy_for(url: str) -> str | None:
    """Return the proxy that the environment names for an address, as host and port; None where none is to be used."""
    address = urlsplit(url)
    found = getproxies()
    exempt = [host.strip() for host in found.get("no", "").split(",")]
    if "*" in exempt:
        return None
    rules = [_Rule("" if each == "all" else each, "", None, found[each]) for each in _SCHEMES if found.get(each)]
    if not rules:
        return None
    rules += [rule for rule in map(_exemption, filter(None, exempt)) if rule is not None]
    rule = next((rule for rule in sorted(rules, key=lambda rule: rule.rank) if rule.matches(address)), None)
    if rule is None or rule.proxy is None:
        return None
    return _shown(rule.proxy)


def _shown(proxy: str) -> str:
    """Return a proxy's host and port: whatever it takes to log in is nobody's business, also where it is not quoted as it should be."""
    said = proxy.partition("://")[2] or proxy
    place = said.rpartition("@")[2].rstrip("/")
    login, at, _ = said.rpartition("@")
    torn = at and any(mark in login for mark in "/?#")  # a password, or a path that holds an @
    return NAMELESS if torn or not _PLACE.fullmatch(place) else place


def _exemption(said: str) -> _Rule | None:
    """Return the rule for one entry of ``NO_PROXY``: a name, which stands for all below it, an address, or a whole URL.

    None for one that nobody can read: httpx refuses the whole environment for it, and says so once the proxy is to be used.
    """
    try:
        return _read(said)
    except ValueError:
        return None


def _read(said: str) -> _Rule:
    if "://" in said:
        parts = urlsplit(said)
        host = parts.hostname if parts.hostname != "*" else None
        return _Rule("" if parts.scheme == "all" else parts.scheme, host or "", _port(parts), None)
    bare = said.split("/")[0]
    if _is_address(bare) or bare.lower() == "localhost":
        return _Rule("", bare.lower(), None, None)
    parts = urlsplit(f"//{said}")
    return _Rule("", f"*{parts.hostname or ''}", _port(parts), None)


def _port(parts: SplitResult) -> int | None:
    """Return the port that an address names, None where that goes without saying; httpx does not tell 443 from none."""
    return None if parts.port == _PORTS.get(parts.scheme) else parts.port


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
