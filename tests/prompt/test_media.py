"""From cells to pictures: every form a cell may have, and no file outside the folders that rows may name."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path

import pytest

from pipeline.errors import MediaError, NullCell
from pipeline.prompt.media import MediaFinder
from pipeline.records import Media

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
URL = "https://example.org/a.png?size=1"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a picture, one in a folder below it, and one outside."""
    root = tmp_path / "root"
    (root / "deep").mkdir(parents=True)
    for path in (root / "a.png", root / "deep" / "b c.png", tmp_path / "secret.png"):
        path.write_bytes(PNG)
    return root


def found(root: Path, cell: object, *, roots: tuple[Path, ...] = (), null_is_empty: bool = False) -> list[Media]:
    """Return the pictures of a cell in the column ``photo``."""
    return MediaFinder(root, roots, null_is_empty=null_is_empty).find(cell, "photo")


def test_a_url_is_sent_as_it_stands(root: Path) -> None:
    """A URL is not fetched, only its white space is trimmed, and it is its own identity."""
    (media,) = found(root, f" {URL}\n")
    assert (media.url, media.identity, media.path, media.data) == (URL, f"url:{URL}", None, None)


def test_a_url_is_called_by_its_place_alone(root: Path) -> None:
    """Its query may be a signature that is as good as a key, and messages are kept."""
    (media,) = found(root, "https://bucket.example/a.jpg?signature=secret#part")
    assert media.label == "https://bucket.example/a.jpg"


@pytest.mark.parametrize(
    "uri", ["data:image/png;base64,", "DATA:IMAGE/JPEG;BASE64,", "data:;base64,", "data:image/png;x=y;base64,"]
)
def test_a_data_uri_is_its_bytes(root: Path, uri: str) -> None:
    """Whatever type it claims; and it is the same picture as those bytes in a binary column."""
    (media,) = found(root, uri + b64encode(PNG).decode())
    assert media.data == PNG
    assert media.identity == found(root, PNG)[0].identity


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("data:image/png,abc", "not base64"),
        ("data:image/png;base64", "not base64"),
        ("data:image/png;base64,a*b=", "base64 is broken"),
        ("data:image/png;base64,abcde", "base64 is broken"),
        ("data:image/png;base64,ä", "base64 is broken"),
        ("data:image/png;base64,", "is empty"),
    ],
)
def test_a_broken_data_uri_fails_the_row(root: Path, uri: str, said: str) -> None:
    """The message names the column and the trouble."""
    with pytest.raises(MediaError, match=f"photo.*{said}"):
        found(root, uri)


@pytest.mark.parametrize("cell", [PNG, bytearray(PNG), memoryview(PNG), {"bytes": PNG, "path": None}, {"bytes": PNG}])
def test_bytes_are_the_picture(root: Path, cell: object) -> None:
    """Bytes by themselves, and in the struct in which data sets keep them, are called by their column."""
    (media,) = found(root, cell)
    assert (media.data, media.label, media.url, media.path) == (PNG, "photo", None, None)


def test_a_struct_with_bytes_and_a_path_is_its_bytes(root: Path) -> None:
    """The path beside the bytes only names them in messages; it need not exist."""
    (media,) = found(root, {"bytes": PNG, "path": "gone/x.png"})
    assert (media.data, media.label, media.path) == (PNG, "gone/x.png", None)


def test_a_file_too_large_to_send_is_not_read_to_tell_it_apart(root: Path) -> None:
    """To read it might take hours, and its row fails anyway; beyond a gibibyte size and time must do."""
    with (root / "sparse.png").open("wb") as file:
        file.truncate(1024**3 + 1)
    (media,) = MediaFinder(root, (), null_is_empty=False, identity="content").find("sparse.png", "photo")
    assert media.identity.startswith("file:sparse.png:1073741825:")


