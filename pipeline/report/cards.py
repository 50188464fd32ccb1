"""The cards of a report's gallery: what a row asked, what came back in each attempt, and what that cost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.checkpoint.across import completed
from pipeline.checkpoint.packing import unpack
from pipeline.checkpoint.schema import FACTS, RESULT
from pipeline.cost.rates import in_dollars
from pipeline.records import STATUS_FACTS, Status
from pipeline.report.groups import tokens_of
from pipeline.report.pictures import Thumbnails
from pipeline.report.sending import with_pictures_named
from pipeline.report.story import Card, Tokens, Trial
from pipeline.report.text import clipped, counted, pretty
from pipeline.spec.columns import FieldsError
from pipeline.wire.credentials import filled
from pipeline.wire.encode import encode
from pipeline.wire.slim import slim

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.records import Request
    from pipeline.report.choosing import Choice, Place
    from pipeline.report.subject import Input, Subject

CELL, BODY = 2_000, 8_000
"""Characters of a cell, and of a request or a reply."""

COLUMNS = 40
"""Cells of a row."""

_NAME = 80
"""Characters of a model's or a tier's name."""

MOST_BYTES = 1_800_000
"""Of all cards as JSON, their pictures included."""

_MOST_TRIALS = 6
_NAMES = (
    *("state", "status", "error_kind", "error_message", "latency_s", "waited_s", "asked_model", "asked_tier", "model"),
    *("service_tier", "input_tokens", "output_tokens", "raw"),
)
_TRIALS = f"""
SELECT {", ".join(_NAMES)}, cost({", ".join(FACTS)}) FROM attempts WHERE request IN (
  SELECT COALESCE(q.answered_by, q.id) FROM rows AS r JOIN requests AS q ON q.id = r.request
  WHERE r.row = ?1 AND r.sample = ?2 AND r.plan = ?3
  UNION SELECT r.request FROM rows AS r WHERE r.row = ?1 AND r.sample = ?2 AND r.plan = ?3) ORDER BY id
"""  # noqa: S608 - our own names
_ASKED = """
SELECT q.fingerprint, a.fingerprint
FROM rows AS r JOIN requests AS q ON q.id = r.request JOIN requests AS a ON a.id = COALESCE(q.answered_by, q.id)
WHERE r.row = ? AND r.sample = ? AND r.plan = ?
"""
_NO_TOKENS = Tokens(0, 0, 0, 0, 0, 0)


def cut(text: str, most: int) -> str:
    """Return a text, and where it is longer than may be shown, its start and how much is missing."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most:,} characters more)"


def cell_text(cell: object, most: int = CELL) -> str:
    """Return a cell as text: bytes by their number, what is nested as JSON."""
    match cell:
        case None:
            return ""
        case str():
            return cut(cell, most)
        case bool():
            return str(cell).lower()
        case bytes() | bytearray() | memoryview():
            return f"<{len(cell):,} bytes>"
        case Mapping() | list() | tuple():
            return cut(json.dumps(_plain(cell), ensure_ascii=False), most)
        case _:
            return cut(str(cell), most)


def _plain(value: object) -> object:
    match value:
        case Mapping():
            return {str(key): _plain(member) for key, member in value.items()}
        case list() | tuple():
            return [_plain(member) for member in value]
        case None | bool() | int() | float() | str():
            return value
        case _:
            return cell_text(value)


def needed_columns(found: Input) -> list[str]:
    """Return the columns that a card of a row needs: those that the prompt reads, and others as far as they are shown."""
    return list(dict.fromkeys((*found.builder.columns, *_shown_columns(found))))


def _shown_columns(found: Input) -> list[str]:
    """Return the columns that are shown, those that the prompt reads before others."""
    return list(dict.fromkeys((*found.builder.columns, *found.columns)))[:COLUMNS]


