"""The simulator's own token rules, on purpose nobody else's.

Text: a run of up to six ASCII letters or digits is one token, and so is any other visible character; white space is
free. A message costs four more. An image costs 85 plus 170 for each 512-pixel tile it touches, only the 85 with
`detail: low`; one that is only named by a URL is taken for 1024x1024. A file costs a token per four bytes, 500 when
only named; a video 250 per second begun, 1,000 when only named or of unknown length.
"""

from __future__ import annotations

import math
import re

__all__ = ["FILE_UNSEEN", "MESSAGE", "VIDEO", "count_text", "cut_text", "file_tokens", "image_tokens", "video_tokens"]

MESSAGE = 4
VIDEO = 1000
FILE_UNSEEN = 500

_TOKEN = re.compile(r"[A-Za-z0-9]{1,6}|\S")


_KINDS = bytes(
    ord("a") if chr(code).isalnum() else ord(" ") if chr(code).isspace() else ord(".") for code in range(128)
).ljust(256, b".")


def count_text(text: str) -> int:
    """How many tokens the text is."""
    if not text.isascii():
        return len(_TOKEN.findall(text))
    # The same three times as fast: whole sixes of each run, the one token that is left of it, and what is not in a run.
    kinds = text.encode().translate(_KINDS)
    rests = kinds.replace(b"aaaaaa", b"")
    sixes = (len(kinds) - len(rests)) // 6
    return sixes + len(rests.replace(b".", b" ").split()) + rests.count(b".")


def cut_text(text: str, limit: int) -> str:
    """The text's first `limit` tokens."""
    end = 0
    for number, match in enumerate(_TOKEN.finditer(text)):
        if number == limit:
            return text[:end]
        end = match.end()
    return text


def image_tokens(width: int, height: int, detail: str | None) -> int:
    """What an image of this size costs."""
    if detail == "low":
        return 85
    return 85 + 170 * -(-width // 512) * -(-height // 512)


def file_tokens(size: int, _pages: int | None = None) -> int:
    """What a file of this many bytes costs."""
    return -(-size // 4)


def video_tokens(seconds: float | None) -> int:
    """What a video of this length costs."""
    return VIDEO if seconds is None else 250 * math.ceil(seconds)
