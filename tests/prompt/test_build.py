"""From a row to a request: what it asks, in which order, and what makes it another question."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import MediaError, NullCell, PromptError, SpecError
from pipeline.prompt.build import RequestBuilder
from pipeline.prompt.identity import canonical, fingerprint
from pipeline.records import Media, Request, Row
from pipeline.spec.job import Job
from pipeline.wire.parameters import PARAMETERS

PNG = b"\x89PNG\r\n\x1a\n"
Build = Callable[..., Request]


def builder(folder: Path, prompt: object, **settings: object) -> RequestBuilder:
    """Compile a job with this prompt."""
    job = Job.model_validate(
        {
            "provider": {"base_url": "http://127.0.0.1:1/v1"},
            "model": "m",
            "input": "rows.parquet",
            "output": "out.parquet",
            "prompt": prompt,
            **settings,
        }
    ).located(folder)
    return RequestBuilder(job, job.provider.endpoint(), folder)


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Return the request of a row in a job with this prompt."""

    def build(prompt: object, cells: Mapping[str, object], row: int = 0, **settings: object) -> Request:
        return builder(tmp_path, prompt, **settings).build(Row(row, cells))

    return build


# -- what is asked ---------------------------------------------------------------------------------------------------


def test_a_text_is_one_part_of_one_message(build: Build) -> None:
    """The short form of a prompt."""
    request = build("Say {{ x }}.", {"x": "it"}, row=7)
    assert request.body == {
        "model": "m",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "Say it."}]}],
    }
    assert (request.row, request.model) == (7, "m")


def test_parts_keep_their_order(build: Build) -> None:
    """Texts and pictures stand as the spec has them, and a list of pictures in its own order."""
    user = [{"image": "b"}, {"text": "1"}, {"image": "{{ a }}", "detail": "low"}, {"text": "2"}]
    request = build(user, {"a": "http://a", "b": ["http://b", "http://c"]})
    (message,) = request.body["input"]
    shown = [part.get("text") or (part["image_url"].url, part.get("detail")) for part in message["content"]]
    assert shown == [("http://b", None), ("http://c", None), "1", ("http://a", "low"), "2"]


def test_pictures_stay_references(build: Build) -> None:
    """Bytes of a cell and files are in the request as ``Media`` and in no text of it."""
    request = build([{"image": "a"}], {"a": PNG})
    (part,) = request.body["input"][0]["content"]
    assert isinstance(part["image_url"], Media)
    assert "PNG" not in repr(request)


def test_an_image_may_be_a_template(build: Build, tmp_path: Path) -> None:
    """Names and addresses may be put together from columns."""
    (tmp_path / "7.png").write_bytes(PNG)
    request = build([{"image": "{{ n }}.png"}, {"image": "https://x/{{ n }}"}], {"n": 7})
    first, second = (part["image_url"] for part in request.body["input"][0]["content"])
    assert (first.path, second.url) == (tmp_path / "7.png", "https://x/7")


def test_the_system_prompt_is_a_template(build: Build) -> None:
    """It is sent as the instructions."""
    request = build({"system": "Speak {{ tongue }}.", "user": "Hi"}, {"tongue": "Latin"})
    assert request.body["instructions"] == "Speak Latin."


def test_few_shot_turns_keep_their_order_and_roles(build: Build) -> None:
    """Turns written in the spec come one after the other, the assistant's as what it said."""
    turns = [
        {"role": "user", "content": "2 + 2?"},
        {"role": "assistant", "content": "4"},
        {"role": "assistant", "content": [{"text": "Really {{ x }}"}]},
        {"role": "user", "content": [{"text": "{{ x }} + 1?"}, {"image": "p"}]},
    ]
    request = build({"messages": turns}, {"x": 3, "p": "http://p"})
    said = request.body["input"]
    assert [turn["role"] for turn in said] == ["user", "assistant", "assistant", "user"]
    assert said[1]["content"] == "4"
    assert said[2]["content"] == [{"type": "output_text", "text": "Really 3"}]
    assert said[3]["content"][0] == {"type": "input_text", "text": "3 + 1?"}
    assert said[3]["content"][1]["image_url"].url == "http://p"


TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"text": "See {{ x }}", "image": None}, {"text": None, "image": "http://p"}]},
    {"role": "assistant", "content": "A cat."},
    {"role": "user", "content": [{"type": "input_file", "file_id": "f", "text": None}]},
]


