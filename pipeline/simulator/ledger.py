"""The record of what was executed and what was refused, durable before the answer leaves.

Lines are written by one thread, as many at a time as have gathered while the last `fsync` ran.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson

__all__ = ["Ledger"]

REMEMBERED = 100_000


class Ledger:
    """Keeps the last records in memory and, given a path, all of them on disk."""

    def __init__(self, path: Path | None) -> None:
        self.records: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)
        self.events: deque[Mapping[str, Any]] = deque(maxlen=REMEMBERED)
        self._file = None if path is None else path.open("ab", buffering=0)
        self._waiting: list[tuple[bytes, asyncio.Future[None] | None]] = []
        self._writing = False
        self._pool = ThreadPoolExecutor(1, "ledger")

    async def write(self, record: dict[str, Any]) -> None:
        """Return when the record is durable."""
        self.records.append(record)
        if self._file is not None:
            durable = asyncio.get_running_loop().create_future()
            self._append(record, durable)
            await durable

    def note(self, event: Mapping[str, Any]) -> None:
        """Write an event after the fact; nobody waits for it."""
        self.events.append(event)
        if self._file is not None:
            self._append(event, None)

    def _append(self, record: Mapping[str, Any], durable: asyncio.Future[None] | None) -> None:
        self._waiting.append((orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE), durable))
        if not self._writing:
            self._flush()

    def _flush(self) -> None:
        batch, self._waiting = self._waiting, []
        self._writing = True
        data = b"".join(line for line, _ in batch)
        writing = asyncio.get_running_loop().run_in_executor(self._pool, self._store, data)
        writing.add_done_callback(lambda done: self._stored(done, batch))

    def _store(self, data: bytes) -> None:
        assert self._file is not None
        self._file.write(data)
        os.fsync(self._file.fileno())

    def _stored(self, done: asyncio.Future[None], batch: list[tuple[bytes, asyncio.Future[None] | None]]) -> None:
        self._writing = False
        failure = done.exception()
        for _, durable in batch:
            if durable is None or durable.done():
                continue
            if failure is None:
                durable.set_result(None)
            else:
                durable.set_exception(failure)
        if self._waiting:
            self._flush()

    def close(self) -> None:
        """Write what still waits and let go of the file."""
        self._pool.shutdown(wait=True)
        if self._file is not None:
            self._file.write(b"".join(line for line, _ in self._waiting))
            os.fsync(self._file.fileno())
            self._file.close()
