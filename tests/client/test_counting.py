"""The provider counts what it would read: the input alone is sent, waiting helps where it can, and nothing else is taken for a count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson
import pytest

from pipeline.client.counting import Counter
from pipeline.client.exchange import Answer, Hear
from pipeline.client.loader import Loader
from pipeline.client.send import no_tokens
from pipeline.errors import AttemptError
from pipeline.records import Request
from pipeline.spec.provider import Provider
from pipeline.spec.rules import MediaRules, Retry
from pipeline.wire.dialect import DIALECTS

pytestmark = pytest.mark.anyio

BODY = {
    "model": "m",
    "input": "hi",
    "instructions": "Be brief.",
    "max_output_tokens": 9,
    "temperature": 0,
    "store": False,
}
REQUEST = Request(3, "m", BODY, b"0" * 16, 10)


@dataclass
class Wire:
    """A transport that gives these answers, and keeps what it was sent."""

    answers: list[tuple[int, object]]
    sent: list[tuple[str, Mapping[str, str], object]] = field(default_factory=list)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, hear: Hear | None = None) -> Answer:
        """Give the next answer."""
        self.sent.append((url, headers, orjson.loads(body)))
        status, said = self.answers.pop(0)
        return Answer(status, {"content-type": "application/json"}, orjson.dumps(said))

    async def call(self, method: str, url: str, headers: Mapping[str, str]) -> Answer:
        """Never needed."""
        raise NotImplementedError


async def counted(*answers: tuple[int, object], attempts: int = 3) -> tuple[int | AttemptError, Wire]:
    """Count one request against these answers."""
    wire = Wire(list(answers))
    endpoint = Provider(name="openai").endpoint()
    async with Loader(MediaRules(), DIALECTS["openai"]) as loader:
        retry = Retry(attempts=attempts)
        counter = Counter("https://a.example/c", wire, endpoint, lambda: "sk-secret", no_tokens, loader, {}, retry)
        try:
            return await counter.count(REQUEST), wire
        except AttemptError as error:
            return error, wire


async def test_only_what_is_read_is_sent() -> None:
    """Neither the output cap nor how the answer is made: the place that counts refuses them."""
    count, wire = await counted((200, {"object": "response.input_tokens", "input_tokens": 42}))
    assert count == 42
    ((url, headers, body),) = wire.sent
    assert url == "https://a.example/c"
    assert headers["authorization"] == "Bearer sk-secret"
    assert body == {"model": "m", "input": "hi", "instructions": "Be brief."}


async def test_waiting_helps_where_it_can(virtual_time: object) -> None:
    """A busy provider is asked again, a few times; a refusal is final."""
    busy, fine = (503, {"error": {"message": "busy"}}), (200, {"input_tokens": 7})
    assert (await counted(busy, busy, fine))[0] == 7
    count, wire = await counted(busy, busy, fine, attempts=2)
    assert isinstance(count, AttemptError)
    assert len(wire.sent) == 2
    refused, wire = await counted((401, {"error": {"message": "no such key sk-secret"}}), fine)
    assert isinstance(refused, AttemptError)
    assert (refused.scope, len(wire.sent)) == ("run", 1)
    assert "sk-secret" not in refused.message


@pytest.mark.parametrize(
    "said", [{}, {"input_tokens": "7"}, {"input_tokens": True}, [7], {"usage": {"input_tokens": 7}}]
)
async def test_what_is_no_count_is_none(said: object) -> None:
    """A number is not looked for in other places."""
    count, _ = await counted((200, said))
    assert isinstance(count, AttemptError)
    assert count.kind == "bad_body"