@pytest.mark.parametrize("cell", [TURNS, tuple(TURNS), orjson.dumps(TURNS).decode()], ids=["list", "tuple", "json"])
def test_a_column_may_hold_a_conversation(build: Build, cell: object) -> None:
    """As a list of structs or as JSON; its texts are no templates, and nulls of a struct are no members."""
    request = build({"messages": "chat"}, {"chat": cell})
    system, user, assistant, last = request.body["input"]
    assert system == {"role": "system", "content": [{"type": "input_text", "text": "Be brief."}]}
    assert user["content"][0] == {"type": "input_text", "text": "See {{ x }}"}
    assert user["content"][1]["image_url"].url == "http://p"
    assert assistant == {"role": "assistant", "content": "A cat."}
    assert last["content"] == [{"type": "input_file", "file_id": "f"}]


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("Hello", "not JSON"),
        ('{"role": "user"}', "no list of messages"),
        ([], "no list of messages"),
        (b"bytes", "no message"),
        (7, "no list of messages"),
        (["hello"], "no message"),
        ([{"content": "x"}], r"chat\[0\] is no message"),
        ([{"role": "user", "content": "x"}, {"role": 1, "content": "x"}], r"chat\[1\] is no message"),
        ([{"role": "user", "content": 7}], "neither a text nor a list"),
        ([{"role": "user", "content": ["x"]}], "no map"),
        ([{"role": "user", "content": [{"image": None, "text": None}]}], "exactly one of text, image"),
    ],
)
def test_a_conversation_that_is_none_fails_the_row(build: Build, cell: object, said: str) -> None:
    """The message says which turn."""
    with pytest.raises(PromptError, match=said):
        build({"messages": "chat"}, {"chat": cell})


@pytest.mark.parametrize("cell", [None, [{"role": "user", "content": None}]])
def test_a_null_in_a_conversation_fails_the_row(build: Build, cell: object) -> None:
    """The column itself, or the content of a turn."""
    with pytest.raises(NullCell, match="chat"):
        build({"messages": "chat"}, {"chat": cell})


ITEM = {"role": "user", "content": "hi"}


@pytest.mark.parametrize(
    ("cell", "sent"),
    [
        ("plain {{ text }}", "plain {{ text }}"),
        ([ITEM], [ITEM]),
        ((ITEM,), [ITEM]),
        (ITEM, [ITEM]),
        (
            [{**ITEM, "id": None, "content": [{"type": "input_text", "text": "a", "image_url": None}]}],
            [{"role": "user", "content": [{"type": "input_text", "text": "a"}]}],
        ),
        (orjson.dumps([ITEM]).decode(), [ITEM]),
        (orjson.dumps(ITEM).decode(), [ITEM]),
        (orjson.dumps([{**ITEM, "id": None}]).decode(), [{**ITEM, "id": None}]),
    ],
)
def test_a_column_may_hold_the_raw_input(build: Build, cell: object, sent: object) -> None:
    """Text, items, or items as JSON go through as they are; a null of a struct is a member that the item does not have."""
    assert build({"input": "raw"}, {"raw": cell}).body["input"] == sent


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (7, "holds a int"),
        (None, "is null"),
        ("[1, 2", "not JSON"),
        ("{", "not JSON"),
        (1.5, "holds a float"),
        ([b"a"], "JSON cannot carry"),
    ],
)
def test_a_raw_input_that_is_none_fails_the_row(build: Build, cell: object, said: str) -> None:
    """A number, a null, broken JSON, and bytes."""
    with pytest.raises(PromptError, match=said):
        build({"input": "raw"}, {"raw": cell})


# -- parameters ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [3, 0.5, "text", True, [1, 2], {"a": 1}])
def test_a_parameter_that_is_one_column_keeps_its_type(build: Build, value: object) -> None:
    """A number of the table stays a number in the request."""
    request = build("x", {"v": value}, request={"tools": [{"type": "not_invented_yet", "v": "{{ v }}"}]})
    sent = request.body["tools"][0]["v"]
    assert (sent, type(sent)) == (value, type(value))


