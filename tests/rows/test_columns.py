"""From Arrow to Python: every type, nothing lost."""

from __future__ import annotations

import math
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.rows.columns import cells, suggest, to_python
from pipeline.rows.source import open_source
from pipeline.spec.input import Input

TEXTS = st.text(st.characters(codec="utf-8"), max_size=6)
MOMENTS = st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1))
LEAVES: dict[pa.DataType, st.SearchStrategy[object]] = {
    pa.bool_(): st.booleans(),
    **{
        kind: st.integers(-(2 ** (kind.bit_width - 1)), 2 ** (kind.bit_width - 1) - 1)
        for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64())
    },
    **{kind: st.integers(0, 2**kind.bit_width - 1) for kind in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())},
    pa.float32(): st.floats(width=32),
    pa.float64(): st.floats(),
    pa.string(): TEXTS,
    pa.large_string(): TEXTS,
    pa.binary(): st.binary(max_size=6),
    pa.large_binary(): st.binary(max_size=6),
    pa.binary(3): st.binary(min_size=3, max_size=3),
    pa.decimal128(38, 9): st.decimals(-(10**28), 10**28, places=9),
    pa.decimal256(50, 2): st.decimals(-(10**25), 10**25, places=2),
    pa.date32(): st.dates(),
    pa.timestamp("ms"): MOMENTS.map(lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)),
    pa.timestamp("us"): st.datetimes(),
    pa.timestamp("us", "UTC"): st.datetimes(timezones=st.just(UTC)),
    pa.timestamp("ns", "UTC"): MOMENTS.map(lambda moment: moment.replace(tzinfo=UTC)),
    pa.time32("ms"): st.times().map(lambda moment: moment.replace(microsecond=0)),
    pa.time64("us"): st.times(),
    pa.duration("us"): st.timedeltas(timedelta(days=-100_000), timedelta(days=100_000)),
    pa.dictionary(pa.int32(), pa.string()): TEXTS,
}


def nested(
    inner: tuple[pa.DataType, st.SearchStrategy[object]],
) -> st.SearchStrategy[tuple[pa.DataType, st.SearchStrategy[object]]]:
    """Put a type into every kind of container."""
    kind, value = inner
    maybe = value | st.none()
    return st.sampled_from(
        [
            (pa.list_(kind), st.lists(maybe, max_size=3)),
            (pa.large_list(kind), st.lists(maybe, max_size=3)),
            (pa.list_(kind, 2), st.lists(maybe, min_size=2, max_size=2)),
            (pa.struct([("a", kind), ("b", pa.string())]), st.fixed_dictionaries({"a": maybe, "b": TEXTS | st.none()})),
            (pa.map_(pa.string(), kind), st.dictionaries(TEXTS, maybe, max_size=3)),
        ]
    )


TYPES = st.recursive(st.sampled_from(list(LEAVES.items())), lambda inner: inner.flatmap(nested), max_leaves=3)


