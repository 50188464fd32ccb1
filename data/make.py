"""Make every file of this folder again from packages on PyPI.

Run it with Python 3.11 or later in a fresh environment, for these packages are not dependencies of the project:

    python -m venv fresh
    fresh/bin/pip install scikit-image==0.26.0 scikit-learn==1.9.1 bokeh_sampledata==2026.1
    fresh/bin/pip install pillow==13.0.0 pyarrow==26.0.1
    fresh/bin/python data/make.py

The versions are checked: an image encoder changes its bytes from one release to the next, and films from an older
bokeh_sampledata came from another source under another licence. README.md is written too: edit its text here.
"""

import csv
import io
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from bokeh_sampledata.movies_data import movie_path
from draw import BALL_SECONDS, CLOCK_SECONDS, PAGES, PAIRS, write_drawn
from PIL import Image, ImageDraw, ImageOps

HERE = Path(__file__).parent
VERSIONS = {
    "scikit-image": "0.26.0",
    "scikit-learn": "1.9.1",
    "bokeh_sampledata": "2026.1",
    "pillow": "13.0.0",
    "pyarrow": "26.0.1",
}
FOLDERS = {"scikit-image": ("skimage", "data"), "scikit-learn": ("sklearn", "datasets", "images")}

CC0 = "CC0 1.0"
CC_BY = "CC BY 2.0"
OWN = "MIT, as the project"
PUBLIC_DOMAIN = "Public domain"
NO_RESTRICTIONS = "No known copyright restrictions"
LICENCE_PAGES = {
    CC0: "https://creativecommons.org/publicdomain/zero/1.0/",
    CC_BY: "https://creativecommons.org/licenses/by/2.0/",
    PUBLIC_DOMAIN: "https://creativecommons.org/publicdomain/mark/1.0/",
    NO_RESTRICTIONS: "https://rightsstatements.org/vocab/NKC/1.0/",
}

GENRES = ("Comedy", "Documentary", "Drama", "Horror", "Sci-Fi", "Western")
FILMS_PER_GENRE = 50
NON_ASCII_PER_GENRE = 10
FILM_COLUMNS = ("title", "year", "director", "country", "genre")

CLAIMS = (
    ("The Danube flows through more countries than any other river.", "supported"),
    ("Mount Everest stands on the border between Nepal and China.", "supported"),
    ("The Great Wall of China can be seen from the Moon with the naked eye.", "refuted"),
    ("Honey bees dance to tell each other where food is.", "supported"),
    ("Lightning never strikes the same place twice.", "refuted"),
    ("The capital of Australia is Sydney.", "refuted"),
    ("Marie Curie won Nobel Prizes in two different sciences.", "supported"),
    ("Bats are blind.", "refuted"),
    ("Water boils at a lower temperature on a high mountain than at sea level.", "supported"),
    ("A goldfish remembers nothing for longer than three seconds.", "refuted"),
    ("The Eiffel Tower is taller in summer than in winter.", "supported"),
    ("Wild penguins live around the North Pole.", "refuted"),
    ("Venus takes longer to turn once than to go once around the Sun.", "supported"),
    ("People use only a tenth of their brains.", "refuted"),
    ("The word robot comes from a Czech play.", "supported"),
    ("Dolphins are fish.", "refuted"),
    ("The number of stars in the Milky Way is even.", "unclear"),
    ("The poems of Homer are all the work of one man.", "unclear"),
)

