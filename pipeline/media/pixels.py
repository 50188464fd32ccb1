"""Decode an image and write it anew: the one module that knows Pillow, and the door at which its errors are translated.

It is imported where pixels must change, and nowhere else: most images of most jobs leave as they came.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import Any, cast

from PIL import Image, ImageCms
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile, get_sampling
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from pipeline.errors import MediaError
from pipeline.media.structure import MAX_PIXELS, ImageFacts, essential_parts

_QUALITY = 90  # of JPEG and WebP where the source's own quality is not known
_BASELINE = 255  # the coarsest quantization of a baseline JPEG; libjpeg complains about more on the terminal
_READERS: Mapping[str, Callable[[BytesIO], ImageFile]] = {  # by content; `Image.open` would also try other formats
    "image/jpeg": JpegImageFile,
    "image/png": PngImageFile,
    "image/gif": GifImageFile,
    "image/webp": WebPImageFile,
    "image/tiff": TiffImageFile,
    "image/bmp": BmpImageFile,
}
_WRITERS: Mapping[str, str] = {"image/jpeg": "JPEG", "image/png": "PNG", "image/gif": "GIF", "image/webp": "WEBP"}
_TURNS: Mapping[int, Image.Transpose] = {  # by EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PROFILED: Mapping[bytes, frozenset[str]] = {  # the modes that a profile of a color space describes
    b"RGB ": frozenset({"RGB", "RGBA", "P"}),
    b"GRAY": frozenset({"1", "L", "LA"}),
}
_WRITABLE = frozenset({"1", "L", "LA", "P", "RGB", "RGBA"})
_NUMBERS = ("I", "F")  # modes of one number per pixel, not yet gray of 8 bits; `I;16` is the usual one
_PREVIEW = 254  # TIFF tag NewSubfileType; its lowest bit marks a reduced copy of another picture

# What Pillow raises for bytes that it cannot read, as seen over its own test images and damaged ones. Its warnings are
# exceptions where a person has asked for that.
_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    Warning,
    Image.DecompressionBombError,
    ImageCms.PyCMSError,
)


@contextmanager
def translated() -> Iterator[None]:
    """Turn what Pillow raises for an image that it cannot read or write into a ``MediaError``."""
    try:
        yield
    except Image.DecompressionBombError as error:
        raise MediaError("the image is larger than is decoded here", hint="downscale it before the run") from error
    except MemoryError as error:
        raise MediaError("the image needs more memory than there is", hint="downscale it before the run") from error
    except _ERRORS as error:
        raise MediaError(f"the image cannot be decoded: {str(error) or type(error).__name__}") from error


def foreign_facts(data: bytes, media_type: str) -> ImageFacts:
    """Return what Pillow says of an image of another format, from its header. Raises ``MediaError``."""
    with translated(), _READERS[media_type](BytesIO(data)) as image:
        if isinstance(image, TiffImageFile) and image.tag_v2.get(_PREVIEW, 0) & 1:
            raise MediaError("the image is a raw photo or a preview: its first picture is a reduced one")
        return ImageFacts(media_type, *image.size)  # a TIFF is turned by Pillow itself


def redraw(
    data: bytes, facts: ImageFacts, size: tuple[int, int], media_type: str, *, quality: int | None = None
) -> bytes:
    """Return the first frame as a new file: 8 bits, no CMYK, ``size`` pixels before it is turned, and turned as EXIF asks.

    The color profile is kept where it still describes the pixels; all other metadata goes. A WebP of that ``quality``, from 1 to 100, is
    to be small: it has no profile either. Raises ``MediaError``.
    """
    with translated(), _READERS[facts.media_type](BytesIO(essential_parts(data))) as source:
        if source.width * source.height > MAX_PIXELS:
            raise Image.DecompressionBombError
        stored = (facts.width, facts.height)
        overlaps = source.size != stored  # a GIF's frame that is larger than its canvas
        if size != stored:
            source.draft(None, (size[0] * 3 // 2, size[1] * 3 // 2))  # a JPEG is decoded at a half, quarter or eighth
        source.load()
        if facts.bits > 8:  # the transparent color is still given in that many bits
            source.info.pop("transparency", None)
        pixels = _plain(source)
        if overlaps:
            pixels = pixels.crop((0, 0, *stored))
        if size != stored:
            pixels = _blendable(pixels).resize(size, Image.Resampling.LANCZOS)
        if (turn := _TURNS.get(facts.orientation or 1)) is not None:
            pixels = pixels.transpose(turn)
        if quality is not None:
            return _small(pixels, quality)
        return _encoded(pixels, source, facts, media_type)


def _small(pixels: Image.Image, quality: int) -> bytes:
    pixels = _blendable(pixels)
    pixels.info = {}
    out = BytesIO()
    pixels.save(out, "WEBP", quality=quality)
    return out.getvalue()


def _plain(image: Image.Image) -> Image.Image:
    """Return the picture in a mode that can be written: gray, palette or RGB of 8 bits, with or without alpha."""
    if image.mode == "CMYK":
        return _from_cmyk(image)
    if image.mode.startswith(_NUMBERS):
        return _eight_bits(image)
    if image.mode in _WRITABLE:
        return image
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _from_cmyk(image: Image.Image) -> Image.Image:
    """Return CMYK as RGB, by its profile where it has a sound one."""
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(image.info["icc_profile"]))
        converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (KeyError, OSError, ImageCms.PyCMSError):
        converted = None
    return converted or image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return numbers as gray: 16 bits by their upper half, others spread from the lowest to the highest."""
    low, high = 0.0, 65536.0
    if image.mode.startswith("I;16"):
        image = image.convert("I")
    else:
        low, high = cast("tuple[float, float]", image.getextrema())  # of one number per pixel
    scale = 256 / (high - low) if high > low else 0.0
    return image.convert("F").point(lambda value: value * scale + -low * scale).convert("L")


def _blendable(image: Image.Image) -> Image.Image:
    """Return a picture whose neighbouring pixels can be mixed: without palette, and its transparency as alpha."""
    if image.mode in {"RGBA", "LA"}:
        return image
    if image.has_transparency_data:
        return image.convert("RGBA")
    mode = {"1": "L", "P": "RGB"}.get(image.mode, image.mode)
    return image if mode == image.mode else image.convert(mode)  # to convert to the same mode is to copy


def _encoded(pixels: Image.Image, source: ImageFile, facts: ImageFacts, media_type: str) -> bytes:
    options: dict[str, Any] = {}
    profile = source.info.get("icc_profile") or b""
    if profile[36:40] == b"acsp" and pixels.mode in _PROFILED.get(profile[16:20], ()):
        options["icc_profile"] = profile
    if media_type == "image/jpeg":
        options |= _jpeg_quality(source)
    elif media_type == "image/webp":
        options |= {"lossless": True} if facts.lossless else {"quality": _QUALITY}
    pixels.info = {
        name: value for name, value in pixels.info.items() if name == "transparency"
    }  # the rest is written too
    out = BytesIO()
    pixels.save(out, _WRITERS[media_type], **options)
    return out.getvalue()


def _jpeg_quality(source: ImageFile) -> dict[str, Any]:
    """Return the options that write a JPEG as well as its source was."""
    tables = source.quantization if isinstance(source, JpegImageFile) and source.mode != "CMYK" else {}
    if tables and all(max(table) <= _BASELINE for table in tables.values()):
        return {"qtables": tables, "subsampling": get_sampling(source)}
    return {"quality": _QUALITY}
