"""What to do next after a run: which rows another try can mend, and what has to change before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.events import RunFinished
from pipeline.records import Status
from pipeline.report.text import counted, names_of, unit, visible
from pipeline.wire.signals import KINDS

_WAIT = "the same command asks them again"
_CHANGE = "{command} --retry failed, with what has to change in --set"

# What mends failed rows, by the kind of failure. What ended in passing is asked again by a plain run; any other kind was refused for good.
_MENDS: Mapping[str, str] = {
    "null_cell": "fill the cells, or set on_null to skip or empty",
    "prompt": "mend the prompt or the column; changed rows are asked by themselves",
    "unbounded": "say in the spec what a request may cost at most, then run the same command",
    "unfetched": "the same command looks for their answers again, which costs nothing",
    "media": "mend the pictures or files, then run the same command",
    **{kind: _WAIT for kind, facts in KINDS.items() if facts.transient},
    **dict.fromkeys(("connect", "disconnected", "proxy", "transport"), _WAIT),  # the wire itself failed
}

# The other statuses that another try can mend, in words, and what the command for it needs besides `--retry`.
_MENDABLE: Mapping[Status, tuple[str, str]] = {
    Status.TRUNCATED: ("ended truncated", " --set request.max_output_tokens=N"),
    Status.EMPTY: ("ended empty", ""),
    Status.INVALID: ("ended invalid", ""),
    Status.CANCELLED: ("ended cancelled", ""),
    Status.UNKNOWN: ("ended unknown, perhaps paid", ""),
}

# How a run that ended before its rows did is called, by exit code, and what has to happen before it can go on. What refused or failed is
# said by the error that ends such a run.
_STOPPED: Mapping[int, tuple[str, str]] = {
    5: ("stopped", "with a larger budget, "),
    6: ("stopped", "once the error is mended, "),
    7: ("stopped", "once the error is mended, "),
    8: ("stopped", "once the functions end in time, "),
    130: ("interrupted", ""),
    143: ("interrupted", ""),
}


def mend(status: str, kind: str | None, command: str) -> str | None:
    """Return what can be done about rows that ended so; None where nothing can, or nothing has to be."""
    if status == Status.FAILED:
        facts = KINDS.get(kind or "")
        hint = facts.hint if facts is not None else None
        return "; ".join(part for part in (hint, _MENDS.get(kind or "", _CHANGE).format(command=command)) if part)
    found = _MENDABLE.get(Status(status))
    return None if found is None else f"{command} --retry {status}{found[1]}"


def advice(finished: RunFinished, command: str) -> Iterator[str]:
    """Yield what to do next, a line each; ``command`` is how the run was started."""
    shown, noun = visible(command), unit(finished.samples)
    pending = finished.by_status.get(Status.PENDING, 0)
    if finished.exit_code in _STOPPED or pending:
        how, first = _STOPPED.get(finished.exit_code, ("not finished", ""))
        left = f", {counted(pending, noun)} pending" if pending else ""
        yield f"{how}{left}: {first}the same command goes on from here"
    elif finished.rows == 0:
        yield "the input has no rows for this job"
    yield from _failed(finished, shown)
    for status, (ended, more) in _MENDABLE.items():
        if count := finished.by_status.get(status):
            yield f"{counted(count, noun)} {ended}: {shown} --retry {status}{more}"


def _failed(finished: RunFinished, command: str) -> Iterator[str]:
    """Failed rows by what mends them, most of them first; where all need the same, their kinds are not told twice."""
    kinds = finished.by_error.get(Status.FAILED, {})
    groups: dict[str, dict[str, int]] = {}
    for kind, count in kinds.items():
        groups.setdefault(_MENDS.get(kind, _CHANGE), {})[kind] = count
    if unnamed := finished.by_status.get(Status.FAILED, 0) - sum(kinds.values()):
        groups.setdefault(_CHANGE, {})["other"] = unnamed
    for mend, group in sorted(groups.items(), key=lambda item: -sum(item[1].values())):
        why = f" ({names_of(group)})" if len(groups) > 1 else ""
        yield f"{counted(sum(group.values()), unit(finished.samples))} failed{why}: {mend.format(command=command)}"