COMMENT_COLUMNS = ("id", "topic", "comment", "meant")
COMMENTS = (
    ("bread", "Proofing it overnight in the fridge made all the difference. Thank you!", "ok"),
    ("bread", "My crust came out pale. Would a hotter oven help, or more steam?", "ok"),
    ("bread", "WIN A FREE OVEN!!! Click my profile, only 3 left!!!", "spam"),
    ("bread", "Anyone who needs a recipe for toast should not be let near a kitchen, and that means you.", "insult"),
    ("bread", "Does anybody know when the swimming pool opens again?", "off_topic"),
    ("bread", "I halved the salt and it tasted of nothing. My fault, not the recipe's.", "ok"),
    ("bread", "Rye needs more water than this. 75 % worked for me.", "ok"),
    ("bread", "Best followers, best prices, write to me and grow your channel today", "spam"),
    ("bread", "¿Se puede hacer con harina integral? Me encantó el resultado.", "ok"),
    ("bread", "You call that a loaf? I have seen better doorstops, you clown.", "insult"),
    ("cycling", "The path along the canal is closed until May, take the bridge instead.", "ok"),
    ("cycling", "Great map. The second climb is steeper than it looks!", "ok"),
    ("cycling", "Cheap watches, original boxes, 90 % off, link in bio", "spam"),
    ("cycling", "Only an idiot rides there without lights. Yes, I mean the author.", "insult"),
    ("cycling", "Who won the chess match last night?", "off_topic"),
    ("cycling", "I rode it with two kids and a trailer: no problem at all.", "ok"),
    ("cycling", "Please mark the water taps on the map.", "ok"),
    ("cycling", "Earn 500 a day from your sofa, ask me how", "spam"),
    ("cycling", "Schöne Runde, nur der Waldweg war nach dem Regen sehr matschig!", "ok"),
    ("cycling", "Nobody asked for your opinion, you absolute turnip.", "insult"),
    ("library", "The new opening hours are wonderful for people who work late.", "ok"),
    ("library", "Could the reading room get a few more sockets?", "ok"),
    ("library", "CRYPTO GIVEAWAY send one coin get two back guaranteed", "spam"),
    ("library", "The person at the desk is as dim as the lamps.", "insult"),
    ("library", "My tomatoes have brown spots, what can I do?", "off_topic"),
    ("library", "I disagree with the fees, but thank you for explaining them so clearly.", "ok"),
    ("library", "This is a shame. The old catalogue was faster, and I miss it.", "ok"),
    ("library", "Visit my shop visit my shop visit my shop", "spam"),
    ("library", "Is the children's hour on Saturday held in English too?", "ok"),
    ("library", "Whoever wrote these rules cannot read, which is funny for a library.", "insult"),
    ("telescopes", "With a red torch your eyes stay used to the dark. Learned that the hard way.", "ok"),
    ("telescopes", "Saw the rings of Saturn for the first time with this. I may have cried a little.", "ok"),
    ("telescopes", "Hot singles under your stars tonight, click here", "spam"),
    ("telescopes", "If you buy that mount you deserve to be laughed at.", "insult"),
    ("telescopes", "What is a good name for a dog?", "off_topic"),
    ("telescopes", "The review forgets the weight: 14 kg is a lot on the third floor.", "ok"),
    ("telescopes", "Sorry, but this is nonsense: magnification is not what matters most.", "ok"),
    ("telescopes", "I sell the same lens for half, no questions asked, cash only", "spam"),
    ("telescopes", "星がとてもきれいに見えました。ありがとう。", "ok"),
    ("telescopes", "Go back to counting sheep, genius, the sky is too hard for you.", "insult"),
)

SIDEWAYS = 6  # the EXIF orientation of a photo that a viewer has to turn a quarter clockwise
ORIENTATION_TAG = 0x0112


def as_jpeg(image: Image.Image) -> bytes:
    """Encode as JPEG."""
    return encoded(image, format="JPEG", quality=85, optimize=True)


def as_webp(image: Image.Image) -> bytes:
    """Encode as lossy WebP."""
    return encoded(image, format="WEBP", quality=85, method=6)


def as_gif(image: Image.Image) -> bytes:
    """Encode as GIF, which holds the 256 greys of a grey photo without loss."""
    return encoded(image, format="GIF")


def as_sideways_jpeg(image: Image.Image) -> bytes:
    """Store the pixels turned a quarter counter-clockwise and say so in EXIF, as a phone does."""
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = SIDEWAYS
    return encoded(image.transpose(Image.Transpose.ROTATE_90), format="JPEG", quality=90, optimize=True, exif=exif)


def as_cut_out_webp(image: Image.Image) -> bytes:
    """Scale to 1024 pixels and make everything outside the round picture transparent."""
    small = image.resize((1024, 1024), Image.Resampling.LANCZOS)
    mask = Image.new("L", (4096, 4096))
    ImageDraw.Draw(mask).ellipse((8, 8, 4088, 4088), fill=255)
    small.putalpha(mask.resize(small.size, Image.Resampling.BOX))
    return as_webp(small)


def encoded(image: Image.Image, **options: object) -> bytes:
    """Return the bytes that saving this image would write."""
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return buffer.getvalue()


