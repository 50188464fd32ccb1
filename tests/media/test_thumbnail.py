"""Small copies of pictures: of whatever can be shown, and of nothing that would hurt."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from pipeline.media.structure import image_facts
from pipeline.media.thumbnail import MOST_PIXELS, SIDE, thumbnail

PHOTOS = Path(__file__).parents[2] / "data" / "photos"
HOSTILE = Path(__file__).parent / "hostile"


@pytest.mark.parametrize("photo", sorted(PHOTOS.iterdir()), ids=lambda photo: photo.name)
def test_every_sample_photo_has_a_small_copy(photo: Path) -> None:
    """It is a WebP no longer than the side, of the same shape, and of few bytes."""
    data = photo.read_bytes()
    small = thumbnail(data)
    assert small is not None
    shown, whole = image_facts(small), image_facts(data)
    assert shown is not None
    assert whole is not None
    assert shown.media_type == "image/webp"
    assert max(shown.width, shown.height) == min(SIDE, max(whole.displayed))
    assert shown.width / shown.height == pytest.approx(whole.displayed[0] / whole.displayed[1], rel=0.02)
    assert len(small) < 60_000


@pytest.mark.parametrize(("form", "has_one"), [("PNG", False), ("JPEG", True)])
def test_a_picture_that_takes_seconds_to_decode_has_none(form: str, has_one: bool) -> None:
    """A JPEG is decoded at an eighth, and may be larger."""
    out = BytesIO()
    Image.new("L", (8_000, MOST_PIXELS // 8_000 + 1)).save(out, form)
    assert (thumbnail(out.getvalue()) is not None) == has_one


@pytest.mark.parametrize(
    "data", [b"", b"<html>", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"], ids=["empty", "html", "png", "jpeg"]
)
def test_what_is_no_picture_has_none(data: bytes) -> None:
    """A broken picture is no picture, and no error."""
    assert thumbnail(data) is None
