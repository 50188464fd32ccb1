"""What an attempt has cost whose provider told no tokens: one rule for the budget, the journal and a pilot.

Who refuses a request, or says plainly that it failed, bills nothing. What may have run all the same has a cost that nobody knows.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.errors import Sent
from pipeline.records import Usage

STATES: Mapping[Sent, str] = {Sent.NEVER: "never", Sent.MAYBE: "unknown", Sent.ANSWERED: "refused"}
"""What the journal calls an attempt that ended without a usable reply, by how far it got."""

_OPEN = {
    "sent": "an attempt has no end yet",
    "unknown": "the end of an attempt is not known; it may have been paid",
}
# Kinds of failure after which the provider may have done the work all the same.
_MAYBE_WORKED = frozenset({"cancelled", "hedged", "unrecognised", "too_large"})
UNTOLD = "the provider did not report the tokens"


def is_silent(usage: Usage) -> bool:
    """Tell whether the provider said nothing of the tokens."""
    return usage.input_tokens is None and usage.output_tokens is None and usage.total_tokens is None


def untold(state: str, error_kind: str | None) -> str | None:
    """Return why nobody knows what an attempt has cost that ended so without a word on its tokens; None where it has cost nothing."""
    if state in ("answered", "round") or (state != "never" and error_kind in _MAYBE_WORKED):
        return UNTOLD
    return _OPEN.get(state)


def is_free(state: str, error_kind: str | None, usage: Usage) -> bool:
    """Tell whether an attempt has surely cost nothing: no tokens were told, and its end says that none were billed."""
    return is_silent(usage) and untold(state, error_kind) is None
