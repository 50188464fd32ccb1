"""What becomes of each image before it is sent: the outcome of hostile ones is a table."""

from __future__ import annotations

import io
import pkgutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from types import ModuleType

import PIL
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from pipeline.errors import MediaError
from pipeline.media.pixels import translated
from pipeline.media.prepare import MAX_FRAMES, ImageRules, plan_image, prepare_image

FORMATS = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
RULES = ImageRules(formats=FORMATS, max_bytes=20 * 2**20)

CUT_OFF = "the image is cut off: its end is missing"
NO_SIZE = "the image is damaged: its header gives it no size"
NOT_AN_IMAGE = "the image is not a JPEG, PNG, GIF or WebP: it is "
FIRST = "the first of 3 frames"

REFUSED: Mapping[str, str] = {
    **{
        f"cut-{where}.{end}": CUT_OFF
        for where in ("header", "half", "last-byte")
        for end in ("jpeg", "png", "gif", "webp")
    },
    "zero-filled-half.jpeg": CUT_OFF,
    "bit-flip.png": "the image is damaged: a checksum is wrong",
    "pixels-missing.png": "the image cannot be decoded: image file is truncated",
    "empty.jpeg": NOT_AN_IMAGE + "empty",
    "zeros.png": NOT_AN_IMAGE + "unknown, its first bytes are 00 00",
    "size-zero.png": NO_SIZE,
    "size-zero.jpeg": NO_SIZE,
    "no-frames.gif": "the image holds no picture",
    "bomb.png": "the image has 20,000 x 20,000 pixels; 89,478,485 are the limit",
    "claims-65535.jpeg": "the image has 65,535 x 65,535 pixels",
    "claims-4-billion.png": "the image has 2,147,483,647 x 2,147,483,647 pixels",
    "claims-65535.gif": "the image has 65,535 x 65,535 pixels",
    "claims-16-million.webp": "the image has 16,777,216 x 16,777,216 pixels",
    "drawing.svg": NOT_AN_IMAGE + "an SVG drawing",
    "phone.heic": NOT_AN_IMAGE + "an HEIC or AVIF image",
    "page.jpeg": NOT_AN_IMAGE + "an HTML page",
    "document.png": NOT_AN_IMAGE + "a PDF",
    "film.gif": NOT_AN_IMAGE + "an MP4 or MOV video",
    "scan.tiff": "the image is a TIFF; taken are JPEG, PNG, GIF, WebP",
    "bitmap.bmp": "the image is a BMP; taken are JPEG, PNG, GIF, WebP",
}
CHANGED: Mapping[str, tuple[str, tuple[int, int], tuple[str, ...]]] = {
    "cmyk.jpeg": ("image/jpeg", (48, 32), ("turned from CMYK into RGB",)),
    "wrong-profile-cmyk.jpeg": ("image/jpeg", (48, 32), ("turned from CMYK into RGB",)),
    "corrupt-profile-cmyk.jpeg": ("image/jpeg", (48, 32), ("turned from CMYK into RGB",)),
    "16-bit-gray.png": ("image/png", (48, 32), ("reduced from 16 to 8 bits per color",)),
    "16-bit-color.png": ("image/png", (48, 32), ("reduced from 16 to 8 bits per color",)),
    "16-bit-transparent.png": ("image/png", (48, 32), ("reduced from 16 to 8 bits per color",)),
    "small-canvas.gif": ("image/png", (20, 10), (FIRST, "converted from GIF to PNG")),
    "text-bomb.png": ("image/png", (48, 32), ("reduced from 16 to 8 bits per color",)),
    "animated.gif": ("image/png", (48, 32), (FIRST, "converted from GIF to PNG")),
    "animated.webp": ("image/webp", (48, 32), (FIRST,)),
    "animated.png": ("image/png", (48, 32), (FIRST,)),
    **{f"exif-{turn}.jpeg": ("image/jpeg", (48, 32), ("turned by EXIF",)) for turn in (2, 3, 4)},
    **{f"exif-{turn}.jpeg": ("image/jpeg", (32, 48), ("turned by EXIF",)) for turn in (5, 6, 7, 8)},
    "exif-6.png": ("image/png", (32, 48), ("turned by EXIF",)),
    "exif-6.webp": ("image/webp", (32, 48), ("turned by EXIF",)),
}
UNTOUCHED: Mapping[str, tuple[str, tuple[int, int]]] = {
    "really-jpeg.png": ("image/jpeg", (48, 32)),
    "really-png.jpeg": ("image/png", (48, 32)),
    **{
        f"{name}.jpeg": ("image/jpeg", (48, 32))
        for name in ("gray", "progressive", "two-pictures", "trailing-junk", "profile", "corrupt-profile")
    },
    **{f"{name}.jpeg": ("image/jpeg", (48, 32)) for name in ("corrupt-exif", "senseless-exif", "exif-1")},
    **{f"{name}.png": ("image/png", (48, 32)) for name in ("palette", "palette-transparent", "gray-alpha", "one-bit")},
    "one-pixel.png": ("image/png", (1, 1)),
    "narrow.png": ("image/png", (1, 3000)),
    "lossless-alpha.webp": ("image/webp", (48, 32)),
}


