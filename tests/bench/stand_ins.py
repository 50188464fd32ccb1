"""Providers to be served in a process of their own: our simulator, and the same in starlette on uvicorn.

``python stand_ins.py simulator|starlette [LATENCY_S]`` prints the URL and serves until a signal.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
import time
from functools import partial
from typing import cast

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.simulator import serve
from pipeline.simulator.answers import answer
from pipeline.simulator.connection import Connection, Exchange
from pipeline.simulator.dialects import DIALECTS
from pipeline.simulator.ledger import Ledger
from pipeline.simulator.reading import input_items, read
from pipeline.simulator.replay import check_replay
from pipeline.simulator.routes import Work, parse, record_of
from pipeline.simulator.shapes import Reply, plain_body, usage_object
from pipeline.simulator.tally import Tally
from pipeline.simulator.validate import check_request


class Same:
    """The simulator's work for one answer, in its own functions, behind another server: no faults, limits, streams or kept answers."""

    def __init__(self) -> None:
        self._ledger, self._tally = Ledger(None), Tally()

    async def create(self, request: Request) -> Response:
        """Check, answer and record one request."""
        begun, dialect = time.perf_counter(), DIALECTS["openai"]
        exchange = Exchange(NOBODY)
        exchange.path, exchange.body = request.url.path, await request.body()
        work = Work(exchange, dialect, "create", "", self._tally.enter("create"), begun)
        work.sign()
        parse(work)
        check_request(work.body, dialect)
        items = input_items(work.body)
        check_replay([], items)
        asked = read(work.body, [], items, dialect)
        reply = Reply.make(answer(asked, {}, 0), asked, work.body, dialect, int(time.time()), "default")
        done = {"executed": True, "charged": True, "response_id": reply.id, "usage": usage_object(reply.answer.usage)}
        await self._ledger.write(record_of(work, "executed", 200) | done)
        self._tally.leave()
        headers = {
            "x-request-id": f"req_{secrets.token_hex(16)}",
            "openai-processing-ms": str(round((time.perf_counter() - begun) * 1000)),
            "x-simulated": "true",
        }
        return Response(plain_body(reply, "responses"), headers=headers, media_type="application/json")


NOBODY = cast("Connection", None)  # uvicorn has the connection


def serve_starlette() -> None:
    """Serve until a signal with what uvicorn has that is fast."""
    app = Starlette(routes=[Route("/v1/responses", Same().create, methods=["POST"])])
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(4096)
    _say(f"http://127.0.0.1:{listening.getsockname()[1]}")
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="error",
        server_header=False,
        date_header=False,
    )
    uvicorn.Server(config).run(sockets=[listening])


_say = partial(print, flush=True)


def main() -> None:
    """Pin the process and serve what the command line names."""
    kind, latency_s = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
    if core := os.environ.get("BENCH_CORE"):
        os.sched_setaffinity(0, {int(core)})
    if kind == "starlette":
        serve_starlette()
    else:
        serve("127.0.0.1", 0, {"latency_s": latency_s}, None, _say)


if __name__ == "__main__":
    main()
