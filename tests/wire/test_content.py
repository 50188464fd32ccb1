"""What is encoded when a row is read, and what has to wait until an attempt leaves."""

from __future__ import annotations

import orjson
import pytest

from pipeline.errors import PromptError
from pipeline.records import Media, MediaKind
from pipeline.wire.content import content_of, with_member, written
from pipeline.wire.dialect import DIALECTS
from pipeline.wire.encode import encode

OPENAI = DIALECTS["openai"]
TOOL = {"type": "mcp", "server_label": "s", "server_url": "https://s", "authorization_env": "TOKEN"}


def shown(kind: MediaKind = "image") -> Media:
    """Return a medium."""
    return Media(identity="", label="m", url="https://x/m", kind=kind)


def test_a_body_is_what_the_dialect_makes_of_it() -> None:
    """With what the job sends verbatim, which wins."""
    body, extra = {"model": "m", "input": "ä", "max_output_tokens": 5}, {"model": "n", "seed": 1}
    encoded = content_of(body, OPENAI, extra)
    assert encoded is not None
    assert encoded.content == orjson.dumps(encode(body, OPENAI, extra))
    assert encoded.shown == ()


def test_media_have_their_places() -> None:
    """Two at one place, if one stands where the other ends; none is in the bytes."""
    one, two = shown(), shown()
    encoded = content_of({"input": [one, "between", two], "store": True}, OPENAI, {})
    assert encoded is not None
    assert encoded.content == b'{"input":[,"between",],"store":true}'
    assert [(place, media is one, media is two) for place, media in encoded.shown] == [
        (10, True, False),
        (21, False, True),
    ]


@pytest.mark.parametrize(
    "body",
    [
        {"input": "x", "tools": [TOOL]},
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_data": shown("file")}]}]},
        {"input": [{"role": "user", "content": [{"type": "input_video", "video_url": shown("video")}]}]},
    ],
    ids=["a token", "a file", "refused"],
)
def test_what_is_not_known_yet_waits(body: dict[str, object]) -> None:
    """A token is kept nowhere, a file may need a name, and what the dialect cannot take is refused by who sends it."""
    assert content_of(body, OPENAI, {}) is None


@pytest.mark.parametrize("value", [object(), b"bytes", "\ud800"], ids=["object", "bytes", "half a pair"])
def test_what_json_cannot_carry_is_a_mistake_of_the_row(value: object) -> None:
    """Said in the same words wherever it is found."""
    with pytest.raises(PromptError, match="JSON cannot carry"):
        content_of({"input": "x", "metadata": value}, OPENAI, {})


def test_what_stands_in_is_asked_for_each_value() -> None:
    """In their order."""
    values: list[object] = []

    def stand_in(value: object) -> str:
        values.append(value)
        return str(len(values))

    one, two = shown(), shown("video")
    assert written([one, {"a": two}], stand_in) == b'["1",{"a":"2"}]'
    assert values == [one, two]


def test_a_member_more_moves_what_stands_behind_it() -> None:
    """The bytes are those of the larger body, and media keep their places in it."""
    one = shown()
    encoded = content_of({"input": [one, "x"], "store": True}, OPENAI, {})
    assert encoded is not None
    more = with_member(encoded, "prompt_cache_key", 'a"b')
    assert more.content == b'{"prompt_cache_key":"a\\"b","input":[,"x"],"store":true}'
    ((place, media),) = more.shown
    assert media is one
    assert more.content[:place].endswith(b'"input":[')
