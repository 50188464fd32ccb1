"""Bodies as the vendors' pages show them, one file each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

GOLDEN = Path(__file__).with_name("golden")


@pytest.fixture
def golden() -> Callable[[str], Any]:
    """Return the function that reads a golden body by its file's name without the ending."""
    return lambda name: orjson.loads((GOLDEN / f"{name}.json").read_bytes())


@pytest.fixture
def golden_bytes() -> Callable[[str], bytes]:
    """Return the function that reads a golden file as it stands."""
    return lambda name: (GOLDEN / name).read_bytes()
