"""What an answer costs from its bytes to the values of the journal and the counters of the screen: microseconds of CPU by step.

Run by hand, for figures that are held against those of another commit on the same machine, one after the other:

    PYTHONPATH=. python tests/bench/replies.py

``measure`` gives the same as data.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import pairwise

import orjson

from pipeline.checkpoint.packing import pack
from pipeline.checkpoint.values import answer_values, attempt_values, usage_values
from pipeline.client.exchange import Answer
from pipeline.client.held import _of_reply
from pipeline.client.secrecy import Stars
from pipeline.client.send import _FirstToken, conformed
from pipeline.cost.prices import Book
from pipeline.engine.hearing import counting, heard_once
from pipeline.events import Event, RowFinished, Spent
from pipeline.records import Outcome, Reply, Request, Result
from pipeline.report.json_lines import JsonLines
from pipeline.report.lines import Lines
from pipeline.report.tally import Tally
from pipeline.spec.fields import Fields
from pipeline.spec.job import Job
from pipeline.wire.decode import read_answer
from pipeline.wire.headers import rate_headers
from pipeline.wire.slim import slim

KEY = "sk-bench-0123456789abcdef0123456789abcdef0123456789abcdef"
PIECES = 50
"""Events of a stream; each comes as a piece of its own."""

_SENTENCE = (
    "A short label for this ticket: the customer asks for a refund because the parcel came late and damaged, and wants an answer "
    "by mail this week."
)
_TYPED = '{"label": "delivery", "urgent": true, "score": 0.75, "reasons": ["late", "damaged"], "summary": "The parcel came late."}'
_FIELDS: Mapping[str, object] = {
    "label": "enum[billing, delivery, praise]",
    "urgent": "bool",
    "score": "float",
    "reasons": "list[string]",
    "summary": "string",
}
_HEADERS = {
    "server": "cloudflare",
    "date": "Fri, 20 Nov 2026 20:02:36 GMT",
    "content-type": "application/json",
    "transfer-encoding": "chunked",
    "connection": "keep-alive",
    "x-ratelimit-limit-requests": "5000",
    "x-ratelimit-limit-tokens": "2000000",
    "x-ratelimit-remaining-requests": "4999",
    "x-ratelimit-remaining-tokens": "1999000",
    "x-ratelimit-reset-requests": "12ms",
    "x-ratelimit-reset-tokens": "6m0s",
    "openai-processing-ms": "412",
    "x-request-id": "req_0123456789abcdef0123456789abcdef",
}


def body_of(text: str = _SENTENCE) -> dict[str, object]:
    """Return a Responses answer of the usual length and members, which says the text."""
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    message = {
        "type": "message",
        "id": "msg_" + "0f" * 16,
        "status": "completed",
        "role": "assistant",
        "content": [part],
    }
    usage = {
        "input_tokens": 120,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 33,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 153,
    }
    return {
        "id": "resp_" + "0f" * 16,
        "object": "response",
        "created_at": 1763640000,
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": 200,
        "max_tool_calls": None,
        "model": "gpt-5.4-mini-2026-03-17",
        "output": [message],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "default",
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage,
        "user": None,
        "metadata": {},
    }


def stream_of(count: int = PIECES) -> list[bytes]:
    """Return the answer as a stream of so many events: two that say that it began, its text in pieces, and the whole body."""
    body = body_of()
    began = {**body, "status": "in_progress", "output": [], "usage": None}
    pieces = count - 3
    cuts = [len(_SENTENCE) * number // pieces for number in range(pieces + 1)]
    events: list[dict[str, object]] = [
        {"type": "response.created", "response": began},
        {"type": "response.in_progress", "response": began},
        *(
            {"type": "response.output_text.delta", "item_id": "msg_1", "delta": _SENTENCE[start:end]}
            for start, end in pairwise(cuts)
        ),
        {"type": "response.completed", "response": body},
    ]
    return [b"event: %s\ndata: %s\n\n" % (str(event["type"]).encode(), orjson.dumps(event)) for event in events]


def _job() -> Job:
    return Job.model_validate(
        {
            "name": "bench",
            "provider": "openai",
            "model": "gpt-5.4-mini",
            "input": "in.parquet",
            "prompt": {"user": "{{ text }}"},
            "output": {"path": "out.parquet"},
        }
    )


def _read(stars: Stars, answer: Answer) -> Reply:
    starred = stars.answer(answer)
    rate_headers(starred.headers)
    return stars.reply(read_answer(starred.status, starred.headers, starred.content, now=0.0), starred.content)


def _values(outcome: Outcome, reply: Reply) -> tuple[object, ...]:
    *told, body = attempt_values(outcome)
    return (*told, body.__conform__(None), *usage_values(outcome), *answer_values(reply, "openai"))


def _first_token(pieces: list[bytes]) -> None:
    listener = _FirstToken()
    for piece in pieces:
        listener.hear(piece)


def steps() -> dict[str, Callable[[], object]]:
    """Return each step of an answer's way, ready to be called as often as one likes."""
    content = orjson.dumps(body_of())
    answer, stars, book = Answer(200, _HEADERS, content), Stars([KEY]), Book.of(_job())
    reply = _read(stars, answer)
    outcome, request = Outcome(0.4, reply), Request(1, "gpt-5.4-mini", {}, bytes(16), 150)
    typed, fields = _read(stars, Answer(200, _HEADERS, orjson.dumps(body_of(_TYPED)))), Fields.parse(_FIELDS)
    result, pieces = Result.of(1, reply, rows=1), stream_of()
    streamed = Answer(200, {**_HEADERS, "content-type": "text/event-stream"}, b"".join(pieces))
    price = partial(_of_reply, reply, request, book, 1.8e9)
    price()  # loads the list of prices
    return {
        "stars: made for a request": lambda: Stars([KEY]),
        "stars: answer": lambda: stars.answer(answer),
        "rate headers": lambda: rate_headers(_HEADERS),
        "read the answer": lambda: read_answer(200, _HEADERS, content, now=0.0),
        "stars: reply": lambda: stars.reply(reply, content),
        "bytes to reply": lambda: _read(stars, answer),
        "slim": lambda: slim(reply.raw),
        "pack": lambda: pack(reply.raw, slimmed=True),
        "values of the journal, packed": lambda: _values(outcome, reply),
        "price": price,
        "result": lambda: Result.of(1, reply, rows=1),
        **{f"events of a row: {name}": partial(_told, hear, result) for name, hear in _observers()},
        f"stream of {PIECES} events: bytes to reply": lambda: _read(stars, streamed),
        f"stream of {PIECES} events: first token": lambda: _first_token(pieces),
        "typed answer": lambda: conformed(typed, fields),
    }


