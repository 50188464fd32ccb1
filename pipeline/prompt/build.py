"""Row → Request: the text rendered, the pictures still references.

``RequestBuilder`` compiles a job once; ``build`` then does one row. What a row asks is put together in OpenAI's names; the dialect comes
later, when the request is encoded. The fingerprint is taken here, over everything that can change the answer and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING

import orjson

from pipeline.cost.tokens import request_weight
from pipeline.errors import NullCell, PromptError, SpecError
from pipeline.prompt.media import MediaFinder
from pipeline.prompt.template import Context, Templates, is_template, sole_column
from pipeline.records import Media, Request, Row
from pipeline.spec.toolset import NO_TOOLS
from pipeline.wire.parameters import check_parameters, identity_of, only_text
from pipeline.wire.tools import names_of
from pipeline.wire.turns import first_round

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.spec.job import Job
    from pipeline.spec.prompt import Part
    from pipeline.spec.toolset import Toolset
    from pipeline.wire.dialect import Endpoint

FINGERPRINT_BYTES = 16  # 128 bits: among 10^9 requests a collision has a chance below 10^-20
_NO_SOURCES: Mapping[str, str] = {}
_PLAIN = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS  # else orjson writes Media itself
_CANONICAL = _PLAIN | orjson.OPT_SORT_KEYS
_DELIVERED: Mapping[str, Mapping[str, object]] = {
    "plain": {},
    "stream": {"stream": True},
    "background": {"background": True},
}


class RequestBuilder:
    """A job's prompt, compiled. ``columns`` are the input columns it reads, ``places`` which of them each place in the spec reads.

    Raises ``SpecError`` with every template that is none.
    """

    def __init__(self, job: Job, endpoint: Endpoint, root: Path, toolset: Toolset = NO_TOOLS) -> None:
        self._job = job
        self._toolset = toolset
        self._endpoint = endpoint
        self._templates = Templates(null_is_empty=job.on_null == "empty")
        roots = tuple(job.place(folder).resolve() for folder in job.media.roots)
        self._media = MediaFinder(root.resolve(), roots, job.media.identity, null_is_empty=job.on_null == "empty")
        self._redrawing = job.media.redrawing
        self._raw: dict[str, str] = {}  # place in the spec → the column whose value is used as it is
        self._compile(_texts(job))
        self._raw.update(_raw_columns(job))
        self._fixed = not any(is_template(text) for _, text in _leaves(("request",), job.request))
        self.places = {**self._templates.columns, **{place: {column} for place, column in self._raw.items()}}
        self.columns = sorted(set().union(*self.places.values()))
        self.names_files = False  # True once a row has named a picture file, whose changes the table does not show

    def _compile(self, texts: Sequence[tuple[str, str]]) -> None:
        problems = []
        for place, text in texts:
            try:
                self._templates.add(place, text)
            except PromptError as error:
                problems.append(self._job.problem(place, error.message))
        if problems:
            raise SpecError(problems, source=self._job.source)

    def build(self, row: Row) -> Request:
        """Return the request of a row. Raises ``PromptError``, ``NullCell`` or ``MediaError`` when this row has none."""
        context = Context(row.cells, self.columns)
        body = self._parameters(row, context)
        model = self._templates.render("model", context)
        if not model.strip():
            raise PromptError("the model's name is empty")
        body["model"] = model
        if self._job.prompt.system is not None:
            body["instructions"] = self._templates.render("prompt.system", context)
        body["input"] = self._input(row, context)
        if (fields := self._job.output.fields) is not None:
            text = body.get("text")
            body["text"] = {**(text if isinstance(text, Mapping) else {}), "format": fields.text_format()}
        body.update(_DELIVERED[self._job.delivery])
        if self._toolset.tools:
            body["tools"] = _joined(body.get("tools"), self._toolset.tools)
        identity = fingerprint(body, self._endpoint.identity, self._job.extra_body, self._toolset.sources)
        if self._job.takes_rounds:  # asks for what the next round needs, which changes no answer
            body = first_round(body, self._endpoint.dialect, self._job.extra_body)
        return Request(row=row.number, model=model, body=body, fingerprint=identity, weight=_weight(body))

    def _parameters(self, row: Row, context: Context) -> dict[str, object]:
        if self._fixed:
            return dict(self._job.request)
        body = {
            name: self._rendered(("request", name), value, row, context) for name, value in self._job.request.items()
        }
        if complaints := check_parameters(body):
            first = complaints[0]
            raise PromptError(f"{'.'.join(map(str, first.path))} {first.message}")
        return body

    def _rendered(self, place: tuple[str, ...], value: object, row: Row, context: Context) -> object:
        if isinstance(value, Mapping):
            return {key: self._rendered((*place, str(key)), item, row, context) for key, item in value.items()}
        if isinstance(value, list):
            return [self._rendered((*place, str(index)), item, row, context) for index, item in enumerate(value)]
        name = ".".join(place)
        if name in self._raw:
            cell = row.cells[self._raw[name]]
            if cell is not None:
                return cell
            if self._job.on_null == "empty":
                return ""
            raise NullCell(self._raw[name])
        return self._templates.render(name, context) if name in self._templates.columns else value

    def _input(self, row: Row, context: Context) -> object:
        prompt = self._job.prompt
        if prompt.input is not None:
            return _raw_input(row.cells[prompt.input], prompt.input)
        if isinstance(prompt.messages, str):
            return self._column_messages(row.cells[prompt.messages], prompt.messages)
        turns: list[tuple[str, str, str | Sequence[Part]]] = []
        if prompt.user is not None:
            turns.append(("prompt.user", "user", prompt.user))
        for index, message in enumerate(prompt.messages or ()):
            turns.append((f"prompt.messages.{index}.content", message.role, message.content))
        return [
            {"role": role, "content": self._content(place, role, content, row, context)}
            for place, role, content in turns
        ]

    def _content(self, place: str, role: str, content: str | Sequence[Part], row: Row, context: Context) -> object:
        if isinstance(content, str):
            text = self._templates.render(place, context)
            return text if role == "assistant" else [{"type": "input_text", "text": text}]
        parts: list[dict[str, object]] = []
        for index, part in enumerate(content):
            if part.text is not None:
                text = self._templates.render(f"{place}.{index}.text", context)
                parts.append({"type": "output_text" if role == "assistant" else "input_text", "text": text})
            else:
                parts += self._images(f"{place}.{index}.image", part, row, context)
        return parts

    def _images(self, place: str, part: Part, row: Row, context: Context) -> list[dict[str, object]]:
        column = self._raw.get(place)
        cell = row.cells[column] if column is not None else self._templates.render(place, context)
        detail = {"detail": part.detail} if part.detail is not None else {}
        return [{**image, **detail} for image in self._pictures(cell, column or place)]

    def _pictures(self, cell: object, column: str) -> list[dict[str, object]]:
        found = self._media.find(cell, column)
        self.names_files = self.names_files or any(media.path is not None for media in found)
        if self._redrawing:  # another picture is sent, so another question is asked
            found = [replace(media, identity=f"{self._redrawing}|{media.identity}") for media in found]
        return [{"type": "input_image", "image_url": media} for media in found]

    def _column_messages(self, cell: object, column: str) -> list[dict[str, object]]:
        turns = _decoded(cell, column)
        if not isinstance(turns, Sequence) or isinstance(turns, str) or not turns:
            raise PromptError(f"column {column!r} holds no list of messages")
        return [self._column_message(turn, f"{column}[{index}]") for index, turn in enumerate(turns)]

    def _column_message(self, turn: object, place: str) -> dict[str, object]:
        if not isinstance(turn, Mapping) or not isinstance(turn.get("role"), str):
            raise PromptError(f"{place} is no message: it needs role and content")
        role, content = turn["role"], turn.get("content")
        if content is None:
            raise NullCell(f"{place}.content")
        if isinstance(content, str):
            return {
                "role": role,
                "content": content if role == "assistant" else [{"type": "input_text", "text": content}],
            }
        if not isinstance(content, Sequence):
            raise PromptError(f"{place}.content is neither a text nor a list of parts")
        return {"role": role, "content": [part for item in content for part in self._column_parts(item, place)]}

    def _column_parts(self, item: object, place: str) -> list[dict[str, object]]:
        """One part of a message in a column: ``{text}``, ``{image}``, or a part in the API's own words (nulls of the struct left out)."""
        if not isinstance(item, Mapping):
            raise PromptError(f"{place}.content holds a part that is no map")
        part = {str(key): value for key, value in item.items() if value is not None}
        if "type" in part:
            return [part]
        if "image" in part:
            return self._pictures(part["image"], place)
        if isinstance(part.get("text"), str):
            return [{"type": "input_text", "text": part["text"]}]
        raise PromptError(f"{place}.content holds a part without type, text or image")


