"""Reads answers from the bytes of one connection, however they are sliced. Knows no socket and no clock.

The grammar is httptools' (the parser of Node.js); what is ours are the caps, the compression, and the question whether an answer is whole.
The parser is told to overlook what other clients overlook, too: with one request at a time on a connection nobody can smuggle in another,
and an answer that is refused for its form has been paid all the same.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import httptools

from pipeline.client import exchange
from pipeline.client.exchange import Answer
from pipeline.client.heads import once, status_of
from pipeline.client.inflate import inflater

if TYPE_CHECKING:
    from pipeline.client.exchange import Hear
    from pipeline.client.inflate import Inflater

MAX_HEAD_BYTES = (
    100 * 1024
)  # of an answer's head, of all heads before it, and of whatever else brings no byte of a body

_REFUSED = (httptools.HttpParserError, httptools.HttpParserUpgrade)
_BODYLESS = frozenset({204, 304})
_LENIENT = {
    "lenient_headers": True,
    "lenient_chunked_length": True,  # a length beside chunks, which then count
    "lenient_optional_cr_before_lf": True,
    "lenient_spaces_after_chunk_size": True,
}


class NoAnswer(Exception):
    """An exchange ends without an answer. ``kind`` and ``transient`` are those of the attempt's error."""

    def __init__(self, message: str, *, kind: str = "disconnected", transient: bool = True) -> None:
        super().__init__(message)
        self.kind = kind
        self.transient = transient


