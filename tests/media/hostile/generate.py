"""A folder of images that a pipeline must survive. ``python tests/media/hostile/generate.py FOLDER`` writes it."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image, ImageCms

SIZE = (48, 32)


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    """Return the image as a file of one of Pillow's formats."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def blocks(mode: str = "RGB") -> Image.Image:
    """Return a picture of six blocks of 16 pixels in different colors: turned in any way, it looks different."""
    tiny = Image.new("RGB", (3, 2))
    tiny.putdata([(200, 40, 40), (40, 200, 40), (40, 40, 200), (220, 220, 60), (60, 220, 220), (20, 20, 20)])
    return tiny.resize(SIZE, Image.Resampling.NEAREST).convert(mode)


def png_chunk(name: bytes, body: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, rows: bytes, *, bits: int = 8, color: int = 0, extra: bytes = b"") -> bytes:
    """Return a PNG with the given header, whatever its rows hold."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0))
    body = png_chunk(b"IDAT", zlib.compress(rows, 1)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + extra + body


def with_claimed_size(jpeg: bytes, width: int, height: int) -> bytes:
    """Return a JPEG whose header says another size."""
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def turned(orientation: int) -> bytes:
    """Return EXIF that asks for an orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def frames() -> list[Image.Image]:
    """Return three pictures for an animation."""
    return [Image.new("RGB", SIZE, color) for color in ("red", "green", "blue")]


def _broken() -> Iterator[tuple[str, bytes]]:
    whole = {form: encoded(blocks(), form) for form in ("JPEG", "PNG", "GIF", "WEBP")}
    for form, data in whole.items():
        end = form.lower()
        yield f"cut-header.{end}", data[:20]
        yield f"cut-half.{end}", data[: len(data) // 2]
        yield f"cut-last-byte.{end}", data[:-1]
    yield "zero-filled-half.jpeg", whole["JPEG"][:500].ljust(len(whole["JPEG"]), b"\0")
    flipped = bytearray(whole["PNG"])
    flipped[flipped.index(b"IDAT") + 9] ^= 0xFF
    yield "bit-flip.png", bytes(flipped)
    yield "pixels-missing.png", png(48, 32, b"\0" * 100, bits=16)
    yield "empty.jpeg", b""
    yield "zeros.png", bytes(1000)
    yield "size-zero.png", png(0, 0, b"")
    yield "size-zero.jpeg", with_claimed_size(whole["JPEG"], 0, 0)
    yield "no-frames.gif", b"GIF89a" + struct.pack("<HHBBB", 48, 32, 0, 0, 0) + b";"


def _bombs() -> Iterator[tuple[str, bytes]]:
    yield "bomb.png", png(20_000, 20_000, bytes(2501 * 20_000), bits=1)
    yield "claims-65535.jpeg", with_claimed_size(encoded(blocks(), "JPEG"), 65_535, 65_535)
    yield "claims-4-billion.png", png(2**31 - 1, 2**31 - 1, b"")
    yield "claims-65535.gif", b"GIF89a" + b"\xff" * 4 + encoded(blocks(), "GIF")[10:]
    yield "claims-16-million.webp", b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff" * 6
    text = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(5_000_000), 1))
    yield "text-bomb.png", png(48, 32, bytes(97 * 32), bits=16, extra=text)


def _others() -> Iterator[tuple[str, bytes]]:
    yield "drawing.svg", b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"/>'
    yield "phone.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\x08mdat"
    yield "page.jpeg", b"<!DOCTYPE html><title>404 Not Found</title>"
    yield "document.png", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
    yield "film.gif", b"\0\0\0\x18ftypisom\0\0\0\0isommp42"
    yield "scan.tiff", encoded(blocks(), "TIFF")
    yield "bitmap.bmp", encoded(blocks(), "BMP")


def _odd() -> Iterator[tuple[str, bytes]]:
    yield "really-jpeg.png", encoded(blocks(), "JPEG")
    yield "really-png.jpeg", encoded(blocks(), "PNG")
    yield "cmyk.jpeg", encoded(blocks("CMYK"), "JPEG")
    yield "gray.jpeg", encoded(blocks("L"), "JPEG")
    yield "progressive.jpeg", encoded(blocks(), "JPEG", progressive=True)
    yield "two-pictures.jpeg", encoded(blocks(), "MPO", save_all=True, append_images=[blocks()])
    yield "trailing-junk.jpeg", encoded(blocks(), "JPEG") + bytes(1000)
    yield "16-bit-gray.png", encoded(Image.new("I;16", SIZE, 0x8001), "PNG")
    yield "16-bit-color.png", png(48, 32, (b"\0" + b"\x80\x01\x40\x00\xff\xff" * 48) * 32, bits=16, color=2)
    key = png_chunk(b"tRNS", b"\x80\x01\x40\x00\xff\xff")
    rows = (b"\0" + b"\x80\x01\x40\x00\xff\xff" * 48) * 32
    yield "16-bit-transparent.png", png(48, 32, rows, bits=16, color=2, extra=key)
    yield "palette.png", encoded(blocks("P"), "PNG")
    yield "palette-transparent.png", encoded(blocks("P"), "PNG", transparency=0)
    yield "gray-alpha.png", encoded(blocks("LA"), "PNG")
    yield "one-bit.png", encoded(blocks("1"), "PNG")
    yield "one-pixel.png", encoded(Image.new("RGB", (1, 1), "red"), "PNG")
    yield "narrow.png", encoded(Image.new("L", (1, 3000)), "PNG")
    yield "animated.gif", encoded(frames()[0], "GIF", save_all=True, append_images=frames()[1:])
    moving = encoded(frames()[0], "GIF", save_all=True, append_images=frames()[1:])
    yield "small-canvas.gif", moving[:6] + struct.pack("<HH", 20, 10) + moving[10:]
    yield "animated.webp", encoded(frames()[0], "WEBP", save_all=True, append_images=frames()[1:])
    yield "animated.png", encoded(frames()[0], "PNG", save_all=True, append_images=frames()[1:])
    yield "lossless-alpha.webp", encoded(blocks("RGBA"), "WEBP", lossless=True)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    yield "profile.jpeg", encoded(blocks(), "JPEG", icc_profile=profile)
    yield "corrupt-profile.jpeg", encoded(blocks(), "JPEG", icc_profile=b"not a profile" * 20)
    yield "corrupt-profile-cmyk.jpeg", encoded(blocks("CMYK"), "JPEG", icc_profile=b"not a profile" * 20)
    yield "wrong-profile-cmyk.jpeg", encoded(blocks("CMYK"), "JPEG", icc_profile=profile)
    yield "corrupt-exif.jpeg", encoded(blocks(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    yield "senseless-exif.jpeg", encoded(blocks(), "JPEG", exif=turned(99))
    for orientation in range(1, 9):
        yield f"exif-{orientation}.jpeg", encoded(blocks(), "JPEG", exif=turned(orientation))
    yield "exif-6.png", encoded(blocks(), "PNG", exif=turned(6))
    yield "exif-6.webp", encoded(blocks(), "WEBP", exif=turned(6), lossless=True)


def hostile_images() -> dict[str, bytes]:
    """Return the files by name. Some are harmless and only look odd; the names say what is the matter."""
    return dict(item for group in (_broken(), _bombs(), _others(), _odd()) for item in group)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in hostile_images().items():
        (folder / name).write_bytes(data)
