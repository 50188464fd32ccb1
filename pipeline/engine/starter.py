"""A first job spec for a table: what `pipeline init` writes. It runs offline as it stands, and says what to change."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.checkpoint.columns import OURS, holds_bytes
from pipeline.media.sniff import image_type, video_type
from pipeline.rows.columns import cells
from pipeline.rows.source import open_source
from pipeline.spec.input import Input
from pipeline.wire.dialect import DIALECTS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pipeline.records import MediaKind


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of media: how its files' names end, and what a first job may ask about it, of which model, into which field."""

    endings: tuple[str, ...]
    task: str
    model: str
    field: str


_TEXTS = _Kind((), "Say in one word what this is about.", "gpt-5.4-mini", "label")
_KINDS: Mapping[MediaKind, _Kind] = {
    "image": _Kind(
        (".jpg", ".jpeg", ".png", ".gif", ".webp"),
        "Describe this picture in one sentence.",
        "gpt-5.4-mini",
        "caption",
    ),
    "video": _Kind(
        (".mp4", ".mov", ".avi", ".webm"), "Describe this video in one sentence.", "gemini-2.5-pro", "caption"
    ),
    "file": _Kind(
        (".pdf", ".docx", ".xlsx", ".pptx", ".odt", ".ods", ".epub"),
        "Sum up this document in one sentence.",
        "gpt-5.4-mini",
        "summary",
    ),
}
_ROWS_SEEN = 1_000
_TEXT_COLUMNS = 4  # enough for a first prompt; a person adds the rest
_PREFIX = "llm_"
_BARE = re.compile(r"(?!(?:null|true|false|yes|no|on|off|y|n)\Z)[A-Za-z][A-Za-z0-9_./-]*", re.IGNORECASE)
_NAME = re.compile(r"(?!(?:and|else|false|if|in|is|none|not|or|row|self|true)\Z)[A-Za-z_][A-Za-z0-9_]*", re.IGNORECASE)
_UNSAYABLE = re.compile(r"""[{}\\]|'.*"|".*'""", re.DOTALL)  # in a template, without much ado

_SPEC = """\
# A job spec. It runs offline as it stands: the simulator answers, and nothing is paid.
#   pipeline check {spec}      is everything right? nothing is sent
#   pipeline preview {spec}    the exact request of the first row
#   pipeline run {spec}        ask every row, write {output}
# Before all rows are asked: pipeline estimate {spec} says what they cost, and budget: 5 here caps it at five dollars.
# For real: put your key into the environment and set provider to {providers}.
name: {name}
provider: {provider}, or {{base_url: …}} for any compatible server
model: {model}
input:
  path: {table}
  # where: some_column > 100   # only some rows, as a polars SQL expression
  limit: 20                    # a first try; remove this line for all rows
# The table's columns: {columns}
prompt:
  system: Answer briefly and truthfully.
  user:
{parts}
request:
  max_output_tokens: 300       # any parameter of the Responses API
output:
  path: {output}{prefix}
  fields:                      # typed columns, asked as structured output; remove for plain text
    {fields}
# limits: {{requests_per_minute: 500, tokens_per_minute: 200000}}   # what your account allows; learned if left out
{on_null}
"""

_NULLS = (
    "# on_null: fail                # or skip, or empty: what becomes of rows with a null in the prompt",
    "on_null: skip                  # or fail, or empty: some of the first {seen:,} rows have a null in the prompt",
)


@dataclass(frozen=True, slots=True)
class _Guess:
    """What columns hold: ``media`` by their names, ``texts`` for the prompt. ``dialects`` take these media, the first best.

    What none of them takes beside the others is left ``out``, and so are ``sparse`` texts. ``gaps`` says that rows lack some of what stays.
    """

    media: Mapping[str, MediaKind]
    texts: Sequence[str]
    dialects: Sequence[str]
    out: Sequence[str] = ()
    sparse: Sequence[str] = ()
    gaps: bool = False

    @property
    def kind(self) -> _Kind:
        """What the first job is about."""
        return next((kind for name, kind in _KINDS.items() if name in self.media.values()), _TEXTS)


def starter(table: Path, spec: Path) -> str:
    """Return a commented job spec for ``table`` that is to lie at ``spec``. Blocking. Raises ``DataError`` where the table is none."""
    source = open_source(Input(path=str(table.absolute())), Path.cwd())
    seen = list(islice((row for batch in source.batches() for row in cells(batch.table)), _ROWS_SEEN))
    guess = _guess(source.schema, seen, folder=table.is_dir())
    field = guess.kind.field
    name = re.sub(r"[^A-Za-z0-9._-]", "-", table.stem).lstrip("._-")[:100] or "job"
    path = os.path.relpath(table.absolute(), spec.absolute().parent)
    output = f"out/{name}.parquet" if path != f"out/{name}.parquet" else f"out/{name}.2.parquet"
    prefix = _prefix(source.schema.names, field)
    return _SPEC.format(
        spec=_quoted(str(spec)),
        name=_quoted(name),
        provider=_provider(guess.dialects),
        providers=" or ".join(", ".join(guess.dialects).rsplit(", ", 1)),
        model=guess.kind.model,
        table=_quoted(path),
        columns=", ".join(_quoted(column) for column in source.schema.names[:30]),
        parts="\n".join(_parts(guess)),
        output=_quoted(output),
        prefix=f"\n  prefix: {_quoted(prefix)}         # the table has columns named like those of the output"
        if prefix
        else "",
        fields=f"{field}: string",
        on_null=_NULLS[guess.gaps].format(seen=len(seen)),
    )


