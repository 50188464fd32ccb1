"""The rows: the ``input`` of a job."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.spec.group import Settings


class Sample(Settings):
    """A random choice of rows, the same at every run. A plain number is short for ``{rows: …}``."""

    shorthand = "rows"

    rows: int = Field(gt=0)
    """How many rows."""
    seed: int = 0
    """Another seed gives another choice."""


class Input(Settings):
    """The rows. A plain string or a list of them is short for ``{path: …}``."""

    shorthand = "path"

    path: str | list[str]
    """A Parquet, CSV or JSONL file, a glob of them, a list of those, or a folder of images. Relative to the spec."""
    format: Literal["parquet", "csv", "jsonl", "images"] | None = None
    """By default read off the file's ending."""
    columns: dict[str, Literal["string", "int", "float", "bool", "date", "datetime"]] = {}
    """Types of CSV columns. A column that is not named here reaches the prompt as it is written."""
    where: str | None = None
    """Only the rows for which this polars SQL expression is true, e.g. `width > 100 AND lang = 'en'`."""
    limit: int | None = Field(None, gt=0)
    """At most this many rows, the first ones."""
    sample: Sample | None = None
    """A random choice of rows, kept in file order."""
    null_values: list[str] = []
    """CSV cells that mean null, besides empty ones."""
    delimiter: str = Field(",", min_length=1, max_length=1)
    """The CSV's column separator."""
