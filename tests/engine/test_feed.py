"""Rows come to the workers a batch ahead, in order, and a broken input takes nothing from those before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import anyio
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.feed import Feed, Question, all_but, everything, only, questions
from pipeline.errors import DataError, PromptError
from pipeline.prompt.build import RequestBuilder
from pipeline.records import Request
from pipeline.rows.source import Source, open_source
from pipeline.spec.job import Job

Clock = Callable[[], float]


def question(row: int) -> Question:
    """Return a row's question."""
    return Question(row, Request(row, "m", {}, bytes(16), 1))


class Batches(Iterator[list[Question]]):
    """Batches of ten rows; notes how many were read, and breaks where it is told to."""

    def __init__(self, count: int, *, broken: bool = False) -> None:
        self.read = 0
        self._count = count
        self._broken = broken

    def __next__(self) -> list[Question]:
        if self.read == self._count:
            if self._broken:
                raise DataError("row group 3 is damaged")
            raise StopIteration
        self.read += 1
        return [question(row) for row in range(10 * self.read - 10, 10 * self.read)]


async def drained(feed: Feed, workers: int = 1) -> list[int]:
    """Let some workers take everything; return the rows as they came."""
    rows: list[int] = []

    async def work() -> None:
        while (taken := await feed.take()) is not None:
            rows.append(taken.row)
            await anyio.lowlevel.checkpoint()

    with closing(feed):
        async with anyio.create_task_group() as group:
            group.start_soon(feed.read)
            for _ in range(workers):
                group.start_soon(work)
    return rows


@pytest.mark.anyio
@pytest.mark.parametrize("workers", [1, 3, 40])
async def test_every_row_is_handed_out_once_and_in_order(workers: int) -> None:
    """To however many workers."""
    feed = Feed(Batches(5))
    assert await drained(feed, workers) == list(range(50))
    assert feed.broken is None


@pytest.mark.anyio
async def test_two_batches_wait_at_most(virtual_time: Clock) -> None:
    """Reading goes on only as rows are taken, so a table of any length takes the same memory."""
    batches = Batches(100)
    feed = Feed(batches)
    async with anyio.create_task_group() as group:
        group.start_soon(feed.read)
        await anyio.sleep(10)
        assert batches.read == 2  # one that waits, one that is ready to
        for taken in range(1, 40):
            await feed.take()
            await anyio.sleep(10)
            assert batches.read <= taken // 10 + 3
        feed.close()


@pytest.mark.anyio
@pytest.mark.parametrize("batches", [0, 1, 5])
async def test_a_broken_input_hands_out_what_was_read_before(batches: int) -> None:
    """The rows before the damage are asked, and the error is there when they are."""
    feed = Feed(Batches(batches, broken=True))
    assert await drained(feed, 3) == list(range(10 * batches))
    assert isinstance(feed.broken, DataError)
    assert "row group 3" in feed.broken.message


@pytest.mark.anyio
@pytest.mark.parametrize("broken", [True, False])
@pytest.mark.parametrize("asked", [{0}, {49}, {13, 37, 38}, set()])
async def test_of_a_stretch_that_needs_no_asking_no_row_is_lost(asked: set[int], broken: bool) -> None:
    """Its batches are read together; the rows among them that are left to ask come in order, and what broke the input comes after them."""
    seen: list[int] = []

    async def sift(batch: list[Question]) -> list[Question]:
        seen.extend(each.row for each in batch)
        return [each for each in batch if each.row in asked]

    feed = Feed(Batches(5, broken=broken), sift)
    assert await drained(feed, 2) == sorted(asked)
    assert seen == list(range(50))
    assert isinstance(feed.broken, DataError) == broken


@pytest.mark.anyio
async def test_batches_without_rows_end_nothing() -> None:
    """Where none of a batch's rows is wanted, the next one comes."""
    feed = Feed(iter([[], [question(1)], [], [question(2)]]))
    assert await drained(feed) == [1, 2]


@pytest.mark.anyio
@pytest.mark.parametrize("waiting", [True, False], ids=["waiting", "working"])
async def test_a_closed_feed_hands_out_nothing_more(virtual_time: Clock, waiting: bool) -> None:
    """Neither to who waits nor to who comes later, and reading ends without an error."""
    feed = Feed(Batches(5))
    taken: list[Question | None] = []

    async def late() -> None:
        if not waiting:
            await anyio.sleep(5)
        taken.append(await feed.take())

    async with anyio.create_task_group() as group:
        if waiting:
            group.start_soon(late)
            await anyio.sleep(1)
        else:
            group.start_soon(feed.read)
            group.start_soon(late)
            await anyio.sleep(1)
            assert await feed.take() is not None
        feed.close()
        feed.close()
    assert taken == [None]