@pytest.mark.parametrize(
    "cell",
    [
        {"type": "mcp", "authorization_env": "A"},
        {"type": "mcp", "headers_env": {"X-Key": "A"}},
        {"type": "shell", "environment": {"network_policy": {"domain_secrets": [{"domain": "d", "value_env": "A"}]}}},
        [[{"deep": {"any_env": 5}}]],
    ],
)
def test_a_cell_that_names_a_variable_inside_of_a_tool_fails_its_row(build: Build, cell: object) -> None:
    """At any depth, whatever the tool."""
    with pytest.raises(PromptError, match="column 'v' names an environment variable; only the spec does"):
        build("x", {"v": cell}, request={"tools": [{"type": "not_invented_yet", "v": "{{ v }}"}]})


def test_a_cell_may_have_such_a_name_without_a_value_or_elsewhere(build: Build) -> None:
    """A table's struct has every member in every row; and outside of tools no variable is looked up."""
    request = build("x", {"v": {"a_env": None}}, request={"tools": [{"type": "not_invented_yet", "v": "{{ v }}"}]})
    assert request.body["tools"][0]["v"] == {"a_env": None}
    assert build("x", {"v": {"a_env": "b"}}, request={"metadata": "{{ v }}"}).body["metadata"] == {"a_env": "b"}


def test_parameters_are_templates_at_any_depth(build: Build) -> None:
    """In maps, in lists, and as part of a text."""
    request = build(
        "x",
        {"n": 3, "lang": "de"},
        request={
            "metadata": {"set": "v{{ n }}-{{ lang }}"},
            "max_output_tokens": "{{ n }}",
            "include": ["a", "b.{{ lang }}"],
        },
    )
    assert request.body["metadata"] == {"set": "v3-de"}
    assert request.body["max_output_tokens"] == 3
    assert request.body["include"] == ["a", "b.de"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 3),
        ("temperature", "warm"),
        ("temperature", "1.5 or so"),
        ("temperature", "[1]"),
        ("temperature", "2.5"),
        ("temperature", "true"),
        ("parallel_tool_calls", "1"),
        ("max_output_tokens", "50.5"),
        ("temperature", float("nan")),
        ("top_p", -1),
        ("max_output_tokens", 0),
        ("truncation", "some"),
        ("temperature", Decimal("0.5")),
    ],
)
def test_a_parameter_out_of_range_fails_its_row_alone(build: Build, name: str, value: object) -> None:
    """What a row makes of a parameter is checked like what a spec says."""
    with pytest.raises(PromptError, match=name):
        build("x", {"v": value}, request={name: "{{ v }}"})


def test_all_mistakes_of_a_rows_parameters_are_told(build: Build) -> None:
    """In one message, and each by its place."""
    with pytest.raises(PromptError) as error:
        build("x", {"v": 3}, request={"temperature": "{{ v }}", "top_p": "{{ v }}"})
    assert error.value.message == (
        "request.temperature must be a number from 0 to 2, not 3; request.top_p must be a number from 0 to 1, not 3"
    )
    assert [problem.where for problem in error.value.problems] == ["request.temperature", "request.top_p"]


@pytest.mark.parametrize("place", ["metadata", "user", "prompt_cache_key", "previous_response_id", "safety_identifier"])
def test_a_number_is_written_out_where_only_text_may_stand(build: Build, place: str) -> None:
    """A row's number is a fine value of metadata, and of whatever else holds nothing but text."""
    request = build("x", {"n": 7}, request={place: {"row": "{{ n }}"} if place == "metadata" else "{{ n }}"})
    assert request.body[place] == ({"row": "7"} if place == "metadata" else "7")


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"metadata": {"k": "{{ v }}"}}, "request.metadata.k must be text of at most 512 characters"),
        ({"metadata": "{{ many }}"}, "request.metadata has 17 pairs; at most 16 are allowed"),
        ({"metadata": "{{ long }}"}, "the key must be text of at most 64 characters"),
        ({"conversation": "{{ v }}", "previous_response_id": "{{ v }}"}, "excludes previous_response_id"),
        (
            {"prompt": {"id": "p", "variables": {"n": "{{ n }}"}}},
            "request.prompt.variables.n must be text or a mapping",
        ),
        ({"tools": [{"type": "file_search", "max_num_results": "{{ n }}"}]}, "from 1 to 50"),
    ],
)
def test_limits_hold_for_what_a_row_fills_in(tmp_path: Path, request_: dict[str, Any], said: str) -> None:
    """What the spec leaves open is checked per row, and the row fails before anything is paid; what excludes each other fails the spec."""
    cells = {"v": "x" * 513, "n": 99, "many": {str(number): "" for number in range(17)}, "long": {"k" * 65: "v"}}
    with pytest.raises((PromptError, ValueError), match=said):
        builder(tmp_path, "x", request=request_).build(Row(0, cells))


