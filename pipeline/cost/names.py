"""Names of models, as vendors and gateways write them, held against patterns."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def bare(model: str) -> str:
    """Return a model's own name: in lower case, without the vendor before a slash (``google/``, ``models/``) and without ``ft:``."""
    name = model.strip().lower().rpartition("/")[2]
    return name.removeprefix("ft:")


def matches(model: str, patterns: Iterable[str]) -> bool:
    """Tell whether a model's own name fits one of the patterns (``gpt-5*``)."""
    name = bare(model)
    return any(fnmatchcase(name, pattern) for pattern in patterns)