@pytest.mark.anyio
async def test_who_is_cancelled_while_waiting_takes_nothing_along(virtual_time: Clock) -> None:
    """A row that nobody has is a row that is lost."""
    feed = Feed(Batches(1))
    with anyio.move_on_after(1):
        await feed.take()
    assert await drained(feed) == list(range(10))


def test_a_question_without_a_request_raises_the_rows_error() -> None:
    """At the moment when it is asked for."""
    with pytest.raises(PromptError, match="no such filter"):
        Question(1, PromptError("no such filter")).request()
    assert question(1).request().row == 1


SPANS = st.tuples(st.integers(0, 40), st.integers(1, 20))


@given(st.binary(max_size=30).map(lambda marks: bytearray(mark % 2 for mark in marks)), SPANS)
def test_all_but_the_finished_rows(finished: bytearray, place: tuple[int, int]) -> None:
    """A span is read exactly where it has a row that is not finished; rows beyond what is known are not."""
    span, wanted = all_but(finished, 3)
    first, count = place
    rows = range(first, first + count)
    assert [len(wanted(row)) for row in rows] == [3 * (row >= len(finished) or not finished[row]) for row in rows]
    assert span(first, count) == any(wanted(row) for row in rows)


@given(st.sets(st.tuples(st.integers(0, 60), st.integers(0, 3))), SPANS)
def test_only_these_samples(chosen: set[tuple[int, int]], place: tuple[int, int]) -> None:
    """A span is read exactly where it has one of them, and of its rows only these are wanted."""
    span, wanted = only(chosen)
    first, count = place
    rows = range(first, first + count)
    for row in rows:
        assert list(wanted(row)) == sorted(sample for other, sample in chosen if other == row)
    assert span(first, count) == any(wanted(row) for row in rows)


@given(SPANS, st.integers(1, 5))
def test_everything(place: tuple[int, int], samples: int) -> None:
    """No row, no span and no sample is left out."""
    span, wanted = everything(samples)
    assert span(*place)
    assert list(wanted(place[0])) == list(range(samples))


def table(tmp_path: Path, prompt: str = "{{ text }}") -> tuple[Source, RequestBuilder]:
    """Return a table of three rows, the second without a text, and what makes their requests."""
    pq.write_table(pa.table({"text": ["a", None, "c"]}), tmp_path / "t.parquet")
    spec = {"provider": "simulator", "model": "m", "input": "t.parquet", "prompt": prompt, "output": "o.parquet"}
    job = Job.model_validate(spec).located(tmp_path)
    source = open_source(job.input, tmp_path)
    return source, RequestBuilder(job, job.provider.endpoint("http://127.0.0.1/v1"), source.root)


def test_a_row_is_rendered_once_and_asked_for_each_sample(tmp_path: Path) -> None:
    """Its requests share body and weight and differ in their fingerprints; a row without a request lacks them all at once."""
    source, builder = table(tmp_path)
    plain, several = (next(questions(source, builder, everything(samples))) for samples in (1, 3))
    assert [(each.row, each.answers) for each in several] == [(0, 1)] * 3 + [(1, 3)] + [(2, 1)] * 3
    requests = [each.built for each in several if isinstance(each.built, Request)]
    assert [request.sample for request in requests] == [0, 1, 2] * 2
    assert len({request.fingerprint for request in requests}) == 6
    assert requests[0] == plain[0].built
    assert requests[0].body is requests[1].body is requests[2].body


def test_only_the_samples_that_are_wanted_are_asked(tmp_path: Path) -> None:
    """As a retry asks single ones; a row that cannot be rendered lacks just these."""
    (found,) = questions(*table(tmp_path), only({(0, 2), (1, 0), (1, 4), (2, 1), (2, 3)}))
    assert [
        (each.row, each.built.sample if isinstance(each.built, Request) else None, each.answers) for each in found
    ] == [
        (0, 2, 1),
        (1, None, 2),
        (2, 1, 1),
        (2, 3, 1),
    ]