def _observers() -> Iterator[tuple[str, Callable[[Event], None]]]:
    clock = time.monotonic
    for name, hear in (
        ("counted", Tally(clock).hear),
        ("lines", Lines(io.StringIO(), command="", clock=clock, every_s=10.0)),
        ("json", JsonLines(io.StringIO(), clock=clock)),
    ):
        yield name, counting(heard_once(hear), {})


def _told(hear: Callable[[Event], None], result: Result) -> None:
    hear(Spent(123_000))
    hear(RowFinished(result))


def measure(times: int = 2_000, rounds: int = 7) -> dict[str, float]:
    """Return for each step its microseconds of CPU: the least of the rounds, for what else runs can only add to it."""
    return asyncio.run(_measured(steps(), times, rounds))


async def _measured(todo: Mapping[str, Callable[[], object]], times: int, rounds: int) -> dict[str, float]:
    found = dict.fromkeys(todo, float("inf"))
    for _ in range(rounds):  # step after step in each, so that a busy moment does not hit one alone
        for name, step in todo.items():
            began = time.process_time()
            for _ in range(times):
                step()
            found[name] = min(found[name], (time.process_time() - began) / times * 1e6)
    return found


def main() -> None:
    """Measure, and print a table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--times", type=int, default=2_000)
    for name, microseconds in measure(arguments.parse_args().times).items():
        print(f"{microseconds:9.2f} us  {name}")


if __name__ == "__main__":
    main()
