"""Python functions as tools: their schema for the model, their arguments, their source, and how they are loaded.

What the model is told comes from the signature and the docstring. Types are pydantic's business, in both directions: it
writes the schema and it checks what the model sends. The schema is then put into strict mode wherever it can be said
there. Strict mode knows no optional members, so all become required, and a default or a bound that it has no keyword
for stands in the description; arguments are checked against the full types all the same. What strict mode cannot say at
all (``dict[str, T]``, ``Any``, tuples) goes as it is, with ``strict: false``.

A spec is data. Nothing here imports a user's file but ``load_function``, and only when it is called.
"""

from __future__ import annotations

import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import deepcopy
from hashlib import blake2b
from importlib.abc import SourceLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType, NoneType
from typing import Any, get_type_hints

import orjson
from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticUndefinedAnnotation
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from pipeline.spec.docstrings import documentation_of
from pipeline.spec.json_schema import nodes
from pipeline.wire.shape import closest
from pipeline.wire.tools import strict_qualifies

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # what the API takes
_SENTENCE_END = re.compile(r"\.\s")
_SHOWN_MISTAKES = 5


class FunctionError(ValueError):
    """A function cannot be a tool, or cannot be loaded; the message begins with its file and name."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")


class ArgumentsError(ValueError):
    """What was sent does not fit the function's parameters; the message is for the one who sent it."""


def tool_of(function: Callable[..., object], *, name: str | None = None) -> dict[str, object]:
    """Return the tool, in OpenAI's flat form, that offers ``function`` to a model, under its own name or ``name``.

    Raises ``FunctionError`` where a signature has no such form.
    """
    called = name or str(getattr(function, "__name__", ""))
    if not _NAME.fullmatch(called):
        raise FunctionError(_place(function), f"{called!r} is no name for a tool; letters, digits, _ and - make one")
    loose = arguments_of(function).schema()
    strict = _strict(loose)
    qualifies = strict_qualifies(strict)
    description = documentation_of(function).text
    return {
        "type": "function",
        "name": called,
        **({"description": description} if description else {}),
        "parameters": strict if qualifies else loose,
        "strict": qualifies,
    }


