"""Row → Request: the text rendered, pictures, videos and files still references.

``RequestBuilder`` compiles a job once; ``build`` then does one row. What a row asks is put together in OpenAI's names; the dialect comes
from ``wire/``. The fingerprint is taken here, over everything that can change the answer and nothing else.

Where rows differ in nothing but rendered texts and what they show, which is most jobs, a row only fills a form (``form.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from pipeline.cost.tokens import request_weight
from pipeline.errors import NullCell, Problem, PromptError, RowError, SpecError
from pipeline.prompt.conversation import column_messages, raw_input
from pipeline.prompt.form import Form
from pipeline.prompt.given import Marks, OfRow
from pipeline.prompt.identity import digest, identity, of_sample
from pipeline.prompt.media import MediaFinder
from pipeline.prompt.parts import ALIKE, MEDIA, Parts, referring, text_part
from pipeline.prompt.slots import slots
from pipeline.prompt.template import Templates, is_template, sole_column
from pipeline.records import Media, MediaKind, Request, Row
from pipeline.spec.toolset import NO_TOOLS
from pipeline.wire.content import content_of, written
from pipeline.wire.parameters import check_parameters
from pipeline.wire.tools import names_of
from pipeline.wire.turns import first_round

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.prompt.given import Given
    from pipeline.prompt.parts import Content
    from pipeline.spec.job import Job
    from pipeline.spec.prompt import Part
    from pipeline.spec.toolset import Toolset
    from pipeline.wire.dialect import Endpoint

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
        self._showing = {place: part for place, part in job.prompt.parts if part.kind in MEDIA}
        self._raw: dict[str, str] = {}  # place in the spec → the column whose value is used as it is
        self._find = partial(_found, self._showing, self._raw, self._parts)
        self._slots = slots(job.request)
        rendered = [(place, slot.text) for place, slot in self._slots.items() if slot.column is None]
        self._compile([*_texts(job), *rendered])
        self._raw.update(_raw_columns(job))
        self._raw.update({place: slot.column for place, slot in self._slots.items() if slot.column is not None})
        self.places = {**self._templates.columns, **{place: {column} for place, column in self._raw.items()}}
        self.columns = sorted(set().union(*self.places.values()))
        self._form = self._formed()

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
        given = OfRow(row.cells, self.columns, self._templates, self._find)
        if self._form is not None and (request := self._form.filled(row.number, given)) is not None:
            return request
        return self._built(row.number, given)[0]

    def _built(self, row: int, given: Given) -> tuple[Request, bytes]:
        """Return the request of a row and the spelling of its identity."""
        body = self._asked(given)
        spelling = identity(body, self._endpoint.identity, self._job.extra_body, self._toolset.sources)
        if self._job.takes_rounds:  # asks for what the next round needs, which changes no answer
            body = first_round(body, self._endpoint.dialect, self._job.extra_body)
        model, cap = str(body["model"]), body.get("max_output_tokens")
        sent = content_of(body, self._endpoint.dialect, self._job.extra_body)
        if sent is None:
            return Request(row, model, body, digest(spelling), request_weight(*_measured(body), cap)), spelling
        weight = request_weight(len(sent.content), [media.kind for _, media in sent.shown], cap)
        request = Request(row, model, body, digest(spelling), weight, content=sent.content, shown=sent.shown)
        return request, spelling

    def _formed(self) -> Form | None:
        """Return the form of the job's rows, or None where they differ in more than texts and media: in parameters or whole inputs."""
        prompt = self._job.prompt
        whole = prompt.input is not None or isinstance(prompt.messages, str)
        alike = all(part.kind == "text" or part.kind in ALIKE for _, part in prompt.parts)
        if whole or not alike or self._slots or self._templates.columns["model"]:
            return None
        marks = Marks(self._templates, {place: ALIKE[part.kind] for place, part in self._showing.items()})
        try:
            request, spelling = self._built(0, marks)
        except RowError:
            return None  # the same goes wrong with every row, which then says so
        return None if request.content is None else Form(request, spelling, marks.places, self._showing)

    def _asked(self, given: Given) -> dict[str, object]:
        """Return what a row asks, in OpenAI's names."""
        body = self._parameters(given)
        body["model"] = model = given.text("model")
        if not model.strip():
            raise PromptError("the model's name is empty")
        if self._job.prompt.system is not None:
            body["instructions"] = given.text("prompt.system")
        body["input"] = self._input(given)
        if (fields := self._job.output.fields) is not None:
            format_of = body.get("text")
            body["text"] = {**(format_of if isinstance(format_of, Mapping) else {}), "format": fields.text_format()}
        body.update(_DELIVERED[self._job.delivery])
        if self._toolset.tools:
            body["tools"] = _joined(body.get("tools"), self._toolset.tools)
        return body

    def _parameters(self, given: Given) -> dict[str, object]:
        if not self._slots:
            return dict(self._job.request)
        body = {name: self._rendered(("request", name), value, given) for name, value in self._job.request.items()}
        if complaints := check_parameters(body):
            problems = [
                Problem(".".join(map(str, each.path)), each.message, suggestion=each.suggestion) for each in complaints
            ]
            raise PromptError("; ".join(f"{each.where} {each.message}" for each in problems), problems=problems)
        return body

    def _rendered(self, place: tuple[str, ...], value: object, given: Given) -> object:
        if isinstance(value, Mapping):
            return {key: self._rendered((*place, str(key)), item, given) for key, item in value.items()}
        if isinstance(value, list):
            return [self._rendered((*place, str(index)), item, given) for index, item in enumerate(value)]
        name = ".".join(place)
        slot = self._slots.get(name)
        if slot is None:
            return value
        if slot.column is None:
            return slot.read(given.text(name))
        if (cell := given.cells[slot.column]) is not None:
            if place[:2] == ("request", "tools") and _names_variable(cell):
                raise PromptError(f"column {slot.column!r} names an environment variable; only the spec does")
            return slot.read(cell)
        if self._job.on_null == "empty":
            return ""
        raise NullCell(slot.column)

    def _input(self, given: Given) -> object:
        prompt = self._job.prompt
        if prompt.input is not None:
            return raw_input(given.cells[prompt.input], prompt.input)
        if isinstance(prompt.messages, str):
            return column_messages(given.cells[prompt.messages], prompt.messages, self._parts)
        turns: list[tuple[str, str, str | Sequence[Part]]] = []
        if prompt.user is not None:
            turns.append(("prompt.user", "user", prompt.user))
        for index, message in enumerate(prompt.messages or ()):
            turns.append((f"prompt.messages.{index}.content", message.role, message.content))
        return [{"role": role, "content": self._content(place, role, content, given)} for place, role, content in turns]

    def _content(self, place: str, role: str, content: str | Sequence[Part], given: Given) -> object:
        if isinstance(content, str):
            return given.text(place) if role == "assistant" else [text_part(given.text(place))]
        return [
            made for index, part in enumerate(content) for made in self._part(f"{place}.{index}", part, role, given)
        ]

    def _part(self, place: str, part: Part, role: str, given: Given) -> list[Content]:
        if part.kind == "text":
            return [text_part(given.text(f"{place}.text"), role)]
        if place in self._showing:
            return [referring(part.kind, media, part.detail) for media in given.media(place)]
        value, column = _said(place, part, self._raw, given)
        return self._parts.ids(part.kind, value, column, detail=part.detail)


