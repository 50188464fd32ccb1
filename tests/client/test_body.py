"""The bytes of a body: JSON with each medium at its place, whether it was encoded before or is encoded now."""

from __future__ import annotations

import io
import os
from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.client.body import completed, media_of, serialized, shown_by
from pipeline.client.loader import Loader
from pipeline.errors import MediaError, PromptError, RowError
from pipeline.records import Media, Request
from pipeline.spec.rules import MediaRules
from pipeline.wire.content import content_of
from pipeline.wire.dialect import DIALECTS

if TYPE_CHECKING:
    from tests.conftest import FileServer

OPENAI = DIALECTS["openai"]


def picture(form: str = "PNG", size: int = 1) -> bytes:
    """Return a small picture."""
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), "red").save(buffer, form)
    return buffer.getvalue()


def cell(data: bytes) -> Media:
    """Return bytes of a cell."""
    return Media(identity="", label="photo", data=data)


def pictures(**rules: object) -> Loader:
    """Return the pictures of a run by these rules."""
    return Loader(MediaRules.model_validate(rules), OPENAI)


PICTURES = [picture("PNG"), picture("JPEG", 9), picture("GIF"), picture("WEBP", 30)]
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
BODY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXT | st.sampled_from(PICTURES),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)
TYPES = dict(zip(PICTURES, ("png", "jpeg", "gif", "webp"), strict=True))


def naive(value: object) -> object:
    """Replace each picture by its data URI, as one would who has memory to spare."""
    if isinstance(value, dict):
        return {key: naive(item) for key, item in value.items()}
    if isinstance(value, list):
        return [naive(item) for item in value]
    return f"data:image/{TYPES[value]};base64,{b64encode(value).decode()}" if isinstance(value, bytes) else value


def referring(value: object) -> object:
    """Replace each picture by a reference, as requests hold it."""
    if isinstance(value, dict):
        return {key: referring(item) for key, item in value.items()}
    if isinstance(value, list):
        return [referring(item) for item in value]
    return cell(value) if isinstance(value, bytes) else value


@given(BODY)
def test_pictures_stand_where_plain_json_would_have_them(value: object) -> None:
    """Any number of them, anywhere, beside any text: the bytes are those of JSON with data URIs."""
    body = {"input": value}

    async def send() -> bytes:
        return await serialized({"input": referring(value)}, pictures())

    assert anyio.run(send) == orjson.dumps(naive(body))


@pytest.mark.anyio
async def test_files_and_cells_and_urls_go_together(tmp_path: Path) -> None:
    """A file's bytes are read when it is sent, a URL is left to the provider, and each is at its place."""
    (tmp_path / "a").write_bytes(PICTURES[1])
    shown = [
        Media(identity="", label="a", path=tmp_path / "a"),
        Media(identity="", label="u", url="https://x/y?a=ä\u2028"),
        cell(PICTURES[0]),
    ]
    sent = orjson.loads(await serialized({"input": [*shown, "data:image/png;base64,mine"]}, pictures()))
    assert sent["input"] == [
        naive(PICTURES[1]),
        "https://x/y?a=ä\u2028",
        naive(PICTURES[0]),
        "data:image/png;base64,mine",
    ]