class Arguments:
    """The parameters of a function as a schema, and as a check of what is sent for them."""

    def __init__(self, model: type[BaseModel], names: tuple[str, ...]) -> None:
        """Made by ``arguments_of``; the model's fields are the parameters in order, with their names as aliases."""
        self._model = model
        self.names = names

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the arguments, with defaults and without the titles that pydantic makes up."""
        schema = self._model.model_json_schema(schema_generator=_Schemas)
        for _, node in nodes(schema):
            node.pop("title", None)  # type: ignore[attr-defined] # the schema is ours
        return schema

    def read(self, value: object) -> dict[str, object]:
        """Return the keyword arguments for a call, with the parameters' types; those left out keep their defaults.

        Raises ``ArgumentsError`` with the first few mistakes.
        """
        if not isinstance(value, Mapping):
            raise ArgumentsError("the arguments must be a JSON object")
        try:
            model = self._model.model_validate(value)
        except ValidationError as error:
            raise ArgumentsError(_mistakes(error)) from error
        fields = zip(self.names, self._model.model_fields, strict=True)
        return {name: getattr(model, field) for name, field in fields if field in model.model_fields_set}


def arguments_of(function: Callable[..., object]) -> Arguments:
    """Return what ``function`` takes. Raises ``FunctionError`` where a model could not fill its parameters."""
    place = _place(function)
    if not inspect.isfunction(inspect.unwrap(function)) and not inspect.ismethod(function):
        raise FunctionError(place, "is no Python function")
    if any(check(inspect.unwrap(function)) for check in (inspect.isgeneratorfunction, inspect.isasyncgenfunction)):
        raise FunctionError(place, "yields; a tool returns one value")
    try:
        hints = get_type_hints(function, include_extras=True)
    except (NameError, TypeError, SyntaxError) as error:
        raise FunctionError(place, f"its types cannot be read: {error}") from error
    parameters = inspect.signature(function).parameters
    for parameter in parameters.values():
        if reason := _unfillable(parameter, hints):
            raise FunctionError(place, reason)
    described = documentation_of(function).parameters
    fields = {
        f"p{index}": (hints[name], _field(parameter, hints[name], described.get(name)))
        for index, (name, parameter) in enumerate(parameters.items())
    }
    model = create_model("Arguments", __config__=ConfigDict(extra="forbid"), **fields)  # type: ignore[call-overload]
    return Arguments(model, tuple(parameters))


def source_digest(function: Callable[..., object]) -> str:
    """Return a digest that changes when the function's name or anything in its file changes.

    The whole file counts, so that a helper or a table the function uses cannot change unseen; what it imports from other
    files does not. The file's place and its line endings don't matter. Raises ``FunctionError`` if there is no file.
    """
    inner = inspect.unwrap(function)
    try:
        content = Path(inspect.getfile(inner)).read_bytes()
    except (TypeError, OSError) as error:
        raise FunctionError(_place(function), "has no source file, so its answers cannot be told apart") from error
    name = getattr(inner, "__qualname__", "")
    return blake2b(name.encode() + b"\0" + content.replace(b"\r\n", b"\n"), digest_size=16).hexdigest()


def load_function(reference: str, folder: Path) -> Callable[..., object]:
    """Import the function that ``reference`` names, as ``file.py:function`` with the file counted from ``folder``.

    **This runs the file's code.** The file may import its neighbours at its top: its folder is on ``sys.path`` meanwhile.
    Functions of one file share one module. Raises ``FunctionError``.
    """
    file, colon, name = reference.rpartition(":")
    if not (colon and file.endswith(".py") and name.isidentifier()):
        raise FunctionError(reference, "a function is written as file.py:function")
    module = _module(reference, (folder / file).absolute())
    found = getattr(module, name, None)
    if callable(found):
        return found  # type: ignore[no-any-return]
    known = sorted(key for key, value in vars(module).items() if inspect.isfunction(value) and not key.startswith("_"))
    nearest = closest(name, known)
    hint = f"; did you mean {nearest}?" if nearest else f"; it has {', '.join(known)}" if known else ""
    raise FunctionError(reference, f"the file has no function {name}{hint}")


def _place(function: Callable[..., object]) -> str:
    inner = inspect.unwrap(function)
    name = getattr(inner, "__qualname__", repr(inner))
    code = getattr(inner, "__code__", None)
    return f"{Path(code.co_filename).name}:{name}" if code else name


# The signature


class _Schemas(GenerateJsonSchema):
    # A default that is no JSON is nobody's mistake: the function keeps it, the model is not told.
    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}


_NO_NAMES: Mapping[object, str] = {
    inspect.Parameter.POSITIONAL_ONLY: "can only be given by position, and arguments have names",
    inspect.Parameter.VAR_POSITIONAL: "takes any number of values, and arguments have names",
    inspect.Parameter.VAR_KEYWORD: "takes any names, and the model must know which ones",
}


def _unfillable(parameter: inspect.Parameter, hints: Mapping[str, Any]) -> str | None:
    """Return why no model could fill a parameter, or None."""
    name = str(parameter).split(":")[0].split("=")[0]
    if parameter.kind in _NO_NAMES:
        return f"parameter {name} {_NO_NAMES[parameter.kind]}"
    if parameter.name not in hints:
        return f"parameter {name} has no type; write {name}: str, say"
    try:
        TypeAdapter(hints[parameter.name]).json_schema(schema_generator=_Schemas)
    except (PydanticUserError, PydanticUndefinedAnnotation, TypeError) as error:
        return f"the type of parameter {name} has no JSON form: {_SENTENCE_END.split(str(error))[0]}"
    return None


def _field(parameter: inspect.Parameter, hint: object, described: str | None) -> Any:
    notes = [note.description if isinstance(note, FieldInfo) else note for note in getattr(hint, "__metadata__", ())]
    description = next((note for note in reversed(notes) if isinstance(note, str)), described)
    default = ... if parameter.default is parameter.empty else parameter.default
    # A field of the parameter's own name could be in the way of a method; an alias can be anything.
    return Field(default, alias=parameter.name, description=description)


def _mistakes(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    said = [f"{'.'.join(map(str, mistake['loc']))}: {mistake['msg']}" for mistake in found[:_SHOWN_MISTAKES]]
    more = f" and {len(found) - len(said)} more" if len(found) > len(said) else ""
    return "; ".join(said) + more


# Strict mode

_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})
# Keywords that strict mode does not know and that lose nothing by being told in words.
_TELLABLE = frozenset({"default", "minLength", "maxLength", "uniqueItems", "examples", "deprecated"})
_DROPPED = frozenset({"discriminator", "contentMediaType", "contentEncoding", "readOnly", "writeOnly"})
_TYPES = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    NoneType: "null",
    list: "array",
    dict: "object",
}


def _strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema as strict mode wants it, as far as it can be said there."""
    result = deepcopy(dict(schema))
    for _, node in nodes(result):
        _tighten(node)  # type: ignore[arg-type] # the copy is ours
    return result


