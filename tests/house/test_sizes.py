"""Code that can be seen whole."""

from __future__ import annotations

import ast
from pathlib import Path
from statistics import quantiles

import pytest

PROJECT = Path(__file__).parents[2]
MODULES = sorted((PROJECT / "pipeline").rglob("*.py"))
PACKAGES = sorted({module.parent for module in MODULES})
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


def name(path: Path) -> str:
    """Return a path as test ids show it."""
    return str(path.relative_to(PROJECT))


def functions(module: Path) -> dict[str, int]:
    """Return the length in lines of each function, without its docstring."""
    lengths = {}
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, FUNCTIONS):
            docstring = node.body[0] if ast.get_docstring(node, clean=False) is not None else None
            without = docstring.end_lineno - docstring.lineno + 1 if docstring and docstring.end_lineno else 0
            lengths[f"{node.name}:{node.lineno}"] = (node.end_lineno or node.lineno) - node.lineno + 1 - without
    return lengths


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_a_module_fits_into_a_head(module: Path) -> None:
    """No module is longer than 400 lines, no function than 60, and no class has more than 12 methods."""
    assert len(module.read_text().splitlines()) <= 400
    assert {function: length for function, length in functions(module).items() if length > 60} == {}
    classes = [node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.ClassDef)]
    methods = {node.name: sum(isinstance(item, FUNCTIONS) for item in node.body) for node in classes}
    assert {owner: count for owner, count in methods.items() if count > 12} == {}


@pytest.mark.parametrize("package", PACKAGES, ids=name)
def test_long_functions_are_rare(package: Path) -> None:
    """Nine of ten functions of a package have 30 lines or fewer."""
    lengths = [length for module in package.glob("*.py") for length in functions(module).values()]
    assert len(lengths) < 2 or quantiles(lengths, n=10, method="inclusive")[-1] <= 30
