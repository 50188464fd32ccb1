"""Parts of messages, from what a spec or a column says of them to the API's own words; media stay references.

Both say it with the same names (``text``, ``image``, ``video`` …), and both end here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.errors import NullCell, PromptError
from pipeline.spec.prompt import kind_of_part

if TYPE_CHECKING:
    from pipeline.prompt.media import MediaFinder
    from pipeline.records import Media, MediaKind

Content = dict[str, object]
"""A part as the API has it; where a URL or bytes belong stands a ``Media``."""


@dataclass(frozen=True, slots=True)
class _Form:
    """How media of a kind are written: the part's type, and the members that hold a URL and bytes."""

    kind: MediaKind
    type: str
    url: str
    data: str


_FORMS: Mapping[str, _Form] = {
    "image": _Form("image", "input_image", "image_url", "image_url"),
    "video": _Form("video", "input_video", "video_url", "video_url"),
    "file": _Form("file", "input_file", "file_url", "file_data"),
}
ALIKE: Mapping[str, MediaKind] = {name: form.kind for name, form in _FORMS.items() if form.url == form.data}
"""The kinds of media whose part is the same whether a URL, a file or bytes are shown."""
MEDIA = frozenset(_FORMS)
"""The kinds of parts that show media which are at hand, not by the provider's ids."""
_BY_ID: Mapping[str, str] = {"image_id": "input_image", "file_id": "input_file"}


def text_part(text: str, role: str = "user") -> Content:
    """Return a text as a part; what the assistant said is output."""
    return {"type": "output_text" if role == "assistant" else "input_text", "text": text}


def referring(kind: str, media: Media, detail: object = None) -> Content:
    """Return the part that shows a picture, a video or a file."""
    form = _FORMS[kind]
    part: Content = {"type": form.type, form.data if media.url is None else form.url: media}
    if media.url is None and kind == "file" and media.filename is not None:
        part["filename"] = media.filename
    if detail is not None:
        part["detail"] = detail
    return part


class Parts:
    """Makes the parts of a job's messages. ``names_files`` is True once a part has named a file, whose changes the table does not show.

    ``redrawing`` says what the job does to its pictures: another picture is sent then, so another question is asked.
    """

    def __init__(self, finder: MediaFinder, redrawing: str) -> None:
        self._finder = finder
        self._redrawing = redrawing
        self.names_files = False

    def made(
        self, kind: str, value: object, column: str, *, detail: object = None, filename: str | None = None
    ) -> list[Content]:
        """Return the parts that a cell means, one for each of its media or ids. Raises ``NullCell``, ``PromptError`` or ``MediaError``."""
        if kind in _BY_ID:
            return self.ids(kind, value, column, detail=detail)
        return [referring(kind, media, detail) for media in self.found(kind, value, column, filename)]

    def ids(self, kind: str, value: object, column: str, *, detail: object = None) -> list[Content]:
        """Return the parts of the provider's own files that a cell means, by their ids. Raises ``NullCell`` or ``PromptError``."""
        more: Content = {} if detail is None else {"detail": detail}
        return [{"type": _BY_ID[kind], "file_id": file_id, **more} for file_id in self._ids(value, column)]

    def found(self, kind: str, value: object, column: str, filename: str | None = None) -> list[Media]:
        """Return the media that a cell means, as they count in this job. Raises ``NullCell``, ``PromptError`` or ``MediaError``."""
        found = self._finder.find(value, column, _FORMS[kind].kind)
        self.names_files = self.names_files or any(media.path is not None for media in found)
        if kind == "image" and self._redrawing:
            found = [replace(media, identity=f"{self._redrawing}|{media.identity}") for media in found]
        return found if filename is None else [_called(filename, media) for media in found]

    def from_column(self, item: object, place: str) -> list[Content]:
        """Return a part of a message in a column: named as in a spec, or in the API's own words. Nulls of its struct are left out."""
        if not isinstance(item, Mapping):
            raise PromptError(f"{place}.content holds a part that is no map")
        part = {str(key): value for key, value in item.items() if value is not None}
        if "type" in part:
            return [part]
        try:
            kind = kind_of_part(part)
        except ValueError as error:
            raise PromptError(f"{place}.content holds a part without a type: {error}") from error
        value = part[kind]
        if kind != "text":
            return self.made(kind, value, place, detail=part.get("detail"), filename=_named(part, place))
        if not isinstance(value, str):
            raise PromptError(f"{place}.content holds a text that is a {type(value).__name__}")
        return [text_part(value)]

    def _ids(self, value: object, column: str) -> list[str]:
        if value is None:
            if self._finder.null_is_empty:
                return []
            raise NullCell(column)
        if isinstance(value, str) and value.strip():
            return [value.strip()]
        if isinstance(value, Sequence) and not isinstance(value, str | bytes):
            return [file_id for item in value for file_id in self._ids(item, column)]
        raise PromptError(f"column {column!r} holds {value!r:.40}, which is no id of a file")


def _called(filename: str, media: Media) -> Media:
    if not filename.strip():
        raise PromptError("the file's name is empty")
    return replace(media, identity=f"{filename}|{media.identity}", filename=filename)


def _named(part: Content, place: str) -> str | None:
    filename = part.get("filename")
    if filename is None or isinstance(filename, str):
        return filename
    raise PromptError(f"{place}.content holds a filename that is a {type(filename).__name__}")
