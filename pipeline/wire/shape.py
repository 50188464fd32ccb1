"""A little language that says what a parameter's value looks like, checks it, and describes itself for the reference.

A shape complains about everything that is wrong inside a value, each complaint with its path. ``None`` means unset and
fits every shape; so does a template, which is judged once it is rendered.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import orjson

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong at one place: keys and list positions from ``request`` down, a sentence, perhaps a better name."""

    path: Path
    message: str
    suggestion: str | None = None


Inside = Callable[[object, Path], Iterable[Complaint]]


def _content(_value: object, _path: Path) -> Iterable[Complaint]:
    return ()


def _undescribed(_value: object, _key: str | int) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Shape:
    """What a value must be: one of the Python ``types``, and whatever ``inside`` finds no fault with.

    ``says`` completes "must be …". ``below`` gives the shape of what stands in a value under a key or at a position, or
    None where nothing is known of it.
    """

    says: str
    types: tuple[type, ...]
    inside: Inside = _content
    below: Callable[[object, str | int], Shape | None] = _undescribed

    def complaints(self, value: object, path: Path) -> Iterator[Complaint]:
        """Yield everything that is wrong with the value that stands at ``path``."""
        if value is None or is_template(value):
            return
        if self.fits(value):
            yield from self.inside(value, path)
        else:
            yield Complaint(path, f"must be {self.says}, not {shown(value)}")

    def fits(self, value: object) -> bool:
        """Say whether the value has the right type. ``True`` is no number here, although Python thinks so."""
        return bool in self.types if isinstance(value, bool) else isinstance(value, self.types)

    @property
    def only_text(self) -> bool:
        """Say whether nothing but text fits, so that a number from a table is written out."""
        return self.types == (str,)

    def read(self, written: str) -> object:
        """Return the number, truth value or null that a text means in JSON where text does not fit, else the text itself."""
        if self.fits(written):
            return written
        try:
            value = orjson.loads(written.lower())  # templates write `True`, spreadsheets `TRUE`
        except orjson.JSONDecodeError:
            return written
        if isinstance(value, float) and value.is_integer() and not self.fits(value):
            return int(value)  # division makes 50.0 of 100
        return value if value is None or isinstance(value, bool | int | float) else written


def is_template(value: object) -> bool:
    """Say whether a value is text that still has to be rendered."""
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def shown(value: object) -> str:
    """Name a value in a message: short, and in the words of the spec rather than of Python."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def closest(name: str, known: Iterable[str], *, likeness: float = 0.6) -> str | None:
    """Return the known name that was probably meant, or None. A ``likeness`` of 1 takes the very same name only."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=likeness)), None)


def anything(says: str) -> Shape:
    """Accept every value: for lists that the vendor extends faster than we do."""
    return Shape(says, (object, bool))


def boolean() -> Shape:
    """Accept true and false."""
    return Shape("true or false", (bool,))


def number(low: float, high: float | None = None) -> Shape:
    """Accept a number within the bounds, both included."""
    return _bounded("a number", (int, float), low, high)


def integer(low: int, high: int | None = None) -> Shape:
    """Accept a whole number within the bounds, both included."""
    return _bounded("a whole number", (int,), low, high)


def _bounded(kind: str, types: tuple[type, ...], low: float, high: float | None) -> Shape:
    says = f"{kind} from {low} to {high}" if high is not None else f"{kind} of at least {low}"

    def inside(value: object, path: Path) -> Iterator[Complaint]:
        assert isinstance(value, int | float)
        # Asked this way round, NaN is outside every bound.
        if not (value >= low and (high is None or value <= high)):
            yield Complaint(path, f"must be {says}, not {shown(value)}")

    return Shape(says, types, inside)


def text(at_most: int | None = None, *, pattern: str | None = None, says: str = "text") -> Shape:
    """Accept text of at most so many characters, all of which match ``pattern``."""
    says = f"{says} of at most {at_most} characters" if at_most is not None else says

    def inside(value: object, path: Path) -> Iterator[Complaint]:
        assert isinstance(value, str)
        too_long = at_most is not None and len(value) > at_most
        if too_long or (pattern is not None and not re.fullmatch(pattern, value)):
            yield Complaint(path, f"must be {says}, not {shown(value)}")

    return Shape(says, (str,), inside)


