"""Opening connections: the first address that answers, and nothing left of the others."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from pipeline.client import dial as module
from pipeline.client.dial import STAGGER_S, dial
from pipeline.errors import AttemptError, Sent
from pipeline.spec.rules import Deadlines

pytestmark = pytest.mark.anyio
Clock = Callable[[], float]


class Network:
    """Addresses by name, and after how many seconds each takes a connection; None is never, an error is that."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answers: dict[str, float | OSError | None]) -> None:
        self.asked: list[tuple[str, float]] = []
        self.opened: list[socket.socket] = []
        self._answers = answers
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "getaddrinfo", self._found)
        monkeypatch.setattr(loop, "sock_connect", self._connect)

    async def _found(self, host: str, port: int, **_: Any) -> list[Any]:
        families = {True: socket.AF_INET6, False: socket.AF_INET}
        return [(families[":" in each], socket.SOCK_STREAM, 6, "", (each, port)) for each in self._answers]

    async def _connect(self, opened: socket.socket, address: tuple[str, int]) -> None:
        self.opened.append(opened)
        self.asked.append((address[0], round(anyio.current_time(), 2)))
        answer = self._answers[address[0]]
        if isinstance(answer, OSError):
            raise answer
        await (anyio.sleep_forever() if answer is None else anyio.sleep(answer))

    def left(self) -> int:
        """Return how many sockets are open."""
        return sum(each.fileno() >= 0 for each in self.opened)


async def reached() -> socket.socket:
    """Connect to the host."""
    return await module._reached(asyncio.get_running_loop(), "host", 1)


async def test_the_second_address_is_tried_when_the_first_says_nothing(
    virtual_time: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quarter of a second later, of the other family, and the one that answers first is taken."""
    network = Network(monkeypatch, {"::1": None, "::2": None, "127.0.0.1": 0.1})
    begun = round(virtual_time(), 2)
    with await reached():
        assert network.asked == [("::1", begun), ("127.0.0.1", pytest.approx(begun + STAGGER_S, abs=0.02))]
        assert network.left() == 1
    assert network.left() == 0


async def test_an_address_that_refuses_is_passed_at_once(virtual_time: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for it."""
    network = Network(monkeypatch, {"::1": ConnectionRefusedError(), "127.0.0.1": 0.0})
    with await reached():
        assert [when for _, when in network.asked] == [pytest.approx(virtual_time(), abs=0.05)] * 2
    assert network.left() == 0


async def test_a_slow_first_address_may_still_win(virtual_time: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not given up when the next is tried beside it."""
    network = Network(monkeypatch, {"::1": 0.4, "127.0.0.1": None})
    with await reached() as won:
        assert won is network.opened[0]
        assert network.left() == 1


async def test_two_winners_in_one_turn_leave_one_socket(virtual_time: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other is closed."""
    network = Network(monkeypatch, {"::1": STAGGER_S, "127.0.0.1": 0.0})
    with await reached():
        assert network.left() == 1


async def test_where_nobody_answers_the_first_reason_counts(
    virtual_time: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an attempt that was never sent."""
    network = Network(monkeypatch, {"::1": ConnectionRefusedError("no"), "127.0.0.1": OSError("unreachable")})
    with pytest.raises(AttemptError, match="cannot connect: no") as failed:
        await dial(asyncio.get_running_loop(), ("host", 1), None, Deadlines(), lambda: None)  # type: ignore[arg-type,return-value]
    assert (failed.value.kind, failed.value.sent, network.left()) == ("connect", Sent.NEVER, 0)


async def test_a_host_that_says_nothing_is_given_up_in_time(
    virtual_time: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all of its addresses, and no socket is left."""
    network = Network(monkeypatch, {"::1": None, "127.0.0.1": None, "127.0.0.2": None})
    start = virtual_time()
    with pytest.raises(AttemptError, match="no connection within the deadline, after 7 s"):
        await dial(asyncio.get_running_loop(), ("host", 1), None, Deadlines(connect_s=7), lambda: None)  # type: ignore[arg-type,return-value]
    assert virtual_time() - start == pytest.approx(7, abs=0.1)
    assert (len(network.opened), network.left()) == (3, 0)


async def test_who_is_cancelled_while_connecting_leaves_nothing(
    virtual_time: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even of addresses that were tried side by side."""
    network = Network(monkeypatch, {"::1": None, "127.0.0.1": None})
    with anyio.move_on_after(1):
        await reached()
    assert (len(network.opened), network.left()) == (2, 0)