@pytest.mark.parametrize(
    ("request_", "sent"),
    [
        ({"temperature": "{{ stars / 4 }}"}, {"temperature": 0.75}),
        ({"temperature": "{{ warmth }}"}, {"temperature": 0.5}),
        ({"temperature": "{{ 0.9 if stars > 2 else 0.1 }}"}, {"temperature": 0.9}),
        ({"max_output_tokens": "{{ 50 + count|int }}"}, {"max_output_tokens": 57}),
        ({"max_output_tokens": "{{ stars * 100 / 2 }}"}, {"max_output_tokens": 150}),
        ({"parallel_tool_calls": "{{ stars > 5 }}"}, {"parallel_tool_calls": False}),
        ({"temperature": "{% if stars > 5 %}1{% else %}null{% endif %}"}, {"temperature": None}),
        ({"reasoning": {"effort": "{{ count }}"}}, None),
        (
            {"tools": [{"type": "file_search", "max_num_results": "{{ count }}", "vector_store_ids": ["{{ stars }}"]}]},
            {"tools": [{"type": "file_search", "max_num_results": 7, "vector_store_ids": ["3"]}]},
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "{{ stars }}", "strict": "{{ stars > 2 }}"}}]},
            {"tools": [{"type": "function", "function": {"name": "3", "strict": True}}]},
        ),
        ({"user": "{{ warmth }}"}, {"user": "0.5"}),
        ({"metadata": {"n": "{{ stars / 4 }}"}}, {"metadata": {"n": "0.75"}}),
        ({"conversation": "{{ count }}"}, {"conversation": "7"}),
    ],
    ids=str,
)
def test_a_template_gives_a_number_where_no_text_may_stand(build: Build, request_: Any, sent: Any) -> None:
    """As texts of a CSV file do; where text may stand it stays text, and where neither is right the row fails."""
    cells = {"stars": 3, "warmth": "0.5", "count": "7"}
    if sent is None:
        with pytest.raises(PromptError, match="must be one of none, minimal"):
            build("x", cells, request=request_)
        return
    body = build("x", cells, request=request_).body
    assert {name: body[name] for name in sent} == sent


def test_a_null_parameter_fails_the_row(build: Build) -> None:
    """A parameter that is one column is no exception to ``on_null``."""
    with pytest.raises(NullCell, match="'v'"):
        build("x", {"v": None}, request={"metadata": {"a": "{{ v }}"}})


def test_an_empty_null_is_an_empty_text_in_a_parameter(build: Build) -> None:
    """By itself as within a longer text; where a number is due, the row fails."""
    request = build("x", {"v": None}, request={"metadata": {"a": "{{ v }}", "b": "v={{ v }}"}}, on_null="empty")
    assert request.body["metadata"] == {"a": "", "b": "v="}
    with pytest.raises(PromptError, match="temperature"):
        build("x", {"v": None}, request={"temperature": "{{ v }}"}, on_null="empty")


@pytest.mark.parametrize("value", [b"bytes", object()])
def test_a_value_that_json_cannot_carry_fails_the_row(build: Build, value: object) -> None:
    """Bytes in a parameter are the row's mistake, found before anything is sent."""
    with pytest.raises(PromptError, match="JSON cannot carry"):
        build("x", {"v": value}, request={"tools": [{"type": "not_invented_yet", "v": "{{ v }}"}]})


def test_keys_that_are_no_texts_are_sent_as_texts(build: Build) -> None:
    """YAML has numbers for keys, and a Parquet map may have."""
    tool = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {1: {"type": "string"}}}}
    request = build(
        {"input": "raw"}, {"raw": [{"role": "user", "content": {2: date(2026, 1, 1)}}]}, request={"tools": [tool]}
    )
    assert request.weight > 0


