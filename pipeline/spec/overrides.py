"""``--set a.b=value``: one setting changed from the command line."""

from __future__ import annotations

import re

from pipeline.errors import SpecError
from pipeline.spec.compose import compose
from pipeline.spec.paths import Path, dotted
from pipeline.spec.prices import Price
from pipeline.spec.problems import Report
from pipeline.spec.scalars import is_text, resolve
from pipeline.spec.settings import settings_at
from pipeline.spec.tree import DEEPEST, Entries, Items, Leaf, Node, Place, child

_VERSION = re.compile(r"prices\.[^.]*[0-9]\.[0-9]")  # such as prices.gpt-5.4-mini


def apply(root: Entries, option: str, report: Report) -> None:
    """Change the tree as ``option`` says; a mistake in it goes into ``report``.

    The value is an unquoted YAML scalar; where it begins with a bracket or a quote, it is a list, a map or a quoted text. ``${VAR}``
    means nothing in it, that is the shell's business. Maps on the way are made, and a short form on the way is written out:
    ``provider: simulator`` and ``provider.base_url=U`` make ``{name: simulator, base_url: U}``.
    """
    key, equals, written = option.partition("=")
    key = key.strip()
    names = key.split(".")
    place = Place(option=key)
    if not is_text(option):
        report.add((), "is not text", place)
    elif not equals or not all(names):
        report.add((), "is not of the form key=value, such as input.limit=5", Place(option=key or option))
    elif len(names) > DEEPEST:
        report.add((), f"names more than {DEEPEST} levels", place)
    elif _VERSION.match(key):
        report.add((), _whole(names, written.strip()), place)
    elif (value := _value(written.strip(), place, report)) is not None:
        _put(root, names, value, place, report)


def _whole(names: list[str], price: str) -> str:
    """Return what to write instead of a path with the name of a model in it that holds a dot."""
    end = next((at for at, name in enumerate(names) if name in Price.model_fields), len(names))
    for name in reversed(names[end:]):
        price = f"{{{name}: {price}}}"
    model = ".".join(names[1:end])
    return f"is split at each dot, also at that of a model's name; write --set 'prices={{{model}: {price}}}'"


def _value(written: str, place: Place, report: Report) -> Node | None:
    # A template begins with braces too, and is far likelier here than a map in a map.
    if written[:1] not in ("[", "{", '"', "'") or written.startswith(("{{", "{%")):
        return Leaf(resolve(written), place)
    own = Report(written, "")
    try:
        value = compose(written, own)
    except SpecError:
        value = None
    for problem in own.problems:
        report.add((), f"{problem.where} {problem.message}".strip(), place)
    return _moved(value, place) if value is not None else None


def _moved(node: Node, place: Place) -> Node:
    """Return the node as if all of it stood at ``place``; its text is not looked into for variables."""
    if isinstance(node, Items):
        return Items(place, [_moved(item, place) for item in node.nodes])
    if isinstance(node, Entries):
        return Entries(
            place, {key: _moved(value, place) for key, value in node.nodes.items()}, dict.fromkeys(node.nodes, place)
        )
    return Leaf(node.value, place)


def _put(root: Entries, names: list[str], value: Node, place: Place, report: Report) -> None:
    holder: Entries | Items = root
    path: Path = ()
    for name in names[:-1]:
        key = _key(holder, name, path, place, report)
        if key is None:
            return
        path = (*path, key)
        below = _opened(child(holder, key), path, names[len(path)], place)
        if isinstance(below, Leaf):
            report.add((), f"{dotted(path)} is a single value, it has nothing below it", place)
            return
        _replace(holder, key, below, holder.keys.get(name, place) if isinstance(holder, Entries) else place)
        holder = below
    if (key := _key(holder, names[-1], path, place, report)) is not None:
        _replace(holder, key, value, place)


def _key(holder: Entries | Items, name: str, path: Path, place: Place, report: Report) -> str | int | None:
    """Return what ``name`` is in this holder: a key, or a position that exists."""
    if isinstance(holder, Entries):
        return name
    position = int(name) if re.fullmatch("[0-9]{1,9}", name) else -1
    if child(holder, position) is not None:
        return position
    report.add(
        (),
        f"{dotted(path)} is a list of {len(holder.nodes)}, so {name!r} is none of its positions; they count from 0",
        place,
    )
    return None


def _opened(node: Node | None, path: Path, name: str, place: Place) -> Node:
    """Return a node that can hold ``name``: a new map where nothing stands, the long form of a short one, else the node itself."""
    if node is None or (isinstance(node, Leaf) and node.value is None):
        return Entries(place)
    group = settings_at(path)
    is_short = not isinstance(node, Entries) and not (isinstance(node, Items) and name.isdecimal())
    if is_short and group is not None and group.shorthand is not None:
        return Entries(node.place, {group.shorthand: node}, {group.shorthand: node.place})
    return node


def _replace(holder: Entries | Items, key: str | int, node: Node, place: Place) -> None:
    if isinstance(holder, Entries):
        holder.put(str(key), node, place)
    else:
        holder.nodes[int(key)] = node
