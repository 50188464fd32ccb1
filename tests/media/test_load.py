"""The bytes that are read: up to a limit, and never those of another file."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from pipeline.errors import MediaError
from pipeline.media.load import LARGEST_SOURCE, digest, digest_file, find_file, read_media
from pipeline.records import Media

LIMIT = 2**20


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


@pytest.mark.parametrize("size", [1000, 1001, 1002, 5000])
def test_a_picture_is_refused_from_one_byte_above_the_limit(tmp_path: Path, size: int) -> None:
    """In a cell and in a file alike, with its real size in the message and what to do about it."""
    data = jpeg().ljust(size, b"\0")
    for media in (in_cell(data), in_file(tmp_path / "photo", data)):
        if size == 1000:
            assert read_media(media, 1000) == data
        else:
            with pytest.raises(MediaError, match=f"photo has {size:,} bytes; 1,000 are the limit") as refused:
                read_media(media, 1000)
            assert "media.max_side" in str(refused.value.hint)


def test_a_file_that_comes_in_pieces_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may give less than was asked for; above the limit it stays refused."""
    read = os.read
    monkeypatch.setattr(os, "read", lambda file, size: read(file, min(size, 300)))
    media = in_file(tmp_path / "photo", jpeg().ljust(1000, b"\0"))
    assert read_media(media, 1000) == jpeg().ljust(1000, b"\0")


def test_a_file_that_grows_while_it_is_read_stays_within_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing beyond one byte above it is read."""
    media = in_file(tmp_path / "photo", jpeg().ljust(900, b"\0"))
    read, got = os.read, []

    def grown(file: int, size: int) -> bytes:
        with (tmp_path / "photo").open("ab") as more:
            more.write(b"more" * 25)
        got.append(read(file, size))
        return got[-1]

    monkeypatch.setattr(os, "read", grown)
    with pytest.raises(MediaError, match="1,001 bytes; 1,000 are the limit"):
        read_media(media, 1000)
    assert sum(map(len, got)) == 1001


def test_a_large_file_is_refused_without_being_read(tmp_path: Path) -> None:
    """A sparse file of a terabyte costs a look at its size."""
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(MediaError, match="has 1,099,511,627,776 bytes; 67,108,864 are the limit"):
        read_media(Media(identity="", label="huge.png", path=path), LARGEST_SOURCE)


def test_a_link_put_in_a_files_place_is_not_followed(tmp_path: Path) -> None:
    """What was found as a file and is a link when it is sent stays unread."""
    (tmp_path / "secret").write_bytes(jpeg())
    media = in_file(tmp_path / "a.jpg", jpeg())
    assert media.path is not None
    media.path.unlink()
    media.path.symlink_to("secret")
    with pytest.raises(MediaError, match=r"cannot read a\.jpg"):
        read_media(media, LIMIT)
    with pytest.raises(MediaError, match=r"cannot read a\.jpg"):
        digest_file(media.path)


def test_a_pipe_put_in_a_files_place_is_not_waited_for(tmp_path: Path) -> None:
    """Opening it does not block, and it is refused."""
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(MediaError, match=r"a\.jpg is not a regular file"):
        read_media(Media(identity="", label="a.jpg", path=tmp_path / "a.jpg"), LIMIT)


@pytest.mark.parametrize("make", [Path.mkdir, Path.exists], ids=["folder", "nothing"])
def test_a_file_that_has_gone_fails_the_row(tmp_path: Path, make: object) -> None:
    """Also where a folder has taken its name."""
    path = tmp_path / "a.jpg"
    make(path)  # type: ignore[operator]
    with pytest.raises(MediaError, match=r"a\.jpg"):
        read_media(Media(identity="", label="a.jpg", path=path), LIMIT)


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
