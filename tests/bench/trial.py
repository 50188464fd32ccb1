"""Run one measured function in a process of its own, on a core of its own, and watch its memory from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from alone import MARK

__all__ = ["CLIENT_CORE", "HERE", "SERVER_CORE", "Trial", "ended", "environment", "run"]

_CORES = sorted(os.sched_getaffinity(0))
CLIENT_CORE, SERVER_CORE = _CORES[0], _CORES[-1]
"""The same one where there is only one."""

HERE = Path(__file__).parent
_LOOK_S = 0.05  # between two looks at the memory of a trial


@dataclass(frozen=True, slots=True)
class Trial:
    """One thing that is measured: a function of a module of this folder, which returns its figures by name."""

    name: str
    module: str
    function: str
    options: Mapping[str, object] = field(default_factory=dict)


def environment(core: int, certificate: Path | None = None) -> dict[str, str]:
    """Return the environment of a process that is measured, or that serves one."""
    paths = os.pathsep.join([str(HERE.parents[1]), str(HERE)])
    trusted = {} if certificate is None else {"SSL_CERT_FILE": str(certificate)}
    return {**os.environ, "PYTHONPATH": paths, "BENCH_CORE": str(core), "OPENAI_API_KEY": "bench", **trusted}


def run(trial: Trial, certificate: Path | None = None) -> dict[str, float]:
    """Run a trial in an empty folder and return its figures, with ``anonymous_mb``, the most anonymous memory that it was seen with.

    Raises ``RuntimeError`` with what it printed where it failed.
    """
    command = [sys.executable, str(HERE / "alone.py"), trial.module, trial.function, json.dumps(dict(trial.options))]
    with TemporaryDirectory(prefix="bench-") as folder, (Path(folder) / "printed").open("w+") as printed:
        told_of = environment(CLIENT_CORE, certificate)
        process = subprocess.Popen(command, cwd=folder, env=told_of, stdout=printed, stderr=subprocess.STDOUT)
        with ended(process):
            anonymous_mb = max(_anonymous_mb(process), default=0.0)
        printed.seek(0)
        lines = printed.read().splitlines()
    told = [line.removeprefix(MARK) for line in lines if line.startswith(MARK)]
    if process.returncode or not told:
        raise RuntimeError(f"{trial.name} ended with {process.returncode}:\n" + "\n".join(lines[-30:]))
    return {"anonymous_mb": anonymous_mb, **json.loads(told[-1])}


@contextmanager
def ended(process: subprocess.Popen[Any]) -> Iterator[None]:
    """End a process when the block ends, however it does."""
    with process:
        try:
            yield
        finally:
            process.kill()


def _anonymous_mb(process: subprocess.Popen[bytes]) -> Iterator[float]:
    """Yield the anonymous memory of a process, in MB, again and again until it ends. The kernel keeps no peak of it."""
    while True:
        with suppress(OSError):  # it has ended in between
            for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
                if line.startswith("RssAnon"):
                    yield int(line.split()[1]) / 1024
        with suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK_S)
            return
