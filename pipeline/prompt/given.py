"""What a job's places are given: the texts and media of a row, or the marks that stand for those of every row."""

from __future__ import annotations

from secrets import token_hex
from typing import TYPE_CHECKING, Protocol

from pipeline.prompt.template import Context
from pipeline.records import Media

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.prompt.template import Templates
    from pipeline.records import MediaKind


class Given(Protocol):
    """What goes into one request. Places are those in the spec: a template's for texts, a part's for media."""

    @property
    def cells(self) -> Mapping[str, object]:
        """The row's own values."""

    def text(self, place: str) -> str:
        """Return the text of a template. Raises ``NullCell`` or ``PromptError``."""

    def media(self, place: str) -> Sequence[Media]:
        """Return what a part shows. Raises ``NullCell``, ``PromptError`` or ``MediaError``."""


class OfRow:
    """What a row gives. Its media, which ``find`` returns for a place, are looked for once."""

    def __init__(
        self,
        cells: Mapping[str, object],
        columns: Sequence[str],
        templates: Templates,
        find: Callable[[str, Given], Sequence[Media]],
    ) -> None:
        self.cells = cells
        self._columns = columns
        self._templates = templates
        self._find = find
        self._context: Context | None = None  # made for the first text: a row may give nothing but a picture
        self._found: dict[str, Sequence[Media]] = {}

    def text(self, place: str) -> str:
        """Return the text of a template."""
        if self._context is None:
            self._context = Context(self.cells, self._columns)
        return self._templates.render(place, self._context)

    def media(self, place: str) -> Sequence[Media]:
        """Return what a part shows."""
        if (found := self._found.get(place)) is None:
            found = self._found[place] = self._find(place, self)
        return found


class Marks:
    """What stands for a row in a form: a mark for each text in which rows differ, and one medium with a mark for each part that shows some.

    ``places`` has the marks, in the order in which they were asked for: what fails first with a row is the first of them that fails.
    """

    def __init__(self, templates: Templates, kinds: Mapping[str, MediaKind]) -> None:
        """Take the kind of media that a part shows by its place."""
        self.cells: Mapping[str, object] = {}
        self.places: dict[str, str] = {}
        self._templates = templates
        self._kinds = kinds

    def text(self, place: str) -> str:
        """Return the mark of a template, or its text where that is the same for every row."""
        if not self._templates.columns[place]:
            return self._templates.render(place, Context({}, ()))
        return self._mark(place)

    def media(self, place: str) -> Sequence[Media]:
        """Return what stands for a part's one medium."""
        return [Media(identity=self._mark(place), label="", kind=self._kinds[place])]

    def _mark(self, place: str) -> str:
        return self.places.setdefault(place, token_hex(16))  # cannot occur in a job's text by design or by accident
