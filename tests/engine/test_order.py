"""Questions that begin alike stand together within a window, and nothing else changes its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine import order
from pipeline.engine.beginnings import Beginning, Opening
from pipeline.engine.feed import Question
from pipeline.engine.order import Arranger, places
from pipeline.errors import DataError, PromptError
from pipeline.records import Request

Path = tuple[str, ...]
TOKENS = 2_000.0  # of each step of a path


def opening(path: Path) -> Opening:
    """Return the beginnings of a request that goes this way: one for each step."""
    found = [Beginning("/".join(path[: end + 1]).encode(), TOKENS * (end + 1)) for end in range(len(path))]
    return Opening(tuple(found), 100)


def question(row: int, path: Path, sample: int = 0, **body: object) -> Question:
    """Return a row's question."""
    return Question(row, Request(row, "m", {"path": path, **body}, bytes(16), 1, sample))


def arranger(*, keyed: bool = False) -> Arranger:
    """Return what arranges such questions."""
    return Arranger(lambda request: opening(request.body["path"]), keyed=keyed)  # type: ignore[arg-type]


def arranged(paths: Sequence[Path], batch: int = 1_000, *, keyed: bool = False) -> list[Question]:
    """Return rows that go these ways as they are handed out."""
    rows = [question(row, path) for row, path in enumerate(paths)]
    batches = (rows[start : start + batch] for start in range(0, len(rows), batch))
    return [each for handed in arranger(keyed=keyed).arranged(batches) for each in handed]


def rows_of(questions: Sequence[Question]) -> list[int]:
    """Return the rows in their order."""
    return [each.row for each in questions]


PATHS = st.lists(st.lists(st.sampled_from("abc"), max_size=3).map(tuple), max_size=60)


@given(PATHS, st.integers(1, 20))
def test_every_question_is_handed_out_once(paths: list[Path], batch: int) -> None:
    """However they begin, and however they were read."""
    assert sorted(rows_of(arranged(paths, batch))) == list(range(len(paths)))


@given(PATHS, st.integers(1, 8), st.integers(1, 20))
def test_no_row_is_moved_by_more_than_a_window(paths: list[Path], batch: int, window: int) -> None:
    """Nor by what was read at once with the window's last row."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order, "WINDOW", window)
        rows = rows_of(arranged(paths, batch))
    assert all(abs(place - row) < window + batch for place, row in enumerate(rows))


@given(PATHS)
def test_those_that_begin_alike_stand_together_in_their_own_order(paths: list[Path]) -> None:
    """At each length of beginning that two or more share."""
    handed = arranged(paths)
    for depth in range(1, 4):
        runs = [list(run) for _, run in groupby(each.built.body["path"][:depth] for each in handed)]  # type: ignore[union-attr]
        long = [run[0] for run in runs if len(run[0]) == depth]
        assert len(long) == len(set(long))
    by_path: dict[object, list[int]] = {}
    for each in handed:
        by_path.setdefault(each.built.body["path"], []).append(each.row)  # type: ignore[union-attr]
    assert all(rows == sorted(rows) for rows in by_path.values())


@given(st.lists(st.sampled_from([(), ("all",)]), max_size=30), st.booleans())
def test_without_two_ways_the_order_stays_as_it_is(paths: list[Path], first: bool) -> None:
    """Where nothing is shared, and where all share the one beginning there is."""
    same = [("all",) if first else ()] * len(paths)
    assert rows_of(arranged(same)) == list(range(len(paths)))
    own = [(str(row),) for row in range(len(paths))]
    handed = arranged(own)
    assert rows_of(handed) == list(range(len(paths)))
    assert all(each.begins == () for each in handed)


def test_batches_of_short_requests_go_through_as_they_are() -> None:
    """One in, the same one out: nothing is read ahead for them."""
    batches = [[question(row, ())] for row in range(3)]
    read = []

    def reading() -> Iterator[list[Question]]:
        for batch in batches:
            read.append(batch)
            yield batch

    handed = arranger().arranged(reading())
    assert next(handed) is batches[0]
    assert len(read) == 1


def test_a_window_ends_at_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large requests make it short, so memory stays flat."""
    monkeypatch.setattr(order, "WINDOW_BYTES", 400)
    handed = arranger().arranged(iter([[question(row, ("a", str(row)))] for row in range(10)]))
    assert [len(window) for window in handed if window] == [4, 4, 2]


