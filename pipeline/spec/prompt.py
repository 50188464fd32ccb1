"""What each row asks: the ``prompt`` of a job."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from pipeline.spec.group import Settings

Detail = Literal["low", "high", "auto", "original"]


class Part(Settings):
    """One piece of a message: a text or an image."""

    text: str | None = None
    """A template; a column is written `{{ name }}`."""
    image: str | None = None
    """A column that holds a URL, a path, bytes, `{bytes, path}` or a list of those; or a template that gives a URL or a path."""
    detail: Detail | None = None
    """How closely the model looks at the image; it decides the image's price."""

    @model_validator(mode="after")
    def _one_kind(self) -> Part:
        if (self.text is None) == (self.image is None):
            raise ValueError("a part has either text or image")
        if self.detail is not None and self.image is None:
            raise ValueError("detail belongs to an image")
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

    @model_validator(mode="after")
    def _one_way(self) -> Prompt:
        if sum(way is not None for way in (self.user, self.messages, self.input)) != 1:
            raise ValueError("a prompt has exactly one of user, messages and input")
        return self
