"""Connections are open files, and the system counts those."""

from __future__ import annotations

import resource

import pytest

from pipeline.engine.descriptors import SPARE, allow_open

Limits = tuple[int, int]


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[Limits]:
    """The limits of a process that is not this one; the last one is in force."""
    known: list[Limits] = [(200, 1_000)]
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: known[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _kind, pair: known.append(pair))
    return known


def test_a_limit_that_is_high_enough_stays(limits: list[Limits]) -> None:
    """Nothing is changed without need."""
    assert allow_open(200 - SPARE) is None
    assert limits == [(200, 1_000)]


def test_a_soft_limit_is_raised_as_far_as_needed(limits: list[Limits]) -> None:
    """Every process may do that by itself, so no user has to."""
    assert allow_open(600) is None
    assert limits[-1] == (600 + SPARE, 1_000)


def test_where_the_system_allows_no_more_the_user_is_told_what_fits(limits: list[Limits]) -> None:
    """With the number to write into the job."""
    told = allow_open(2_000)
    assert limits[-1] == (1_000, 1_000)
    assert told is not None
    assert "2,000 requests at once need 2,100 open files" in told
    assert "limits.concurrency to 900" in told


def test_a_process_without_limit_needs_none(limits: list[Limits]) -> None:
    """Neither soft nor hard."""
    limits.append((resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert allow_open(10**6) is None
    limits.append((200, resource.RLIM_INFINITY))
    assert allow_open(600) is None
    assert limits[-1] == (600 + SPARE, resource.RLIM_INFINITY)
