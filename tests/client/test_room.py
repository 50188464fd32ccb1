"""Room for media: requests wait until what they show fits, in the order in which they came, and others pass by."""

from __future__ import annotations

from contextlib import AsyncExitStack

import anyio
import pytest

from pipeline.client.loader import Loader
from pipeline.client.room import Room, fitting
from pipeline.records import Media, Reply, Request, Status
from pipeline.spec.rules import MediaRules
from pipeline.wire.dialect import DIALECTS

pytestmark = pytest.mark.anyio

SIZE = 100


def request(*media: Media) -> Request:
    """Return a request that shows these."""
    return Request(row=0, model="m", body={"input": list(media)}, fingerprint=b"", weight=1)


def video(size: int | None = None, url: str | None = None) -> Media:
    """Return a video of so many bytes, or at a URL."""
    return Media(identity="", label="v", kind="video", size=size, url=url, data=None if url else b"")


async def test_requests_wait_for_room_in_their_order() -> None:
    """A small one does not overtake a large one that came before it, which would wait for ever."""
    room, entered = Room(SIZE), list[int]()

    async def hold(size: int, leave: anyio.Event) -> None:
        async with room.taken(size):
            entered.append(size)
            await leave.wait()

    leave = {size: anyio.Event() for size in (60, 70, 20)}
    async with anyio.create_task_group() as group:
        for size, event in leave.items():
            group.start_soon(hold, size, event)
            await anyio.wait_all_tasks_blocked()
        assert entered == [60]
        leave[60].set()
        await anyio.wait_all_tasks_blocked()
        assert entered == [60, 70, 20]
        leave[70].set()
        leave[20].set()


async def test_what_is_larger_than_the_room_gets_all_of_it() -> None:
    """It is alone, but it is not stuck."""
    room = Room(SIZE)
    async with room.taken(10 * SIZE):
        with anyio.move_on_after(0) as waited:
            async with room.taken(1):
                pass
        assert waited.cancelled_caught
    async with room.taken(SIZE):
        pass


async def test_who_is_cancelled_or_fails_gives_its_room_back() -> None:
    """Waiting or inside."""
    room = Room(SIZE)
    with pytest.raises(ValueError, match="inside"):
        async with room.taken(SIZE):
            raise ValueError("inside")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(room.taken(SIZE))
        with anyio.move_on_after(0):
            await stack.enter_async_context(room.taken(SIZE))
    async with room.taken(SIZE):
        pass


@pytest.mark.parametrize(
    ("media", "waits"),
    [
        ([], False),
        ([video(url="https://x/v.mp4")], False),
        ([video(SIZE)], True),
        ([video(url="https://x/v.mp4"), video(1)], True),
    ],
    ids=["text", "a URL", "a file", "both"],
)
async def test_only_what_is_held_in_memory_needs_room(media: list[Media], waits: bool) -> None:
    """Texts and URLs pass a full room."""
    room, passed = Room(SIZE), anyio.Event()

    async def post(_: Request) -> Reply:
        passed.set()
        return Reply(Status.OK)

    async with (
        Loader(MediaRules(), DIALECTS["qingbo"]) as pictures,
        anyio.create_task_group() as group,
        room.taken(SIZE),
    ):
        group.start_soon(fitting(post, room, pictures), request(*media))
        await anyio.wait_all_tasks_blocked()
        assert passed.is_set() is not waits
    assert passed.is_set()


async def test_what_is_still_to_be_fetched_is_guessed() -> None:
    """Nobody knows how large it is, and nothing is not what it takes."""
    rules = MediaRules(send="inline", fetch=True)
    async with Loader(rules, DIALECTS["qingbo"]) as pictures:
        assert pictures.held_bytes(video(url="https://x/v.mp4")) > 0
        assert pictures.held_bytes(video(7)) == 7
