"""Parts of messages: each kind of media in the API's words, from a spec as from a column, and what is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.errors import MediaError, NullCell, PromptError, RowError
from pipeline.prompt.build import RequestBuilder
from pipeline.records import Media, Request, Row
from pipeline.spec.job import Job

PDF = b"%PDF-1.4 a"
Parts = Callable[..., list[dict[str, Any]]]


def built(folder: Path, prompt: object, cells: Mapping[str, object], **settings: object) -> Request:
    """Return a row's request in a job with this prompt."""
    spec = {"provider": {"base_url": "http://127.0.0.1:1/v1"}, "model": "m", "input": "r.csv", "output": "o.parquet"}
    job = Job.model_validate({**spec, "prompt": prompt, **settings}).located(folder)
    return RequestBuilder(job, job.provider.endpoint(), folder).build(Row(0, cells))


@pytest.fixture(params=["spec", "column"])
def parts(request: pytest.FixtureRequest, tmp_path: Path) -> Parts:
    """Make the parts of one message, said in the spec or in a column of messages."""

    def made(*said: Mapping[str, object], **settings: object) -> list[dict[str, Any]]:
        if request.param == "column":
            cells: dict[str, object] = {"chat": [{"role": "user", "content": list(said)}]}
            asked = built(tmp_path, {"messages": "chat"}, cells, **settings)
        else:
            own = ("text", "detail", "filename")
            cells = {f"c{at}": value for at, part in enumerate(said) for name, value in part.items() if name not in own}
            written = [
                {name: value if name in own else f"c{at}" for name, value in part.items()}
                for at, part in enumerate(said)
            ]
            asked = built(tmp_path, written, cells, **settings)
        (message,) = asked.body["input"]  # type: ignore[misc]
        content: list[dict[str, Any]] = message["content"]
        return content

    return made


def shown(part: Mapping[str, object]) -> dict[str, object]:
    """Return a part with its references as what they refer to."""
    return {
        name: (value.url or (value.path and value.path.name) or value.data) if isinstance(value, Media) else value
        for name, value in part.items()
    }


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ({"image": "http://x/a.png"}, {"type": "input_image", "image_url": "http://x/a.png"}),
        (
            {"image": "http://x/a.png", "detail": "original"},
            {"type": "input_image", "image_url": "http://x/a.png", "detail": "original"},
        ),
        ({"image": b"png"}, {"type": "input_image", "image_url": b"png"}),
        ({"image_id": " file-1 "}, {"type": "input_image", "file_id": "file-1"}),
        ({"image_id": "file-1", "detail": "low"}, {"type": "input_image", "file_id": "file-1", "detail": "low"}),
        ({"video": "https://x/a.mp4?s=1"}, {"type": "input_video", "video_url": "https://x/a.mp4?s=1"}),
        ({"video": "here.pdf"}, {"type": "input_video", "video_url": "here.pdf"}),
        ({"video": {"bytes": b"v", "path": "a.mp4"}}, {"type": "input_video", "video_url": b"v"}),
        ({"file": "https://x/a.pdf"}, {"type": "input_file", "file_url": "https://x/a.pdf"}),
        ({"file": "here.pdf"}, {"type": "input_file", "file_data": "here.pdf", "filename": "here.pdf"}),
        ({"file": PDF}, {"type": "input_file", "file_data": PDF}),
        (
            {"file": {"bytes": PDF, "path": "in/a.pdf"}},
            {"type": "input_file", "file_data": PDF, "filename": "a.pdf"},
        ),
        (
            {"file": PDF, "filename": "b.pdf", "detail": "high"},
            {"type": "input_file", "file_data": PDF, "filename": "b.pdf", "detail": "high"},
        ),
        ({"file_id": "file-2", "detail": "auto"}, {"type": "input_file", "file_id": "file-2", "detail": "auto"}),
    ],
    ids=repr,
)
def test_each_kind_is_said_in_the_apis_words(
    parts: Parts, tmp_path: Path, said: dict[str, object], sent: dict[str, object]
) -> None:
    """A URL stays one, bytes stay references, an id is an id; the same in a spec and in a column."""
    (tmp_path / "here.pdf").write_bytes(PDF)
    assert [shown(part) for part in parts(said)] == [sent]


