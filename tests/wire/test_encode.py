"""One neutral body becomes what each dialect documents: the golden requests, and every rule of translation on its own."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.records import Media
from pipeline.wire.dialect import DIALECTS, Dialect
from pipeline.wire.encode import cautions, encode, refusals

OPENAI, QINGBO, APIMART = DIALECTS["openai"], DIALECTS["qingbo"], DIALECTS["apimart"]
# Most golden requests of OpenAI leave `store` to the provider; ours say false by default.
STORING = OPENAI.overridden({"store_by_default": None})

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mNQSFgAAAHEASFcollRAAAAAElFTkSuQmCC"
)
SCHEMA = {
    "type": "object",
    "properties": {"label": {"type": "string", "enum": ["cat", "dog", "other"]}, "confidence": {"type": "number"}},
    "required": ["label", "confidence"],
    "additionalProperties": False,
}
SAVE_LABEL = {
    "type": "function",
    "name": "save_label",
    "description": "Store the label of one picture",
    "parameters": SCHEMA,
}
LOOKUP = {
    "type": "mcp",
    "server_label": "catalog",
    "server_url": "https://mcp.example.com/api",
    "authorization": "TOKEN",
}


def text(words: str) -> dict[str, Any]:
    return {"type": "input_text", "text": words}


def image(name: str = "a", **more: Any) -> dict[str, Any]:
    return {"type": "input_image", "image_url": f"https://example.com/{name}.jpg", **more}


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


LABEL = [user(text("Label the picture and store it."), image())]
SHARPER = [user(text("Which picture is sharper, 1 or 2?"), image("a"), image("b"))]
COLOUR = [user(text("Main colour?"), {"type": "input_image", "image_url": PIXEL})]
CAPTION = [user(text("Write one caption for this picture."), image())]
COMPARE = "Compare our price for SKU 4711 with the market."
LOOPED = [
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA-opaque"},
    {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "call_1",
        "name": "save_label",
        "arguments": '{"label":"cat","confidence":0.97}',
        "status": "completed",
    },
]
RESULT = {"type": "function_call_output", "call_id": "call_1", "output": '{"ok":true}'}

GOLDEN: list[tuple[str, Dialect, dict[str, Any]]] = [
    (
        "openai.req.text",
        OPENAI,
        {
            "model": "gpt-5.4-mini",
            "instructions": "Answer in one word.",
            "input": "Capital of Japan?",
            "max_output_tokens": 200,
            "metadata": {"row_key": "r-0001"},
        },
    ),
    (
        "openai.req.image",
        STORING,
        {
            "model": "gpt-5.4-mini",
            "input": [user(text("Write one caption for this picture."), image(detail="low"))],
        },
    ),
    ("openai.req.multi-image", STORING, {"model": "gpt-5.4-mini", "input": SHARPER}),
    ("openai.req.base64-image", STORING, {"model": "gpt-5.4-mini", "input": COLOUR}),
    (
        "openai.req.file",
        STORING,
        {
            "model": "gpt-5.4-mini",
            "input": [
                user(
                    text("Summarise in two lines."),
                    {"type": "input_file", "file_url": "https://example.com/report.pdf", "detail": "low"},
                )
            ],
        },
    ),
    (
        "openai.req.json-schema",
        STORING,
        {
            "model": "gpt-5.4-mini",
            "input": [user(text("Label the picture."), image())],
            "text": {"format": {"type": "json_schema", "name": "picture_label", "strict": True, "schema": SCHEMA}},
            "reasoning": {"effort": "low"},
        },
    ),
    (
        "openai.req.function",
        STORING,
        {
            "model": "gpt-5.4-mini",
            "input": LABEL,
            "tools": [SAVE_LABEL],
            "tool_choice": {"type": "function", "name": "save_label"},
            "parallel_tool_calls": False,
        },
    ),
    (
        "openai.req.mcp",
        STORING,
        {
            "model": "gpt-5.4-mini",
            "input": "Which article is SKU 4711?",
            "tools": [{**LOOKUP, "allowed_tools": ["lookup_sku"], "timeout": 30}],
            "max_tool_calls": 3,
        },
    ),
    (
        "openai.req.combined-tools",
        STORING,
        {
            "model": "gpt-5.4-mini",
            "input": COMPARE,
            "tools": [
                {
                    "type": "web_search",
                    "search_context_size": "low",
                    "filters": {"allowed_domains": ["example.com"]},
                    "user_location": {"type": "approximate", "country": "DE"},
                },
                {"type": "file_search", "vector_store_ids": ["vs_123"], "max_num_results": 5},
                SAVE_LABEL,
            ],
            "include": ["web_search_call.action.sources", "file_search_call.results"],
        },
    ),
    (
        "openai.req.tool-result-stateless",
        OPENAI,
        {
            "model": "gpt-5.4-mini",
            "include": ["reasoning.encrypted_content"],
            "tools": [SAVE_LABEL],
            "input": [*LABEL, *LOOPED, RESULT],
        },
    ),
    (
        "openai.req.tool-result-stateful",
        OPENAI,
        {"model": "gpt-5.4-mini", "previous_response_id": "resp_1", "tools": [SAVE_LABEL], "input": [RESULT]},
    ),
    (
        "qingbo.req.text",
        QINGBO,
        {"model": "gpt-5", "input": "Capital of Japan? One word.", "max_output_tokens": 200},
    ),
    ("qingbo.req.image", QINGBO, {"model": "gpt-5", "input": CAPTION, "max_output_tokens": 300}),
    ("qingbo.req.multi-image", QINGBO, {"model": "gpt-5", "input": SHARPER}),
    (
        "qingbo.req.video",
        QINGBO,
        {
            "model": "gemini-2.5-pro",
            "input": [
                user(text("List the scenes."), {"type": "input_video", "video_url": "https://example.com/clip.mp4"})
            ],
            "max_output_tokens": 5000,
        },
    ),
    ("qingbo.req.base64-image", QINGBO, {"model": "gpt-5", "input": COLOUR}),
    ("qingbo.req.function", QINGBO, {"model": "gpt-5", "input": LABEL, "tools": [SAVE_LABEL]}),
    (
        "qingbo.req.remote-mcp",
        QINGBO,
        {
            "model": "gpt-5",
            "input": "Which article is SKU 4711?",
            "tools": [{**LOOKUP, "require_approval": "never", "timeout": 30}],
        },
    ),
    (
        "qingbo.req.combined-tools",
        QINGBO,
        {
            "model": "gpt-5",
            "input": COMPARE,
            "tools": [{"type": "web_search"}, {"type": "file_search"}, SAVE_LABEL],
            "temperature": 0.2,
        },
    ),
    (
        "apimart.req.text",
        APIMART,
        {"model": "gpt-5", "input": "Capital of Japan? One word.", "max_output_tokens": 200, "temperature": 0.2},
    ),
    (
        "apimart.req.image",
        APIMART,
        {"model": "gpt-5", "instructions": "You caption pictures.", "input": CAPTION},
    ),
    ("apimart.req.multi-image", APIMART, {"model": "gpt-5", "input": SHARPER, "top_p": 0.9}),
    ("apimart.req.base64-image", APIMART, {"model": "gpt-5", "input": COLOUR}),
    ("apimart.req.function", APIMART, {"model": "gpt-5", "input": LABEL, "tools": [SAVE_LABEL]}),
    (
        "apimart.req.remote-mcp",
        APIMART,
        {"model": "gpt-5", "input": "Which article is SKU 4711?", "tools": [{**LOOKUP, "timeout": 30}]},
    ),
    (
        "apimart.req.combined-tools",
        APIMART,
        {
            "model": "gpt-5",
            "input": COMPARE,
            "tools": [{"type": "web_search"}, {"type": "file_search"}, SAVE_LABEL],
        },
    ),
]


@pytest.mark.parametrize(("name", "dialect", "body"), GOLDEN, ids=[name for name, _, _ in GOLDEN])
def test_the_neutral_body_becomes_the_golden_request(
    golden: Callable[[str], Any], name: str, dialect: Dialect, body: dict[str, Any]
) -> None:
    """What leaves is what the vendor's page shows, down to the last key, and the neutral body stays as it was."""
    before = copy.deepcopy(body)

    assert encode(body, dialect) == golden(name)
    assert body == before
    assert refusals(body, dialect) == []


