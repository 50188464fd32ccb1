"""What an image says of itself: the same that Pillow reads, from the first kilobytes, whatever the bytes are."""

from __future__ import annotations

import io
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from pipeline.media.structure import essential_parts, image_facts, image_size

FORMS = {
    "JPEG": ("L", "RGB", "CMYK"),
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "GIF": ("L", "P"),
    "WEBP": ("RGB", "RGBA"),
}
MAGIC = [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\xff\0\0\0WEBPVP8X", b"RIFF\xff\0\0\0WEBPVP8 "]


@st.composite
def images(draw: st.DrawFn) -> tuple[str, Image.Image, dict[str, object]]:
    """Return a format, a picture that it can hold, and options."""
    form = draw(st.sampled_from(sorted(FORMS)))
    picture = Image.new(draw(st.sampled_from(FORMS[form])), (draw(st.integers(1, 300)), draw(st.integers(1, 300))))
    options: dict[str, object] = {}
    if form == "JPEG":
        options["progressive"] = draw(st.booleans())
    if form == "WEBP":
        options["lossless"] = draw(st.booleans())
    if form != "GIF":
        exif = Image.Exif()
        exif.endian = draw(st.sampled_from("<>"))
        exif[0x010F] = "camera"
        exif[0x0112] = draw(st.integers(0, 10))
        options["exif"] = exif.tobytes()
    return form, picture, options


@given(images())
@settings(max_examples=200, deadline=None)
def test_the_size_is_the_one_that_pillow_shows(case: tuple[str, Image.Image, dict[str, object]]) -> None:
    """After the turn that EXIF asks for; and nothing of ours is found to be broken that Pillow has written."""
    form, picture, options = case
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    with Image.open(buffer) as image:
        assert image_size(buffer.getvalue()) == ImageOps.exif_transpose(image).size
    facts = image_facts(buffer.getvalue())
    assert facts is not None
    assert (facts.broken, facts.frames, facts.cmyk) == (None, 1, picture.mode == "CMYK")
    assert facts.bits == {"1": 1, "I;16": 16}.get(picture.mode, facts.bits)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP"])
def test_the_first_kilobyte_is_enough(form: str, generate: ModuleType) -> None:
    """Most of a file need not be read to know its size."""
    data = generate.encoded(Image.effect_noise((300, 200), 90), form)
    assert len(data) > 10_000
    assert image_size(data[:1024]) == (300, 200)


def test_a_webp_whose_turn_stands_at_its_end_is_not_guessed(generate: ModuleType) -> None:
    """Its first bytes say that there is EXIF, but not what it asks for."""
    data = generate.encoded(generate.blocks(), "WEBP", exif=generate.turned(6))
    assert image_size(data) == (32, 48)
    assert image_size(data[:40]) is None


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_frames_are_counted(form: str, count: int, generate: ModuleType) -> None:
    """An animation of one frame is none."""
    pictures = [Image.new("RGB", (20, 10), (40 * number, 0, 0)) for number in range(count)]
    facts = image_facts(generate.encoded(pictures[0], form, save_all=True, append_images=pictures[1:]))
    assert facts is not None
    assert (facts.frames, facts.broken) == (count, None)


def test_turns_are_found_after_other_parts(generate: ModuleType) -> None:
    """Behind XMP, which has the marker of EXIF, behind fill bytes, and behind the pixels of a PNG."""
    jpeg = generate.encoded(generate.blocks(), "JPEG", exif=generate.turned(8))
    xmp = b"\xff\xe1\x00\x20http://ns.adobe.com/xap/1.0/\0\0"[:34]
    assert image_size(jpeg[:2] + xmp + b"\xff\xff\xff" + jpeg[2:]) == (32, 48)
    png = generate.encoded(generate.blocks(), "PNG")
    exif = generate.png_chunk(b"eXIf", generate.turned(5).removeprefix(b"Exif\0\0"))
    assert image_size(png[:-12] + exif + png[-12:]) == (32, 48)


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        b"MM\0*\0\0\0\x08\xff\xff",
        b"XX*\0\x08\0\0\0",
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x01\0\0\0\x06\0\0\0",
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x09\0\0\0",
    ],
    ids=["empty", "short", "offset", "count", "order", "type", "value"],
)
def test_damaged_exif_turns_nothing(exif: bytes, generate: ModuleType) -> None:
    """It is as if there were none."""
    png = generate.encoded(generate.blocks(), "PNG")
    assert image_size(png[:-12] + generate.png_chunk(b"eXIf", exif) + png[-12:]) == (48, 32)


def test_padding_between_the_blocks_of_a_gif_is_skipped(generate: ModuleType) -> None:
    """Some writers leave zeros there, and every viewer forgives them."""
    data = generate.encoded(generate.blocks(), "GIF")
    facts = image_facts(data[:-1] + b"\0\0\0;")
    assert facts is not None
    assert facts.broken is None


@given(st.sampled_from(MAGIC), st.binary(max_size=200))
@settings(max_examples=500)
def test_any_bytes_are_walked(magic: bytes, rest: bytes) -> None:
    """Nothing is raised, and no size is made up of zeros."""
    facts = image_facts(magic + rest)
    assert facts is not None
    assert 1 <= (facts.orientation or 1) <= 8
    size = image_size(magic + rest)
    assert size is None or min(size) > 0
    essential_parts(magic + rest)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff" + b"\xff\xd0" * 1_000_000,
        b"\xff\xd8" + b"\xff\xe0\0\x02" * 500_000,
        b"\xff\xd8" + b"\xff" * 2_000_000,
        b"\x89PNG\r\n\x1a\n" + b"\0\0\0\0aaaa\0\0\0\0" * 150_000,
        b"GIF89a\0\1\0\1\0\0\0" + b"!\xf9\0" * 600_000,
        b"GIF89a\0\1\0\1\0\0\0!\xf9" + b"\x01\x01" * 1_000_000,
        b"RIFF\xff\xff\x1f\0WEBP" + b"ANMF\0\0\0\0" * 250_000,
    ],
    ids=["markers", "segments", "fill", "chunks", "blocks", "sub-blocks", "frames"],
)
def test_a_file_made_to_cost_time_costs_little(data: bytes) -> None:
    """Two megabytes of the smallest possible parts are walked, or given up, well within a second."""
    facts = image_facts(data)
    assert facts is not None


def test_only_what_a_picture_needs_is_essential(generate: ModuleType) -> None:
    """Its pixels and colors stay; texts, EXIF and further frames go; other formats stay whole."""
    jpeg = generate.encoded(
        generate.blocks(), "JPEG", exif=generate.turned(6), comment=b"at home", icc_profile=b"colors"
    )
    bare = essential_parts(jpeg)
    assert b"Exif" not in bare
    assert b"at home" not in bare
    assert b"colors" in bare
    assert Image.open(io.BytesIO(bare)).tobytes() == Image.open(io.BytesIO(jpeg)).tobytes()
    gif = generate.encoded(generate.blocks(), "GIF")
    assert essential_parts(gif) is gif
    assert essential_parts(b"") == b""


def test_what_is_no_image_has_no_size() -> None:
    """Nor has an image that is only its first bytes."""
    assert image_size(b"%PDF-1.7") is None
    assert [image_size(magic) for magic in MAGIC] == [None] * 5
