"""Ask the provider how many input tokens a request has, where it counts them without an answer. That costs nothing."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from pipeline.client.body import serialized
from pipeline.client.retry import delay
from pipeline.client.secrecy import Stars
from pipeline.client.send import headers_of
from pipeline.errors import AttemptError, Sent
from pipeline.wire.credentials import filled
from pipeline.wire.decode import read_answer
from pipeline.wire.encode import encode
from pipeline.wire.tolerant import NotJsonError, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.client.exchange import Answer, Http
    from pipeline.client.loader import Loader
    from pipeline.client.send import Secret, Tokens
    from pipeline.records import Request
    from pipeline.spec.rules import Retry
    from pipeline.wire.dialect import Endpoint

# What OpenAI's page on counting input tokens lists: neither the output cap nor how the answer is to come.
_COUNTED = frozenset((
    "conversation", "input", "instructions", "model", "parallel_tool_calls", "previous_response_id", "reasoning", "text",
    "tool_choice", "tools", "truncation"
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Counter:
    """Where input tokens are counted (``url``), and what a request needs to get there."""

    url: str
    http: Http
    endpoint: Endpoint
    key: Secret
    tokens: Tokens
    loader: Loader
    extra_body: Mapping[str, object]
    retry: Retry

    async def count(self, request: Request) -> int:
        """Return the input tokens of a request; raises ``AttemptError``, ``MediaError`` or ``PromptError``."""
        body = encode(request.body, self.endpoint.dialect, self.extra_body)
        counted = {name: value for name, value in body.items() if name in _COUNTED}
        content = await serialized(filled(counted, self.tokens), self.loader)
        dice = random.Random()  # noqa: S311 - jitter, not a secret
        failures = 0
        while True:
            try:
                return await self._ask(content)
            except AttemptError as error:
                failures += 1
                if not error.transient or failures >= self.retry.attempts:
                    raise
                await anyio.sleep(delay(error, failures, self.retry, dice))

    async def _ask(self, content: bytes) -> int:
        secret = self.key()
        stars = Stars([secret])
        try:
            answer = await self.http.post(self.url, headers_of(self.endpoint, secret), content)
            return _counted(stars.answer(answer))
        except AttemptError as error:
            stars.hide_in(error)
            raise


def _counted(answer: Answer) -> int:
    """Return the count that an answer holds; raises ``AttemptError``."""
    if answer.status != 200:
        read_answer(answer.status, answer.headers, answer.content, now=time.time())
    try:
        said = parse(answer.content)
    except NotJsonError:
        said = None
    count = said.get("input_tokens") if isinstance(said, dict) else None
    if isinstance(count, bool) or not isinstance(count, int):
        message = "the answer holds no count of input tokens"
        raise AttemptError(message, kind="bad_body", sent=Sent.ANSWERED, transient=False, http_status=answer.status)
    return count
