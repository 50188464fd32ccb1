"""The provider's own tools run inside the answer and leave what the documents say they leave."""

from __future__ import annotations

import base64
import io
import json

import pytest
from PIL import Image

DIALECTS = ("openai", "qingbo", "apimart")
SEARCH = {"type": "web_search"}
FILES = {"type": "file_search", "vector_store_ids": ["vs_1"]}
CODE = {"type": "code_interpreter", "container": {"type": "auto"}}
DRAW = {"type": "image_generation"}
MCP = {
    "type": "mcp",
    "server_label": "catalog",
    "server_url": "https://mcp.example.com/api",
    "allowed_tools": ["lookup_sku"],
    "require_approval": "never",
}
SECRET = "sk-very-secret"


def kinds(reply):
    """The types of the output items."""
    return [item["type"] for item in reply.json()["output"]]


def one(reply, kind):
    """The only item of its type."""
    (item,) = [item for item in reply.json()["output"] if item["type"] == kind]
    return item


def part(reply):
    """The text part of the message."""
    return one(reply, "message")["content"][0]


@pytest.mark.parametrize("kind", ["web_search", "web_search_2025_08_26", "web_search_preview"])
def test_a_declared_search_runs_and_its_sources_are_cited_where_they_stand(provider, ask, kind):
    """Two or three stable sources; each annotation spans the link in the text, first to last character."""
    replies = [ask(provider, "Is tea healthy?", tools=[{"type": kind}]) for _ in range(2)]
    text, notes = part(replies[0])["text"], part(replies[0])["annotations"]

    assert kinds(replies[0]) == ["web_search_call", "message"]
    assert one(replies[0], "web_search_call")["action"] == {
        "type": "search",
        "query": "Is tea healthy?",
        "queries": ["Is tea healthy?"],
    }
    assert notes == part(replies[1])["annotations"]
    assert 2 <= len({note["url"] for note in notes}) == len(notes) <= 3
    for note in notes:
        host = note["url"].split("/")[2]
        assert text[note["start_index"] : note["end_index"] + 1] == f"([{host}]({note['url']}))"


def test_sources_are_listed_when_included_and_keep_to_the_allowed_domains(provider, ask):
    """The list has the cited addresses, on the domains the filter leaves."""
    tool = {**SEARCH, "filters": {"allowed_domains": ["a.example", "b.example"]}}
    reply = ask(provider, "Is tea healthy?", tools=[tool], include=["web_search_call.action.sources"])
    listed = [source["url"] for source in one(reply, "web_search_call")["action"]["sources"]]

    assert listed == [note["url"] for note in part(reply)["annotations"]]
    assert {url.split("/")[2] for url in listed} == {"a.example", "b.example"}


def test_a_structured_answer_is_cited_within_its_text(provider, ask):
    """The link stands in a field of prose; where none holds it, the citation is for the whole text."""
    for fields, inside in (({"summary": {"type": "string"}}, True), ({"stars": {"type": "integer"}}, False)):
        schema = {"type": "object", "properties": fields}
        form = {"type": "json_schema", "name": "check", "schema": schema}
        got = part(ask(provider, "Is tea healthy?", tools=[SEARCH], text={"format": form}))
        note = got["annotations"][0]
        spanned = got["text"][note["start_index"] : note["end_index"] + 1]
        assert (spanned != got["text"]) is inside
        assert json.loads(got["text"])


def test_files_that_were_found_are_told_when_included(provider, ask):
    """Without `include` the results are null; the best file is cited at its place."""
    bare = ask(provider, tools=[FILES])
    told = ask(provider, tools=[{**FILES, "max_num_results": 1}], include=["file_search_call.results"])
    (found,) = one(told, "file_search_call")["results"]
    (note,) = part(told)["annotations"]

    assert one(bare, "file_search_call")["results"] is None
    assert one(bare, "file_search_call")["queries"] == ["Hello there"]
    assert note["type"] == "file_citation"
    assert (note["file_id"], note["filename"]) == (found["file_id"], found["filename"])
    assert part(told)["text"][: note["index"] + 1].endswith(f"(from {found['filename']})")


