"""Further answers to the same body, for those who ask several times."""

from __future__ import annotations

import json
from collections import Counter

import pytest

SCHEMA = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["spam", "news", "offer", "other"]},
        "urgent": {"type": "boolean"},
        "stars": {"type": "integer", "minimum": 1, "maximum": 5},
        "score": {"type": "number"},
        "note": {"type": "string"},
    },
}
FORM = {"text": {"format": {"type": "json_schema", "name": "label", "schema": SCHEMA}}}


@pytest.fixture
def answers(ask, said):
    """The first answers to one body."""

    def make(simulator, count, text="Label this offer.", **more):
        return [json.loads(said(ask(simulator, text, **FORM, **more))) for _ in range(count)]

    return make


def test_the_same_body_has_the_same_answer_unless_the_script_says_otherwise(provider, answers):
    """Runs that are resumed compare answers: variation must be asked for."""
    first, *others = answers(provider, 5)

    assert others == [first] * 4


def test_further_answers_vary_around_the_first(play, answers):
    """The first is as ever; most of the others agree with it, and each kind of field varies somewhere."""
    simulator = play({"variation": True})
    first, *others = answers(simulator, 60)
    agreed = Counter(name for other in others for name in SCHEMA["properties"] if other[name] == first[name])

    assert first == answers(play(), 1)[0]
    assert first["kind"] == "offer"
    assert all(30 <= agreed[name] < 55 for name in ("kind", "urgent", "stars", "score")), agreed
    assert len({other["note"] for other in others}) > 1


def test_variation_is_the_same_in_every_run(play, answers):
    """It depends on the body and on how often it was executed, on nothing else."""
    script = {"variation": True}
    one, other = (answers(play(script), 8) for _ in range(2))

    assert one == other
    assert answers(play(script), 8, text="Label this news.") != one


def test_temperature_0_does_not_vary(play, answers):
    """The same question has one answer then."""
    first, *others = answers(play({"variation": True}), 6, temperature=0)

    assert others == [first] * 5


def test_refused_attempts_do_not_count(play, answers, ask):
    """The n-th answer is that of the n-th execution, however often it was tried."""
    faults = [{"fault": "server_error", "nth": [1, 3]}]
    struck = play({"variation": True, "faults": faults})
    expected = answers(play({"variation": True}), 2)
    replies = [ask(struck, "Label this offer.", **FORM) for _ in range(4)]

    assert [reply.status_code for reply in replies] == [500, 200, 500, 200]
    assert [json.loads(reply.json()["output"][0]["content"][0]["text"]) for reply in replies[1::2]] == expected
