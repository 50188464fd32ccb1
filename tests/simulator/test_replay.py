"""What a client sends back of earlier turns is taken as strictly as by the reference."""

from __future__ import annotations

import pytest

USER = {"role": "user", "content": "Please use price for SKU 4711."}
TOOL = {"type": "function", "name": "price", "strict": False,
        "parameters": {"type": "object", "properties": {"sku": {"type": "string"}}}}  # fmt: skip
SEALED = {"include": ["reasoning.encrypted_content"], "reasoning": {"effort": "low"}}


@pytest.fixture
def turn(provider, ask):
    """One turn that thinks and calls the tool, and how it went."""

    def make(**more):
        return ask(provider, [USER], **{"tools": [TOOL], "reasoning": {"effort": "low"}, **more}).json()

    return make


def output(call, text="19 EUR"):
    """The output of a call."""
    return {"type": "function_call_output", "call_id": call["call_id"], "output": text}


def test_a_stored_turn_is_continued_by_outputs_alone(turn, provider, ask, said):
    """The provider knows the call; the outputs are quoted, and the functions are not called again."""
    first = turn()
    reply = ask(provider, [output(first["output"][1])], previous_response_id=first["id"], tools=[TOOL])

    assert [item["type"] for item in first["output"]] == ["reasoning", "function_call"]
    assert said(reply).startswith('The tool answered "19 EUR"')


@pytest.mark.parametrize("store", [True, False])
def test_a_whole_turn_is_replayed(turn, provider, ask, said, store):
    """With the sealed thought nothing needs to be stored; what is stored needs no seal."""
    first = turn(store=store, **({} if store else SEALED))
    reply = ask(provider, [USER, *first["output"], output(first["output"][1])], store=store, tools=[TOOL])

    assert "19 EUR" in said(reply)


def test_an_answered_turn_costs_the_same_stored_or_replayed(turn, provider, ask):
    """The same conversation has the same input tokens, whoever kept it."""
    first = turn()
    outputs = [output(first["output"][1])]
    kept = ask(provider, outputs, previous_response_id=first["id"]).json()["usage"]
    sent = ask(provider, [USER, *first["output"], *outputs]).json()["usage"]

    assert kept == sent


def test_references_stand_for_stored_items(turn, provider, ask, said):
    """An item may be named by its id alone while it is stored."""
    first = turn()
    references = [{"type": "item_reference", "id": item["id"]} for item in first["output"]]

    assert "19 EUR" in said(ask(provider, [USER, *references, output(first["output"][1])]))


def broken(first):
    """Each way to replay a turn wrongly, and what is said about it."""
    thought, call = first["output"]
    bare = {key: value for key, value in thought.items() if key != "encrypted_content"}
    sealed = thought["encrypted_content"]
    foreign = {**thought, "encrypted_content": sealed[:-4] + ("AAAA" if sealed[-4:] != "AAAA" else "BBBB")}
    other = {**thought, "id": "rs_other"}
    answer = output(call)
    return {
        "unsealed": ([bare, call, answer], 404, f"Item with id '{thought['id']}' not found. Items are not persisted"),
        "changed": ([foreign, call, answer], 400, "could not be verified"),
        "swapped": ([other, call, answer], 400, "could not be verified"),
        "torn": ([thought, USER, call, answer], 400, "was provided without its required following item"),
        "last": ([call, answer, thought], 400, "was provided without its required following item"),
        "unanswered": ([thought, call], 400, f"No tool output found for function call {call['call_id']}."),
        "uncalled": ([answer], 400, f"No tool call found for function call output with call_id {call['call_id']}."),
        "unstored": ([{"type": "item_reference", "id": call["id"]}, answer], 404, "not found"),
    }


@pytest.mark.parametrize(
    "way", ["unsealed", "changed", "swapped", "torn", "last", "unanswered", "uncalled", "unstored"]
)
def test_what_does_not_belong_together_is_refused(turn, provider, ask, way):
    """A thought needs its seal and its following item, a call its output, an output its call."""
    items, status, message = broken(turn(store=False, **SEALED))[way]
    reply = ask(provider, [USER, *items], store=False)

    assert (reply.status_code, message in reply.json()["error"]["message"]) == (status, True), reply.text


def test_a_stored_call_goes_back_with_its_thought_or_without_its_id(turn, provider, ask, said):
    """By its id the provider knows what led to it; without one it is just a call."""
    call = turn()["output"][1]
    refused = ask(provider, [USER, call, output(call)])
    nameless = {key: value for key, value in call.items() if key != "id"}

    assert refused.status_code == 400
    assert "was provided without its required 'reasoning' item: 'rs_" in refused.json()["error"]["message"]
    assert "19 EUR" in said(ask(provider, [USER, nameless, output(call)]))


def test_a_stored_call_must_be_answered(turn, provider, ask):
    """Going on after a call without its output is refused, and so is an output nobody asked for."""
    first = turn()
    unanswered = ask(provider, "And now?", previous_response_id=first["id"]).json()["error"]
    wrong = ask(provider, [output({"call_id": "call_x"})], previous_response_id=first["id"]).json()["error"]

    assert unanswered["message"].startswith("No tool output found for function call call_")
    assert wrong["message"] == "No tool call found for function call output with call_id call_x."


def test_custom_tools_are_paired_as_functions_are(provider, ask, said):
    """Their items have names of their own, also in the refusal."""
    tool = {"type": "custom", "name": "shout"}
    call = ask(provider, "Please shout hello", tools=[tool]).json()["output"][0]
    answer = {"type": "custom_tool_call_output", "call_id": call["call_id"], "output": "HELLO"}

    assert "HELLO" in said(ask(provider, [USER, call, answer], tools=[tool]))
    assert "custom tool call" in ask(provider, [USER, call]).json()["error"]["message"]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"previous_response_id": "resp_unknown"}, "previous_response_not_found"),
        ({"previous_response_id": "abc"}, "invalid_value"),
        ({"conversation": "abc"}, "invalid_value"),
        ({"conversation": {"id": "abc"}}, "invalid_value"),
        ({"prompt": {"version": "1"}}, "missing_required_parameter"),
        ({"prompt": {"id": "pmpt_1", "variables": {"a": {"type": "input_video"}}}}, "invalid_value"),
    ],
)
def test_ids_are_of_their_kind(provider, ask, given, code):
    """Responses, conversations and prompts are named by ids that look like theirs."""
    reply = ask(provider, **given)

    assert (reply.status_code, reply.json()["error"]["code"]) == (400, code)


def test_a_response_that_was_not_stored_cannot_be_continued(turn, provider, ask):
    """`store: false` leaves nothing to go on from."""
    reply = ask(provider, "Go on.", previous_response_id=turn(store=False)["id"])

    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "previous_response_not_found")
