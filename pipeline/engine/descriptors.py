"""How many files a process may have open: every connection is one, and where they end a run fails row by row for no fault of its own."""

from __future__ import annotations

import resource

SPARE = 100
"""For the journal, the input, the output, downloads and whatever else this process does."""


def allow_open(connections: int) -> str | None:
    """Let this process have so many connections; return a note where the system does not allow them, None where it does.

    Raises the soft limit of open files where that is lower, which every process may do up to the hard limit.
    """
    wanted = connections + SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return None
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most == wanted:
        return None
    return (
        f"{connections:,} requests at once need {wanted:,} open files, and this system allows {most:,}: "
        f"set limits.concurrency to {max(most - SPARE, 1):,}, or raise the limit (ulimit -n)"
    )