def same(one: object, other: object) -> bool:
    """Compare like ==, but let NaN equal itself, tell 0.0 from -0.0, and types apart."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and (repr(one) == repr(other) or (one == other and not isinstance(one, float)))


@given(data=st.data(), types=st.lists(TYPES, min_size=1, max_size=3), rows=st.integers(0, 5))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=60
)
def test_a_table_of_any_types_comes_back_from_parquet_as_it_was(
    data: st.DataObject, types: list[tuple[pa.DataType, st.SearchStrategy[object]]], rows: int, tmp_path: Path
) -> None:
    """Whatever the types, written to Parquet and read as rows the values are those that went in."""
    columns = {
        f"c{index}": data.draw(st.lists(value | st.none(), min_size=rows, max_size=rows))
        for index, (_, value) in enumerate(types)
    }
    pairs = {
        key: [[*cell.items()] if isinstance(cell, dict) else cell for cell in cells_] for key, cells_ in columns.items()
    }
    arrays = [
        pa.array(pairs[f"c{index}"] if pa.types.is_map(kind) else columns[f"c{index}"], kind)
        for index, (kind, _) in enumerate(types)
    ]
    path = tmp_path / "any.parquet"
    pq.write_table(pa.table(arrays, names=list(columns)), path)
    source = open_source(Input(path=str(path)), tmp_path)
    read = [row for batch in source.batches() for row in cells(batch.table)]
    expected = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    assert same(read, expected), (read, expected)


def test_nan_is_nan_and_null_is_none() -> None:
    """A float that is no number is still a value; only a missing one is None."""
    nan, null = to_python(pa.array([math.nan, None]))
    assert math.isnan(nan)
    assert null is None


def test_a_decimal_keeps_its_digits() -> None:
    """Trailing zeros belong to the text that a template shows."""
    assert [str(value) for value in to_python(pa.array([Decimal("1.50"), Decimal("-0.01")]))] == ["1.50", "-0.01"]


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (pa.timestamp("ns"), 1, "1970-01-01 00:00:00.000000001"),
        (pa.timestamp("ns", "UTC"), 1, "1970-01-01 00:00:00.000000001Z"),
        (pa.timestamp("s"), 253402300800, "10000-01-01 00:00:00"),
        (pa.timestamp("s"), 2**62, "4611686018427387904 s"),
        (pa.time64("ns"), 1, "00:00:00.000000001"),
        (pa.duration("ns"), 1, "1 ns"),
        (pa.duration("s"), 2**62, "4611686018427387904 s"),
        (pa.date32(), 2**30, "1073741824 days"),
        (pa.date64(), 2**62 // 86_400_000 * 86_400_000, "4611686018371200000 ms"),
    ],
)
def test_a_moment_that_pythons_types_cannot_hold_is_text_and_spares_its_neighbours(
    kind: pa.DataType, value: int, expected: str
) -> None:
    """Nanoseconds and far years are written out; other cells of the column are what they would be without them."""
    plain = pa.array([1000 if kind.bit_width == 64 and "ns" in str(kind) else 0, value, None], pa.int64())
    column = plain.cast(pa.int32()).view(kind) if pa.types.is_date32(kind) else plain.view(kind)
    neighbour, text, null = to_python(column)
    assert isinstance(neighbour, datetime | date | time | timedelta)
    assert text == expected
    assert null is None


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
        (pc.run_end_encode(pa.array([1, 1, 2])), [1, 1, 2]),
        (pa.array([[1], None], pa.list_view(pa.int8())), [[1], None]),
        (
            pa.array([[("k", 1), ("k", 2)], [], None], pa.map_(pa.string(), pa.int64())),
            [[("k", 1), ("k", 2)], {}, None],
        ),
        (pa.array([[([1], 2)]], pa.map_(pa.list_(pa.int8()), pa.int8())), [[([1], 2)]]),
        (pa.array([{}, None], pa.struct([])), [{}, None]),
        (pa.array([{"t": 1}], pa.struct([("t", pa.timestamp("ns"))])), [{"t": "1970-01-01 00:00:00.000000001"}]),
        (pa.array([uuid.UUID(int=7)], pa.uuid()), [uuid.UUID(int=7)]),
        (pa.array([1.5], pa.float16()), [1.5]),
        (pa.array(["ab"], pa.string_view()), ["ab"]),
        (pa.array([b"ab"], pa.binary_view()), [b"ab"]),
        (pa.nulls(2), [None, None]),
        (
            pa.ExtensionArray.from_storage(
                pa.fixed_shape_tensor(pa.int8(), [2]), pa.array([[1, 2]], pa.list_(pa.int8(), 2))
            ),
            [[1, 2]],
        ),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_types_that_parquet_does_not_give_directly(column: pa.Array, expected: list[object]) -> None:
    """Encodings are undone, a repeated map key loses nothing, and extension types show their values."""
    assert to_python(column) == expected


def test_a_slice_shows_its_own_cells() -> None:
    """Arrow's offsets, which slices leave in place, are respected in every container."""
    kind = pa.struct([("l", pa.list_(pa.int64())), ("m", pa.map_(pa.string(), pa.int64()))])
    column = pa.array([{"l": [1], "m": [("a", 1)]}, None, {"l": None, "m": []}, {"l": [2, 3], "m": [("b", 2)]}], kind)
    assert to_python(column.slice(1)) == [None, {"l": None, "m": {}}, {"l": [2, 3], "m": {"b": 2}}]


def test_a_string_that_is_no_utf8_shows_its_bytes_and_spares_its_neighbours() -> None:
    """Parquet does not check its strings; a bad one must neither stop the table nor vanish."""
    stored = pa.array([b"good", b"caf\xe9", None], pa.binary())
    column = pa.StringArray.from_buffers(3, *stored.buffers()[1:], null_bitmap=stored.buffers()[0])
    assert to_python(column) == ["good", "caf\\xe9", None]


def test_a_zone_that_this_machine_does_not_know_is_shown_in_utc() -> None:
    """The moment is right even where the clock there cannot be told."""
    assert to_python(pa.array([5_000_000], pa.timestamp("us", "No/Where"))) == ["1970-01-01 00:00:05.000000Z"]


def test_a_time_zone_stays_with_its_moment() -> None:
    """A moment shows the clock of its zone."""
    column = pa.array([0], pa.timestamp("us", "+02:00"))
    assert to_python(column) == [datetime(1970, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))]


def test_a_batch_without_columns_still_has_its_rows() -> None:
    """A prompt that uses no column is asked once per row all the same."""
    batch = pa.record_batch({"a": [1, 2]}).select([])
    assert list(cells(batch)) == [{}, {}]


@pytest.mark.parametrize(
    ("name", "expected"), [("widht", "width"), ("Width", "width"), ("TITLE", "Title"), ("zzz", None)]
)
def test_a_name_suggests_its_likely_meaning(name: str, expected: str | None) -> None:
    """Typos and other cases are recognised; a far name suggests nothing."""
    assert suggest(name, ["width", "height", "Title"]) == expected
