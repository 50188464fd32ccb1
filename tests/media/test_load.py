"""The bytes that leave: checked by content and size, and never those of another file."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from pipeline.errors import MediaError
from pipeline.media.load import digest, digest_file, find_file, load_picture
from pipeline.records import Media
from pipeline.wire.dialect import DIALECTS

OPENAI = DIALECTS["openai"]
SMALL = OPENAI.overridden({"max_image_bytes": 1000})


def jpeg() -> bytes:
    """Return a small photograph."""
    buffer = io.BytesIO()
    Image.new("RGB", (3, 2), "red").save(buffer, "JPEG")
    return buffer.getvalue()


def in_file(path: Path, data: bytes) -> Media:
    """Write a file, and return it as a picture of a row."""
    path.write_bytes(data)
    return Media(identity="", label=path.name, path=path)


def in_cell(data: bytes) -> Media:
    """Return bytes as a picture of a row."""
    return Media(identity="", label="photo", data=data)


def test_a_wrong_name_does_not_matter(tmp_path: Path) -> None:
    """The media type that is sent is that of the content."""
    picture = load_picture(in_file(tmp_path / "photo.png", jpeg()), OPENAI)
    assert (picture.media_type, picture.data) == ("image/jpeg", jpeg())


@pytest.mark.parametrize("size", [1000, 1001, 1002, 5000])
def test_a_picture_is_refused_from_one_byte_above_the_limit(tmp_path: Path, size: int) -> None:
    """In a cell and in a file alike, with its real size in the message."""
    data = jpeg().ljust(size, b"\0")
    for media in (in_cell(data), in_file(tmp_path / "photo", data)):
        if size == 1000:
            assert len(load_picture(media, SMALL).data) == 1000
        else:
            with pytest.raises(
                MediaError, match=f"photo has {size:,} bytes; openai takes images up to 1,000"
            ) as refused:
                load_picture(media, SMALL)
            assert "downscale" in str(refused.value.hint)


def test_a_large_file_is_refused_without_being_read(tmp_path: Path) -> None:
    """A sparse file of a terabyte costs a look at its size."""
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(MediaError, match="has 1,099,511,627,776 bytes; openai takes images up to 20,971,520"):
        load_picture(Media(identity="", label="huge.png", path=path), OPENAI)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "it is empty"),
        (b"\xff\xd8", "its first bytes are ff d8"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "it is an HEIC or AVIF image"),
        (b"II*\0", "it is a TIFF image"),
        (b"<svg/>", "it is an SVG drawing"),
        (b"<!doctype html>", "it is an HTML page"),
    ],
)
def test_what_is_no_picture_is_refused_before_it_is_paid(tmp_path: Path, data: bytes, words: str) -> None:
    """The message names the file and what it really is."""
    with pytest.raises(MediaError, match=f"x.jpg is not a JPEG, PNG, GIF or WebP image: .*{words}"):
        load_picture(in_file(tmp_path / "x.jpg", data), OPENAI)


def test_a_format_that_the_dialect_does_not_take_is_refused() -> None:
    """A fact of the dialect decides."""
    with pytest.raises(MediaError, match="photo is image/jpeg, which openai does not take"):
        load_picture(in_cell(jpeg()), OPENAI.overridden({"image_formats": ["image/png"]}))


def test_a_link_put_in_a_files_place_is_not_followed(tmp_path: Path) -> None:
    """What was found as a file and is a link when it is sent stays unread."""
    (tmp_path / "secret").write_bytes(jpeg())
    media = in_file(tmp_path / "a.jpg", jpeg())
    assert media.path is not None
    media.path.unlink()
    media.path.symlink_to("secret")
    with pytest.raises(MediaError, match=r"cannot read a\.jpg"):
        load_picture(media, OPENAI)
    with pytest.raises(MediaError, match=r"cannot read a\.jpg"):
        digest_file(media.path)


def test_a_pipe_put_in_a_files_place_is_not_waited_for(tmp_path: Path) -> None:
    """Opening it does not block, and it is refused."""
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(MediaError, match=r"a\.jpg is not a regular file"):
        load_picture(Media(identity="", label="a.jpg", path=tmp_path / "a.jpg"), OPENAI)


@pytest.mark.parametrize("make", [Path.mkdir, Path.exists], ids=["folder", "nothing"])
def test_a_file_that_has_gone_fails_the_row(tmp_path: Path, make: object) -> None:
    """Also where a folder has taken its name."""
    path = tmp_path / "a.jpg"
    make(path)  # type: ignore[operator]
    with pytest.raises(MediaError, match=r"a\.jpg"):
        load_picture(Media(identity="", label="a.jpg", path=path), OPENAI)


def test_a_found_file_comes_with_its_facts(tmp_path: Path) -> None:
    """Size and time are read once, when the file is found."""
    media = in_file(tmp_path / "a.jpg", jpeg())
    path, facts = find_file("a.jpg", tmp_path, ())
    assert path == media.path
    assert facts.st_size == len(jpeg())


def test_a_file_has_the_digest_of_its_bytes(tmp_path: Path) -> None:
    """A picture is the same in a file and in a cell."""
    media = in_file(tmp_path / "a.jpg", jpeg())
    assert media.path is not None
    assert digest_file(media.path) == digest(jpeg())