def test_any_number_of_media_in_any_order_with_texts(parts: Parts) -> None:
    """Lists unfold in place, and nothing is moved."""
    made = parts(
        {"image": ["http://x/1", "http://x/2"]},
        {"text": "between"},
        {"video": "http://x/3"},
        {"image_id": ["file-4", "file-5"]},
        {"text": "and"},
        {"file": "http://x/6"},
        {"image": "http://x/7"},
    )
    flat = [next(str(value) for name, value in shown(part).items() if name != "type") for part in made]
    assert flat == [
        "http://x/1",
        "http://x/2",
        "between",
        "http://x/3",
        "file-4",
        "file-5",
        "and",
        "http://x/6",
        "http://x/7",
    ]


@pytest.mark.parametrize("kind", ["image", "image_id", "video", "file", "file_id"])
def test_a_null_fails_the_row_or_is_left_out(tmp_path: Path, kind: str) -> None:
    """As the job says, for each kind, also in a list."""
    prompt = [{"text": "x"}, {kind: "c"}]
    for cell in (None, [None]):
        with pytest.raises(NullCell, match="'c'"):
            built(tmp_path, prompt, {"c": cell})
        (message,) = built(tmp_path, prompt, {"c": cell}, on_null="empty").body["input"]  # type: ignore[misc]
        assert message["content"] == [{"type": "input_text", "text": "x"}]


@pytest.mark.parametrize("value", ["", "  ", 7, b"file-1", {"id": "file-1"}])
@pytest.mark.parametrize("kind", ["image_id", "file_id"])
def test_what_is_no_id_fails_the_row(parts: Parts, kind: str, value: object) -> None:
    """An empty text, a number, bytes and a struct."""
    with pytest.raises(PromptError, match="no id of a file"):
        parts({kind: value})


@pytest.mark.parametrize("kind", ["image", "video", "file"])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("gone.bin", "cannot open 'gone.bin'"),
        ("../outside.bin", "outside the folders"),
        ("ftp://x/a", "scheme"),
        (b"", "is empty: no {kind} bytes"),
        (7, "no URL, path or {kind}"),
    ],
)
def test_media_that_are_none_fail_the_row(
    tmp_path_factory: pytest.TempPathFactory, kind: str, value: object, said: str
) -> None:
    """Missing, outside of the folders that rows may name, empty: the same for every kind."""
    folder = tmp_path_factory.mktemp("job") / "in"
    folder.mkdir()
    (folder.parent / "outside.bin").write_bytes(b"secret")
    with pytest.raises(MediaError, match=said.format(kind=kind)):
        built(folder, [{kind: "c"}], {"c": value})


def test_templates_give_ids_addresses_and_names(tmp_path: Path) -> None:
    """Put together from columns like texts."""
    prompt = [
        {"image_id": "file-{{ n }}"},
        {"video": "https://x/{{ n }}.mp4"},
        {"file": "https://x/{{ n }}", "filename": "{{ title }}.pdf"},
    ]
    (message,) = built(tmp_path, prompt, {"n": 7, "title": "Pond"}).body["input"]  # type: ignore[misc]
    image, video, file = message["content"]
    assert image["file_id"] == "file-7"
    assert video["video_url"].url == "https://x/7.mp4"
    assert (file["file_url"].url, file["file_url"].filename) == ("https://x/7", "Pond.pdf")
    assert "filename" not in file  # what is sent as a URL has its name there


def test_an_empty_name_of_a_file_fails_the_row(tmp_path: Path) -> None:
    """Nobody asked for a file without a name."""
    with pytest.raises(PromptError, match="name is empty"):
        built(tmp_path, [{"file": "f", "filename": "{{ n }}"}], {"f": PDF, "n": " "})


