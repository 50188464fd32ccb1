"""What the model says is a function of what was really sent, the same in all three dialects."""

from __future__ import annotations

import base64
import json

import jsonschema_rs
import pytest

DIALECTS = ("openai", "qingbo", "apimart")


def test_an_answer_tells_size_format_and_colour_of_the_image_received(provider, ask, shown, picture, said):
    """The image is really decoded: its size, its format and its colour are in the answer."""
    text = said(ask(provider, shown(picture("red", (640, 427), "JPEG"))))

    assert text.startswith("A 640x427 JPEG, mostly red (ref ")


def test_each_image_has_its_clause_in_the_order_sent(provider, ask, shown, picture, said):
    """Two images give two clauses in their order."""
    text = said(ask(provider, shown(picture("navy", (10, 20)), picture("orange", (30, 40), "WEBP"))))

    assert text.startswith("A 10x20 PNG, mostly navy; a 30x40 WebP, mostly orange (ref ")


def test_a_picture_of_several_colours_names_them_by_share(provider, ask, shown, said):
    """The colours are named, the one that covers most first."""
    import io

    from PIL import Image

    image = Image.new("RGB", (90, 90), (20, 70, 30))
    image.paste((135, 195, 240), (0, 0, 90, 36))
    image.paste((225, 210, 180), (0, 0, 90, 15))
    out = io.BytesIO()
    image.save(out, "PNG")
    url = "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()

    assert "mostly dark green, sky blue and beige" in said(ask(provider, shown(url)))


def test_an_image_that_is_only_named_is_told_by_its_name(provider, ask, shown, said):
    """A URL is not fetched; its last part is named."""
    assert said(ask(provider, shown("https://example.com/a/cat.jpg?x=1"))).startswith("An image named cat.jpg")


def test_the_same_content_has_the_same_answer_and_usage_in_all_dialects(provider, ask, picture, said):
    """Instructions of one dialect and system messages of the others count alike, images included."""
    parts = [{"type": "input_text", "text": "Describe."}, {"type": "input_image", "image_url": picture()}]
    user = {"role": "user", "content": parts}
    system = {"role": "system", "content": [{"type": "input_text", "text": "Be short."}]}
    replies = [
        ask(provider, {"model": "m", "instructions": "Be short.", "input": [user]}),
        ask(provider, {"model": "m", "input": [system, user]}, "qingbo"),
        ask(provider, {"model": "m", "input": [system, user]}, "apimart"),
    ]
    usages = [reply.json().get("data", reply.json())["usage"] for reply in replies]

    assert len({said(reply) for reply in replies}) == 1
    assert {usage.get("input_tokens", usage.get("prompt_tokens")) for usage in usages} == {85 + 170 + 8 + 3 + 3}
    assert len({usage.get("output_tokens", usage.get("completion_tokens")) for usage in usages}) == 1


def test_the_gateways_silently_ignore_instructions(provider, ask, said):
    """A field the gateways do not document changes nothing there, and does on the reference."""
    for dialect, matters in (("openai", True), ("qingbo", False), ("apimart", False)):
        plain = said(ask(provider, dialect=dialect))
        told = said(ask(provider, dialect=dialect, instructions="Answer in French."))
        assert (plain != told) is matters


def test_another_text_or_seed_has_another_reference(provider, play, ask, said):
    """Answers quote the text and carry a digest of it, so that a wrong row can be told."""
    texts = [said(ask(provider, f"Ticket number {n}: my order is late again and again")) for n in range(20)]

    assert len(set(texts)) == 20
    assert '"Ticket number 7: my order is late again…"' in texts[7]
    assert said(ask(play({"seed": 1}), "hi")) != said(ask(provider, "hi"))
    assert said(ask(provider, "hi")) == said(ask(provider, "hi"))


