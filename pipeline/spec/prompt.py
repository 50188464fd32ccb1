"""What each row asks: the ``prompt`` of a job."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Literal

from pydantic import model_validator

from pipeline.spec.group import Settings

Detail = Literal["low", "high", "auto", "original"]

KINDS = ("text", "image", "image_id", "video", "file", "file_id")
"""What a part can be. Everything but a text is media: a column, or a template that gives its place or its id."""

_OF_IMAGES = ("low", "high", "auto", "original")
_OF_FILES = ("low", "high", "auto")
_DETAILS: Mapping[str, tuple[str, ...]] = {
    "image": _OF_IMAGES,
    "image_id": _OF_IMAGES,
    "file": _OF_FILES,
    "file_id": _OF_FILES,
}


def kind_of_part(part: Mapping[str, object]) -> str:
    """Return which of ``KINDS`` a part is; raise ``ValueError`` where it is not exactly one, or has a setting of another kind."""
    kinds = [kind for kind in KINDS if part.get(kind) is not None]
    if len(kinds) != 1:
        raise ValueError(f"a part has exactly one of {', '.join(KINDS)}")
    (kind,) = kinds
    if part.get("detail") is not None and part["detail"] not in _DETAILS.get(kind, ()):
        details = ", ".join(_DETAILS.get(kind, ())) or "none"
        raise ValueError(f"{part['detail']!r} is no detail of {kind}; it has {details}")
    if part.get("filename") is not None and kind != "file":
        raise ValueError("filename belongs to a file")
    return kind


class Part(Settings):
    """One piece of a message: a text, an image, a video or a file."""

    text: str | None = None
    """A template; a column is written `{{ name }}`."""
    image: str | None = None
    """A column that holds a URL, a path, bytes, `{bytes, path}` or a list of those; or a template that gives a URL or a path."""
    image_id: str | None = None
    """A column that holds the provider's id of an uploaded image, or a list of ids; or a template that gives an id."""
    video: str | None = None
    """A video, named as an image is: MP4, MOV, AVI or WebM."""
    file: str | None = None
    """A PDF or another document, named as an image is."""
    file_id: str | None = None
    """A column that holds the provider's id of an uploaded file, or a list of ids; or a template that gives an id."""
    filename: str | None = None
    """What the model is told a file is called; a template. By default the file's own name. It goes along with the file's bytes."""
    detail: Detail | None = None
    """How closely the model looks at an image or a file, which decides the price; `original` is for images only."""

    @cached_property
    def kind(self) -> str:
        """Which of ``KINDS`` it is."""
        return kind_of_part(self.model_dump())

    @property
    def source(self) -> str:
        """The template or the column's name that stands in the spec."""
        source: str = getattr(self, self.kind)
        return source

    @model_validator(mode="after")
    def _one_kind(self) -> Part:
        kind_of_part(self.model_dump())
        return self


class Message(Settings):
    """One turn of a conversation."""

    role: Literal["user", "assistant", "system", "developer"]
    """Who speaks."""
    content: str | list[Part]
    """A template, or parts in the order in which the model sees them."""


class Prompt(Settings):
    """What each row asks. A plain string or a list of parts is short for ``{user: …}``."""

    shorthand = "user"

    system: str | None = None
    """Instructions for every row; a template."""
    user: str | list[Part] | None = None
    """A template, or parts in the order in which the model sees them."""
    messages: list[Message] | str | None = None
    """A whole conversation: turns written here (few-shot examples, say), or the name of a column that holds a list of `{role, content}`."""
    input: str | None = None
    """The name of a column that holds a raw `input` of the Responses API, as text or as a list of items; passed through."""

    @property
    def contents(self) -> list[tuple[str, str | list[Part]]]:
        """What the messages that are written in the spec hold, each with its place; none of a column's."""
        user = [] if self.user is None else [("prompt.user", self.user)]
        turns = () if isinstance(self.messages, str) else self.messages or ()
        return [*user, *((f"prompt.messages.{index}.content", turn.content) for index, turn in enumerate(turns))]

    @property
    def parts(self) -> list[tuple[str, Part]]:
        """The parts of those messages, each with its place."""
        return [
            (f"{place}.{index}", part)
            for place, content in self.contents
            if not isinstance(content, str)
            for index, part in enumerate(content)
        ]

    @model_validator(mode="after")
    def _one_way(self) -> Prompt:
        if sum(way is not None for way in (self.user, self.messages, self.input)) != 1:
            raise ValueError("a prompt has exactly one of user, messages and input")
        return self
