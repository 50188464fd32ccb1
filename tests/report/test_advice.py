"""What to do next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest

from pipeline.client.http import translated
from pipeline.events import RunFinished
from pipeline.report.advice import advice
from pipeline.wire.signals import KINDS

Finished = Callable[..., RunFinished]

WAIT = "the same command asks them again"
CHANGE = "pipeline run a.yaml --retry failed, with what has to change in --set"


def advised(finished: RunFinished) -> list[str]:
    return [*advice(finished, "pipeline run a.yaml")]


@pytest.mark.parametrize(
    ("kind", "mend"),
    [
        ("null_cell", "fill the cells, or set on_null to skip or empty"),
        ("prompt", "mend the prompt or the column; changed rows are asked by themselves"),
        ("media", "mend the pictures or files, then run the same command"),
        ("connect", WAIT),
        ("never_heard_of", CHANGE),
        *((kind, WAIT if facts.transient else CHANGE) for kind, facts in KINDS.items() if facts.scope == "row"),
    ],
)
def test_a_failure_comes_with_what_mends_it(finished: Finished, kind: str, mend: str) -> None:
    """Asking again is offered only where it can help, and unchanged only where waiting can."""
    screen = advised(replace(finished(1, ok=1, failed=2), by_error={"failed": {kind: 2}}))
    assert screen == [f"2 rows failed: {mend}"]


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError(""),
        httpx.ReadTimeout(""),
        httpx.RemoteProtocolError(""),
        httpx.ProxyError(""),
        httpx.HTTPError(""),
    ],
)
def test_a_broken_wire_needs_no_change(finished: Finished, error: Exception) -> None:
    """What a plain run asks again is told so, by whatever name the client calls it."""
    fault = translated(error)
    assert fault.transient
    screen = advised(replace(finished(1, failed=1), by_error={"failed": {fault.kind: 1}}))
    assert screen == [f"1 row failed: {WAIT}"]


def test_failures_are_grouped_by_what_mends_them(finished: Finished) -> None:
    """One line for each thing to do, the largest group first; what has no kind is there too."""
    kinds = {"not_found": 1, "server": 8, "null_cell": 3, "rate_limit": 2, "image": 2}
    assert advised(replace(finished(1, failed=17), by_error={"failed": kinds})) == [
        f"10 rows failed (server, rate_limit): {WAIT}",
        f"4 rows failed (image, not_found, other): {CHANGE}",
        "3 rows failed (null_cell): fill the cells, or set on_null to skip or empty",
    ]


def test_what_another_try_can_mend_names_the_try(finished: Finished) -> None:
    """The statuses that are no failures keep their commands."""
    assert advised(finished(1, truncated=1, empty=2, invalid=3, cancelled=4, unknown=5)) == [
        "1 row ended truncated: pipeline run a.yaml --retry truncated --set request.max_output_tokens=N",
        "2 rows ended empty: pipeline run a.yaml --retry empty",
        "3 rows ended invalid: pipeline run a.yaml --retry invalid",
        "4 rows ended cancelled: pipeline run a.yaml --retry cancelled",
        "5 rows ended unknown, perhaps paid: pipeline run a.yaml --retry unknown",
    ]


def test_a_run_that_went_well_needs_no_advice(finished: Finished) -> None:
    """Nothing to do is nothing to say."""
    assert advised(finished(ok=3)) == []
