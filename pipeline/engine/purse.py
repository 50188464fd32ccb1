"""A job's budget over its runs: what the earlier ones have spent and still hold, and how large it would have to be for the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.checkpoint.past import past
from pipeline.checkpoint.spent import Before, added_up
from pipeline.client.held import Keeper
from pipeline.cost.budget import Budget, enough
from pipeline.cost.prices import Book
from pipeline.cost.worst import Worst, picos_of, today
from pipeline.records import Amount, Status

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.errors import BudgetReached
    from pipeline.events import Notice, RunFinished
    from pipeline.records import Purse
    from pipeline.spec.job import Job


@dataclass(frozen=True, slots=True)
class Till:
    """What a run counts its money with: the prices, and where the job has one, its budget and what earlier runs have done to it."""

    worst: Worst
    budget: Budget | None
    before: Before

    @property
    def book(self) -> Book:
        """The job's prices."""
        return self.worst.book

    @property
    def purse(self) -> Purse | None:
        """Where the budget stands."""
        return self.budget.purse if self.budget is not None else None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the budget leaves out."""
        if not self.before.uncounted:
            return ()
        attempts = f"{self.before.uncounted:,} earlier attempts that left without a budget"
        return (f"the budget does not count {attempts}: the provider never said what they used",)

    def keeper(self, announce: Callable[[Notice], None], exceeded: Callable[[BudgetReached], None]) -> Keeper | None:
        """Return what holds each attempt's worst case, None where the job has no budget."""
        if self.budget is None:
            return None
        return Keeper(self.budget, self.worst, dict(self.before.awaited), announce=announce, exceeded=exceeded)


def open_till(job: Job) -> Till:
    """Return the till of a job that is about to run. Blocking. Raises ``RunDirectoryError`` where it has no journal."""
    book = Book.of(job)
    book.rates(
        job.model, None, today()
    )  # reads the list of prices, which takes a second, where it is needed: not amid a run
    return counted_till(job, job.run_path, book)


def counted_till(job: Job, run_dir: Path, book: Book) -> Till:
    """Return a job's till, its budget less what the journal in a run directory says is spent and kept. Blocking."""
    worst = Worst(job, job.provider.facts, book)
    if not job.budget.is_set:
        return Till(worst, None, Before())
    before = added_up(past(run_dir), worst)
    budget = Budget(picos_of(job.budget.usd), job.budget.tokens, spent=before.spent, kept=before.kept)
    return Till(worst, budget, before)


def larger(reached: BudgetReached, purse: Purse, finished: RunFinished) -> str:
    """Return how a run that reached its budget goes on: with which budget it would finish, by what its rows have cost so far."""
    left = finished.by_status.get(Status.PENDING, 0)
    if not left:
        return "nothing is left to ask: the same command finishes without a larger budget"
    ended = sum(finished.by_status.values()) - left
    asked = min(
        ended, finished.attempts
    )  # a run that stops passes what asks nothing at once: what is left will be asked
    money = finished.money.table if finished.money is not None else None
    paid = Amount(money or 0, finished.usage.total_tokens or 0)
    settings = enough(purse, reached.wanted, paid, asked if paid != Amount() else 0, left)
    sets = " with " + " ".join(f"--set {each}" for each in settings) if settings else ""
    return f"the same command{sets} goes on, and should finish the {left:,} that are left"
