"""A row that fills a form gives the very request that putting it together gives."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import PromptError, RowError
from pipeline.prompt.build import RequestBuilder
from pipeline.prompt.form import FilledBody
from pipeline.records import Request, Row
from pipeline.spec.job import Job
from pipeline.wire.encode import encode

FOLDER = Path("/nowhere")
PLAIN = orjson.OPT_PASSTHROUGH_DATACLASS
CELLS = ("a", "b")
TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('%{}"\\é\u2028'), max_size=12)
LITERAL = TEXT.filter(lambda text: "{" not in text)
HOLE = st.sampled_from(
    ["{{ a }}", "{{ b }}", '{{ row["b"] }}', "{{ a|upper }}", "{% if a %}{{ b }}{% endif %}", "{{ a or 'none' }}", "%b"]
)
TEMPLATE = st.lists(LITERAL | HOLE, min_size=1, max_size=4).map("".join)
SHOWN = st.sampled_from(["a", "b", "{{ b }}", "https://x/{{ a }}"])
PART = (
    st.builds(dict, text=TEMPLATE)
    | st.fixed_dictionaries({"image": SHOWN}, optional={"detail": st.sampled_from(["low", "auto"])})
    | st.builds(dict, video=SHOWN)
    | st.fixed_dictionaries({"file": SHOWN}, optional={"filename": TEMPLATE})
)
CONTENT = TEMPLATE | st.lists(PART, min_size=1, max_size=3)
PROMPT = st.fixed_dictionaries({"user": CONTENT}, optional={"system": TEMPLATE}) | st.fixed_dictionaries(
    {
        "messages": st.lists(
            st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "system"]), "content": CONTENT}),
            min_size=1,
            max_size=3,
        )
    },
    optional={"system": TEMPLATE},
)
SETTINGS = st.fixed_dictionaries(
    {
        "prompt": PROMPT,
        "provider": st.sampled_from(
            [{"dialect": name, "base_url": "http://127.0.0.1:1/v1"} for name in ("openai", "qingbo", "apimart")]
        ),
        "on_null": st.sampled_from(["fail", "empty", "skip"]),
        "delivery": st.sampled_from(["plain", "stream"]),
        "model": st.sampled_from(["m", "gpt-5", "gpt-4o"]),
        "media": st.sampled_from([{}, {"max_side": 640}]),
    },
    optional={
        "request": st.fixed_dictionaries(
            {},
            optional={
                "max_output_tokens": st.integers(16, 99),
                "temperature": st.just(0.5),
                "metadata": st.just({"k": "%"}),
            },
        ),
        "extra_body": st.fixed_dictionaries(
            {}, optional={"seed": st.integers(0, 9), "%s": TEXT, "input": st.just("hello")}
        ),
    },
)
MEDIUM = st.sampled_from([b"bytes", b"others", "https://x/%b", "data:image/png;base64,eA=="])
CELL = (
    TEXT
    | st.none()
    | st.integers()
    | st.floats()
    | st.booleans()
    | MEDIUM
    | st.lists(TEXT, max_size=2)
    | st.lists(MEDIUM, max_size=2)
)


def job(settings: Mapping[str, object]) -> Job:
    """Return a job with these settings."""
    return Job.model_validate({"input": "rows.parquet", "output": "out.parquet", **settings}).located(FOLDER)


def compiled(settings: Mapping[str, object]) -> RequestBuilder:
    """Compile a job with these settings."""
    made = job(settings)
    return RequestBuilder(made, made.provider.endpoint(), FOLDER)


def built(builder: RequestBuilder, cells: Mapping[str, object]) -> Request | tuple[type[RowError], str]:
    """Return the request of a row, or what is wrong with it."""
    try:
        return builder.build(Row(3, cells))
    except RowError as error:
        return type(error), error.message


@given(SETTINGS, st.lists(st.fixed_dictionaries(dict.fromkeys(CELLS, CELL)), min_size=1, max_size=4))
def test_a_filled_form_is_the_request(settings: dict[str, Any], rows: Sequence[Mapping[str, object]]) -> None:
    """Body, bytes, fingerprint, weight and mistakes are those of putting each row together by itself."""
    formed = compiled(settings)
    with patch.object(RequestBuilder, "_formed", lambda _self: None):
        general = compiled(settings)
    for cells in rows:
        request = built(formed, cells)
        assert request == built(general, cells)
        if isinstance(request, Request):
            sent = encode(request.body, job(settings).provider.endpoint().dialect, job(settings).extra_body)
            if request.content is not None:
                assert with_media(request) == orjson.dumps(sent, default=lambda media: media.identity, option=PLAIN)


def with_media(request: Request) -> bytes:
    """Return a request's bytes with the identities of what it shows."""
    content = request.content or b""
    for place, media in reversed(request.shown):
        content = content[:place] + orjson.dumps(media.identity) + content[place:]
    return content


