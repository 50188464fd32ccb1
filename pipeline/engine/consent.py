"""Whether a run may send: what costs money, or downloads from where the spec says, wants somebody to say yes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pipeline.engine.leaving import downloads
from pipeline.errors import Problem, SpecError
from pipeline.events import Offer

if TYPE_CHECKING:
    from pipeline.spec.job import Job

Consent = Callable[[Callable[[], Offer]], None]
"""Decides whether a run may send: it gets the offer's maker, for making one may take a pass over the table, and raises to say no."""


def consent_of(job: Job, *, yes: bool, confirm: Callable[[Offer], bool] | None) -> Consent:
    """Return what decides whether an offer is carried out: it returns, or raises ``SpecError`` and nothing is sent."""
    hint = "pass --yes (in Python: yes=True)"
    risk = None
    if places := downloads(job):
        risk = f"{places[0]} is downloaded from addresses that the spec writes"
    if not job.provider.simulated and not job.budget.is_set:
        risk, hint = f"asking {job.provider.label} may cost money", f"{hint}, or set a budget in the spec"
    if risk is not None and not yes and confirm is None:
        problem = Problem("", f"{risk}, and nobody is here to say yes")
        raise SpecError([problem], source=job.source, hint=hint)

    def decide(offer: Callable[[], Offer]) -> None:
        if not yes and confirm is not None and not confirm(offer()):
            raise SpecError([Problem("", "not started: nothing was sent")], source=job.source)

    return decide
