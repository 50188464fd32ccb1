"""The functions that the model may call while it answers: the ``tools`` of a job."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, model_validator

from pipeline.spec.group import Settings
from pipeline.wire.tool_shapes import DOCUMENTED_TOOLS


class Tools(Settings):
    """Python functions that the model may call. A list is short for ``{functions: …}``."""

    shorthand = "functions"

    functions: list[str] = []
    """Functions as `file.py:function`, the file relative to the spec. Their code runs here, so a run needs `--allow-code`."""
    rounds: int = Field(8, ge=1, le=100)
    """How often functions may run for one request before it ends as `tool_calls`."""
    timeout_s: float = Field(30.0, gt=0, le=3600)
    """Longest time in seconds that one call may take; the model is told if it takes longer."""

    @model_validator(mode="before")
    @classmethod
    def _no_hosted_tools(cls, value: object) -> object:
        functions = value.get("functions") if isinstance(value, Mapping) else value
        named = functions if isinstance(functions, list) else [functions]
        if any(_is_hosted(tool) for tool in (value, *named)):
            raise ValueError("hosted tools stand under request.tools; tools names Python functions as file.py:function")
        return value


def _is_hosted(tool: object) -> bool:
    """Tell whether something is a tool as a request has them, or the name of one."""
    return "type" in tool if isinstance(tool, Mapping) else isinstance(tool, str) and tool in DOCUMENTED_TOOLS
