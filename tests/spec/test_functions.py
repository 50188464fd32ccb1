"""A Python function becomes a tool whose schema, arguments and source say what the function is."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from pipeline.simulator.strict_schema import check_strict
from pipeline.spec.functions import (
    ArgumentsError,
    FunctionError,
    arguments_of,
    load_function,
    source_digest,
    tool_of,
)
from pipeline.wire.encode import strict_qualifies


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Span(TypedDict):
    first: int
    last: NotRequired[int]


@dataclass
class Point:
    x: int
    y: float = 0.5
    tags: list[str] = field(default_factory=list)


class Node(BaseModel):
    """A box in boxes."""

    label: str
    boxes: list[Node] = []


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Opaque:
    pass


NO_JSON = object()

TEXT, WHOLE, NUMBER, TRUTH, NULL = ({"type": name} for name in ("string", "integer", "number", "boolean", "null"))
REF = "#/$defs/{}".format


def closed(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def with_default(value: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "description": f"(default: {value})"}


COLOUR = {"type": "string", "enum": ["red", "blue"]}
POINT = closed(
    x=WHOLE,
    y=with_default("0.5", NUMBER),
    tags={"type": "array", "items": TEXT},
)
NODE = {
    **closed(
        label=TEXT,
        boxes=with_default("[]", {"type": "array", "items": {"$ref": REF("Node")}}),
    ),
    "description": "A box in boxes.",
}


def nothing() -> None: ...
def scalars(a: str, b: int, c: float, d: bool) -> None: ...
def optional(a: str | None) -> None: ...
def union(a: int | str) -> None: ...
def defaults(a: int = 5, b: str | None = None, c: Colour = Colour.RED) -> None: ...
def unsayable_default(a: str = NO_JSON) -> None: ...  # type: ignore[assignment]
def lists(a: list[int], b: list[list[str]]) -> None: ...
def literals(a: Literal["x", "y"], b: Literal["x", 1, None]) -> None: ...
def enums(a: Colour, b: list[Colour]) -> None: ...
def typed_dict(a: Span) -> None: ...
def a_dataclass(a: Point) -> None: ...
def recursive(a: Node) -> None: ...
def described(a: Annotated[str, "The text."], b: Annotated[Colour, Field(description="The hue.")]) -> None: ...
def bounded(a: Annotated[int, Field(ge=1, le=9)], b: Annotated[str, Field(min_length=2)]) -> None: ...
def tagged(a: Annotated[Cat | Dog, Field(discriminator="kind")]) -> None: ...
def formats(a: date, b: Path) -> None: ...
def unique(a: set[int]) -> None: ...
def awkward(self: str, json: int, model_config: bool, _private: str, p0: int) -> None: ...
def keyword_only(*, a: int) -> None: ...


STRICT = [
    (nothing, closed()),
    (scalars, closed(a=TEXT, b=WHOLE, c=NUMBER, d=TRUTH)),
    (optional, closed(a={"anyOf": [TEXT, NULL]})),
    (union, closed(a={"anyOf": [WHOLE, TEXT]})),
    (
        defaults,
        {
            **closed(
                a=with_default("5", WHOLE),
                b=with_default("null", {"anyOf": [TEXT, NULL]}),
                c=with_default('"red"', {"anyOf": [{"$ref": REF("Colour")}]}),
            ),
            "$defs": {"Colour": COLOUR},
        },
    ),
    (unsayable_default, closed(a=TEXT)),
    (
        lists,
        closed(
            a={"type": "array", "items": WHOLE},
            b={"type": "array", "items": {"type": "array", "items": TEXT}},
        ),
    ),
    (
        literals,
        closed(
            a={"type": "string", "enum": ["x", "y"]},
            b={"type": ["string", "integer", "null"], "enum": ["x", 1, None]},
        ),
    ),
    (
        enums,
        {
            **closed(a={"$ref": REF("Colour")}, b={"type": "array", "items": {"$ref": REF("Colour")}}),
            "$defs": {"Colour": COLOUR},
        },
    ),
    (typed_dict, {**closed(a={"$ref": REF("Span")}), "$defs": {"Span": closed(first=WHOLE, last=WHOLE)}}),
    (a_dataclass, {**closed(a={"$ref": REF("Point")}), "$defs": {"Point": POINT}}),
    (recursive, {**closed(a={"$ref": REF("Node")}), "$defs": {"Node": NODE}}),
    (
        described,
        {
            **closed(
                a={**TEXT, "description": "The text."},
                b={"anyOf": [{"$ref": REF("Colour")}], "description": "The hue."},
            ),
            "$defs": {"Colour": COLOUR},
        },
    ),
    (
        bounded,
        closed(a={**WHOLE, "minimum": 1, "maximum": 9}, b={**TEXT, "description": "(minLength: 2)"}),
    ),
    (
        tagged,
        {
            **closed(a={"anyOf": [{"$ref": REF("Cat")}, {"$ref": REF("Dog")}]}),
            "$defs": {
                "Cat": closed(kind={"type": "string", "const": "cat"}),
                "Dog": closed(kind={"type": "string", "const": "dog"}),
            },
        },
    ),
    (formats, closed(a={**TEXT, "format": "date"}, b={**TEXT, "description": '(format: "path")'})),
    (unique, closed(a={"type": "array", "items": WHOLE, "description": "(uniqueItems: true)"})),
    (awkward, closed(self=TEXT, json=WHOLE, model_config=TRUTH, _private=TEXT, p0=WHOLE)),
    (keyword_only, closed(a=WHOLE)),
]


@pytest.mark.parametrize(("function", "parameters"), STRICT, ids=lambda value: getattr(value, "__name__", ""))
def test_a_signature_that_strict_mode_can_say_is_said_in_it(
    function: Callable[..., object], parameters: dict[str, Any]
) -> None:
    """Every object is closed, every member required, and what strict mode has no keyword for is told in words."""
    tool = tool_of(function)
    assert tool == {"type": "function", "name": function.__name__, "parameters": parameters, "strict": True}
    assert strict_qualifies(parameters)
    check_strict(parameters, "function", "tools")  # the simulator's own idea of it


def mapping(a: dict[str, int], b: int = 5) -> None: ...
def anything(a: Any) -> None: ...
def pair(a: tuple[int, str]) -> None: ...
def bare(a: list, b: dict) -> None: ...  # type: ignore[type-arg]


LOOSE = [
    (
        mapping,
        {"a": {"type": "object", "additionalProperties": WHOLE}, "b": {**WHOLE, "default": 5}},
        ["a"],
    ),
    (anything, {"a": {}}, ["a"]),
    (pair, {"a": {"type": "array", "prefixItems": [WHOLE, TEXT], "minItems": 2, "maxItems": 2}}, ["a"]),
    (
        bare,
        {"a": {"type": "array", "items": {}}, "b": {"type": "object", "additionalProperties": True}},
        ["a", "b"],
    ),
]


@pytest.mark.parametrize(("function", "properties", "required"), LOOSE)
def test_a_signature_that_strict_mode_cannot_say_goes_as_it_is(
    function: Callable[..., object], properties: dict[str, Any], required: list[str]
) -> None:
    """The schema keeps its defaults and open objects, and says that it is not strict."""
    tool = tool_of(function)
    assert tool["strict"] is False
    assert tool["parameters"] == {**closed(**properties), "required": required}


def google(city: str, days: int = 3) -> str:
    """Say what the weather will be.

    It knows European cities only.

    Args:
        city (str, optional): Where: a name
            in English.
        days: How far ahead.

    The answer is a sentence.

    Returns:
        A forecast.
    """
    return city


def numpy(city: str, days: int = 3) -> str:
    """Say what the weather will be.

    It knows European cities only.

    The answer is a sentence.

    Parameters
    ----------
    city : str
        Where: a name
        in English.
    days
        How far ahead.

    Returns
    -------
    str
        A forecast.
    """
    return city


def rest(city: str, days: int = 3) -> str:
    """Say what the weather will be.

    It knows European cities only.

    :param str city: Where: a name
        in English.
    :type days: int
    :param days: How far ahead.
    :returns: A forecast.

    The answer is a sentence.
    """
    return city


@pytest.mark.parametrize("function", [google, numpy, rest])
def test_a_docstring_describes_the_function_and_its_parameters(function: Callable[..., object]) -> None:
    """Google's, NumPy's and reST's sections are read; what they leave is the tool's description."""
    tool = tool_of(function)
    assert tool["description"] == (
        "Say what the weather will be.\n\nIt knows European cities only.\n\nThe answer is a sentence."
    )
    assert tool["parameters"] == closed(
        city={**TEXT, "description": "Where: a name in English."},
        days={**WHOLE, "description": "How far ahead. (default: 3)"},
    )


def test_an_annotation_wins_over_the_docstring() -> None:
    """What stands at the parameter itself is nearer to the truth."""

    def find(a: Annotated[str, "From here."], b: Annotated[str, Field(description="And here.")]) -> None:
        """Find.

        Args:
            a: Not this.
            b: Nor this.
        """

    assert tool_of(find)["parameters"] == closed(
        a={**TEXT, "description": "From here."}, b={**TEXT, "description": "And here."}
    )


def test_a_tool_can_have_another_name() -> None:
    """The model may know a function under a name of the job's."""
    assert tool_of(google, name="weather-2")["name"] == "weather-2"