def test_the_model_may_be_a_column(build: Build) -> None:
    """Each row may ask another model."""
    request = build("x", {"m": "gpt-5.4-nano"}, model="{{ m }}")
    assert (request.model, request.body["model"]) == ("gpt-5.4-nano", "gpt-5.4-nano")


@pytest.mark.parametrize(("model", "on_null"), [("", "fail"), (" ", "fail"), (None, "empty")])
def test_a_row_without_a_model_fails(build: Build, model: str | None, on_null: str) -> None:
    """An empty name is not sent to find out what the provider makes of it."""
    with pytest.raises(PromptError, match="model"):
        build("x", {"m": model}, model="{{ m }}", on_null=on_null)


def test_fields_are_asked_beside_the_other_text_settings(build: Build) -> None:
    """``output.fields`` adds the format and leaves the verbosity."""
    request = build(
        "x", {}, request={"text": {"verbosity": "low"}}, output={"path": "o.parquet", "fields": {"a": "string"}}
    )
    assert request.body["text"]["verbosity"] == "low"
    assert request.body["text"]["format"]["type"] == "json_schema"


def test_the_output_cap_bounds_the_weight(build: Build) -> None:
    """The throttle reserves the input's size, a guess for each picture, and the output up to its cap."""
    light = build("x", {}, request={"max_output_tokens": 10}).weight
    heavy = build("x" * 4000, {}).weight
    pictured = build([{"text": "x"}, {"image": "p"}], {"p": PNG}).weight
    assert light < 100 < pictured
    assert heavy > 1000


# -- the spec against itself -----------------------------------------------------------------------------------------


def test_every_broken_template_is_named_at_once(tmp_path: Path) -> None:
    """All mistakes come together, each with its place in the spec."""
    with pytest.raises(SpecError) as refused:
        builder(
            tmp_path,
            {"system": "{{ a", "user": [{"text": "{% if %}"}, {"text": "{{ fine }}"}]},
            request={"user": "{{ row|tojson }}"},
        )
    places = [problem.where for problem in refused.value.problems]
    assert places == ["prompt.system", "prompt.user.0.text", "request.user"]


def test_the_columns_of_every_place_are_known(tmp_path: Path) -> None:
    """Templates, pictures, raw columns and parameters, so that a missing column is found where it is named."""
    prompt = {
        "system": "{{ a }}",
        "user": [{"text": "{{ b }} {{ row['c d'] }}"}, {"image": "e"}, {"image": "{{ f }}"}, {"image": "{{ g }}.png"}],
    }
    job = builder(tmp_path, prompt, model="{{ h }}", request={"temperature": "{{ i }}", "metadata": {"k": "{{ j }}!"}})
    assert job.columns == ["a", "b", "c d", "e", "f", "g", "h", "i", "j"]
    assert job.places["prompt.user.1.image"] == {"e"}
    assert job.places["request.metadata.k"] == {"j"}


# -- pictures and nulls ----------------------------------------------------------------------------------------------


def test_a_null_picture_fails_the_row(build: Build) -> None:
    """As a null text does."""
    with pytest.raises(NullCell, match="'p'"):
        build([{"text": "x"}, {"image": "p"}], {"p": None})


def test_an_empty_null_among_pictures_is_left_out(build: Build) -> None:
    """And the row is asked with the others."""
    request = build(
        [{"text": "x"}, {"image": "p"}, {"image": "q"}],
        {"p": None, "q": ["http://a", None, "http://b"]},
        on_null="empty",
    )
    parts = request.body["input"][0]["content"]
    assert [part["image_url"].url for part in parts[1:]] == ["http://a", "http://b"]


def test_a_picture_that_is_not_there_fails_the_row(build: Build) -> None:
    """Before anything is sent."""
    with pytest.raises(MediaError, match="gone"):
        build([{"image": "p"}], {"p": "gone.png"})


