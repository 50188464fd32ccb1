"""The requests of a journal in memory are those of its file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from pipeline.checkpoint.requests import Requests
from pipeline.checkpoint.schema import TABLES
from pipeline.errors import RunDirectoryError
from pipeline.records import Status

LINE = "INSERT INTO requests(id, fingerprint, status, again, answered_by, carrier, carrier_plan) VALUES (?, ?, ?, ?, ?, ?, ?)"


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    """A journal with two plans and no request."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(TABLES)
        for plan in (1, 2):
            line = "INSERT INTO plans(id, job_digest, input_signature, simulated, created_at) VALUES (?, '', '', 0, 0)"
            connection.execute(line, (plan,))
        yield connection


def fingerprint(number: int) -> bytes:
    """Return one that is a number's own."""
    return number.to_bytes(16, "big")


def test_what_is_in_the_file_is_known(connection: sqlite3.Connection) -> None:
    """How each ended, by its own answer or by the one that stands for it, and which row of the newest plan carries it."""
    lines = [("ok", 0, None, 7, 2), ("failed", 1, None, 8, 1), ("failed", 0, 1, 9, 2), ("pending", 1, None, None, None)]
    connection.executemany(LINE, [(number, fingerprint(number), *line) for number, line in enumerate(lines, 1)])
    requests = Requests(connection)
    assert [requests.find(fingerprint(number)) for number in range(1, 6)] == [1, 2, 3, 4, None]
    assert [requests.status(number) for number in range(1, 5)] == [Status.OK, None, Status.OK, None]
    assert [requests.carrier(number) for number in range(1, 5)] == [7, None, 9, None]
    assert requests.answering == {3: 1}
    assert not requests.untied
    requests.drop_carriers()
    assert requests.untied


def test_a_new_request_needs_asking_until_it_has_ended(connection: sqlite3.Connection) -> None:
    """And again where its end is taken back."""
    requests = Requests(connection)
    number = requests.add(fingerprint(5))
    assert (number, requests.status(number), requests.carrier(number)) == (1, None, None)
    requests.carry(number, 3)
    requests.end([number], Status.FAILED)
    assert (requests.status(number), requests.carrier(number)) == (Status.FAILED, 3)
    requests.revive({Status.OK})
    assert requests.status(number) is Status.FAILED
    requests.revive({Status.FAILED, Status.OK})
    assert requests.status(number) is None


@pytest.mark.parametrize("lines", [[(2, fingerprint(2))], [(1, fingerprint(1)), (3, fingerprint(3))], [(1, b"short")]])
def test_a_journal_that_lacks_requests_is_refused(
    connection: sqlite3.Connection, lines: list[tuple[int, bytes]]
) -> None:
    """Its numbers would be given to other questions."""
    connection.executemany(LINE, [(*line, "pending", 1, None, None, None) for line in lines])
    with pytest.raises(RunDirectoryError, match="missing"):
        Requests(connection)