def test_every_golden_request_is_made_by_a_test(request: pytest.FixtureRequest) -> None:
    """No golden request lies unused."""
    files = {path.stem for path in (request.path.parent / "golden").glob("*.req.*.json")}

    assert {name for name, _, _ in GOLDEN} == files


# Delivery


@pytest.mark.parametrize("name", [name for name, dialect, _ in GOLDEN if dialect is STORING])
def test_openai_is_asked_not_to_store(golden: Callable[[str], Any], name: str) -> None:
    """By default a bulk run stores nothing at OpenAI."""
    body = next(body for other, _, body in GOLDEN if other == name)

    assert encode(body, OPENAI) == {**golden(name), "store": False}


@pytest.mark.parametrize(
    ("body", "extra", "store"),
    [
        ({}, {}, False),
        ({"store": True}, {}, True),
        ({"store": False, "background": True}, {}, False),
        ({"background": True}, {}, None),
        ({"background": False}, {}, False),
        ({"conversation": "conv_1"}, {}, None),
        ({"previous_response_id": "resp_1"}, {}, None),
        ({}, {"previous_response_id": "resp_1"}, None),
        ({}, {"store": True}, True),
    ],
)
def test_store_is_left_alone_where_something_stored_is_used(
    body: dict[str, Any], extra: dict[str, Any], store: bool | None
) -> None:
    """The default gives way to the job's own word and to what needs a stored response."""
    assert encode(body, OPENAI, extra).get("store") is store


