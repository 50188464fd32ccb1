"""The sample inputs are what data/README.md says they are."""

import io
import re
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageOps

from pipeline.media.documents import file_type, pdf_pages
from pipeline.media.probe import VideoFacts, probe_video

DATA = Path(__file__).parents[2] / "data"
PHOTOS = sorted((DATA / "photos").iterdir())
GENRES = {"Comedy", "Documentary", "Drama", "Horror", "Sci-Fi", "Western"}
ORIENTATION_TAG = 0x0112


def readme_table(first_column: str) -> dict[str, list[str]]:
    """Return the cells of each README row whose first cell matches."""
    rows = {}
    for line in (DATA / "README.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if re.fullmatch(first_column, cells[0]):
            rows[cells[0].strip("`")] = cells[1:]
    return rows


def photo_rows() -> list[dict[str, object]]:
    """Return the rows of photos.parquet."""
    return pq.read_table(DATA / "photos.parquet").to_pylist()


def test_the_folder_is_small() -> None:
    """All sample inputs together stay under 5 MB."""
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) < 5_000_000


def test_readme_lists_every_photo_and_no_other() -> None:
    """The README's table and the folder of photos name the same files."""
    assert set(readme_table(r"`photos/.+`")) == {f"photos/{path.name}" for path in PHOTOS}


def test_readme_lists_every_other_input() -> None:
    """The README tells the size of each table, clip and document to the byte, and no file is left out."""
    rows = readme_table(r"`([a-z]+/)?[a-z]+\.(parquet|csv|webm|mp4|pdf)`")
    inputs = [path for path in DATA.rglob("*.*") if path.suffix not in {".md", ".py", ".pyc"} and path not in PHOTOS]
    assert {name: int(cells[1]) for name, cells in rows.items()} == {
        path.relative_to(DATA).as_posix(): path.stat().st_size for path in inputs
    }


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.name)
def test_readme_tells_size_source_author_and_licence_of_a_photo(path: Path) -> None:
    """Each photo's README row has its true size and names its package, author and a licence with a link."""
    _title, shown, size, source, author, licence, changes = readme_table(r"`photos/.+`")[f"photos/{path.name}"]
    with Image.open(path) as image:
        width, height = ImageOps.exif_transpose(image).size
    assert (shown, int(size)) == (f"{width} x {height}", path.stat().st_size)
    assert re.match(r"scikit-(image|learn) \d+\.\d+\.\d+, ", source)
    assert author
    assert re.fullmatch(r"\[.+\]\(https://.+\)", licence)
    assert changes


def test_the_two_attribution_licences_name_their_authors() -> None:
    """Both CC BY photos name their author in the README and in the table itself."""
    authors = {"temple.jpg": "danielbuechele", "flower.jpg": "vultilion"}
    readme = readme_table(r"`photos/.+`")
    by_attribution = {row["file"]: row["source"] for row in photo_rows() if "CC BY" in str(row["licence"])}
    assert set(by_attribution) == set(authors)
    for file, author in authors.items():
        assert author in str(by_attribution[file])
        assert author in readme[f"photos/{file}"][4]


def test_the_table_holds_the_bytes_of_the_files() -> None:
    """The photos in photos.parquet are byte for byte the files in photos/."""
    assert {row["file"]: row["photo"] for row in photo_rows()} == {path.name: path.read_bytes() for path in PHOTOS}


def test_the_table_tells_the_size_a_viewer_shows() -> None:
    """Width and height in photos.parquet are those of the upright photo."""
    for row in photo_rows():
        with Image.open(io.BytesIO(row["photo"])) as image:
            assert ImageOps.exif_transpose(image).size == (row["width"], row["height"]), row["file"]


def test_the_table_has_its_columns_and_no_nulls() -> None:
    """The columns of photos.parquet have the documented types, unique ids and no nulls."""
    table = pq.read_table(DATA / "photos.parquet")
    assert dict(zip(table.schema.names, table.schema.types, strict=True)) == {
        "id": pa.int64(),
        "title": pa.string(),
        "photo": pa.binary(),
        "file": pa.string(),
        "width": pa.int32(),
        "height": pa.int32(),
        "licence": pa.string(),
        "source": pa.string(),
    }
    assert sum(column.null_count for column in table.columns) == 0
    assert table["id"].to_pylist() == list(range(1, len(PHOTOS) + 1))


def test_the_table_is_cut_into_small_compressed_groups() -> None:
    """The file photos.parquet has row groups of 4 rows, compressed with zstd."""
    metadata = pq.read_metadata(DATA / "photos.parquet")
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    assert [group.num_rows for group in groups] == [4, 4, 3]
    assert {group.column(number).compression for group in groups for number in range(metadata.num_columns)} == {"ZSTD"}


def test_exactly_one_photo_is_stored_sideways() -> None:
    """One photo, and only one, has an EXIF orientation that turns it."""
    turned = {}
    for path in PHOTOS:
        with Image.open(path) as image:
            orientation = image.getexif().get(ORIENTATION_TAG, 1)
        if orientation != 1:
            turned[path.name] = orientation
    assert turned == {"temple.jpg": 6}


def test_exactly_one_photo_is_partly_transparent() -> None:
    """One photo, and only one, has an alpha channel, and that channel reaches from clear to opaque."""
    ranges = {}
    for path in PHOTOS:
        with Image.open(path) as image:
            if image.has_transparency_data:
                ranges[path.name] = image.getchannel("A").getextrema()
    assert ranges == {"eye.webp": (0, 255)}