def _joined(given: object, ours: Sequence[Mapping[str, object]]) -> list[object]:
    """Return a request's tools and those of the job's functions."""
    own = list(given) if isinstance(given, list | tuple) else []
    if taken := sorted(names_of(own) & names_of(ours)):
        raise PromptError(f"the request has a tool called {taken[0]}, and so has tools.functions")
    return [*own, *ours]


def fingerprint(
    body: Mapping[str, object],
    endpoint: str,
    extra_body: Mapping[str, object],
    sources: Mapping[str, str] = _NO_SOURCES,
) -> bytes:
    """Return 16 bytes that change with anything that can change the answer.

    That is: the endpoint (so a rehearsal's answers are never taken for real ones), model, rendered input, pictures by their identity (and
    by what the job does to them), parameters that count (``wire/parameters.py`` says which), tools, the ``sources`` of the job's functions,
    output schema, and what the job sends verbatim. Neither the row's position nor limits, deadlines, keys or the spec's own place are part
    of it.
    """
    identity = {"endpoint": endpoint, "body": identity_of(body), "extra_body": extra_body}
    if sources:
        identity["functions"] = sources
    return blake2b(canonical(identity), digest_size=FINGERPRINT_BYTES, person=b"request").digest()


def sampled(request: Request, sample: int) -> Request:
    """Return the request of a row's sample. The first one is the row's plain request, so that its answer stays when more are asked for."""
    if sample == 0:
        return request
    place = request.fingerprint + sample.to_bytes(4, "big")
    further = blake2b(place, digest_size=FINGERPRINT_BYTES, person=b"sample").digest()
    return replace(request, sample=sample, fingerprint=further)


