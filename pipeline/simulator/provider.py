"""The life of an exchange: let in, struck by a fault or handed to its endpoint, and refused where it must be."""

from __future__ import annotations

import asyncio
import logging
import types
from collections.abc import Coroutine, Generator
from typing import Any

from pipeline.simulator.connection import Connection, Exchange
from pipeline.simulator.dialects import DIALECTS, dialect_of
from pipeline.simulator.endpoints import Endpoints
from pipeline.simulator.faults import Fault, FaultBook
from pipeline.simulator.ledger import Ledger
from pipeline.simulator.limits import Limits, Window
from pipeline.simulator.problems import RequestError
from pipeline.simulator.routes import PAID, Work, endpoint_of, parse, record_of
from pipeline.simulator.script import Script
from pipeline.simulator.sender import Sender
from pipeline.simulator.tally import Stats, Tally

__all__ = ["Provider"]

log = logging.getLogger("pipeline.simulator")


class Provider:
    """Answers exchanges by the rules of their dialect and of the script."""

    def __init__(self, script: Script, ledger: Ledger) -> None:
        window = Window(script.limits or Limits())
        self._script = script
        self._ledger = ledger
        self._tally = Tally()
        self._faults = FaultBook(script.faults, script.seed)
        self._send = Sender(script, window, ledger, self._tally)
        self._endpoints = Endpoints(script, window, ledger, self._tally, self._send)
        self._tasks: set[asyncio.Task[None]] = set()

    def handle(self, exchange: Exchange) -> None:
        """Work on one exchange. Most are over before anything has to wait; only the others get a task, which is ours until it ends."""
        serving = self._serve(exchange)
        try:
            awaited = serving.send(None)
        except StopIteration:
            exchange.connection.answered()
        except Exception as error:  # noqa: BLE001 - a mistake of ours is the same one in a task and outside
            self._failed(error, exchange.connection)
        else:
            task = asyncio.get_running_loop().create_task(_go_on(serving, awaited))
            self._tasks.add(task)
            task.add_done_callback(lambda done: self._ended(done, exchange.connection))

    def stats(self) -> Stats:
        """The counts as they stand."""
        return self._tally.stats()

    async def close(self) -> None:
        """Abandon what is in flight."""
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))
        self._endpoints.workers.shutdown(wait=True)

    def _ended(self, task: asyncio.Task[None], connection: Connection) -> None:
        """Take the connection's next request, or, after an error of our own, say 500 and close."""
        self._tasks.discard(task)
        if task.cancelled():
            connection.transport.abort()
        elif (error := task.exception()) is not None:
            self._failed(error, connection)
        else:
            connection.answered()

    def _failed(self, error: BaseException, connection: Connection) -> None:
        self._tally.errors["internal"] += 1
        log.error("the simulator failed to answer a request", exc_info=error)
        connection.refuse(500)

    async def _serve(self, exchange: Exchange) -> None:
        dialect, rest = dialect_of(exchange.path) or (DIALECTS["openai"], "")
        endpoint, target = endpoint_of(exchange.method, rest, dialect)
        n = self._tally.enter(endpoint)
        work = Work(exchange, dialect, endpoint, target, n, asyncio.get_running_loop().time())
        work.sign()
        try:
            await self._answer(work)
        except RequestError as error:
            await self._refuse(work, error)
        finally:
            self._tally.leave()

    async def _answer(self, work: Work) -> None:
        """Read the request, let the script interfere, and do the endpoint's work."""
        handler = self._endpoints.handlers.get(work.endpoint)
        if work.exchange.too_large:
            raise RequestError("The request body is too large.", status=413, code="request_too_large")
        if handler is None:
            raise RequestError(f"Invalid URL ({work.exchange.method} {work.exchange.path})", status=404)
        self._check_key(work)
        parse(work)
        fault = self._faults.match(work.endpoint, work.n, work.digest, work.text, str(work.body.get("model")))
        if fault is not None and not fault.executed:
            await self._strike(work, fault)
        else:
            await handler(work, fault)

    def _check_key(self, work: Work) -> None:
        expected = self._script.api_keys.get(work.dialect.name)
        given = work.exchange.headers.get(b"authorization", b"")
        if expected is not None and given != f"Bearer {expected}".encode():
            message = "Incorrect API key provided." if given else "You didn't provide an API key."
            raise RequestError(message, status=401, code="invalid_api_key")

    async def _strike(self, work: Work, fault: Fault) -> None:
        """A fault that comes instead of any execution."""
        self._tally.errors[f"fault:{fault.name}"] += 1
        if work.endpoint in PAID:
            await self._ledger.write(record_of(work, f"fault:{fault.name}", fault.status))
        await self._send.fault(work, fault)

    async def _refuse(self, work: Work, error: RequestError) -> None:
        self._tally.errors[error.code or str(error.status)] += 1
        if work.endpoint in PAID:
            await self._ledger.write(record_of(work, "refused", error.status) | {"error": error.message})
        await self._send.error(work, error)


@types.coroutine
def _go_on(serving: Coroutine[Any, None, None], awaited: object) -> Generator[object, None, None]:
    """Go on, in a task, with a coroutine that was begun outside and waits for a future now."""
    try:
        yield awaited
    except asyncio.CancelledError as stop:
        serving.throw(stop)  # which raises it again, after the coroutine has tidied up
        raise
    except Exception:  # noqa: BLE001, S110 - the future raises it once more, where the coroutine waits for it
        pass
    yield from serving
