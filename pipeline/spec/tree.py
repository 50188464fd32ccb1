"""A spec as a tree in which every value knows where it stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pipeline.spec.paths import Path

DEEPEST = 50
"""Levels of maps and lists, at most."""

# Python refuses to write wider ones in decimal, in messages too. Hexadecimal numbers in TOML can be that wide.
_WIDEST_INT = 1000

Plain = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: at a line and column of the file (both from 1), or in a ``--set`` option. Nowhere if all are None."""

    line: int | None = None
    column: int | None = None
    option: str | None = None


NOWHERE = Place()


@dataclass(slots=True)
class Leaf:
    """A single value. ``bare`` says that it was written without quotes, so that its text decides its type."""

    value: Plain
    place: Place
    bare: bool = False


@dataclass(slots=True)
class Items:
    """A list."""

    place: Place
    nodes: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Entries:
    """A map. ``keys`` says where each key stands."""

    place: Place
    nodes: dict[str, Node] = field(default_factory=dict)
    keys: dict[str, Place] = field(default_factory=dict)

    def put(self, key: str, node: Node, place: Place) -> None:
        """Set a value, and where its key stands."""
        self.nodes[key] = node
        self.keys[key] = place


Node = Leaf | Items | Entries


def planted(value: object, place_of: Callable[[Path], Place], path: Path = ()) -> Node:
    """Return the tree of a plain value. What is neither map, list nor a JSON scalar (a TOML date) becomes its text.

    Raises ``RecursionError`` for a value that is nested too deeply.
    """
    if len(path) > DEEPEST:
        raise RecursionError
    place = place_of(path)
    if isinstance(value, Mapping):
        nodes = {str(key): planted(member, place_of, (*path, str(key))) for key, member in value.items()}
        return Entries(place, nodes, {key: place_of((*path, key)) for key in nodes})
    if isinstance(value, list):
        return Items(place, [planted(member, place_of, (*path, index)) for index, member in enumerate(value)])
    if isinstance(value, int) and value.bit_length() > _WIDEST_INT:
        return Leaf(hex(value), place)
    return Leaf(value if value is None or isinstance(value, str | int | float) else str(value), place)


def child(node: Node, key: str | int) -> Node | None:
    """Return what stands below a node under a key or at a position, if anything does."""
    if isinstance(node, Entries):
        return node.nodes.get(str(key))
    if isinstance(node, Items) and isinstance(key, int):
        return node.nodes[key] if 0 <= key < len(node.nodes) else None
    return None


def nearest(root: Node, path: Path) -> tuple[Place, Place]:
    """Return where the key and the value at ``path`` stand, or those of the nearest thing above it that is in the tree."""
    key_place, node = NOWHERE, root
    for key in path:
        below = child(node, key)
        if below is None and isinstance(node, Items | Leaf) and isinstance(key, str):
            continue  # the name of the setting that a short form stands for: `prompt: [...]` is `prompt.user`
        if below is None:
            break
        key_place = node.keys[str(key)] if isinstance(node, Entries) else below.place
        node = below
    return key_place, node.place
