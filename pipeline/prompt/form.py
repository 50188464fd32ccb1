"""A job's form: all that its rows ask alike, written once, with holes for the texts in which they differ.

Where rows differ in nothing but rendered texts, their requests are the same bytes around those texts: on the wire and in the fingerprint.
The form is what the general way makes of a row of marks, cut at the marks; so both ways give the same requests, by construction.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import orjson

from pipeline.cost.tokens import request_weight
from pipeline.prompt.identity import digest
from pipeline.records import Request


class Form:
    """A request with holes. ``places`` are those of the templates whose texts go into them, in the order in which ``filled`` takes them.

    ``request`` was made of a row of ``marks``: the text of each place, found nowhere else. ``spelling`` is that request's identity.
    """

    def __init__(self, request: Request, spelling: bytes, marks: Mapping[str, str]) -> None:
        assert request.content is not None
        self.places = tuple(marks)
        self._model = request.model
        self._output = request.body.get("max_output_tokens")
        self._body = _Body(request.body, tuple(marks.values()))
        self._content = _Stencil.cut(request.content, tuple(marks.values()))
        self._spelling = _Stencil.cut(spelling, tuple(marks.values()))

    def filled(self, row: int, texts: Sequence[str]) -> Request:
        """Return the request with these texts in its holes."""
        written = [orjson.dumps(text) for text in texts]
        content = self._content.with_holes(written)
        weight = request_weight(len(content), (), self._output)
        body = FilledBody(self._body, texts)
        return Request(row, self._model, body, digest(self._spelling.with_holes(written)), weight, content=content)


@dataclass(frozen=True, slots=True)
class _Stencil:
    """Bytes with holes: a format for ``%``, and which text goes into each hole."""

    form: bytes
    order: tuple[int, ...]

    @staticmethod
    def cut(spelling: bytes, marks: Sequence[str]) -> _Stencil:
        """Return JSON with a hole for each mark."""
        numbers = {f'"{mark}"'.encode(): number for number, mark in enumerate(marks)}
        if not numbers:
            return _Stencil(spelling.replace(b"%", b"%%"), ())
        pieces = re.split(b"(" + b"|".join(numbers) + b")", spelling)
        order = tuple(numbers[mark] for mark in pieces[1::2])
        return _Stencil(b"%b".join(piece.replace(b"%", b"%%") for piece in pieces[::2]), order)

    def with_holes(self, written: Sequence[bytes]) -> bytes:
        """Return the bytes with JSON texts in the holes."""
        return self.form % tuple([written[number] for number in self.order])


class _Body:
    """A body with marks in it; ``fixed`` are the members that hold none."""

    def __init__(self, marked: Mapping[str, object], marks: Sequence[str]) -> None:
        self.marked = marked
        self._numbers = {mark: number for number, mark in enumerate(marks)}
        blank = [""] * len(marks)
        self.fixed = {name: value for name, value in marked.items() if self.filled(value, blank) == value}

    def filled(self, value: object, texts: Sequence[str]) -> object:
        """Return the body, or a part of it, with texts in place of the marks."""
        if isinstance(value, str):
            return texts[self._numbers[value]] if value in self._numbers else value
        if isinstance(value, Mapping):
            return {name: self.filled(member, texts) for name, member in value.items()}
        if isinstance(value, list | tuple):
            return [self.filled(member, texts) for member in value]
        return value


class FilledBody(Mapping[str, object]):
    """A form's body with a row's texts, put together when somebody looks into it: most requests need no more of it than its bytes."""

    __slots__ = ("_form", "_texts", "_whole")

    def __init__(self, form: _Body, texts: Sequence[str]) -> None:
        self._form = form
        self._texts = texts
        self._whole: Mapping[str, object] | None = None

    def __getitem__(self, name: str) -> object:
        """Return a member; one that is the same for every row costs nothing."""
        return self._form.fixed[name] if name in self._form.fixed else self._all()[name]

    def get(self, name: str, default: object = None) -> object:
        """Return a member, or the default where the body has none."""
        return self[name] if name in self._form.marked else default

    def __iter__(self) -> Iterator[str]:
        return iter(self._form.marked)

    def __len__(self) -> int:
        return len(self._form.marked)

    def _all(self) -> Mapping[str, object]:
        if self._whole is None:
            whole = self._form.filled(self._form.marked, self._texts)
            assert isinstance(whole, Mapping)
            self._whole = whole
        return self._whole
