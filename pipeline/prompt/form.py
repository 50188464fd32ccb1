"""A job's form: all that its rows ask alike, written once, with holes for the texts and the media in which they differ.

Where rows differ in nothing else, their requests are the same bytes around those: on the wire and in the fingerprint.
The form is what the general way makes of a row of marks, cut at the marks; so both ways give the same requests, by construction.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import orjson

from pipeline.cost.tokens import request_weight
from pipeline.prompt.identity import canonical, digest
from pipeline.records import Media, Request

if TYPE_CHECKING:
    from pipeline.prompt.given import Given

Value = str | Media
"""What goes into a hole: a text, or one picture or video."""


class Form:
    """A request with holes.

    ``request`` was made of a row of ``marks``: the text of each place in the spec, or the identity of its medium if it is one of
    ``showing``, found nowhere else. ``spelling`` is that request's identity.
    """

    def __init__(self, request: Request, spelling: bytes, marks: Mapping[str, str], showing: Collection[str]) -> None:
        assert request.content is not None
        values = tuple(marks.values())
        self._places = tuple(marks)  # in the order in which a row is asked: what fails first is its mistake
        self._model = request.model
        self._output = request.body.get("max_output_tokens")
        self._body = _Body(request.body, values)
        self._shown = [values.index(media.identity) for _, media in request.shown]
        self._showing = showing
        self._kinds = [media.kind for _, media in request.shown]
        ends = [*(place for place, _ in request.shown), len(request.content)]  # of the pieces between media
        self._pieces = [
            _Stencil.cut(request.content[start:end], values) for start, end in zip([0, *ends], ends, strict=False)
        ]
        self._spelling = _Stencil.cut(spelling, values)

    def filled(self, row: int, given: Given) -> Request | None:
        """Return the request with what a row gives in its holes, or None where the row shows none or several in one of them.

        Raises ``NullCell``, ``PromptError`` or ``MediaError``.
        """
        values: list[Value] = []
        for place in self._places:
            if place not in self._showing:
                values.append(given.text(place))
            elif len(found := given.media(place)) == 1:
                values.append(found[0])
            else:
                return None
        written = [orjson.dumps(value) if isinstance(value, str) else canonical(value) for value in values]
        pieces = [piece.with_holes(written) for piece in self._pieces]
        content = b"".join(pieces)
        media = [value for value in map(values.__getitem__, self._shown) if isinstance(value, Media)]
        return Request(
            row,
            self._model,
            FilledBody(self._body, values),
            digest(self._spelling.with_holes(written)),
            request_weight(len(content), self._kinds, self._output),
            content=content,
            shown=tuple(zip(accumulate(map(len, pieces)), media, strict=False)),  # the last piece ends the body
        )


@dataclass(frozen=True, slots=True)
class _Stencil:
    """Bytes with holes: a format for ``%``, and which text goes into each hole."""

    form: bytes
    order: tuple[int, ...]

    @staticmethod
    def cut(spelling: bytes, marks: Sequence[str]) -> _Stencil:
        """Return JSON with a hole for each mark in it."""
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

    def filled(self, value: object, values: Sequence[Value]) -> object:
        """Return the body, or a part of it, with texts and media in place of the marks."""
        if isinstance(value, str):
            return values[self._numbers[value]] if value in self._numbers else value
        if isinstance(value, Media):
            return values[self._numbers[value.identity]]
        if isinstance(value, Mapping):
            return {name: self.filled(member, values) for name, member in value.items()}
        if isinstance(value, list | tuple):
            return [self.filled(member, values) for member in value]
        return value


class FilledBody(Mapping[str, object]):
    """A form's body with what a row gives, put together when somebody looks into it: most requests need no more of it than its bytes."""

    __slots__ = ("_form", "_values", "_whole")

    def __init__(self, form: _Body, values: Sequence[Value]) -> None:
        self._form = form
        self._values = values
        self._whole: Mapping[str, object] | None = None

    def __getitem__(self, name: str) -> object:
        """Return a member; one that is the same for every row costs nothing."""
        return self._form.fixed[name] if name in self._form.fixed else self._all()[name]

    def get(self, name: str, default: object = None) -> object:
        """Return a member, or the default where the body has none."""
        return self[name] if name in self._form.marked else default

    def __contains__(self, name: object) -> bool:
        return name in self._form.marked

    def __iter__(self) -> Iterator[str]:
        return iter(self._form.marked)

    def __len__(self) -> int:
        return len(self._form.marked)

    def _all(self) -> Mapping[str, object]:
        if self._whole is None:
            whole = self._form.filled(self._form.marked, self._values)
            assert isinstance(whole, Mapping)
            self._whole = whole
        return self._whole
