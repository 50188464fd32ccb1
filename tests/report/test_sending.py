"""The screens of ``check``, ``preview`` and of the question before the first paid request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import PromptError
from pipeline.events import Offer
from pipeline.records import Media, MediaKind
from pipeline.report.sending import render_check, render_offer, render_preview, with_pictures_named

URL = "https://api.openai.com/v1/responses"


def offered(**values: Any) -> str:
    """Return the screen of an offer."""
    return render_offer(Offer(**values))


def test_a_checked_job_shows_the_columns_of_its_output() -> None:
    """A person sees what the table will look like, and every warning."""
    screen = render_check(
        name="captions", provider="openai", url=URL, model="gpt-5.4-mini", rows=1200,
        columns={"title": "string", "caption": "string", "tags": "list<item: string>"}, output=Path("out/captions.parquet"),
        notes=("temperature is ignored by reasoning models",),
    )  # fmt: skip
    assert screen == (
        "captions is ready to run.\n"
        "  provider   openai\n"
        "  endpoint   https://api.openai.com/v1/responses\n"
        "  model      gpt-5.4-mini\n"
        "  rows       1,200\n"
        "  output     out/captions.parquet\n"
        "    title    string\n"
        "    caption  string\n"
        "    tags     list<item: string>\n"
        "  note       temperature is ignored by reasoning models"
    )


@pytest.mark.parametrize("kind", ["image", "video", "file"])
def test_media_are_named_by_what_they_are(kind: MediaKind) -> None:
    """A video is not called a picture."""
    body = {"input": [Media(identity="", label="a.bin", data=b"x", kind=kind)]}
    assert with_pictures_named(body) == {"input": [f"<{kind} a.bin>"]}


def test_a_preview_shows_the_request_with_its_pictures_named() -> None:
    """The body is readable JSON; bytes stay out of it, and so does the key."""
    picture = Media(identity="path:1", label="temple.jpg", data=b"\x89PNG")
    content = [{"type": "input_text", "text": "Say\n\u202ewhat"}, {"type": "input_image", "image_url": picture}]
    screen = render_preview(
        3,
        URL,
        {"authorization": "Bearer $OPENAI_API_KEY"},
        {"model": "m", "input": [{"role": "user", "content": content}]},
    )
    assert screen == (
        "row 3\n"
        "POST https://api.openai.com/v1/responses\n"
        "authorization: Bearer $OPENAI_API_KEY\n"
        "\n"
        "{\n"
        '  "model": "m",\n'
        '  "input": [\n'
        "    {\n"
        '      "role": "user",\n'
        '      "content": [\n'
        "        {\n"
        '          "type": "input_text",\n'
        '          "text": "Say\\n\\u202ewhat"\n'
        "        },\n"
        "        {\n"
        '          "type": "input_image",\n'
        '          "image_url": "<image temple.jpg>"\n'
        "        }\n"
        "      ]\n"
        "    }\n"
        "  ]\n"
        "}"
    )


def test_a_row_that_makes_no_request_says_why() -> None:
    """A preview of a broken row is its error."""
    assert (
        render_preview(3, URL, {}, None, PromptError("column 'a' is null\x07"))
        == "row 3: sends nothing: column 'a' is null\\x07"
    )


def test_an_offer_says_what_will_be_sent_at_most() -> None:
    """Before money is spent, a person sees where, what and how much."""
    screen = offered(
        name="captions", provider="openai", url=URL, model="gpt-5.4-mini", rows=50_000, known=12_000, output=Path("out/captions.parquet"),
        limits={"requests_per_minute": 500.0, "tokens_per_minute": None, "concurrency": 8}, notes=("detail is not set",),
    )  # fmt: skip
    assert screen == (
        "captions is about to ask openai. This may cost money.\n"
        "  endpoint   https://api.openai.com/v1/responses\n"
        "  model      gpt-5.4-mini\n"
        "  rows       50,000\n"
        "  known      12,000, not asked again\n"
        "  to send    at most 38,000 requests, and some again where they fail in passing\n"
        "  limits     requests_per_minute 500, concurrency 8\n"
        "  output     out/captions.parquet\n"
        "  note       detail is not set"
    )


def test_secrets_are_named_with_their_destinations() -> None:
    """Beside the address, on the screens before anything is sent; there is no line where there are none."""
    common: dict[str, Any] = {"name": "a", "provider": "p", "url": URL, "model": "m", "rows": 1, "output": Path("o")}
    line = (
        "  endpoint   https://api.openai.com/v1/responses\n  secrets    $A -> a.example, $B -> b\\x1b.example\n  model"
    )
    for screen in (render_check(**common, columns={}, secrets=["$A -> a.example", "$B -> b\x1b.example"]),
                   offered(**common, known=0, secrets=["$A -> a.example", "$B -> b\x1b.example"])):  # fmt: skip
        assert line in screen
    assert "secrets" not in render_check(**common, columns={})


def test_an_offer_of_the_simulators_names_another_risk() -> None:
    """It costs nothing, but may ask strangers' servers."""
    screen = offered(
        name="a", provider="simulator", url=URL, model="m", rows=1, known=0, output=Path("o"), simulated=True
    )
    assert screen.startswith("a is about to ask simulator. It downloads from addresses that the spec writes.\n")


def test_an_offer_does_not_guess_what_is_not_known() -> None:
    """Rows that were not counted are unknown, not 0."""
    screen = offered(name="a", provider="openai", url=URL, model="m", rows=None, known=0, output=Path("o.parquet"))
    assert "  rows       unknown\n  known      none\n  to send    unknown before the input is read\n" in screen


def test_a_job_that_asks_several_times_says_how_many_requests_that_are() -> None:
    """The bill counts requests, not rows: before the run, and when it is offered."""
    whole = "  rows       1,000 rows x 5 samples = 5,000 requests\n"
    common: dict[str, Any] = {"name": "a", "provider": "openai", "url": URL, "model": "m", "output": Path("o.parquet")}
    assert whole in render_check(**common, rows=1000, columns={}, samples=5)
    offer = offered(**common, rows=1000, known=2000, samples=5)
    assert whole in offer
    assert "  to send    at most 3,000 requests" in offer
    retry = offered(**common, rows=3, known=0, samples=5, wanted=4)
    assert "  rows       4 requests for 3 rows\n" in retry
    assert "  to send    at most 4 requests" in retry
    assert "unknown before the input is read" in offered(**common, rows=None, known=0, samples=5)