def _provider(dialects: Sequence[str]) -> str:
    """Return the simulator, speaking as the first of the dialects that take the job's media, and whom to name in its place."""
    simulator = "simulator" if dialects[0] == next(iter(DIALECTS)) else f"{{name: simulator, dialect: {dialects[0]}}}"
    why = "" if len(dialects) == len(DIALECTS) else " (what else there is takes no such media)"
    return f"{simulator:<20} # {', '.join(dialects)}{why}"


def _prefix(columns: list[str], field: str) -> str:
    """Return the shortest prefix with which no column of the output is called like one of the table's."""
    added = {field, "output", *(ours.name for ours in OURS)}
    prefixes = accumulate(repeat(_PREFIX), initial="")
    return next(
        prefix
        for prefix in prefixes
        if added.isdisjoint(name.removeprefix(prefix) for name in columns if name.startswith(prefix))
    )


def _guess(schema: pa.Schema, seen: Sequence[Mapping[str, object]], *, folder: bool) -> _Guess:
    """Tell media and texts apart by type and by the first rows; texts that most of these lack are left out."""
    if folder:
        return _Guess({"path": "image"}, [], _takers({"image"}))
    fields = [field for field in schema if not _UNSAYABLE.search(field.name)]
    found = {field.name: _media_kind(field.type, _first_cell(seen, field.name)) for field in fields}
    media = {name: kind for name, kind in found.items() if kind is not None}
    texts = [
        field.name
        for field in fields
        if field.name not in media and not (pa.types.is_nested(field.type) or holds_bytes(field.type))
    ]
    filled = {name: sum(row[name] is not None for row in seen) for name in (*texts, *media)}
    full = [name for name in texts if 2 * filled[name] >= len(seen)]
    shown = (full or texts)[:_TEXT_COLUMNS]
    sparse = [name for name in texts if full and name not in full]
    out: list[str] = []
    while not (dialects := _takers(set(media.values()) - {media[name] for name in out})):
        out.append(next(name for name, kind in reversed(media.items()) if name not in out and kind != "image"))
    kept = {name: kind for name, kind in media.items() if name not in out}
    gaps = any(filled[name] < len(seen) for name in (*shown, *kept))
    return _Guess(kept, shown, dialects, out, sparse, gaps)


def _takers(kinds: Collection[MediaKind]) -> list[str]:
    """Return the dialects that take all these kinds of media."""
    return [name for name, dialect in DIALECTS.items() if dialect.parts.issuperset(f"input_{kind}" for kind in kinds)]


def _first_cell(seen: Sequence[Mapping[str, object]], column: str) -> object:
    return next((row[column] for row in seen if row[column] is not None), None)


def _media_kind(type_: pa.DataType, cell: object) -> MediaKind | None:
    """Return what a column holds by its type and a cell of it: bytes are told by themselves, paths and addresses by their ending."""
    if pa.types.is_struct(type_) and {"bytes", "path"} <= {field.name for field in type_}:
        inside = cell if isinstance(cell, Mapping) else {}
        return _kind_of(inside.get("bytes")) or _kind_of(inside.get("path")) or "image"
    return _kind_of(cell)


def _kind_of(cell: object) -> MediaKind | None:
    if isinstance(cell, bytes):
        if image_type(cell) is not None:
            return "image"
        if video_type(cell) is not None:
            return "video"
        return "file" if cell.startswith(b"%PDF-") else None
    if not isinstance(cell, str):
        return None
    address = cell.strip().lower().partition("?")[0]
    return next((name for name, kind in _KINDS.items() if address.endswith(kind.endings)), None)


def _parts(guess: _Guess) -> list[str]:
    shown = " ".join(f"{column}: {{{{ {_reference(column)} }}}}." for column in guess.texts)
    return [
        f"    - text: {_quoted(f'{guess.kind.task} {shown}'.strip())}",
        *(f"    - {kind}: {_quoted(column)}" for column, kind in guess.media.items()),
        *(f"    # {_quoted(column)} is left out: no provider takes it beside the others" for column in guess.out),
        *(f"    # {_quoted(column)} is left out: most of the first rows have none" for column in guess.sparse),
    ]


def _reference(column: str) -> str:
    """Write a column as templates know it."""
    if _NAME.fullmatch(column):
        return column
    return f'row["{column}"]' if "'" in column else f"row['{column}']"


def _quoted(text: str) -> str:
    """Write a text as a YAML scalar: bare where that is safe, else in double quotes; a ``${`` of it names no variable."""
    if _BARE.fullmatch(text):
        return text
    escaped = json.dumps(text.replace("${", "$${"), ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in escaped)
