"""Row → Request: the text rendered, pictures, videos and files still references.

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
from pipeline.errors import NullCell, Problem, PromptError, SpecError
from pipeline.prompt.conversation import column_messages, raw_input
from pipeline.prompt.media import MediaFinder
from pipeline.prompt.parts import Parts, text_part
from pipeline.prompt.slots import slots
from pipeline.prompt.template import Context, Templates, is_template, sole_column
from pipeline.records import Media, MediaKind, Request, Row
from pipeline.spec.toolset import NO_TOOLS
from pipeline.wire.parameters import check_parameters, identity_of
from pipeline.wire.tools import names_of
from pipeline.wire.turns import first_round

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.prompt.parts import Content
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
        finder = MediaFinder(root.resolve(), roots, job.media.identity, null_is_empty=job.on_null == "empty")
        self._parts = Parts(finder, job.media.redrawing)
        self._raw: dict[str, str] = {}  # place in the spec → the column whose value is used as it is
        self._slots = slots(job.request)
        rendered = [(place, slot.text) for place, slot in self._slots.items() if slot.column is None]
        self._compile([*_texts(job), *rendered])
        self._raw.update(_raw_columns(job))
        self._raw.update({place: slot.column for place, slot in self._slots.items() if slot.column is not None})
        self.places = {**self._templates.columns, **{place: {column} for place, column in self._raw.items()}}
        self.columns = sorted(set().union(*self.places.values()))

    @property
    def names_files(self) -> bool:
        """Whether a row has named a file, whose changes the table does not show."""
        return self._parts.names_files

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
        if not self._slots:
            return dict(self._job.request)
        body = {
            name: self._rendered(("request", name), value, row, context) for name, value in self._job.request.items()
        }
        if complaints := check_parameters(body):
            problems = [
                Problem(".".join(map(str, each.path)), each.message, suggestion=each.suggestion) for each in complaints
            ]
            raise PromptError("; ".join(f"{each.where} {each.message}" for each in problems), problems=problems)
        return body

    def _rendered(self, place: tuple[str, ...], value: object, row: Row, context: Context) -> object:
        if isinstance(value, Mapping):
            return {key: self._rendered((*place, str(key)), item, row, context) for key, item in value.items()}
        if isinstance(value, list):
            return [self._rendered((*place, str(index)), item, row, context) for index, item in enumerate(value)]
        name = ".".join(place)
        slot = self._slots.get(name)
        if slot is None:
            return value
        if slot.column is None:
            return slot.read(self._templates.render(name, context))
        if (cell := row.cells[slot.column]) is not None:
            if place[:2] == ("request", "tools") and _names_variable(cell):
                raise PromptError(f"column {slot.column!r} names an environment variable; only the spec does")
            return slot.read(cell)
        if self._job.on_null == "empty":
            return ""
        raise NullCell(slot.column)

    def _input(self, row: Row, context: Context) -> object:
        prompt = self._job.prompt
        if prompt.input is not None:
            return raw_input(row.cells[prompt.input], prompt.input)
        if isinstance(prompt.messages, str):
            return column_messages(row.cells[prompt.messages], prompt.messages, self._parts)
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
            return text if role == "assistant" else [text_part(text)]
        return [
            made
            for index, part in enumerate(content)
            for made in self._part(f"{place}.{index}", part, role, row, context)
        ]

    def _part(self, place: str, part: Part, role: str, row: Row, context: Context) -> list[Content]:
        source = f"{place}.{part.kind}"
        if part.kind == "text":
            return [text_part(self._templates.render(source, context), role)]
        column = self._raw.get(source)
        value = row.cells[column] if column is not None else self._templates.render(source, context)
        filename = self._templates.render(f"{place}.filename", context) if part.filename is not None else None
        return self._parts.made(part.kind, value, column or source, detail=part.detail, filename=filename)


def _names_variable(value: object) -> bool:
    """Tell whether a row would choose a token of the job's, and with it where that token goes."""
    if isinstance(value, Mapping):
        return any(
            (member is not None and str(name).endswith("_env")) or _names_variable(member)
            for name, member in value.items()
        )
    return isinstance(value, list | tuple) and any(map(_names_variable, value))


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


def _texts(job: Job) -> list[tuple[str, str]]:
    """Every template of a job but those of its request, with its place in the spec; columns used as they are aren't among them."""
    texts = [("model", job.model)]
    if job.prompt.system is not None:
        texts.append(("prompt.system", job.prompt.system))
    texts += [(place, content) for place, content in job.prompt.contents if isinstance(content, str)]
    for place, part in job.prompt.parts:
        if part.kind == "text" or not _names_column(part.source):
            texts.append((f"{place}.{part.kind}", part.source))
        if part.filename is not None:
            texts.append((f"{place}.filename", part.filename))
    return texts


def _raw_columns(job: Job) -> list[tuple[str, str]]:
    """Every place of a prompt where a column's own value is used: media and whole inputs."""
    columns = [
        (f"{place}.{part.kind}", sole_column(part.source) or part.source)
        for place, part in job.prompt.parts
        if part.kind != "text" and _names_column(part.source)
    ]
    if isinstance(job.prompt.messages, str):
        columns.append(("prompt.messages", job.prompt.messages))
    if job.prompt.input is not None:
        columns.append(("prompt.input", job.prompt.input))
    return columns


def _names_column(source: str) -> bool:
    """Tell whether what a part says of its media is a column, whose value is used as it is."""
    return not is_template(source) or sole_column(source) is not None


def _weight(body: Mapping[str, object]) -> int:
    kinds: list[MediaKind] = []

    def count(value: object) -> str:
        if isinstance(value, Media):
            kinds.append(value.kind)
        return ""

    text_bytes = len(orjson.dumps(body, default=count, option=_PLAIN))
    return request_weight(text_bytes, kinds, body.get("max_output_tokens"))
