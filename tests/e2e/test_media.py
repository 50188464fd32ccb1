"""Pictures on their way out, as the provider sees them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from pipeline.media import cache
from pipeline.media.prepare import ImagePlan, ImageRules, PreparedImage, carry_out

if TYPE_CHECKING:
    from tests.conftest import FileServer
    from tests.e2e.bench import Bench, Provider

ASKS = [{"text": "#{{ id }}# What is this?"}, {"image": "photo"}]
NO_DOWNLOAD = {"fault": "failed", "code": "failed_to_download_image", "nth": 1}


def picture(form: str = "JPEG", size: tuple[int, int] = (48, 32), *, mode: str = "RGB", turned: int = 1) -> bytes:
    """Return a picture of which one half is red, and which EXIF may ask to turn."""
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = turned
    image = Image.new("RGB", size, "blue")
    image.paste("red", (0, 0, size[0] // 2, size[1]))
    image.convert(mode).save(buffer, form, exif=exif)
    return buffer.getvalue()


def bomb() -> bytes:
    """Return a PNG of some hundred bytes whose header claims 400 megapixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    parts = (header, b"IDAT" + zlib.compress(bytes(1000)), b"IEND")
    chunks = [struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def damaged() -> bytes:
    """Return a PNG of which one bit is wrong."""
    data = bytearray(picture("PNG"))
    data[data.index(b"IDAT") + 8] ^= 1
    return bytes(data)


def test_a_photo_is_shown_upright(bench: Callable[..., Bench], provider: Provider) -> None:
    """A camera held upright stores a photo lying down and says so in EXIF, which models don't read."""
    job = bench(provider, prompt=ASKS)
    job.fill([{"id": "lying", "photo": picture()}, {"id": "upright", "photo": picture(turned=6)}])
    assert job.run().by_status == {"ok": 2}
    table = job.by_id()
    assert "48x32 JPEG" in table["lying"]["output"]
    assert "32x48 JPEG" in table["upright"]["output"]


def test_max_side_shrinks_what_the_provider_receives(bench: Callable[..., Bench], provider: Provider) -> None:
    """Another side is another question, and the same side is not asked again."""
    job = bench(provider, prompt=ASKS)
    job.fill([{"id": "wide", "photo": picture(size=(900, 300))}, {"id": "small", "photo": picture()}])
    job.run()
    assert "900x300" in job.by_id()["wide"]["output"]
    job.run("media.max_side=90")
    assert "90x30" in job.by_id()["wide"]["output"]
    assert "48x32" in job.by_id()["small"]["output"]
    job.run("media.max_side=90")
    assert provider.ledger.asked() == {"wide": 2, "small": 2}


HOSTILE = {
    "empty.jpeg": (b"", "it is empty"),
    "page.jpeg": (b"<!doctype html><p>not found", "it is an HTML page"),
    "document.png": (b"%PDF-1.7\n", "it is a PDF"),
    "phone.jpeg": (b"\0\0\0\x18ftypheic\0\0\0\0", "it is an HEIC or AVIF image"),
    "drawing.png": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "it is an SVG drawing"),
    "cut.jpeg": (picture()[:-20], "the image is cut off: its end is missing"),
    "half.webp": (picture("WEBP")[:60], "the image is cut off: its end is missing"),
    "damaged.png": (damaged(), "the image is damaged: a checksum is wrong"),
    "bomb.png": (bomb(), "the image has 20,000 x 20,000 pixels; 89,478,485 are the limit"),
    "scan.tiff": (picture("TIFF"), "the image is a TIFF; taken are"),
}
HARMLESS = {
    "really-a-jpeg.png": (picture(), "48x32 JPEG"),
    "cmyk.jpeg": (picture(mode="CMYK"), "48x32 JPEG"),
    "turned.webp": (picture("WEBP", turned=8), "32x48 WebP"),
    "junk-at-its-end.jpeg": (picture() + b"junk" * 9, "48x32 JPEG"),
}


def test_hostile_images_fail_their_rows_and_no_other(bench: Callable[..., Bench], provider: Provider) -> None:
    """Each with its reason, before anything is paid; what only looks odd is sent."""
    job = bench(provider, prompt=ASKS)
    images = {**HOSTILE, **HARMLESS}
    for name, (data, _) in images.items():
        (job.folder / name).write_bytes(data)
    ids = {name: f"m{number}" for number, name in enumerate(images)}
    job.fill([{"id": ids[name], "photo": name} for name in images])
    closing = job.run()
    table = job.by_id()
    for name, (_, reason) in HOSTILE.items():
        row = table[ids[name]]
        assert (row["status"], row["error_kind"], row["output"]) == ("failed", "media", None), name
        assert row["error_message"].startswith(f"{name}: ")
        assert reason in row["error_message"]
    for name, (_, seen) in HARMLESS.items():
        assert seen in table[ids[name]]["output"]
    assert provider.ledger.asked() == {ids[name]: 1 for name in HARMLESS}
    assert (closing.exit_code, closing.maybe_paid) == (1, 0)