def _tighten(node: dict[str, Any]) -> None:
    if "$ref" in node and len(node) > 1:  # refused with neighbours, even a description
        node["anyOf"] = [{"$ref": node.pop("$ref")}]
    if "oneOf" in node:  # alternatives that a tag tells apart
        node["anyOf"] = node.pop("oneOf")
    if "properties" in node and not node.get("additionalProperties"):
        node |= {"required": list(node["properties"]), "additionalProperties": False}
    if "enum" in node and "type" not in node:
        types = list(dict.fromkeys(_TYPES[type(value)] for value in node["enum"]))
        node["type"] = types[0] if len(types) == 1 else types
    for keyword in _DROPPED & node.keys():
        del node[keyword]
    told = {keyword: node.pop(keyword) for keyword in [*node] if keyword in _TELLABLE}
    if "format" in node and node["format"] not in _FORMATS:
        told["format"] = node.pop("format")
    if told:
        words = ", ".join(f"{keyword}: {orjson.dumps(value).decode()}" for keyword, value in told.items())
        node["description"] = f"{node.get('description', '')} ({words})".lstrip()


# The file


class _Source(SourceLoader):
    """Loads a module from bytes already read: no cache that could be stale, none left beside the user's file."""

    def __init__(self, path: Path, content: bytes) -> None:
        self._path, self._content = path, content

    def get_filename(self, fullname: str) -> str:  # noqa: ARG002 - the loader protocol's
        return str(self._path)

    def get_data(self, path: str) -> bytes:  # noqa: ARG002 - the loader protocol's
        return self._content


def _module(reference: str, path: Path) -> ModuleType:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FunctionError(reference, f"the file cannot be read: {error.strerror or error}") from error
    name = f"pipeline_functions_{blake2b(bytes(path) + content, digest_size=8).hexdigest()}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_loader(name, loader := _Source(path, content))
    assert spec is not None
    # Registered before it runs: dataclasses and type hints look their module up.
    module = sys.modules[name] = module_from_spec(spec)
    try:
        with _importable(path.parent):
            loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a file of the user's may raise anything
        del sys.modules[name]
        raise FunctionError(reference, f"the file cannot be loaded: {_last_line(error, path)}") from error
    return module


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with suppress(ValueError):  # the file may have tidied up itself
            sys.path.remove(str(folder))


def _last_line(error: BaseException, path: Path) -> str:
    """Return a traceback's last line, and the line of the file that it came from."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    where = f" (line {lines[-1]})" if lines else ""
    return "".join(traceback.format_exception_only(error)).strip().splitlines()[-1] + where
