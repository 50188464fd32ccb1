"""A provider on loopback for each test, and the clients that talk to it."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI
from PIL import Image

from pipeline.simulator import Simulator

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def anyio_backend() -> str:
    """The tests run on asyncio only."""
    return "asyncio"


@pytest.fixture
def play() -> Iterator[Callable[..., Simulator]]:
    """Start a simulator with a script; it ends with the test."""
    with ExitStack() as stack:

        def start(script: dict[str, Any] | None = None, **options: Any) -> Simulator:
            return stack.enter_context(Simulator(script=script, **options))

        yield start


@pytest.fixture
def provider(play: Callable[..., Simulator]) -> Simulator:
    """A simulator without a script."""
    return play()


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    """A plain HTTP client."""
    with httpx.Client(trust_env=False, timeout=10) as client:
        yield client


@pytest.fixture
def ask(http: httpx.Client) -> Callable[..., httpx.Response]:
    """POST a response to one dialect; the body may be given whole or as the text."""

    def send(simulator: Simulator, given: Any = "Hello there", dialect: str = "openai", **more: Any) -> httpx.Response:
        body = given if isinstance(given, dict) else {"model": "gpt-5", "input": given}
        return http.post(simulator.base_url(dialect) + "/responses", json={**body, **more})

    return send


@pytest.fixture
def sdk() -> Iterator[Callable[..., OpenAI]]:
    """The vendor's own client, pointed at a simulator."""
    with ExitStack() as stack:

        def connect(simulator: Simulator, **options: Any) -> OpenAI:
            settings = {"base_url": simulator.base_url(), "api_key": "test", "max_retries": 0, "timeout": 10, **options}
            return stack.enter_context(OpenAI(**settings))

        yield connect


@pytest.fixture
def picture() -> Callable[..., str]:
    """A data URI of a plain picture."""

    def make(colour: str = "red", size: tuple[int, int] = (64, 48), form: str = "PNG", mime: str | None = None) -> str:
        out = io.BytesIO()
        Image.new("RGB", size, colour).save(out, form)
        return f"data:{mime or 'image/' + form.lower()};base64,{base64.b64encode(out.getvalue()).decode()}"

    return make


@pytest.fixture
def shown() -> Callable[..., dict[str, Any]]:
    """A request of one user message that holds a text and pictures."""

    def make(*urls: str, text: str = "What is this?") -> dict[str, Any]:
        parts = [{"type": "input_text", "text": text}, *({"type": "input_image", "image_url": url} for url in urls)]
        return {"model": "gpt-5", "input": [{"role": "user", "content": parts}]}

    return make


@pytest.fixture
def golden() -> Callable[[str], Any]:
    """A body as the documents show it."""
    return lambda name: json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture
def said() -> Callable[[httpx.Response], str]:
    """The text of a reply, whatever its shape."""

    def text(response: httpx.Response) -> str:
        body = response.json()
        body = body.get("data", body)
        if "choices" in body:
            return body["choices"][0]["message"]["content"]
        return "".join(
            part.get("text", "") for item in body["output"] if item["type"] == "message" for part in item["content"]
        )

    return text
