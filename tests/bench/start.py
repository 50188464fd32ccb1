"""What it takes to show the help: the least that the command line does."""

from __future__ import annotations

import resource
import subprocess
import sys
import time

_CALL = "from pipeline.cli import main; main()"


def shown() -> dict[str, float]:
    """Show the help in a process of its own and return what that took."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", _CALL, "--help"], check=True, capture_output=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"help_s": time.perf_counter() - begun, "help_cpu_s": used.ru_utime + used.ru_stime}
