"""The templates in a job's request parameters, and what becomes of a row's values there.

Templates give text. A parameter that takes none takes what the text means instead: ``{{ stars / 4 }}`` is a number, in a CSV file, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.prompt.template import is_template, sole_column
from pipeline.wire.parameters import texts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.wire.shape import Shape


@dataclass(frozen=True, slots=True)
class Slot:
    """A template in a request. ``column`` is the one whose own value goes there, None where the template is rendered."""

    text: str
    column: str | None
    shape: Shape | None
    """What may stand there, where a page says it."""

    def read(self, value: object) -> object:
        """Return a cell or a rendered text as the parameter takes it. What it cannot take comes back as it is."""
        return self.shape.read(value) if self.shape is not None and isinstance(value, str) else value


def slots(request: Mapping[str, object]) -> dict[str, Slot]:
    """Return the templates of a request by their places in the spec."""
    return {
        ".".join(map(str, path)): Slot(
            text, None if shape is not None and shape.only_text else sole_column(text), shape
        )
        for path, text, shape in texts(request)
        if is_template(text)
    }
