"""Write a page on a run, or on two, in one step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.checkpoint.table import write_text
from pipeline.errors import Problem, SpecError
from pipeline.report.compare import compared
from pipeline.report.page import render_comparison, render_story
from pipeline.report.subject import opened_subject
from pipeline.report.tell import story_of

if TYPE_CHECKING:
    from pipeline.cost.prices import Book
    from pipeline.report.story import Comparison, Story

Run = tuple[Path, "Book | None"]
"""A run directory, and the prices; None for those of the job as it was last run."""

_ENDINGS = (".html", ".htm")


def publish_story(
    run: Run, target: str | Path | None, *, made_at: float, by: Sequence[str], command: str
) -> tuple[Path, Story]:
    """Write the page of a run, by default beside its table, and return its path and what it tells. Blocking.

    ``made_at`` is now, ``by`` names input columns to tell cost by, ``command`` is how the run is started. Raises ``RunDirectoryError``
    where there is no run, ``SpecError`` for a column that there is not or a file that is no page, and ``DiskFailed``.
    """
    page = _page(target)
    with opened_subject(*run) as subject:
        path = page or subject.table.with_suffix(".html")
        story = story_of(subject, made_at=made_at, by=by, command=command)
    write_text(path, render_story(story))
    return path, story


def publish_comparison(
    before: Run, after: Run, target: str | Path | None, *, made_at: float
) -> tuple[Path, Comparison]:
    """Write the page of two runs, by default beside the table of the one after, and return its path and what it tells. Blocking.

    Raises ``RunDirectoryError`` where there is no run, ``DataError`` where nothing tells which rows are the same, ``SpecError`` for a file
    that is no page, and ``DiskFailed``.
    """
    page = _page(target)
    with opened_subject(*before) as first, opened_subject(*after) as second:
        path = page or second.table.with_suffix(".compared.html")
        comparison = compared(first, second, made_at=made_at)
    write_text(path, render_comparison(comparison))
    return path, comparison


def _page(target: str | Path | None) -> Path | None:
    """Return where to write, and refuse to write over what is no page, such as the table or the input."""
    if target is not None and Path(target).suffix not in _ENDINGS:
        raise SpecError([Problem("-o", f"{target} does not end in .html, as a page does")], source="command line")
    return None if target is None else Path(target)