def opened(data: bytes) -> Image.Image:
    """Return a file's picture, decoded and without any turn."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def pixels(image: Image.Image) -> list[tuple[int, ...]]:
    """Return the pixels as RGB, row by row."""
    packed = image.convert("RGB").tobytes()
    return [tuple(packed[at : at + 3]) for at in range(0, len(packed), 3)]


def middles(image: Image.Image) -> Image.Image:
    """Return the middle pixel of each block of 16: a JPEG mixes colors only along their borders."""
    return image.resize((image.width // 16, image.height // 16), Image.Resampling.NEAREST)


def farthest(one: Image.Image, other: Image.Image) -> int:
    """Return the largest difference of a color between two pictures of the same size."""
    assert one.size == other.size
    return max(abs(a - b) for a, b in zip(one.convert("RGB").tobytes(), other.convert("RGB").tobytes(), strict=True))


def test_every_hostile_image_has_an_outcome(hostile: Mapping[str, bytes]) -> None:
    """The three tables hold each file once."""
    assert sorted(hostile) == sorted([*REFUSED, *CHANGED, *UNTOUCHED])


@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_image_is_refused_with_a_plain_reason(name: str, hostile: Mapping[str, bytes]) -> None:
    """The reason says what the bytes are or what they lack."""
    with pytest.raises(MediaError) as refused:
        prepare_image(hostile[name], RULES)
    assert refused.value.message.startswith(REFUSED[name])


@pytest.mark.parametrize("name", CHANGED)
def test_an_image_that_models_read_badly_is_changed(name: str, hostile: Mapping[str, bytes]) -> None:
    """What leaves has 8 bits, no CMYK, one frame and no turn, and asks for no further change."""
    prepared = prepare_image(hostile[name], RULES)
    image = opened(prepared.data)
    assert (prepared.media_type, (prepared.width, prepared.height), prepared.changes) == CHANGED[name]
    assert image.size == (prepared.width, prepared.height)
    assert image.get_format_mimetype() == prepared.media_type
    assert image.mode in {"L", "P", "RGB", "RGBA"}
    assert prepare_image(prepared.data, RULES).changes == ()


@pytest.mark.parametrize("name", UNTOUCHED)
def test_an_image_that_needs_nothing_leaves_as_it_came(name: str, hostile: Mapping[str, bytes]) -> None:
    """The very same bytes, by their real type."""
    prepared = prepare_image(hostile[name], RULES)
    assert prepared.data is hostile[name]
    assert prepared.changes == ()
    assert (prepared.media_type, (prepared.width, prepared.height)) == UNTOUCHED[name]


@pytest.mark.parametrize("name", [*CHANGED, *UNTOUCHED])
def test_a_photo_never_becomes_a_png(name: str, hostile: Mapping[str, bytes]) -> None:
    """Scaled, turned or not, and whatever else is allowed, a JPEG stays a JPEG."""
    prepared = prepare_image(hostile[name], replace(RULES, max_side=20, convert=True))
    assert (hostile[name][:2] == b"\xff\xd8") == (prepared.media_type == "image/jpeg")
    assert max(prepared.width, prepared.height) <= 20


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP"])
def test_an_image_cut_off_anywhere_is_never_sent(form: str, generate: ModuleType) -> None:
    """Of every length but the whole one."""
    whole = generate.encoded(generate.blocks(), form)
    for length in range(len(whole)):
        with pytest.raises(MediaError):
            prepare_image(whole[:length], RULES)


UPRIGHT: Mapping[int, Callable[[int, int, int, int], tuple[int, int]]] = {
    # by EXIF 2.32, 4.6.4: where the stored pixel (x, y) of a picture of w x h is to be seen
    1: lambda x, y, w, h: (x, y),
    2: lambda x, y, w, h: (w - 1 - x, y),
    3: lambda x, y, w, h: (w - 1 - x, h - 1 - y),
    4: lambda x, y, w, h: (x, h - 1 - y),
    5: lambda x, y, w, h: (y, x),
    6: lambda x, y, w, h: (h - 1 - y, x),
    7: lambda x, y, w, h: (h - 1 - y, w - 1 - x),
    8: lambda x, y, w, h: (y, w - 1 - x),
}


@pytest.mark.parametrize(("form", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("JPEG", {})])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_each_pixel_lands_where_exif_says(
    orientation: int, form: str, options: dict[str, bool], generate: ModuleType
) -> None:
    """For all eight orientations: exactly where the format is lossless, within its loss for a JPEG."""
    stored = generate.blocks()
    data = generate.encoded(stored, form, exif=generate.turned(orientation), **options)
    seen = Image.new("RGB", stored.size if orientation < 5 else stored.size[::-1])
    for y in range(stored.height):
        for x in range(stored.width):
            seen.putpixel(UPRIGHT[orientation](x, y, *stored.size), stored.getpixel((x, y)))
    prepared = prepare_image(data, RULES)
    assert (prepared.width, prepared.height) == seen.size
    image = opened(prepared.data)
    if form == "JPEG":
        assert farthest(middles(image), middles(seen)) <= 8
    else:
        assert farthest(image, seen) == 0


def test_a_changed_image_tells_nothing_but_its_pixels(generate: ModuleType) -> None:
    """Place, camera, comment and XMP stay behind; XMP would even turn the picture a second time."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "A camera"
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    data = generate.encoded(generate.blocks(), "JPEG", exif=exif.tobytes(), comment=b"at home", xmp=xmp)
    prepared = prepare_image(data, RULES)
    assert prepared.changes == ("turned by EXIF",)
    assert not {"exif", "comment", "xmp"} & set(opened(prepared.data).info)
    assert b"camera" not in prepared.data


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_color_profile_goes_with_the_pixels_it_describes(form: str, generate: ModuleType) -> None:
    """A sound one is kept where the picture stays in its color space, a damaged one is dropped."""
    sound = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    smaller = replace(RULES, max_side=20)
    for profile, kept in ((sound, sound), (b"not a profile" * 20, None)):
        data = generate.encoded(generate.blocks(), form, icc_profile=profile)
        assert opened(prepare_image(data, smaller).data).info.get("icc_profile") == kept
    gray = generate.encoded(generate.blocks("L"), "JPEG", icc_profile=sound)
    assert "icc_profile" not in opened(prepare_image(gray, smaller).data).info


