"""A folder of odd and hostile pictures: every file is a row, and the README says what becomes of each."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

if TYPE_CHECKING:
    from tests.e2e.bench import Bench, Provider

ROOT = Path(__file__).parents[2]
ASKS = [{"text": "#{{ name }}# What is this?"}, {"image": "path"}]
STORED = {  # EXIF's orientations: what a camera did to the upright picture before it stored it
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}

# The README's table: the file, what it is, the row's status, and words of its error or of what the model sees.
_ROW = re.compile(r"\| `(?P<name>[\w.-]+)` \| [^|]+ \| `(?P<status>ok|failed)` \| [^|`]*`(?P<says>[^`]+)`[^|]* \|")
DOCUMENTED = [found.groupdict() for found in _ROW.finditer((ROOT / "README.md").read_text(encoding="utf-8"))]


def _generate() -> Any:
    """Load the module that makes the pictures; ``--import-mode=importlib`` puts no test folder on the path."""
    spec = util.spec_from_file_location("odd_pictures", ROOT / "tests" / "media" / "hostile" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = _generate()


def _photo(orientation: int) -> bytes:
    """Return a photo as a camera stores it that is held in one of eight ways: shown upright, all of them are the same."""
    photo = Image.new("RGB", (96, 64), (220, 30, 30))
    photo.paste((35, 70, 220), (0, 0, 32, 64))
    turn = STORED[orientation]
    buffer = io.BytesIO()
    stored = photo if turn is None else photo.transpose(turn)
    stored.save(buffer, "JPEG", quality=95, exif=generate.turned(orientation))
    return buffer.getvalue()


def _run(bench: Callable[..., Bench], provider: Provider, images: dict[str, bytes]) -> tuple[Bench, dict[str, Any]]:
    """Run a folder of pictures; return the job and its table's rows by file."""
    job = bench(provider, prompt=ASKS, input="pictures")
    folder = job.folder / "pictures"
    folder.mkdir()
    for name, data in images.items():
        (folder / name).write_bytes(data)
    job.run()
    return job, {row["path"]: row for row in job.table()}


def test_every_file_of_a_hostile_folder_has_its_row_and_its_reason(
    bench: Callable[..., Bench], provider: Provider
) -> None:
    """None is left out, none stops the others, none is paid for in vain: it is described, or says plainly what is the matter."""
    images = generate.hostile_images()
    _, table = _run(bench, provider, images)
    assert set(table) == set(images)
    for name, row in table.items():
        if row["status"] == "ok":
            assert re.match(r"A \d+x\d+ (JPEG|PNG|GIF|WebP), mostly ", row["output"]), name
        else:
            assert (row["status"], row["error_kind"], row["output"], row["attempts"]) == ("failed", "media", None, 0), (
                name
            )
            assert re.match(rf"{re.escape(name)}: the image (is|has|holds|cannot be) .{{3,}}", row["error_message"])
    sound = {name for name, data in images.items() if name in dict(generate._odd())}
    assert {name for name, row in table.items() if row["status"] == "ok"} >= sound
    assert len(provider.ledger.requests()) == sum(row["status"] == "ok" for row in table.values())


def test_the_readme_says_what_becomes_of_odd_pictures(bench: Callable[..., Bench], provider: Provider) -> None:
    """Each line of its table is what a run of that file gives: the status, and the words."""
    images = {**generate.hostile_images(), **{f"exif-{turn}.jpeg": _photo(turn) for turn in STORED}}
    shown = {line["name"] for line in DOCUMENTED}
    _, table = _run(bench, provider, {name: images[name] for name in shown})
    assert len(shown) == len(DOCUMENTED) >= 12
    for line in DOCUMENTED:
        row = table[line["name"]]
        assert row["status"] == line["status"], line["name"]
        assert line["says"] in (row["error_message"] or row["output"]), line["name"]


def test_photos_are_upright_however_the_camera_was_held(bench: Callable[..., Bench], provider: Provider) -> None:
    """All eight orientations of EXIF are described as one picture of one size."""
    _, table = _run(bench, provider, {f"exif-{turn}.jpeg": _photo(turn) for turn in STORED})
    seen = {row["output"].partition(" (ref")[0] for row in table.values()}
    assert seen == {"A 96x64 JPEG, mostly red and blue"}


@pytest.mark.parametrize("name", ["scan.tiff", "bitmap.bmp"])
def test_what_is_not_taken_is_converted_where_the_job_asks_for_it(
    bench: Callable[..., Bench], provider: Provider, name: str
) -> None:
    """A folder's TIFF and BMP files are rows, so that the setting has something to work on."""
    job, _ = _run(bench, provider, {name: generate.hostile_images()[name]})
    job.run("media.convert=true")
    (row,) = job.table()
    assert "48x32 PNG" in row["output"]
