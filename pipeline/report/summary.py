"""The closing screen: what there is now, what it took, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.events import RunFinished
from pipeline.records import Status
from pipeline.report.text import counted, duration, labelled, near, tally_of, tokens, visible

COMMAND = "pipeline run SPEC"

# The statuses that another try can mend, in words, and what the command for it needs besides `--retry`.
_MENDABLE: Mapping[Status, tuple[str, str]] = {
    Status.FAILED: ("failed", ""),
    Status.TRUNCATED: ("ended truncated", " --set request.max_output_tokens=N"),
    Status.EMPTY: ("ended empty", ""),
    Status.INVALID: ("ended invalid", ""),
    Status.CANCELLED: ("ended cancelled", ""),
    Status.UNKNOWN: ("ended unknown, perhaps paid", ""),
}

# Why a run ended before its rows did, by exit code, and what has to happen before it can go on.
_STOPPED: Mapping[int, tuple[str, str]] = {
    5: ("the budget is reached", "with a larger budget "),
    6: ("the provider refuses everyone", "when that is mended, "),
    7: ("the disk failed", "when that is mended, "),
    130: ("interrupted", ""),
    143: ("interrupted", ""),
}


def closing(finished: RunFinished, *, command: str = COMMAND) -> str:
    """Return the closing screen of a run as plain text. ``command`` is how the run was started."""
    lines = [_headline(finished), *_statuses(finished), *_bill(finished)]
    lines += [labelled("note", visible(note)) for note in finished.notes]
    advice = [*_next(finished, command)]
    if finished.simulated:
        advice.append("nothing was paid: the answers are simulated")
    return "\n".join([*lines, "", *advice] if advice else lines)


def _headline(finished: RunFinished) -> str:
    if finished.output is None:
        return f"No table was written. The run took {duration(finished.seconds)}"
    return f"Wrote {near(finished.output)}: {counted(finished.rows, 'row')} in {duration(finished.seconds)}"


def _statuses(finished: RunFinished) -> Iterator[str]:
    present = [(status, finished.by_status[status]) for status in Status if finished.by_status.get(status)]
    width = max((len(f"{count:,}") for _, count in present), default=1)
    for status, count in present:
        because = tally_of(finished.by_error.get(status, {}))
        yield f"  {status:<10} {count:>{width},}{'   ' if because else ''}{because}"


def _bill(finished: RunFinished) -> Iterator[str]:
    if finished.attempts:
        yield labelled("tokens", tokens(finished.usage))
    maybe = f", {finished.maybe_paid:,} of them perhaps paid without an answer" if finished.maybe_paid else ""
    yield labelled("attempts", f"{finished.attempts:,}{maybe}")


def _next(finished: RunFinished, command: str) -> Iterator[str]:
    pending = finished.by_status.get(Status.PENDING, 0)
    if finished.exit_code in _STOPPED or pending:
        why, first = _STOPPED.get(finished.exit_code, ("not finished", ""))
        left = f", {counted(pending, 'row')} pending" if pending else ""
        yield f"{why}{left}: {first}the same command goes on from here"
    for status, (ended, more) in _MENDABLE.items():
        if count := finished.by_status.get(status):
            yield f"{counted(count, 'row')} {ended}: {visible(command)} --retry {status}{more}"
