"""The clips and the document of this folder, drawn and written by code: nobody else's work is in them.

`make.py` calls it. The pictures come from Pillow; what is around them is put together here, byte by byte: no encoder of
videos is needed, for a lossy WebP is one picture of a VP8 video, and a JPEG one of a Motion JPEG video.
"""

import csv
import io
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image, ImageDraw

WIDTH, HEIGHT = 160, 120
PER_SECOND = 5
BALL_SECONDS, CLOCK_SECONDS = 4, 3

PAIRS = (
    ("photos/wall.png", "photos/gravel.webp", "surfaces"),
    ("photos/cat.png", "photos/flower.jpg", "close-ups"),
    ("photos/galaxies.jpg", "photos/eye.webp", "round things in the dark"),
)
CLIPS = (("clips/ball.webm", "What moves, and where to?"), ("clips/clock.mp4", "How far does the hand go?"))
DOCUMENTS = (("documents/pond.pdf", "Which bird was seen most often?"),)

PAGES = (
    (
        "Field notes from the pond",
        "Six mornings in April, an hour each, from the bench at the north bank.",
        "Monday: 4 mallards, 1 heron, 2 coots.",
        "Tuesday: 6 mallards, 3 coots (one of them on a nest).",
        "Wednesday: fog; 2 coots were heard and not seen.",
    ),
    (
        "Second half of the week",
        "Thursday: 5 mallards, 1 heron, 1 kingfisher.",
        "Friday: 7 mallards, 4 coots, 1 heron.",
        "Saturday: 3 mallards, 2 coots; many people with dogs.",
        "Most often seen: the mallard, 25 times in all.",
    ),
)


def ball(share: float) -> Image.Image:
    """Return a picture of an orange ball that has rolled this share of its way to the right."""
    image = Image.new("RGB", (WIDTH, HEIGHT), (135, 195, 240))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 90, WIDTH, HEIGHT), fill=(35, 160, 60))
    left = round(share * (WIDTH - 30))
    draw.ellipse((left, 60, left + 30, 90), fill=(245, 135, 30))
    return image


def clock(share: float) -> Image.Image:
    """Return a picture of a clock whose hand has gone this share of its round."""
    image = Image.new("RGB", (WIDTH, HEIGHT), (225, 210, 180))
    draw = ImageDraw.Draw(image)
    draw.ellipse((30, 10, 130, 110), fill=(255, 255, 255), outline=(54, 54, 58), width=3)
    draw.pieslice((40, 20, 120, 100), -90, -90 + 360 * share, fill=(220, 30, 30))
    return image


def frames(picture: Callable[[float], Image.Image], seconds: int, form: str) -> list[bytes]:
    """Return the pictures of a clip, each encoded by itself."""
    count = seconds * PER_SECOND
    encoded = []
    for number in range(count):
        buffer = io.BytesIO()
        picture(number / (count - 1)).save(buffer, form, quality=60)
        encoded.append(buffer.getvalue())
    return encoded