def filled(prompt: object = "{{ a }}", **settings: object) -> Request:
    """Return the request of a row."""
    provider = {"base_url": "http://127.0.0.1:1/v1"}
    builder = compiled({"provider": provider, "model": "m", "prompt": prompt, **settings})
    return builder.build(Row(0, {"a": "x", "n": 5, "none": None, "urls": ["https://x/1", "https://x/2"]}))


def test_what_is_the_same_for_all_rows_is_read_without_the_texts() -> None:
    """The body is put together when somebody asks for a text, and then once."""
    body = filled({"system": "Be {{ a }}.", "user": "{{ a }}"}, request={"max_output_tokens": 20}).body
    assert isinstance(body, FilledBody)
    assert (body["max_output_tokens"], body.get("model"), body.get("conversation"), len(body)) == (20, "m", None, 4)
    assert body["instructions"] == "Be x."
    assert body["input"] is body["input"]
    assert list(body) == ["max_output_tokens", "model", "instructions", "input"]
    with pytest.raises(KeyError):
        body["conversation"]


@pytest.mark.parametrize(
    ("prompt", "settings"),
    [
        ("x", {"request": {"max_output_tokens": "{{ n }}"}}),
        ("x", {"model": "{{ a }}"}),
        ([{"text": "x"}, {"image_id": "a"}], {}),
        ([{"text": "x"}, {"image": "none"}], {"on_null": "empty"}),
        ([{"text": "x"}, {"image": "urls"}], {}),
        ({"input": "a"}, {}),
    ],
    ids=["a parameter", "the model", "an uploaded picture", "no picture", "two pictures", "a whole input"],
)
def test_rows_that_differ_in_more_than_texts_and_one_medium_are_put_together(
    prompt: object, settings: dict[str, object]
) -> None:
    """Each by itself; they are encoded once like all others."""
    request = filled(prompt, **settings)
    assert isinstance(request.body, dict)
    assert request.content is not None


def test_a_job_whose_every_row_fails_says_so_for_each() -> None:
    """A mistake that needs no row is no mistake of the program's."""
    made = built(
        compiled({"provider": {"base_url": "http://127.0.0.1:1/v1"}, "model": "m", "prompt": "{{ 1 / 0 }}"}), {}
    )
    assert isinstance(made, tuple)


def test_a_picture_fills_a_form(tmp_path: Path) -> None:
    """What it shows is in its place, and a form that takes it knows that the job reads files."""
    (tmp_path / "p.png").write_bytes(b"x")
    made = job({"provider": {"base_url": "http://127.0.0.1:1/v1"}, "model": "m", "prompt": [{"image": "a"}]})
    builder = RequestBuilder(made, made.provider.endpoint(), tmp_path)
    assert not builder.names_files
    request = builder.build(Row(0, {"a": "p.png"}))
    assert isinstance(request.body, FilledBody)
    assert [media.path for _, media in request.shown] == [tmp_path / "p.png"]
    assert builder.names_files


def test_a_file_whose_name_is_no_text_is_its_rows_mistake(tmp_path: Path) -> None:
    """JSON cannot carry it, so neither can the fingerprint."""
    name = b"\xff.png"
    Path(tmp_path, os.fsdecode(name)).write_bytes(b"x")
    made = job({"provider": {"base_url": "http://127.0.0.1:1/v1"}, "model": "m", "prompt": [{"image": "a"}]})
    builder = RequestBuilder(made, made.provider.endpoint(), tmp_path)
    with pytest.raises(PromptError, match="JSON cannot carry"):
        builder.build(Row(0, {"a": os.fsdecode(name)}))