def test_code_is_shown_and_its_output_when_included(provider, ask, said):
    """The numbers of the question are added up."""
    include = ["code_interpreter_call.outputs"]
    reply = ask(provider, "Add 2.5 and 40.", tools=[CODE], include=include)
    call = one(reply, "code_interpreter_call")

    assert (call["code"], call["outputs"]) == ("print(sum([2.5, 40]))", [{"type": "logs", "logs": "42.5"}])
    assert call["container_id"].startswith("cntr_")
    assert "42.5" in said(reply)
    assert one(ask(provider, tools=[CODE]), "code_interpreter_call")["outputs"] is None


@pytest.mark.parametrize(("form", "decoded"), [(None, "PNG"), ("jpeg", "JPEG"), ("webp", "WEBP"), ("tiff", "PNG")])
def test_a_picture_is_drawn_for_the_prompt(provider, ask, form, decoded):
    """A real one, the same for the same prompt and another for another."""
    tool = DRAW if form is None else {**DRAW, "output_format": form}
    results = [
        one(ask(provider, text, tools=[tool]), "image_generation_call")["result"]
        for text in ("Draw a cat", "Draw a cat", "Draw a dog")
    ]

    with Image.open(io.BytesIO(base64.b64decode(results[0]))) as image:
        assert (image.format, image.size) == (decoded, (64, 64))
    assert results[0] == results[1] != results[2]


def test_a_remote_server_lists_its_tools_and_is_called(provider, ask, said):
    """The listing, the call with its output, and the answer that tells it."""
    reply = ask(provider, "Which article is SKU 4711?", tools=[MCP])
    call = one(reply, "mcp_call")

    assert kinds(reply) == ["mcp_list_tools", "mcp_call", "message"]
    assert [tool["name"] for tool in one(reply, "mcp_list_tools")["tools"]] == ["lookup_sku"]
    assert (call["server_label"], call["name"], call["status"]) == ("catalog", "lookup_sku", "completed")
    assert json.loads(call["arguments"]) == {"query": "Which article is SKU 4711?"}
    assert call["output"] in said(reply)


@pytest.mark.parametrize("rule", [None, "always", {"never": {"tool_names": ["other"]}}])
@pytest.mark.parametrize("approve", [True, False])
def test_approval_is_asked_for_unless_the_request_waives_it(provider, ask, rule, approve):
    """The answer waits for the client's word, then the tool is called or not; the default is to ask."""
    tool = {**MCP, "require_approval": rule}
    first = ask(provider, tools=[tool])
    request = one(first, "mcp_approval_request")
    word = {"type": "mcp_approval_response", "approval_request_id": request["id"], "approve": approve}
    second = ask(provider, [word], previous_response_id=first.json()["id"], tools=[tool])

    assert kinds(first) == ["mcp_list_tools", "mcp_approval_request"]
    assert kinds(second) == ["mcp_list_tools", *(["mcp_call"] if approve else []), "message"]
    if approve:
        assert one(second, "mcp_call")["approval_request_id"] == request["id"]


def test_a_waiver_may_be_for_one_tool(provider, ask):
    """The rule names it."""
    tool = {**MCP, "require_approval": {"never": {"tool_names": ["lookup_sku"]}}}

    assert "mcp_call" in kinds(ask(provider, tools=[tool]))


@pytest.mark.parametrize(
    ("more", "status"),
    [({}, "failed"), ({"authorization": SECRET}, "completed"), ({"headers": {"Authorization": SECRET}}, "completed")],
)
def test_a_private_server_wants_authorization(provider, ask, more, status):
    """Without it the call fails with the server's error, and the answer goes on."""
    reply = ask(provider, tools=[{**MCP, "server_label": "private-catalog", **more}])
    call = one(reply, "mcp_call")

    assert call["status"] == status
    assert (call["error"] is None) is (status == "completed")
    assert kinds(reply)[-1] == "message"


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("stream", [False, True])
def test_authorization_is_never_told_again(play, ask, tmp_path, dialect, stream):
    """Neither the reply nor the ledger holds it, answered or refused."""
    simulator = play(ledger=tmp_path / "ledger.jsonl")
    flat = {**MCP, "authorization": SECRET, "headers": {"X-Key": SECRET}}
    nested = {"type": "remote_mcp", "remote_mcp": {"url": "https://mcp.example.com", "auth_token": SECRET}}
    tool = flat if dialect == "openai" else nested
    texts = [
        ask(simulator, "hi", dialect, tools=[tool], stream=stream).text,
        ask(simulator, "hi", dialect, tools=[{**tool, "type": "mpc"}], stream=stream).text,
        (tmp_path / "ledger.jsonl").read_text(),
    ]

    assert all(texts)
    assert not any(SECRET in text for text in texts)