@functools.lru_cache
def cached(a: int) -> int:
    return a


class Shop:
    def price(self, item: str) -> float:
        return 1.0


@pytest.mark.parametrize(
    ("function", "properties"), [(cached, {"a": WHOLE}), (Shop().price, {"item": TEXT})], ids=["decorated", "method"]
)
def test_decorated_functions_and_bound_methods_are_functions(
    function: Callable[..., object], properties: dict[str, Any]
) -> None:
    """What `functools.wraps` leaves, and what is left of a method without its `self`, can be called by name."""
    assert tool_of(function)["parameters"] == closed(**properties)


def positional(a: int, /) -> None: ...
def many(*values: int) -> None: ...
def named(**values: int) -> None: ...
def untyped(a, b=1) -> None: ...  # type: ignore[no-untyped-def]
def opaque(a: Opaque) -> None: ...
def callback(a: Callable[[int], int]) -> None: ...
def misfitting(a: Annotated[int, Field(discriminator="kind")]) -> None: ...
def unknown_type(a: Missing) -> None: ...  # type: ignore[name-defined] # noqa: F821
def generator() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (positional, "positional: parameter a can only be given by position"),
        (many, "many: parameter *values takes any number of values"),
        (named, "named: parameter **values takes any names"),
        (untyped, "untyped: parameter a has no type; write a: str, say"),
        (opaque, "opaque: the type of parameter a has no JSON form: Unable to generate"),
        (callback, "callback: the type of parameter a has no JSON form"),
        (misfitting, "misfitting: the type of parameter a has no JSON form"),
        (unknown_type, "unknown_type: its types cannot be read: name 'Missing' is not defined"),
        (generator, "generator: yields; a tool returns one value"),
        (lambda: 1, "'<lambda>' is no name for a tool"),
    ],
)
def test_what_cannot_be_a_tool_is_refused_by_file_name_and_reason(function: Callable[..., object], reason: str) -> None:
    """The message says whose fault it is and what to write instead."""
    with pytest.raises(FunctionError) as caught:
        tool_of(function)
    assert str(caught.value).startswith("test_functions.py:")
    assert reason in str(caught.value)