def canonical(value: object) -> bytes:
    """Return one spelling of a JSON-like value that may hold pictures and dates; raises ``PromptError`` where it has none."""
    try:
        return orjson.dumps(value, default=_identity, option=_CANONICAL)
    except TypeError as error:
        raise PromptError(f"the request holds a value that JSON cannot carry: {error}") from error


def _identity(value: object) -> str:
    if isinstance(value, Media):
        return value.identity
    raise TypeError(f"a {type(value).__name__}")


def _raw_input(cell: object, column: str) -> object:
    if cell is None:
        raise NullCell(column)
    if isinstance(cell, str) and not cell.lstrip().startswith(("[", "{")):
        return cell
    value = _decoded(cell, column)
    if isinstance(value, Mapping):
        return [value]
    if isinstance(value, Sequence):
        return list(value)
    raise PromptError(f"column {column!r} holds a {type(cell).__name__}, which is no input of the Responses API")


def _decoded(cell: object, column: str) -> object:
    if cell is None:
        raise NullCell(column)
    if not isinstance(cell, str):
        return _without_nulls(cell)
    try:
        return orjson.loads(cell)
    except orjson.JSONDecodeError as error:
        raise PromptError(f"column {column!r} holds text that is not JSON: {error}") from error


def _without_nulls(value: object) -> object:
    """A struct of a table has a null where an item does not have that member."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list | tuple) else value


def _texts(job: Job) -> list[tuple[str, str]]:
    """Every template of a job with its place in the spec; columns used as they are aren't among them."""
    texts = [("model", job.model)]
    if job.prompt.system is not None:
        texts.append(("prompt.system", job.prompt.system))
    for place, content in _contents(job):
        if isinstance(content, str):
            texts.append((place, content))
            continue
        for index, part in enumerate(content):
            if part.text is not None:
                texts.append((f"{place}.{index}.text", part.text))
            elif part.image is not None and is_template(part.image) and sole_column(part.image) is None:
                texts.append((f"{place}.{index}.image", part.image))
    texts += [
        (place, text)
        for place, text in _leaves(("request",), job.request)
        if is_template(text) and _raw_column(place, text) is None
    ]
    return texts


def _raw_columns(job: Job) -> list[tuple[str, str]]:
    """Every place of a job where a column's own value is used: images, whole inputs, and parameters that are one column."""
    columns = []
    for place, content in _contents(job):
        if not isinstance(content, str):
            for index, part in enumerate(content):
                if part.image is not None and (not is_template(part.image) or sole_column(part.image) is not None):
                    columns.append((f"{place}.{index}.image", sole_column(part.image) or part.image))
    if isinstance(job.prompt.messages, str):
        columns.append(("prompt.messages", job.prompt.messages))
    if job.prompt.input is not None:
        columns.append(("prompt.input", job.prompt.input))
    for place, text in _leaves(("request",), job.request):
        if (column := _raw_column(place, text)) is not None:
            columns.append((place, column))
    return columns


def _raw_column(place: str, text: str) -> str | None:
    """Return the column whose own value becomes part of a parameter; None where the text is a template, or must stay text."""
    _, name, *below = place.split(".")
    return None if only_text(name, inside=bool(below)) else sole_column(text)


def _contents(job: Job) -> list[tuple[str, str | Sequence[Part]]]:
    contents: list[tuple[str, str | Sequence[Part]]] = []
    if job.prompt.user is not None:
        contents.append(("prompt.user", job.prompt.user))
    if not isinstance(job.prompt.messages, str):
        contents += [
            (f"prompt.messages.{index}.content", turn.content) for index, turn in enumerate(job.prompt.messages or ())
        ]
    return contents


def _leaves(place: tuple[str, ...], value: object) -> list[tuple[str, str]]:
    if isinstance(value, str):
        return [(".".join(place), value)]
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    return [leaf for key, item in items for leaf in _leaves((*place, str(key)), item)]


def _weight(body: Mapping[str, object]) -> int:
    images = 0

    def count(value: object) -> str:
        nonlocal images
        images += isinstance(value, Media)
        return ""

    text_bytes = len(orjson.dumps(body, default=count, option=_PLAIN))
    return request_weight(text_bytes, images, body.get("max_output_tokens"))
