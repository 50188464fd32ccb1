"""The picture an image tool draws: small, real, and the same for the same request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO

import pybase64
from PIL import Image

__all__ = ["Picture", "draw"]

SIZE = 64
FORMATS: Mapping[str, str] = {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP"}


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded picture."""

    data: str
    """Base64."""
    format: str
    width: int
    height: int


def draw(digest: str, form: str) -> Picture:
    """Two colours that the digest decides, one inside the other; an unknown form is drawn as PNG."""
    form = form if form in FORMATS else "png"
    inner, outer = (tuple(bytes.fromhex((digest[start:] + digest)[:6])) for start in (0, 2))
    image = Image.new("RGB", (SIZE, SIZE), outer)
    image.paste(inner, (SIZE // 4, SIZE // 4, SIZE * 3 // 4, SIZE * 3 // 4))
    out = BytesIO()
    image.save(out, FORMATS[form])
    return Picture(pybase64.b64encode(out.getvalue()).decode(), form, SIZE, SIZE)
