"""One goes ahead of those that begin alike; nobody waits for it longer than its attempt, and no worker waits while there is other work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import closing

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine import warming
from pipeline.engine.feed import Feed, Question
from pipeline.engine.warming import KEPT_S, Warming
from pipeline.errors import AttemptError, PromptError, Sent
from pipeline.records import Reply, Request, Status

Clock = Callable[[], float]
Post = Callable[[Request], Awaitable[Reply]]
TAKES_S = 10.0
"""How long an answer takes, unless a test says otherwise."""


def question(row: int, *begins: str) -> Question:
    """Return a row's question that begins like others so."""
    request = Request(row, "m", {}, bytes(16), 1)
    return Question(row, request, begins=tuple(each.encode() for each in begins), size=100)


class Left:
    """A provider that notes when each row has left. Some fail the first time, some take as long as they are told to."""

    def __init__(self, *, failing: Iterable[int] = (), seconds: dict[int, float] | None = None) -> None:
        self.at: dict[int, float] = {}
        self._failing = set(failing)
        self._seconds = seconds or {}

    async def post(self, request: Request) -> Reply:
        """Answer, or fail once."""
        self.at.setdefault(request.row, round(anyio.current_time(), 3))
        await anyio.sleep(self._seconds.get(request.row, TAKES_S))
        if request.row in self._failing:
            self._failing.discard(request.row)
            raise AttemptError("busy", kind="server", sent=Sent.ANSWERED, transient=True)
        return Reply(Status.OK)

    @property
    def moments(self) -> list[float]:
        """When each row left, by its number, since the first one did."""
        return [at - min(self.at.values()) for _, at in sorted(self.at.items())]


async def run(
    questions: list[Question],
    left: Left,
    *,
    workers: int = 8,
    batch: int = 1_000,
    known: Iterable[int] = (),
    again_s: float = 60.0,
) -> Warming:
    """Let workers ask everything; ``known`` rows need no attempt, and what fails is tried ``again_s`` later."""
    feed = Feed(questions[start : start + batch] for start in range(0, len(questions), batch))
    known = set(known)

    async def work(line: Warming, post: Post) -> None:
        while (taken := await line.take()) is not None:
            while taken.row not in known:
                try:
                    await post(taken.request())
                    break
                except AttemptError:
                    await anyio.sleep(again_s)
            line.answered(taken)

    with closing(Warming(feed)) as line:
        post = line.leading(left.post)
        async with anyio.create_task_group() as helpers:
            helpers.start_soon(feed.read)
            async with anyio.create_task_group() as group:
                for _ in range(workers):
                    group.start_soon(work, line, post)
    return line


@pytest.mark.anyio
async def test_the_first_leaves_alone_and_the_others_together(virtual_time: Clock) -> None:
    """Where all rows begin alike, one round trip is waited for once."""
    left = Left()
    await run([question(row, "a") for row in range(17)], left)
    assert left.moments == [0.0] + [10.0] * 8 + [20.0] * 8


@pytest.mark.anyio
async def test_rows_that_begin_otherwise_do_not_wait(virtual_time: Clock) -> None:
    """They take the workers that those who wait don't need."""
    left = Left()
    rows = [*(question(row, "a") for row in range(4)), *(question(row) for row in range(4, 8)), question(8, "b")]
    await run(rows, left)
    assert left.moments == [0, 10, 10, 10, 0, 0, 0, 0, 0]


@pytest.mark.anyio
async def test_many_small_groups_keep_all_workers_busy(virtual_time: Clock) -> None:
    """The first of each go out together."""
    left = Left()
    await run([question(row, f"g{row // 4}") for row in range(32)], left)
    assert left.moments == [0 if row % 4 == 0 else 10 if row < 10 else left.moments[row] for row in range(32)]
    assert max(left.moments) == 30.0  # 32 rows by 8 workers take four round trips in any case


@pytest.mark.anyio
async def test_a_longer_beginning_is_led_by_a_row_of_its_own(virtual_time: Clock) -> None:
    """First what all share, then what each group shares."""
    left = Left()
    rows = [question(row, "all", f"g{row // 3}") for row in range(9)]
    await run(rows, left)
    assert left.moments == [0, 10, 10, 10, 20, 20, 10, 20, 20]


@pytest.mark.anyio
async def test_the_others_leave_when_the_first_attempt_has_failed(virtual_time: Clock) -> None:
    """They do not wait for it to be repeated."""
    left = Left(failing=[0])
    await run([question(row, "a") for row in range(4)], left)
    assert left.moments == [0, 10, 10, 10]


