"""What comes with the words when it is asked for: certainty, phases, echoes, and a conversation made shorter."""

from __future__ import annotations

import math

import pytest

LOGPROBS = {"include": ["message.output_text.logprobs"]}


def part(reply):
    """The text part of the message."""
    return reply.json()["output"][-1]["content"][0]


@pytest.mark.parametrize("top", [None, 0, 3, 20])
def test_logprobs_cover_the_text_token_by_token(provider, ask, top):
    """Joined they are the text, bytes included; the likely ones begin with the token and are sorted."""
    got = part(ask(provider, "Größe of 12 cats 🐈?", **LOGPROBS, **({} if top is None else {"top_logprobs": top})))

    assert "".join(one["token"] for one in got["logprobs"]) == got["text"]
    assert b"".join(bytes(one["bytes"]) for one in got["logprobs"]).decode() == got["text"]
    for one in got["logprobs"]:
        assert len(one["top_logprobs"]) == (top or 0)
        assert 0.5 < math.exp(one["logprob"]) <= 1
        ranked = [other["logprob"] for other in one["top_logprobs"]]
        assert ranked == sorted(ranked, reverse=True)
        assert not top or one["top_logprobs"][0]["token"] == one["token"]


def test_logprobs_come_only_when_included(provider, ask):
    """Their number alone brings none; a stream brings the same ones."""
    assert "logprobs" not in part(ask(provider, top_logprobs=3))
    assert '"logprobs":[{"token"' in ask(provider, stream=True, **LOGPROBS).text


@pytest.mark.parametrize(
    ("model", "phase"),
    [
        ("gpt-5", None),
        ("gpt-5.3-chat-latest", None),
        ("gpt-5.3-codex", "final_answer"),
        ("gpt-5.4-mini", "final_answer"),
        ("gpt-6", "final_answer"),
        ("gemini-2.5-pro", None),
    ],
)
def test_newer_models_tell_the_phase_of_a_message(provider, ask, model, phase):
    """From gpt-5.3-codex on."""
    assert ask(provider, model=model).json()["output"][-1].get("phase") == phase


def test_settings_are_echoed_as_they_were_sent(provider, ask):
    """A conversation is told as an object, a prompt and what manages the context as they came."""
    sent = {
        "conversation": "conv_1",
        "prompt": {"id": "pmpt_1", "version": "2", "variables": {"city": "Rome"}},
        "context_management": [{"type": "compaction", "compact_threshold": 1000}],
        "truncation": "auto",
        "service_tier": "flex",
        "prompt_cache_key": "k",
    }
    body = ask(provider, **sent).json()

    assert {name: body[name] for name in sent} == {**sent, "conversation": {"id": "conv_1"}}


def test_a_stored_prompt_is_answered_without_input(provider, ask, said):
    """Its variables count, texts and pictures alike."""
    bodies = [
        {"model": "gpt-5", "prompt": {"id": "pmpt_1", "variables": {"city": city}}}
        for city in ("Rome", {"type": "input_text", "text": "Rome"}, "Oslo")
    ]
    rome, same, oslo = (said(ask(provider, body)) for body in bodies)

    assert rome == same != oslo
    assert "Rome" in rome


def test_a_conversation_is_compacted_and_goes_on(provider, ask, http):
    """The user's messages stay, the rest is sealed; what was sealed counts as input again, and is charged."""
    url = provider.base_url() + "/responses"
    history = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Good day, " * 20},
        {"role": "user", "content": "And now?"},
    ]
    compacted = http.post(url + "/compact", json={"model": "gpt-5", "input": history}).json()
    going_on = ask(provider, [*compacted["output"], {"role": "user", "content": "Go on."}])
    sealed = compacted["output"][-1]

    assert compacted["object"] == "response.compaction"
    assert [item["type"] for item in compacted["output"]] == ["message", "message", "compaction"]
    assert "Good" not in sealed["encrypted_content"]
    assert going_on.json()["usage"]["input_tokens"] > 40
    assert [record["path"] for record in provider.requests() if record["executed"]] == [
        "/v1/responses/compact",
        "/v1/responses",
    ]
    changed = ask(provider, [{**sealed, "encrypted_content": "gAAAAAxyz"}, history[0]])
    assert (changed.status_code, changed.json()["error"]["code"]) == (400, "invalid_encrypted_content")
