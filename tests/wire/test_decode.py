"""Every shape of answer becomes one normal form, every failure an ``AttemptError``, and nothing else ever comes out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import AttemptError, Sent
from pipeline.records import Reply, Source, Status, ToolCall, Usage
from pipeline.wire.decode import decode, read_answer

SERVED = "gpt-5.4-mini-2026-03-17"
MOMENT = 1763600000.0
PRICE_LIST = {
    "type": "url_citation",
    "start_index": 9,
    "end_index": 14,
    "url": "https://example.com/price",
    "title": "Price list",
}
PRICE_SOURCE = Source("url_citation", "Price list", "https://example.com/price")
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"


def call(call_id: str, arguments: str) -> ToolCall:
    return ToolCall(call_id, "save_label", arguments, {"label": "cat", "confidence": 0.97})


def chat_reply(status: Status, number: int, **more: Any) -> Reply:
    usage = Usage(input_tokens=156, output_tokens=45, total_tokens=201)
    return Reply(status, usage=usage, model="gpt-5", response_id=f"resp-{number}", created=MOMENT, **more)


def reply(status: Status, number: int, usage: tuple[float | None, ...], searches: int = 0, **more: Any) -> Reply:
    ids = {"model": SERVED, "response_id": f"resp_{number}", "created": MOMENT}
    return Reply(status, usage=Usage(*usage), searches=searches, **ids, **more)


GOLDEN: dict[str, Reply] = {
    "openai.res.text": reply(Status.OK, 1, (21, 0, 2, 0, 23), text="Tokyo"),
    "openai.res.reasoning-message": reply(
        Status.OK,
        2,
        (640, 512, 150, 128, 790),
        text="A grey cat on a sofa.",
        reasoning_summary="Looked at the fur.",
        service_tier="default",
    ),
    "openai.res.function-call": reply(
        Status.TOOL_CALLS,
        3,
        (410, 0, 31, 0, 441),
        tool_calls=(call("call_1", '{"label":"cat","confidence":0.97}'),),
    ),
    "openai.res.web-search": reply(
        Status.OK,
        4,
        (900, 0, 20, 0, 920),
        searches=1,
        text="It costs 19 EUR.",
        annotations=(PRICE_LIST,),
        sources=(PRICE_SOURCE,),
    ),
    "openai.res.refusal": reply(
        Status.REFUSED, 5, (300, 0, 12, 0, 312), refusal="I cannot identify people in pictures."
    ),
    "openai.res.incomplete": reply(
        Status.TRUNCATED,
        6,
        (300, 0, 200, 190, 500),
        text="A grey cat on",
        incomplete_reason="max_output_tokens",
    ),
    "openai.res.sources": reply(
        Status.OK,
        7,
        (900, 0, 20, 0, 920, 512),
        searches=2,
        text="It costs 19 EUR.",
        annotations=(
            PRICE_LIST,
            {"type": "file_citation", "file_id": "file-1", "filename": "prices.pdf", "index": 14},
            {
                "type": "container_file_citation",
                "container_id": "cntr_1",
                "file_id": "cfile_1",
                "filename": "plot.png",
                "start_index": 0,
                "end_index": 2,
            },
            {"type": "file_path", "file_id": "file-3", "index": 2},
        ),
        sources=(
            PRICE_SOURCE,
            Source("file_citation", file_id="file-1", filename="prices.pdf"),
            Source("container_file_citation", file_id="cfile_1", filename="plot.png"),
            Source("file_path", file_id="file-3"),
            Source("web_search", url="https://example.com/shop"),
            Source("file_search", file_id="file-2", filename="old.pdf"),
        ),
        phase="final_answer",
    ),
    "openai.res.image": reply(Status.OK, 8, (900, 0, 20, 0, 920), text="Here it is.", pictures=(PIXEL,)),
    "openai.res.logprobs": reply(
        Status.OK, 9, (900, 0, 20, 0, 920, None, 1250.0), text="Tokyo", confidence=math.exp(-0.3)
    ),
    "qingbo.res.reasoning-message": Reply(
        Status.OK,
        searches=0,
        text="一只灰色的猫。",
        usage=Usage(642, 0, 184, 128, 826),
        model="gpt-5-2025-08-07",
        response_id="resp_09e3",
        created=MOMENT,
        service_tier="default",
    ),
    "apimart.res.envelope-text": chat_reply(Status.OK, 1, text="A cat and an otter."),
    "apimart.res.envelope-tool-calls": chat_reply(
        Status.TOOL_CALLS, 2, tool_calls=(call("call_abc123", '{"label": "cat", "confidence": 0.97}'),)
    ),
    "gateway.res.bare-tool-calls": Reply(
        Status.TOOL_CALLS,
        tool_calls=(call("call_abc123", '{"label": "cat", "confidence": 0.97}'),),
        model="gpt-5",
        response_id="resp-123456",
        created=MOMENT,
    ),
    "apimart.res.envelope-responses-shape": Reply(
        Status.OK,
        searches=0,
        text="A grey cat.",
        usage=Usage(120, 0, 30, 20, 150),
        model="gpt-5-nano-2025-08-07",
        response_id="resp_x",
        created=MOMENT,
    ),
    "apimart.res.envelope-truncated": chat_reply(
        Status.TRUNCATED, 3, text="A grey cat on", incomplete_reason="max_output_tokens"
    ),
    "apimart.res.envelope-refusal": chat_reply(Status.REFUSED, 4, refusal="I cannot help with that."),
    "apimart.res.envelope-filtered": chat_reply(Status.FILTERED, 5, incomplete_reason="content_filter"),
}


def message(*parts: object, **more: object) -> dict[str, object]:
    return {"type": "message", "role": "assistant", "content": list(parts), **more}


def said(text: str) -> dict[str, object]:
    return {"type": "output_text", "text": text}


def completed(*items: object, **more: object) -> dict[str, object]:
    return {"status": "completed", "output": list(items), **more}


def chat(finish_reason: str | None = "stop", **fields: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "message": {"role": "assistant", **fields}, "finish_reason": finish_reason}]}


def failure_of(body: object, **more: Any) -> AttemptError:
    with pytest.raises(AttemptError) as caught:
        decode(body, **more)
    return caught.value


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_reply_has_its_normal_form(golden: Callable[[str], Any], name: str) -> None:
    """Each reply of the vendors' pages decodes to the stated form, with the unwrapped body kept."""
    body = golden(name)

    assert decode(body) == replace(GOLDEN[name], raw=body.get("data", body))