def choice(*values: str) -> Shape:
    """Accept one of a few words. A newer word than ours goes through ``extra_body``."""
    says = f"one of {', '.join(values)}"

    def inside(value: object, path: Path) -> Iterator[Complaint]:
        assert isinstance(value, str)
        if value not in values:
            yield Complaint(path, f"must be {says}, not {shown(value)}", closest(value, values))

    return Shape(says, (str,), inside)


def items(of: Shape) -> Shape:
    """Accept a list, each member of which is of one shape."""

    def inside(value: object, path: Path) -> Iterator[Complaint]:
        assert isinstance(value, list | tuple)
        for index, member in enumerate(value):
            yield from of.complaints(member, (*path, index))

    return Shape(f"a list, each {of.says}", (list, tuple), inside, lambda _value, _key: of)


def pairs(of: Shape, *, at_most: int | None = None, key_length: int | None = None) -> Shape:
    """Accept a mapping from text to values of one shape, with limits on the number of pairs and on the keys' length."""
    limits = f" with at most {at_most} pairs and keys of at most {key_length} characters" if at_most is not None else ""
    says = f"a mapping{limits}, each value {of.says}"

    def inside(value: object, path: Path) -> Iterator[Complaint]:
        assert isinstance(value, Mapping)
        if at_most is not None and len(value) > at_most:
            yield Complaint(path, f"has {len(value)} pairs; at most {at_most} are allowed")
        for key, member in value.items():
            if not isinstance(key, str) or (key_length is not None and len(key) > key_length):
                limit = f" of at most {key_length} characters" if key_length is not None else ""
                yield Complaint((*path, str(key)), f"the key must be text{limit}")
            yield from of.complaints(member, (*path, str(key)))

    return Shape(says, (Mapping,), inside, lambda _value, _key: of)


def record(fields: Mapping[str, Shape], *, required: Iterable[str] = (), extensible: bool = False) -> Shape:
    """Accept a mapping with these fields.

    Others are complained about, unless the vendor keeps adding to it (``extensible``).
    """
    needed = tuple(required)
    says = f"a mapping with {', '.join(fields)}" if fields else "a mapping"

    def inside(value: object, path: Path) -> Iterator[Complaint]:
        assert isinstance(value, Mapping)
        for name in needed:
            if value.get(name) is None:
                yield Complaint(path, f"needs {name!r}")
        for name, member in value.items():
            if name in fields:
                yield from fields[name].complaints(member, (*path, name))
            elif not extensible:
                message = "is not a documented field here; give the whole parameter in extra_body to send it anyway"
                yield Complaint((*path, str(name)), message, closest(str(name), fields))

    return Shape(says, (Mapping,), inside, lambda _value, key: fields.get(str(key)))


def tagged(variants: Mapping[str, Shape], *, closed: bool) -> Shape:
    """Accept a mapping whose ``type`` names its variant.

    With ``closed`` an unknown type is a mistake, else it passes unseen.
    """

    def inside(value: object, path: Path) -> Iterator[Complaint]:
        assert isinstance(value, Mapping)
        tag = value.get("type")
        if not isinstance(tag, str):
            yield Complaint(path, "needs a 'type', which is text")
        elif tag in variants:
            yield from variants[tag].complaints(value, path)
        elif closed and not is_template(tag):
            known = ", ".join(variants)
            yield Complaint((*path, "type"), f"must be one of {known}, not {shown(tag)}", closest(tag, variants))

    def below(value: object, key: str | int) -> Shape | None:
        variant = variants.get(str(value.get("type"))) if isinstance(value, Mapping) else None
        return None if variant is None else variant.below(value, key)

    return Shape("a mapping with a type", (Mapping,), inside, below)


def either(*shapes: Shape) -> Shape:
    """Accept any of several shapes of different types; the type of the value says which one judges it."""

    def inside(value: object, path: Path) -> Iterator[Complaint]:
        yield from next(shape for shape in shapes if shape.fits(value)).inside(value, path)

    def below(value: object, key: str | int) -> Shape | None:
        return next((shape.below(value, key) for shape in shapes if shape.fits(value)), None)

    says = " or ".join(shape.says for shape in shapes)
    return Shape(says, tuple(kind for shape in shapes for kind in shape.types), inside, below)
