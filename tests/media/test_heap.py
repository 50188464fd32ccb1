"""Memory of pictures that have left is at hand for the next ones."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from pipeline.media.heap import keep_freed_memory

FREEING = """
from pathlib import Path
from pipeline.media.heap import keep_freed_memory
keep_freed_memory()
blocks = [b"x" * 2**20 for _ in range(64)]
del blocks
print(int(Path("/proc/self/statm").read_text().split()[1]) * 4096)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep memory as they like")
def test_what_is_freed_is_kept() -> None:
    """64 pictures of a megabyte are gone, and the process still has their memory."""
    kept = subprocess.run([sys.executable, "-c", FREEING], capture_output=True, check=True, text=True)
    assert int(kept.stdout) > 64 * 2**20


@pytest.mark.parametrize(("platform", "library"), [("darwin", None), ("linux", object())])
def test_other_libraries_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch, platform: str, library: object) -> None:
    """Where there is no such call, nothing is called."""
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: library)
    keep_freed_memory()