def test_every_golden_reply_is_decoded_by_a_test(request: pytest.FixtureRequest) -> None:
    """No golden reply lies unused; the failed one has a test of its own."""
    files = {path.stem for path in (request.path.parent / "golden").glob("*.res.*.json")}

    assert files == {*GOLDEN, "openai.res.failed"}


# Shape


@pytest.mark.parametrize("code", [200, "200", 0, "0", "success", "Success", None])
def test_an_envelope_is_unwrapped_once_when_its_code_is_fine(code: object) -> None:
    """Both the wrapped and the bare body are accepted, from every endpoint."""
    inner = completed(message(said("hi")))

    assert decode({"code": code, "data": inner}).text == "hi"
    assert decode({"code": code, "data": inner}).raw == inner
    assert decode({"data": inner}).text == "hi"
    assert decode(inner).text == "hi"


def test_a_body_with_output_of_its_own_is_no_envelope() -> None:
    """A stray ``data`` beside the output is ignored."""
    assert decode(completed(message(said("hi")), data={"output": []})).text == "hi"


def test_an_envelope_is_not_unwrapped_twice() -> None:
    """A second envelope is a shape we do not know."""
    inner = {"code": 200, "data": completed(message(said("hi")))}

    assert failure_of({"code": 200, "data": inner}).kind == "unrecognised"


def test_an_envelope_that_says_no_is_a_failure_even_with_http_200(golden: Callable[[str], Any]) -> None:
    """The code of the envelope stands for the status: 429 is a rate limit, refused before any work."""
    error = failure_of(golden("apimart.err.envelope"))

    assert (error.kind, error.transient, error.scope, error.sent) == ("rate_limit", True, "row", Sent.NEVER)
    assert (error.message, error.code) == ("too many requests", "429")


@pytest.mark.parametrize(
    "body",
    [
        {"code": 500, "msg": "bad day"},
        {"code": "500", "message": "bad day", "data": {"output": []}},
        {"code": 500, "error": {"message": "bad day"}},
    ],
)
def test_the_message_of_an_envelope_has_several_names(body: object) -> None:
    """``message``, ``msg`` and ``error.message`` are all read."""
    error = failure_of(body)

    assert (error.kind, error.message, error.transient) == ("server", "bad day", True)