@pytest.mark.parametrize(
    "cell", ["a.png", " a.png ", "./a.png", "deep/../a.png", {"bytes": None, "path": "a.png"}, {"path": "a.png"}]
)
def test_a_relative_path_counts_from_the_root(root: Path, cell: object) -> None:
    """However it is written, it is the same file with the same identity."""
    (media,) = found(root, cell)
    facts = (root / "a.png").stat()
    assert media.path == root / "a.png"
    assert (media.label, media.identity) == ("a.png", f"file:a.png:{facts.st_size}:{facts.st_mtime_ns}")


def test_an_absolute_path_below_the_root_has_the_identity_of_a_relative_one(root: Path) -> None:
    """So a table with absolute paths may move together with its files."""
    assert found(root, str(root / "deep" / "b c.png")) == found(root, "deep/b c.png")


def test_a_list_is_its_pictures_in_order(root: Path) -> None:
    """Forms may be mixed, and lists may be in lists."""
    media = found(root, [URL, [PNG, ["a.png"]], {"bytes": PNG, "path": "x"}])
    assert [bool(each.url) + 2 * bool(each.data) + 4 * bool(each.path) for each in media] == [1, 2, 4, 2]


def test_an_empty_list_is_no_picture(root: Path) -> None:
    """A row may have none."""
    assert found(root, []) == []


NULLS = [
    None,
    [None],
    [URL, None],
    [[None]],
    {"bytes": None, "path": None},
    {"bytes": None, "path": ""},
    {"path": None},
]


@pytest.mark.parametrize("cell", NULLS, ids=repr)
def test_a_null_fails_the_row(root: Path, cell: object) -> None:
    """Also in a list or in a struct."""
    with pytest.raises(NullCell, match="column 'photo' is null"):
        found(root, cell)


@pytest.mark.parametrize("cell", NULLS, ids=repr)
def test_an_empty_null_leaves_the_pictures_beside_it(root: Path, cell: object) -> None:
    """With ``on_null: empty`` a null is no picture, and a list keeps its others."""
    assert [media.url for media in found(root, cell, null_is_empty=True)] == ([URL] if URL in (cell or ()) else [])


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("", "is an empty text"),
        ("  \n", "is an empty text"),
        (b"", "photo is empty"),
        ({"bytes": b"", "path": "x.png"}, "x.png is empty"),
        (7, "holds a int"),
        (1.5, "holds a float"),
        (True, "holds a bool"),
        ({}, "struct without bytes or path"),
        ({"url": URL}, "struct without bytes or path"),
        ({"bytes": "aGVsbG8=", "path": None}, "holds a str where the image's bytes should be"),
        ("s3://bucket/a.png", "has a scheme that is not sent"),
        ("file:///etc/passwd", "has a scheme that is not sent"),
        ("gs://b/a.png", "has a scheme that is not sent"),
        ("missing.png", "cannot open 'missing.png': No such file"),
        ("a.png/b", "cannot open"),
        ("a\0.png", "cannot open"),
        (".", "not a regular file"),
        ("deep", "not a regular file"),
    ],
)
def test_what_is_no_picture_fails_the_row(root: Path, cell: object, said: str) -> None:
    """The message says what the cell holds instead."""
    with pytest.raises(MediaError, match=said) as refused:
        found(root, cell)
    assert not isinstance(refused.value, NullCell)


def test_a_huge_text_is_not_repeated_in_the_message(root: Path) -> None:
    """Base64 without its head is a usual mistake; the message is short and says how to mend it."""
    with pytest.raises(MediaError, match="File name too long") as refused:
        found(root, "iVBORw0KGgo" * 100_000)
    assert len(refused.value.message) < 300
    assert "data:image/png;base64," in str(refused.value.hint)


