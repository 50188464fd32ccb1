"""The functions that the model may call while it answers: the ``tools`` of a job."""

from __future__ import annotations

from pydantic import Field

from pipeline.spec.group import Settings


class Tools(Settings):
    """Python functions that the model may call. A list is short for ``{functions: …}``."""

    shorthand = "functions"

    functions: list[str] = []
    """Functions as `file.py:function`, the file relative to the spec. Their code runs here, so a run needs `--allow-code`."""
    rounds: int = Field(8, ge=1, le=100)
    """How often functions may run for one request before it ends as `tool_calls`."""
    timeout_s: float = Field(30.0, gt=0, le=3600)
    """Longest time in seconds that one call may take; the model is told if it takes longer."""