def test_output_text_alone_is_a_reply() -> None:
    """A body with nothing but ``output_text`` is understood."""
    assert decode({"output_text": "hi"}) == Reply(Status.OK, text="hi", raw={"output_text": "hi"})


@pytest.mark.parametrize(
    "body", [{}, {"id": "x"}, {"output": {}}, {"choices": "x"}, {"code": 200}, [], "text", 1, None]
)
def test_a_shape_nobody_knows_is_permanent_and_its_body_is_kept(body: object) -> None:
    """An unknown shape fails the row, is not asked again, and keeps what came."""
    error = failure_of(body)

    assert (error.kind, error.transient, error.scope, error.sent) == ("unrecognised", False, "row", Sent.ANSWERED)
    if isinstance(body, dict):
        assert error.reply is not None
        assert error.reply.raw == body


# Text, refusals, annotations


def test_text_is_joined_over_all_parts_and_messages_without_a_separator() -> None:
    """The text is every ``output_text`` of every message in order, wherever the messages stand."""
    body = completed({"type": "reasoning", "summary": []}, message(said("a"), said("b")), message(said("c")))

    assert decode(body).text == "abc"


def test_refusals_and_reasoning_are_never_text() -> None:
    """A refusal goes to its own column, a summary to its own, and reasoning text nowhere."""
    body = completed(
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "one"}, {"type": "summary_text", "text": "two"}],
            "content": [{"type": "reasoning_text", "text": "secret"}],
        },
        message({"type": "refusal", "refusal": "No."}, {"type": "summary_text", "text": "odd"}),
    )
    answer = decode(body)

    assert (answer.text, answer.refusal, answer.reasoning_summary) == ("", "No.", "one\ntwo")
    assert answer.status is Status.REFUSED


@pytest.mark.parametrize(
    "body",
    [
        completed({"type": "message", "content": "hi"}),
        completed({"content": [{"text": "hi"}]}),
        completed(message({"type": "text", "text": "hi"})),
        completed(output_text="hi"),
        completed(message({"type": "not_invented_yet", "text": "x"}), output_text="hi"),
        chat(content="hi"),
        chat(content=[{"type": "text", "text": "h"}, {"text": "i"}]),
        {"choices": [{}], "output_text": "hi"},
    ],
)
def test_the_lenient_forms_of_text_are_read(body: object) -> None:
    """Plain text as content, parts without a type, and ``output_text`` as the last resort all count."""
    assert decode(body).text == "hi"


def test_output_text_is_only_a_fallback() -> None:
    """What was computed from the items wins over the convenience field."""
    assert decode(completed(message(said("items")), output_text="field")).text == "items"


@pytest.mark.parametrize(
    ("text", "shown"), [("a\ud800b", "a\ufffdb"), ("\ud83d\ude00", "😀"), ("日本\u202e\x00", "日本\u202e\x00")]
)
def test_lone_surrogates_are_replaced_and_everything_else_is_kept(text: str, shown: str) -> None:
    """Text that cannot be written as UTF-8 is mended; control characters are the model's own words."""
    answer = decode(completed(message(said(text))))

    assert answer.text == shown
    assert orjson.dumps(answer.raw)


def test_annotations_of_both_shapes_are_kept_as_they_are() -> None:
    """Citations come from the parts of a message, or from a chat message itself."""
    cited = {**said("x"), "annotations": [PRICE_LIST, None]}

    assert decode(completed(message(cited))).annotations == (PRICE_LIST,)
    assert decode(chat(content="x", annotations=[PRICE_LIST])).annotations == (PRICE_LIST,)