FILE = [{"text": "x"}, {"file": "f"}]


@pytest.mark.parametrize(
    ("prompt", "cells", "same"),
    [
        (FILE, {"f": PDF}, True),
        (FILE, {"f": PDF + b"b"}, False),
        (FILE, {"f": {"bytes": PDF, "path": "a.pdf"}}, False),
        ([{"text": "x"}, {"file": "f", "filename": "b.pdf"}], {"f": PDF}, False),
        ([{"text": "x"}, {"file": "f", "detail": "low"}], {"f": PDF}, False),
        ([{"text": "x"}, {"video": "f"}], {"f": PDF}, False),
    ],
)
def test_another_file_is_another_question(
    tmp_path: Path, prompt: object, cells: Mapping[str, object], same: bool
) -> None:
    """Also under another name, which the model is told, in another detail, and as another kind of media."""
    assert (built(tmp_path, prompt, cells).fingerprint == built(tmp_path, FILE, {"f": PDF}).fingerprint) is same


def test_what_is_done_to_pictures_makes_no_other_video(tmp_path: Path) -> None:
    """A smaller picture is another question; videos and files leave as they are."""
    for kind, same in (("image", False), ("video", True), ("file", True)):
        asked = [built(tmp_path, [{kind: "c"}], {"c": PDF}, media=media) for media in ({}, {"max_side": 9})]
        assert (asked[0].fingerprint == asked[1].fingerprint) is same


def test_media_weigh_by_their_kind(tmp_path: Path) -> None:
    """A video is reserved more tokens than a file, and that more than a picture."""
    image, file, video = (built(tmp_path, [{kind: "c"}], {"c": PDF}).weight for kind in ("image", "file", "video"))
    assert image < file < video


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_file", "file_id": "f", "filename": None},
        {"type": "input_video", "video_url": "https://x/v"},
        {"type": "input_audio", "input_audio": {"data": "x"}, "image": "not ours"},
    ],
)
def test_parts_in_the_apis_own_words_pass(tmp_path: Path, part: dict[str, object]) -> None:
    """Nothing in them is taken for a reference of ours; only the nulls of a struct go."""
    cells = {"chat": [{"role": "user", "content": [part]}]}
    (message,) = built(tmp_path, {"messages": "chat"}, cells).body["input"]  # type: ignore[misc]
    assert message["content"] == [{name: value for name, value in part.items() if value is not None}]


WRONG = [
    ({"text": "a", "image": "b"}, "exactly one of text, image, image_id, video, file, file_id"),
    ({"detail": "low"}, "exactly one of"),
    ({"text": "a", "detail": "low"}, "'low' is no detail of text; it has none"),
    ({"video": "a", "detail": "low"}, "'low' is no detail of video"),
    ({"file": "a", "detail": "original"}, "'original' is no detail of file; it has low, high, auto"),
    ({"image": "a", "filename": "b"}, "filename belongs to a file"),
    ({"file_id": "a", "filename": "b"}, "filename belongs to a file"),
]


@pytest.mark.parametrize(("part", "said"), WRONG)
def test_a_part_that_is_none_is_refused(parts: Parts, part: dict[str, object], said: str) -> None:
    """Before the run where the spec says it, with its row where a column does."""
    with pytest.raises((ValidationError, RowError), match=said):
        parts(part)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"text": 7}, "a text that is a int"),
        ({"file": PDF, "filename": 7}, "a filename that is a int"),
        ({"image": "http://x/a", "detail": "huge"}, "'huge' is no detail of image"),
    ],
)
def test_values_of_the_wrong_kind_in_a_column_fail_the_row(tmp_path: Path, part: dict[str, object], said: str) -> None:
    """The message says where they stand."""
    with pytest.raises(PromptError, match=rf"chat\[0\].*{said}"):
        built(tmp_path, {"messages": "chat"}, {"chat": [{"role": "user", "content": [part]}]})
