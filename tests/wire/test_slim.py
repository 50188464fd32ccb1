"""The journal keeps all of a reply but its pictures."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.wire.decode import slim

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
