"""How much media show is read from their headers: upright sides, seconds, pages."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from pipeline.errors import MediaError
from pipeline.media.extent import extent_of
from pipeline.records import Extent, Media, MediaKind

DATA = Path(__file__).parents[2] / "data"
LIMIT = 10**8


def in_memory(data: bytes, kind: MediaKind = "image") -> Media:
    """Return media that are a cell's bytes."""
    return Media(identity="", label="cell", data=data, kind=kind)


def on_disk(path: Path, kind: MediaKind = "image") -> Media:
    """Return media that are a file."""
    return Media(identity="", label=path.name, path=path.resolve(), kind=kind)


def picture(form: str, size: tuple[int, int], turned: int = 1, **options: object) -> bytes:
    """Return a picture of this stored size, turned by EXIF where its format has that."""
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = turned
    Image.new("L" if form == "GIF" else "RGB", size).save(buffer, form, exif=exif.tobytes(), **options)
    return buffer.getvalue()


@pytest.mark.parametrize("path", sorted((DATA / "photos").iterdir()), ids=lambda path: path.name)
def test_a_picture_has_the_size_that_pillow_finds(path: Path) -> None:
    """From its file and from its bytes alike."""
    with Image.open(path) as image:
        expected = Extent(*ImageOps.exif_transpose(image).size)
    assert extent_of(on_disk(path), LIMIT) == extent_of(in_memory(path.read_bytes()), LIMIT) == expected


@pytest.mark.parametrize(("turned", "size"), [(1, (300, 200)), (3, (300, 200)), (6, (200, 300)), (8, (200, 300))])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_sides_are_those_of_the_upright_picture(form: str, turned: int, size: tuple[int, int]) -> None:
    """EXIF swaps them, wherever in the file it stands."""
    assert extent_of(in_memory(picture(form, (300, 200), turned)), LIMIT) == Extent(*size)


@pytest.mark.parametrize("profile", [0, 5_000, 60_000, 600_000])
def test_a_header_behind_a_long_preview_is_found(tmp_path: Path, profile: int) -> None:
    """Cameras put previews and color profiles before the size: then more is read."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(picture("JPEG", (40, 30), icc_profile=bytes(profile)))
    assert extent_of(on_disk(path), LIMIT) == Extent(40, 30)


@pytest.mark.parametrize("form", ["TIFF", "BMP"])
def test_formats_that_are_converted_have_a_size_too(form: str) -> None:
    """They are sent as PNG where media.convert is set."""
    buffer = io.BytesIO()
    Image.new("RGB", (31, 17)).save(buffer, form)
    assert extent_of(in_memory(buffer.getvalue()), LIMIT) == Extent(31, 17)


def test_hostile_pictures_are_survived(hostile: Mapping[str, bytes]) -> None:
    """They have a size or none; nothing is raised and nothing is decoded."""
    assert all(isinstance(extent_of(in_memory(data), LIMIT), Extent) for data in hostile.values())


@given(st.binary(max_size=300), st.sampled_from(["image", "video", "file"]))
@settings(deadline=None)
def test_any_bytes_have_an_extent(data: bytes, kind: MediaKind) -> None:
    """Rows may hold anything."""
    assert isinstance(extent_of(in_memory(data, kind), LIMIT), Extent)


@pytest.mark.parametrize(
    ("name", "kind", "extent"),
    [
        ("clips/clock.mp4", "video", Extent(160, 120, 3.0)),
        ("clips/ball.webm", "video", Extent(160, 120, 4.0)),
        ("documents/pond.pdf", "file", Extent(pages=2)),
        ("claims.csv", "file", Extent(text_bytes=(DATA / "claims.csv").stat().st_size)),
        ("photos/cat.png", "file", Extent()),
        ("photos/cat.png", "video", Extent()),
        ("claims.csv", "image", Extent()),
    ],
)
def test_videos_have_seconds_and_files_have_pages_or_text(name: str, kind: MediaKind, extent: Extent) -> None:
    """By their content; of what is something else nothing is known."""
    assert extent_of(on_disk(DATA / name, kind), LIMIT) == extent


def test_a_url_is_not_looked_at() -> None:
    """Its size is unknown."""
    assert extent_of(Media(identity="", label="u", url="https://example.org/a.png"), LIMIT) == Extent()


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    """As it is when it would be sent."""
    with pytest.raises(MediaError, match=r"cannot read gone\.png: No such file"):
        extent_of(on_disk(tmp_path / "gone.png"), LIMIT)


def test_no_more_is_read_than_the_limit(tmp_path: Path) -> None:
    """Of a picture whose header tells its size that is no matter; a document is read whole."""
    path = tmp_path / "a.bin"
    path.write_bytes(picture("JPEG", (900, 900)))
    assert extent_of(on_disk(path), 100) == Extent(900, 900)
    with pytest.raises(MediaError, match="bytes; 100 are the limit"):
        extent_of(on_disk(path, "file"), 100)
