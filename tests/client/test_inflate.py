"""Unpacking: all of it, no more than is allowed, and a word on whether it was whole."""

from __future__ import annotations

import gzip
import zlib

import pytest

from pipeline.client.inflate import inflater

BODY = b"to be or not to be " * 50
PACKED = {
    "gzip": gzip.compress(BODY),
    "x-gzip": gzip.compress(BODY[:300]) + gzip.compress(BODY[300:]),
    "GZIP ": gzip.compress(BODY) + bytes(3),
    "deflate": zlib.compress(BODY),
    " Deflate": zlib.compress(BODY, wbits=-15),
}


@pytest.mark.parametrize("step", [1, 7, 10_000])
@pytest.mark.parametrize("coding", PACKED)
def test_a_body_is_unpacked_whole(coding: str, step: int) -> None:
    """In pieces of any size, in each of its spellings."""
    packed, unpacking = PACKED[coding], inflater(coding)
    assert unpacking is not None
    assert unpacking.whole
    pieces = []
    for at in range(0, len(packed), step):
        pieces.append(unpacking.feed(packed[at : at + step], 10_000))
        assert unpacking.whole or at + step < len(packed)
    assert b"".join(pieces) == BODY


@pytest.mark.parametrize("coding", ["gzip", "deflate", " Deflate"])
def test_half_a_body_is_not_whole(coding: str) -> None:
    """Though what is there unpacks without complaint."""
    for cut in (1, 2, 20, len(PACKED[coding]) - 1):
        unpacking = inflater(coding)
        assert unpacking is not None
        assert BODY.startswith(unpacking.feed(PACKED[coding][:cut], 10_000))
        assert not unpacking.whole


@pytest.mark.parametrize("coding", PACKED)
def test_a_bomb_does_not_go_off(coding: str) -> None:
    """One byte too many is all that shows that there is more."""
    unpacking = inflater(coding)
    assert unpacking is not None
    assert unpacking.feed(PACKED[coding], 400) == BODY[:401]


@pytest.mark.parametrize("coding", ["identity", "", " , Identity"])
def test_what_is_not_packed_is_left_as_it_is(coding: str) -> None:
    """It needs no unpacking."""
    assert inflater(coding) is None


@pytest.mark.parametrize("step", [1, 10_000])
@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("identity, gzip", gzip.compress(BODY)),
        ("gzip, gzip", gzip.compress(gzip.compress(BODY))),
        ("deflate, x-gzip", gzip.compress(zlib.compress(BODY))),
    ],
    ids=["gzip", "gzip twice", "deflate in gzip"],  # what gzip makes holds the time
)
def test_packings_in_one_another_are_unpacked(coding: str, packed: bytes, step: int) -> None:
    """The last one named comes off first, half of it is not whole, and no bomb goes off in it."""
    unpacking, half, bomb = inflater(coding), inflater(coding), inflater(coding)
    assert unpacking is not None and half is not None and bomb is not None  # noqa: PT018
    assert b"".join(unpacking.feed(packed[at : at + step], 10_000) for at in range(0, len(packed), step)) == BODY
    assert unpacking.whole
    half.feed(packed[:-9], 10_000)
    assert not half.whole
    assert len(bomb.feed(packed, 30)) == 31


@pytest.mark.parametrize(("coding", "words"), [("br", "'br'"), ("gzip, zstd", "'zstd'"), ("gzip," * 5, "5 times")])
def test_what_nobody_asked_for_is_refused_by_name(coding: str, words: str) -> None:
    """Packed bytes are no answer."""
    with pytest.raises(ValueError, match=words):
        inflater(coding)


def test_nonsense_is_refused() -> None:
    """By the name that its readers know."""
    for coding in ("gzip", "deflate"):
        unpacking = inflater(coding)
        assert unpacking is not None
        with pytest.raises(zlib.error):
            unpacking.feed(b"\xff\xffnonsense", 100)
