"""Whether a proxy stands in the way is decided as httpx decides it."""

from __future__ import annotations

import httpx
import pytest

from pipeline.client.proxies import NAMELESS, proxy_for

PROXY = "http://user:word@proxy.example:3128"
URLS = (
    "https://api.example.com/v1", "https://example.com/v1", "https://badexample.com", "http://example.com:8080/v1",
    "https://example.com:443/v1", "http://127.0.0.1:9/v1", "http://localhost:9/v1", "http://[::1]:9/v1", "http://192.168.0.7/v1",
)  # fmt: skip
ENVIRONMENTS: tuple[dict[str, str], ...] = (
    {},
    {"HTTPS_PROXY": PROXY},
    {"HTTP_PROXY": "proxy.example:3128"},
    {"ALL_PROXY": PROXY},
    *(
        {"ALL_PROXY": PROXY, "NO_PROXY": said}
        for said in (
            "*", "example.com", ".example.com", "*.example.com", "api.example.com, localhost", "127.0.0.1", "::1", "192.168.0.0/16",
            "example.com:8080", "https://example.com", "http://example.com:8080", "all://api.example.com", "LOCALHOST", "example.com:443", "https://",
        )
    ),
    {"HTTPS_PROXY": PROXY, "HTTP_PROXY": PROXY, "NO_PROXY": "a.example, *, b.example"},
)  # fmt: skip


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=str)
def test_a_proxy_is_used_where_httpx_would(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked of httpx itself, for addresses of each kind."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    client = httpx.AsyncClient()
    by_httpx = {url: client._transport_for_url(httpx.URL(url)) is not client._transport for url in URLS}
    assert {url: proxy_for(url) is not None for url in URLS} == by_httpx


def test_a_proxy_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands on screens."""
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    assert proxy_for("https://api.example.com/v1") == "proxy.example:3128"


@pytest.mark.parametrize(
    "proxy",
    [
        "http://user:pw/ord@proxy.example:1",
        "user:pw?ord@proxy.example:1",
        "http://u:pw#ord@p:1",
        "http://p:1/pw@pw ord",
    ],
)
def test_a_password_that_is_not_quoted_is_not_shown(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is a part of it."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    assert proxy_for("https://api.example.com/v1") == NAMELESS


def test_an_exception_that_nobody_can_read_exempts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """And without a proxy it does not matter."""
    monkeypatch.setenv("NO_PROXY", "host:notaport, [::1, other.example")
    assert proxy_for("https://host/v1") is None
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    assert proxy_for("https://host/v1") == "proxy.example:3128"
    assert proxy_for("https://other.example/v1") is None
