"""What an answer is expected to have, and the sentence that says why."""

from __future__ import annotations

import orjson
import pytest

from pipeline.cost.interval import Interval
from pipeline.cost.output import EFFORTS, PROSE, Observed, Outputs, effort_of
from pipeline.cost.tokens import count_tokens
from pipeline.spec.fields import Fields


@pytest.mark.parametrize(
    ("model", "body", "effort"),
    [
        ("gpt-5.4-mini", {}, "none"),
        ("gpt-5-mini", {}, "medium"),
        ("gpt-5-chat-latest", {}, "none"),
        ("o4-mini", {}, "medium"),
        ("openai/o3", {}, "medium"),
        ("gemini-2.5-flash-lite", {}, "none"),
        ("gemini-2.5-pro", {}, "medium"),
        ("nobody-knows", {}, "none"),
        ("gpt-5.4", {"reasoning": {"effort": "high"}}, "high"),
        ("o3", {"reasoning": {"effort": "low"}}, "low"),
        ("o3", {"reasoning": {"effort": None}}, "medium"),
    ],
)
def test_effort_is_the_requests_or_the_models_own(model: str, body: dict[str, object], effort: str) -> None:
    """What the request says comes first; a model that is not known is taken not to reason."""
    assert effort_of(model, body) == effort


def test_reasoning_is_output_and_the_cap_holds_for_both() -> None:
    """An answer in words of a model that reasons is as long as both, but no longer than ``max_output_tokens``."""
    outputs = Outputs(None, {})
    assert outputs.expected("o3", {}) == PROSE + EFFORTS["medium"]
    assert outputs.expected("o3", {"max_output_tokens": 700}) == Interval(120, 650, 700)
    assert outputs.expected("gpt-4.1", {"max_output_tokens": 15}) == Interval(15, 15, 15)


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ({"label": "enum[Comedy, Drama]", "sure": "bool"}, {"label": "Drama", "sure": True}),
        (
            {"caption": "string", "score": "float"},
            {"caption": "A cat sleeps on a red sofa by the window.", "score": 0.87},
        ),
        ({"tags": "list[string]", "note": "string?"}, {"tags": ["sea", "sunset", "old pier"], "note": None}),
    ],
)
def test_typed_answers_lie_within_what_their_fields_let_expect(
    fields: dict[str, str], answer: dict[str, object]
) -> None:
    """Answers as models give them, counted exactly."""
    parsed = Fields.parse(fields)
    expected = Outputs(parsed.columns, {}).expected("gpt-4.1", {})
    assert expected.low <= count_tokens([orjson.dumps(answer).decode()])[0] <= expected.high
    assert expected.low <= expected.mid <= expected.high


def test_what_the_job_has_seen_goes_before_any_guess() -> None:
    """From ten answered calls on, their mean is taken, within 1.645 standard errors, and the sentence says so."""
    outputs = Outputs(
        None,
        {"m": Observed(100, 50.0, 20.0, 2.5), "k": Observed(10, 9.0, 1.0, None), "n": Observed(9, 50.0, 20.0, None)},
    )
    seen = outputs.expected("m", {"max_output_tokens": 10})
    assert (seen.low, seen.mid, seen.high) == pytest.approx((46.71, 50.0, 53.29))
    assert outputs.expected("n", {}) == PROSE
    assert outputs.latency_s("m", seen) == Interval(2.5, 2.5, 2.5)
    assert outputs.latency_s("n", Interval(0, 60, 120)) == Interval(1, 2, 3)
    told = outputs.basis()
    assert told[0] == "output: 50 (47-53) tokens a call, as 100 answered calls of this job had (m)"
    assert told[1] == "output: 150 (20-600) tokens a call, guessed from answers in words (n)"


def test_the_only_model_that_was_asked_stands_for_the_others() -> None:
    """With its reasoning on top where a model reasons and it does not; a model that reasons less than it is guessed."""
    outputs = Outputs(None, {"gpt-4.1": Observed(100, 50.0, 0.0, None)})
    assert outputs.expected("other", {}) == Interval(50, 50, 50)
    assert outputs.expected("o3", {}) == Interval(50, 50, 50) + EFFORTS["medium"]
    assert outputs.expected("other", {"max_output_tokens": 30}) == Interval(30, 30, 30)
    assert outputs.basis() == [
        "output: 50 (50-50) tokens a call, as 100 answered calls of this job had with gpt-4.1 (other)",
        "output: 550 (150-2,550) tokens a call, as 100 answered calls of this job had with gpt-4.1 and reasoning at effort medium (o3)",
        "output: 30 (30-30) tokens a call, as 100 answered calls of this job had with gpt-4.1 (other)",
    ]
    reasoned = Outputs(None, {"o3": Observed(100, 900.0, 0.0, None)})
    assert reasoned.expected("gpt-4.1", {}) == PROSE
    assert reasoned.expected("o4-mini", {}) == Interval(900, 900, 900)
