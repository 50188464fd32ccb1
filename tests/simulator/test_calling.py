"""The model calls the client's functions by rule: who is called, with what, in how many rounds."""

from __future__ import annotations

import json

import pytest

DIALECTS = ("openai", "qingbo", "apimart")
PROPERTIES = {"price_of": {"sku": {"type": "string"}}, "stock_of": {"sku": {"type": "string"}}}
BOTH = "Tell price_of and stock_of for SKU A-17."


def tools(dialect="openai", *, properties=PROPERTIES):
    """The functions in the dialect's form."""
    flat = [
        {
            "name": name,
            "description": f"Looks up the {name.partition('_')[0]}",
            "parameters": {"type": "object", "properties": fields},
        }
        for name, fields in properties.items()
    ]
    if dialect == "openai":
        return [{"type": "function", "strict": False, **one} for one in flat]
    return [{"type": "function", "function": one} for one in flat]


def calls(reply):
    """The calls of a reply as (id, name, arguments), whatever its shape."""
    body = reply.json()
    body = body.get("data", body)
    if "choices" in body:
        listed = body["choices"][0]["message"].get("tool_calls") or ()
        return [(one["id"], one["function"]["name"], json.loads(one["function"]["arguments"])) for one in listed]
    found = [item for item in body["output"] if item["type"] == "function_call"]
    return [(one["call_id"], one["name"], json.loads(one["arguments"])) for one in found]


def names(reply):
    """Who is called."""
    return [name for _, name, _ in calls(reply)]


def answered(made, dialect, number=0):
    """The calls and their outputs as the dialect takes them back."""
    if dialect == "openai":
        sent = [
            {"type": "function_call", "call_id": key, "name": name, "arguments": json.dumps(said)}
            for key, name, said in made
        ]
        return sent + [
            {"type": "function_call_output", "call_id": key, "output": f"{name} {number}"} for key, name, _ in made
        ]
    listed = [{"id": key, "function": {"name": name, "arguments": json.dumps(said)}} for key, name, said in made]
    return [{"role": "assistant", "content": None, "tool_calls": listed}] + [
        {"role": "tool", "tool_call_id": key, "content": f"{name} {number}"} for key, name, _ in made
    ]


def play_on(ask, simulator, text, dialect="openai", limit=10, **more):
    """Answer calls until there are none; the names of each round and the last reply."""
    items, rounds = [{"role": "user", "content": text}], []
    while len(rounds) < limit:
        reply = ask(simulator, items, dialect, tools=tools(dialect), **more)
        made = calls(reply)
        if not made:
            break
        rounds.append([name for _, name, _ in made])
        items += answered(made, dialect, len(rounds))
    return rounds, reply


@pytest.mark.parametrize("dialect", DIALECTS)
def test_mentioned_functions_are_called_together_and_their_outputs_quoted(provider, ask, said, dialect):
    """One round of two calls, then the final text with both outputs, in both exchanges."""
    rounds, last = play_on(ask, provider, BOTH, dialect)

    assert rounds == [["price_of", "stock_of"]]
    assert said(last).startswith('The tool answered "price_of 1"; "stock_of 1"')


@pytest.mark.parametrize("dialect", DIALECTS)
def test_without_parallel_calls_there_is_one_in_each_round(provider, ask, dialect):
    """The next function follows in the next round."""
    rounds, _ = play_on(ask, provider, BOTH, dialect, parallel_tool_calls=False)

    assert rounds == [["price_of"], ["stock_of"]]


@pytest.mark.parametrize(
    ("text", "called"),
    [
        ("Tell the stock of it", ["stock_of"]),  # the name, written with a space
        ("What PRICES do you see?", ["price_of"]),  # a word of its name or description
        ("Hello there", []),
    ],
)
def test_with_auto_the_text_decides(provider, ask, text, called):
    """Names first, then what names and descriptions speak of, else no call."""
    assert names(ask(provider, text, tools=tools())) == called


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ("none", []),
        ("required", ["price_of"]),
        ({"type": "function", "name": "stock_of"}, ["stock_of"]),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "stock_of"}]}, []),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "stock_of"}]},
            ["stock_of"],
        ),
    ],
    ids=["none", "required", "forced", "allowed", "one of allowed"],
)
def test_the_choice_is_obeyed(provider, ask, choice, called):
    """A text that hints at nothing leaves it to the choice."""
    assert names(ask(provider, "Hello there", tools=tools(), tool_choice=choice)) == called


