"""Everything that can go wrong, as one tree.

::

    PipelineError
    ├── RunError                 the run cannot start or cannot go on
    │   ├── SpecError            exit 2   the job spec or the command line is wrong
    │   ├── DataError            exit 3   the input cannot be read, or misses what the job needs
    │   ├── RunDirectoryError    exit 4   the run directory is in use, or is not one of ours
    │   ├── BudgetReached        exit 5   the next request could cost more than the budget has left
    │   ├── ProviderRefused      exit 6   key, quota, model or breaker: the provider refuses everyone
    │   ├── DiskFailed           exit 7   the journal or the output could not be made durable
    │   ├── FunctionsHang        exit 8   the job's functions hold every place and do not end
    │   ├── Crashed              exit 70  a mistake of this program's own
    │   └── Interrupted          exit 130 or 143, resumable
    └── RowError                 this row fails, its neighbours go on
        ├── PromptError          the row cannot be turned into a request
        ├── Unbounded            nobody can say what the row's request costs at most, and the job has a budget
        ├── MediaError           a picture, video or file of the row cannot be sent
        ├── Unfetched            the provider has an answer that could not be fetched; the next run looks again
        └── AttemptError         one attempt ended without a usable reply

Two questions decide what happens: *whose* error is it (``scope``: does the row fail, or the run?) and *is waiting worth it*
(``transient``)? Retry reads only the second, the engine only the first, the command line only ``exit_code`` and ``hint``.
Errors of other libraries are translated into these at one door each.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.records import Amount, Reply

Scope = Literal["row", "run"]


class PipelineError(Exception):
    """Anything this package raises on purpose."""

    scope: Scope = "run"
    transient: bool = False
    exit_code: int = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class RunError(PipelineError):
    """The run cannot start or cannot go on."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a job spec: where it stands, what is wrong, and how to mend it.

    ``line`` and ``column`` count from 1 and are None where the value did not come from the file (``--set``, a default).
    """

    where: str
    message: str
    line: int | None = None
    column: int | None = None
    excerpt: str | None = None
    suggestion: str | None = None


class SpecError(RunError):
    """The job spec or the command line is wrong; ``problems`` holds every mistake, not only the first."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem], *, source: str = "job spec", hint: str | None = None) -> None:
        self.problems = tuple(problems)
        self.source = source
        super().__init__("\n".join(self._lines()), hint=hint)

    def _lines(self) -> list[str]:
        lines = []
        for problem in self.problems:
            place = f"{self.source}:{problem.line}:{problem.column}" if problem.line is not None else self.source
            mend = f" - did you mean {problem.suggestion!r}?" if problem.suggestion else ""
            lines.append(
                f"{place}: {problem.where}: {problem.message}{mend}"
                if problem.where
                else f"{place}: {problem.message}{mend}"
            )
            if problem.excerpt is not None and problem.line is not None:
                lines.append(f"{problem.line:>6} | {problem.excerpt}")
                lines.append(f"{'':>6} | {'':{max((problem.column or 1) - 1, 0)}}^")
        return lines


class DataError(RunError):
    """The input cannot be read, or misses what the job needs."""

    exit_code = 3


class RunDirectoryError(RunError):
    """The run directory is in use by another run, lies on an unsafe disk, or holds no journal of ours."""

    exit_code = 4


class FunctionsHang(RunError):
    """The job's functions run on past their time and hold every place there is, so that no further call could start."""

    exit_code = 8


class BudgetReached(RunError):
    """The budget is used up: nothing that is on its way can give any of it back, and the next request does not fit into what is left.

    ``wanted`` is what that request could cost at most.
    """

    exit_code = 5

    def __init__(self, message: str, *, wanted: Amount, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.wanted = wanted


class ProviderRefused(RunError):
    """The provider refuses everyone: key, quota, unknown model, or nothing but failures (the breaker)."""

    exit_code = 6


class DiskFailed(RunError):
    """The journal or the output could not be made durable; nothing is acknowledged after this."""

    exit_code = 7


class Crashed(RunError):
    """A mistake of this program's own, or of an observer; the run ends in order, and what was answered is kept."""

    exit_code = 70

    def __init__(self, error: BaseException) -> None:
        super().__init__(
            f"the program made a mistake: {type(error).__name__}: {error}",
            hint="the same command goes on from here; please report this with the output of `pipeline check`",
        )


class Interrupted(RunError):
    """A signal ended the run; everything finished is kept, and the same command goes on from there."""

    def __init__(self, message: str, *, signal_number: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = 128 + signal_number
        self.told = False  # True once the closing screen of the run was shown


class RowError(PipelineError):
    """This row fails with ``kind`` and a message a person can act on; its neighbours go on."""

    scope: Scope = "row"
    kind: str = "row"
    unknown: bool = False  # it may have been paid, and it is not asked again


class PromptError(RowError):
    """The row cannot be turned into a request: a null cell, a template that fails, a parameter out of range.

    ``problems`` holds the mistakes by their places in the spec, where they are known.
    """

    kind = "prompt"

    def __init__(self, message: str, *, hint: str | None = None, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message, hint=hint)
        self.problems = tuple(problems)


class NullCell(PromptError):
    """A null stands where the prompt needs a value; ``on_null`` decides what becomes of the row."""

    kind = "null_cell"

    def __init__(self, column: str) -> None:
        super().__init__(f"column {column!r} is null", hint="set on_null to skip or empty, or fill the cell")
        self.column = column


class Unbounded(RowError):
    """Nobody can say what the row's request could cost at most, so that a job with a budget does not send it.

    ``place`` is where in the spec that could be mended.
    """

    kind = "unbounded"

    def __init__(self, message: str, *, place: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.place = place


class MediaError(RowError):
    """A picture, video or file of the row cannot be sent: missing, unreadable, too large, of no known kind, or outside the allowed folders.

    ``transient`` where it is somewhere else and could not be fetched just now.
    """

    kind = "media"

    def __init__(self, message: str, *, hint: str | None = None, transient: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.transient = transient


class Unfetched(RowError):
    """The provider has, or is making, an answer that could not be fetched. It stays there under its id: the next run looks again."""

    kind = "unfetched"


class Sent(StrEnum):
    """How far an attempt got, which is what decides whether it may have been paid for."""

    NEVER = "never"  # no byte of the request left, or it was refused before any work
    MAYBE = "maybe"  # it left, and no whole answer came back: it may have run and been billed
    ANSWERED = "answered"  # a whole answer came back, and it says no


class AttemptError(RowError):
    """One attempt ended without a usable reply.

    ``kind`` is the row of the table in ``wire/signals.py`` it fell under (``rate_limit``, ``server``, ``timeout`` ...).
    ``retry_after_s`` is the wait in seconds the server asked for. ``reply`` holds the decoded body where there was one, so that its
    usage is counted even though the attempt failed.
    """

    def __init__(  # noqa: PLR0913 - the facts of one failure, each read by a different layer
        self,
        message: str,
        *,
        kind: str,
        sent: Sent,
        transient: bool,
        scope: Scope = "row",
        http_status: int | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
        request_id: str | None = None,
        reply: Reply | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind
        self.sent = sent
        self.transient = transient
        self.scope = scope
        self.http_status = http_status
        self.code = code
        self.retry_after_s = retry_after_s
        self.request_id = request_id
        self.reply = reply
        self.unknown = sent is Sent.MAYBE and not transient