@dataclass(frozen=True)
class Photo:
    """One photo: where it comes from, who made it, and what happens to it on the way."""

    file: str
    title: str
    package: str
    original: str
    author: str
    licence: str
    page: str
    changes: str = "none, the bytes are the package's"
    convert: Callable[[Image.Image], bytes] | None = None

    def make(self) -> bytes:
        """Return the bytes of the finished file."""
        original = files(FOLDERS[self.package][0]).joinpath(*FOLDERS[self.package][1:], self.original).read_bytes()
        return self.convert(Image.open(io.BytesIO(original))) if self.convert else original

    @property
    def source(self) -> str:
        """Name the package, its file and the page the package got it from."""
        folder = "/".join(FOLDERS[self.package])
        return f"{self.package} {VERSIONS[self.package]}, {folder}/{self.original}, {self.page}"


PHOTOS = (
    Photo(
        file="astronaut.jpg",
        title="Astronaut portrait",
        package="scikit-image",
        original="astronaut.png",
        author="NASA",
        licence=PUBLIC_DOMAIN,
        page="https://flic.kr/p/r9qvLn",
        changes="PNG to JPEG",
        convert=as_jpeg,
    ),
    Photo(
        file="cat.png",
        title="Chelsea",
        package="scikit-image",
        original="chelsea.png",
        author="Stefan van der Walt",
        licence=CC0,
        page="https://scikit-image.org/docs/stable/api/skimage.data.html",
    ),
    Photo(
        file="coffee.webp",
        title="Coffee break",
        package="scikit-image",
        original="coffee.png",
        author="Rachel Michetti, courtesy of Pikolo Espresso Bar",
        licence=CC0,
        page="https://scikit-image.org/docs/stable/api/skimage.data.html",
        changes="PNG to WebP",
        convert=as_webp,
    ),
    Photo(
        file="temple.jpg",
        title="Temple in China",
        package="scikit-learn",
        original="china.jpg",
        author="danielbuechele (https://www.flickr.com/photos/danielbuechele/)",
        licence=CC_BY,
        page="https://www.flickr.com/photos/danielbuechele/6061409035/",
        changes="stored turned by a quarter with EXIF orientation 6, JPEG encoded again",
        convert=as_sideways_jpeg,
    ),
    Photo(
        file="coins.gif",
        title="Old coins",
        package="scikit-image",
        original="coins.png",
        author="Brooklyn Museum",
        licence=NO_RESTRICTIONS,
        page="https://www.brooklynmuseum.org/opencollection/archives/image/51611",
        changes="PNG to GIF, same pixels",
        convert=as_gif,
    ),
    Photo(
        file="eye.webp",
        title="Inside an eye",
        package="scikit-image",
        original="retina.jpg",
        author="Mikael Häggström",
        licence=CC0,
        page="https://commons.wikimedia.org/wiki/File:Fundus_photograph_of_normal_left_eye.jpg",
        changes="scaled from 1411 to 1024 pixels, made transparent outside the circle, JPEG to WebP",
        convert=as_cut_out_webp,
    ),
    Photo(
        file="flower.jpg",
        title="Flower in a garden",
        package="scikit-learn",
        original="flower.jpg",
        author="vultilion (https://www.flickr.com/photos/vultilion/)",
        licence=CC_BY,
        page="https://www.flickr.com/photos/vultilion/6056698931/",
    ),
    Photo(
        file="galaxies.jpg",
        title="Deep field",
        package="scikit-image",
        original="hubble_deep_field.jpg",
        author="NASA",
        licence=PUBLIC_DOMAIN,
        page="http://hubblesite.org/newscenter/archive/releases/2012/37/image/a/",
    ),
    Photo(
        file="wall.png",
        title="Wall",
        package="scikit-image",
        original="brick.png",
        author="CC0Textures",
        licence=CC0,
        page="https://cc0textures.com/view.php?tex=Bricks25",
    ),
    Photo(
        file="handwriting.png",
        title="Handwriting",
        package="scikit-image",
        original="text.png",
        author="not named by the package",
        licence=PUBLIC_DOMAIN,
        page="https://en.wikipedia.org/wiki/File:Corner.png",
    ),
    Photo(
        file="gravel.webp",
        title="Gravel",
        package="scikit-image",
        original="gravel.png",
        author="CC0Textures",
        licence=CC0,
        page="https://cc0textures.com/view.php?tex=Gravel04",
        changes="PNG to WebP",
        convert=as_webp,
    ),
)

