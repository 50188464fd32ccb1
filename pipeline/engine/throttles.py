"""The throttle of each model of a run: limits hold for each by itself, as providers count them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.client.throttle import Throttle
from pipeline.events import Paused
from pipeline.prompt.template import is_template

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.events import Observer
    from pipeline.records import Request
    from pipeline.spec.job import Job
    from pipeline.wire.signals import RateHeaders


class Throttles:
    """One throttle for each model that was asked for so far."""

    def __init__(self, job: Job, observe: Observer) -> None:
        self._job = job
        self._models_open = is_template(job.model)
        self._observe = observe
        self.on_clear: Callable[[], None] = lambda: None
        """Is called when nobody waits in one of their lines any more."""
        self._by_model: dict[str, Throttle] = {}

    def of(self, request: Request) -> Throttle:
        """Return the throttle of a request."""
        return self._by_model.get(request.model) or self._of_model(request.model)

    def feedback(self, model: str, headers: RateHeaders) -> None:
        """Let the throttle of a model learn from the rate headers of one of its answers."""
        self._of_model(model).feedback(headers)

    @property
    def hungry(self) -> bool:
        """Whether a further row could start: where nobody waits in front of one, or where the row may name a model not known yet."""
        return (
            self._models_open
            or not self._by_model
            or not all(throttle.line.waiting for throttle in self._by_model.values())
        )

    def _of_model(self, model: str) -> Throttle:
        if model not in self._by_model:
            self._by_model[model] = Throttle(
                self._job.limits,
                on_clear=lambda: self.on_clear(),
                on_pause=lambda seconds, reason: self._observe(Paused(seconds, reason)),
                max_wait_s=self._job.retry.max_wait_s,
            )
        return self._by_model[model]