def test_a_cap_below_the_answer_cuts_it_and_says_incomplete(provider, ask):
    """Fewer tokens than the answer needs give partial text, the reason, and usage of exactly the cap."""
    body = ask(provider, max_output_tokens=5).json()

    assert (body["status"], body["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert body["usage"]["output_tokens"] == 5
    assert body["output"][-1]["status"] == "incomplete"
    chat = ask(provider, dialect="apimart", max_tokens=5).json()["data"]
    assert chat["choices"][0]["finish_reason"] == "length"
    assert chat["choices"][0]["message"]["content"] == body["output"][-1]["content"][0]["text"]


def test_reasoning_is_counted_within_the_output(provider, ask):
    """An effort adds a reasoning item and its tokens; encrypted content comes when it is asked for."""
    body = ask(provider, reasoning={"effort": "low"}, include=["reasoning.encrypted_content"]).json()

    assert [item["type"] for item in body["output"]] == ["reasoning", "message"]
    assert body["output"][0]["encrypted_content"]
    assert body["usage"]["output_tokens_details"]["reasoning_tokens"] == 64
    assert body["usage"]["output_tokens"] > 64
    starved = ask(provider, reasoning={"effort": "high"}, max_output_tokens=50).json()
    assert [item["type"] for item in starved["output"]] == ["reasoning"]


def test_json_object_answers_with_an_object(provider, ask, said):
    """JSON mode gives some JSON object."""
    reply = ask(provider, "Give me json.", text={"format": {"type": "json_object"}})

    assert isinstance(json.loads(said(reply)), dict)


SCHEMA = {
    "type": "object",
    "properties": {
        "caption": {"type": "string"},
        "kind": {"type": "string", "enum": ["invoice", "complaint", "praise"]},
        "confidence": {"type": "number"},
        "stars": {"type": "integer", "minimum": 1, "maximum": 5},
        "tags": {"type": "array", "items": {"type": "string"}},
        "urgent": {"type": "boolean"},
        "version": {"const": 3},
        "owner": {"anyOf": [{"$ref": "#/$defs/person"}, {"type": "null"}]},
        "note": {"type": ["string", "null"]},
        "born": {"type": "string", "format": "date"},
    },
    "$defs": {
        "person": {
            "type": "object",
            "properties": {"name": {"type": "string", "minLength": 3, "maxLength": 9}},
            "required": ["name"],
            "additionalProperties": False,
        }
    },
    "additionalProperties": False,
}
SCHEMA["required"] = list(SCHEMA["properties"])
FORMAT = {"format": {"type": "json_schema", "name": "ticket", "strict": True, "schema": SCHEMA}}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_structured_output_is_valid_and_plausible(provider, ask, said, dialect):
    """Every answer fits the schema, prose fields hold the sentence and shares lie between 0 and 1."""
    validator = jsonschema_rs.validator_for(SCHEMA)
    for n in range(25):
        filled = json.loads(said(ask(provider, f"Row {n}", dialect, text=FORMAT)))
        validator.validate(filled)
        assert 0 <= filled["confidence"] <= 1
        assert f'"Row {n}"' in filled["caption"]


def test_an_enum_value_named_in_the_text_is_chosen(provider, ask, said):
    """What the text says literally wins over chance."""
    for kind in ("invoice", "complaint", "praise"):
        filled = json.loads(said(ask(provider, f"This is a {kind.upper()}, clearly.", text=FORMAT)))
        assert filled["kind"] == kind


def test_forced_functions_are_called_with_arguments_that_fit(provider, ask):
    """Forced, required and asked-for calls come with schema-filled arguments, in each dialect's own form."""
    flat = {"type": "function", "name": "save", "description": "d", "parameters": SCHEMA}
    nested = {"type": "function", "function": {key: flat[key] for key in ("name", "description", "parameters")}}
    forced = ask(provider, tools=[flat], tool_choice={"type": "function", "name": "save"}).json()
    required = ask(provider, dialect="qingbo", tools=[nested], tool_choice="required").json()
    named = ask(provider, "Please call save", dialect="apimart", tools=[nested]).json()
    arguments = [forced["output"][0]["arguments"]]
    for bare in (required, named):
        assert "usage" not in bare
        assert bare["choices"][0]["finish_reason"] == "tool_calls"
        arguments.append(bare["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"])

    assert forced["output"][0]["type"] == "function_call"
    for text in arguments:
        jsonschema_rs.validate(SCHEMA, json.loads(text))
    assert ask(provider, tools=[flat], tool_choice="none").json()["output"][0]["type"] == "message"


def test_several_calls_are_made_unless_parallel_calls_are_off(provider, ask):
    """A text that names two functions gets two calls, or one when parallel calls are refused."""
    tools = [{"type": "function", "name": name, "parameters": {"type": "object"}} for name in ("one", "two")]
    text = "call one and call two"

    assert [item["name"] for item in ask(provider, text, tools=tools).json()["output"]] == ["one", "two"]
    assert len(ask(provider, text, tools=tools, parallel_tool_calls=False).json()["output"]) == 1


def test_a_tool_output_is_quoted_in_the_final_text(provider, ask, said):
    """The second turn answers with the output, as item or as chat message, and costs the same."""
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c1", "output": '{"price": 19}'}
    turn = {"role": "user", "content": "What does it cost?"}
    items = ask(provider, [turn, call, output])
    asked = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": "{}"}}],
    }
    chat = ask(provider, [turn, asked, {"role": "tool", "tool_call_id": "c1", "content": '{"price": 19}'}], "apimart")

    assert '{"price": 19}' in said(items)
    assert said(items) == said(chat)


def test_hosted_search_leaves_its_item_and_a_citation(provider, ask):
    """A web search the text asks for runs inside the answer."""
    body = ask(provider, "Search the price.", tools=[{"type": "web_search"}]).json()

    assert [item["type"] for item in body["output"]] == ["web_search_call", "message"]
    assert body["output"][1]["content"][0]["annotations"][0]["type"] == "url_citation"


def test_cached_tokens_appear_only_by_script_and_for_long_beginnings(provider, play, ask):
    """The second request with the same long beginning is cached when the script says so."""
    long = "word " * 2000
    for simulator, expected in ((provider, False), (play({"cache": True}), True)):
        ask(simulator, long + "one")
        cached = ask(simulator, long + "two").json()["usage"]["input_tokens_details"]["cached_tokens"]
        assert (cached > 0) is expected
        assert cached % 128 == 0
    assert cached <= 2001
