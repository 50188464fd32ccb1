"""What a run must know of its journal at every row, in memory: how requests ended, who asks them now, and what each row ties itself to."""

from __future__ import annotations

import time
from array import array
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING

from pipeline.checkpoint import schema
from pipeline.checkpoint.fingerprints import Fingerprints
from pipeline.checkpoint.requests import Requests
from pipeline.checkpoint.ties import Ties
from pipeline.checkpoint.writes import CARRY, TIE
from pipeline.errors import AttemptError
from pipeline.records import STATUS_FACTS, Attempt, Status

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Iterator

    from pipeline.checkpoint.store import Statement
    from pipeline.errors import RowError
    from pipeline.records import Claim, Request


class Index:
    """What a run knows of its requests by their numbers; one that is being asked has a claim."""

    def __init__(self, connection: sqlite3.Connection, *, dedupe: bool) -> None:
        self._dedupe = dedupe
        self.requests = Requests(connection)
        self.asking: dict[int, Claim] = {}
        self.numbers: dict[
            bytes, int
        ] = {}  # of those that are being asked, by their fingerprints: each is looked for at every step
        self.standing: dict[tuple[int, int], int] = {}  # row and sample → request whose answer stood before `--retry`
        self.rounds: dict[int, list[bytes]] = {}  # request cut off between two rounds → its packed replies so far
        for number, raw in connection.execute(schema.ROUNDS):
            self.rounds.setdefault(number, []).append(raw)
        self.submitted = {  # request → the attempt that the provider works on, left by a process before
            number: Attempt(attempt, response_id)
            for number, attempt, response_id in connection.execute(schema.SUBMITTED)
        }
        self.restart()

    def tie(self, request: Request, plan: int) -> tuple[int, list[Statement]]:
        """Let a row ask a request, and carry its usage where it is the first of this plan to ask it.

        Returns the request's number and what the journal has to record.
        """
        requests, row, fingerprint = self.requests, request.row, request.fingerprint
        number = requests.find(fingerprint)
        if number is None:
            number = requests.add(fingerprint)
        statements: list[Statement] = []
        if requests.carrier(number) is None:
            requests.carry(number, row)
            statements.append((CARRY, (number, fingerprint, row, plan)))
        other = requests.answering.get(number) if requests.answering else None
        if other is not None and requests.carrier(other) is None:
            requests.carry(other, row)
            statements.append((CARRY, (other, fingerprint, row, plan)))
        if not self.standing or (row, request.sample) not in self.standing:
            statements.append((TIE, (row, request.sample, plan, number)))
        return number, statements

    def tie_known(self, asked: Iterable[Request], plan: int) -> tuple[list[Status | None], Iterator[Statement]]:
        """Tie the rows of all requests that need no asking, as ``tie`` does one.

        Returns the statuses of these, None for the others, and what the journal has to record.
        """
        ties, known, requests = Ties(plan), list[Status | None](), self.requests
        for request in asked:
            number = requests.find(request.fingerprint)
            status = None if number is None else requests.status(number)
            known.append(status)
            if number is None or status is None:
                continue
            row, sample = request.row, request.sample
            if requests.carrier(number) is None:
                requests.carry(number, row)
                ties.carry(row, sample, number)
            other = requests.answering.get(number) if requests.answering else None
            if other is not None and requests.carrier(other) is None:
                requests.carry(other, row)
                ties.carry_other(row, other)
            if not self.standing or (row, sample) not in self.standing:
                ties.tie(row, sample, number)
        return known, ties.statements()

    def number(self, request: Request) -> int:
        """Return the number of a request that is claimed. Raises ``KeyError`` for any other."""
        return self.numbers[request.fingerprint]

    def known(self, fingerprint: bytes) -> Status | None:
        """Return how the request with a fingerprint ended, None where it needs asking."""
        number = self.requests.find(fingerprint)
        return None if number is None else self.requests.status(number)

    def stand_in(self, number: int, replaced: Collection[int]) -> list[Statement]:
        """Let a request's answer, if it has one, stand for others too: those whose rows were asked once more, and now ask this one."""
        status = self.requests.status(number)
        if status is None or not STATUS_FACTS[status].answered:
            return []
        return [(schema.STAND_IN, (number, other)) for other in replaced if other != number]

    def conclude(self, number: int, error: RowError, label: str) -> list[Statement]:
        """Note that a request ended without an answer, also for twins yet to come.

        What waiting or a mended picture may help is asked again by the next run; what was refused for good begins with its first round if
        it is ever asked again.
        """
        status = Status.UNKNOWN if error.unknown else Status.FAILED
        self.requests.end((number,), status)
        again = not error.unknown and (error.transient or not isinstance(error, AttemptError))
        ended = (schema.CONCLUDE, (status, int(again), error.kind, error.message, label, time.time(), number))
        over = status is Status.FAILED and not again
        return [ended, *(self.close_rounds(number) if over else ())]

    def close_rounds(self, number: int) -> list[Statement]:
        """Let a request's rounds, if it has any, be the past: it is answered, or cannot go on."""
        if self.rounds.pop(number, None) is None:
            return []
        return [(schema.CLOSE_ROUNDS, (number,))]

    def restart(self) -> None:
        """Begin with the first row again."""
        self._taken = Fingerprints()  # those that rows of this plan have asked by themselves
        self._times = array("I", [0])  # how often, by their numbers

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
        at = self._taken.find(fingerprint)
        if at is None:
            at = self._taken.add(fingerprint)
            self._times.append(0)
        taken = self._times[at]
        while True:
            place = taken.to_bytes(8, "big")
            further = blake2b(fingerprint + place, digest_size=len(fingerprint), person=b"own").digest()
            candidate = further if taken else fingerprint  # the first keeps its answer where dedupe is switched off
            taken += 1
            number = self.requests.find(candidate)
            if number is None or self.requests.carrier(number) in (None, row):
                self._times[at] = taken
                return candidate
