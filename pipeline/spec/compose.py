"""YAML to a tree, with everything refused that makes YAML surprising.

Built from the parser's events and not by ``yaml.compose``, whose nodes keep neither the depth nor which tags were written by
hand. Anchors are copied where they are used, so that ``--set`` changes one place only; a budget of values stops a spec that
doubles itself over and over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from pipeline.errors import SpecError
from pipeline.spec.paths import Path
from pipeline.spec.problems import Report
from pipeline.spec.scalars import resolve
from pipeline.spec.tree import DEEPEST, Entries, Items, Leaf, Node, Place
from pipeline.wire.shape import shown

MOST_NODES = 100_000
"""Values of a spec, at most."""

_STANDARD_TAGS = "tag:yaml.org,2002:"
_QUOTE_TEMPLATE = "a value that begins with {{ needs quotes around it"
_TEMPLATE = re.compile(r"[:-]\s+\{[{%]")
_MERGE = (
    "merge keys (<<) belong to YAML 1.1 and hide where a setting comes from; "
    "write the settings out, or alias the whole map"
)

# What libyaml says, in words for people. The second table points at the start of what was being read, which is where
# the mistake is; libyaml itself points at the place where it gave up, often the end of the file.
_QUOTE_BACKSLASH = "this backslash means nothing between double quotes; double it, or use single quotes"
_QUOTE_MARK = "a value that begins with {} needs quotes around it"
_WORDS = {
    "mapping values are not allowed": "a value with `: ` in it needs quotes around it",
    "found character that cannot start any token": "no value begins with a tab, @, % or `; use spaces, or quotes",
    "tab character": "a tab cannot indent; use spaces",
    "expected ',' or": "a comma or a closing bracket is missing; "
    "a value with [ ] { } or a comma inside [ ] or { } needs quotes",
    "expected '-' indicator": "is not indented like the other items of the list",
    "expected key": "is not of the form `key: value`, or not indented like its neighbours",
    "expected <document start>": "does not belong to what stands above it; check the indentation",
    "expected comment or line break": "nothing but a comment may follow | or > on its line; a text that begins with them needs quotes",
    "mapping keys are not allowed": _QUOTE_MARK.format("?"),
    "block sequence entries are not allowed": "the items of a list begin on a line of their own",
    "unknown escape character": _QUOTE_BACKSLASH,
    "expected hex": _QUOTE_BACKSLASH,
}
_WORDS_AT_START = {
    "directive": _QUOTE_MARK.format("%"),
    "tag": _QUOTE_MARK.format("!"),
    "expected alphabetic or numeric character": _QUOTE_MARK.format("* or &"),
    "did not find expected node content": "a value is missing, or a [ or { is not closed",
    "unexpected end of stream": "a quote is opened here and never closed",
    "could not find expected ':'": "is not of the form `key: value`",
}


def compose(text: str, report: Report) -> Node | None:
    """Return the tree of a YAML document, or None if it is empty.

    Mistakes go into ``report``; raises ``SpecError`` where no tree can be made.
    """
    try:
        return _Composer(yaml.parse(text, Loader=yaml.CSafeLoader), report).document()
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text, report) from error
    except yaml.YAMLError as error:
        raise report.fatal(f"is not YAML: {error}") from error


def _syntax_error(error: yaml.MarkedYAMLError, text: str, report: Report) -> SpecError:
    said = f"{error.problem or 'is not YAML'} {error.context or ''}"
    at_start = any(known in said for known in _WORDS_AT_START)
    words = next((words for known, words in {**_WORDS, **_WORDS_AT_START}.items() if known in said), said)
    mark = (at_start and error.context_mark) or error.problem_mark
    if mark is None:
        return report.fatal(words)
    lines = text.rstrip().split("\n")
    if mark.line >= len(lines):
        return report.fatal("ends before a [ or { is closed", Place(len(lines), len(lines[-1]) or 1))
    if (template := _TEMPLATE.search(lines[mark.line])) is not None:
        return report.fatal(_QUOTE_TEMPLATE, Place(mark.line + 1, template.end() - 1))
    return report.fatal(words, Place(mark.line + 1, mark.column + 1))


class _Composer:
    """Turns the events of one document into a tree; counts what it makes, aliases included."""

    def __init__(self, events: Iterator[yaml.Event], report: Report) -> None:
        self._events = events
        self._report = report
        self._anchors: dict[str, Node | None] = {}  # None while the anchored value is still being read
        self._templates: set[Place] = set()  # where a map begins that was meant as a text with a template
        self._made = 0

    def document(self) -> Node | None:
        """Return the only document's tree; None if there is none."""
        root: Node | None = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise self._report.fatal("holds a second document; a job spec is one", _place(event))
                root = self._node(next(self._events), ())
        return root

    def _node(self, event: yaml.Event, path: Path) -> Node:
        self._count(len(path), _place(event))
        if isinstance(event, yaml.AliasEvent):
            return self._alias(str(event.anchor), path, _place(event))
        assert isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if event.tag is not None:
            tag = event.tag.replace(_STANDARD_TAGS, "!!")
            self._report.add(path, f"has the tag {tag}; a spec is plain data, without tags", _place(event))
        node = self._content(event, path)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _content(self, start: yaml.ScalarEvent | yaml.CollectionStartEvent, path: Path) -> Node:
        place = _place(start)
        if isinstance(start, yaml.ScalarEvent):
            bare = not start.style
            return Leaf(resolve(start.value) if bare else start.value, place, bare)
        if isinstance(start, yaml.SequenceStartEvent):
            items = Items(place)
            while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
                items.nodes.append(self._node(event, (*path, len(items.nodes))))
            return items
        entries = Entries(place)
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            self._entry(event, entries, path)
        return entries if place not in self._templates else Leaf("{{ … }}", place)

    def _entry(self, event: yaml.Event, entries: Entries, path: Path) -> None:
        key = self._key(event, entries.place, path)
        value = self._node(next(self._events), (*path, "?" if key is None else key))
        if key is None:
            return
        if key in entries.nodes:
            first = entries.keys[key]
            message = f"stands here a second time; the first is in line {first.line}, column {first.column}"
            self._report.add((*path, key), message, _place(event))
        else:
            entries.put(key, value, _place(event))

    def _key(self, event: yaml.Event, start: Place, path: Path) -> str | None:
        node = self._node(event, (*path, "?"))
        if isinstance(node, Leaf) and isinstance(node.value, str) and not (node.bare and node.value == "<<"):
            return node.value
        if isinstance(node, Entries) and node.place == Place(start.line, (start.column or 0) + 1):
            self._templates.add(start)
            self._report.add((), _QUOTE_TEMPLATE, start)
        elif not isinstance(node, Leaf):
            self._report.add(path, "has a list or a map for a key; keys are text", start)
        elif node.value == "<<":
            self._report.add(path, _MERGE, node.place)
        else:
            key = "null" if node.value is None else shown(node.value)
            self._report.add(path, f"has the key {key}; keys are text, so put quotes around it", node.place)
        return None

    def _alias(self, anchor: str, path: Path, place: Place) -> Node:
        if anchor not in self._anchors:
            raise self._report.fatal(f"*{anchor} refers to an anchor that is not defined above it", place, path)
        anchored = self._anchors[anchor]
        if anchored is None:
            raise self._report.fatal(f"*{anchor} refers to a value that contains it", place, path)
        return self._copy(anchored, len(path), place)

    def _copy(self, node: Node, depth: int, place: Place) -> Node:
        self._count(depth, place)
        if isinstance(node, Items):
            return Items(node.place, [self._copy(item, depth + 1, place) for item in node.nodes])
        if isinstance(node, Entries):
            nodes = {key: self._copy(value, depth + 1, place) for key, value in node.nodes.items()}
            return Entries(node.place, nodes, dict(node.keys))
        return Leaf(node.value, node.place, node.bare)

    def _count(self, depth: int, place: Place) -> None:
        self._made += 1
        if self._made > MOST_NODES:
            raise self._report.fatal(
                f"holds more than {MOST_NODES:,} values, aliases counted where they are used", place
            )
        if depth > DEEPEST:
            raise self._report.fatal(f"is nested more than {DEEPEST} levels deep", place)


def _place(event: yaml.Event) -> Place:
    mark = event.start_mark
    assert mark is not None  # the parser marks every event
    return Place(mark.line + 1, mark.column + 1)
