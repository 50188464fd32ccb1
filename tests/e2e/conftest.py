"""A provider in its own process and a job in its own folder, for each test that asks for them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.e2e.bench import Bench, Provider
    from tests.e2e.process import Process


def _load(name: str) -> Any:
    """Load a module beside this file; ``--import-mode=importlib`` puts no test folder on the path."""
    spec = util.spec_from_file_location(f"e2e_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for their own module
    spec.loader.exec_module(module)
    return module


_bench, _process = _load("bench"), _load("process")


@contextmanager
def _serving(folder: Path, *script: str) -> Iterator[Provider]:
    ledger = folder / "ledger.jsonl"
    with _process.Process("serve", str(ledger), *script) as server:
        yield _bench.Provider(server.output.readline().strip(), _bench.Ledger(ledger))


@pytest.fixture(scope="session")
def _shared_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    with _serving(tmp_path_factory.mktemp("provider")) as running:
        yield running


@pytest.fixture
def provider(_shared_provider: Provider) -> Provider:
    """A provider without faults. All tests share its process; each sees the ledger from its own beginning on."""
    return _bench.Provider(_shared_provider.url, _shared_provider.ledger.now())


@pytest.fixture
def play(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Provider]]:
    """Start a provider that plays a script; its process ends with the test."""
    with ExitStack() as stack:

        def start(script: Mapping[str, object]) -> Provider:
            folder = tmp_path_factory.mktemp("provider")
            (folder / "script.json").write_text(json.dumps(script), encoding="utf-8")
            return stack.enter_context(_serving(folder, str(folder / "script.json")))

        yield start


@pytest.fixture
def start() -> Callable[..., Process]:
    """Start a command line of ours in a process of its own."""
    made: Callable[..., Process] = _process.Process
    return made


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., Bench]:
    """Set up a job with so many rows of an ``id`` and a ``text``, one question each; without a provider the embedded simulator answers."""

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