# Status


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (completed(message(said("x"))), Status.OK),
        (completed(message(said(" \n"))), Status.EMPTY),
        (completed(), Status.EMPTY),
        (completed(message()), Status.EMPTY),
        (completed(message(said("x"), {"type": "refusal", "refusal": "No."})), Status.REFUSED),
        (completed({"type": "function_call", "name": "f"}), Status.TOOL_CALLS),
        (completed({"type": "function_call", "name": "f"}, message(said("x"))), Status.OK),
        (completed(message(said("x")), status=None), Status.OK),
        (completed(message(said("x")), status="not_invented_yet"), Status.OK),
        (completed(message(said("x")), status={"odd": 1}), Status.OK),
        (completed(message(said("x")), status="incomplete"), Status.TRUNCATED),
        (completed(status="incomplete", incomplete_details={"reason": "content_filter"}), Status.FILTERED),
        (completed(status="incomplete", incomplete_details={"reason": "steered"}), Status.TRUNCATED),
        (completed(status="cancelled"), Status.CANCELLED),
        (completed(status="canceled"), Status.CANCELLED),
        (chat("stop", content="x"), Status.OK),
        (chat("stop", content=None), Status.EMPTY),
        (chat(None, content="x"), Status.OK),
        (chat("not_invented_yet", content="x"), Status.OK),
        (chat("length", content="x"), Status.TRUNCATED),
        (chat("content_filter", content="x"), Status.FILTERED),
        (chat("stop", refusal="No."), Status.REFUSED),
        (chat("stop", content="x", refusal=""), Status.OK),
        (chat("function_call", function_call={"name": "f", "arguments": "{}"}), Status.TOOL_CALLS),
        ({**chat("length", content="x"), "status": "completed"}, Status.TRUNCATED),
        ({**chat("stop", content="x"), "status": "cancelled"}, Status.CANCELLED),
        ({"choices": []}, Status.EMPTY),
        ({"choices": ["odd", None]}, Status.EMPTY),
    ],
)
def test_the_outcome_follows_from_status_and_content(body: object, status: Status) -> None:
    """All documented states are told apart, and an unknown one is judged by what is there."""
    assert decode(body).status is status


def test_the_top_level_status_decides_over_a_filled_error() -> None:
    """A completed response that still shows an error, details and an unfinished message is completed, as on OpenAI's page."""
    body = completed(
        message(said("x"), status="in_progress"),
        error={"code": "server_error", "message": "no"},
        incomplete_details={"reason": "max_output_tokens"},
    )
    answer = decode(body)

    assert (answer.status, answer.text) == (Status.OK, "x")
    assert (answer.error_code, answer.error_message, answer.incomplete_reason) == (None, None, None)


def test_an_error_without_status_and_content_is_a_failure() -> None:
    """An empty output beside an error is not an empty answer."""
    assert failure_of({"output": [], "error": {"code": "invalid_image", "message": "no"}}).kind == "image"


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_text_of_an_unfinished_response_is_never_taken_for_an_answer(status: str) -> None:
    """Unfinished, unasked: a fault worth another try, perhaps paid. In background delivery it is pending."""
    body = completed(message(said("half a sent")), status=status, id="resp_1")
    error = failure_of(body)

    assert (error.kind, error.transient, error.sent) == ("in_progress", True, Sent.MAYBE)
    assert error.reply is not None
    assert error.reply.response_id == "resp_1"
    assert decode(body, background=True).status is Status.PENDING


def test_a_status_in_a_word_of_the_servers_own_is_waited_out_in_the_background() -> None:
    """What is said to be "processing" will be an answer; asked for at once it is an empty one."""
    body = {"id": "resp_1", "status": "processing", "output": []}
    assert decode(body, background=True).status is Status.PENDING
    assert decode(body).status is Status.EMPTY


def test_a_failed_response_keeps_its_reply(golden: Callable[[str], Any]) -> None:
    """The code of the error says what to do, and the reply is attached."""
    body = golden("openai.res.failed")
    error = failure_of(body)

    assert (error.kind, error.transient, error.sent) == ("image_download", True, Sent.ANSWERED)
    assert (error.code, error.message) == ("failed_to_download_image", "The image could not be downloaded.")
    assert error.hint is not None
    assert error.reply == Reply(
        Status.FAILED,
        model=SERVED,
        response_id="resp_7",
        created=MOMENT,
        error_code="failed_to_download_image",
        error_message="The image could not be downloaded.",
        raw=body,
    )


RETRIED = {
    "server_error": "server",
    "rate_limit_exceeded": "rate_limit",
    "vector_store_timeout": "server",
    "failed_to_download_image": "image_download",
}
PERMANENT = {
    "invalid_prompt": "bad_request",
    "invalid_image": "image",
    "invalid_image_format": "image",
    "invalid_base64_image": "image",
    "invalid_image_url": "image",
    "image_too_large": "image",
    "image_too_small": "image",
    "image_parse_error": "image",
    "image_content_policy_violation": "content_policy",
    "invalid_image_mode": "image",
    "image_file_too_large": "image",
    "unsupported_image_media_type": "image",
    "empty_image_file": "image",
    "image_file_not_found": "image",
}


