"""What the next round of a request sends, in both exchanges and in every shape that a reply comes in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from pipeline.records import Media, Reply, Status
from pipeline.wire.decode import decode
from pipeline.wire.dialect import DIALECTS, Dialect
from pipeline.wire.encode import encode, refusals
from pipeline.wire.turns import after_calls, after_mistake, first_round

OPENAI, QINGBO, APIMART = DIALECTS["openai"], DIALECTS["qingbo"], DIALECTS["apimart"]
CHATTING = QINGBO.overridden({"tool_results": "messages"})
OUTPUT = '{"ok":true}'
NOTHING: Mapping[str, object] = {}
ENCRYPTED = "reasoning.encrypted_content"
USER = {"role": "user", "content": [{"type": "input_text", "text": "hi"}]}
CALL = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "f",
    "arguments": "{}",
    "status": "completed",
}
OTHER_CALL = {**CALL, "id": "fc_2", "call_id": "call_2", "name": "g"}
CUSTOM = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_3", "name": "h", "input": "free text"}
SEALED = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}
BARE = {"type": "reasoning", "id": "rs_1", "summary": []}
WORDS = {
    "type": "message",
    "id": "msg_1",
    "status": "completed",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Let me look.", "annotations": []}],
}


def answered(call_id: str, kind: str = "function_call_output") -> dict[str, Any]:
    return {"type": kind, "call_id": call_id, "output": OUTPUT}


def response(*items: Mapping[str, object]) -> Reply:
    return decode({"id": "resp_1", "status": "completed", "output": [*items]})


def chat(content: str | None, **message: object) -> Reply:
    return decode({"id": "resp-1", "choices": [{"message": {"role": "assistant", "content": content, **message}}]})


def chat_call(name: str, call_id: str | None) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": "{}"}}


def following(reply: Reply, body: Mapping[str, object], dialect: Dialect = OPENAI) -> dict[str, Any]:
    """Return the next round's body, all calls answered alike."""
    return after_calls(body, reply, [OUTPUT] * len(reply.tool_calls), dialect, NOTHING)


# -- the documents' own examples -------------------------------------------------------------------------------------


def test_a_response_that_is_not_kept_goes_back_whole(golden: Callable[[str], Any]) -> None:
    """The input, the model's items unchanged and in order, and the output: the example body, but for how the reply lay in it."""
    wanted = golden("openai.req.tool-result-stateless")
    user, reasoning, call, _ = wanted["input"]
    asked = first_round({"model": wanted["model"], "tools": wanted["tools"], "input": [user]}, OPENAI, NOTHING)
    assert encode(following(response(reasoning, call), asked), OPENAI) == wanted


def test_a_response_that_is_kept_is_gone_on_from_by_its_id(golden: Callable[[str], Any]) -> None:
    """Only the outputs are sent, with the same tools."""
    wanted = golden("openai.req.tool-result-stateful")
    asked = {"model": wanted["model"], "tools": wanted["tools"], "input": [USER], "store": True}
    assert first_round(asked, OPENAI, NOTHING) == asked
    assert encode(following(response(CALL), asked), OPENAI) == {**wanted, "store": True}


def test_a_chat_style_call_is_told_in_items(golden: Callable[[str], Any]) -> None:
    """The gateways' pages show only the call; their claim of compatibility says how its output goes back."""
    reply = decode(golden("gateway.res.bare-tool-calls"))
    sent = encode(following(reply, {"model": "gpt-5", "input": "hi"}, QINGBO), QINGBO)
    name, arguments = reply.tool_calls[0].name, reply.tool_calls[0].arguments
    assert sent["input"] == [
        USER,
        {"type": "function_call", "call_id": "call_abc123", "name": name, "arguments": arguments},
        answered("call_abc123"),
    ]


def test_a_server_that_wants_chat_messages_gets_them(golden: Callable[[str], Any]) -> None:
    """An override of the dialect says so; the call is the one that came."""
    raw = golden("gateway.res.bare-tool-calls")
    asked = following(decode(raw), {"model": "gpt-5", "input": "hi"}, CHATTING)
    assert refusals(asked, CHATTING) == []
    assert encode(asked, CHATTING)["input"] == [
        USER,
        raw["choices"][0]["message"],
        {"role": "tool", "tool_call_id": "call_abc123", "content": OUTPUT},
    ]
    assert refusals(asked, QINGBO) == ["qingbo has no role tool; messages may be of assistant, system, user"]


# -- one round after another -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("items", "replayed"),
    [
        ([CALL, OTHER_CALL], [CALL, OTHER_CALL, answered("call_1"), answered("call_2")]),
        ([SEALED, WORDS, CALL], [SEALED, WORDS, CALL, answered("call_1")]),
        ([CUSTOM], [CUSTOM, answered("call_3", "custom_tool_call_output")]),
        ([CUSTOM, CALL], [CUSTOM, CALL, answered("call_3", "custom_tool_call_output"), answered("call_1")]),
    ],
    ids=["parallel", "reasoning and words", "custom", "both kinds"],
)
def test_every_call_is_answered_once_and_in_order(items: list[Any], replayed: list[Any]) -> None:
    """Whatever came along with the calls goes back before the outputs."""
    assert following(response(*items), {"input": [USER]})["input"] == [USER, *replayed]


def test_reasoning_without_its_content_is_left_out_with_the_ids_that_lead_to_it() -> None:
    """Both would be refused where the response was not kept."""
    sent = following(response(BARE, WORDS, CALL), {"input": [USER]})
    without_ids = [{name: value for name, value in item.items() if name != "id"} for item in (WORDS, CALL)]
    assert sent["input"] == [USER, *without_ids, answered("call_1")]