@pytest.mark.anyio
async def test_where_the_first_needs_no_attempt_another_goes_ahead(virtual_time: Clock) -> None:
    """What is in the journal has warmed nothing."""
    left = Left()
    await run([question(row, "a", "b") for row in range(6)], left, known=range(3))
    assert left.at == {3: 0, 4: 10, 5: 10}


@pytest.mark.anyio
async def test_a_row_without_a_request_goes_through(virtual_time: Clock) -> None:
    """It leads nobody."""
    left = Left()
    await run([Question(0, PromptError("null")), question(1, "a"), question(2, "a")], left, known=[0])
    assert left.at == {1: 0, 2: 10}


@pytest.mark.anyio
async def test_what_nobody_asks_for_becomes_cold(virtual_time: Clock) -> None:
    """After five minutes one goes ahead again; what is in use stays warm."""
    feed = Feed(iter([[question(row, "a") for row in range(6)]]))
    with closing(Warming(feed)) as line:
        post = line.leading(Left().post)

        async def leaves() -> int | None:
            """Return the row that leaves, or None where all have to wait."""
            with anyio.move_on_after(1):
                taken = await line.take()
                assert taken is not None
                return taken.row
            return None

        async with anyio.create_task_group() as group:
            group.start_soon(feed.read)
            assert await leaves() == 0
            await post(question(0, "a").request())
            for row in (1, 2):
                await anyio.sleep(KEPT_S - 2)
                assert await leaves() == row
            assert await leaves() == 3
            await anyio.sleep(KEPT_S)
            assert await leaves() == 4
            assert await leaves() is None


@pytest.mark.parametrize("limit", ["WAITING", "WAITING_BYTES"])
@pytest.mark.anyio
async def test_no_more_wait_than_may(virtual_time: Clock, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    """Then nothing more is read until they leave, so memory stays flat."""
    monkeypatch.setattr(warming, limit, 5 if limit == "WAITING" else 500)
    read = 0

    def reading() -> Iterable[list[Question]]:
        nonlocal read
        for row in range(100):
            read += 1
            yield [question(row, "a")]

    feed = Feed(iter(reading()))
    with closing(Warming(feed)) as line:
        async with anyio.create_task_group() as group:
            group.start_soon(feed.read)
            assert await line.take() is not None
            with anyio.move_on_after(1):
                await line.take()
            assert read <= 1 + 5 + 3
            group.cancel_scope.cancel()


@pytest.mark.parametrize("ended", [True, False], ids=["input ended", "input goes on"])
@pytest.mark.anyio
async def test_a_closed_line_lets_everybody_go(
    virtual_time: Clock, monkeypatch: pytest.MonkeyPatch, ended: bool
) -> None:
    """Whoever waits for an attempt to end is told that there is no more, when a run stops."""
    monkeypatch.setattr(warming, "WAITING", 3)
    feed = Feed(iter([[question(row, "a") for row in range(3 if ended else 9)]]))
    line = Warming(feed)
    got: list[Question | None] = []

    async def wait() -> None:
        got.append(await line.take())

    async with anyio.create_task_group() as group:
        group.start_soon(feed.read)
        assert await line.take() is not None
        for _ in range(3):
            group.start_soon(wait)
        await anyio.sleep(1)
        assert got == []
        line.close()
    assert got == [None] * 3


ROWS = st.lists(
    st.tuples(st.lists(st.sampled_from("abc"), max_size=3, unique=True), st.sampled_from(["ok", "fails", "known"]))
)


@given(ROWS, st.integers(1, 6), st.integers(1, 5), st.integers(1, 4))
def test_every_row_is_asked_once_whatever_happens(
    rows: list[tuple[list[str], str]], workers: int, batch: int, most: int
) -> None:
    """No order of beginnings, failures and known rows leaves anybody waiting."""
    left = Left(
        failing=[row for row, (_, end) in enumerate(rows) if end == "fails"], seconds=dict.fromkeys(range(99), 0.0)
    )
    known = [row for row, (_, end) in enumerate(rows) if end == "known"]
    asked = [question(row, *begins) for row, (begins, _) in enumerate(rows)]

    async def all_of_it() -> Warming:
        with anyio.fail_after(60):
            return await run(asked, left, workers=workers, batch=batch, known=known, again_s=0.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warming, "WAITING", most)
        line = anyio.run(all_of_it)
    assert sorted([*left.at, *known]) == list(range(len(rows)))
    assert not line._leaders
    assert not line._led
