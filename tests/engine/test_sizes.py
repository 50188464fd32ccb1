"""`check` says what scaling the first pictures down saves."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import pipeline
from pipeline.media.prepare import ImageRules, prepare_image
from pipeline.wire.dialect import DIALECTS

DIALECT = DIALECTS["openai"]


def photo(width: int, height: int, *, turned: int = 1) -> bytes:
    """Return a photo of this stored size."""
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = turned
    Image.effect_noise((width, height), 40).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


@pytest.fixture
def notes(tmp_path: Path) -> Any:
    """Return the function that checks a job over a folder of pictures and returns the notes about their sizes."""

    def checked(pictures: Mapping[str, bytes], *sets: str) -> list[str]:
        folder = tmp_path / "p"
        folder.mkdir()
        for name, data in pictures.items():
            (folder / name).write_bytes(data)
        spec = "provider: simulator\nmodel: m\ninput: p\nprompt:\n  - text: x\n  - image: path\noutput: o.parquet\n"
        (tmp_path / "job.yaml").write_text(spec)
        return [note for note in pipeline.check(tmp_path / "job.yaml", sets=sets).notes if "pictures" in note]

    return checked


def test_what_max_side_saves_is_told_in_bytes_and_pixels(notes: Any) -> None:
    """Of the pictures that are larger, whichever way they lie; what cannot be sent is not counted as saved."""
    large = {"a.jpg": photo(1000, 500), "b.jpg": photo(1000, 500, turned=6)}
    (note,) = notes({**large, "c.jpg": photo(90, 90), "d.jpg": b"no picture"}, "media.max_side=200")
    before = sum(map(len, large.values())) / 1e6
    rules = ImageRules(DIALECT.image_formats, DIALECT.max_image_bytes, 200)
    after = sum(len(prepare_image(data, rules).data) for data in large.values()) / 1e6
    assert note == (
        f"media.max_side 200 shrinks 2 of the first 4 pictures: {before:.1f} MB -> {after:.1f} MB, 1.0 -> 0.0 megapixels, "
        "by which input tokens are counted"
    )


def test_a_side_is_suggested_where_pictures_are_larger_than_recommended(notes: Any) -> None:
    """Only a look at their headers is needed for that."""
    assert notes({"a.jpg": photo(4096, 64), "b.jpg": photo(2048, 64)}) == [
        "1 of the first 2 pictures has a side of more than the 2,048 pixels that providers recommend; "
        "media.max_side: 2048 would send 0.3 -> 0.1 megapixels, by which input tokens are counted"
    ]


@pytest.mark.parametrize("sets", [(), ("media.max_side=2048",)])
def test_nothing_is_said_of_pictures_that_are_small_enough(notes: Any, sets: tuple[str, ...]) -> None:
    """A note is for what can be saved."""
    assert notes({"a.jpg": photo(2048, 64)}, *sets) == []


def test_no_more_than_the_first_pictures_are_read(notes: Any) -> None:
    """A folder of any size is checked in a moment."""
    (note,) = notes({f"{number}.jpg": photo(2100, 8) for number in range(30)})
    assert note.startswith("20 of the first 20 pictures have a side")