def test_rounds_add_up_and_pictures_stay_references() -> None:
    """The bytes of a picture are put in when an attempt leaves, in each round anew."""
    picture = Media(identity="p", label="photo", data=b"png")
    user = {"role": "user", "content": [{"type": "input_image", "image_url": picture}]}
    second = following(response(CALL), {"input": [user]})
    third = following(response(OTHER_CALL), second)
    assert third["input"] == [user, CALL, answered("call_1"), OTHER_CALL, answered("call_2")]
    assert third["input"][0]["content"][0]["image_url"] is picture


@pytest.mark.parametrize(
    ("body", "more"),
    [
        ({"store": True}, {"store": True, "previous_response_id": "resp_1"}),
        ({"previous_response_id": "resp_0"}, {"previous_response_id": "resp_1"}),
        ({"conversation": "conv_1"}, {"conversation": "conv_1"}),
        ({"background": True}, {"background": True, "previous_response_id": "resp_1"}),
    ],
    ids=lambda value: ",".join(value),
)
def test_what_is_kept_is_not_sent_again(body: dict[str, Any], more: dict[str, Any]) -> None:
    """A conversation has grown by the response, and excludes a previous one; instructions are not kept and are sent again."""
    asked = {"input": [USER], "instructions": "Be brief.", **body}
    sent = following(response(BARE, CALL), asked)
    assert sent == {"input": [answered("call_1")], "instructions": "Be brief.", **more}


def test_a_previous_response_whose_successor_is_not_kept_stays_the_previous_one() -> None:
    """What came since goes back whole."""
    sent = following(response(CALL), {"input": [USER], "previous_response_id": "resp_0", "store": False})
    assert sent["previous_response_id"] == "resp_0"
    assert sent["input"] == [USER, CALL, answered("call_1")]


@pytest.mark.parametrize("asked", [{"store": True}, {}])
def test_calls_without_an_id_get_one_that_is_unlike_all_before(asked: dict[str, Any]) -> None:
    """Some servers give none, in either shape, and what has no id cannot be gone on from by it."""
    nameless = {name: value for name, value in CALL.items() if name != "call_id"}
    second = following(response(nameless, nameless), {"input": [USER], **asked})
    third = following(chat(None, tool_calls=[chat_call("f", None)]), second)
    calls = [item["call_id"] for item in third["input"] if item.get("type") == "function_call"]
    assert calls == ["call_1_0", "call_1_1", "call_5_0"]
    outputs = [item["call_id"] for item in third["input"] if item.get("type") == "function_call_output"]
    assert outputs == calls


def test_words_beside_chat_style_calls_go_back_too() -> None:
    """As a message of the model's before its calls."""
    sent = following(chat("Let me look.", tool_calls=[chat_call("f", "call_1")]), {"input": [USER]}, APIMART)
    assert [item.get("role") or item["type"] for item in sent["input"]] == [
        *("user", "assistant", "function_call", "function_call_output")
    ]


@pytest.mark.parametrize(
    ("choice", "then"),
    [
        ("required", "auto"),
        ({"type": "function", "name": "f"}, "auto"),
        (
            {"type": "allowed_tools", "mode": "required", "tools": []},
            {"type": "allowed_tools", "mode": "auto", "tools": []},
        ),
        ("auto", "auto"),
        ("none", "none"),
    ],
)
def test_a_model_that_had_to_call_is_free_afterwards(choice: object, then: object) -> None:
    """Else it would call for ever."""
    assert following(response(CALL), {"input": [USER], "tool_choice": choice})["tool_choice"] == then


def test_what_the_extra_body_says_about_storing_counts() -> None:
    """It wins over the request's parameters on the wire."""
    sent = after_calls({"input": [USER]}, response(CALL), [OUTPUT], OPENAI, {"store": True})
    assert sent == {"input": [answered("call_1")], "previous_response_id": "resp_1"}


# -- the first round -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dialect", "body", "include"),
    [
        (OPENAI, {}, [ENCRYPTED]),
        (OPENAI, {"store": False}, [ENCRYPTED]),
        (OPENAI, {"include": ["x"]}, ["x", ENCRYPTED]),
        (OPENAI, {"include": [ENCRYPTED, "x"]}, [ENCRYPTED, "x"]),
        (OPENAI, {"store": True}, None),
        (OPENAI, {"model": "gpt-4.1-mini"}, None),
        (OPENAI, {"model": "ft:gpt-4o:acme"}, None),
        (OPENAI, {"model": "gpt-5-chat-latest"}, None),
        (QINGBO, {}, None),
    ],
)
def test_reasoning_is_asked_for_where_it_must_come_back(dialect: Dialect, body: Any, include: Any) -> None:
    """Not where the provider keeps it, where the model does not reason, or where the vendor's page does not know it."""
    assert first_round({"model": "gpt-5.4", **body}, dialect, NOTHING).get("include") == include


# -- an answer to be mended ------------------------------------------------------------------------------------------

INVALID = "title must be a text"


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (response(SEALED, WORDS), [SEALED, WORDS]),
        (chat("Let me look."), [{"role": "assistant", "content": [{"type": "output_text", "text": "Let me look."}]}]),
    ],
    ids=["items", "chat"],
)
def test_a_mistake_is_told_after_the_answer_it_is_in(reply: Reply, said: list[Any]) -> None:
    """With the reason, and the wish for the corrected answer only."""
    wrong = Reply(Status.INVALID, text=reply.text, error_message=INVALID, raw=reply.raw)
    sent: Any = after_mistake({"input": [USER], "text": {}}, wrong, OPENAI, NOTHING)
    assert sent["input"][:-1] == [USER, *said]
    complaint = sent["input"][-1]
    assert complaint["role"] == "user"
    assert INVALID in complaint["content"][0]["text"]
    assert refusals(sent, QINGBO) == []
