"""When a run in which everything fails is stopped, and when it is not."""

from __future__ import annotations

import pytest

from pipeline.client.breaker import OWN_FAULTS, Breaker, guarded
from pipeline.errors import AttemptError, MediaError, ProviderRefused, Scope, Sent
from pipeline.records import Reply, Request, Status
from pipeline.wire.signals import KINDS

pytestmark = pytest.mark.anyio

QUESTION = Request(row=3, model="m", body={}, fingerprint=b"0" * 16, weight=100)


def failure(kind: str, *, code: str | None = None, scope: Scope = "row", hint: str | None = None) -> AttemptError:
    """Return an error with which a row ended."""
    return AttemptError(
        f"it said {kind}", kind=kind, code=code, scope=scope, hint=hint, sent=Sent.ANSWERED, transient=False
    )


def test_as_many_failures_of_one_kind_as_the_job_says_stop_the_run() -> None:
    """The message names kind, count and an example, the hint what to do."""
    breaker = Breaker(3)
    for _ in range(2):
        breaker.failed(failure("bad_request"))
    with pytest.raises(ProviderRefused, match=r"3 rows .* bad_request .* it said bad_request") as stopped:
        breaker.failed(failure("bad_request"))
    assert stopped.value.exit_code == 6
    assert stopped.value.hint is not None


def test_a_hint_of_the_failure_itself_is_the_better_one() -> None:
    """It knows what to do about its kind."""
    with pytest.raises(ProviderRefused) as stopped:
        Breaker(1).failed(failure("not_found", hint="check the model's name"))
    assert stopped.value.hint == "check the model's name"


def test_a_success_starts_the_count_anew() -> None:
    """A bad stretch of a table does not stop its run."""
    breaker = Breaker(3)
    for _ in range(10):
        breaker.failed(failure("server"))
        breaker.failed(failure("server"))
        breaker.succeeded()


@pytest.mark.parametrize("by", ["kind", "code"])
def test_different_troubles_do_not_add_up(by: str) -> None:
    """Two of each are not four of one."""
    breaker = Breaker(3)
    for name in "ab" * 2:
        breaker.failed(failure(name) if by == "kind" else failure("bad_request", code=name))


def test_failures_in_between_do_not_start_the_count_anew() -> None:
    """Only a success proves that rows can get through."""
    breaker = Breaker(3)
    for kind in ("server", "timeout", "server", "timeout"):
        breaker.failed(failure(kind))
    with pytest.raises(ProviderRefused):
        breaker.failed(failure("server"))


@pytest.mark.parametrize("kind", sorted(OWN_FAULTS))
def test_a_row_s_own_fault_does_not_count(kind: str) -> None:
    """A folder of broken pictures fails row by row."""
    breaker = Breaker(1)
    breaker.failed(failure(kind))


def test_the_kinds_that_do_not_count_exist() -> None:
    """The table of failures and this module agree on names."""
    assert set(KINDS) >= OWN_FAULTS


async def test_a_failure_of_the_whole_run_is_raised_as_such_at_once() -> None:
    """A dead key stops at its first answer, with the hint of its kind."""

    async def post(_request: Request) -> Reply:
        raise failure("auth", scope="run", hint="check the key")

    with pytest.raises(ProviderRefused, match="it said auth") as stopped:
        await guarded(post, Breaker(20))(QUESTION)
    assert stopped.value.hint == "check the key"


async def test_rows_are_counted_as_they_end() -> None:
    """Failures pass through until they are too many; answers and a row's own faults do not count."""
    ends: list[Reply | Exception] = [
        failure("server"),
        MediaError("no such file"),
        Reply(Status.OK),
        failure("server"),
        MediaError("no such file"),
        failure("server"),
    ]

    async def post(_request: Request) -> Reply:
        end = ends.pop(0)
        if isinstance(end, Exception):
            raise end
        return end

    ask = guarded(post, Breaker(2))
    heard: list[type[Exception] | Status] = []
    while ends:
        try:
            heard.append((await ask(QUESTION)).status)
        except (AttemptError, MediaError, ProviderRefused) as error:
            heard.append(type(error))
    assert heard == [AttemptError, MediaError, Status.OK, AttemptError, MediaError, ProviderRefused]
