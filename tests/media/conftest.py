"""Images that must be survived, made when they are first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def generate() -> ModuleType:
    """The module that makes hostile images."""
    path = Path(__file__).with_name("hostile") / "generate.py"
    spec = util.spec_from_file_location("hostile_images", path)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def hostile(generate: ModuleType) -> Mapping[str, bytes]:
    """The hostile images by name."""
    images: dict[str, bytes] = generate.hostile_images()
    return images
