"""What is wrong with a job's request parameters, by themselves and beside the job's other settings."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.spec.paths import dotted
from pipeline.wire.credentials import exposed
from pipeline.wire.parameters import Complaint, check_parameters

_SET_ELSEWHERE = {"model": "model", "input": "prompt", "stream": "delivery", "background": "delivery"}


class ParameterErrors(ValueError):
    """Complaints about request parameters, each with its own place in the spec."""

    def __init__(self, complaints: list[Complaint]) -> None:
        self.complaints = complaints
        super().__init__("; ".join(f"{dotted(complaint.path)} {complaint.message}" for complaint in complaints))


def check_request(
    request: Mapping[str, object], extra_body: Mapping[str, object], *, asks_fields: bool, asks_system: bool
) -> list[Complaint]:
    """Return what is wrong with the request's parameters, by themselves and beside ``output.fields`` and ``prompt.system``.

    What goes verbatim is not judged, but neither does it hold secrets.
    """
    complaints = check_parameters(request)
    complaints += exposed(extra_body.get("tools"), ("extra_body", "tools"))
    for name, instead in _SET_ELSEWHERE.items():
        if name in request:
            complaints.append(Complaint(("request", name), f"is set by the job's {instead}, not here"))
    if asks_fields and isinstance(text := request.get("text"), Mapping) and "format" in text:
        complaints.append(
            Complaint(("request", "text", "format"), "output.fields asks for a format already; keep one of them")
        )
    if asks_system and "instructions" in request:
        complaints.append(
            Complaint(("request", "instructions"), "prompt.system is sent as the instructions; keep one of them")
        )
    return complaints