def test_a_choice_that_requires_a_call_gets_one_in_every_round(provider, ask):
    """As on the reference: who wants an answer at last must lift it."""
    rounds, _ = play_on(ask, provider, BOTH, limit=4, tool_choice="required")

    assert rounds == [["price_of", "stock_of"], ["price_of"], ["price_of"], ["price_of"]]


def test_what_the_system_asks_for_is_called_once_in_a_conversation(provider, ask):
    """A second question, such as a request for repair, does not start it all again."""
    system = {"role": "system", "content": "Always use price_of."}
    first = [system, {"role": "user", "content": "A-17?"}]
    made = calls(ask(provider, first, tools=tools()))
    turn = [*first, *answered(made, "openai"), {"role": "assistant", "content": "19"}]

    assert [name for _, name, _ in made] == ["price_of"]
    assert names(ask(provider, [*turn, {"role": "user", "content": "As JSON, please."}], tools=tools())) == []
    assert names(ask(provider, [*turn, {"role": "user", "content": "Use stock_of."}], tools=tools())) == ["stock_of"]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("wanted", [0, 3])
def test_a_script_sets_the_number_of_rounds(play, ask, said, dialect, wanted):
    """Three rounds and then the answer, whatever the text says."""
    rounds, last = play_on(ask, play({"tool_rounds": wanted}), "Hello there", dialect)

    assert rounds == [["price_of"]] * wanted
    assert said(last)


def test_a_script_may_never_stop_calling(play, ask):
    """A loop without a limit of its own would not end."""
    rounds, _ = play_on(ask, play({"tool_rounds": "always"}), BOTH, limit=6, parallel_tool_calls=False)

    assert rounds == [["price_of"], ["stock_of"]] * 3


ARGUMENTS = [
    ({"sku": {"type": "string"}}, "Use f for SKU 4711, please.", {"sku": "4711"}),
    ({"city": {"type": "string"}}, "f: what is the weather in New York?", {"city": "New York"}),
    ({"order_id": {"type": "string"}}, "Use f. Order #A-9 is late.", {"order_id": "A-9"}),
    ({"name": {"type": "string"}}, 'f for name: "Ann Lee", today', {"name": "Ann Lee"}),
    ({"maxPrice": {"type": "number"}}, "f with max price 12.5 and 3 pieces", {"maxPrice": 12.5}),
    ({"a": {"type": "number"}, "b": {"type": "integer"}}, "f: add 2.5 and 3", {"a": 2.5, "b": 3}),
    ({"low": {"type": "integer", "minimum": 5, "maximum": 5}}, "f 99", {"low": 5}),
    ({"unit": {"type": "string", "enum": ["kg", "lb"]}}, "f in LB", {"unit": "lb"}),
    ({"query": {"type": "string"}}, "f: red shoes\nin 42", {"query": "f: red shoes in 42"}),
    ({"code": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{2}$"}}, "f for code AB-12", {"code": "AB-12"}),
    (
        {"who": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 1}},
        "f says Who: Bo",
        {"who": ["Bo"]},
    ),
]


@pytest.mark.parametrize(("fields", "text", "expected"), ARGUMENTS, ids=[str(list(case[0])) for case in ARGUMENTS])
def test_arguments_are_taken_from_the_text(provider, ask, fields, text, expected):
    """Named values first, then words and numbers in their order, at last the text itself."""
    ((_, name, arguments),) = calls(ask(provider, text, tools=tools(properties={"f": fields})))

    assert (name, arguments) == ("f", expected)


def test_a_structured_answer_holds_what_the_tool_said(provider, ask, said):
    """A field that the output names has the output's value."""
    call = [("call_1", "price_of", {"sku": "A-17"})]
    sent, output = answered(call, "openai")
    schema = {"type": "object", "properties": {"price": {"type": "number"}, "currency": {"type": "string"}}}
    form = {"type": "json_schema", "name": "offer", "schema": schema}
    items = [{"role": "user", "content": BOTH}, sent, {**output, "output": '{"price": 19.5, "currency": "EUR"}'}]

    assert json.loads(said(ask(provider, items, text={"format": form}))) == {"price": 19.5, "currency": "EUR"}
