"""The course of a run: every attempt in one moment, pauses cut out, and flying time kept."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.checkpoint.ledger import ATTEMPTS
from pipeline.report.moments import MOST, course_of


def attempts(*lines: dict[str, Any]) -> pl.DataFrame:
    usual = dict.fromkeys(ATTEMPTS) | {"session": 1, "state": "answered", "sent_at": 0.0, "latency_s": 1.0}
    return pl.DataFrame([usual | line for line in lines], schema=dict(ATTEMPTS))


ENDED = st.fixed_dictionaries(
    {
        "sent_at": st.floats(0, 10_000),
        "latency_s": st.floats(0, 500) | st.none(),
        "session": st.just(1),
        "state": st.sampled_from(["answered", "round", "refused", "unknown"]),
        "http_status": st.sampled_from([None, 200, 429, 500]),
    }
)


@given(st.lists(ENDED, min_size=1, max_size=40))
def test_moments_hold_every_attempt_and_all_flying_time(lines: list[dict[str, Any]]) -> None:
    """Counts add up to the attempts, and the mean numbers in flight to all their seconds."""
    moments = course_of(attempts(*lines)).moments
    assert 0 < len(moments) <= MOST
    assert sum(moment.answered + moment.failed + moment.throttled for moment in moments) == len(lines)
    flown = sum(line["latency_s"] or 0.0 for line in lines)
    assert sum(moment.in_flight * moment.width_s for moment in moments) == pytest.approx(flown, abs=1e-3)
    assert [moment.at_s for moment in moments] == sorted(moment.at_s for moment in moments)


def test_pauses_between_sessions_are_cut_out() -> None:
    """A run that went on a day later did not take a day."""
    course = course_of(attempts({}, {"session": 2, "sent_at": 86_400.0}))
    assert (course.pauses, course.paused_s) == (1, 86_399.0)
    assert course.moments[-1].at_s <= 2.0


def test_what_is_on_its_way_is_in_no_moment() -> None:
    """An attempt without an end may yet end anywhere."""
    assert course_of(attempts({"state": "sent", "latency_s": None})).moments == ()


def test_unknown_cost_is_no_zero() -> None:
    """A moment in which no cost is known has none."""
    assert course_of(attempts({})).moments[-1].cost is None
    assert course_of(attempts({"cost": 0})).moments[-1].cost == 0.0


def test_an_attempt_of_unknown_time_is_in_no_moment() -> None:
    """The ledger has no time that can't be; what else the attempt was stays in the sums."""
    course = course_of(attempts({}, {"sent_at": None}))
    assert sum(moment.answered for moment in course.moments) == 1
    assert course_of(attempts({"sent_at": None})).moments == ()
