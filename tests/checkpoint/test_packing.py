"""Bodies of replies are kept small and whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.checkpoint.packing import COMMON, pack, unpack, zstd
from pipeline.wire.slim import slim

PICTURE = "iVBORw0KGgo" * 200
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


@given(JSON)
def test_a_packed_reply_comes_back_as_it_was(raw: object) -> None:
    """For a better decoder of later."""
    assert unpack(pack(raw)) == raw


def test_a_packed_reply_is_small() -> None:
    """Replies repeat themselves."""
    assert len(pack({"output_text": "all work and no play " * 1000})) < 200


@pytest.mark.parametrize(
    "raw",
    [
        {"output": [{"type": "image_generation_call", "result": "aGk="}]},
        {"output": [{"type": "message", "content": [{"image_url": f"data:image/png;base64,{PICTURE}"}]}]},
        {"anything": PICTURE, "text": PICTURE},
        {"output_text": "words"},
    ],
)
def test_a_slimmed_body_is_packed_without_its_pictures(raw: dict[str, Any]) -> None:
    """The long way is gone only where there may be one."""
    assert unpack(pack(raw, slimmed=True)) == slim(raw)
    assert unpack(pack(raw)) == raw


def test_lone_surrogates_do_not_cost_the_body() -> None:
    """They become U+FFFD, and all else is kept."""
    assert unpack(pack({"a": "x\ud800", "b": 1})) == {"a": "x\ufffd", "b": 1}


def test_the_dictionary_is_the_one_that_journals_were_written_with() -> None:
    """It belongs to the format: a journal of another dictionary could not be read."""
    assert sha256(COMMON).hexdigest() == "7d2675a118a0b8d9806f616e9c0ccd195ab22952564f41442e09227042d0ea4e"


def test_a_damaged_body_is_told_from_a_whole_one() -> None:
    """A bit that fell over never becomes another answer."""
    packed = bytearray(pack({"output_text": "the answer", "id": "resp_1"}))
    packed[len(packed) // 2] ^= 1
    with pytest.raises(zstd.ZstdError):
        unpack(bytes(packed))


def test_bodies_are_packed_in_several_threads_at_once() -> None:
    """What packs them is shared."""
    bodies = [{"id": f"resp_{number}", "output_text": "words " * number} for number in range(300)]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(unpack, threads.map(pack, bodies))) == bodies
