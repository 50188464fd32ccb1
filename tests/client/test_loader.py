"""How pictures leave: which as URLs, which as bytes, and what is done to those on the way."""

from __future__ import annotations

import io
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest
from PIL import Image

from pipeline.client.loader import AT_ONCE, Loader
from pipeline.errors import MediaError
from pipeline.media import cache
from pipeline.media.prepare import ImagePlan, ImageRules, PreparedImage, carry_out
from pipeline.records import Media
from pipeline.spec.rules import MediaRules
from pipeline.wire.dialect import DIALECTS

if TYPE_CHECKING:
    from tests.conftest import FileServer

pytestmark = pytest.mark.anyio

OPENAI = DIALECTS["openai"]
TURNED = 6  # by EXIF: a quarter of a turn
FETCHED = {"fetch": True, "allow_private": True}
URL = Media(identity="", label="http://example.com/a.jpg", url="http://example.com/a.jpg")


def picture(form: str = "JPEG", size: tuple[int, int] = (48, 32), orientation: int = 1) -> bytes:
    """Return a picture."""
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size, "red").save(buffer, form, exif=exif)
    return buffer.getvalue()


def loading(dialect: dict[str, object] | None = None, **rules: object) -> Loader:
    """Return the pictures of a run by these rules."""
    return Loader(MediaRules.model_validate(rules), OPENAI.overridden(dialect or {}))


def cell(data: bytes) -> Media:
    """Return bytes of a cell."""
    return Media(identity="", label="photo", data=data)


def at(url: str) -> Media:
    """Return a picture that is named by its URL."""
    return Media(identity="", label=url, url=url)


@pytest.mark.parametrize(
    ("rules", "goes", "goes_after_a_failure"),
    [
        ({}, True, True),
        ({"send": "url"}, True, True),
        ({"send": "url", "fetch": True}, True, True),
        ({"fetch": True}, True, False),
        ({"send": "inline", "fetch": True}, False, False),
    ],
    ids=str,
)
async def test_a_url_leaves_as_the_job_says(rules: dict[str, object], goes: bool, goes_after_a_failure: bool) -> None:
    """As a URL unless everything is sent inline, or the provider has failed to download it and the pipeline may do so."""
    async with loading(**rules) as out:
        assert out.goes_as_url(URL) is goes
        out.could_not_download(["http://example.com/a.jpg"])
        assert out.goes_as_url(URL) is goes_after_a_failure
        assert out.goes_as_url(at("http://example.com/b.jpg")) is goes


@pytest.mark.parametrize("send", ["auto", "inline"])
async def test_files_and_cells_never_leave_as_urls(tmp_path: Path, send: str) -> None:
    """They have none; and what needs no change leaves as it came."""
    (tmp_path / "a.png").write_bytes(picture())
    async with loading(send=send, fetch=True) as out:
        for media in (cell(picture()), Media(identity="", label="a.png", path=tmp_path / "a.png")):
            assert not out.goes_as_url(media)
            image = await out.inline(media)
            assert (image.data, image.media_type, image.changes) == (picture(), "image/jpeg", ())


async def test_a_cells_own_bytes_are_sent_without_a_copy() -> None:
    """Where nothing has to change."""
    data = picture()
    async with loading(max_side=48) as out:
        assert (await out.inline(cell(data))).data is data


@pytest.mark.parametrize(
    ("data", "rules", "media_type", "size"),
    [
        (picture(orientation=TURNED), {}, "image/jpeg", (32, 48)),
        (picture(orientation=TURNED), {"max_side": 24}, "image/jpeg", (16, 24)),
        (picture("PNG"), {"max_side": 12}, "image/png", (12, 8)),
        (picture("TIFF"), {"convert": True}, "image/png", (48, 32)),
        (picture("BMP"), {"convert": True, "max_side": 24}, "image/png", (24, 16)),
    ],
    ids=["turned", "turned and scaled", "scaled", "converted", "converted and scaled"],
)
async def test_the_rules_of_the_job_are_those_of_the_picture(
    data: bytes, rules: dict[str, object], media_type: str, size: tuple[int, int]
) -> None:
    """Turned as EXIF asks whatever they say; scaled and converted where they ask for it."""
    async with loading(**rules) as out:
        image = await out.inline(cell(data))
    assert (image.media_type, (image.width, image.height)) == (media_type, size)
    with Image.open(io.BytesIO(image.data)) as seen:
        assert seen.size == size


async def test_an_animation_is_sent_as_the_job_says() -> None:
    """Its first frame, or as it came."""
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (9, 9), color) for color in ("red", "green")]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    async with loading() as first, loading(animated="keep") as whole:
        assert (await first.inline(cell(buffer.getvalue()))).media_type == "image/png"
        assert (await whole.inline(cell(buffer.getvalue()))).data == buffer.getvalue()


