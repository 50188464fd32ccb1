"""What requests begin with is told by what a model reads, in its order, and only from 1,024 tokens on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.cost.tokens import request_weight
from pipeline.engine.beginnings import CACHED_FROM, Beginning, Openings
from pipeline.records import Extent, Media, Request
from pipeline.spec.rules import MediaRules
from pipeline.wire.dialect import DIALECTS

LONG = "word " * 1200
OPENINGS = Openings(MediaRules(), DIALECTS["openai"])


def text(words: str) -> dict[str, object]:
    """Return a part that is text."""
    return {"type": "input_text", "text": words}


def photo(name: str, side: int | None = None) -> dict[str, object]:
    """Return a part that is a picture of unknown or of known size."""
    extent = Extent(side, side) if side else None
    media = Media(identity=name, label=name, path=Path(name), extent=extent)
    return {"type": "input_image", "image_url": media, "detail": "high"}


def beginnings(*parts: object, **parameters: Any) -> tuple[Beginning, ...]:
    """Return the beginnings of a request with these parts in its one message."""
    body = {"model": "gpt-4o", **parameters, "input": [{"role": "user", "content": list(parts)}]}
    kinds = ["image" for part in parts if "image_url" in part]  # type: ignore[operator]
    request = Request(1, body["model"], body, bytes(16), request_weight(len(str(body)), kinds, 300))
    return OPENINGS.of(request).beginnings


def in_common(left: tuple[Beginning, ...], right: tuple[Beginning, ...]) -> float:
    """Return about how many tokens two requests have in common at their beginning."""
    return max((one.tokens for one, other in zip(left, right, strict=False) if one == other), default=0.0)


def test_a_short_request_has_no_beginning_to_be_cached() -> None:
    """What is shorter than any cache takes costs no look."""
    assert beginnings(text("a question")) == ()
    assert beginnings(text("word " * 700)) == ()


def test_every_beginning_is_long_enough_and_longer_than_the_one_before() -> None:
    """The shortest first; none of less than 1,024 tokens."""
    tokens = [each.tokens for each in beginnings(text(LONG + LONG))]
    assert tokens == sorted(tokens)
    assert tokens[0] >= CACHED_FROM


def test_texts_begin_alike_up_to_where_they_differ() -> None:
    """Also inside of one part, which a template has made of examples and a question."""
    shared = in_common(beginnings(text(LONG + "one?")), beginnings(text(LONG + "two?")))
    assert CACHED_FROM <= shared <= len(LONG) / 4 + 64


@pytest.mark.parametrize(
    "other",
    [
        {"model": "gpt-5.4"},
        {"instructions": "Be brief."},
        {"tools": [{"type": "web_search"}]},
        {"text": {"format": {"type": "json_object"}}},
        {"previous_response_id": "resp_1"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_what_a_model_reads_first_parts_requests(other: dict[str, object]) -> None:
    """Model, tools, schema and instructions stand before the input."""
    assert in_common(beginnings(text(LONG)), beginnings(text(LONG), **other)) == 0


@pytest.mark.parametrize(
    "other",
    [{"metadata": {"row": "7"}}, {"temperature": 0.5}, {"max_output_tokens": 400}, {"prompt_cache_key": "k"}],
    ids=lambda other: next(iter(other)),
)
def test_what_no_model_reads_parts_nothing(other: dict[str, object]) -> None:
    """Rows may differ in it and still hit."""
    assert beginnings(text(LONG), **other) == beginnings(text(LONG))


def test_the_same_picture_is_a_beginning_whatever_is_asked_about_it() -> None:
    """It is known by its identity; another one is another beginning."""
    cat, again, dog = (beginnings(photo(name), text(name)) for name in ("cat", "cat", "dog"))
    assert in_common(cat, again) >= CACHED_FROM
    assert in_common(cat, dog) == 0


def test_a_small_picture_is_no_beginning() -> None:
    """Where its size is known it counts as what it costs."""
    assert beginnings(photo("cat", 200), text("what?"), model="gpt-5.4") == ()
    assert beginnings(photo("cat", 2000), text("what?"), model="gpt-5.4") != ()


def test_an_unreadable_data_uri_is_left_to_its_own_row() -> None:
    """Nothing of it reaches the order of the others."""
    drawing = {"type": "input_image", "image_url": "data:image/svg+xml;base64,PHN2Zy8+"}
    assert beginnings(text(LONG), drawing) is not None


def test_the_size_counts_what_a_request_holds() -> None:
    """Texts, and the bytes of pictures that came in a cell."""
    media = Media(identity="a", label="a", data=bytes(50_000))
    body = {"model": "m", "input": [{"role": "user", "content": [{"type": "input_image", "image_url": media}]}]}
    assert OPENINGS.of(Request(1, "m", body, bytes(16), 1_400)).size > 50_000
    assert 3_000 < OPENINGS.of(Request(1, "m", {"input": "x" * 3_000}, bytes(16), 1_060)).size < 5_000
