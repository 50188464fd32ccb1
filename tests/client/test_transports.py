"""Which transport carries a job, and what is said about it."""

from __future__ import annotations

import traceback
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from pipeline.client import transports
from pipeline.client.direct import DirectHttp
from pipeline.client.http import StockHttp
from pipeline.errors import SpecError
from pipeline.spec.job import Job

URL = "https://api.example.com/v1/responses"
PROXY = {"HTTPS_PROXY": "http://user:word@proxy.example:3128"}


def job(**settings: Any) -> Job:
    """Return a job."""
    return Job.model_validate(
        {"provider": "openai", "model": "m", "input": "a.csv", "prompt": "p", "output": "a.parquet", **settings}
    )


@pytest.mark.parametrize(
    ("named", "environment", "expected"),
    [
        (None, {}, "direct"),
        (None, PROXY, "httpx"),
        ("auto", {**PROXY, "NO_PROXY": "example.com"}, "direct"),
        ("auto", {"HTTP_PROXY": "http://proxy.example:3128"}, "direct"),
        ("direct", PROXY, "direct"),
        ("httpx", {}, "httpx"),
        ("http2", {}, "http2"),
    ],
)
def test_a_proxy_decides_where_the_job_does_not(
    named: str | None, environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own transport is the default, and knows no proxies."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert transports.chosen(job(**{"transport": named} if named else {}), URL) == expected


def test_each_transport_is_made() -> None:
    """The stock one with HTTP/2 only where that was asked for."""
    assert isinstance(transports.http_of(job(), URL), DirectHttp)
    stock = [transports.http_of(job(transport=name), URL) for name in ("httpx", "http2")]
    assert [isinstance(each, StockHttp) and each._http2 for each in stock] == [False, True]


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"SSL_CERT_FILE": "/nope.pem"}, "SSL_CERT_FILE"),
        ({"SSL_CERT_FILE": __file__}, "SSL_CERT_FILE"),
        ({"HTTPS_PROXY": "http://user:S3KRET@proxy.example:99x"}, "HTTPS_PROXY"),
        ({"HTTPS_PROXY": "http://user:S3KRET/@proxy.example:99"}, "HTTPS_PROXY"),
        ({"HTTPS_PROXY": "socks4://user:S3KRET@proxy.example:99"}, "HTTPS_PROXY"),
        ({**PROXY, "NO_PROXY": "[::1]"}, "NO_PROXY"),
        ({**PROXY, "NO_PROXY": "::1/128"}, "NO_PROXY"),
        ({**PROXY, "NO_PROXY": "host:notaport"}, "NO_PROXY"),
    ],
)
def test_an_environment_that_cannot_be_used_is_found_before_anything_is_sent(
    environment: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the name of its variable, and without a word of a password."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SpecError) as failed:
        transports.http_of(job(), URL)
    assert words in str(failed.value.hint)
    assert "S3KRET" not in "".join(traceback.format_exception(failed.value))
    assert failed.value.exit_code == 2


def test_a_proxy_over_socks_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where that is not installed."""
    if find_spec("socksio") is not None:
        pytest.skip("socksio is installed")
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy.example:1080")
    with pytest.raises(SpecError) as failed:
        transports.http_of(job(), URL)
    assert "socksio" in str(failed.value.hint)


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.setattr(transports, "find_spec", lambda name: None)
    assert "pip install 'responses-pipeline[http2]'" in str(transports.missing(job(transport="http2")))
    assert transports.missing(job(transport="httpx")) is None
    monkeypatch.setattr(transports, "find_spec", lambda name: object())
    assert transports.missing(job(transport="http2")) is None


@pytest.mark.parametrize(
    ("named", "said"), [("auto", "so httpx sends them"), ("direct", "does not use the proxy"), ("httpx", None)]
)
def test_a_proxy_that_decides_is_mentioned(named: str, said: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what it takes to log in there."""
    assert transports.note(job(transport=named), URL) == ()
    monkeypatch.setenv("HTTPS_PROXY", PROXY["HTTPS_PROXY"])
    notes = transports.note(job(transport=named), URL)
    assert [said in note and "proxy.example:3128" in note and "word" not in note for note in notes if said] == [
        True
    ] * bool(said)
    assert bool(notes) == bool(said)


def test_the_transport_is_no_part_of_what_is_asked(tmp_path: Path) -> None:
    """Another one asks the same questions: no answer is bought again."""
    from pipeline.engine.check import _DECIDING

    assert "transport" not in _DECIDING
