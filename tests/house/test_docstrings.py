"""Tests say what they claim."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("module", sorted(TESTS.rglob("test_*.py")), ids=lambda path: str(path.relative_to(TESTS)))
def test_every_test_states_its_claim(module: Path) -> None:
    """Each test function, and each module of them, has a docstring."""
    tree = ast.parse(module.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    tests = [node for node in functions if node.name.startswith("test_")]
    assert ast.get_docstring(tree) is not None
    assert [node.name for node in tests if not ast.get_docstring(node)] == []