@pytest.mark.parametrize("quality", [30, 75, 95])
def test_a_jpeg_is_written_as_well_as_it_was(quality: int, generate: ModuleType) -> None:
    """With its own quantization and subsampling: neither worse nor larger than it came."""
    data = generate.encoded(generate.blocks(), "JPEG", quality=quality, exif=generate.turned(3))
    image = opened(prepare_image(data, RULES).data)
    assert image.quantization == opened(data).quantization  # type: ignore[attr-defined]


def test_a_jpeg_that_is_coarser_than_baseline_is_written_anew(generate: ModuleType) -> None:
    """Its tables cannot be kept without a complaint of libjpeg in the middle of the terminal."""
    data = generate.encoded(generate.blocks(), "JPEG", qtables=[[300] * 64] * 2, exif=generate.turned(3))
    image = opened(prepare_image(data, RULES).data)
    assert max(max(table) for table in image.quantization.values()) <= 255  # type: ignore[attr-defined]


def test_sixteen_bits_become_their_upper_eight(hostile: Mapping[str, bytes]) -> None:
    """Nothing is cut off at white."""
    assert set(pixels(opened(prepare_image(hostile["16-bit-gray.png"], RULES).data))) == {(0x80, 0x80, 0x80)}
    assert set(pixels(opened(prepare_image(hostile["16-bit-color.png"], RULES).data))) == {(0x80, 0x40, 0xFF)}


