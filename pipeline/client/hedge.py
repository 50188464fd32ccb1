"""A second attempt beside one that takes long (``retry.hedge_after``): whichever answers first counts, and both may be paid.

``racing`` stands below ``retrying`` and above all that an attempt takes, so the second one waits for money, permit and gate like any
other, and is journaled by itself. ``marked`` stands inside the journal: it tells when an attempt has left, from which moment the time
counts, and names the one that lost, whose end nobody waits for and which may be paid. ``yielding`` stands outside of the journal, and once
more outside of the throttle: a second attempt that has not left when the first is answered goes no further, and has taken nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from pipeline.errors import AttemptError, PipelineError, RunError, Sent

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from pipeline.client.gate import Gate
    from pipeline.records import Post, Reply, Request

HEDGED = "hedged"
"""Kind of an attempt that lost the race against another one of the same request."""


class Hedging:
    """The races of a run: ``sent`` counts the second attempts that have left, ``won`` those that answered first."""

    def __init__(self, after_s: float, gate: Gate) -> None:
        self.sent = self.won = 0
        self._after_s = after_s
        self._gate = gate
        self._races: dict[tuple[int, int], _Race] = {}

    def racing(self, post: Post) -> Post:
        """Return a layer that asks once more when an attempt is out for long, while the gate is open. The first answer counts.

        Where the first fails meanwhile, the second counts; where both fail, one failure is raised: what concerns the whole run, else one
        that no further attempt can mend, else the later one.
        """

        async def ask(request: Request) -> Reply:
            race = self._races[request.row, request.sample] = _Race(post)
            try:
                async with anyio.create_task_group() as group:
                    group.start_soon(race.run, request, group)
                    await race.left.wait()
                    await anyio.sleep(self._after_s)
                    if not self._gate.closed:
                        group.start_soon(race.run_second, request, group)
            finally:
                del self._races[request.row, request.sample]
            return race.result()

        return ask

    def yielding(self, post: Post) -> Post:
        """Return a layer that ends a second attempt as never sent, at no cost, where the first is answered before it has left."""

        async def wait(request: Request) -> Reply:
            race = self._races[request.row, request.sample]
            if not race.left.is_set():
                return await post(request)  # the first
            if race.is_called_off():  # it was handed its turn in the moment in which it was called off
                raise _lost(Sent.NEVER)
            try:
                return await post(request)
            except anyio.get_cancelled_exc_class():
                if race.is_called_off():
                    raise _lost(Sent.NEVER) from None
                raise

        return wait

    def marked(self, post: Post) -> Post:
        """Return a layer that takes down when attempts leave, which answers first, and which has lost."""

        async def send(request: Request) -> Reply:
            race = self._races[request.row, request.sample]
            second = race.left.is_set()
            if second:
                if race.is_called_off():  # while its intent became durable
                    raise _lost(Sent.NEVER)
                race.second_left = True
                self.sent += 1
            if (
                request.attempt is None or request.attempt.response_id is None
            ):  # else it was sent long ago, and is only fetched
                race.left.set()
            try:
                reply = await post(request)
            except anyio.get_cancelled_exc_class():
                if race.over:
                    raise _lost(Sent.MAYBE) from None
                raise
            if race.over:
                raise _lost(Sent.ANSWERED, reply)
            race.end()
            self.won += second
            return reply

        return send

    def told(self) -> str | None:
        """Say what the races came to, None where there was none."""
        if not self.sent:
            return None
        lost = "what lost was cut off and may be paid: it counts as an attempt whose end is not known"
        return f"retry.hedge_after: second attempts sent: {self.sent:,}, answered first: {self.won:,}; {lost}"


class _Race:
    """The attempts of one request that are out together; ``over`` once one of them has its answer.

    ``left`` is set when the first has left, ``second_left`` when the second has.
    """

    def __init__(self, post: Post) -> None:
        self.left = anyio.Event()
        self.over = self.second_left = False
        self._second = anyio.CancelScope()
        self._post = post
        self._running = 0
        self._reply: Reply | None = None
        self._errors: list[PipelineError] = []

    async def run(self, request: Request, group: TaskGroup) -> None:
        """Carry one attempt to its end; with an answer, or when none is left, the race ends."""
        self._running += 1
        try:
            self._reply = await self._post(request)
        except PipelineError as error:
            self._errors.append(error)
        self._running -= 1
        if self._reply is not None or not self._running:
            group.cancel_scope.cancel()

    async def run_second(self, request: Request, group: TaskGroup) -> None:
        """Carry the second attempt to its end, or until it is called off."""
        with self._second:
            await self.run(request, group)

    def end(self) -> None:
        """One is answered. A second that has not left is called off now, before the first makes room for it in the line."""
        self.over = True
        if not self.second_left:
            self._second.cancel()

    def is_called_off(self) -> bool:
        """Tell whether a second attempt that has not left is to go no further."""
        return self.over and not self.second_left

    def result(self) -> Reply:
        """Return the answer, or raise the failure that counts."""
        if self._reply is not None:
            return self._reply
        raise max(reversed(self._errors), key=_gravity)


def _gravity(error: PipelineError) -> int:
    return 2 if isinstance(error, RunError) else int(not error.transient)


def _lost(sent: Sent, reply: Reply | None = None) -> AttemptError:
    fate = "was never sent" if sent is Sent.NEVER else "may be paid, too"
    message = f"another attempt of the same request was answered first (retry.hedge_after); this one {fate}"
    return AttemptError(message, kind=HEDGED, sent=sent, transient=False, reply=reply)
