"""A first job spec for a table: what `pipeline init` writes. It runs offline as it stands, and says what to change."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.rows.columns import cells
from pipeline.rows.source import open_source
from pipeline.spec.job import Input

if TYPE_CHECKING:
    from collections.abc import Mapping

_IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".gif", ".webp")
_TEXT_COLUMNS = 4  # enough for a first prompt; a person adds the rest

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
  path: {output}
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
    first = next((row for batch in source.batches() for row in cells(batch.table)), {})
    guess = _guess(source.schema, first, folder=table.is_dir())
    name = (
        "".join(char if char.isalnum() or char in "._-" else "-" for char in (table.stem or "job")).lstrip("._-")
        or "job"
    )
    return _SPEC.format(
        spec=spec,
        name=name[:100],
        table=_quoted(os.path.relpath(table.absolute(), spec.absolute().parent)),
        columns=", ".join(_quoted(column) for column in source.schema.names[:30]),
        parts="\n".join(_parts(guess)),
        output=_quoted(f"out/{name}.parquet"),
        fields="caption: string" if guess.images else "label: string",
    )


def _guess(schema: pa.Schema, first: Mapping[str, object], *, folder: bool) -> _Guess:
    """Tell pictures and texts apart by type and by the first row."""
    images = ["path"] if folder else [field.name for field in schema if _is_picture(field.type, first.get(field.name))]
    texts = [
        field.name
        for field in schema
        if field.name not in images and not pa.types.is_nested(field.type) and not pa.types.is_binary(field.type)
    ]
    return _Guess(images, [] if folder else texts[:_TEXT_COLUMNS])


def _is_picture(type_: pa.DataType, cell: object) -> bool:
    if pa.types.is_struct(type_):
        return {"bytes", "path"} <= {type_.field(index).name for index in range(type_.num_fields)}
    if pa.types.is_binary(type_) or pa.types.is_large_binary(type_):
        return True
    return isinstance(cell, str) and cell.lower().split("?")[0].endswith(_IMAGE_ENDINGS)


def _parts(guess: _Guess) -> list[str]:
    task = "Describe this picture in one sentence." if guess.images else "Say in one word what this is about."
    shown = " ".join(
        f"{column}: {{{{ {column} }}}}." if column.isidentifier() else f"{column}: {{{{ row['{column}'] }}}}."
        for column in guess.texts
    )
    parts = [f"    - text: {_quoted(f'{task} {shown}'.strip())}"]
    return parts + [f"    - image: {_quoted(column)}" for column in guess.images]


def _quoted(text: str) -> str:
    """Write a text as a YAML scalar: bare where that is safe, else in double quotes."""
    if text and all(char.isalnum() or char in "_./-" for char in text) and text[0].isalpha():
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