@pytest.mark.parametrize("thing", [len, Opaque, functools.partial(cached, 1)], ids=["builtin", "class", "partial"])
def test_what_is_no_function_is_refused(thing: Callable[..., object]) -> None:
    """Only a Python function has the signature and the source that a tool needs."""
    with pytest.raises(FunctionError, match="is no Python function"):
        arguments_of(thing)


def everything(
    text: str,
    count: Annotated[int, Field(ge=-5, le=5)],
    share: float,
    sure: bool,
    colour: Colour,
    where: Point,
    tree: Node,
    span: Span,
    choice: Literal["x", "y"] | None,
    numbers: list[int],
    labels: list[Colour] | None = None,
) -> None: ...


_LEAVES: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(max_size=5),
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "null": st.none(),
}


def instances(schema: dict[str, Any], defs: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return whatever a schema of ours allows."""
    if "$ref" in schema:
        return st.deferred(lambda: instances(defs[schema["$ref"].rpartition("/")[2]], defs))
    if "anyOf" in schema:
        return st.one_of(*(instances(branch, defs) for branch in schema["anyOf"]))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "object":
            return st.fixed_dictionaries({name: instances(of, defs) for name, of in schema["properties"].items()})
        case "array":
            return st.lists(instances(schema["items"], defs), max_size=2)
        case "integer":
            return st.integers(schema.get("minimum", -(2**53)), schema.get("maximum", 2**53))
    return _LEAVES[schema["type"]]


_SCHEMA: dict[str, Any] = tool_of(everything)["parameters"]  # type: ignore[assignment]
_TYPES = {
    "text": str,
    "count": int,
    "share": float,
    "sure": bool,
    "colour": Colour,
    "where": Point,
    "tree": Node,
    "span": dict,
    "choice": str | None,
    "numbers": list,
    "labels": list | None,
}


@given(instances(_SCHEMA, _SCHEMA["$defs"]))
def test_whatever_the_schema_allows_arrives_with_the_parameters_types(value: dict[str, Any]) -> None:
    """A model that keeps to the schema is never refused, and the function gets what its signature says."""
    arguments = arguments_of(everything).read(value)
    assert arguments.keys() == _TYPES.keys()
    assert all(isinstance(arguments[name], type_) for name, type_ in _TYPES.items())
    assert all(isinstance(label, Colour) for label in arguments["labels"] or [])  # type: ignore[attr-defined]


def test_what_is_left_out_keeps_the_functions_own_default() -> None:
    """Only what was sent is passed on; without strict mode a model may leave out the rest."""
    assert arguments_of(defaults).read({"b": "x"}) == {"b": "x"}


def test_awkward_names_arrive_under_their_own() -> None:
    """A parameter may be called like anything, even like a method of pydantic's."""
    sent = {"self": "s", "json": 1, "model_config": True, "_private": "p", "p0": 2}
    assert arguments_of(awkward).read(sent) == sent


@pytest.mark.parametrize(
    ("function", "value", "reason"),
    [
        (scalars, [], "the arguments must be a JSON object"),
        (optional, {}, "a: Field required"),
        (optional, {"a": 5}, "a: Input should be a valid string"),
        (optional, {"a": "x", "b": 1}, "b: Extra inputs are not permitted"),
        (bounded, {"a": 0, "b": "xx"}, "a: Input should be greater than or equal to 1"),
        (bounded, {"a": 1, "b": "x"}, "b: String should have at least 2 characters"),
        (a_dataclass, {"a": {"x": "y"}}, "a.x: Input should be a valid integer, unable to parse string as an integer"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_by_name(
    function: Callable[..., object], value: object, reason: str
) -> None:
    """The message is written for the model, which may do better the next time."""
    with pytest.raises(ArgumentsError) as caught:
        arguments_of(function).read(value)
    assert str(caught.value) == reason


def test_many_mistakes_are_counted_and_not_listed() -> None:
    """The first five are enough to learn from."""
    with pytest.raises(ArgumentsError, match=r"e: Extra inputs are not permitted and 2 more$"):
        arguments_of(nothing).read(dict.fromkeys("abcdefg"))


FILE = """
from __future__ import annotations
from dataclasses import dataclass
from helper import BASE

@dataclass
class Point:
    x: int

def move(point: Point, by: int = 1) -> int:
    return point.x + by + BASE

def other() -> None: ...
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A spec's folder with functions in it; nothing that a test imports from there outlives it."""
    before = dict(sys.modules)
    (tmp_path / "tools.py").write_text(FILE)
    (tmp_path / "helper.py").write_text("BASE = 10\n")
    yield tmp_path
    for name in sys.modules.keys() - before.keys():
        del sys.modules[name]


def test_a_function_is_loaded_from_its_file(folder: Path) -> None:
    """It works, with the neighbours that its file imports and the types that its file defines."""
    move = load_function("tools.py:move", folder)
    arguments = arguments_of(move).read({"point": {"x": 1}, "by": 2})
    assert move(**arguments) == 13
    assert tool_of(move)["strict"] is True


def test_loading_leaves_no_trace_but_the_modules(folder: Path) -> None:
    """The path of imports is as it was, and no module of the user's has a name that could be in somebody's way."""
    path, modules = list(sys.path), set(sys.modules)
    load_function("tools.py:move", folder)
    assert sys.path == path
    assert "tools" not in sys.modules.keys() - modules
    assert not list(folder.glob("__pycache__/tools*"))


def test_functions_of_one_file_share_one_module(folder: Path) -> None:
    """What a file keeps in its globals is there for all of its functions."""
    move, other = (load_function(f"tools.py:{name}", folder) for name in ("move", "other"))
    assert move.__globals__ is other.__globals__  # type: ignore[attr-defined]


def test_an_edited_file_is_loaded_anew(folder: Path) -> None:
    """In a long process, too, the functions are those of the file as it is, even when it changes within a moment."""
    before = load_function("tools.py:move", folder)
    (folder / "tools.py").write_text(FILE.replace("+ by", "- by"))
    after = load_function("tools.py:move", folder)
    point = arguments_of(after).read({"point": {"x": 1}})
    assert (before(**point), after(**point)) == (12, 10)


def test_a_file_runs_only_when_a_function_is_loaded_from_it(folder: Path) -> None:
    """Importing this package, or a reference that is no reference, executes nothing of the user's."""
    (folder / "tools.py").write_text(
        "from pathlib import Path\nPath(__file__).with_name('ran').touch()\ndef f(): ...\n"
    )
    with pytest.raises(FunctionError):
        load_function("tools.py", folder)
    assert not (folder / "ran").exists()
    load_function("tools.py:f", folder)
    assert (folder / "ran").exists()


@pytest.mark.parametrize(
    ("reference", "content", "message"),
    [
        ("tools.py", "", "tools.py: a function is written as file.py:function"),
        ("tools.py:a.b", "", "tools.py:a.b: a function is written as file.py:function"),
        ("tools.txt:a", "", "tools.txt:a: a function is written as file.py:function"),
        ("gone.py:a", "", "gone.py:a: the file cannot be read: No such file or directory"),
        ("tools.py:a", "", "tools.py:a: the file has no function a"),
        ("tools.py:a", "a = 1\ndef b(): ...", "tools.py:a: the file has no function a; it has b"),
        ("tools.py:mov", "def move(): ...", "tools.py:mov: the file has no function mov; did you mean move?"),
        ("tools.py:a", "\n1 / 0", "the file cannot be loaded: ZeroDivisionError: division by zero (line 2)"),
        ("tools.py:a", "raise SystemExit(3)", "the file cannot be loaded: SystemExit: 3 (line 1)"),
        ("tools.py:a", "def a(:", "the file cannot be loaded: SyntaxError: invalid syntax"),
        ("tools.py:a", "import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all' (line 1)"),
    ],
)
def test_what_cannot_be_loaded_is_refused_with_a_reason(
    folder: Path, reference: str, content: str, message: str
) -> None:
    """The user's file may do anything; what comes of it is one error with the reference in it."""
    (folder / "tools.py").write_text(content)
    with pytest.raises(FunctionError) as caught:
        load_function(reference, folder)
    assert message in str(caught.value)
    assert str(caught.value).startswith(reference)


def test_a_file_that_failed_is_tried_again(folder: Path) -> None:
    """A half-run module is not taken for a whole one."""
    (folder / "tools.py").write_text("def move(): ...\n1 / 0")
    for _ in range(2):
        with pytest.raises(FunctionError, match="ZeroDivisionError"):
            load_function("tools.py:move", folder)


def test_the_digest_changes_with_the_file(folder: Path) -> None:
    """A change anywhere in it may change the function's answers: a helper's body, a table, a class."""
    before = source_digest(load_function("tools.py:move", folder))
    (folder / "tools.py").write_text(FILE.replace("x: int", "x: float"))
    assert source_digest(load_function("tools.py:move", folder)) != before


def test_the_digest_tells_functions_of_one_file_apart(folder: Path) -> None:
    """Two tools are two tools."""
    move, other = (load_function(f"tools.py:{name}", folder) for name in ("move", "other"))
    assert source_digest(move) != source_digest(other)


def test_the_digest_is_the_same_in_every_place(folder: Path) -> None:
    """A job that moves to another machine, or through a checkout with other line endings, keeps its answers."""
    before = source_digest(load_function("tools.py:move", folder))
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "renamed.py").write_bytes(FILE.replace("\n", "\r\n").encode())
    assert source_digest(load_function("renamed.py:move", elsewhere)) == before


def test_a_function_without_a_file_has_no_digest() -> None:
    """What can't be told apart is refused, for its answers would be taken for another's."""
    scope: dict[str, Callable[..., object]] = {}
    exec("def made(): ...", scope)
    with pytest.raises(FunctionError, match="made: has no source file"):
        source_digest(scope["made"])
