"""Which transport carries a job, and what is said about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.client import transports
from pipeline.client.direct import DirectHttp
from pipeline.client.http import StockHttp
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