def test_a_picture_that_rows_share_is_prepared_once(
    bench: Callable[..., Bench], provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For different questions, and though it is read for each."""
    prepared: list[bytes] = []

    def counted(plan: ImagePlan, data: bytes, rules: ImageRules) -> PreparedImage:
        prepared.append(data)
        return carry_out(plan, data, rules)

    monkeypatch.setattr(cache, "carry_out", counted)
    job = bench(provider, prompt=ASKS)
    (job.folder / "a.jpg").write_bytes(picture(turned=6))
    job.fill([{"id": f"s{number}", "photo": "a.jpg"} for number in range(8)])
    assert job.run().by_status == {"ok": 8}
    assert prepared == [picture(turned=6)]
    assert all("32x48" in text for text in job.column("output"))


def test_urls_are_fetched_and_sent_inline_where_the_job_asks_for_it(
    bench: Callable[..., Bench], provider: Provider, file_server: FileServer
) -> None:
    """The provider sees the picture; a URL that gives none fails its row and no other."""
    file_server.files["a.jpg"] = picture(turned=6)
    media = {"send": "inline", "fetch": True, "allow_private": True}
    job = bench(provider, prompt=ASKS, media=media)
    job.fill([{"id": name, "photo": file_server.url(f"{name}.jpg")} for name in ("a", "missing")])
    job.run()
    table = job.by_id()
    assert "32x48 JPEG" in table["a"]["output"]
    assert (table["missing"]["status"], table["missing"]["error_kind"]) == ("failed", "media")
    assert "the server says 404" in table["missing"]["error_message"]
    assert provider.ledger.asked() == {"a": 1}


def test_a_row_whose_picture_could_not_be_fetched_is_asked_again_by_the_next_run(
    bench: Callable[..., Bench], provider: Provider, file_server: FileServer
) -> None:
    """Its neighbours are answered meanwhile and not asked again."""
    job = bench(provider, prompt=ASKS, media={"send": "inline", "fetch": True, "allow_private": True})
    file_server.files["a.jpg"] = picture()
    job.fill([{"id": name, "photo": file_server.url(f"{name}.jpg")} for name in ("a", "late")])
    assert job.run().by_status == {"ok": 1, "failed": 1}
    file_server.files["late.jpg"] = picture("PNG")
    assert job.run().by_status == {"ok": 2}
    assert "48x32 PNG" in job.by_id()["late"]["output"]
    assert provider.ledger.asked() == {"a": 1, "late": 1}


@pytest.mark.parametrize("fetch", [True, False])
def test_what_the_provider_cannot_download_is_sent_inline_where_the_job_allows_it(
    bench: Callable[..., Bench], play: Callable[..., Provider], file_server: FileServer, fetch: bool
) -> None:
    """The second attempt holds the picture's bytes; without the permission it names the URL again, and nothing is downloaded."""
    provider = play({"faults": [NO_DOWNLOAD]})
    file_server.files["a.jpg"] = picture()
    job = bench(provider, prompt=ASKS, media={"fetch": fetch, "allow_private": True}, retry={"max_wait_s": 0.05})
    job.fill([{"id": "a", "photo": file_server.url("a.jpg")}])
    assert job.run().by_status == {"ok": 1}
    (row,) = job.table()
    assert row["attempts"] == 2
    assert ("48x32 JPEG" in row["output"]) is fetch
    assert file_server.asked == ["a.jpg"] * fetch


def test_only_urls_are_sent_where_the_job_asks_for_that(bench: Callable[..., Bench], provider: Provider) -> None:
    """A local picture fails its row with a plain reason."""
    job = bench(provider, prompt=ASKS, media={"send": "url"})
    (job.folder / "a.jpg").write_bytes(picture())
    job.fill([{"id": "here", "photo": "a.jpg"}, {"id": "there", "photo": "https://example.com/b.jpg"}])
    job.run()
    table = job.by_id()
    assert (table["there"]["status"], table["here"]["status"]) == ("ok", "failed")
    assert table["here"]["error_message"] == "a.jpg is no URL, and media.send is url"
