"""What one process takes: CPU for its imports, until its first request and from there on; wall time; memory. Used inside that process."""

from __future__ import annotations

import time
from pathlib import Path

__all__ = ["Meter", "peak_mb"]


class Meter:
    """Reads the clocks when it is made, which is after the imports, at the first request, and at the end."""

    def __init__(self) -> None:
        self._imported_s = time.process_time()
        self._cpu_s: float | None = None
        self._wall = 0.0

    def first_request(self) -> None:
        """Mark the first request; further calls change nothing."""
        if self._cpu_s is None:
            self._cpu_s, self._wall = time.process_time(), time.perf_counter()

    def figures(self, rows: int) -> dict[str, float]:
        """Return the figures, read now: CPU of all threads, in seconds before the first request, and in ms a row since."""
        cpu_s, wall = time.process_time(), time.perf_counter()
        if self._cpu_s is None:
            raise RuntimeError("no request was sent")
        return {
            "import_cpu_s": self._imported_s,
            "start_cpu_s": self._cpu_s - self._imported_s,
            "cpu_ms": (cpu_s - self._cpu_s) / rows * 1000,
            "wall_s": wall - self._wall,
            "rss_mb": peak_mb(),
        }


def peak_mb() -> float:
    """Return the most memory that this process ever had, in MB."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024