def test_cmyk_keeps_its_colors(hostile: Mapping[str, bytes], generate: ModuleType) -> None:
    """They are not inverted, as a naive reader does to Adobe's files."""
    prepared = prepare_image(hostile["cmyk.jpeg"], RULES)
    assert farthest(middles(opened(prepared.data)), middles(generate.blocks())) <= 8


@pytest.mark.parametrize("name", ["animated.gif", "animated.webp", "animated.png"])
def test_of_an_animation_the_first_frame_is_sent(name: str, hostile: Mapping[str, bytes]) -> None:
    """Or all of it, unscaled, where the rules keep animations."""
    first = opened(prepare_image(hostile[name], RULES).data)
    assert getattr(first, "n_frames", 1) == 1
    assert first.convert("RGB").getpixel((5, 5)) == pytest.approx((255, 0, 0), abs=3)
    kept = prepare_image(hostile[name], replace(RULES, animated="keep", max_side=20))
    assert (kept.data, kept.width, kept.height) == (hostile[name], 48, 32)


def test_an_animation_without_end_is_not_kept(generate: ModuleType) -> None:
    """A small file can hold more frames than any provider will decode."""
    pictures = [Image.new("1", (1, 1), number % 2) for number in range(MAX_FRAMES + 1)]
    data = generate.encoded(pictures[0], "GIF", save_all=True, append_images=pictures[1:])
    with pytest.raises(MediaError, match="an animation of 1,001 frames; 1,000 are the limit"):
        prepare_image(data, replace(RULES, animated="keep"))
    assert prepare_image(data, RULES).width == 1


@pytest.mark.parametrize(
    ("size", "max_side", "scaled"),
    [
        ((400, 300), 200, (200, 150)),
        ((300, 400), 200, (150, 200)),
        ((400, 1), 200, (200, 1)),
        ((400, 300), 400, (400, 300)),
        ((40, 30), 200, (40, 30)),
        ((401, 300), 400, (400, 299)),
    ],
)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF"])
def test_an_image_is_scaled_down_and_never_up(
    form: str, size: tuple[int, int], max_side: int, scaled: tuple[int, int], generate: ModuleType
) -> None:
    """Its shape stays, and one that is small enough is not touched."""
    data = generate.encoded(Image.new("RGB", size, "orange"), form)
    prepared = prepare_image(data, replace(RULES, max_side=max_side))
    assert (prepared.width, prepared.height) == opened(prepared.data).size == scaled
    assert prepared.changes[:1] == (() if scaled == size else (f"scaled from {size[0]}x{size[1]}",))
    assert opened(prepared.data).convert("RGB").getpixel((0, 0)) == pytest.approx((255, 165, 0), abs=4)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "1"])
def test_transparency_survives_scaling(mode: str, generate: ModuleType) -> None:
    """As alpha, also where it was one color of a palette, and colors do not bleed out of it."""
    picture = Image.new("RGBA", (40, 40), (0, 255, 0, 0))
    picture.paste((255, 0, 0, 255), (0, 0, 20, 40))
    options = {"transparency": 0} if mode in {"P", "1"} else {}
    data = generate.encoded(picture.convert(mode), "PNG", **options)
    small = opened(prepare_image(data, replace(RULES, max_side=10)).data)
    alpha = small.getchannel("A") if "A" in small.getbands() else None
    assert (alpha is None) == (mode == "1" and not small.has_transparency_data)
    if mode in {"RGBA", "LA"}:
        assert small.getpixel((0, 0))[-1] == 255  # type: ignore[index]
        assert small.getpixel((9, 0))[-1] == 0  # type: ignore[index]


