"""Generated pictures become files before an answer is durable, and whatever is wrong with them never costs the answer."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from errno import ENOSPC
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.checkpoint.gallery import gallery
from pipeline.client import artifacts
from pipeline.client.artifacts import MOST, illustrated
from pipeline.client.rounds import Rules, in_rounds, judging
from pipeline.client.tools import Toolbox
from pipeline.records import Reply, Request, Source, Status, Turn
from pipeline.wire.decode import decode
from pipeline.wire.dialect import DIALECTS

REQUEST = Request(3, "m", {}, b"0" * 16, 1)
PAGE = Source("url_citation", "A", "https://a.example")


def picture(form: str = "PNG", color: str = "red") -> str:
    """Return a small picture in base64."""
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2), color).save(buffer, form)
    return b64encode(buffer.getvalue()).decode()


def answered(*pictures: str, **more: object) -> Reply:
    """Return a reply with generated pictures."""
    return replace(Reply(Status.OK, text="here", pictures=pictures), **more)


def drawn(output: Path, reply: Reply, request: Request = REQUEST) -> Reply:
    """Carry a reply through the layer, with a table at ``output``."""
    return carried(reply, gallery(output), request)


def carried(reply: Reply, keep: Callable[[str, bytes], str], request: Request = REQUEST) -> Reply:
    """Carry a reply through the layer."""

    async def post(_request: Request) -> Reply:
        return reply

    return anyio.run(illustrated(post, keep), request)


@pytest.mark.parametrize(("form", "ending"), [("PNG", "png"), ("JPEG", "jpg"), ("WEBP", "webp"), ("GIF", "gif")])
def test_a_picture_becomes_a_file_named_after_its_row_and_its_bytes(tmp_path: Path, form: str, ending: str) -> None:
    """The path counts from the table's folder, the ending says what the bytes are, and the base64 is gone."""
    reply = drawn(tmp_path / "out" / "art.parquet", answered(picture(form)))
    (path,) = reply.images
    assert path.startswith("art.images/3-1-")
    assert path.endswith(f".{ending}")
    with Image.open(tmp_path / "out" / path) as image:
        assert image.format == form
    assert (reply.text, reply.pictures, reply.notes) == ("here", (), ())
    assert [file.name for file in (tmp_path / "out" / "art.images").iterdir()] == [path.partition("/")[2]]


def test_names_never_collide(tmp_path: Path) -> None:
    """Not between pictures of an answer, samples of a row, or an answer and the one that comes after it."""
    output = tmp_path / "o.parquet"
    first = drawn(output, answered(picture(), picture()))
    sample = drawn(output, answered(picture()), replace(REQUEST, sample=1))
    later = drawn(output, answered(picture(color="blue")))
    again = drawn(output, answered(picture(), picture()))
    paths = [*first.images, *sample.images, *later.images]
    assert len(set(paths)) == 4
    assert again.images == first.images
    assert all((tmp_path / path).exists() for path in paths)


@pytest.mark.parametrize(
    ("spoilt", "note"),
    [
        ("not base64!", "no base64"),
        ("aGk", "no base64"),
        ("äöü", "no base64"),
        ("\ud800", "no base64"),
        ("", "the bytes are no picture"),
        (b64encode(b"<svg onload='x'/>").decode(), "the bytes are no picture"),
        (b64encode(b"MZ\x90").decode(), "the bytes are no picture"),
        ("data:image/png;base64,", "the bytes are no picture"),
    ],
)
def test_what_is_no_picture_leaves_a_note_beside_the_answer(tmp_path: Path, spoilt: str, note: str) -> None:
    """Text, status and the other pictures stand."""
    reply = drawn(tmp_path / "o.parquet", answered(spoilt, picture(), notes=("from before",)))
    assert (reply.status, reply.text, reply.pictures) == (Status.OK, "here", ())
    assert reply.notes == ("from before", f"generated picture 1: {note}")
    assert [path.split("-")[1] for path in reply.images] == ["2"]


def test_an_answer_of_nothing_but_spoilt_pictures_is_empty(tmp_path: Path) -> None:
    """It would be a success with nothing to show; any other status stands, and one picture is enough."""
    output = tmp_path / "o.parquet"
    assert drawn(output, answered("spoilt", text=" ")).status is Status.EMPTY
    assert drawn(output, answered("spoilt", text="", status=Status.TRUNCATED)).status is Status.TRUNCATED
    assert drawn(output, answered("spoilt", picture(), text="")).status is Status.OK


def test_base64_may_be_wrapped_or_a_data_uri(tmp_path: Path) -> None:
    """As some servers write it; all mean the same picture."""
    whole = picture()
    wrapped = "\r\n".join(whole[start : start + 20] for start in range(0, len(whole), 20))
    images = [
        drawn(tmp_path / "o.parquet", answered(form)).images
        for form in (whole, wrapped, f"data:image/png;base64,{whole}")
    ]
    assert images == [images[0]] * 3
    assert len(images[0]) == 1