def test_the_photos_come_in_four_formats_and_many_sizes() -> None:
    """The photos are of four formats, each named by its file's ending, and of many sizes up to 1024 pixels."""
    endings = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif"}
    formats, sizes = set(), set()
    for path in PHOTOS:
        with Image.open(path) as image:
            image.load()
            assert path.suffix == endings[image.format]
            formats.add(image.format)
            sizes.add(image.size)
    assert formats == set(endings)
    assert len(sizes) >= 6
    assert max(max(size) for size in sizes) <= 1024


def test_the_films_are_complete() -> None:
    """The file films.csv has 300 rows, five columns, and a value in every cell."""
    films = pl.read_csv(DATA / "films.csv")
    assert films.columns == ["title", "year", "director", "country", "genre"]
    assert films.height == 300
    assert films.null_count().row(0) == (0, 0, 0, 0, 0)
    assert films.schema["year"] == pl.Int64


def test_the_genres_are_a_closed_and_balanced_set() -> None:
    """Every film has one of six genres, and each genre has 50 films."""
    films = pl.read_csv(DATA / "films.csv")
    assert dict(films["genre"].value_counts().iter_rows()) == dict.fromkeys(GENRES, 50)


def test_no_film_is_there_twice() -> None:
    """Title and year together name a film."""
    assert not pl.read_csv(DATA / "films.csv").select("title", "year").is_duplicated().any()


def test_the_films_are_plain_utf8_with_letters_beyond_ascii() -> None:
    """The file films.csv is UTF-8 without a byte order mark, with non-ASCII titles and non-ASCII directors."""
    content = (DATA / "films.csv").read_bytes()
    assert content.startswith(b"title,")
    content.decode("utf-8")
    films = pl.read_csv(DATA / "films.csv")
    for column in ("title", "director"):
        assert any(not value.isascii() for value in films[column])


def test_the_claims_are_complete_and_none_is_there_twice() -> None:
    """The file claims.csv has a verdict for each claim, and each verdict more than once."""
    claims = pl.read_csv(DATA / "claims.csv")
    assert claims.columns == ["claim", "known"]
    assert claims.null_count().row(0) == (0, 0)
    assert not claims["claim"].is_duplicated().any()
    counts = dict(claims["known"].value_counts().iter_rows())
    assert set(counts) == {"supported", "refuted", "unclear"}
    assert min(counts.values()) > 1


def test_the_comments_are_complete_and_of_every_kind() -> None:
    """Each has an id, a topic, a text of its own and one of the labels that the sample job asks for."""
    comments = pl.read_csv(DATA / "comments.csv")
    assert comments.columns == ["id", "topic", "comment", "meant"]
    assert comments["id"].to_list() == list(range(1, comments.height + 1))
    assert comments.null_count().row(0) == (0, 0, 0, 0)
    assert not comments["comment"].is_duplicated().any()
    assert set(comments["meant"]) == {"ok", "spam", "insult", "off_topic"}


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("ball.webm", ("WebM", "video/webm", 4.0, 160, 120)),
        ("clock.mp4", ("MP4", "video/mp4", 3.0, 160, 120)),
    ],
)
def test_the_clips_are_short_videos(name: str, facts: tuple[str, str, float, int, int]) -> None:
    """One WebM and one MP4, of the length that the README tells."""
    path = DATA / "clips" / name
    assert probe_video(path) == VideoFacts(*facts, bytes=path.stat().st_size)
    assert f"{facts[2]:g} seconds" in readme_table(r"`clips/.+`")[f"clips/{name}"][0]


def test_the_pictures_of_the_clips_can_be_seen() -> None:
    """Each is a whole one: a JPEG in the MP4, and a key frame of VP8 in the WebM."""
    clock, ball = ((DATA / "clips" / name).read_bytes() for name in ("clock.mp4", "ball.webm"))
    starts = [found.start() for found in re.finditer(rb"\xff\xd8\xff\xe0", clock)]
    assert len(starts) == 15
    for start in starts:
        with Image.open(io.BytesIO(clock[start:])) as image:
            image.load()
            assert image.size == (160, 120)
    assert ball.count(b"\x9d\x01\x2a\xa0\x00\x78\x00") == 20


def test_the_document_has_the_pages_that_the_readme_tells() -> None:
    """A PDF of two pages, whose table of objects points where each begins."""
    content = (DATA / "documents" / "pond.pdf").read_bytes()
    assert file_type(content) == ("application/pdf", "a PDF")
    assert pdf_pages(content) == 2
    assert "2 pages" in readme_table(r"`documents/.+`")["documents/pond.pdf"][0]
    table = content[int(content.split()[-2]) :]
    offsets = [int(offset) for offset in re.findall(rb"(\d{10}) 00000 n", table)]
    assert [content[offset:].split()[0] for offset in offsets] == [b"%d" % number for number in range(1, 8)]


@pytest.mark.parametrize(
    ("table", "columns"),
    [("pairs", ["left", "right", "subject"]), ("clips", ["clip", "question"]), ("documents", ["document", "question"])],
)
def test_the_small_tables_name_files_that_are_there(table: str, columns: list[str]) -> None:
    """Beside the table, as jobs look for them; a value stands in every cell."""
    rows = pl.read_csv(DATA / f"{table}.csv")
    assert rows.columns == columns
    assert sum(rows.null_count().row(0)) == 0
    for column in columns[:-1]:
        assert all((DATA / name).is_file() for name in rows[column])