class Reader:
    """Reads one answer after the other.

    The methods ``on_…`` are the parser's, which calls each for every answer: they are kept to the least.
    """

    def __init__(self) -> None:
        self._parser = _parsing(self)
        self.begin()

    def begin(self, hear: Hear | None = None) -> None:
        """Make ready for an answer, of which ``hear`` is told each piece of the body."""
        self.headed = False
        """Whether the whole head is here."""
        self.reusable = False
        """Whether the connection can take another request, once the answer is whole."""
        self._hear = hear
        self._whole = False
        self.status = 0
        """That of the answer, once its head is here."""
        self._seen = b""  # all that came before the head was whole
        self._headers: dict[bytes, bytes] = {}
        self._inflater: Inflater | None = None
        self._until_close = False
        self._odd = False  # it could be read in two ways: nobody knows what comes next on the connection
        self._first = b""
        self._rest: bytearray | None = (
            None  # no list: each object costs forty bytes, and a hostile server sends its bytes one by one
        )
        self._unheard: list[bytes] = []
        self._size = 0
        self._barren = 0  # bytes that came since the last one of a body
        self._fault: NoAnswer | None = None

    def feed(self, data: bytes) -> bool:
        """Take what came, and return whether the answer is whole; raises ``NoAnswer``."""
        self._barren += len(data)
        if not self.headed:
            self._seen = self._seen + data if self._seen else data
        try:
            self._parser.feed_data(data)
        except _REFUSED as error:  # and again for whatever is fed after that
            if self._whole:
                self.reusable = False  # something follows the answer that nobody asked for
            else:
                self._mend(error)
        if self._barren > MAX_HEAD_BYTES and not self._whole:
            self._fault = self._fault or _too_long()
        if self._fault is not None:
            raise self._fault
        if self._unheard and self._hear is not None:
            pieces, self._unheard = self._unheard, []
            for piece in pieces:
                self._hear(piece)
        return self._whole

    def _mend(self, error: Exception) -> None:
        """Read a refused head anew where it says its length several times, once it is whole; raises ``NoAnswer`` for any other."""
        mended = self._seen if self.headed or self._fault is not None else once(self._seen)
        if mended is None:
            return
        if mended == self._seen:
            raise self._fault or _nonsense(error, self.status if self.headed else status_of(self._seen))
        self._seen, self._headers, self._barren = b"", {}, 0
        self._parser = _parsing(self)
        self.feed(mended)

    def end(self) -> bool:
        """Take the end of the connection, and return whether the answer is whole now; raises ``NoAnswer``."""
        if self.headed and self._until_close:
            self._finish()
            if self._fault is not None:
                raise self._fault
        return self._whole

    def answer(self) -> Answer:
        """Return the whole answer, and forget it."""
        names = b"\n".join(self._headers)
        # A value may go where text ends with a zero byte.
        values = b"\n".join(self._headers.values()).replace(b"\0", b"?")
        headers = dict(zip(_text(names).split("\n"), _text(values).split("\n"), strict=True)) if self._headers else {}
        answer = Answer(self.status, headers, self._first if self._rest is None else bytes(self._rest))
        self._headers, self._first, self._rest = {}, b"", None
        return answer

    def on_message_begin(self) -> None:
        if self._whole:
            self.reusable = False  # what comes after an answer is nobody's

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.headed:
            return  # after the body: nobody reads those
        name = name.lower()
        if name in self._headers:
            value = self._headers[name] + b", " + value
        self._headers[name] = value

    def on_headers_complete(self) -> None:
        if self._whole:
            return
        status = self._parser.get_status_code()
        if status < 200:
            self._headers, self._odd = {}, True
            return
        headers = self._headers
        self.status, self.headed, self._seen = status, True, b""
        if self._barren > MAX_HEAD_BYTES and sum(map(len, headers.values())) + sum(map(len, headers)) > MAX_HEAD_BYTES:
            self._fault = _too_long()
        coding = headers.get(b"transfer-encoding")
        if coding is not None and coding.lower() != b"chunked":
            message = "the server broke off: it sends its answer in a form that was not asked for"
            self._fault = NoAnswer(message, transient=not 200 <= status < 300)
        length = headers.get(b"content-length")
        if length is not None and (coding is not None or (status in _BODYLESS and length.strip(b" \t0"))):
            self._odd = True
        self._until_close = coding is None and length is None and status not in _BODYLESS
        if b"content-encoding" in headers:
            try:
                self._inflater = inflater(_text(headers[b"content-encoding"]))
            except ValueError as error:
                if status < 400:  # a refusal counts by its status
                    self._fault = NoAnswer(f"the answer cannot be unpacked: {error}", kind="bad_body", transient=False)

    def on_body(self, piece: bytes) -> None:
        if self._whole or self._fault is not None:
            return
        self._barren = 0
        if self._inflater is not None:
            try:
                piece = self._inflater.feed(piece, exchange.MAX_BODY_BYTES - self._size)
            except zlib.error as error:
                self._fault = NoAnswer(f"the answer's compression is broken: {error}", kind="bad_body")
                return
        self._size += len(piece)
        if self._size > exchange.MAX_BODY_BYTES:
            most = exchange.MAX_BODY_BYTES // 2**20
            self._fault = NoAnswer(f"the answer is larger than {most} MiB", kind="bad_body", transient=False)
            return
        if self._rest is not None:
            self._rest += piece
        elif self._first:
            self._rest = bytearray(self._first)
            self._rest += piece
        else:
            self._first = piece  # all of it, as a rule
        if self._hear is not None and piece:
            self._unheard.append(piece)

    def on_message_complete(self) -> None:
        if self.headed and not self._whole:
            self.reusable = not self._odd and self._parser.should_keep_alive()
            self._finish()

    def _finish(self) -> None:
        self._whole = True
        if self._inflater is not None and not self._inflater.whole and self._fault is None:
            self._fault = NoAnswer("the answer's compression is broken: it ends early", kind="bad_body")


def _parsing(reader: Reader) -> httptools.HttpResponseParser:
    # The two hold each other until the collector comes by: once a connection, not once a request.
    parser = httptools.HttpResponseParser(reader)
    parser.set_dangerous_leniencies(**_LENIENT)
    return parser


def _too_long() -> NoAnswer:
    message = f"the server broke off: more than {MAX_HEAD_BYTES // 1024} KiB came without a byte of an answer"
    return NoAnswer(message, transient=False)


def _nonsense(error: Exception, status: int | None) -> NoAnswer:
    """Return the fault of an answer that is no HTTP. One that began well has been paid, and the next one would look like it."""
    message = f"the server broke off: what it says is no HTTP ({error})"
    return NoAnswer(message, transient=status is None or not 200 <= status < 300)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
