"""Streams of all dialects say what the plain answer says, and take their time when there is latency."""

from __future__ import annotations

import json
import time

import pytest

NESTED = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}


def chunks(text):
    """The JSON of each data line; [DONE] must be the last."""
    data = [line.removeprefix("data: ") for line in text.split("\n") if line.startswith("data: ")]
    assert data[-1] == "[DONE]"
    return [json.loads(line) for line in data[:-1]]


def test_chat_chunks_add_up_to_the_plain_answer(provider, ask, said):
    """apimart's chunks carry the same text, the finish reason, and the usage in a last chunk without choices."""
    plain = ask(provider, dialect="apimart").json()["data"]
    parts = chunks(ask(provider, dialect="apimart", stream=True).text)
    *deltas, last = parts

    assert (
        "".join(part["choices"][0]["delta"].get("content", "") for part in deltas)
        == (plain["choices"][0]["message"]["content"])
    )
    assert deltas[-1]["choices"][0]["finish_reason"] == "stop"
    assert (last["choices"], last["usage"]) == ([], plain["usage"])


@pytest.mark.parametrize("dialect", ["qingbo", "apimart"])
def test_streamed_tool_calls_of_gateways_have_no_usage(provider, ask, dialect):
    """The documented tool reply has no usage, streamed or not."""
    parts = chunks(ask(provider, dialect=dialect, stream=True, tools=[NESTED], tool_choice="required").text)

    assert parts[1]["choices"][0]["delta"]["tool_calls"][0]["function"]["name"] == "f"
    assert parts[-1]["choices"][0]["finish_reason"] == "tool_calls"
    assert not any("usage" in part for part in parts)


def test_a_refusal_and_a_cut_answer_stream_in_chat_style(play, ask):
    """Refusals have their own delta; the cap is a finish reason."""
    refused = chunks(ask(play({"faults": [{"fault": "refusal"}]}), dialect="apimart", stream=True).text)
    cut = chunks(ask(play(), dialect="apimart", stream=True, max_tokens=3).text)

    assert refused[1]["choices"][0]["delta"] == {"refusal": "I cannot help with that."}
    assert cut[-2]["choices"][0]["finish_reason"] == "length"


def test_qingbo_streams_events_without_numbers_and_says_done(provider, ask):
    """The Responses events come with [DONE], without sequence numbers or padding."""
    parts = chunks(ask(provider, dialect="qingbo", stream=True).text)

    assert parts[-1]["type"] == "response.completed"
    assert not any("sequence_number" in part or "obfuscation" in part for part in parts)


def test_padding_can_be_left_out(provider, ask):
    """`include_obfuscation: false` drops the random padding."""
    assert "obfuscation" in ask(provider, stream=True).text
    assert "obfuscation" not in ask(provider, stream=True, stream_options={"include_obfuscation": False}).text


def test_a_stream_with_latency_comes_in_pieces(play, http):
    """The first bytes come after half the latency, the last after all of it, several pieces between."""
    simulator = play({"latency_s": 0.4})
    begun = time.monotonic()
    body = {"model": "m", "input": "Hello", "stream": True}
    with http.stream("POST", simulator.base_url() + "/responses", json=body) as reply:
        arrivals = [time.monotonic() - begun for _ in reply.iter_raw()]

    assert arrivals[0] >= 0.2
    assert arrivals[-1] >= 0.34
    assert len(arrivals) >= 4


def test_custom_tools_are_called_with_text(provider, ask):
    """A custom tool's call carries free text, plain and streamed."""
    tool = {"type": "custom", "name": "shout"}
    more = {"tools": [tool], "tool_choice": {"type": "custom", "name": "shout"}}
    item = ask(provider, "Say hello", **more).json()["output"][0]

    assert (item["type"], item["input"]) == ("custom_tool_call", "Say hello")
    assert "custom_tool_call" in ask(provider, "Say hello", stream=True, **more).text


def test_file_search_leaves_its_item(provider, ask):
    """A forced file search runs inside the answer."""
    tool = {"type": "file_search", "vector_store_ids": ["vs_1"]}
    items = ask(provider, tools=[tool], tool_choice={"type": "file_search"}).json()["output"]

    assert [item["type"] for item in items] == ["file_search_call", "message"]
