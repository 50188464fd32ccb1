"""Responses that are kept at the provider: look at one, cancel one. Neither costs anything."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from pipeline.client.secrecy import Stars
from pipeline.client.send import headers_of, note_downloads
from pipeline.errors import AttemptError
from pipeline.wire.decode import read_answer
from pipeline.wire.signals import rate_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pipeline.client.exchange import Http
    from pipeline.client.loader import Loader
    from pipeline.client.send import Feedback, Secret
    from pipeline.records import Reply, Request
    from pipeline.wire.dialect import Endpoint

# Ids are opaque and come from outside: they are quoted wherever they stand in an address. These would lead elsewhere, or nowhere.
_ABSURD = re.compile(r"\.{0,2}|.*[^!-~].*|.{257,}", re.DOTALL)


def is_usable(response_id: str) -> bool:
    """Tell whether a response can be found again by its id: 1 to 256 visible characters of ASCII that are no step in a path."""
    return not _ABSURD.fullmatch(response_id)


@dataclass(frozen=True, slots=True)
class Stored:
    """Where an endpoint keeps its responses, and with which key one gets there.

    ``feedback`` hears the rate headers of every answer, ``loader`` of pictures that the provider could not download.
    ``tokens`` gives what the tools of requests were sent with: a response echoes its tools.
    """

    http: Http
    endpoint: Endpoint
    key: Secret
    loader: Loader
    feedback: Feedback
    tokens: Callable[[], Iterable[str]] = tuple

    async def look(self, request: Request, response_id: str) -> Reply:
        """Return the response to a request as it is now, finished or not; raises ``AttemptError``."""
        return await self._call("GET", request, quote(response_id, safe=""))

    async def cancel(self, request: Request, response_id: str) -> Reply:
        """End the response to a request that is being made, and return what became of it; raises ``AttemptError``."""
        return await self._call("POST", request, quote(response_id, safe="") + "/cancel")

    async def _call(self, method: str, request: Request, place: str) -> Reply:
        secret = self.key()
        stars = Stars([secret, *self.tokens()])
        try:
            address = f"{self.endpoint.url}/{place}"
            answer = stars.answer(await self.http.call(method, address, headers_of(self.endpoint, secret)))
            self.feedback(request.model, rate_headers(answer.headers))
            reply = read_answer(answer.status, answer.headers, answer.content, now=time.time(), background=True)
        except AttemptError as error:
            stars.hide_in(error)
            note_downloads(error, request.body, self.loader)
            raise
        return stars.reply(reply, answer.content)