def element(tag: int, *parts: bytes) -> bytes:
    """Return an element of a WebM."""
    body = b"".join(parts)
    return tag.to_bytes((tag.bit_length() + 7) // 8, "big") + (len(body) | 1 << 28).to_bytes(4, "big") + body


def webm(pictures: list[bytes], seconds: int) -> bytes:
    """Return a WebM of lossy WebP pictures, each a key frame of a VP8 video."""
    head = element(
        0x1A45DFA3,
        element(0x4286, b"\x01"),
        element(0x42F7, b"\x01"),
        element(0x42F2, b"\x04"),
        element(0x42F3, b"\x08"),
        element(0x4282, b"webm"),
        element(0x4287, b"\x02"),
        element(0x4285, b"\x02"),
    )
    info = element(
        0x1549A966,
        element(0x2AD7B1, (1_000_000).to_bytes(3, "big")),  # times are in milliseconds
        element(0x4489, struct.pack(">d", seconds * 1000)),
        element(0x4D80, b"draw.py"),
        element(0x5741, b"draw.py"),
    )
    sides = element(0xE0, element(0xB0, WIDTH.to_bytes(2, "big")), element(0xBA, HEIGHT.to_bytes(2, "big")))
    track = element(
        0xAE,
        element(0xD7, b"\x01"),
        element(0x73C5, b"\x01"),
        element(0x83, b"\x01"),
        element(0x9C, b"\x00"),
        element(0x86, b"V_VP8"),
        sides,
    )
    blocks = [
        element(0xA3, b"\x81", struct.pack(">hB", number * 1000 // PER_SECOND, 0x80), vp8(picture))
        for number, picture in enumerate(pictures)
    ]
    cluster = element(0x1F43B675, element(0xE7, b"\x00"), *blocks)
    return head + element(0x18538067, info, element(0x1654AE6B, track), cluster)


def vp8(webp: bytes) -> bytes:
    """Return the VP8 frame that a lossy WebP without transparency holds."""
    name, size = struct.unpack_from("<4sI", webp, 12)
    if name != b"VP8 ":
        raise ValueError(f"the WebP begins with {name!r}")
    return webp[20 : 20 + size]


def box(name: bytes, *parts: bytes) -> bytes:
    """Return a box of an MP4."""
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), name) + body


def mp4(pictures: list[bytes], seconds: int) -> bytes:
    """Return an MP4 of JPEG pictures, a Motion JPEG video. Its index stands at the end."""
    kind = box(b"ftyp", b"isom", bytes(4), b"isommp42")
    matrix = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    movie_head = box(
        b"mvhd",
        bytes(12),
        struct.pack(">IIIH", 1000, seconds * 1000, 0x10000, 0x100),
        bytes(10),
        matrix,
        bytes(24),
        struct.pack(">I", 2),
    )
    track_head = box(
        b"tkhd",
        struct.pack(">I", 3),
        bytes(8),
        struct.pack(">III", 1, 0, seconds * 1000),
        bytes(16),
        matrix,
        struct.pack(">II", WIDTH << 16, HEIGHT << 16),
    )
    media = box(
        b"mdia",
        box(b"mdhd", bytes(12), struct.pack(">IIHH", 1000, seconds * 1000, 0x55C4, 0)),
        box(b"hdlr", bytes(8), b"vide", bytes(12), b"pictures\0"),
        box(
            b"minf",
            box(b"vmhd", struct.pack(">I", 1), bytes(8)),
            box(b"dinf", box(b"dref", struct.pack(">II", 0, 1), box(b"url ", struct.pack(">I", 1)))),
            samples(pictures, first=len(kind) + 8),
        ),
    )
    return kind + box(b"mdat", *pictures) + box(b"moov", movie_head, box(b"trak", track_head, media))


def samples(pictures: list[bytes], first: int) -> bytes:
    """Return the box that says where each picture stands, the first at an offset and the others behind it."""
    coded_as_jpeg = b"\x6c\x11" + bytes(11)
    decoder = b"\x04" + bytes([len(coded_as_jpeg)]) + coded_as_jpeg
    stream = struct.pack(">HB", 1, 0) + decoder + b"\x06\x01\x02"
    entry = box(
        b"mp4v",
        bytes(6),
        struct.pack(">H", 1),
        bytes(16),
        struct.pack(">HHIIIH", WIDTH, HEIGHT, 0x480000, 0x480000, 0, 1),
        bytes(32),
        struct.pack(">Hh", 24, -1),
        box(b"esds", bytes(4), b"\x03", bytes([len(stream)]), stream),
    )
    sizes = [len(picture) for picture in pictures]
    return box(
        b"stbl",
        box(b"stsd", struct.pack(">II", 0, 1), entry),
        box(b"stts", struct.pack(">IIII", 0, 1, len(sizes), 1000 // PER_SECOND)),
        box(b"stsc", struct.pack(">IIIII", 0, 1, 1, len(sizes), 1)),
        box(b"stsz", struct.pack(">III", 0, 0, len(sizes)), struct.pack(f">{len(sizes)}I", *sizes)),
        box(b"stco", struct.pack(">III", 0, 1, first)),
    )


def pdf() -> bytes:
    """Return the document: pages of text in one of the fonts that every reader has."""
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(PAGES)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(PAGES)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, lines in enumerate(PAGES):
        text = b"\n".join(text_of(lines))
        objects += [
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 420 298] /Resources << /Font << /F1 3 0 R >> >> "
            + f"/Contents {5 + 2 * number} 0 R >>".encode(),
            f"<< /Length {len(text)} >>\nstream\n".encode() + text + b"\nendstream",
        ]
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    head = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    trailer = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF\n"
    return out + (head + trailer).encode()


def text_of(lines: tuple[str, ...]) -> Iterator[bytes]:
    """Yield the operators that write a page: a heading and lines below it."""
    yield b"BT /F1 18 Tf 36 250 Td 22 TL"
    for number, line in enumerate(lines):
        escaped = line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
        yield f"({escaped}) Tj T*{' /F1 11 Tf' if number == 0 else ''}".encode()
    yield b"ET"


def write_table(path: Path, header: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> None:
    """Write a small CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def write_drawn(folder: Path) -> None:
    """Write the clips, the document, and the tables that name them and pairs of photos."""
    for name in ("clips", "documents"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "clips" / "ball.webm").write_bytes(webm(frames(ball, BALL_SECONDS, "WEBP"), BALL_SECONDS))
    (folder / "clips" / "clock.mp4").write_bytes(mp4(frames(clock, CLOCK_SECONDS, "JPEG"), CLOCK_SECONDS))
    (folder / "documents" / "pond.pdf").write_bytes(pdf())
    write_table(folder / "pairs.csv", ("left", "right", "subject"), PAIRS)
    write_table(folder / "clips.csv", ("clip", "question"), CLIPS)
    write_table(folder / "documents.csv", ("document", "question"), DOCUMENTS)
