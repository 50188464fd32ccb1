"""Files that hold estimates: a table for machines, a page for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.checkpoint.table import write_text
from pipeline.errors import Problem, SpecError
from pipeline.report.estimate_table import write_estimates
from pipeline.report.page import render_estimate

if TYPE_CHECKING:
    from pipeline.cost.estimate import Estimate

Write = Callable[["Sequence[Estimate]"], None]


def writer_for(target: Path, *, title: str, version: str, made_at: float) -> Write:
    """Return what writes estimates to a file of this name. Raises ``SpecError`` for a name that asks for no known kind.

    ``made_at`` is now, in seconds since 1970 UTC. What it returns raises ``DiskFailed``.
    """

    def table(estimates: Sequence[Estimate]) -> None:
        write_estimates(estimates, target)

    def page(estimates: Sequence[Estimate]) -> None:
        write_text(target, render_estimate(estimates, title=title, version=version, made_at=made_at))

    writers: Mapping[str, Write] = {".parquet": table, ".html": page}
    if target.suffix not in writers:
        problem = Problem("-o", f"{target} ends in none of {', '.join(writers)}")
        raise SpecError([problem], source="command line")
    return writers[target.suffix]
