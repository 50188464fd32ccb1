"""Send a table of texts, images, videos or files through a multimodal Responses API and get a trustworthy table back."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.api import Preview as Preview
    from pipeline.api import check as check
    from pipeline.api import compare as compare
    from pipeline.api import estimate as estimate
    from pipeline.api import export as export
    from pipeline.api import init as init
    from pipeline.api import preview as preview
    from pipeline.api import run as run
    from pipeline.api import show as show
    from pipeline.api import simulate as simulate
    from pipeline.api import status as status
    from pipeline.api import write_report as write_report
    from pipeline.errors import DataError as DataError
    from pipeline.errors import PipelineError as PipelineError
    from pipeline.errors import RunError as RunError
    from pipeline.errors import SpecError as SpecError

# Loaded on first use: `import pipeline` and `pipeline --help` cost nothing of Arrow, polars or HTTP.
_HOMES = {
    **dict.fromkeys(
        (
            *(
                "Preview",
                "check",
                "compare",
                "estimate",
                "export",
                "init",
                "preview",
                "run",
                "show",
                "simulate",
                "status",
            ),
            "write_report",
        ),
        "pipeline.api",
    ),
    **dict.fromkeys(("DataError", "PipelineError", "RunError", "SpecError"), "pipeline.errors"),
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return list(_HOMES)
