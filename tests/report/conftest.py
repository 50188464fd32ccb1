"""What the report tests share: a clock that is set by hand, and events in short."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.events import RowFinished, RunFinished, RunStarted
from pipeline.records import Result, Status, Usage


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _an_ordinary_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def started() -> Callable[..., RunStarted]:
    def make(
        rows: int | None = 200,
        known: int = 0,
        *,
        simulated: bool = False,
        name: str = "captions",
        samples: int = 1,
        wanted: int | None = None,
    ) -> RunStarted:
        run_dir = Path("out.parquet.run")
        return RunStarted(name, "openai", "gpt-5.4-mini", rows, known, run_dir, simulated, samples, wanted)

    return make


@pytest.fixture
def row() -> Callable[..., RowFinished]:
    def make(
        number: int, status: Status = Status.OK, kind: str | None = None, message: str | None = None, rows: int = 1
    ) -> RowFinished:
        usage = Usage(600, 100, 40, 10, 640) if status is Status.OK else Usage()
        return RowFinished(Result(number, status, usage, kind, message, rows))

    return make


@pytest.fixture
def finished() -> Callable[..., RunFinished]:
    def make(exit_code: int = 0, notes: tuple[str, ...] = (), **by_status: int) -> RunFinished:
        usage = Usage(12_345, 0, 1_234, 0, 13_579)
        rows = sum(by_status.values())
        output = Path("out/captions.parquet")
        return RunFinished(output, rows, by_status, {}, usage, rows, 0, 3.21, exit_code, notes=notes)

    return make
