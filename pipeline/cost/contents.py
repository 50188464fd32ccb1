"""What a body holds that is billed as input: its texts, its media, its tools and its schema, told apart."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import orjson

from pipeline.media.extent import UNKNOWN, extent_of
from pipeline.records import Media

if TYPE_CHECKING:
    from pipeline.records import Extent, MediaKind

CLIENT_TOOLS = frozenset({"function", "custom"})
"""The tools that add to the input nothing but their definition; those of the provider bring their own words and what they find."""

_PARTS: Mapping[str, MediaKind] = {"input_image": "image", "input_video": "video", "input_file": "file"}
_SAID = frozenset({"type", "role", "status", "detail"})  # of an item: structure, no text that a model reads
_READ = frozenset({"instructions", "input", "tools", "text"})  # of a body
_ELSEWHERE: Mapping[str, str] = {
    "previous_response_id": "the response it goes on from",
    "conversation": "a stored conversation",
    "prompt": "a stored prompt",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture, video or file of a body. ``media`` is None where only the provider has it.

    ``verbatim`` says that it stands in a raw input as a URL or a data URI, and is sent just so.
    """

    kind: MediaKind
    media: Media | None
    detail: str | None = None
    verbatim: bool = False

    @property
    def extent(self) -> Extent:
        """How much it shows; nothing is known where it was not measured."""
        return UNKNOWN if self.media is None or self.media.extent is None else self.media.extent


@dataclass(slots=True)
class Contents:
    """What a body holds. ``tools`` and ``schema`` are JSON texts; ``hosted`` are the kinds of tools that the provider runs.

    ``elsewhere`` names input that lies at the provider, and that nobody here can count.
    """

    instructions: str = ""
    texts: list[str] = field(default_factory=list)
    messages: int = 0
    shown: list[Shown] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)
    schema: str = ""
    hosted: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)


def rest_of(body: Mapping[str, object]) -> str:
    """Return the JSON of what ``contents_of`` does not look at: parameters, and members that are newer than it."""
    return _json({name: value for name, value in body.items() if name not in _READ})


def contents_of(body: Mapping[str, object]) -> Contents:
    """Return what a body in OpenAI's names holds."""
    found = Contents(elsewhere=[what for name, what in _ELSEWHERE.items() if body.get(name) is not None])
    instructions = body.get("instructions")
    if isinstance(instructions, str):
        found.instructions, found.messages = instructions, 1
    given = body.get("input")
    for item in given if isinstance(given, list | tuple) else (given,):
        found.messages += 1
        _collect(item, found)
    text = body.get("text")
    if isinstance(text, Mapping) and isinstance(form := text.get("format"), Mapping) and "schema" in form:
        found.schema = _json(form)
    for tool in _members(body.get("tools")):
        found.tools.append(_json(tool))
        if (kind := str(tool.get("type"))) not in CLIENT_TOOLS:
            found.hosted.append(kind)
    return found


def _collect(value: object, found: Contents) -> None:
    if isinstance(value, str):
        found.texts.append(value)
    elif isinstance(value, Media):
        found.shown.append(Shown(value.kind, value))
    elif isinstance(value, list | tuple):
        for item in value:
            _collect(item, found)
    elif isinstance(value, Mapping):
        kind = _PARTS.get(str(value.get("type")))
        if kind is not None:
            found.shown.append(_shown(kind, value, found))
        elif value.get("type") == "item_reference":
            found.elsewhere.append("an item that is stored at the provider")
        else:
            for name, item in value.items():
                if name not in _SAID:
                    _collect(item, found)


def _shown(kind: MediaKind, part: Mapping[str, object], found: Contents) -> Shown:
    detail = part.get("detail")
    asked = detail if isinstance(detail, str) else None
    if isinstance(name := part.get("filename"), str):
        found.texts.append(name)
    refers = [part.get(name) for name in (f"{kind}_url", "file_data") if part.get(name) is not None]
    if not refers:
        found.elsewhere.append("a file that is stored at the provider")
        return Shown(kind, None, asked)
    if isinstance(media := refers[0], Media):
        return Shown(kind, media, asked)
    return Shown(kind, _from_text(kind, str(media)), asked, verbatim=True)


def _from_text(kind: MediaKind, text: str) -> Media:
    """Return media that a raw input holds as a URL or a data URI."""
    head, _, payload = text.partition(",")
    if head.startswith("data:"):
        try:
            media = Media(identity="", label="a data URI", data=b64decode(payload), kind=kind)
        except ValueError:
            pass  # the provider will say so; until then its size is as unknown as a URL's
        else:
            return replace(media, extent=extent_of(media, len(payload)))
    return Media(identity="", label="a URL", url=text, kind=kind)


def _members(value: object) -> Iterator[Mapping[str, object]]:
    if isinstance(value, list | tuple):
        yield from (member for member in value if isinstance(member, Mapping))


def _stand_in(value: object) -> None:
    """Stand in for media where JSON is only weighed; raises ``TypeError`` for what JSON cannot carry."""
    if not isinstance(value, Media):
        raise TypeError


def _json(value: object) -> str:
    """Return the JSON of a value, media in it left out."""
    return orjson.dumps(
        value, default=_stand_in, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS
    ).decode()