@pytest.mark.parametrize("dialect", [QINGBO, APIMART], ids=["qingbo", "apimart"])
def test_gateways_are_told_not_to_stream_and_nothing_about_storing(dialect: Dialect) -> None:
    """A gateway gets an explicit ``stream: false``, unless the job streams, and never a ``store`` of our own accord."""
    assert encode({"model": "m"}, dialect) == {"model": "m", "stream": False}
    assert encode({"stream": True}, dialect)["stream"] is True
    assert encode({}, dialect, {"stream": True})["stream"] is True


def test_stream_options_travel_only_with_a_stream() -> None:
    """Without ``stream`` its options would be refused, so they stay behind."""
    options = {"include_obfuscation": False}

    assert "stream_options" not in encode({"stream_options": options}, OPENAI)
    assert encode({"stream_options": options, "stream": True}, OPENAI)["stream_options"] == options


def test_the_extra_body_wins_and_goes_verbatim() -> None:
    """What stands in ``extra_body`` is sent as it is: over ours, nulls and all, in every dialect."""
    extra = {"temperature": None, "max_tokens": 7, "tools": [{"type": "function", "name": "raw"}], "newer": {"a": [1]}}
    body = {"temperature": 1, "max_output_tokens": 5, "tools": [SAVE_LABEL]}

    assert encode(body, APIMART, extra) == {**extra, "stream": False}


def test_unset_parameters_are_not_sent_as_null() -> None:
    """A parameter without a value is left out; a null inside a value belongs to the value."""
    body = {"temperature": None, "text": {"format": {"type": "json_schema", "name": "n", "schema": {"enum": [None]}}}}

    assert encode(body, STORING) == {"text": body["text"]}


def test_values_pass_in_their_own_spelling() -> None:
    """A cache value that two pages spell differently is sent as the job spells it."""
    for value in ("in-memory", "in_memory"):
        assert encode({"prompt_cache_retention": value}, STORING) == {"prompt_cache_retention": value}


# Input


def test_a_picture_passes_through_as_the_same_object() -> None:
    """A ``Media`` value is neither copied nor read."""
    photo = Media(identity="i", label="photo", data=b"bytes")
    body = {"input": [user(text("What is this?"), {"type": "input_image", "image_url": photo})]}

    for dialect in DIALECTS.values():
        (message,) = encode(body, dialect)["input"]  # type: ignore[misc]
        assert message["content"][1]["image_url"] is photo


def test_the_order_of_parts_is_kept() -> None:
    """Parts are sent in the order in which the job has them."""
    parts = [image("a"), text("above"), image("b"), text("below")]

    for dialect in DIALECTS.values():
        assert encode({"input": [user(*parts)]}, dialect)["input"] == [user(*parts)]


