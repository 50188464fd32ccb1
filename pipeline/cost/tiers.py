"""Service tiers: what they are called, and whether a tier whose price is not known may cost more than the usual one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

STANDARD = frozenset({"auto", "default"})
"""What a request without a tier may be called; an ``auto`` that got another tier is told of it in the reply."""


@dataclass(frozen=True, slots=True)
class Tier:
    """A tier: its ``price`` in the spec, what selects it in the list of prices, and whether it is there to save money."""

    price: Literal["batch", "flex", "priority"]
    selects: Mapping[str, str]
    saves: bool


TIERS: Mapping[str, Tier] = {
    "batch": Tier("batch", {"processing": "batch"}, saves=True),
    "flex": Tier("flex", {"service_tier": "flex"}, saves=True),
    "priority": Tier("priority", {"service_tier": "priority"}, saves=False),
    "fast": Tier("priority", {"service_tier": "fast"}, saves=False),
}


def tier_of(body: Mapping[str, object]) -> str | None:
    """Return the tier that a request's body asks for, None where it leaves that to the provider."""
    tier = body.get("service_tier")
    return tier if isinstance(tier, str) else None