def test_all_18_documented_error_codes_are_tested() -> None:
    """The two tables below hold the codes of OpenAI's page."""
    assert len(RETRIED) + len(PERMANENT) == 18


@pytest.mark.parametrize(
    ("code", "kind"), [*RETRIED.items(), *PERMANENT.items(), ("not_invented_yet", "provider_error")]
)
def test_a_failed_response_is_retried_or_not_by_its_code(code: str, kind: str) -> None:
    """Four codes are worth another try; the others, and unknown ones, end the row. Usage is kept either way."""
    usage = {"input_tokens": 5, "output_tokens": 0}
    error = failure_of(completed(status="failed", error={"code": code, "message": "m"}, usage=usage))

    assert (error.kind, error.transient, error.scope) == (kind, code in RETRIED, "row")
    assert error.reply is not None
    assert error.reply.usage.total_tokens == 5


@pytest.mark.parametrize(
    ("body", "kind", "scope"),
    [
        ({"error": {"message": "m", "type": "insufficient_quota", "code": None}}, "quota", "run"),
        ({"error": {"message": "m", "code": 402, "type": "payment_required"}}, "payment", "run"),
        ({"error": {"message": "m", "code": 401}}, "auth", "run"),
        ({"error": {"message": "m", "code": "not_invented_yet"}}, "provider_error", "row"),
        ({"error": "m"}, "provider_error", "row"),
        ({"error": "m", "output_text": "x"}, "provider_error", "row"),
        ({"status": "failed", "error": {"message": "m", "code": "server_error"}}, "server", "row"),
    ],
)
def test_an_error_without_an_output_is_a_failure(body: object, kind: str, scope: str) -> None:
    """A success that carries only an error is classified by that error."""
    error = failure_of(body)

    assert (error.kind, error.scope, error.message) == (kind, scope, "m")


def test_a_failure_without_output_keeps_usage_that_came_with_it() -> None:
    """What a failed attempt cost is counted even where no output came."""
    error = failure_of(
        {"status": "failed", "error": {"message": "m"}, "usage": {"prompt_tokens": 3, "completion_tokens": 4}}
    )

    assert error.reply is not None
    assert error.reply.usage == Usage(input_tokens=3, output_tokens=4, total_tokens=7)


@pytest.mark.parametrize("error", [None, {}, "", False])
def test_a_failure_that_says_nothing_still_has_a_message(error: object) -> None:
    """A failed response without an error is told from one with an empty message."""
    assert failure_of(completed(status="failed", error=error)).message == "the response failed without saying why"


