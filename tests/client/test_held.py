"""What the layer holds before an attempt leaves, and what it makes of every way in which one can end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from pipeline.client.held import Keeper, held
from pipeline.cost.budget import Budget
from pipeline.cost.prices import Book
from pipeline.cost.worst import Worst, today
from pipeline.errors import AttemptError, BudgetReached, MediaError, Sent, Unbounded, Unfetched
from pipeline.events import Event, Notice, Spent
from pipeline.records import Amount, Post, Reply, Request, Status, Usage
from pipeline.spec.job import Job

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

MICRO = 10**6  # picodollars; a token costs one of them
USED = Usage(input_tokens=3, output_tokens=4, total_tokens=7)


def job(**settings: Any) -> Job:
    """Return a job whose tokens cost a micro-dollar each."""
    price = {"input": 1, "output": 1}
    spec = {
        "provider": "simulator",
        "model": "m",
        "input": "x.csv",
        "prompt": "p",
        "output": "o.parquet",
        "prices": {"m": price},
    }
    return Job.model_validate({**spec, "budget": 1, **settings}).located(Path("/tmp"))


def asked(text: str = "abc", **body: object) -> Request:
    """Return a request whose worst case is its text's bytes, what frames it, and 10 tokens of output."""
    whole = {"input": text, "max_output_tokens": 10, **body}
    return Request(row=3, model="m", body=whole, fingerprint=b"f", weight=1)


class Ends:
    """A post that ends its attempts as told, one after the other, and keeps the requests it got."""

    def __init__(self, *ends: Reply | BaseException) -> None:
        self.requests: list[Request] = []
        self._ends = iter(ends)

    async def __call__(self, request: Request) -> Reply:
        """End this attempt."""
        self.requests.append(request)
        await anyio.sleep(1)
        end = next(self._ends)
        if isinstance(end, BaseException):
            raise end
        return end


class Till:
    """The layer over a post, with all that it says."""

    def __init__(
        self, post: Post, made: Job, budget: Budget | None, kept: dict[bytes, Amount | None] | None = None
    ) -> None:
        self.said: list[Event] = []
        self.exceeded: list[BudgetReached] = []
        book = Book.of(made)
        worst = Worst(made, made.provider.facts, book)
        keeper = None
        if budget is not None:
            keeper = Keeper(budget, worst, kept or {}, announce=self.said.append, exceeded=self.exceeded.append)
        self.post = held(post, book, keeper, self.said.append)


def failure(sent: Sent, usage: Usage | None = None) -> AttemptError:
    """Return how an attempt may fail."""
    reply = None if usage is None else Reply(Status.FAILED, usage=usage)
    return AttemptError("no", kind="server", sent=sent, transient=True, reply=reply)


@pytest.fixture
def worst() -> int:
    """What is held for the request, in tokens."""
    bound = Worst(job(), job().provider.facts, Book.of(job())).of(asked(), today())[0]
    assert bound is not None
    return bound.input_tokens + bound.output_tokens


async def test_a_request_carries_what_is_held_for_it(worst: int) -> None:
    """The journal writes it down before the request leaves."""
    ends = Ends(Reply(Status.OK, usage=USED))
    await Till(ends, job(), Budget(10**12, None)).post(asked())
    (request,) = ends.requests
    assert request.bound is not None
    assert request.bound.output_tokens == 10
    assert request.bound.input_tokens + 10 == worst


@pytest.mark.parametrize(
    ("end", "spent", "stays", "told"),
    [
        (Reply(Status.OK, usage=USED), 7, False, [7 * MICRO]),
        (Reply(Status.OK), 0, True, [None]),
        (failure(Sent.NEVER), 0, False, []),
        (failure(Sent.MAYBE), 0, True, [None]),
        (failure(Sent.ANSWERED), 0, False, [0]),
        (failure(Sent.ANSWERED, USED), 7, False, [7 * MICRO]),
        (MediaError("no such file"), 0, False, []),
        (Unfetched("later"), 0, True, [None]),
        (OSError("a mistake of ours"), 0, True, [None]),
    ],
    ids=["usage", "no usage", "never sent", "unknown", "refused", "failed with usage", "media", "unfetched", "crash"],
)
async def test_each_end_is_settled(
    worst: int, end: Reply | BaseException, spent: int, stays: bool, told: list[int | None]
) -> None:
    """The real cost where it is known, nothing where nothing was sent, else the worst case stays."""
    budget = Budget(10**12, 10**6)
    till = Till(Ends(end), job(budget={"usd": 1, "tokens": 10**6}), budget)
    try:
        await till.post(asked())
    except type(end):  # type: ignore[misc]
        assert isinstance(end, BaseException)
    kept = worst if stays else 0
    assert budget.purse.spent == Amount(spent * MICRO, spent)
    assert budget.purse.held == Amount(kept * MICRO, kept)
    assert [event.picos for event in till.said if isinstance(event, Spent)] == told