README = """\
# Sample inputs

Real inputs to try the pipeline on. All of it may be passed on; the two CC BY photos ask that their authors are named,
which the tables below do, and `photos.parquet` does in its columns `source` and `licence`. `make.py` makes every file
of this folder again, this text included; its first lines say how.

| File | What it is | Bytes | Source | Author | Licence | Changes |
| --- | --- | ---: | --- | --- | --- | --- |
| `photos/` | {photo_count} photos, one file each | {photo_bytes} | see below | see below | see below | see below |
| `photos.parquet` | the same photos as a table | {parquet_bytes} | see below | see below | see below, and in each row \
| row groups of 4 rows, zstd |
| `comments.csv` | {comment_count} comments to moderate | {comments_bytes} | this folder's `make.py` \
| the pipeline authors | MIT, as the whole project | written for it |
| `films.csv` | {film_count} films with a known genre | {films_bytes} | bokeh_sampledata {bokeh}, `movies.db` \
| Wikidata contributors | [{cc0}]({cc0_page}) | a choice of rows and columns, see below |
| `claims.csv` | {claim_count} claims with a known verdict | {claims_bytes} | written for this project | the pipeline authors \
| MIT, as the project | none |
| `pairs.csv` | {pair_count} pairs of the photos, to compare | {pairs_bytes} | `draw.py` | the pipeline authors \
| {own} | written by code |
| `clips.csv` | the clips by name, with a question about each | {clips_bytes} | `draw.py` | the pipeline authors \
| {own} | written by code |
| `documents.csv` | the document by name, with a question about it | {documents_bytes} | `draw.py` | the pipeline authors \
| {own} | written by code |
| `clips/ball.webm` | a ball rolls to the right, {ball_seconds} seconds of VP8 | {ball_bytes} | `draw.py` | the pipeline authors \
| {own} | drawn by code |
| `clips/clock.mp4` | a clock's hand goes round, {clock_seconds} seconds of Motion JPEG | {clock_bytes} | `draw.py` \
| the pipeline authors | {own} | drawn by code |
| `documents/pond.pdf` | a made-up report on birds, {page_count} pages of text | {pond_bytes} | `draw.py` | the pipeline authors \
| {own} | written by code |

## Photos

The size is width x height in pixels as a viewer shows the photo. `temple.jpg` is stored sideways and says so in EXIF;
`eye.webp` is transparent outside its circle. The astronaut, Eileen Collins, is the only person to be seen.

| File | Title | Shown size | Bytes | Source | Author | Licence | Changes |
| --- | --- | --- | ---: | --- | --- | --- | --- |
{photo_rows}

The licences are those which the packages state: scikit-image in the documentation of `skimage.data`, scikit-learn in
`sklearn/datasets/images/README.txt`. Behind "Public domain" and "No known copyright restrictions" stand pages that
explain these terms; neither is a licence. Where a doubt is left:

- `flower.jpg`: scikit-learn's text names danielbuechele as the author, but its links lead to the photo in vultilion's
  photostream. The table follows the links.

`photos.parquet` has the columns `id` (int64), `title` (string), `photo` (binary, the bytes of the file), `file`
(string, the name in `photos/`), `width` and `height` (int32, as shown), `licence` and `source` (string).

## Films

`films.csv` is UTF-8 with a header and the columns `title`, `year`, `director`, `country` and `genre`. The genre is the
answer to compare with: {genres}, {per_genre} films each.

The facts come from Wikidata as bokeh_sampledata {bokeh} ships them (its `licenses/datasets.json` states CC0 1.0).
Chosen were films with a director, a country and exactly one genre, that genre being in the set; in each genre those
with the most reviews, but first of all up to {non_ascii} whose title or director has letters beyond ASCII. They are
sorted by title. Several directors or countries are separated by commas. Nothing was corrected: Wikidata has its slips,
and it gives one genre to films for which a reader may well name another, so that even a perfect reader will not agree
with all {film_count}.

## Claims

`claims.csv` is UTF-8 with a header and the columns `claim` and `known`. The verdict is what encyclopedias agree on:
supported or refuted; the last two claims nobody can decide, so they are unclear.

## Comments

`comments.csv` is UTF-8 with a header and the columns `id`, `topic`, `comment` and `meant`. Nobody ever posted them:
they were made up as examples, mild on purpose, and `meant` is the label that their author had in mind:
{labels}.
"""


def check_versions() -> None:
    """Stop when an installed package is not the version that the files were made with."""
    for package, wanted in VERSIONS.items():
        if (found := version(package)) != wanted:
            raise SystemExit(
                f"{package} {found} is installed, the files were made with {wanted}: see the top of make.py."
            )


def shown_size(photo: bytes) -> tuple[int, int]:
    """Return width and height as a viewer shows them."""
    return ImageOps.exif_transpose(Image.open(io.BytesIO(photo))).size