def test_a_picture_beyond_all_measure_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its length says so."""
    monkeypatch.setattr(artifacts, "LARGEST", 8)
    assert drawn(tmp_path / "o.parquet", answered(picture())).notes == ("generated picture 1: larger than 0 MiB",)


def test_an_answer_cannot_fill_the_disk_with_files(tmp_path: Path) -> None:
    """The first pictures are kept, and a note tells how many there were."""
    reply = drawn(tmp_path / "o.parquet", answered(*[picture()] * (MOST + 5)))
    assert len(reply.images) == len(list((tmp_path / "o.images").iterdir())) == MOST
    assert reply.notes == (f"{MOST + 5} pictures were generated, and the first {MOST} were looked at",)


def test_a_picture_that_cannot_be_written_stays_in_the_reply() -> None:
    """So the journal keeps the body whole; the answer is not lost, and says why."""

    def full(_name: str, _data: bytes) -> str:
        raise OSError(ENOSPC, "No space left on device")

    reply = carried(answered(picture()), full)
    assert (reply.status, reply.images, reply.pictures) == (Status.OK, (), (picture(),))
    assert reply.notes == ("generated picture 1: not written, and kept in the journal: No space left on device",)


def test_an_answer_without_pictures_makes_no_folder(tmp_path: Path) -> None:
    """Most jobs draw nothing."""
    assert drawn(tmp_path / "o.parquet", answered()) == answered()
    assert list(tmp_path.iterdir()) == []


@given(st.text(), st.integers(0, 2))
def test_no_text_in_a_pictures_place_costs_the_answer(text: str, place: int) -> None:
    """Whatever the provider sent."""
    pictures = [picture()] * 2
    pictures.insert(place, text)
    reply = carried(answered(*pictures), lambda name, _data: name)
    assert reply.text == "here"
    assert len(reply.images) == 2
    assert len(reply.notes) == 1


# -- several rounds ----------------------------------------------------------------------------------------------------------


def rounds(*items: object) -> Request:
    """Return a request one of whose earlier rounds had these output items."""
    return replace(REQUEST, rounds=({"status": "completed", "output": list(items)}, {"odd": True}))


def test_the_last_round_has_what_the_earlier_ones_found(tmp_path: Path) -> None:
    """Their pictures and their sources, whether the model drew and searched before or after it called a function."""
    cited = {"type": "url_citation", "url": "https://b.example"}
    message = {"type": "message", "content": [{"type": "output_text", "text": "x", "annotations": [cited]}]}
    request = rounds({"type": "image_generation_call", "result": picture(color="blue")}, message)
    reply = drawn(tmp_path / "o.parquet", answered(picture(), sources=(PAGE,)), request)
    assert reply.sources == (PAGE, Source("url_citation", url="https://b.example"))
    assert len(reply.images) == 2


@pytest.mark.anyio
async def test_rounds_of_one_process_hand_on_what_they_found(tmp_path: Path) -> None:
    """Not only those that come back from the journal: the layers around give each round the bodies of those before it."""
    cited = {"type": "url_citation", "url": PAGE.url, "title": PAGE.title}
    message = {"type": "message", "content": [{"type": "output_text", "text": "no", "annotations": [cited]}]}
    drew = {"type": "image_generation_call", "result": picture()}
    first = replace(decode({"status": "completed", "output": [drew, message]}), status=Status.INVALID)
    replies = [first, Reply(Status.OK, text="yes")]

    async def post(_request: Request) -> Reply:
        return replies.pop(0)

    rules = Rules(frozenset(), {Turn.REPAIR: 1, Turn.TOOLS: 0}, 1.0, None, DIALECTS["openai"], {})
    layers = in_rounds(judging(illustrated(post, gallery(tmp_path / "o.parquet")), rules), rules, Toolbox({}))
    reply = await layers(replace(REQUEST, body={"model": "m", "input": "draw"}))
    assert (reply.text, reply.sources, len(reply.images)) == ("yes", (PAGE,), 1)
    assert [file.name for file in (tmp_path / "o.images").iterdir()] == [reply.images[0].partition("/")[2]]


def test_a_round_that_is_not_the_last_is_left_alone(tmp_path: Path) -> None:
    """Its body is kept whole until the conversation is over."""
    reply = answered(picture(), turn=Turn.TOOLS)
    assert drawn(tmp_path / "o.parquet", reply) == reply
    assert list(tmp_path.iterdir()) == []


@pytest.mark.anyio
async def test_an_answer_that_is_here_is_written_whatever_ends_the_run() -> None:
    """A cancelled run waits for the file, as it does for the journal."""
    scope = anyio.CancelScope()
    written: list[str] = []

    async def post(_request: Request) -> Reply:
        scope.cancel()
        return answered(picture())

    def keep(name: str, _data: bytes) -> str:
        written.append(name)
        return name

    with scope:
        reply = await illustrated(post, keep)(REQUEST)
        assert reply.images == tuple(written) != ()
