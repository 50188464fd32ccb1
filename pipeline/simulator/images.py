"""What is on an image that was really received: format, size, main colours."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO

import pybase64
from PIL import Image

from pipeline.simulator.problems import RequestError
from pipeline.simulator.published import Rules

__all__ = ["Facts", "look", "sniff"]

MAX_IMAGE_BYTES = 20 * 1024 * 1024

_FORMATS: Mapping[str, str] = {"image/jpeg": "JPEG", "image/png": "PNG", "image/gif": "GIF", "image/webp": "WEBP"}
_SPOKEN: Mapping[str, str] = {"WEBP": "WebP"}

_COLOURS: Mapping[str, tuple[int, int, int]] = {
    "black": (0, 0, 0),
    "charcoal": (54, 54, 58),
    "grey": (128, 128, 128),
    "light grey": (200, 200, 200),
    "white": (255, 255, 255),
    "dark red": (120, 16, 16),
    "red": (220, 30, 30),
    "pink": (245, 160, 185),
    "magenta": (220, 40, 180),
    "purple": (110, 40, 140),
    "violet": (150, 110, 220),
    "navy": (15, 20, 80),
    "blue": (35, 70, 220),
    "steel blue": (80, 120, 160),
    "sky blue": (135, 195, 240),
    "cyan": (40, 220, 230),
    "teal": (10, 125, 125),
    "dark green": (20, 70, 30),
    "green": (35, 160, 60),
    "lime": (150, 230, 50),
    "olive": (115, 115, 40),
    "sage": (150, 165, 130),
    "yellow": (250, 225, 50),
    "gold": (215, 165, 35),
    "orange": (245, 135, 30),
    "peach": (250, 200, 165),
    "beige": (225, 210, 180),
    "tan": (195, 155, 110),
    "brown": (115, 70, 35),
    "dark brown": (60, 38, 24),
}

_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the model can tell about one image."""

    digest: str
    format: str
    width: int
    height: int
    colours: tuple[str, ...]

    def tokens(self, detail: str | None, rules: Rules) -> int:
        """What it costs by the rules."""
        return rules.image(self.width, self.height, detail)

    def said(self, _name: str) -> str:
        """What is said of it."""
        article = "an" if str(self.width).startswith(("8", "11", "18")) and _spoken_an(self.width) else "a"
        return f"{article} {self.width}x{self.height} {self.format}, mostly {_listed(self.colours)}"


def _spoken_an(number: int) -> bool:
    """Eight, eleven and eighteen, and what begins with them when spoken, take "an"."""
    digits = str(number)
    return digits.startswith("8") or len(digits) % 3 == 2


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def sniff(data: bytes) -> str | None:
    """The mime type the first bytes speak of."""
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "image/gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def look(uri: str, place: str) -> Facts:
    """Decode a data URI as strictly as the vendors do; what is wrong with it is HTTP 400."""
    mime, data = _payload(uri, place)
    if len(data) > MAX_IMAGE_BYTES:
        raise _bad("The image is larger than 20 MB.", place, "image_file_too_large")
    if not data:
        raise _bad("The image is empty.", place, "empty_image_file")
    if sniff(data) != mime:
        raise _bad(f"The image data does not match the media type '{mime}'.", place, "invalid_image")
    try:
        with Image.open(BytesIO(data), formats=[_FORMATS[mime]]) as image:
            width, height = image.size
            image.draft("RGB", (64, 64))  # a JPEG is decoded at an eighth of its size: colours need no more
            colours = _main_colours(image)
    except (*_UNREADABLE, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _bad("The image data could not be decoded.", place, "invalid_image") from error
    name = _FORMATS[mime]
    return Facts(hashlib.sha256(data).hexdigest()[:16], _SPOKEN.get(name, name), width, height, colours)


def _payload(uri: str, place: str) -> tuple[str, bytes]:
    head, comma, payload = uri.partition(",")
    mime, _, encoding = head[5:].partition(";")
    if not comma or encoding.rpartition(";")[2] != "base64":
        raise _bad("Expected a base64-encoded data URI.", place, "invalid_base64_image")
    if mime not in _FORMATS:
        raise _bad(f"Unsupported image media type '{mime}'.", place, "unsupported_image_media_type")
    try:
        return mime, pybase64.b64decode(payload, validate=True)
    except ValueError as error:
        raise _bad("The image is not valid base64.", place, "invalid_base64_image") from error


def _bad(message: str, place: str, code: str) -> RequestError:
    return RequestError(message, code=code, param=place)


def _main_colours(image: Image.Image) -> tuple[str, ...]:
    """The two or three names that cover most of the picture; transparency counts as white."""
    small = image.convert("RGBA").resize((32, 32))
    flat = Image.new("RGBA", small.size, (255, 255, 255, 255))
    flat.alpha_composite(small)
    palette = Image.new("P", (1, 1))
    names = list(_COLOURS)
    values = [channel for name in names for channel in _COLOURS[name]]
    palette.putpalette(values + list(_COLOURS[names[0]]) * (256 - len(names)))
    counted = flat.convert("RGB").quantize(palette=palette, dither=Image.Dither.NONE).getcolors(256) or []
    shares: dict[str, int] = {}
    for count, index in counted:
        name = names[index] if isinstance(index, int) and index < len(names) else names[0]
        shares[name] = shares.get(name, 0) + count
    ranked = sorted(shares, key=lambda name: (-shares[name], name))
    return tuple(name for name in ranked[:3] if shares[name] * 12 >= 32 * 32) or (ranked[0],)