def write_photos() -> None:
    """Write the photos, each as a file and all as a table."""
    folder = HERE / "photos"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    rows = []
    for number, photo in enumerate(PHOTOS, start=1):
        content = photo.make()
        (folder / photo.file).write_bytes(content)
        source = f"{photo.author}; {photo.source}; changes: {photo.changes}"
        licence = f"{photo.licence}, {LICENCE_PAGES[photo.licence]}"
        rows.append((number, photo.title, content, photo.file, *shown_size(content), licence, source))
    types = {
        "id": pa.int64(),
        "title": pa.string(),
        "photo": pa.binary(),
        "file": pa.string(),
        "width": pa.int32(),
        "height": pa.int32(),
        "licence": pa.string(),
        "source": pa.string(),
    }
    schema = pa.schema([pa.field(name, kind, nullable=False) for name, kind in types.items()])
    table = pa.Table.from_pylist([dict(zip(types, row, strict=True)) for row in rows], schema=schema)
    pq.write_table(table, HERE / "photos.parquet", row_group_size=4, compression="zstd")


def best_known_films(database: sqlite3.Connection, genre: str) -> list[tuple[str, int, str, str, str]]:
    """Choose the most reviewed films that have this genre and no other."""
    films = database.execute(
        "SELECT Title, Year, Director, Country, Genre FROM omdb JOIN tomatoes USING (ID)"
        " WHERE Genre = ? AND Title <> '' AND Year IS NOT NULL AND Director <> '' AND Country <> ''"
        " ORDER BY Reviews DESC, imdbID",
        (genre,),
    ).fetchall()
    non_ascii = [film for film in films if not (film[0] + film[2]).isascii()][:NON_ASCII_PER_GENRE]
    others = [film for film in films if film not in non_ascii]
    return [*non_ascii, *others][:FILMS_PER_GENRE]


def write_films() -> None:
    """Write the films with their genres."""
    with sqlite3.connect(movie_path) as database:
        films = sorted(film for genre in GENRES for film in best_known_films(database, genre))
    with (HERE / "films.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FILM_COLUMNS)
        writer.writerows(films)


def write_claims() -> None:
    """Write the claims with what is known of them."""
    with (HERE / "claims.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("claim", "known"))
        writer.writerows(CLAIMS)


def write_comments() -> None:
    """Write the comments with what they were meant to be."""
    with (HERE / "comments.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COMMENT_COLUMNS)
        writer.writerows((number, *comment) for number, comment in enumerate(COMMENTS, start=1))


def photo_row(photo: Photo) -> str:
    """Return the row of README.md that names the photo's source, author and licence."""
    content = (HERE / "photos" / photo.file).read_bytes()
    cells = (
        f"`photos/{photo.file}`",
        photo.title,
        "{} x {}".format(*shown_size(content)),
        str(len(content)),
        photo.source,
        photo.author,
        f"[{photo.licence}]({LICENCE_PAGES[photo.licence]})",
        photo.changes,
    )
    return f"| {' | '.join(cells)} |"


def write_readme() -> None:
    """Write README.md from what is now in the folder."""
    sizes = {
        f"{path.stem}_bytes": path.stat().st_size
        for folder in (HERE, HERE / "clips", HERE / "documents")
        for path in folder.iterdir()
        if path.suffix in {".csv", ".webm", ".mp4", ".pdf"}
    }
    text = README.format(
        **sizes,
        own=OWN,
        pair_count=len(PAIRS),
        page_count=len(PAGES),
        ball_seconds=BALL_SECONDS,
        clock_seconds=CLOCK_SECONDS,
        photo_count=len(PHOTOS),
        photo_bytes=sum(path.stat().st_size for path in (HERE / "photos").iterdir()),
        parquet_bytes=(HERE / "photos.parquet").stat().st_size,
        comment_count=len(COMMENTS),
        labels=", ".join(sorted({meant for _, _, meant in COMMENTS})),
        claim_count=len(CLAIMS),
        film_count=FILMS_PER_GENRE * len(GENRES),
        per_genre=FILMS_PER_GENRE,
        non_ascii=NON_ASCII_PER_GENRE,
        genres=", ".join(GENRES),
        bokeh=VERSIONS["bokeh_sampledata"],
        cc0=CC0,
        cc0_page=LICENCE_PAGES[CC0],
        photo_rows="\n".join(photo_row(photo) for photo in PHOTOS),
    )
    (HERE / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    check_versions()
    write_photos()
    write_films()
    write_claims()
    write_comments()
    write_drawn(HERE)
    write_readme()