def input_cells(found: Input, cells: Mapping[str, object]) -> dict[str, str]:
    """Return a row's cells as text; where not all are shown, the last one says how many are not."""
    shown = {name: cell_text(cells[name]) for name in _shown_columns(found)}
    more = len(found.columns) - len(shown)
    return shown | ({"…": f"{counted(more, 'more column')}"} if more > 0 else {})


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a place asks, as its card shows it."""

    inputs: Mapping[str, str]
    pictures: Sequence[str]
    body: str | None


NOTHING_ASKED = _Asked({}, (), None)


@dataclass(slots=True)
class Gallery:
    """Cards as they are made, up to the bytes that there are for them; the most telling come first."""

    subject: Subject
    cards: list[Card] = field(default_factory=list)
    thumbnails: Thumbnails = field(default_factory=Thumbnails)

    def fill(self, choice: Choice, room: int = MOST_BYTES) -> None:
        """Make the cards of the chosen places, ``room`` bytes of them. Blocking. Raises ``DataError`` where the input is damaged."""
        asked = self._asked(choice)
        for place, tags in choice.tags.items():
            card = self._card(place, tags, asked.get(place, NOTHING_ASKED))
            size = len(json.dumps(asdict(card), ensure_ascii=False).encode(errors="replace"))
            if size > room:
                continue
            room -= size
            self.cards.append(card)
        self.cards.sort(key=lambda card: (card.row, card.sample))

    def _asked(self, choice: Choice) -> dict[Place, _Asked]:
        """Return what each place asks, as it is shown: only one batch's cells are held at a time, which may be pictures of megabytes."""
        found = self.subject.input
        if found is None:
            return {}
        samples: dict[int, list[int]] = {}
        for row, sample in choice.tags:
            samples.setdefault(row, []).append(sample)
        asked: dict[Place, _Asked] = {}
        for row, cells in found.cells(samples, needed_columns(found)):
            inputs = input_cells(found, cells)
            for sample in samples[row]:
                request = self._request(found, (row, sample), cells)
                pictures = [] if request is None else self.thumbnails.shown(request)
                asked[row, sample] = _Asked(inputs, pictures, None if request is None else self._body(request))
        return asked

    def _card(self, place: Place, tags: Sequence[str], asked: _Asked) -> Card:
        row, sample = place
        subject = self.subject
        results = completed(row, subject.reader.results(row, row), subject.job.samples)
        values: dict[str, Any] = dict(zip(RESULT, results[sample], strict=True))
        trials = list(self._trials(place))
        shared = values["shared_from"] not in (None, row)
        return Card(
            row=row,
            sample=sample,
            status=str(values["status"]),
            ok=STATUS_FACTS[Status(str(values["status"]))].ok,
            tags=tags,
            pictures=asked.pictures,
            inputs=asked.inputs,
            answer=answer_cells(subject, values),
            error=_maybe(values["error_message"]),
            model=_name(values["model"]),
            cost=0.0 if shared else in_dollars(values["cost_usd"]),
            tokens=_NO_TOKENS if shared else tokens_of(values),
            attempts=0 if shared else len(trials),
            latency_s=values["latency_s"],
            request=asked.body,
            trials=trials[-_MOST_TRIALS:],
            made=self.thumbnails.made(_listed(values["images"]), subject.table),
        )

    def _request(self, found: Input, place: Place, cells: Mapping[str, object]) -> Request | None:
        """Return the request that was asked, or None where it can't be made again as it was."""
        request = found.request(place[0], cells, place[1])
        asked = next(self.subject.reader.lines(_ASKED, (*place, self.subject.reader.plan)), ())
        if request is not None and self.subject.verifiable() and request.fingerprint not in asked:
            return None
        return request

    def _body(self, request: Request) -> str:
        body = encode(request.body, self.subject.endpoint.dialect, self.subject.job.extra_body)
        named = with_pictures_named(dict(filled(body, "${}".format)))
        return cut(pretty(named), BODY)

    def _trials(self, place: Place) -> Iterator[Trial]:
        for line in self.subject.reader.lines(_TRIALS, (*place, self.subject.reader.plan)):
            values = dict(zip((*_NAMES, "cost"), line, strict=True))
            reply = None if values["raw"] is None else cut(pretty(slim(unpack(values["raw"]))), BODY)
            yield _trial(values, reply)


def _trial(values: Mapping[str, Any], reply: str | None) -> Trial:
    error = values["error_message"] or values["error_kind"]
    return Trial(
        state=values["state"],
        status=values["status"],
        error=None if error is None else cut(error, CELL),
        latency_s=values["latency_s"],
        waited_s=values["waited_s"],
        model=_name(values["model"] or values["asked_model"]),
        tier=_name(values["service_tier"] or values["asked_tier"]),
        input_tokens=values["input_tokens"],
        output_tokens=values["output_tokens"],
        cost=in_dollars(values["cost"]),
        reply=reply,
    )


def answer_cells(subject: Subject, values: Mapping[str, Any]) -> dict[str, str]:
    """Return what a row was answered, as text by the names of the fields; what is no answer by fields is ``output`` or ``refusal``."""
    fields, text = subject.job.output.fields, values["output"]
    if fields is not None and values["status"] == Status.OK and isinstance(text, str):
        try:
            return {name: cell_text(cell) for name, cell in fields.read(text).items()}
        except FieldsError:
            pass  # journaled as ok by an older reading of the same schema: the raw text stays visible
    given = {name: values[name] for name in ("output", "refusal", "reasoning_summary", "tool_calls", "sources")}
    return {name: cell_text(cell) for name, cell in given.items() if cell}


def _listed(images: object) -> Iterable[str]:
    return map(str, images) if isinstance(images, list) else ()


def _name(value: object) -> str | None:
    return None if value is None else clipped(str(value), _NAME)


def _maybe(value: object) -> str | None:
    return None if value is None else cut(str(value), CELL)
