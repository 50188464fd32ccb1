"""The tree of a spec to plain values: variables filled in, keys refused."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from pipeline.spec.interpolate import borrowed, interpolate
from pipeline.spec.paths import Path
from pipeline.spec.problems import Report
from pipeline.spec.scalars import is_text, resolve
from pipeline.spec.secrecy import ADVICE, looks_like_key
from pipeline.spec.tree import Entries, Items, Leaf, Node, Plain


def evaluate(root: Entries, environ: Mapping[str, str], report: Report) -> tuple[dict[str, object], frozenset[Path]]:
    """Return the plain values, and the paths of those that already have a mistake in ``report`` and deserve no second one."""
    evaluation = _Evaluation(environ, report)
    values = {key: evaluation.value(node, (key,)) for key, node in root.nodes.items()}
    return values, frozenset(evaluation.spoiled)


def borrowings(node: Node, environ: Mapping[str, str], path: Path = ()) -> Iterator[tuple[str, Path]]:
    """Yield each variable whose text stands in a value of the spec, with the place of that value."""
    if isinstance(node, Entries):
        for key, below in node.nodes.items():
            yield from borrowings(below, environ, (*path, key))
    elif isinstance(node, Items):
        for index, below in enumerate(node.nodes):
            yield from borrowings(below, environ, (*path, index))
    elif isinstance(node.value, str) and node.place.option is None:
        yield from ((name, path) for name in borrowed(node.value, environ))


class _Evaluation:
    def __init__(self, environ: Mapping[str, str], report: Report) -> None:
        self._environ = environ
        self._report = report
        self.spoiled: set[Path] = set()

    def value(self, node: Node, path: Path) -> object:
        if isinstance(node, Entries):
            return {key: self.value(below, (*path, key)) for key, below in node.nodes.items()}
        if isinstance(node, Items):
            return [self.value(below, (*path, index)) for index, below in enumerate(node.nodes)]
        value = self._filled(node, path)
        if isinstance(value, float) and not math.isfinite(value):
            self._spoil(node, path, "must be a finite number")
        if isinstance(value, str) and not is_text(value):
            self._spoil(node, path, "is not text: it holds a NUL or bytes that are not UTF-8")
        if isinstance(value, str) and looks_like_key(value):
            self._spoil(node, path, f"holds what looks like a key; {ADVICE}")
        return value

    def _filled(self, leaf: Leaf, path: Path) -> Plain:
        if not isinstance(leaf.value, str) or leaf.place.option is not None:
            return leaf.value
        text, mistakes = interpolate(leaf.value, self._environ)
        for mistake in mistakes:
            self._spoil(leaf, path, mistake)
        return resolve(text) if leaf.bare and text != leaf.value else text

    def _spoil(self, leaf: Leaf, path: Path, message: str) -> None:
        self._report.add(path, message, leaf.place)
        self.spoiled.add(path)
