"""A run at a terminal: what shows its events, and what asks a person before it sends."""

from __future__ import annotations

import shlex
import sys
from contextlib import contextmanager, redirect_stdout
from functools import partial
from typing import TYPE_CHECKING, TextIO

import click

from pipeline.report.progress import observer
from pipeline.report.sending import render_offer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pipeline.events import Observer, Offer
    from pipeline.report.progress import Kind


@contextmanager
def at_terminal(
    kind: Kind, spec: Path, sets: Sequence[str], *, allow_code: bool
) -> Iterator[tuple[Observer, Callable[[Offer], bool] | None]]:
    """Give what shows a run's events, and what asks before it sends, None where nobody is there to be asked.

    What the job's functions print meanwhile, in whichever thread, goes to standard error: it must not stand between our lines.
    """
    stdout = sys.stdout
    confirm = partial(_confirm, shown=stdout) if sys.stdin.isatty() else None
    allowed = ["--allow-code"] if allow_code else []
    again = shlex.join(["pipeline", "run", str(spec), *(word for each in sets for word in ("--set", each)), *allowed])
    with redirect_stdout(sys.stderr), observer(kind, stdout, command=again) as observe:
        yield observe, confirm


def _confirm(offer: Offer, *, shown: TextIO) -> bool:
    """Ask on ``shown``, the terminal, for standard output is the functions' own while a job runs."""
    with redirect_stdout(shown):
        click.echo(render_offer(offer))
        return click.confirm("Send?", default=False)