def test_pictures_are_found_through_a_linked_folder(tmp_path: Path) -> None:
    """A table that is named by a link to its folder has the same pictures."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.png").write_bytes(PNG)
    (tmp_path / "link").symlink_to("real")
    by_link, directly = (
        builder(tmp_path / name, [{"image": "p"}]).build(Row(0, {"p": "a.png"})) for name in ("link", "real")
    )
    assert by_link.fingerprint == directly.fingerprint


@pytest.mark.parametrize(
    ("prompt", "cells", "named"),
    [
        ([{"image": "p"}], {"p": "a.png"}, True),
        ({"messages": "p"}, {"p": [{"role": "user", "content": [{"image": "a.png"}]}]}, True),
        ([{"image": "p"}], {"p": "http://a"}, False),
        ([{"image": "p"}], {"p": PNG}, False),
    ],
)
def test_a_job_whose_rows_name_files_knows_it(
    tmp_path: Path, prompt: object, cells: Mapping[str, object], named: bool
) -> None:
    """A file may change while the table does not, so such rows are looked at again."""
    (tmp_path / "a.png").write_bytes(PNG)
    job = builder(tmp_path, prompt)
    job.build(Row(0, cells))
    assert job.names_files is named


# -- identity --------------------------------------------------------------------------------------------------------

NO_IDENTITY = {
    "background": True,
    "metadata": {"run": "7"},
    "prompt_cache_key": "k",
    "prompt_cache_retention": "24h",
    "safety_identifier": "s",
    "service_tier": "flex",
    "store": True,
    "stream": True,
    "stream_options": {"include_obfuscation": False},
    "user": "u",
}
IDENTITY = {
    "include": ["x"],
    "instructions": "x",
    "max_output_tokens": 7,
    "reasoning": {"effort": "low"},
    "temperature": 0.5,
    "text": {"verbosity": "low"},
    "tool_choice": "none",
    "tools": [{"type": "function", "name": "f"}],
    "top_p": 0.5,
    "truncation": "auto",
    "something_new": 1,
}
BODY = {"model": "m", "input": "hi"}


def test_the_parameters_without_identity_are_these() -> None:
    """A list that is held in two places, so that none slips out of identity by accident."""
    assert {name for name, parameter in PARAMETERS.items() if not parameter.identity} == set(NO_IDENTITY)


@pytest.mark.parametrize("name", sorted(NO_IDENTITY))
def test_what_cannot_change_the_answer_is_no_part_of_identity(name: str) -> None:
    """Labels, caching, tier and delivery: a run with others finds its answers again."""
    assert fingerprint({**BODY, name: NO_IDENTITY[name]}, "e", {}) == fingerprint(BODY, "e", {})


@pytest.mark.parametrize("name", sorted(IDENTITY))
def test_what_can_change_the_answer_is_part_of_identity(name: str) -> None:
    """Parameters, tools, and any parameter that is not known."""
    assert fingerprint({**BODY, name: IDENTITY[name]}, "e", {}) != fingerprint(BODY, "e", {})


def test_the_endpoint_and_the_extra_body_are_part_of_identity() -> None:
    """A rehearsal's answers are never taken for real ones."""
    prints = {
        fingerprint(BODY, "e", {}),
        fingerprint(BODY, "f", {}),
        fingerprint(BODY, "e", {"a": 1}),
        fingerprint({**BODY, "a": 1}, "e", {}),
    }
    assert len(prints) == 4


@pytest.mark.parametrize("setting", [{"max_side": 512}, {"animated": "keep"}, {"convert": True}], ids=str)
def test_what_changes_the_picture_that_is_sent_changes_the_question(build: Build, setting: dict[str, object]) -> None:
    """Where there is a picture; a row without one, in the same job, asks what it asked before."""
    prompt = [{"text": "{{ t }}"}, {"image": "p"}]
    shown, blind = {"t": "hi", "p": PNG}, {"t": "hi", "p": []}
    assert build(prompt, shown, media=setting).fingerprint != build(prompt, shown).fingerprint
    assert build(prompt, blind, media=setting).fingerprint == build(prompt, blind).fingerprint


@pytest.mark.parametrize(
    "setting",
    [{"send": "url"}, {"send": "inline", "fetch": True}, {"fetch": True}, {"allow_private": True}, {"convert": False}],
    ids=str,
)
def test_how_a_picture_travels_is_no_part_of_identity(build: Build, setting: dict[str, object]) -> None:
    """Nor is a setting that says what holds anyway."""
    for cell in (PNG, "http://a/b.png"):
        asked = build([{"image": "p"}], {"p": cell}, media=setting)
        assert asked.fingerprint == build([{"image": "p"}], {"p": cell}).fingerprint