@pytest.mark.parametrize(
    ("media", "rules", "said", "hint"),
    [
        (cell(b"%PDF-1.7"), {}, "photo: the image is not a JPEG, PNG, GIF or WebP: it is a PDF", None),
        (cell(picture()[:-2]), {}, "photo: the image is cut off", None),
        (cell(picture("TIFF")), {}, "photo: the image is a TIFF; taken are", "media.convert"),
        (cell(picture()), {"send": "url"}, "photo is no URL, and media.send is url", "media.send"),
        (Media(identity="", label="gone.png", path=Path("/nowhere/gone.png")), {}, "cannot read gone.png", None),
        (
            cell(b"x" * (OPENAI.max_image_bytes + 1)),
            {},
            "photo has 20,971,521 bytes; 20,971,520 are the limit",
            "max_side",
        ),
    ],
    ids=["a PDF", "cut off", "a TIFF", "no URL", "no file", "too large"],
)
async def test_what_cannot_be_sent_is_called_by_its_name(
    media: Media, rules: dict[str, object], said: str, hint: str | None
) -> None:
    """The message names the picture and the reason, the hint the setting that helps."""
    async with loading(**rules) as out:
        with pytest.raises(MediaError, match=said) as refused:
            await out.inline(media)
    assert not refused.value.transient
    assert hint is None or hint in str(refused.value.hint)


@pytest.mark.parametrize("rules", [{"max_side": 100}, {"convert": True}], ids=str)
async def test_a_picture_that_is_made_smaller_may_be_larger_than_what_is_sent(rules: dict[str, object]) -> None:
    """It is read in spite of the provider's limit, which holds for what leaves."""
    data = picture("BMP", (400, 300))
    small = {"max_image_bytes": 100_000}
    assert len(data) > 100_000
    async with loading(small, **{"convert": True, **rules}) as out:
        assert len((await out.inline(cell(data))).data) < 100_000
    async with loading(small) as out:
        with pytest.raises(MediaError, match="100,000 are the limit"):
            await out.inline(cell(data))


async def test_rows_that_show_the_same_picture_prepare_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when they ask at the same time."""
    prepared: list[str] = []

    def counted(plan: ImagePlan, data: bytes, rules: ImageRules) -> PreparedImage:
        prepared.append(threading.current_thread().name)
        return carry_out(plan, data, rules)

    monkeypatch.setattr(cache, "carry_out", counted)
    images: list[PreparedImage] = []
    async with loading(max_side=24) as out:

        async def ask() -> None:
            images.append(await out.inline(cell(picture())))

        async with anyio.create_task_group() as rows:
            for _ in range(10):
                rows.start_soon(ask)
    assert len(prepared) == 1
    assert threading.main_thread().name not in prepared
    assert [image is images[0] for image in images] == [True] * 10


async def test_a_url_is_fetched_once_and_prepared(file_server: FileServer) -> None:
    """It is turned and scaled as a local picture is, and further rows find it here."""
    file_server.files["a.jpg"] = picture(orientation=TURNED)
    async with loading(send="inline", max_side=24, **FETCHED) as out:
        images = [await out.inline(at(file_server.url("a.jpg"))) for _ in range(2)]
    assert [(image.media_type, image.width, image.height) for image in images] == [("image/jpeg", 16, 24)] * 2
    assert file_server.asked == ["a.jpg"]


async def test_a_fetched_page_is_no_picture(file_server: FileServer) -> None:
    """Whatever its name says."""
    file_server.files["a.jpg"] = b"<!doctype html>"
    async with loading(send="inline", **FETCHED) as out:
        with pytest.raises(MediaError, match=r"http://127\.0\.0\.1.*/a\.jpg: the image is not .* an HTML page"):
            await out.inline(at(file_server.url("a.jpg")))


async def test_nothing_private_is_fetched_unless_the_job_allows_it(file_server: FileServer) -> None:
    """At no port at all; the hint names the setting."""
    async with loading(send="inline", fetch=True) as out:
        with pytest.raises(MediaError, match=r"port .* is not one that rows may name"):
            await out.inline(at(file_server.url("a.jpg")))
        with pytest.raises(MediaError, match="a loopback address") as refused:
            await out.inline(at("http://127.0.0.1/a.jpg"))
    assert "media.allow_private" in str(refused.value.hint)
    assert file_server.asked == []


@pytest.mark.usefixtures("virtual_time")
async def test_a_download_that_fails_for_now_says_so() -> None:
    """Nobody listens at that port: another run may do better."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with loading(send="inline", **FETCHED) as out:
        with pytest.raises(MediaError, match="cannot fetch") as failed:
            await out.inline(at(f"http://127.0.0.1:{port}/a.jpg"))
    assert failed.value.transient


DATA = Path(__file__).parents[2] / "data"
VIDEO = (DATA / "clips" / "ball.webm").read_bytes()
PDF = (DATA / "documents" / "pond.pdf").read_bytes()
CLIP = Media(identity="", label="clip", data=VIDEO, kind="video")
REPORT = Media(identity="", label="report", data=PDF, kind="file")


