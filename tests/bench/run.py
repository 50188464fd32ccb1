"""Hold a run against other clients that do the same, and print one table of ratios.

    PYTHONPATH=. python tests/bench/run.py                       # everything, three rounds: about an hour
    PYTHONPATH=. python tests/bench/run.py --only text latency   # some cases
    PYTHONPATH=. python tests/bench/run.py --json figures.json   # every figure of every round, too
    PYTHONPATH=. python tests/bench/run.py --short               # tiny sizes, which only show that it works

Every trial has a process of its own on one core, the server has another core, and the trials of a case take turns: what else the machine
does then meets all of them, and only their ratios count. CPU is that of all threads of the client from its first request to its table
written, in ms a row; what it takes before is start-up.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from cases import FULL, SHORT, Case, Sizes, all_cases
from render import Finding, as_json, figures_table, findings, findings_table
from servers import Server, serving
from trial import run

_ROUNDS = 3


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description="Hold a run against other clients that do the same.")
    parser.add_argument("--only", nargs="+", metavar="CASE", help="run these cases")
    parser.add_argument("--without", nargs="+", metavar="CASE", default=[], help="leave these cases out")
    parser.add_argument("--rounds", type=int, help=f"how often each trial is run, {_ROUNDS} unless told")
    parser.add_argument("--finished", type=int, help=f"rows of the large runs, {FULL.finished:,} unless told")
    parser.add_argument("--short", action="store_true", help="tiny sizes and one round: see that it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # in order: no server and no trial stays behind
    sizes = _sizes(SHORT if asked.short else FULL, asked.finished)
    rounds = asked.rounds or (1 if asked.short else _ROUNDS)
    with TemporaryDirectory(prefix="bench-") as folder, serving(sizes.latency_s) as server:
        cases = dict(all_cases(server, Path(folder), sizes))
        wanted = [name for name in asked.only or cases if name not in asked.without]
        if unknown := set(wanted) - set(cases):
            sys.exit(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(cases)}")
        print(f"{_machine()}; server: {server.kind}; {rounds} rounds\n", flush=True)
        found, told = _measured([cases[name] for name in wanted], server, rounds)
    print(findings_table(found))
    if asked.json is not None:
        whole = {"machine": _machine(), "server": server.kind, "rounds": rounds, "cases": told}
        asked.json.write_text(json.dumps(whole, indent=1), encoding="utf-8")


def _sizes(sizes: Sizes, finished: int | None) -> Sizes:
    return sizes if finished is None else replace(sizes, finished=finished)


def _measured(
    cases: Sequence[Callable[[], Case]], server: Server, rounds: int
) -> tuple[list[Finding], list[dict[str, object]]]:
    """Run the cases, print the figures of each, and return what was found, for people and for programs."""
    found, told = list[Finding](), list[dict[str, object]]()
    for make in cases:
        case = make()
        figures: dict[str, list[dict[str, float]]] = {trial.name: [] for trial in case.trials}
        for number in range(1, 1 + (1 if case.once else rounds)):
            for trial in case.trials:
                print(f"round {number}: {case.name}: {trial.name}", file=sys.stderr, flush=True)
                figures[trial.name].append(run(trial, server.certificate))
        found += findings(case, figures)
        told.append(as_json(case, figures))
        print(figures_table(case, figures), end="\n\n", flush=True)
    return found, told


def _machine() -> str:
    cores = len(os.sched_getaffinity(0))
    shared = "" if cores > 1 else ", shared by client and server"
    return f"Python {platform.python_version()}, {platform.machine()}, {cores} cores{shared}"


if __name__ == "__main__":
    main()
