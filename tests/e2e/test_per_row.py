"""Rows that name their own model and parameters: each is asked as it says, checked by itself, and limited with its own kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

import pipeline
from pipeline.events import RowFinished

if TYPE_CHECKING:
    from tests.e2e.bench import Bench, Provider

MODELS = ("gpt-5.4-mini", "gpt-5.4-nano")
REQUEST = {
    "max_output_tokens": "{{ cap }}",
    "temperature": "{{ warmth }}",
    "metadata": {"row": "{{ id }}", "note": "{{ note }}"},
}


def _per_row(job: Bench, rows: int, **cells: Any) -> Bench:
    """Fill a job's table with rows that say how they are to be asked; ``cells`` holds for each column those that differ, by row."""
    plain = {"text": "short", "cap": 300, "warmth": 0.5, "note": "fine"}
    job.fill(
        [
            {"id": f"r{number}", "asks": MODELS[number % 2], **plain}
            | {name: by_row[number] for name, by_row in cells.items() if number in by_row}
            for number in range(rows)
        ]
    )
    return job


def test_each_row_is_asked_with_its_own_model_and_parameters(bench: Callable[..., Bench], provider: Provider) -> None:
    """Numbers arrive as numbers, texts are rendered, and the table says which model served the row."""
    job = bench(provider, model="{{ asks }}", request=REQUEST)
    _per_row(job, 4, warmth={1: 0.0, 2: 1.5}, cap={3: 16}, text={3: "antidisestablishmentarianism " * 8})
    assert job.run().by_status == {"ok": 3, "truncated": 1}
    assert job.column("model") == [MODELS[number % 2] for number in range(4)]
    assert Counter(line["model"] for line in provider.ledger.requests()) == dict.fromkeys(MODELS, 2)
    shown: list[Any] = [pipeline.show(job.job, row) for row in range(4)]
    replies = [row["attempts"][0]["reply"] for row in shown]
    assert [reply["temperature"] for reply in replies] == [0.5, 0.0, 1.5, 0.5]
    assert [reply["max_output_tokens"] for reply in replies] == [300, 300, 300, 16]
    assert [reply["metadata"] for reply in replies] == [{"row": f"r{row}", "note": "fine"} for row in range(4)]
    job.run()
    assert len(provider.ledger.requests()) == 4


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"note": {1: "x" * 513}}, "request.metadata.note"),
        ({"warmth": {1: 2.5}}, "request.temperature"),
        ({"cap": {1: 0}}, "request.max_output_tokens"),
        ({"asks": {1: " "}}, "the model's name is empty"),
    ],
    ids=["metadata", "temperature", "cap", "model"],
)
def test_a_row_whose_own_parameters_are_wrong_fails_alone_and_for_free(
    bench: Callable[..., Bench], provider: Provider, cells: Any, message: str
) -> None:
    """Each row's values are held against what the API takes before it is sent, and the others go."""
    job = _per_row(bench(provider, model="{{ asks }}", request=REQUEST), 3, **cells)
    assert job.run().by_error == {"failed": {"prompt": 1}}
    assert provider.ledger.asked() == {"r0": 1, "r2": 1}
    assert message.removeprefix("request.") in job.table()[1]["error_message"]


def test_a_model_that_has_to_wait_holds_up_no_row_of_another(
    bench: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """Limits count for each model by itself, also where only one request may be out, and the other's rows come first."""
    waiting = {"fault": "rate_limit", "model": MODELS[0], "nth": [1, 2], "retry_after": 1}
    job = bench(play({"faults": [waiting]}), model="{{ asks }}", limits={"concurrency": 1})
    _per_row(job, 12)
    assert job.run().by_status == {"ok": 12}
    assert [event.result.row % 2 for event in job.said(RowFinished)] == [1] * 6 + [0] * 6