def test_what_all_share_is_a_beginning_of_its_own() -> None:
    """The first row of all goes ahead for it, and the first of each group for the group's."""
    handed = arranged([("s", "a", "0"), ("s", "b", "1"), ("s", "a", "2"), ("s", "b", "3"), ("s", "c", "4")])
    assert rows_of(handed) == [0, 2, 1, 3, 4]
    assert [each.begins for each in handed] == [(b"s", b"s/a")] * 2 + [(b"s", b"s/b")] * 2 + [(b"s",)]


def test_of_beginnings_that_the_same_rows_share_the_longest_counts() -> None:
    """The shorter ones are part of it."""
    assert arranged([("a", "b", "c", "0"), ("a", "b", "c", "1")])[0].begins == (b"a/b/c",)


def test_the_samples_of_a_row_share_all_of_it() -> None:
    """So one of them goes ahead, too."""
    handed = next(arranger().arranged(iter([[question(0, ("a", "b"), sample) for sample in range(3)]])))
    assert [each.begins for each in handed] == [(b"a/b",)] * 3


def test_a_row_that_asks_nothing_keeps_its_place() -> None:
    """It begins like no other."""
    asked = [question(0, ("a", "0")), Question(1, PromptError("null")), question(2, ("a", "2"))]
    assert [each.row for each in next(arranger().arranged(iter([asked])))] == [0, 2, 1]


def test_a_beginning_of_an_earlier_window_is_known_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that comes alone later still belongs to it."""
    monkeypatch.setattr(order, "WINDOW", 2)
    handed = arranged([("a", "0"), ("a", "1"), ("a", "2")], batch=1)
    assert [each.begins for each in handed] == [(b"a",)] * 3


def test_a_broken_input_hands_out_what_was_read_before() -> None:
    """The rows before the damage are asked."""

    def breaking() -> Iterator[list[Question]]:
        yield [question(0, ("a", "0"))]
        raise DataError("row group 3 is damaged")

    handed = arranger().arranged(breaking())
    assert rows_of(next(handed)) == [0]
    with pytest.raises(DataError):
        next(handed)


def test_each_group_has_a_key_that_is_the_same_in_every_run() -> None:
    """It is short and tells nothing of the prompt."""
    paths: list[Path] = [(group, str(row)) for row in range(10) for group in "ab"]
    keys = {each.begins: each.built.body["prompt_cache_key"] for each in arranged(paths, keyed=True)}  # type: ignore[union-attr]
    assert len(keys) == len(set(keys.values())) == 2
    assert all(len(str(key)) <= 64 for key in keys.values())
    assert keys == {each.begins: each.built.body["prompt_cache_key"] for each in arranged(paths, 3, keyed=True)}  # type: ignore[union-attr]


@pytest.mark.parametrize(("members", "key"), [(2, b"s/t"), (10, b"s/t/g0")])
def test_the_key_is_of_the_beginning_that_saves_most(members: int, key: bytes) -> None:
    """Pairs keep what all share; large groups have machines of their own."""
    paths: list[Path] = [("s", "t", f"g{row // members}", str(row)) for row in range(40)]
    assert arranged(paths, keyed=True)[0].built.body["prompt_cache_key"] == key.hex()  # type: ignore[union-attr]


def test_a_key_of_the_users_own_stays() -> None:
    """Whoever wrote it knows more."""
    asked = [question(row, ("a", str(row)), prompt_cache_key="mine") for row in range(3)]
    handed = next(arranger(keyed=True).arranged(iter([asked])))
    assert {each.built.body["prompt_cache_key"] for each in handed} == {"mine"}  # type: ignore[union-attr]


def test_places_are_those_of_the_first_of_each_group() -> None:
    """Groups stand where their first member stood."""
    a, b = (Beginning(name, TOKENS) for name in (b"a", b"b"))
    assert places([[], [b], [a], [], [b], [a]]) == [0, 1, 4, 2, 5, 3]
