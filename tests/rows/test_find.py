"""From input.path to files: globs, lists, folders, formats, and what is said when there is nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.errors import DataError
from pipeline.rows.find import find
from pipeline.spec.input import Input


def make(folder: Path, *names: str) -> None:
    """Create empty files."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def names(folder: Path, path: str | list[str], **options: object) -> list[str]:
    """Return the names of the files that a path means."""
    found = find(Input.model_validate({"path": path, **options}), folder)
    return [os.path.relpath(file, folder) for file in found.files]


def test_files_of_a_glob_come_in_natural_order(tmp_path: Path) -> None:
    """Shard 2 is read before shard 10, whatever order the disk lists them in."""
    make(tmp_path, "part-10.csv", "part-2.csv", "part-1.csv", "other.csv", ".part-3.csv")
    assert names(tmp_path, "part-*.csv") == ["part-1.csv", "part-2.csv", "part-10.csv"]


def test_two_stars_reach_into_folders(tmp_path: Path) -> None:
    """Hidden files and folders are not taken, nor are folders with a fitting name."""
    make(tmp_path, "a/2.csv", "a/b/1.csv", "0.csv", ".git/9.csv", "folder.csv/x.txt")
    assert names(tmp_path, "**/*.csv") == ["0.csv", "a/2.csv", "a/b/1.csv"]


def test_a_list_keeps_its_order_and_may_hold_globs(tmp_path: Path) -> None:
    """The first file of the list is the first of the table."""
    make(tmp_path, "z.csv", "a1.csv", "a2.csv")
    assert names(tmp_path, ["z.csv", "a*.csv"]) == ["z.csv", "a1.csv", "a2.csv"]


def test_a_name_with_brackets_is_a_name_first(tmp_path: Path) -> None:
    """A file that exists is meant, even if its name could be read as a pattern; so is a folder."""
    folder = tmp_path / "run [1]"
    make(folder, "data[2].csv", "data2.csv")
    assert names(folder, "data[2].csv") == ["data[2].csv"]
    assert names(folder, "data?.csv") == ["data2.csv"]


def test_absolute_paths_do_not_depend_on_the_folder(tmp_path: Path) -> None:
    """The spec's folder counts for relative paths only."""
    make(tmp_path, "a/x.csv")
    found = find(Input(path=str(tmp_path / "*" / "x.csv")), Path("/nowhere"))
    assert found.files == (tmp_path / "a" / "x.csv",)
    assert found.root == tmp_path / "a"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.parquet", "parquet"),
        ("a.PQ", "parquet"),
        ("a.csv", "csv"),
        ("a.tsv", "csv"),
        ("a.jsonl", "jsonl"),
        ("a.ndjson", "jsonl"),
    ],
)
def test_the_ending_tells_the_format(name: str, kind: str, tmp_path: Path) -> None:
    """Upper case or lower."""
    make(tmp_path, name)
    assert find(Input(path=name), tmp_path).format == kind


def test_a_format_that_is_told_overrides_the_ending(tmp_path: Path) -> None:
    """A table may have any name."""
    make(tmp_path, "table.txt")
    assert find(Input(path="table.txt", format="csv"), tmp_path).format == "csv"


def test_a_folders_pictures_of_other_formats_are_rows_too(tmp_path: Path) -> None:
    """Nothing that is a picture to people is left out without a word; whether it can be sent its row says."""
    make(
        tmp_path, "p/a.heic", "p/b.HEIF", "p/c.avif", "p/d.svg", "p/e.tif", "p/f.tiff", "p/g.bmp", "p/h.jpg", "p/i.txt"
    )
    assert [file.suffix for file in find(Input(path="p"), tmp_path).files] == [
        *(".heic", ".HEIF", ".avif", ".svg", ".tif", ".tiff", ".bmp", ".jpg")
    ]


def test_a_folder_of_images_is_searched_to_its_leaves(tmp_path: Path) -> None:
    """Any case of the endings, natural order, and nothing hidden."""
    make(
        tmp_path, "p/10.jpg", "p/9.JPEG", "p/sub/a.webp", "p/b.PNG", "p/c.gif", "p/.d.png", "p/.e/f.png", "p/readme.txt"
    )
    found = find(Input(path="p"), tmp_path)
    assert found.format == "images"
    assert found.root == tmp_path / "p"
    assert [str(file.relative_to(found.root)) for file in found.files] == [
        "9.JPEG",
        "10.jpg",
        "b.PNG",
        "c.gif",
        "sub/a.webp",
    ]


def test_links_that_lead_out_of_the_folder_are_not_taken(tmp_path: Path) -> None:
    """A picture elsewhere is not the job's, and a ring of folders does not trap the search."""
    make(tmp_path, "secret.png", "p/a.png", "elsewhere/x.png")
    (tmp_path / "p" / "out.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "p" / "in.png").symlink_to(tmp_path / "p" / "a.png")
    (tmp_path / "p" / "gone.png").symlink_to(tmp_path / "p" / "nothing.png")
    (tmp_path / "p" / "ring").symlink_to(tmp_path / "p")
    (tmp_path / "p" / "elsewhere").symlink_to(tmp_path / "elsewhere")
    assert names(tmp_path, "p") == ["p/a.png", "p/in.png"]


def test_image_files_may_be_named_by_a_pattern(tmp_path: Path) -> None:
    """Then their paths count from the folder that holds them all."""
    make(tmp_path, "p/a/1.png", "p/b/2.jpg")
    assert find(Input(path="p/*/*"), tmp_path).root == tmp_path / "p"


@pytest.mark.parametrize(
    ("path", "options", "message", "hint"),
    [
        (
            "tickets.cvs",
            {},
            r"tickets\.cvs: no such file; .* holds pics, q, tickets\.csv",
            "did you mean 'tickets.csv'",
        ),
        ("*.parquet", {}, r"\*\.parquet: no such file; .* holds", "relative"),
        ("nowhere/x.csv", {}, r"no such file; there is no folder .*nowhere", "relative"),
        (["tickets.csv", "q/*.jsonl"], {}, r"different formats: 1 csv, 7 jsonl", "one format"),
        (["tickets.csv", "q"], {}, r"q is a folder in a list", "pattern"),
        ("q", {}, r"no images \(\.avif.*\); .* holds 1\.jsonl, .* and 2 more", r"q/\*\.parquet"),
        ("pics", {"format": "csv"}, "pics is a folder", r"pics/\*\.csv"),
        ("pics/a.psd", {}, r"the ending '\.psd' is none of \.parquet, ", "input.format"),
        ([], {}, "input.path is an empty list", "at least one"),
        ("~nobody-of-this-name/x.csv", {}, "~nobody-of-this-name", "without ~"),
        ("x" * 5000, {}, "File name too long", ""),
    ],
)
def test_what_cannot_be_found_is_told_with_what_is_there(
    path: str | list[str], options: dict[str, object], message: str, hint: str, tmp_path: Path
) -> None:
    """The message says what was looked for and what the folder holds; the hint says what to write."""
    make(tmp_path, "tickets.csv", "pics/a.psd", *(f"q/{number}.jsonl" for number in range(1, 8)))
    with pytest.raises(DataError, match=message) as caught:
        names(tmp_path, path, **options)
    assert hint.replace("\\", "") in (caught.value.hint or "")
