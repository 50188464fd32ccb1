"""A small job to start from, and ways to load it that differ in what they return."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import SpecError
from pipeline.spec.job import Job
from pipeline.spec.load import load_text

SMALL = """\
provider: simulator
model: gpt-5.4-mini
input: rows.csv
prompt: "{{ question }}"
output: answers.parquet
"""
FOLDER = Path("/specs")


@pytest.fixture
def load() -> Callable[..., Job]:
    """Return the function that loads a small job with more lines, ``--set`` options and environment variables."""

    def load(more: str = "", *sets: str, **environ: str) -> Job:
        return load_text(SMALL + more, source="job.yaml", folder=FOLDER, sets=sets, environ=environ)

    return load


@pytest.fixture
def mistakes() -> Callable[..., list[str]]:
    """Return the function that loads a whole spec and returns its mistakes, each as ``line:column where: message``."""

    def mistakes(text: str, *sets: str, format: Any = "yaml", **environ: str) -> list[str]:
        with pytest.raises(SpecError) as caught:
            load_text(text, format=format, source="job.yaml", folder=FOLDER, sets=sets, environ=environ)
        return [
            f"{f'{problem.line}:{problem.column} ' if problem.line else ''}{problem.where}: {problem.message}"
            + (f" ({problem.suggestion}?)" if problem.suggestion else "")
            for problem in caught.value.problems
        ]

    return mistakes


@pytest.fixture
def small() -> str:
    """Return the small job's text, five lines of YAML."""
    return SMALL