@pytest.mark.anyio
async def test_no_text_of_a_row_can_take_a_pictures_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in for a picture has 128 random bits, drawn anew for each request, so no row can know it."""
    drawn: list[bytes] = []
    draw = os.urandom

    def recorded(size: int) -> bytes:
        drawn.append(draw(size))
        return drawn[-1]

    monkeypatch.setattr(os, "urandom", recorded)
    for _ in range(3):
        texts = [token.hex() for token in drawn]
        sent = orjson.loads(await serialized({"texts": texts, "image": cell(PICTURES[0])}, pictures()))
        assert sent == {"texts": texts, "image": naive(PICTURES[0])}
    assert [len(token) for token in drawn] == [16, 16, 16]
    assert len(set(drawn)) == 3


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        (cell(b"no picture"), MediaError, "photo: the image is not a JPEG"),
        (Media(identity="", label="gone.png", path=Path("/nowhere/gone.png")), MediaError, "cannot read gone.png"),
        (b"bytes", PromptError, "JSON cannot carry"),
        ("\ud800", PromptError, "JSON cannot carry"),
        (2**64, PromptError, "JSON cannot carry"),
    ],
)
async def test_what_cannot_be_sent_fails_the_row(value: object, error: type[RowError], said: str) -> None:
    """Before anything leaves."""
    with pytest.raises(error, match=said):
        await serialized({"input": value}, pictures())


@pytest.mark.anyio
async def test_large_pictures_are_put_in_as_small_ones_are() -> None:
    """Elsewhere, so that others need not wait, but with the same bytes."""
    noise = Image.frombytes("RGB", (700, 700), os.urandom(700 * 700 * 3))
    buffer = io.BytesIO()
    noise.save(buffer, "PNG")
    sent = orjson.loads(
        await serialized({"input": [cell(buffer.getvalue()), "between", cell(PICTURES[0])]}, pictures())
    )
    large = f"data:image/png;base64,{b64encode(buffer.getvalue()).decode()}"
    assert sent["input"] == [large, "between", naive(PICTURES[0])]


PDF = (Path(__file__).parents[2] / "data" / "documents" / "pond.pdf").read_bytes()
PDF_URI = f"data:application/pdf;base64,{b64encode(PDF).decode()}"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("media", "part", "sent"),
    [
        ({"url": "https://x/a.pdf"}, {"file_url": ...}, {"file_url": "https://x/a.pdf"}),
        ({"data": PDF, "filename": "a.pdf"}, {"file_data": ...}, {"file_data": PDF_URI, "filename": "a.pdf"}),
        (
            {"data": PDF},
            {"file_data": ..., "detail": "low"},
            {"file_data": PDF_URI, "filename": "file.pdf", "detail": "low"},
        ),
        (
            {"data": b"a text"},
            {"file_data": ...},
            {"file_data": "data:text/plain;base64,YSB0ZXh0", "filename": "file.txt"},
        ),
    ],
)
async def test_a_file_goes_with_its_bytes_and_its_name(
    media: dict[str, Any], part: dict[str, Any], sent: dict[str, str]
) -> None:
    """A URL needs none; what has no name gets one by its type."""
    reference = Media(identity="", label="f", kind="file", **media)
    content = {"type": "input_file", **{name: reference if value is ... else value for name, value in part.items()}}
    body = {"input": [{"role": "user", "content": [content]}]}
    assert orjson.loads(await serialized(body, pictures()))["input"][0]["content"] == [{"type": "input_file", **sent}]


@pytest.mark.anyio
async def test_a_file_that_is_fetched_here_is_no_url_any_more(file_server: FileServer) -> None:
    """Its bytes go where bytes belong, under the last name of its URL, beside what else the part says."""
    file_server.files["pond.pdf"] = PDF
    url = file_server.url("pond.pdf")
    out = pictures(send="inline", fetch=True, allow_private=True)
    reference = Media(identity="", label="f", kind="file", url=url, filename="pond.pdf")
    part = {"type": "input_file", "file_url": reference, "detail": "high"}
    async with out:
        sent = orjson.loads(await serialized({"input": [{"content": [part]}]}, out))
    assert sent["input"][0]["content"] == [
        {"type": "input_file", "detail": "high", "filename": "pond.pdf", "file_data": PDF_URI}
    ]


def test_the_pictures_of_a_body_are_found_in_their_order() -> None:
    """However deep they lie."""
    one, two = cell(b"1"), cell(b"2")
    assert list(media_of({"a": [{"b": one}, "text", 3], "c": {"d": (two,)}})) == [one, two]


def test_what_a_request_shows_is_known_without_its_body() -> None:
    """Where it is encoded; else it is looked for."""
    media = cell(b"1")
    request = Request(0, "m", {"input": [media]}, b"0" * 16, 1)
    assert list(shown_by(request)) == [media]
    assert list(shown_by(replace(request, body={}, content=b"[]", shown=((1, media),)))) == [media]
    assert list(shown_by(replace(request, content=b"[]"))) == []


@given(BODY)
def test_what_was_encoded_before_is_completed_to_the_same_bytes(value: object) -> None:
    """Any number of media, anywhere: encoding early changes nothing of what leaves."""
    body = {"input": "x", "metadata": {"any": referring(value)}, "store": True}
    encoded = content_of(body, OPENAI, {})
    assert encoded is not None

    async def send() -> tuple[bytes, bytes]:
        return await serialized(body, pictures()), await completed(encoded.content, encoded.shown, pictures())

    now, before = anyio.run(send)
    assert before == now


@pytest.mark.anyio
async def test_how_a_medium_leaves_is_decided_for_each_attempt(file_server: FileServer) -> None:
    """A picture that the provider could not download goes with its bytes the next time."""
    file_server.files["a.png"] = PICTURES[0]
    shown = Media(identity="", label="a", url=file_server.url("a.png"))
    encoded = content_of({"input": [shown, cell(PICTURES[1])], "store": True}, OPENAI, {})
    assert encoded is not None
    async with pictures(fetch=True, allow_private=True) as out:
        first = orjson.loads(await completed(encoded.content, encoded.shown, out))
        out.could_not_download([file_server.url("a.png")])
        second = orjson.loads(await completed(encoded.content, encoded.shown, out))
    assert first["input"] == [shown.url, naive(PICTURES[1])]
    assert second["input"] == [naive(PICTURES[0]), naive(PICTURES[1])]