# Tool calls


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (
            {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": '{"a":1}'},
            ToolCall("call_1", "f", '{"a":1}', {"a": 1}),
        ),
        (
            {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"a":'},
            ToolCall("call_1", "f", '{"a":', None),
        ),
        (
            {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": {"a": "é"}},
            ToolCall("call_1", "f", '{"a":"é"}', {"a": "é"}),
        ),
        (
            {"type": "function_call", "id": "fc_1", "name": "f", "arguments": {}},
            ToolCall(None, "f", "{}", {}),
        ),
        ({"type": "function_call"}, ToolCall(None, None, "", None)),
        (
            {"type": "custom_tool_call", "call_id": "c", "name": "n", "input": "SELECT 1"},
            ToolCall("c", "n", "SELECT 1", None, "custom"),
        ),
        (
            {"type": "mcp_approval_request", "id": "apr_1", "name": "n", "arguments": "[]"},
            ToolCall("apr_1", "n", "[]", [], "mcp_approval"),
        ),
        (
            {"type": "local_shell_call", "call_id": "c", "action": {"type": "exec"}},
            ToolCall("c", None, '{"type":"exec"}', {"type": "exec"}, "local_shell"),
        ),
        (
            {"type": "shell_call", "call_id": "c", "environment": {"type": "local"}, "action": {}},
            ToolCall("c", None, "{}", {}, "shell"),
        ),
        (
            {"type": "apply_patch_call", "call_id": "c", "operation": {}},
            ToolCall("c", None, "{}", {}, "apply_patch"),
        ),
        (
            {"type": "tool_search_call", "call_id": "c", "execution": "client", "arguments": "{}"},
            ToolCall("c", None, "{}", {}, "tool_search"),
        ),
        ({"type": "computer_call", "call_id": "c"}, ToolCall("c", None, "", None, "computer")),
    ],
)
def test_a_call_that_needs_us_is_recorded(item: dict[str, object], expected: ToolCall) -> None:
    """Arguments stay the text they came as, with the parsed value beside it where it parses."""
    answer = decode(completed(item))

    assert answer.tool_calls == (expected,)
    assert answer.status is Status.TOOL_CALLS


@pytest.mark.parametrize(
    "item",
    [
        {"type": "web_search_call", "id": "ws"},
        {"type": "file_search_call", "results": None},
        {"type": "mcp_call", "name": "n", "error": {"odd": 1}},
        {"type": "mcp_list_tools", "tools": []},
        {"type": "code_interpreter_call", "outputs": None},
        {"type": "image_generation_call", "result": None},
        {"type": "shell_call", "environment": {"type": "container_reference"}},
        {"type": "tool_search_call", "execution": "server"},
        {"type": "function_call_output", "call_id": "c"},
        {"type": "compaction", "encrypted_content": "x"},
        {"type": "not_invented_yet", "text": "x", "content": [said("x")]},
        None,
        "odd",
    ],
)
def test_items_that_ran_at_the_provider_or_are_unknown_ask_nothing_of_us(item: object) -> None:
    """Hosted tools and newer items are kept in the raw body and otherwise passed over."""
    body = completed(item)
    answer = decode(body)

    assert (answer.status, answer.tool_calls, answer.text) == (Status.EMPTY, (), "")
    assert answer.raw == body


def test_chat_style_calls_have_the_same_form() -> None:
    """Functions, custom tools and the older single call all become ``ToolCall``."""
    calls = [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": {"x": 1}}},
        {"id": "b", "type": "custom", "custom": {"name": "c", "input": "words"}},
        {"id": "d"},
        None,
    ]

    assert decode(chat("tool_calls", tool_calls=calls)).tool_calls == (
        ToolCall("a", "f", '{"x":1}', {"x": 1}),
        ToolCall("b", "c", "words", None, "custom"),
        ToolCall("d", None, "", None),
    )


# Usage and other figures


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, Usage()),
        ("12", Usage()),
        ({}, Usage()),
        ({"input_tokens": 1, "output_tokens": 2}, Usage(1, None, 2, None, 3)),
        ({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 9}, Usage(1, None, 2, None, 9)),
        ({"input_tokens": 1, "prompt_tokens": 5}, Usage(input_tokens=1)),
        (
            {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11, "input_tokens": 0, "output_tokens": 0},
            Usage(9, None, 2, None, 11),
        ),
        ({"input_tokens": 9, "output_tokens": 2, "prompt_tokens": 0}, Usage(9, None, 2, None, 11)),
        (
            {
                "prompt_tokens": 10,
                "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens": 5,
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            Usage(10, 4, 5, 3, 15),
        ),
        ({"input_tokens": 10, "input_tokens_details": None, "output_tokens": 5}, Usage(10, None, 5, None, 15)),
        ({"input_tokens": 10, "input_tokens_details": {"cached_tokens": None}}, Usage(10)),
        # Nothing is answered for no tokens: whoever says so has not counted.
        ({"input_tokens": 0, "output_tokens": 0, "total_tokens": 0, "cost": 0}, Usage(vendor_cost=0.0)),
        ({"input_tokens": 0, "output_tokens": 0, "total_tokens": 7}, Usage(total_tokens=7)),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "completion_tokens_details": {"reasoning_tokens": 20},
                "total_tokens": 35,
            },
            Usage(10, None, 25, 20, 35),
        ),
        ({"input_tokens": 10, "output_tokens": 5, "total_tokens": 35}, Usage(10, None, 5, None, 35)),
        ({"input_tokens": 2**70}, Usage()),
        ({"input_tokens": 2**40}, Usage()),
        ({"input_tokens": 2**40 - 1}, Usage(2**40 - 1)),
        ({"input_tokens": -1}, Usage()),
        ({"input_tokens": 12.0}, Usage()),
        ({"input_tokens": "12"}, Usage()),
        ({"input_tokens": True}, Usage()),
        ({"input_tokens": [1]}, Usage()),
        ({"total_tokens": 7}, Usage(total_tokens=7)),
        (
            {"input_tokens_details": {"cache_write_tokens": 3}, "cost": 1250},
            Usage(cache_write_tokens=3, vendor_cost=1250.0),
        ),
        ({"prompt_tokens_details": {"cache_write_tokens": -3}, "cost": 0.25}, Usage(vendor_cost=0.25)),
        ({"cost": 0}, Usage(vendor_cost=0.0)),
        ({"cost": -1}, Usage()),
        ({"cost": math.nan}, Usage()),
        ({"cost": math.inf}, Usage()),
        ({"cost": "12"}, Usage()),
        ({"cost": {"total": 1}}, Usage()),
    ],
)
def test_usage_is_read_in_either_naming_and_unknown_stays_unknown(usage: object, expected: Usage) -> None:
    """Missing, null, fractional, textual and absurd figures are None, never 0; reasoning counts apart only beside the output."""
    assert decode(completed(message(said("x")), usage=usage)).usage == expected