@pytest.mark.parametrize(("name", "form"), [("scan.tiff", "TIFF"), ("bitmap.bmp", "BMP")])
def test_other_formats_are_converted_only_when_asked(
    name: str, form: str, hostile: Mapping[str, bytes], generate: ModuleType
) -> None:
    """To PNG, pixel for pixel; otherwise the refusal says how."""
    with pytest.raises(MediaError) as refused:
        prepare_image(hostile[name], RULES)
    assert "media.convert" in str(refused.value.hint)
    prepared = prepare_image(hostile[name], replace(RULES, convert=True))
    assert (prepared.media_type, prepared.changes) == ("image/png", (f"converted from {form} to PNG",))
    assert farthest(opened(prepared.data), generate.blocks()) == 0


@pytest.mark.parametrize("mode", ["I;16", "I", "F", "CMYK", "YCbCr", "LAB", "1", "LA", "RGBA"])
def test_a_tiff_of_any_kind_is_read(mode: str, generate: ModuleType) -> None:
    """Numbers become gray, color spaces RGB."""
    ramp = Image.linear_gradient("L").resize((40, 30))
    picture = ramp.convert("I").point(lambda value: value * 256) if mode in {"I;16", "I"} else ramp
    picture = picture.convert("RGB").convert(mode) if mode in {"YCbCr", "LAB", "CMYK"} else picture.convert(mode)
    if mode == "LAB":
        picture = Image.merge("LAB", [ramp, *[Image.new("L", ramp.size, 128)] * 2])
    prepared = prepare_image(generate.encoded(picture, "TIFF"), replace(RULES, convert=True))
    gray = opened(prepared.data).convert("RGB").convert("L")
    assert gray.getpixel((20, 0)) < 20  # type: ignore[operator]
    assert gray.getpixel((20, 29)) > 230  # type: ignore[operator]


def test_a_tiff_is_turned_and_a_preview_is_refused(generate: ModuleType) -> None:
    """The first picture of a raw photo is a small copy, and nobody means that one."""
    upright = generate.encoded(generate.blocks(), "TIFF", tiffinfo={0x0112: 6})
    prepared = prepare_image(upright, replace(RULES, convert=True))
    assert (prepared.width, prepared.height) == opened(prepared.data).size == (32, 48)
    with pytest.raises(MediaError, match="a raw photo or a preview"):
        prepare_image(generate.encoded(generate.blocks(), "TIFF", tiffinfo={254: 1}), replace(RULES, convert=True))


def test_a_format_that_is_not_taken_is_refused_or_converted(hostile: Mapping[str, bytes], generate: ModuleType) -> None:
    """To what is taken and fits; where nothing does, no promise is made."""
    few = replace(RULES, formats=frozenset({"image/png"}))
    webp = hostile["lossless-alpha.webp"]
    with pytest.raises(MediaError, match="the image is a WebP; taken are PNG"):
        prepare_image(webp, few)
    prepared = prepare_image(webp, replace(few, convert=True))
    assert prepared.changes == ("converted from WebP to PNG",)
    assert farthest(opened(prepared.data), generate.blocks()) == 0
    with pytest.raises(MediaError, match="the image is a JPEG; taken are PNG") as refused:
        prepare_image(hostile["gray.jpeg"], replace(few, convert=True))
    assert refused.value.hint == "convert it before the run"


