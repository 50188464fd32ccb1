"""The most that an attempt can cost: by its bytes, its cap and the dearest price it may meet, or by the job's own word."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipeline.cost.prices import Book
from pipeline.cost.worst import Worst, picos_of
from pipeline.errors import Unbounded
from pipeline.records import Amount, Bound, Request
from pipeline.spec.job import Job

DAY = date(2026, 11, 20)
MICRO = 10**6  # picodollars
PRICE = {"input": 1, "output": 10, "flex": 0.5}


def worst_case(provider: object = "simulator", **settings: Any) -> Worst:
    """Return the scales of a job with a budget."""
    spec = {"provider": provider, "model": "m", "input": "x.csv", "prompt": "p", "output": "o.parquet"}
    whole = {**spec, "prices": {"m": PRICE}, "budget": 1, **settings}
    job = Job.model_validate(whole).located(Path("/tmp"))
    return Worst(job, job.provider.facts, Book.of(job))


def request(rounds: tuple[dict[str, object], ...] = (), **body: object) -> Request:
    """Return a request for at most 10 tokens."""
    whole = {"input": "abc", "max_output_tokens": 10, **body}
    return Request(row=0, model="m", body=whole, fingerprint=b"", weight=1, rounds=rounds)


def answered(**more: object) -> dict[str, object]:
    """Return the reply of a round."""
    return {"id": "resp_1", "object": "response", "status": "completed", "output": [], **more}


def test_the_worst_case_is_every_byte_of_input_and_the_whole_cap() -> None:
    """At the price of each."""
    bound, amount = worst_case().of(request(), DAY)
    assert bound is not None
    assert bound.input_tokens >= 3
    assert amount == Amount((bound.input_tokens + 100) * MICRO, bound.input_tokens + 10)


def test_a_discount_that_may_be_without_effect_makes_nothing_cheaper() -> None:
    """A request that asks for flex may be served, and billed, as any other."""
    bound, amount = worst_case().of(request(service_tier="flex"), DAY)
    assert bound is not None
    assert amount.picos == (bound.input_tokens + 100) * MICRO


@pytest.mark.parametrize(
    ("extra_body", "cap"),
    [
        ({"max_output_tokens": 7}, 10),
        ({"max_output_tokens": 70}, 70),
        ({"max_tokens": 7}, 7),
        ({"max_tokens": 70, "max_output_tokens": 7}, 70),
        ({"max_tokens": None}, None),
    ],
)
def test_a_cap_that_is_sent_verbatim_counts(extra_body: dict[str, object], cap: int | None) -> None:
    """It takes the place of the request's where it has the dialect's name for it; of two, the larger one may be what is obeyed."""
    scales = worst_case({"name": "simulator", "overrides": {"max_tokens_field": "max_tokens"}}, extra_body=extra_body)
    if cap is None:
        with pytest.raises(Unbounded):
            scales.of(request(), DAY)
    else:
        bound, _ = scales.of(request(), DAY)
        assert bound is not None
        assert bound.output_tokens == cap


def test_a_round_that_sends_only_what_is_new_is_billed_for_all() -> None:
    """What went in and came out before it is added, as the provider reported it."""
    reply = answered(usage={"input_tokens": 1000, "output_tokens": 50})
    alone, _ = worst_case().of(request(), DAY)
    bound, _ = worst_case().of(request((reply,), previous_response_id="resp_1"), DAY)
    assert alone is not None
    assert bound == Bound(alone.input_tokens + 1050, 10)


@pytest.mark.parametrize(
    ("body", "settings", "place", "says"),
    [
        ({"max_output_tokens": None}, {}, "budget", "without request.max_output_tokens"),
        ({"previous_response_id": "resp_1"}, {}, "budget", "the response it goes on from"),
        ({"tools": [{"type": "web_search"}]}, {}, "budget", "web_search"),
        ({}, {"prices": {}, "model": "nobody-knows-1"}, "model", "no price"),
    ],
)
def test_what_cannot_be_bounded_says_why_and_where(
    body: dict[str, object], settings: dict[str, Any], place: str, says: str
) -> None:
    """Unless the job says itself what a request costs at most."""
    asked = request(**body)
    with pytest.raises(Unbounded, match=says) as raised:
        worst_case(**settings).of(asked, DAY)
    assert raised.value.place == place
    assert raised.value.hint
    said = worst_case(budget={"usd": 1, "per_request_usd": 0.5}, **settings).of(asked, DAY)[1]
    assert said.picos == picos_of(0.5)


def test_a_round_after_one_without_usage_cannot_be_bounded() -> None:
    """Nobody knows how long the conversation is."""
    with pytest.raises(Unbounded, match="the round before"):
        worst_case().of(request((answered(),), previous_response_id="resp_1"), DAY)


def test_both_caps_need_a_word_of_their_own() -> None:
    """A bound in dollars says nothing about tokens."""
    caps = {"usd": 1, "tokens": 1000, "per_request_usd": 0.5}
    with pytest.raises(Unbounded):
        worst_case(budget=caps).of(request(max_output_tokens=None), DAY)
    caps["per_request_tokens"] = 300
    assert worst_case(budget=caps).of(request(max_output_tokens=None), DAY) == (None, Amount(5 * 10**11, 300))


def test_a_cap_of_tokens_asks_for_no_price() -> None:
    """Money is then not counted."""
    bound, amount = worst_case(budget={"tokens": 1000}, prices={}, model="nobody-knows-1").of(request(), DAY)
    assert bound is not None
    assert amount == Amount(0, bound.input_tokens + bound.output_tokens)


@pytest.mark.parametrize(("usd", "picos"), [(None, None), (0.1, 10**11), (1e-12, 1), (5, 5 * 10**12)])
def test_dollars_of_a_spec_are_exact(usd: float | None, picos: int | None) -> None:
    """As they are written."""
    assert picos_of(usd) == picos


def test_what_stays_held_of_an_earlier_run_is_priced_today() -> None:
    """By its own bound, else by the job's word, else nobody can say."""
    assert worst_case().kept("m", None, Bound(5, 10)) == Amount(105 * MICRO, 15)
    assert worst_case().kept("m", None, None) is None
    assert worst_case(budget={"usd": 1, "per_request_usd": 0.5}).kept("m", None, None) == Amount(5 * 10**11)
    assert worst_case().kept("nobody-knows-1", None, Bound(5, 10)) is None


def test_a_dearer_tier_that_is_sent_verbatim_counts() -> None:
    """It wins over the request's own, also for attempts of earlier runs."""
    scales = worst_case(prices={"m": {**PRICE, "priority": 2}}, extra_body={"service_tier": "priority"})
    bound, amount = scales.of(request(service_tier="flex"), DAY)
    assert bound is not None
    assert amount.picos == 2 * (bound.input_tokens + 100) * MICRO
    assert scales.kept("m", None, bound) == amount


@pytest.mark.parametrize(("tier", "times"), [(None, 2), ("auto", 2), ("default", 1)])
def test_a_request_without_a_tier_may_get_the_dearest(tier: str | None, times: int) -> None:
    """The provider's project may be set to priority; a request that asks for the default gets that."""
    scales = worst_case(prices={"m": {**PRICE, "priority": 2}})
    bound, amount = scales.of(request(service_tier=tier), DAY)
    assert bound is not None
    assert amount.picos == times * (bound.input_tokens + 100) * MICRO