def test_plain_text_becomes_parts_for_gateways_and_stays_text_for_openai() -> None:
    """Gateways document the list of parts only; OpenAI takes both."""
    body = {"input": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]}

    assert encode(body, OPENAI)["input"] == body["input"]
    assert encode(body, QINGBO)["input"] == [
        {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "hello"}]},
    ]


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_an_assistants_text_parts_are_output(dialect: Dialect) -> None:
    """``input_text`` in an assistant's message is refused by the servers, so it is sent as ``output_text``."""
    refused = {"type": "refusal", "refusal": "no"}
    body = {"input": [{"type": "message", "role": "assistant", "content": [text("hello"), refused], "phase": "final"}]}

    (message,) = encode(body, dialect)["input"]  # type: ignore[misc]
    assert message == {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "hello"}, refused],
        "phase": "final",
    }


def test_items_of_a_tool_loop_are_replayed_unchanged() -> None:
    """Reasoning, calls and their results go back exactly as they came."""
    for dialect in DIALECTS.values():
        assert encode({"input": [*LOOPED, RESULT]}, dialect)["input"] == [*LOOPED, RESULT]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (None, []),
        ("hi", [user(text("hi"))]),
        ([user(text("hi"))], [user(text("hi"))]),
    ],
)
@pytest.mark.parametrize("expand", [True, False])
def test_instructions_lead_the_input_where_there_is_no_field_for_them(
    given: Any, sent: list[Any], expand: bool
) -> None:
    """A system message in front of the input says what the undocumented field would."""
    dialect = APIMART.overridden({"expand_string_input": expand})
    system = {"role": "system", "content": [text("Be brief.")]}

    assert encode({"instructions": "Be brief.", "input": given}, dialect) == {"input": [system, *sent], "stream": False}


# What cannot be sent


VIDEO = {"type": "input_video", "video_url": "https://x/v.mp4"}
FILE = {"type": "input_file", "file_url": "https://x/a.pdf"}


@pytest.mark.parametrize(
    ("dialect", "part", "said"),
    [
        (OPENAI, VIDEO, ["openai takes no video; qingbo does"]),
        (APIMART, VIDEO, ["apimart takes no video; qingbo does"]),
        (QINGBO, VIDEO, []),
        (OPENAI, FILE, []),
        (QINGBO, FILE, ["qingbo takes no file; openai does"]),
        (APIMART, {"type": "input_file", "file_id": "f"}, ["apimart takes no file_id; openai does"]),
        (OPENAI.overridden({"parts": []}), text("y"), ["openai takes no text; qingbo and apimart do"]),
        (OPENAI, {"type": "input_audio", "input_audio": {}}, []),
        (APIMART, {"type": "input_audio", "input_audio": {}}, []),
    ],
)
def test_a_part_that_a_dialect_does_not_have_is_refused_in_a_specs_words(
    dialect: Dialect, part: dict[str, Any], said: list[str]
) -> None:
    """With the dialects that take it; one on no page may be newer than the pages, and passes."""
    assert refusals({"input": [user(part, part)]}, dialect) == said


@pytest.mark.parametrize(
    ("dialect", "kind", "refused"),
    [
        (OPENAI, "image", False),
        (OPENAI, "file", False),
        (QINGBO, "image", True),
        (APIMART, "image", True),
        (QINGBO.overridden({"file_ids": True}), "image", False),
    ],
)
def test_an_id_of_an_uploaded_file_is_for_who_has_uploads(dialect: Dialect, kind: str, refused: bool) -> None:
    """A gateway's page knows no ids: it might answer without the picture, and be paid for that."""
    body = {"input": [user(text("x"), {"type": f"input_{kind}", "file_id": "file-1"})]}
    assert refusals(body, dialect) == (
        [f"{dialect.name} takes no {kind}_id; openai does; give its URL or its bytes"] if refused else []
    )


@pytest.mark.parametrize(
    ("dialect", "warned", "refused"),
    [
        (OPENAI, False, False),
        (QINGBO, True, False),
        (APIMART, True, False),
        (APIMART.overridden({"undocumented": "refuse"}), False, True),
        (APIMART.overridden({"image_detail": True}), False, False),
    ],
)
def test_a_pictures_detail_is_told_of_where_no_page_lists_it(dialect: Dialect, warned: bool, refused: bool) -> None:
    """It is sent as the job has it, with a word of warning, as undocumented parameters are."""
    body = {"input": [user(text("x"), {"type": "input_image", "image_url": "https://x/a.png", "detail": "low"})]}
    assert any("detail of pictures" in caution for caution in cautions(body, dialect)) is warned
    assert any("detail of pictures" in reason for reason in refusals(body, dialect)) is refused


