"""What an attempt adds to its request, and that nothing else of it is lost."""

from __future__ import annotations

from dataclasses import fields, replace

from pipeline.client.attempt import on_its_way
from pipeline.records import Attempt, Bound, Request, ToolCall, Turn

FULL = Request(
    row=3,
    model="m",
    body={"input": "x"},
    fingerprint=b"f",
    weight=7,
    sample=2,
    rounds=({"id": "r"},),
    turns=(Turn.REPAIR,),
    called=(ToolCall("c", "f", "{}"),),
    attempt=Attempt(1),
    bound=Bound(1, 2),
    waited_s=0.5,
)


def test_an_attempt_sets_its_own_facts_and_keeps_all_others() -> None:
    """Also those that a request will have one day: each field is copied by hand."""
    request = FULL
    for field in fields(Request):
        if getattr(request, field.name) == field.default:
            request = replace(request, **{field.name: object()})
    assert on_its_way(request) == request
    facts = {"attempt": Attempt(9), "bound": Bound(8, 9), "waited_s": 4.0}
    assert on_its_way(request, **facts) == replace(request, **facts)  # type: ignore[arg-type]