def test_an_animated_gif_stays_a_gif_where_png_is_not_taken(hostile: Mapping[str, bytes]) -> None:
    """The first frame is written in the format that is left."""
    prepared = prepare_image(hostile["animated.gif"], replace(RULES, formats=frozenset({"image/gif"})))
    assert (prepared.media_type, prepared.changes) == ("image/gif", (FIRST,))


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_the_side_that_a_refusal_suggests_is_small_enough(form: str, generate: ModuleType) -> None:
    """Who follows the hint succeeds."""
    data = generate.encoded(Image.effect_noise((600, 400), 80), form)
    tight = replace(RULES, max_bytes=len(data) // 3)
    with pytest.raises(
        MediaError, match=f"has {len(data):,} bytes at 600x400 pixels; {tight.max_bytes:,} are the limit"
    ) as refused:
        prepare_image(data, tight)
    side = int(str(refused.value.hint).split()[-1])
    assert 256 <= side < 600
    assert len(prepare_image(data, replace(tight, max_side=side)).data) <= tight.max_bytes


def test_a_plan_says_what_would_be_sent_without_decoding(hostile: Mapping[str, bytes]) -> None:
    """For `check`: sizes and changes, from the structure alone."""
    plan = plan_image(hostile["exif-6.jpeg"], replace(RULES, max_side=24))
    assert (plan.displayed, plan.changes) == ((16, 24), ("turned by EXIF", "scaled from 32x48"))


def test_an_image_that_needs_nothing_does_not_load_pillow() -> None:
    """Importing it costs more than looking at a thousand headers."""
    program = "import pipeline.media.prepare, sys; print('PIL' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9_600, 60_000])
def test_a_frame_that_outgrows_its_canvas_is_measured_too(side: int, hostile: Mapping[str, bytes]) -> None:
    """A GIF's header may be modest and its first frame a bomb."""
    data = bytearray(hostile["animated.gif"])
    at = data.index(b",\0\0\0\0") + 5
    data[at : at + 4] = side.to_bytes(2, "little") * 2
    with pytest.raises(MediaError, match="larger than is decoded here"):
        prepare_image(bytes(data), RULES)


MEASURE = """
import resource, sys
from pipeline.errors import MediaError
from pipeline.media import pixels
from pipeline.media.prepare import ImageRules, prepare_image
data = sys.stdin.buffer.read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    prepare_image(data, ImageRules(frozenset({"image/png"}), 2**30, max_side=100))
except MediaError as error:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, error)
"""


def test_a_bomb_takes_no_memory(hostile: Mapping[str, bytes]) -> None:
    """A file of 200 KB that would unpack to 400 MB adds less than 20 MB to the process."""
    run = subprocess.run([sys.executable, "-c", MEASURE], input=hostile["bomb.png"], capture_output=True, check=True)
    grown, reason = run.stdout.decode().split(" ", 1)
    assert int(grown) < 20_000, reason


def _pillow_errors() -> list[type[BaseException]]:
    found: set[type[BaseException]] = set()
    for info in pkgutil.iter_modules(PIL.__path__):
        try:
            module = import_module(f"PIL.{info.name}")
        except ImportError:  # an optional library, a program or another system's module
            continue
        found |= {
            item
            for item in vars(module).values()
            if isinstance(item, type) and issubclass(item, BaseException) and item.__module__.startswith("PIL.")
        }
    return sorted(found, key=lambda error: error.__name__)


def test_every_error_of_pillow_passes_the_one_door() -> None:
    """Each class that Pillow defines becomes an error of ours, and so do those of Python that it raises."""
    errors = _pillow_errors()
    assert len(errors) >= 4
    for kind in (
        *errors,
        OSError,
        SyntaxError,
        EOFError,
        KeyError,
        IndexError,
        OverflowError,
        MemoryError,
        UserWarning,
    ):
        with pytest.raises(MediaError), translated():
            raise kind


@given(
    name=st.sampled_from(
        ["cmyk.jpeg", "profile.jpeg", "exif-6.png", "16-bit-color.png", "animated.gif", "animated.webp"]
    ),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6),
    animated=st.sampled_from(["first", "keep"]),
)
@settings(max_examples=150, deadline=None)
def test_a_damaged_image_is_prepared_or_refused(
    name: str, edits: list[tuple[float, int]], animated: str, hostile: Mapping[str, bytes]
) -> None:
    """Nothing but a ``MediaError`` comes out, whichever bytes are changed."""
    data = bytearray(hostile[name])
    for where, value in edits:
        data[int(where * len(data))] = value
    with suppress(MediaError):
        prepared = prepare_image(bytes(data), replace(RULES, max_side=16, animated=animated))  # type: ignore[arg-type]
        assert prepared.data
