"""Opens connections: a host's addresses, the first of them that answers, and encryption. Nothing of a request leaves here."""

from __future__ import annotations

import socket
import ssl
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any

import anyio

from pipeline.errors import AttemptError, Sent

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from pipeline.client.connection import Connection
    from pipeline.spec.rules import Deadlines

STAGGER_S = 0.25  # that an address is tried for by itself, before the next one is tried beside it (RFC 8305)

_Found = tuple[int, int, int, str, Any]  # as getaddrinfo has it


async def dial(
    loop: asyncio.AbstractEventLoop,
    address: tuple[str, int],
    tls: ssl.SSLContext | None,
    deadlines: Deadlines,
    make: Callable[[], Connection],
) -> Connection:
    """Return a connection to a host and port, encrypted where ``tls`` says whom to trust; raises ``AttemptError``, never sent.

    Either step, to the host and to its encryption, may take as long as the deadline for connecting.
    """
    step_s = min(deadlines.connect_s, deadlines.total_s / 2)
    # The loop's own deadline for handshakes is pushed out of the way. It takes one only with encryption.
    secure: dict[str, Any] = {}
    if tls is not None:
        secure = {"ssl": tls, "server_hostname": address[0], "ssl_handshake_timeout": step_s + 60}
    try:
        with anyio.move_on_after(step_s) as step:
            reached = await _reached(loop, *address)
            reached.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
            step.deadline = loop.time() + step_s
            _, connection = await loop.create_connection(make, sock=reached, **secure)
            if not connection.open:
                raise ConnectionAbortedError("the server closed the connection before anything was sent")
            return connection
    except OSError as error:
        raise refused(error) from None
    except ValueError as error:
        raise unsent(error) from None
    message = f"no connection within the deadline, after {step_s:g} s"
    raise AttemptError(message, kind="connect", sent=Sent.NEVER, transient=True)


def refused(error: Exception) -> AttemptError:
    """Return our error for a connection that could not be made."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return distrusted(error)
    message = f"cannot connect: {str(error) or type(error).__name__}"
    return AttemptError(message, kind="connect", sent=Sent.NEVER, transient=True)


def unsent(error: Exception) -> AttemptError:
    """Return our error for what nobody foresaw before anything left. It is not quoted: it may hold a part of an address."""
    message = f"the connection could not be set up: {type(error).__name__}"
    return AttemptError(message, kind="connect", sent=Sent.NEVER, transient=False)


def distrusted(error: ssl.SSLCertVerificationError) -> AttemptError:
    """Return our error for a server that could not prove who it is."""
    return AttemptError(
        f"the server's certificate is not trusted: {error.verify_message}",
        kind="certificate",
        sent=Sent.NEVER,
        transient=False,
        scope="run",
        hint="check provider.base_url; a company's own authority is named by SSL_CERT_FILE",
    )


async def _reached(loop: asyncio.AbstractEventLoop, host: str, port: int) -> socket.socket:
    """Return a socket that is connected to the first address of a host to answer; raises ``OSError``."""
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    winners: list[socket.socket] = []
    errors: list[OSError] = []

    async def attempt(place: _Found, over: anyio.Event) -> None:
        try:
            winners.append(await _connected(loop, place))
            race.cancel_scope.cancel()
        except OSError as error:
            errors.append(error)
        over.set()

    try:
        async with anyio.create_task_group() as race:
            for place in _alternating(found):
                over = anyio.Event()
                race.start_soon(attempt, place, over)
                with anyio.move_on_after(STAGGER_S):
                    await over.wait()
    except BaseException:
        for winner in winners:
            winner.close()
        raise
    for late in winners[1:]:  # two may win in one turn of the loop
        late.close()
    if not winners:
        raise errors[0]
    return winners[0]


async def _connected(loop: asyncio.AbstractEventLoop, place: _Found) -> socket.socket:
    family, kind, protocol, _, address = place
    opened = socket.socket(family, kind, protocol)
    try:
        opened.setblocking(False)
        await loop.sock_connect(opened, address)
    except BaseException:
        opened.close()
        raise
    return opened


def _alternating(found: Sequence[_Found]) -> list[_Found]:
    """Return the addresses in the system's order, but no two of one family after each other while there are two."""
    first = [place for place in found if place[0] == found[0][0]]
    others = [place for place in found if place[0] != found[0][0]]
    return [place for place in chain(*zip_longest(first, others)) if place is not None]