@pytest.mark.parametrize("dialect", ["qingbo", "apimart"])
def test_gateways_run_their_four_tools(provider, ask, said, dialect):
    """What the shape has no item for is still in the words."""
    remote = {"type": "remote_mcp", "remote_mcp": {"url": "https://mcp.example.com/api"}}
    text = said(ask(provider, "Is tea healthy?", dialect, tools=[SEARCH, {"type": "file_search"}, remote]))

    assert "https://example.com/is-tea-healthy" in text
    assert "(from notes-1.md)" in text
    assert "mcp.example.com has an entry" in text


CHOICES = [
    ("none", ["message"]),
    ("auto", ["web_search_call", "file_search_call", "code_interpreter_call", "message"]),
    ({"type": "file_search"}, ["file_search_call", "message"]),
    ({"type": "web_search_preview"}, ["web_search_call", "message"]),
    (
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "code_interpreter"}]},
        ["code_interpreter_call", "message"],
    ),
]


@pytest.mark.parametrize(("choice", "expected"), CHOICES, ids=[str(case[0]) for case in CHOICES])
def test_the_choice_decides_which_tools_run(provider, ask, choice, expected):
    """All that are declared, unless the choice leaves fewer."""
    assert kinds(ask(provider, tools=[SEARCH, FILES, CODE], tool_choice=choice)) == expected


def test_the_number_of_runs_can_be_limited(provider, ask):
    """Further attempts are ignored, as documented."""
    assert kinds(ask(provider, tools=[SEARCH, FILES, CODE], max_tool_calls=1)) == ["web_search_call", "message"]


def test_functions_come_before_the_provider_s_tools(provider, ask):
    """A response that calls the client is no answer yet; the search runs in the one that is."""
    function = {"type": "function", "name": "price", "strict": False, "parameters": {"type": "object"}}
    asked = {"tools": [SEARCH, function]}
    first = ask(provider, "Use price.", **asked)
    output = {"type": "function_call_output", "call_id": first.json()["output"][0]["call_id"], "output": "19"}
    second = ask(provider, [output], previous_response_id=first.json()["id"], **asked)

    assert (kinds(first), kinds(second)) == (["function_call"], ["web_search_call", "message"])


STEPS = [
    (SEARCH, "web_search_call", ["in_progress", "searching", "completed"]),
    (FILES, "file_search_call", ["in_progress", "searching", "completed"]),
    (CODE, "code_interpreter_call", ["in_progress", "interpreting", "completed"]),
    (DRAW, "image_generation_call", ["in_progress", "generating", "completed"]),
    (MCP, "mcp_call", ["in_progress", "completed"]),
    ({**MCP, "server_label": "private"}, "mcp_call", ["in_progress", "failed"]),
]


@pytest.mark.parametrize(("tool", "kind", "steps"), STEPS, ids=[f"{kind} {steps[-1]}" for _, kind, steps in STEPS])
def test_a_stream_tells_the_steps_of_a_run(provider, ask, tool, kind, steps):
    """Begun without a result, step by step, done as in the plain answer."""
    text = ask(provider, tools=[tool], stream=True).text
    sent = [json.loads(line.removeprefix("data: ")) for line in text.split("\n") if line.startswith("data: ")]
    whole = next(item for item in sent[-1]["response"]["output"] if item["type"] == kind)
    mine = [event for event in sent if whole["id"] in (event.get("item_id"), event.get("item", {}).get("id"))]

    assert [event["type"] for event in mine] == [
        "response.output_item.added",
        *(f"response.{kind}.{step}" for step in steps),
        "response.output_item.done",
    ]
    assert mine[0]["item"]["status"] == "in_progress"
    assert mine[-1]["item"] == whole
