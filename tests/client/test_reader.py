"""Reading answers: any slicing of the same bytes is the same answer."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.client.exchange import Answer
from pipeline.client.reader import MAX_HEAD_BYTES, NoAnswer, Reader

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"

PACK: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "raw deflate": lambda body: zlib.compress(body, wbits=-15),
}


def chunks(body: bytes, size: int) -> bytes:
    """Return a body in chunks of that size."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def read(pieces: list[bytes], *, closes: bool = False) -> Answer:
    """Return what a reader makes of these pieces; each is heard but once."""
    heard: list[bytes] = []
    reader = Reader()
    reader.begin(heard.append)
    whole = [reader.feed(piece) for piece in pieces]
    assert not any(whole[:-1])
    assert reader.end() if closes else whole[-1]
    answer = reader.answer()
    assert b"".join(heard) == answer.content
    return answer


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, bool, Answer]:
    """Draw the bytes of an answer, whether the connection's end ends it, and what it says."""
    body = draw(st.binary(max_size=300))
    packing = draw(st.sampled_from(sorted(PACK)))
    framing = draw(st.sampled_from(["length", "chunks", "close"]))
    packed = PACK[packing](body)
    names = st.from_regex(r"x-[a-z]{1,8}", fullmatch=True)
    values = st.text("abc é,;=", max_size=12).map(str.strip)
    headers = draw(st.dictionaries(names, values, max_size=4))
    if packing != "identity":
        headers["content-encoding"] = packing.removeprefix("raw ")
    if framing == "length":
        headers["content-length"] = str(len(packed))
    if framing == "chunks":
        headers["transfer-encoding"] = "chunked"
        packed = chunks(packed, draw(st.integers(1, 400)))
    lines = "".join(f"{name.title()}: {value}\r\n" for name, value in headers.items())
    interim = draw(st.sampled_from(["", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Hints\r\nlink: a\r\n\r\n"]))
    status = draw(st.sampled_from([200, 201, 400, 429, 500, 503]))
    said = f"{interim}HTTP/1.1 {status} Words\r\n{lines}\r\n".encode() + packed
    return said, framing == "close", Answer(status, headers, body)


@given(answers(), st.data())
def test_any_slicing_of_an_answer_is_the_same_answer(answer: tuple[bytes, bool, Answer], data: st.DataObject) -> None:
    """At whatever bytes the network cuts it."""
    said, closes, expected = answer
    cuts = sorted(data.draw(st.sets(st.integers(1, len(said) - 1), max_size=20)))
    pieces = [said[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(said)], strict=True)]
    assert read(pieces, closes=closes) == expected


@given(answers())
def test_an_answer_comes_byte_by_byte(answer: tuple[bytes, bool, Answer]) -> None:
    """The finest slicing of all."""
    said, closes, expected = answer
    assert read([bytes([byte]) for byte in said], closes=closes) == expected


@given(answers(), st.data())
def test_no_beginning_of_an_answer_is_whole(answer: tuple[bytes, bool, Answer], data: st.DataObject) -> None:
    """Where the answer has a length; without one its end is that of the connection."""
    said, closes, _ = answer
    reader = Reader()
    cut = data.draw(st.integers(1, len(said) - 1))
    assert not reader.feed(said[:cut])
    if not closes:
        assert not reader.end()


@given(st.binary(min_size=1, max_size=400), st.booleans())
@example(b"HTTP/1.1 200 OK\r\na: b\n c\r\n d: e\r\n\r\n", True)
@example(b"HTTP/1.1 200 OK\r\na\0: b\0c\r\n\r\n", True)
@example(b"HTTP/1.1 101 Go\r\n\r\n", True)
@example(b"HTTP/1.1 200 OK\r\n\r\n", True)
def test_no_bytes_break_the_reader(said: bytes, ok_first: bool) -> None:
    """They are an answer, half of one, or unreadable by name."""
    reader = Reader()
    with suppress(NoAnswer):
        whole = reader.feed(OK + said if ok_first and not said.startswith(b"HTTP") else said)
        if whole or reader.end():
            assert reader.answer().status >= 200


@pytest.mark.parametrize(
    "flood",
    [
        [b"HTTP/1.1 100 Continue\r\n\r\n"] * 5000,
        [b"HTTP/1.1 200 OK\r\n", *[b"x: y\r\n"] * 20_000],
        [b"HTTP/1.1 200 OK\r\n\r\nx: ".replace(b"\r\n\r\n", b"\r\n"), *[b"y" * 100] * 2000],
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nt: ", *[b"y" * 100] * 2000],
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;x=", *[b"y" * 100] * 2000],
    ],
    ids=["interim answers", "headers", "a header", "a trailer", "a chunk's extension"],
)
def test_what_brings_no_answer_comes_to_an_end(flood: list[bytes]) -> None:
    """However it is dressed up, it is not kept and not read for ever."""
    reader = Reader()
    left = iter(flood)
    with pytest.raises(NoAnswer, match="without a byte of an answer"):
        any(map(reader.feed, left))
    assert sum(map(len, flood)) - sum(map(len, left)) <= MAX_HEAD_BYTES + 200


def test_a_reader_reads_one_answer_after_the_other() -> None:
    """Nothing of one is left in the next."""
    reader = Reader()
    for said in (OK.replace(b"{}", b"[]"), b"HTTP/1.1 429 No\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n", OK):
        reader.begin()
        assert reader.feed(said)
        assert reader.reusable
        last = reader.answer()
    assert last == Answer(200, {"content-length": "2"}, b"{}")


def test_who_listens_may_fail() -> None:
    """A mistake in there is not taken for one of the server's."""
    reader = Reader()
    reader.begin(lambda piece: {}[piece])
    with pytest.raises(KeyError):
        reader.feed(OK)


def test_a_zero_byte_in_a_header_goes_no_further() -> None:
    """Text with one cannot be stored everywhere; the answer is paid and is kept."""
    assert read([b"HTTP/1.1 200 OK\r\nx-a: b\0c\r\ncontent-length: 2\r\n\r\n{}"]).headers["x-a"] == "b?c"
