"""What runs in a process of the bench: set up its descriptors, its limits and what strikes it when, then be a command line.

The command line is one of ours, or one of two that only tests need: ``tell JOB`` runs a job and writes the name of each event as it
happens; ``serve LEDGER [SCRIPT]`` is a provider that says its address.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from multiprocessing.connection import Connection


def begin(
    arguments: list[str],
    stdout: Connection,
    stderr: str,
    strike: tuple[str, str, signal.Signals] | None,
    largest_file: int | None,
) -> None:
    """Become the process that the bench asked for."""
    os.dup2(stdout.fileno(), 1)
    stdout.close()
    with open(stderr, "wb") as errors:
        os.dup2(errors.fileno(), 2)
    for name in [name for name in os.environ if name.upper().endswith(("_API_KEY", "_PROXY"))]:
        del os.environ[name]
    if strike is not None:
        _strike(*strike)
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    COMMANDS.get(arguments[0], _command_line)(*arguments)


def _strike(event: str, words: str, number: signal.Signals) -> None:
    """Have this process get a signal just before an audit event of Python's whose arguments hold the words."""

    def hook(name: str, values: tuple[object, ...]) -> None:
        if name == event and words in str(values):
            os.kill(os.getpid(), number)

    sys.addaudithook(hook)


def _tell(_: str, job: str, *sets: str) -> None:
    from pipeline import PipelineError, run

    try:
        run(job, sets=sets, yes=True, allow_code=True, observe=lambda event: print(type(event).__name__, flush=True))
    except PipelineError as error:
        raise SystemExit(error.exit_code) from error


def _serve(_: str, ledger: str, script: str | None = None) -> None:
    from pathlib import Path

    from pipeline.simulator import load_script, serve

    played = load_script(Path(script)) if script is not None else None
    serve("127.0.0.1", 0, played, Path(ledger), lambda url: print(url, flush=True))


def _command_line(*arguments: str) -> None:
    from pipeline.cli import main

    sys.argv = ["pipeline", *arguments]
    main()


COMMANDS = {"tell": _tell, "serve": _serve}
begin(**globals()["given"])  # by the bench