@pytest.mark.parametrize(
    "cell",
    [
        "../secret.png",
        "deep/../../secret.png",
        "{outside}/secret.png",
        "/etc/hostname",
        "/proc/self/environ",
        "/proc/self/root/etc/hostname",
        "/proc/self/fd/0",
        "/dev/zero",
        "/dev/fd/0",
        "link.png",
        "linked/secret.png",
        "chain.png",
    ],
)
def test_a_row_names_no_file_outside(root: Path, cell: str) -> None:
    """Neither by dots, nor absolutely, nor through a link or a chain of them, nor through the kernel's folders."""
    outside = root.parent
    (root / "link.png").symlink_to(outside / "secret.png")
    (root / "linked").symlink_to(outside)
    (root / "chain.png").symlink_to(root / "link.png")
    with pytest.raises(MediaError, match=r"outside the folders that rows may name|cannot open|not a regular file"):
        found(root, cell.format(outside=outside))


def test_a_link_below_the_root_is_followed_inside_it(root: Path) -> None:
    """A link to another picture of the folder is that picture."""
    (root / "link.png").symlink_to("deep/b c.png")
    assert found(root, "link.png") == found(root, "deep/b c.png")


def test_a_loop_of_links_fails_the_row(root: Path) -> None:
    """It is an error of the row, not a hang."""
    (root / "one").symlink_to("two")
    (root / "two").symlink_to("one")
    with pytest.raises(MediaError, match="cannot open 'one'"):
        found(root, "one")


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/tty"])
def test_a_device_is_no_picture(root: Path, device: str) -> None:
    """Also where its folder is declared, and without being opened."""
    with pytest.raises(MediaError, match=r"not a regular file|cannot open"):
        found(root, device, roots=(Path("/dev"),))


def test_a_pipe_is_no_picture(root: Path) -> None:
    """A pipe below the root is refused without waiting for somebody to write into it."""
    os.mkfifo(root / "pipe.png")
    with pytest.raises(MediaError, match=r"'pipe\.png' is not a regular file"):
        found(root, "pipe.png")


def test_a_declared_root_may_be_named(root: Path) -> None:
    """Files below it are found, by absolute path and by dots, under their absolute name."""
    outside = root.parent
    (media,) = found(root, "../secret.png", roots=(outside,))
    assert media.path == outside / "secret.png"
    assert media.identity.startswith(f"file:{outside}/secret.png:")


def test_identity_by_stat_follows_size_and_time(root: Path) -> None:
    """Another size or another time is another picture; opening it changes nothing."""
    before = found(root, "a.png")[0].identity
    assert found(root, "a.png")[0].identity == before
    os.utime(root / "a.png", ns=(1, 1))
    later = found(root, "a.png")[0].identity
    (root / "a.png").write_bytes(PNG + b"\0")
    os.utime(root / "a.png", ns=(1, 1))
    assert len({before, later, found(root, "a.png")[0].identity}) == 3


def test_identity_by_content_follows_the_bytes_alone(root: Path) -> None:
    """The same bytes under another name, at another time or in a cell are the same picture."""
    finder = MediaFinder(root, identity="content")
    (before,) = finder.find("a.png", "photo")
    os.utime(root / "a.png", ns=(1, 1))
    assert {media.identity for media in finder.find(["a.png", "deep/b c.png", PNG], "photo")} == {before.identity}
    (root / "a.png").write_bytes(PNG[:-1] + b"\1")
    assert finder.find("a.png", "photo")[0].identity != before.identity


def test_a_file_that_cannot_be_read_for_its_identity_fails_the_row(root: Path) -> None:
    """An input/output error while hashing is the row's, not the run's."""
    finder = MediaFinder(root, roots=(Path("/proc"),), identity="content")
    with pytest.raises(MediaError, match="cannot read mem"):
        finder.find("/proc/self/mem", "photo")


def test_a_picture_never_shows_its_bytes() -> None:
    """Neither in its repr nor in its label, so that no log or message holds them."""
    media = Media(identity="bytes:0", label="photo", data=b"SECRET")
    assert "SECRET" not in repr(media)
    assert "SECRET" not in str(media)