def _found(
    showing: Mapping[str, Part], raw: Mapping[str, str], parts: Parts, place: str, given: Given
) -> Sequence[Media]:
    """Return what the part at a place shows of a row."""
    part = showing[place]
    value, column = _said(place, part, raw, given)
    filename = given.text(f"{place}.filename") if part.filename is not None else None
    return parts.found(part.kind, value, column, filename)


def _said(place: str, part: Part, raw: Mapping[str, str], given: Given) -> tuple[object, str]:
    """Return what a row says of a part's media or ids, and where it says it."""
    source = f"{place}.{part.kind}"
    column = raw.get(source)
    return (given.text(source), source) if column is None else (given.cells[column], column)


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


def sampled(request: Request, sample: int) -> Request:
    """Return the request of a row's sample. The first one is the row's plain request, so that its answer stays when more are asked for."""
    if sample == 0:
        return request
    return replace(request, sample=sample, fingerprint=of_sample(request.fingerprint, sample))


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


def _measured(body: Mapping[str, object]) -> tuple[int, list[MediaKind]]:
    """Return how many bytes a body has without its media, and the kinds of those."""
    kinds: list[MediaKind] = []

    def count(value: object) -> str:
        if isinstance(value, Media):
            kinds.append(value.kind)
        return ""

    return len(written(body, count)), kinds
