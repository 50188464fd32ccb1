"""The tables and jobs that are run, and the request bodies that other clients send for the same rows."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image

__all__ = ["IMAGE_BYTES", "MODEL", "image_body", "image_table", "text_body", "text_table", "write_job"]

MODEL = "gpt-5.4-mini"
IMAGE_BYTES = 150_000
"""Of a picture's file: 200 KB in base64."""

_SYSTEM = "You label support tickets. Answer with one short sentence."
_TEXT, _PICTURE = "Label this ticket: ", "What is on this picture?"
_TICKET = "Ticket {0}: the parcel number {1} came late and the box was open. "
_AT_ONCE = 50_000  # rows of a table that are made together
_TOKENS = 200


def text_table(path: Path, rows: int) -> Path:
    """Write a table of ``id`` and ``text``, each of some 260 characters."""
    writer = None
    for first in range(0, rows, _AT_ONCE):
        ids = range(first, min(first + _AT_ONCE, rows))
        table = pa.table({"id": list(ids), "text": [_TICKET.format(i, i * 7919) * 4 for i in ids]})
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()
    return path


def image_table(path: Path, rows: int) -> Path:
    """Write a table of ``id`` and ``path``, and beside it as many pictures of 150 kB, no two alike."""
    photo = _photo()
    names = [f"{number:06}.jpg" for number in range(rows)]
    for number, name in enumerate(names):
        (path.parent / name).write_bytes(photo + number.to_bytes(4, "big"))
    pq.write_table(pa.table({"id": list(range(rows)), "path": names}), path)
    return path


def _photo() -> bytes:
    """Return a JPEG, padded after its end to the size that all pictures have but for four bytes."""
    file = BytesIO()
    Image.effect_noise((1024, 768), 60).convert("RGB").save(file, "JPEG", quality=10)
    photo = file.getvalue()
    if len(photo) > IMAGE_BYTES - 4:
        raise ValueError(f"the picture has {len(photo)} bytes")
    return photo.ljust(IMAGE_BYTES - 4, b"\0")


def write_job(table: Path, url: str) -> Path:
    """Write the job over a table of this module beside it, and return its path."""
    is_text = "text" in pq.read_schema(table).names
    user: object = _TEXT + "{{ text }}" if is_text else [{"text": _PICTURE}, {"image": "path"}]
    job = {
        "name": "bench",
        "provider": {"dialect": "openai", "base_url": url},
        "model": MODEL,
        "input": {"path": table.name},
        "prompt": {"system": _SYSTEM, "user": user},
        "request": {"max_output_tokens": _TOKENS},
        "output": {"path": "out.parquet"},
    }
    path = table.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(job), encoding="utf-8")
    return path


def text_body(text: str) -> dict[str, object]:
    """Return the request that our job makes of a row's text."""
    return _body([{"type": "input_text", "text": _TEXT + text}])


def image_body(picture: bytes) -> dict[str, object]:
    """Return the request that our job makes of a row's picture."""
    uri = "data:image/jpeg;base64," + base64.b64encode(picture).decode()
    return _body([{"type": "input_text", "text": _PICTURE}, {"type": "input_image", "image_url": uri}])


def _body(content: list[dict[str, str]]) -> dict[str, object]:
    return {
        "model": MODEL,
        "instructions": _SYSTEM,
        "input": [{"role": "user", "content": content}],
        "max_output_tokens": _TOKENS,
        "store": False,
    }


def bodies(table: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the id and the ready request of each row: of a text its own, of a picture always that of the first one."""
    columns = pq.read_table(table)
    if "text" in columns.column_names:
        for number, text in zip(columns["id"].to_pylist(), columns["text"].to_pylist(), strict=True):
            yield number, orjson.dumps(text_body(text))
    else:
        ready = orjson.dumps(image_body((table.parent / columns["path"][0].as_py()).read_bytes()))
        for number in columns["id"].to_pylist():
            yield number, ready