def test_a_failure_that_used_no_tokens_used_none() -> None:
    """There the zeros tell something."""
    usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    error = failure_of(completed(status="failed", error={"code": "server_error", "message": "m"}, usage=usage))
    assert error.reply is not None
    assert error.reply.usage == Usage(0, None, 0, None, 0)


@pytest.mark.parametrize("status", ["completed", "incomplete", "cancelled"])
def test_usage_is_kept_whatever_the_outcome(status: str) -> None:
    """Every outcome may cost money."""
    body = completed(status=status, usage={"input_tokens": 1, "output_tokens": 2})

    assert decode(body).usage.total_tokens == 3


@pytest.mark.parametrize(
    ("fields", "created"),
    [
        ({"created_at": 1763600000}, 1763600000.0),
        ({"created": 1763600000.5}, 1763600000.5),
        ({"created_at": None, "created": 5}, 5.0),
        ({"created_at": "1763600000"}, None),
        ({"created_at": math.nan}, None),
        ({"created_at": 1e300}, None),
        ({"created_at": -1}, None),
        ({"created_at": True}, None),
        ({}, None),
    ],
)
def test_the_moment_is_read_under_either_name(fields: dict[str, object], created: float | None) -> None:
    """Whole and fractional seconds are read; what no calendar can show is unknown."""
    assert decode(completed(**fields)).created == created


def test_ids_are_opaque() -> None:
    """An id of 400 characters and a model of another name are stored as given."""
    answer = decode(completed(id="resp-" + "x" * 400, model="GPT-4o-image", service_tier="priority"))

    assert (answer.response_id, answer.model, answer.service_tier) == ("resp-" + "x" * 400, "GPT-4o-image", "priority")


@pytest.mark.parametrize("name", ["id", "model", "service_tier", "usage", "error", "incomplete_details", "created_at"])
@pytest.mark.parametrize("value", [None, 1, "x", [], {}, [{}], {"a": None}])
def test_a_field_of_another_type_never_hurts(name: str, value: object) -> None:
    """The text of a completed answer is read whatever its other fields hold."""
    assert decode(completed(message(said("x")), **{name: value})).text == "x"


# Anything at all