async def test_videos_and_files_leave_as_they_are(tmp_path: Path) -> None:
    """From a cell or a file, untouched by what the job does to its pictures."""
    (tmp_path / "a.bin").write_bytes(VIDEO)
    (tmp_path / "b.bin").write_bytes(PDF)
    on_disk = [
        Media(identity="", label="a", path=tmp_path / "a.bin", kind="video"),
        Media(identity="", label="b", path=tmp_path / "b.bin", kind="file", filename="b.bin"),
    ]
    async with loading(max_side=9, convert=True) as out:
        sent = [await out.inline(media) for media in (CLIP, REPORT, *on_disk)]
    assert [(each.media_type, each.data) for each in sent] == [("video/webm", VIDEO), ("application/pdf", PDF)] * 2


@pytest.mark.parametrize(
    ("media", "dialect", "rules", "said"),
    [
        (CLIP, {"max_video_s": 3}, {}, "clip: the video is 4 seconds long; 3 are the limit"),
        (CLIP, {"max_video_bytes": 7000}, {}, "clip has 7,935 bytes; 7,000 are the limit"),
        (CLIP, {"video_formats": ["video/mp4"]}, {}, "clip: the video is WebM; taken are MP4"),
        (replace(CLIP, data=PDF), {}, {}, "clip: the video is not MP4, MOV, AVI or WebM: it is a PDF"),
        (CLIP, {}, {"send": "url"}, "clip is no URL, and media.send is url"),
        (REPORT, {"max_file_bytes": 1000}, {}, "report has 1,379 bytes; 1,000 are the limit"),
        (replace(REPORT, data=VIDEO, filename="r.pdf"), {}, {}, "report: the file is called r.pdf, but it is a WebM"),
        (REPORT, {}, {"send": "url"}, "report is no URL, and media.send is url"),
        (Media(identity="", label="gone", path=Path("/nowhere/x"), kind="file"), {}, {}, "cannot read gone"),
    ],
    ids=str,
)
async def test_a_video_or_file_that_cannot_be_sent_is_called_by_its_name(
    media: Media, dialect: dict[str, object], rules: dict[str, object], said: str
) -> None:
    """Before anything leaves; and no hint speaks of pictures."""
    async with loading(dialect, **rules) as out:
        with pytest.raises(MediaError, match=said) as refused:
            await out.inline(media)
    assert "max_side" not in str(refused.value.hint)


async def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    """A sparse file of a terabyte is refused by its size alone."""
    path = tmp_path / "huge.mp4"
    with path.open("wb") as file:
        file.truncate(10**12)
    async with loading() as out:
        with pytest.raises(MediaError, match="1,000,000,000,000 bytes"):
            await out.inline(Media(identity="", label="huge.mp4", path=path, kind="video"))


async def test_videos_and_files_are_fetched_up_to_limits_of_their_own(file_server: FileServer) -> None:
    """A file may be larger than a picture, and a picture no larger than before."""
    file_server.files["a.pdf"] = PDF
    url = file_server.url("a.pdf")
    async with loading({"max_image_bytes": 1000}, send="inline", **FETCHED) as out:
        sent = await out.inline(Media(identity="", label="a", url=url, kind="file", filename="a.pdf"))
        assert (sent.media_type, sent.data) == ("application/pdf", PDF)
        with pytest.raises(MediaError, match="1,000 bytes"):
            await out.inline(at(url))
    async with loading({"max_file_bytes": 1000}, send="inline", **FETCHED) as out:
        with pytest.raises(MediaError, match="1,000 bytes"):
            await out.inline(Media(identity="", label="a", url=url, kind="file"))


class Together(dict[str, bytes]):
    """Files of a server that are given out only when so many have been asked for."""

    def __init__(self, files: dict[str, bytes], parties: int) -> None:
        super().__init__(files)
        self._barrier = threading.Barrier(parties, timeout=10)

    def get(self, name: str, default: object = None) -> bytes:  # type: ignore[override]
        """Wait for the others, then return the file."""
        self._barrier.wait()
        return self[name]


async def test_the_pictures_of_a_row_are_fetched_side_by_side(file_server: FileServer) -> None:
    """As many as may be; each has its own place whichever is here first."""
    sizes = [(10 + number, 8) for number in range(2 * AT_ONCE)]
    files = {f"{width}.png": picture("PNG", (width, height)) for width, height in sizes}
    file_server.files = Together(files, AT_ONCE)
    async with loading(send="inline", **FETCHED) as out:
        images = await out.inline_all([at(file_server.url(name)) for name in files])
    assert [(image.width, image.height) for image in images] == sizes


async def test_the_first_picture_that_fails_is_the_one_that_is_named(file_server: FileServer) -> None:
    """Whichever failed first; what follows is not begun, and what came before has been tried."""
    file_server.files["good.png"] = picture("PNG")
    wanted = [at(file_server.url("good.png")), at(file_server.url("missing")), cell(b"no picture"), cell(b"")]
    wanted += [at(file_server.url(f"later{number}")) for number in range(9)]
    async with loading(send="inline", **FETCHED) as out:
        with pytest.raises(MediaError, match=r"missing: .* 404"):
            await out.inline_all(wanted)
    assert not {f"later{number}" for number in range(AT_ONCE, 9)} & set(file_server.asked)


async def test_a_request_without_pictures_has_none() -> None:
    """Nothing is begun."""
    async with loading() as out:
        assert await out.inline_all([]) == []
