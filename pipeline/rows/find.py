"""From what the job spec calls ``input.path`` to the files it means, in order, and their format."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import DataError
from pipeline.rows.columns import suggest
from pipeline.rows.door import translated
from pipeline.rows.images import images_below

if TYPE_CHECKING:
    from pipeline.spec.input import Input

_SENT = (".jpg", ".jpeg", ".png", ".gif", ".webp")
# Not sent as they are, but each is a row that says so: a photo that is left out without a word is missed too late.
_OTHERS = (".jpe", ".jfif", ".heic", ".heif", ".avif", ".svg", ".tif", ".tiff", ".bmp")
_IMAGE_ENDINGS = frozenset((*_SENT, *_OTHERS))
_FORMATS: Mapping[str, str] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    **dict.fromkeys(sorted(_IMAGE_ENDINGS), "images"),
}
_NAMES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Found:
    """The input's files in order, their format, and the folder below which paths in cells are looked up."""

    files: tuple[Path, ...]
    format: str
    root: Path


def find(spec: Input, folder: Path) -> Found:
    """Find the files of the input, with relative paths counted from ``folder``.

    Raises ``DataError`` if there is nothing to find, if the formats are mixed, or if one is unknown.
    """
    patterns = [spec.path] if isinstance(spec.path, str) else spec.path
    with translated("input.path"):
        if len(patterns) == 1 and (place := _place(patterns[0], folder)).is_dir():
            return _image_folder(place, spec)
        files = tuple(file for pattern in patterns for file in _matching(pattern, folder))
    if not files:
        raise DataError("input.path is an empty list", hint="name at least one file")
    kinds = Counter(spec.format or _format(file) for file in files)
    if len(kinds) > 1:
        counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        raise DataError(f"input.path names files of different formats: {counts}", hint="read one format per job")
    (kind,) = kinds
    root = Path(os.path.commonpath([file.parent for file in files])) if kind == "images" else files[0].parent
    return Found(files, kind, root)


def _place(path: str, folder: Path) -> Path:
    return folder.absolute() / _at_home(path)


def _at_home(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise DataError(f"{path}: {error}", hint="write the path without ~") from error


def _image_folder(root: Path, spec: Input) -> Found:
    if spec.format not in (None, "images"):
        hint = f"name its {spec.format} files with a pattern such as {spec.path}/*.{spec.format}"
        raise DataError(f"{root} is a folder", hint=hint)
    files = tuple(sorted(images_below(root, _IMAGE_ENDINGS), key=lambda file: _natural(str(file.relative_to(root)))))
    if not files:
        endings = ", ".join(sorted(_IMAGE_ENDINGS))
        hint = f"name tables with a pattern such as {spec.path}/*.parquet"
        raise DataError(f"{root}: no images ({endings}); {_holds(root)}", hint=hint)
    return Found(files, "images", root)


def _matching(pattern: str, folder: Path) -> list[Path]:
    place = _place(pattern, folder)
    if place.is_file():  # a name may hold brackets
        return [place]
    if place.is_dir():
        raise DataError(f"{place} is a folder in a list of files", hint=f"use a pattern such as {pattern}/*.parquet")
    # Path.glob would take hidden files, and a pattern that is absolute it would not take.
    names = glob.glob(str(_at_home(pattern)), root_dir=folder, recursive=True)  # noqa: PTH207
    files = [file for file in (folder.absolute() / name for name in names) if file.is_file()]
    if not files:
        raise _nothing(place)
    return sorted(files, key=lambda file: _natural(str(file)))


def _nothing(place: Path) -> DataError:
    parent = place.parent
    close = suggest(place.name, [entry.name for entry in parent.iterdir()]) if parent.is_dir() else None
    hint = f"did you mean {close!r}?" if close else "a relative input.path counts from the job spec's folder"
    return DataError(f"{place}: no such file; {_holds(parent)}", hint=hint)


def _holds(folder: Path) -> str:
    if not folder.is_dir():
        return f"there is no folder {folder}"
    names = sorted((entry.name for entry in folder.iterdir() if not entry.name.startswith(".")), key=_natural)
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return f"{folder} holds {', '.join(names[:_NAMES_SHOWN]) or 'nothing'}{more}"


def _format(file: Path) -> str:
    try:
        return _FORMATS[file.suffix.lower()]
    except KeyError:
        message = f"{file}: the ending {file.suffix!r} is none of {', '.join(_FORMATS)}"
        raise DataError(message, hint="say what it is with input.format") from None


def _natural(text: str) -> tuple[list[str | int], str]:
    """Sort ``part-2`` before ``part-10``."""
    pieces = re.split(r"(\d+)", text)
    return [int(piece) if index % 2 else piece for index, piece in enumerate(pieces)], text