def test_parts_inside_a_tools_result_are_looked_at_too() -> None:
    """A file that a tool gives back is refused like one in a message."""
    body = {"input": [{"type": "function_call_output", "call_id": "c", "output": [{"type": "input_file"}]}]}

    assert refusals(body, OPENAI) == []
    assert len(refusals(body, QINGBO)) == 1


@pytest.mark.parametrize("name", ["qingbo", "apimart"])
def test_a_tool_that_a_gateways_page_does_not_name_is_refused_and_a_newer_kind_passes(name: str) -> None:
    """It names four; a remote MCP server is one of them under either name."""
    known = [{"type": "web_search"}, {"type": "mcp", "server_url": "https://example.org"}, {"type": "hologram"}]
    assert refusals({"tools": known}, DIALECTS[name]) == []
    assert refusals({"tools": [{"type": "custom", "name": "note"}]}, DIALECTS[name]) == [
        f"{name} takes no tool custom; it takes file_search, function, remote_mcp, web_search"
    ]
    assert refusals({"tools": [{"type": "custom", "name": "note"}]}, DIALECTS["openai"]) == []


def test_a_role_that_a_dialect_does_not_have_is_refused() -> None:
    """The gateways know no developer."""
    body = {"input": [{"role": "developer", "content": "x"}]}

    assert refusals(body, OPENAI) == []
    assert refusals(body, APIMART) == ["apimart has no role developer; messages may be of assistant, system, user"]


def test_a_limit_on_an_mcp_server_is_not_lost_silently() -> None:
    """Where the form has no place for ``allowed_tools`` the body is refused, for leaving it out would allow more."""
    tool = {**LOOKUP, "allowed_tools": ["lookup_sku"], "require_approval": "always", "server_description": "x"}

    assert refusals({"tools": [tool]}, OPENAI) == []
    assert refusals({"tools": [tool]}, QINGBO) == [
        "qingbo's remote_mcp tool has no place for allowed_tools",
        "qingbo's remote_mcp tool has no place for require_approval",
    ]


def test_an_undocumented_parameter_is_sent_with_a_warning_or_refused_as_the_dialect_says() -> None:
    """Gateways claim full compatibility: what the job names is sent, with a sentence; a job can turn that into a refusal."""
    body = {
        "model": "m",
        "input": "x",
        "instructions": "y",
        "max_output_tokens": 1,
        "temperature": 0,
        "reasoning": {"effort": "low"},
        "user": None,
    }
    strict = QINGBO.overridden({"undocumented": "refuse"})

    assert encode(body, QINGBO)["reasoning"] == {"effort": "low"}
    assert cautions(body, QINGBO) == ["qingbo's page does not list reasoning; it is sent as the job has it"]
    assert refusals(body, QINGBO) == []
    assert cautions(body, strict) == []
    assert refusals(body, strict) == ["qingbo's page does not list reasoning"]
    assert cautions(body, OPENAI) == refusals(body, OPENAI) == []


def test_what_encode_itself_adds_is_never_cautioned_against() -> None:
    """The encoded body of a plain job holds nothing that the vendor's page does not list."""
    body = {"model": "m", "input": "x", "instructions": "y", "max_output_tokens": 1}

    for dialect in DIALECTS.values():
        assert cautions(encode(body, dialect), dialect) == []


def test_a_timeout_that_has_no_place_is_said_to_be_left_out() -> None:
    """OpenAI's MCP tool has no timeout, in whichever form the job wrote it."""
    for tool in ({**LOOKUP, "timeout": 30}, {"type": "remote_mcp", "remote_mcp": {"url": "https://x", "timeout": 30}}):
        assert len(cautions({"tools": [tool]}, OPENAI)) == 1
        assert cautions({"tools": [tool]}, QINGBO) == []
    assert cautions({"tools": [LOOKUP]}, OPENAI) == []
