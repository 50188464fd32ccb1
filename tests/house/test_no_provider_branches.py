"""A provider is a row of data."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.wire.dialect import DIALECTS

PROJECT = Path(__file__).parents[2]
MODULES = sorted((PROJECT / "pipeline").rglob("*.py"))


def branches(module: Path) -> Iterator[str]:
    """Yield the place of each comparison with a provider's name, also by ``in`` and ``match``."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Compare | ast.MatchValue):
            literals = {leaf.value for leaf in ast.walk(node) if isinstance(leaf, ast.Constant)}
            if literals & set(DIALECTS):
                yield f"{module.relative_to(PROJECT)}:{node.lineno}"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_no_branch_asks_for_a_provider_by_name(module: Path) -> None:
    """What differs between providers is a field of a table, so that a new one needs no new branch."""
    assert list(branches(module)) == []
