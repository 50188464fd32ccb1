"""What a run must know of its journal at every row, in memory: requests by fingerprint, how they ended, and which row carries each."""

from __future__ import annotations

import time
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING

from pipeline.checkpoint import schema
from pipeline.errors import AttemptError
from pipeline.records import STATUS_FACTS, Attempt, Status

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection

    from pipeline.checkpoint.store import Statement
    from pipeline.errors import RowError
    from pipeline.records import Claim, Request

_LOAD = """
SELECT q.id, q.fingerprint, a.id, a.status, q.again, q.carrier, q.carrier_plan
FROM requests AS q JOIN requests AS a ON a.id = COALESCE(q.answered_by, q.id)
"""


class Index:
    """Requests by number. A request with a status needs no asking; one that is being asked has a claim."""

    def __init__(self, connection: sqlite3.Connection, *, dedupe: bool) -> None:
        self._dedupe = dedupe
        newest = connection.execute("SELECT MAX(id) FROM plans").fetchone()[0]
        self.numbers: dict[bytes, int] = {}
        self.answering: dict[int, int] = {}  # request → the one whose answer stands for it since a retry
        self.status: dict[int, Status] = {}
        self.carrier: dict[int, int] = {}  # request → the row of this plan that carries its usage
        self.asking: dict[int, Claim] = {}
        self.standing: dict[tuple[int, int], int] = {}  # row and sample → request whose answer stood before `--retry`
        self.rounds: dict[int, list[bytes]] = {}  # request cut off between two rounds → its packed replies so far
        for number, raw in connection.execute(schema.ROUNDS):
            self.rounds.setdefault(number, []).append(raw)
        self.submitted = {  # request → the attempt that the provider works on, left by a process before
            number: Attempt(attempt, response_id)
            for number, attempt, response_id in connection.execute(schema.SUBMITTED)
        }
        self._taken: dict[bytes, int] = {}
        for number, fingerprint, answering, status, again, carrier, plan in connection.execute(_LOAD):
            self.numbers[fingerprint] = number
            if answering != number:
                self.answering[number] = answering
            if not again:
                self.status[number] = Status(status)
            if plan == newest and carrier is not None:
                self.carrier[number] = carrier
        self._next = 1 + max(self.numbers.values(), default=0)

    def number(self, fingerprint: bytes) -> tuple[int, bool]:
        """Return a request's number, and whether it is a new one."""
        known = self.numbers.get(fingerprint)
        if known is not None:
            return known, False
        number = self.numbers[fingerprint] = self._next
        self._next += 1
        return number, True

    def tie(self, request: Request, plan: int) -> tuple[int, list[Statement]]:
        """Let a row ask a request, and carry its usage where it is the first of this plan to ask it.

        Returns the request's number and what the journal has to record.
        """
        row = request.row
        number, new = self.number(request.fingerprint)
        statements: list[Statement] = [(schema.ADD_REQUEST, (number, request.fingerprint))] if new else []
        if (row, request.sample) not in self.standing:
            statements.append((schema.TIE, (row, request.sample, plan, number)))
        for each in {number, self.answering.get(number, number)} - self.carrier.keys():
            self.carrier[each] = row
            statements.append((schema.CARRY, (row, plan, each)))
        return number, statements

    def stand_in(self, number: int, replaced: Collection[int]) -> list[Statement]:
        """Let a request's answer, if it has one, stand for others too: those whose rows were asked once more, and now ask this one."""
        status = self.status.get(number)
        if status is None or not STATUS_FACTS[status].answered:
            return []
        return [(schema.STAND_IN, (number, other)) for other in replaced if other != number]

    def conclude(self, number: int, error: RowError, label: str) -> list[Statement]:
        """Note that a request ended without an answer, also for twins yet to come.

        What waiting or a mended picture may help is asked again by the next run; what was refused for good begins with its first round if
        it is ever asked again.
        """
        status = self.status[number] = Status.UNKNOWN if error.unknown else Status.FAILED
        again = not error.unknown and (error.transient or not isinstance(error, AttemptError))
        ended = (schema.CONCLUDE, (status, int(again), error.kind, error.message, label, time.time(), number))
        over = status is Status.FAILED and not again
        return [ended, *(self.close_rounds(number) if over else ())]

    def close_rounds(self, number: int) -> list[Statement]:
        """Let a request's rounds, if it has any, be the past: it is answered, or cannot go on."""
        if self.rounds.pop(number, None) is None:
            return []
        return [(schema.CLOSE_ROUNDS, (number,))]

    @property
    def untied(self) -> bool:
        """Whether a request that needs no asking has no row of this plan yet."""
        return not self.status.keys() <= self.carrier.keys()

    def restart(self) -> None:
        """Begin with the first row again."""
        self._taken.clear()

    def shares(self, request: Request) -> bool:
        """Tell whether rows with this request share one answer. What is asked within a conversation changes it, so there each row asks."""
        return self._dedupe and request.body.get("conversation") is None

    def told_apart(self, request: Request) -> Request:
        """Return the request under a fingerprint of its own where its row asks for itself."""
        if self.shares(request):
            return request
        return replace(request, fingerprint=self._own(request.fingerprint, request.row))

    def _own(self, fingerprint: bytes, row: int) -> bytes:
        """Return a fingerprint that no other row of this plan has, for jobs that ask identical rows one by one.

        The n-th row with the same question gets the n-th fingerprint, so rows may still move between runs.
        """
        taken = self._taken.get(fingerprint, 0)
        while True:
            place = taken.to_bytes(8, "big")
            further = blake2b(fingerprint + place, digest_size=len(fingerprint), person=b"own").digest()
            candidate = further if taken else fingerprint  # the first keeps its answer where dedupe is switched off
            taken += 1
            number = self.numbers.get(candidate)
            if number is None or self.carrier.get(number, row) == row:
                self._taken[fingerprint] = taken
                return candidate
