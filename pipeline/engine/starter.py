"""A first job spec for a table: what `pipeline init` writes. It runs offline as it stands, and says what to change."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from itertools import accumulate, islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.checkpoint.columns import OURS, holds_bytes
from pipeline.media.sniff import image_type
from pipeline.rows.columns import cells
from pipeline.rows.source import open_source
from pipeline.spec.input import Input

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".gif", ".webp")
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
# For real: put your key into the environment and set provider to openai, qingbo or apimart.
name: {name}
provider: simulator            # openai, qingbo, apimart, or {{base_url: …}} for any compatible server
model: gpt-5.4-mini
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
# on_null: fail                # or skip, or empty: what becomes of rows with a null in the prompt
"""


@dataclass(frozen=True, slots=True)
class _Guess:
    images: list[str]
    texts: list[str]


def starter(table: Path, spec: Path) -> str:
    """Return a commented job spec for ``table`` that is to lie at ``spec``. Blocking. Raises ``DataError`` where the table is none."""
    source = open_source(Input(path=str(table.absolute())), Path.cwd())
    seen = list(islice((row for batch in source.batches() for row in cells(batch.table)), _ROWS_SEEN))
    guess = _guess(source.schema, seen, folder=table.is_dir())
    field = "caption" if guess.images else "label"
    name = re.sub(r"[^A-Za-z0-9._-]", "-", table.stem).lstrip("._-")[:100] or "job"
    path = os.path.relpath(table.absolute(), spec.absolute().parent)
    output = f"out/{name}.parquet" if path != f"out/{name}.parquet" else f"out/{name}.2.parquet"
    prefix = _prefix(source.schema.names, field)
    return _SPEC.format(
        spec=_quoted(str(spec)),
        name=_quoted(name),
        table=_quoted(path),
        columns=", ".join(_quoted(column) for column in source.schema.names[:30]),
        parts="\n".join(_parts(guess)),
        output=_quoted(output),
        prefix=f"\n  prefix: {_quoted(prefix)}         # the table has columns named like those of the output"
        if prefix
        else "",
        fields=f"{field}: string",
    )


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
    """Tell pictures and texts apart by type and by the first rows; columns without nulls there come first, for a null fails its row."""
    if folder:
        return _Guess(["path"], [])
    fields = [field for field in schema if not _UNSAYABLE.search(field.name)]
    first = seen[0] if seen else {}
    images = [field.name for field in fields if _is_picture(field.type, first.get(field.name))]
    texts = [
        field.name
        for field in fields
        if field.name not in images and not (pa.types.is_nested(field.type) or holds_bytes(field.type))
    ]
    whole = [name for name in texts if all(row[name] is not None for row in seen)]
    return _Guess(images, (whole or texts)[:_TEXT_COLUMNS])


def _is_picture(type_: pa.DataType, cell: object) -> bool:
    if pa.types.is_struct(type_):
        return {"bytes", "path"} <= {type_.field(index).name for index in range(type_.num_fields)}
    if isinstance(cell, bytes):
        return image_type(cell) is not None
    return isinstance(cell, str) and cell.lower().split("?")[0].endswith(_IMAGE_ENDINGS)


def _parts(guess: _Guess) -> list[str]:
    task = "Describe this picture in one sentence." if guess.images else "Say in one word what this is about."
    shown = " ".join(f"{column}: {{{{ {_reference(column)} }}}}." for column in guess.texts)
    parts = [f"    - text: {_quoted(f'{task} {shown}'.strip())}"]
    return parts + [f"    - image: {_quoted(column)}" for column in guess.images]


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
