"""Call one function in a process of its own and say what it returned: ``python alone.py MODULE FUNCTION OPTIONS``, options in JSON.

``BENCH_CORE`` names the core that the process stays on.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
from collections.abc import Mapping

MARK = "bench:"
"""What the line with the figures begins with; a measured program may print others."""


def main() -> None:
    """Pin the process, let it open as many sockets as it may, call the function, print its figures."""
    module, function, options = sys.argv[1:]
    if core := os.environ.get("BENCH_CORE"):
        os.sched_setaffinity(0, {int(core)})
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    figures = getattr(importlib.import_module(module), function)(**json.loads(options))
    print(MARK + json.dumps(_flat(figures)), flush=True)


def _flat(figures: Mapping[str, float | Mapping[str, float]]) -> dict[str, float]:
    """Return the figures by name; those of a part have the part's name before theirs."""
    flat = dict[str, float]()
    for name, value in figures.items():
        flat |= (
            {f"{name}.{inner}": one for inner, one in value.items()} if isinstance(value, Mapping) else {name: value}
        )
    return flat


if __name__ == "__main__":
    main()