KEYS = st.sampled_from(
    [
        *("code", "data", "output", "choices", "message", "error", "status", "type", "content", "text", "usage", "id"),
        *("input_tokens", "tool_calls", "function", "arguments", "output_text", "finish_reason", "created_at"),
        *(
            "annotations",
            "url_citation",
            "url",
            "file_id",
            "filename",
            "title",
            "action",
            "sources",
            "results",
            "result",
        ),
        *("logprobs", "logprob", "phase", "cost", "input_tokens_details", "cache_write_tokens"),
    ]
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.sampled_from(["message", "output_text", "function_call", "failed", "in_progress", "200", "stop"])
    | st.sampled_from(["url_citation", "web_search_call", "file_search_call", "image_generation_call", "search"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            KEYS,
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


def outcome(body: object) -> Reply | AttemptError:
    try:
        return decode(body)
    except AttemptError as error:
        return error


@given(JSON)
def test_whatever_json_comes_a_reply_or_an_attempt_error_comes_out(body: object) -> None:
    """No body makes the decoder stumble."""
    assert isinstance(outcome(body), Reply | AttemptError)


@given(
    st.binary(),
    st.sampled_from([200, 204, 301, 400, 429, 500]),
    st.sampled_from(["application/json", "text/event-stream", ""]),
)
def test_whatever_bytes_come_a_reply_or_an_attempt_error_comes_out(content: bytes, status: int, kind: str) -> None:
    """No bytes make the reader stumble."""
    try:
        answer: object = read_answer(status, {"content-type": kind}, content, now=0.0)
    except AttemptError as error:
        answer = error
    assert isinstance(answer, Reply | AttemptError)


@pytest.mark.parametrize("depth", [50, 500, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_deep_nesting_is_survived_and_can_still_be_written(depth: int, opening: str, closing: str) -> None:
    """A body nested without end neither crashes us nor the writer of the journal."""
    deep = opening * depth + "1" + closing * depth
    content = b'{"output_text": "hi", "deep": ' + deep.encode() + b"}"
    if depth < 1000:
        assert orjson.dumps(read_answer(200, {}, content, now=0.0).raw)
    else:
        assert refused(content).kind == "bad_body"


# Whole HTTP answers


def answer_of(content: bytes, status: int = 200, **headers: str) -> Reply:
    by_name = {name.replace("_", "-"): value for name, value in headers.items()}
    return read_answer(status, by_name, content, now=1763600000.0)


def refused(content: bytes, status: int = 200, **headers: str) -> AttemptError:
    with pytest.raises(AttemptError) as caught:
        answer_of(content, status, **headers)
    return caught.value


def test_a_whole_answer_carries_its_request_id() -> None:
    """The request id comes from the header."""
    answer = answer_of(b'{"output_text": "hi"}', x_request_id="req_1", content_type="application/json")

    assert (answer.text, answer.request_id, answer.simulated) == ("hi", "req_1", False)


def test_a_simulated_answer_says_so() -> None:
    """The simulator marks its answers, failed ones too."""
    assert answer_of(b'{"output_text": "hi"}', x_simulated="true").simulated
    error = refused(b'{"output": [], "status": "failed"}', x_simulated="true", x_request_id="req_1")
    assert error.reply is not None
    assert error.reply.simulated
    assert (error.request_id, error.reply.request_id, error.http_status) == ("req_1", "req_1", 200)


def test_a_stream_is_read_as_one_though_nobody_asked(golden_bytes: Callable[[str], bytes]) -> None:
    """The content type decides, and so does a body that is plainly a stream."""
    stream = golden_bytes("openai.sse.text.txt")

    for kind in ("text/event-stream", "Text/Event-Stream; charset=utf-8", "text/plain", ""):
        answer = answer_of(stream, content_type=kind)
        assert (answer.status, answer.text, answer.response_id) == (Status.OK, "Tokyo", "resp_9")
        assert answer.usage == Usage(21, None, 2, 0, 23)


def test_json_under_a_streams_label_is_read_as_json() -> None:
    """A server that labels a plain answer as a stream is understood."""
    assert answer_of(b' {"output_text": "hi"}', content_type="text/event-stream").text == "hi"
    assert refused(b'{"error": "m"}', content_type="text/event-stream").message == "m"


@pytest.mark.parametrize(
    ("content", "transient"),
    [
        (b"", True),
        (b'{"output": [', True),
        (b'{"output_text": "half a sent', True),
        (b'{"a": {"b": 1}', True),
        (b'{"output_text": "x", "done": tr', True),
        (b"<html>Welcome</html>", False),
        (b"ok", False),
        (b'{"a": 1}{"a": 1}', False),
        (b'{"a": oops}', False),
    ],
)
def test_an_answer_that_is_no_json_is_tried_again_only_if_it_was_cut(content: bytes, transient: bool) -> None:
    """A success that cannot be read may have been paid; a cut one may come whole the next time."""
    error = refused(content)

    assert (error.kind, error.transient, error.sent, error.http_status) == ("bad_body", transient, Sent.MAYBE, 200)
    assert len(error.message) <= 500


@pytest.mark.parametrize("status", [400, 404, 422])
def test_the_body_of_a_refusal_is_never_an_answer(status: int) -> None:
    """An error status fails the attempt even when its body looks like a perfect answer."""
    body = orjson.dumps(completed(message(said("looks fine"))))

    assert refused(body, status).transient is False


def test_odd_json_is_read_all_the_same() -> None:
    """A byte order mark, bytes that are no UTF-8, NaN, lone surrogates and endless numbers do not cost a paid answer."""
    content = (
        b'\xef\xbb\xbf{"output_text": "a\\ud800\xff", "x": NaN, "y": '
        + b"9" * 5000
        + b', "usage": {"input_tokens": 1e3}}'
    )
    answer = answer_of(content)

    assert answer.text == "a\ufffd\ufffd"
    assert answer.usage == Usage()
    assert orjson.dumps(answer.raw)
