"""The tier that serves a request is told, and a script can have it served by another one than was asked."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("script", "asked", "served"),
    [
        ({}, None, "default"),
        ({}, "auto", "default"),
        ({}, "flex", "flex"),
        ({"service_tiers": {"flex": "default"}}, "flex", "default"),
        ({"service_tiers": {"flex": "default"}}, "priority", "priority"),
        ({"service_tiers": {"auto": "priority"}}, None, "priority"),
    ],
)
def test_a_reply_and_the_ledger_tell_the_tier_that_served(play, ask, script, asked, served):
    """Both say the tier of the script, or the one that was asked for."""
    simulator = play(script)
    reply = ask(simulator, **({} if asked is None else {"service_tier": asked}))

    assert reply.json()["service_tier"] == served
    assert simulator.requests()[0]["service_tier"] == served
