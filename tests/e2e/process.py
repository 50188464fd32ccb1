"""Processes of our own that start at once, because a server that has imported everything forks them.

A Python that imports the package takes a second to start, and end-to-end tests need some fifty. What runs in each is the same command line,
with its own descriptors, signals and exit code, so it can be signalled, starved and killed like any other.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
from pathlib import Path
from tempfile import mkstemp
from typing import Self

_CHILD = str(Path(__file__).with_name("child.py"))
_PRELOADED = [
    *("__main__", "pipeline.api", "pipeline.cli", "pipeline.report.progress", "pipeline.simulator"),
    *(
        "bpe_openai",
        "genai_prices.data",
        "anyio._backends._asyncio",
        "httpcore",
    ),  # what a run loads late, as it takes half a second
]


class Process:
    """A command line of ours in a process of its own; leaving its block kills it.

    ``strike`` names one of Python's audit events, words in its arguments, and a signal that the process gets just before such an event.
    ``largest_file`` is the size in bytes beyond which no file of it may grow. ``output`` is what it writes.
    """

    def __init__(
        self, *arguments: str, strike: tuple[str, str, signal.Signals] | None = None, largest_file: int | None = None
    ) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_PRELOADED)
        descriptor, self._errors = mkstemp()
        os.close(descriptor)
        receiving, sending = context.Pipe(duplex=False)
        given = {
            "arguments": list(arguments),
            "stdout": sending,
            "stderr": self._errors,
            "strike": strike,
            "largest_file": largest_file,
        }
        self._process = context.Process(target=runpy.run_path, args=(_CHILD, {"given": given}))
        self._process.start()
        sending.close()
        self.output = os.fdopen(os.dup(receiving.fileno()), encoding="utf-8")
        receiving.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()
        self._process.close()
        self.output.close()
        Path(self._errors).unlink()

    @property
    def pid(self) -> int:
        """The process's number."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def errors(self) -> str:
        """What it wrote to its standard error."""
        return Path(self._errors).read_text(encoding="utf-8")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def says(self, words: str, times: int = 1) -> bool:
        """Read its output up to the n-th line that holds the words, and tell whether it came."""
        for line in self.output:
            times -= words in line
            if times == 0:
                return True
        return False

    def runs_for(self, seconds: float) -> bool:
        """Wait at most so long, and tell whether it still runs."""
        self._process.join(seconds)
        return self._process.exitcode is None

    def end(self) -> int:
        """Wait for its end and return its exit code: the signal's negative number if one killed it."""
        self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode
