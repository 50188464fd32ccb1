"""The closing screen: what there is now, what it took, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.events import RunFinished
from pipeline.records import Status
from pipeline.report.advice import advice
from pipeline.report.cost_lines import cache_lines, cost_lines
from pipeline.report.text import counted, duration, labelled, near, tally_of, tokens, unit, visible

COMMAND = "pipeline run SPEC"
ERROR_WIDTH = 200  # columns of the error of a function


def closing(finished: RunFinished, *, command: str = COMMAND) -> str:
    """Return the closing screen of a run as plain text. ``command`` is how the run was started."""
    lines = [_headline(finished), *_statuses(finished), *_bill(finished), *_accuracy(finished), *_functions(finished)]
    lines += [labelled("note", visible(note)) for note in finished.notes]
    last = [*advice(finished, command)]
    if finished.simulated:
        last.append("nothing was paid: the answers are simulated")
    return "\n".join([*lines, "", *last] if last else lines)


def _headline(finished: RunFinished) -> str:
    if finished.output is None:
        return f"No table was written. The run took {duration(finished.seconds)}"
    samples = f" x {finished.samples} samples" if finished.samples > 1 else ""
    return f"Wrote {near(finished.output)}: {counted(finished.rows, 'row')}{samples} in {duration(finished.seconds)}"


def _statuses(finished: RunFinished) -> Iterator[str]:
    present = [(status, finished.by_status[status]) for status in Status if finished.by_status.get(status)]
    width = max((len(f"{count:,}") for _, count in present), default=1)
    for status, count in present:
        because = tally_of(finished.by_error.get(status, {}))
        yield f"  {status:<10} {count:>{width},}{'   ' if because else ''}{because}"


def _bill(finished: RunFinished) -> Iterator[str]:
    if finished.attempts:
        yield labelled("tokens", tokens(finished.usage, finished.unknown_usage, unit(finished.samples)))
    maybe = f", {finished.maybe_paid:,} of them perhaps paid without an answer" if finished.maybe_paid else ""
    yield labelled("attempts", f"{finished.attempts:,}{maybe}")
    if finished.caching is not None:
        yield from cache_lines(finished.caching, simulated=finished.simulated)
    if finished.money is not None:
        yield from cost_lines(finished.money)


def _accuracy(finished: RunFinished) -> Iterator[str]:
    for field, right, rows in finished.accuracy:
        if rows:
            yield labelled(
                "accuracy",
                f"{visible(field)} {right / rows:.2f} ({right:,} of {counted(rows, 'row')} with a known answer)",
            )


def _functions(finished: RunFinished) -> Iterator[str]:
    """A line for each function that failed; those that always ran well need none."""
    label = "functions"
    for calls in finished.functions:
        if calls.error is not None:
            name = visible(calls.function or "names that no function has")
            failed = f"failed {calls.failed:,} of {counted(calls.made, 'call')}"
            yield labelled(label, f"{name} {failed}: {visible(calls.error, ERROR_WIDTH)}")
            label = ""
