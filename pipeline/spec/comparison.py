"""An estimate's own spec: which jobs are priced side by side, and for which models, image details and tiers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, StringConstraints

from pipeline.spec.group import Settings
from pipeline.spec.prompt import Detail

COMPARES = "estimate"
"""The key by which such a spec is told from a job's."""

Tier = Literal["default", "batch", "flex", "priority"]
Model = Annotated[str, StringConstraints(min_length=1)]


class Asked(Settings):
    """What is priced. A list of jobs is short for ``{jobs: …}``."""

    shorthand = "jobs"

    jobs: list[str] = Field(min_length=1)
    """Job specs. Relative to this file."""
    models: list[Model] = []
    """Models to price each job for; left out, its own."""
    details: list[Detail] = []
    """Image details to price each job for; left out, its own."""
    tiers: list[Tier] = []
    """Service tiers to price each job for, `batch` among them; left out, its own."""
    by: str | None = None
    """An input column of every job: the estimate is split by its values, too."""


class Comparison(Settings):
    """A whole spec of an estimate."""

    estimate: Asked
    """What is priced."""

    _folder: Path | None = PrivateAttr(default=None)

    def located(self, folder: Path) -> Comparison:
        """Return the same comparison with the paths of its jobs counted from ``folder``."""
        located = self.model_copy()
        located._folder = folder
        return located

    @property
    def jobs(self) -> list[Path]:
        """Where the specs of its jobs lie."""
        return [Path(os.path.normpath((self._folder or Path.cwd()) / name)) for name in self.estimate.jobs]
