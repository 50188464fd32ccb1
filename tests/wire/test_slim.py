"""The journal keeps all of a reply but its pictures."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.wire.slim import may_hold_payload, slim

PICTURE = "iVBORw0KGgo" * 200
URI = f"data:image/png;base64,{PICTURE}"


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (
            {"type": "image_generation_call", "result": "aGk="},
            {"type": "image_generation_call", "result": "[4 characters removed]"},
        ),
        ({"type": "image_generation_call", "result": None}, {"type": "image_generation_call", "result": None}),
        ({"image_url": URI}, {"image_url": f"data:image/png;base64,[{len(URI)} characters removed]"}),
        (
            {"outputs": [{"type": "image", "url": URI}]},
            {"outputs": [{"type": "image", "url": f"data:image/png;base64,[{len(URI)} characters removed]"}]},
        ),
        ({"anything": [[PICTURE]]}, {"anything": [[f"[{len(PICTURE)} characters removed]"]]}),
        ({"image_url": "https://example.com/a.jpg"}, {"image_url": "https://example.com/a.jpg"}),
        ({"id": "resp_" + "x" * 400}, {"id": "resp_" + "x" * 400}),
    ],
)
def test_payloads_become_notes_of_their_length(raw: dict[str, Any], kept: dict[str, Any]) -> None:
    """Data URIs, generated pictures and long base64 are replaced, at every depth, and the given body stays as it was."""
    before = copy.deepcopy(raw)

    assert slim(raw) == kept
    assert raw == before
    assert slim(kept) == kept


@pytest.mark.parametrize(
    "name", ["text", "content", "refusal", "arguments", "input", "output_text", "encrypted_content"]
)
def test_the_models_words_are_never_taken_for_a_payload(name: str) -> None:
    """A better decoder never needs a second payment: whatever may be text, or is needed to go on, stays whole."""
    assert slim({"output": [{name: "A" * 5000}]}) == {"output": [{name: "A" * 5000}]}


def test_an_ordinary_reply_is_kept_to_the_last_key(golden: Callable[[str], Any]) -> None:
    """Where there is no picture nothing is lost."""
    body = golden("openai.res.function-call")

    assert slim(body) == body


_HEADS = ["data:image/png;base64,", "data:;base64,", "[3 characters removed]"]
_PIECES = st.sampled_from(["A", "+/", "_-", "=", '"', " ", "\\", "\u65e5", *_HEADS])
_TEXTS = st.builds(
    lambda pieces, filling, more: "".join(pieces) + "A" * filling + more,
    st.lists(_PIECES, max_size=4),
    st.sampled_from([0, 1, 900, 1020, 1023, 1024, 1030, 2100]),
    st.sampled_from(["", "=", "==", " ", '"']),
)
_NAMES = st.sampled_from(["text", "result", "url", "type", "data"])
_BODIES = st.dictionaries(
    _NAMES,
    st.recursive(
        _TEXTS | st.sampled_from(["image_generation_call", "message"]) | st.integers(0, 9),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES, inner, max_size=4),
        max_leaves=8,
    ),
)


@given(_BODIES)
def test_where_a_body_is_said_to_hold_no_payload_nothing_would_be_removed(raw: dict[str, Any]) -> None:
    """Wherever a payload stands and however long it is; the body is looked at as bytes, which takes a tenth of the time."""
    assert slim(raw) == raw or may_hold_payload(orjson.dumps(raw))


def test_prose_of_any_length_is_no_payload(golden: Callable[[str], Any]) -> None:
    """Most answers need no second look."""
    assert not may_hold_payload(orjson.dumps(golden("openai.res.text")))
    assert not may_hold_payload(orjson.dumps({"output": ["long words " * 10_000, "A" * 1023], "data": [3.5] * 1000}))
