"""The simulator's replies have the keys and types of the documented bodies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"
REQUESTS = sorted(path.stem for path in GOLDEN.glob("*-req-*.json"))

TOOL = {
    "type": "function",
    "name": "save_label",
    "description": "d",
    "parameters": {"type": "object", "properties": {"label": {"type": "string"}}, "required": ["label"]},
}
NESTED = {"type": "function", "function": {key: TOOL[key] for key in ("name", "description", "parameters")}}


def kind(value):
    """The JSON type, numbers alike."""
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def differences(shown, made, place="", exact=False):
    """Where what was made lacks a key of what is shown or has it in another type."""
    if isinstance(shown, dict) and isinstance(made, dict):
        found = [f"{place}.{key} is missing" for key in shown if key not in made]
        if exact:
            found += [f"{place}.{key} is extra" for key in made if key not in shown]
        for key in shown:
            if key in made and key not in ("parameters", "metadata"):
                found += differences(shown[key], made[key], f"{place}.{key}", exact)
        return found
    if isinstance(shown, list) and isinstance(made, list):
        if not shown or not made:
            return [] if bool(shown) == bool(made) else [f"{place}: {len(shown)} against {len(made)} members"]
        return [line for a, b in zip(shown, made, strict=False) for line in differences(a, b, f"{place}[]", exact)]
    return [] if kind(shown) == kind(made) else [f"{place}: {kind(shown)} against {kind(made)}"]


OPENAI = [
    ("openai-res-text", {}, []),
    ("openai-res-reasoning-message", {"reasoning": {"effort": "low", "summary": "auto"}}, []),
    ("openai-res-function-call", {"tools": [{**TOOL, "strict": False}], "tool_choice": "required"}, []),
    ("openai-res-refusal", {}, [{"fault": "refusal"}]),
    ("openai-res-incomplete", {"reasoning": {"effort": "low"}, "max_output_tokens": 70}, []),
    ("openai-res-failed", {}, [{"fault": "failed", "code": "failed_to_download_image"}]),
]


@pytest.mark.parametrize(("name", "more", "faults"), OPENAI, ids=[case[0] for case in OPENAI])
def test_responses_shape_has_all_that_is_documented(play, ask, golden, name, more, faults):
    """Every key of the documented body is there in the documented type."""
    assert differences(golden(name), ask(play({"faults": faults}), **more).json()) == []


def test_a_web_search_reply_has_all_that_is_documented(provider, ask, golden):
    """The search item, the message and its citation are as documented."""
    made = ask(provider, "search it", tools=[{"type": "web_search"}]).json()

    assert differences({**golden("openai-res-web-search"), "tools": [{}]}, made) == []


def test_qingbos_main_shape_has_all_that_is_documented(provider, ask, golden):
    """Content filters are there, a completion time is not."""
    shown = golden("qingbo-res-reasoning-message")
    del shown["output"][1]["content"][0]["logprobs"]  # documents disagree on whether it is there
    made = ask(provider, dialect="qingbo", reasoning={"effort": "medium"}).json()

    assert differences(shown | {"text": {"format": {}}}, made) == []
    assert "completed_at" not in made


CHAT = [
    ("apimart-res-envelope-text", {}, {}),
    ("apimart-res-envelope-truncated", {}, {"max_tokens": 3}),
    ("apimart-res-envelope-refusal", {"faults": [{"fault": "refusal"}]}, {}),
    ("apimart-res-envelope-filtered", {"faults": [{"fault": "filtered"}]}, {}),
    ("apimart-res-envelope-tool-calls", {"shape": "envelope"}, {"tools": [NESTED], "tool_choice": "required"}),
    ("gateway-res-bare-tool-calls", {}, {"tools": [NESTED], "tool_choice": "required"}),
]


@pytest.mark.parametrize(("name", "script", "more"), CHAT, ids=[case[0] for case in CHAT])
def test_chat_shapes_are_exactly_the_documented_ones(play, ask, golden, name, script, more):
    """Envelope and chat bodies have the documented keys and no others."""
    made = ask(play(script), dialect="apimart", **more).json()

    assert differences(golden(name), made, exact=True) == []
    choice = made.get("data", made)["choices"][0]
    assert choice["finish_reason"] == golden(name).get("data", golden(name))["choices"][0]["finish_reason"]


def test_the_envelope_can_hold_the_responses_shape(play, ask, golden):
    """A script can force the envelope around the Responses shape that clients have seen."""
    made = ask(play({"shape": "envelope_responses"}), dialect="apimart", reasoning={"effort": "low"}).json()

    assert differences(golden("apimart-res-envelope-responses-shape"), made) == []


@pytest.mark.parametrize(
    ("name", "fault", "dialect"),
    [
        ("openai-err-429-rate", "rate_limit", "openai"),
        ("openai-err-429-quota", "quota", "openai"),
        ("qingbo-err-402", "payment", "qingbo"),
        ("apimart-err-envelope", "envelope_429", "apimart"),
    ],
)
def test_error_bodies_are_the_documented_ones(play, ask, golden, name, fault, dialect):
    """Errors have the dialect's keys, types and codes."""
    made, shown = ask(play({"faults": [{"fault": fault}]}), dialect=dialect).json(), golden(name)

    assert differences(shown, made, exact=True) == []
    assert (made.get("error") or made)["code"] == (shown.get("error") or shown)["code"]


def test_max_tokens_gets_the_documented_refusal(provider, ask, golden):
    """The reference refuses the gateways' name of the cap word for word."""
    reply = ask(provider, max_tokens=10)

    assert (reply.status_code, reply.json()) == (400, golden("openai-err-400"))


@pytest.mark.parametrize("name", REQUESTS)
def test_every_documented_request_is_accepted(provider, ask, golden, name):
    """The example requests of each dialect are answered, save those with ids and seals this provider never gave."""
    reply = ask(provider, golden(name), name.partition("-")[0])

    foreign = {"openai-req-tool-result-stateful": "previous_response_not_found",
               "openai-req-tool-result-stateless": "invalid_encrypted_content"}  # fmt: skip
    assert reply.status_code == (400 if name in foreign else 200), reply.text
    if name in foreign:
        assert reply.json()["error"]["code"] == foreign[name]


def test_the_stream_has_the_documented_events_in_their_order(provider, ask):
    """Event names, their order and their payload's keys are as documented."""
    reply = ask(provider, stream=True)
    shown, made = (_events(text) for text in ((GOLDEN / "openai-sse-text.txt").read_text(), reply.text))

    assert _names(made) == _names(shown)
    by_name = {event["type"]: event for event in made}
    for event in shown:
        assert differences(event, by_name[event["type"]]) == []
    assert [event["sequence_number"] for event in made] == list(range(len(made)))


def _events(text):
    blocks = [block for block in text.split("\n\n") if block.strip()]
    for block in blocks:
        name, data = block.strip().split("\n")
        assert json.loads(data.removeprefix("data: "))["type"] == name.removeprefix("event: ")
    return [json.loads(block.strip().split("\n")[1].removeprefix("data: ")) for block in blocks]


def _names(events):
    names = [event["type"] for event in events]
    return [name for name, before in zip(names, [None, *names], strict=False) if name != before]