async def test_an_attempt_that_is_cut_off_keeps_its_worst_case(worst: int) -> None:
    """It may have been paid."""
    budget = Budget(10**12, None)
    till = Till(Ends(), job(), budget)
    with anyio.move_on_after(0.5):
        await till.post(asked())
    assert budget.purse.held == Amount(worst * MICRO)


async def test_who_waits_for_money_does_not_leave(worst: int) -> None:
    """And gets it when an attempt gives some back; the wait counts as waiting for its turn."""
    ends = Ends(*[Reply(Status.OK, usage=USED)] * 2)
    till = Till(ends, job(), Budget(worst * MICRO + 20 * MICRO, None))
    async with anyio.create_task_group() as group:
        group.start_soon(till.post, asked())
        group.start_soon(till.post, asked())
        await anyio.sleep(0.5)
        assert len(ends.requests) == 1
    assert [request.waited_s for request in ends.requests] == pytest.approx([0, 1], abs=0.01)


async def test_without_a_budget_nothing_is_held_and_every_end_is_priced() -> None:
    """A price that is not known is said to be unknown."""
    ends = Ends(Reply(Status.OK, usage=USED), Reply(Status.OK))
    till = Till(ends, job(), None)
    await till.post(asked())
    await till.post(asked())
    assert till.said == [Spent(7 * MICRO), Spent(None)]
    assert ends.requests[0].bound is None


async def test_a_provider_that_bills_more_than_the_worst_case_is_named_once(worst: int) -> None:
    """The real figures count; the run is stopped once they break the cap."""
    much = Usage(input_tokens=1, output_tokens=4 * worst, total_tokens=4 * worst + 1)
    budget = Budget(6 * worst * MICRO, None)
    till = Till(Ends(*[Reply(Status.OK, usage=much)] * 2), job(), budget)
    await till.post(asked())
    assert [event for event in till.said if isinstance(event, Notice)]
    assert not till.exceeded
    await till.post(asked())
    assert len([event for event in till.said if isinstance(event, Notice)]) == 1
    assert [str(error) for error in till.exceeded] == [str(till.exceeded[0])]
    assert "row 3 cost more than it could" in str(till.exceeded[0])
    assert budget.purse.spent.picos == 2 * (4 * worst + 1) * MICRO


@pytest.mark.parametrize("kept", [Amount(5 * MICRO), None])
async def test_what_the_provider_works_on_already_needs_no_money(worst: int, kept: Amount | None) -> None:
    """Its answer is only fetched; what was kept for it is settled, and a further attempt is held anew."""
    budget = Budget(5 * MICRO, None, kept=kept)
    till = Till(Ends(Reply(Status.OK, usage=USED)), job(), budget, {b"f": kept})
    await till.post(asked())
    assert budget.purse == till.said[-1].purse  # type: ignore[union-attr]
    assert (budget.purse.spent, budget.purse.held) == (Amount(7 * MICRO), Amount())
    with pytest.raises(BudgetReached):
        await till.post(asked())
    assert worst > 5


async def test_a_request_that_nobody_can_bound_does_not_leave() -> None:
    """Its row fails alone."""
    ends = Ends()
    with pytest.raises(Unbounded):
        await Till(ends, job(), Budget(10**12, None)).post(asked(max_output_tokens=None))
    assert ends.requests == []


async def test_a_bound_of_the_job_s_own_is_held_where_there_is_no_other() -> None:
    """The attempt then has no bound of its own in the journal."""
    budget, ends = Budget(10**12, None), Ends(Reply(Status.OK))
    till = Till(ends, job(budget={"usd": 1, "per_request_usd": 0.25}), budget)
    await till.post(asked(max_output_tokens=None))
    assert budget.purse.held == Amount(10**12 // 4)
    assert ends.requests[0].bound is None


@pytest.mark.parametrize(("kind", "is_kept"), [("server", False), ("unrecognised", True), ("cancelled", True)])
async def test_an_error_in_a_success_holds_money_only_where_the_work_may_have_been_done(
    worst: int, kind: str, is_kept: bool
) -> None:
    """A gateway that answers 200 and an error for an hour does not eat the budget."""
    budget = Budget(10**12, 10**6)
    end = AttemptError("no", kind=kind, sent=Sent.ANSWERED, transient=True)
    till = Till(Ends(end), job(budget={"usd": 1, "tokens": 10**6}), budget)
    with pytest.raises(AttemptError):
        await till.post(asked())
    assert budget.purse.held == (Amount(worst * MICRO, worst) if is_kept else Amount())
    assert [event.picos for event in till.said if isinstance(event, Spent)] == [None if is_kept else 0]