def test_a_fingerprint_stays_what_it_is() -> None:
    """Journals of earlier versions hold it: another digest would pay for every row again."""
    body = {**BODY, "temperature": 0.5, "input": [{"role": "user", "content": [{"type": "input_text", "text": "hä?"}]}]}
    assert fingerprint(body, "https://api.openai.com/v1", {"seed": 1}).hex() == "9085e3cf4c2152ce7f2c48b96949d8d2"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


def turned(value: Any) -> Any:
    """Return the same value with the members of every map in another order."""
    if isinstance(value, dict):
        return {key: turned(item) for key, item in reversed(value.items())}
    return [turned(item) for item in value] if isinstance(value, list) else value


@given(JSON)
def test_the_order_of_keys_is_no_part_of_identity(value: object) -> None:
    """The same settings in another order are the same question."""
    assert canonical(value) == canonical(turned(value))


@given(JSON, JSON)
def test_different_values_have_different_spellings(one: object, other: object) -> None:
    """Canonical JSON loses nothing: equal spellings come back as equal values."""
    assert (canonical(one) == canonical(other)) == (
        repr(turned(orjson.loads(canonical(one)))) == repr(turned(orjson.loads(canonical(other))))
    )
    assert orjson.loads(canonical(one)) == one


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_another_text_is_another_question(one: str, other: str) -> None:
    """Rows share an answer exactly when their rendered prompts are the same."""
    job = builder(Path("/"), "{{ a }}")
    same = job.build(Row(0, {"a": one})).fingerprint == job.build(Row(1, {"a": other})).fingerprint
    assert same == (one == other)


def test_where_one_cell_ends_is_seen(build: Build) -> None:
    """Parts are told apart, not glued together."""
    user = [{"text": "{{ a }}"}, {"text": "{{ b }}"}]
    assert build(user, {"a": "x", "b": "yz"}).fingerprint != build(user, {"a": "xy", "b": "z"}).fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"limits": {"concurrency": 1}},
        {"deadlines": {"total_s": 1}},
        {"retry": {"attempts": 1}},
        {"name": "another"},
        {"run_dir": "elsewhere"},
        {"output": "another.parquet"},
        {"stop_after": 1},
        {"on_null": "skip"},
        {"request": {"metadata": {"a": "b"}}},
        {"provider": {"base_url": "http://127.0.0.1:1/v1/", "api_key_env": "OTHER_KEY"}},
    ],
    ids=str,
)
def test_how_a_job_is_run_is_no_part_of_identity(build: Build, change: Mapping[str, object]) -> None:
    """Limits, deadlines, keys and places may change between runs, and the row's number may too."""
    assert build("{{ a }}", {"a": 1}, row=0).fingerprint == build("{{ a }}", {"a": 1}, row=9, **change).fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"model": "n"},
        {"provider": {"base_url": "http://127.0.0.1:2/v1"}},
        {"provider": "simulator"},
        {"extra_body": {"seed": 1}},
        {"request": {"temperature": 0}},
        {"output": {"path": "o.parquet", "fields": {"a": "string"}}},
    ],
    ids=str,
)
def test_what_a_job_asks_is_part_of_identity(build: Build, change: Mapping[str, object]) -> None:
    """Model, endpoint, parameters and the answer's schema."""
    assert build("{{ a }}", {"a": 1}).fingerprint != build("{{ a }}", {"a": 1}, **change).fingerprint


def test_pictures_count_by_their_identity(build: Build, tmp_path: Path) -> None:
    """A file by its name, size and time, a cell by its bytes, a URL by itself, and each detail apart."""
    (tmp_path / "a.png").write_bytes(PNG)
    user = [{"image": "p"}]
    before = build(user, {"p": "a.png"}).fingerprint
    assert build(user, {"p": "./a.png"}).fingerprint == before
    assert build(user, {"p": PNG}).fingerprint == build(user, {"p": {"bytes": PNG, "path": "b"}}).fingerprint
    os.utime(tmp_path / "a.png", ns=(1, 1))
    cells: list[object] = ["a.png", PNG, PNG + b"a", "http://a", "http://b"]
    prints = {before, build([{"image": "p", "detail": "low"}], {"p": PNG}).fingerprint}
    prints |= {build(user, {"p": cell}).fingerprint for cell in cells}
    assert len(prints) == 2 + len(cells)
