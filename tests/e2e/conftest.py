"""A provider in its own process and a job in its own folder, for each test that asks for them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.e2e.bench import Bench, Provider


def _load(name: str) -> Any:
    """Load a module beside this file; ``--import-mode=importlib`` puts no test folder on the path."""
    spec = util.spec_from_file_location(f"e2e_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their own module up
    spec.loader.exec_module(module)
    return module


_bench = _load("bench")


@pytest.fixture(scope="session")
def _plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    with _bench.provider(tmp_path_factory.mktemp("provider")) as running:
        yield running


@pytest.fixture
def provider(_plain: Provider) -> Provider:
    """A provider without faults. All tests share its process; each sees the ledger from its own beginning on."""
    return _bench.Provider(_plain.url, _plain.ledger.now())


@pytest.fixture
def play(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Provider]]:
    """Start a provider that plays a script; its process ends with the test."""
    with ExitStack() as stack:

        def start(script: Mapping[str, object]) -> Provider:
            return stack.enter_context(_bench.provider(tmp_path_factory.mktemp("provider"), script))

        yield start


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., Bench]:
    """Set up a job against a provider: rows with an ``id`` and a ``text``, one question each."""

    def set_up(asks: Provider | None = None, *, rows: int = 0, **settings: Any) -> Bench:
        spec = {
            "name": "e2e",
            "provider": {"name": "simulator"} if asks is None else {"base_url": asks.base()},
            "model": "gpt-5.4-mini",
            "input": "input.parquet",
            "prompt": "#{{ id }}# {{ text }}",
            "output": {"path": "out.parquet"},
            **settings,
        }
        made: Bench = _bench.Bench(tmp_path, spec)
        if rows:
            made.fill([{"id": f"r{number}", "text": f"text {number}"} for number in range(rows)])
        return made

    return set_up
