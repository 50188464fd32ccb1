"""`check` says where a detail that is left out multiplies the bill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import pipeline


@pytest.fixture
def notes(tmp_path: Path) -> Any:
    """Return the function that checks a job over two photos and returns the notes about their detail."""
    (tmp_path / "p").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("L", (4000, 3000)).save(tmp_path / "p" / name)
    (tmp_path / "p" / "c.png").write_bytes(b"no picture")

    def checked(model: str, *sets: str) -> list[str]:
        spec = (
            f"provider: simulator\nmodel: {model}\ninput: p\nprompt:\n  - text: x\n  - image: path\noutput: o.parquet\n"
        )
        (tmp_path / "job.yaml").write_text(spec)
        return [note for note in pipeline.check(tmp_path / "job.yaml", sets=sets).notes if "detail" in note]

    return checked


def test_the_newest_model_takes_it_for_original(notes: Any) -> None:
    """The figures, and what to write where."""
    assert notes("gpt-5.6") == [
        "detail is left out, which gpt-5.6 takes for original: the first 2 pictures cost about 23,500 input tokens, and 4,902 with "
        "`detail: high`; write that into prompt.user.1"
    ]


def test_one_picture_is_one(notes: Any) -> None:
    """It costs what it costs alone."""
    (note,) = notes("gpt-5.6", "input.limit=1")
    assert "the first picture costs about 11,750 input tokens, and 2,451 with" in note


@pytest.mark.parametrize(
    ("model", "sets"),
    [
        ("gpt-5.4", ()),
        ("gpt-4o", ()),
        ("gemini-2.5-pro", ()),
        ("gpt-5.6", ("media.max_side=1024",)),
        ("gpt-5.6", ("prompt.1.detail=high",)),
    ],
)
def test_nothing_is_said_where_it_costs_nothing(notes: Any, model: str, sets: tuple[str, ...]) -> None:
    """Other models, smaller pictures, a detail that is given."""
    assert notes(model, *sets) == []
