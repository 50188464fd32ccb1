"""How a place in a spec or in an answer is named: keys and list positions from the top down."""

from __future__ import annotations

from collections.abc import Iterable

Path = tuple[str | int, ...]


def dotted(path: Iterable[str | int]) -> str:
    """Write a path as people do: ``prompt.user[2].detail``."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text
