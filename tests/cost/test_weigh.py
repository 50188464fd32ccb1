"""A request is weighed before it is sent: by kind, with what is not known, and at worst."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.cost.interval import ZERO, Interval
from pipeline.cost.tokens import count_tokens
from pipeline.cost.weigh import Scales, Weight, bound_of, with_extents
from pipeline.errors import MediaError, PromptError
from pipeline.records import Extent, Media, MediaKind, Request
from pipeline.spec.rules import MediaRules
from pipeline.wire.dialect import DIALECTS

DATA = Path(__file__).parents[2] / "data"
OPENAI, QINGBO = DIALECTS["openai"], DIALECTS["qingbo"]
MODELS = (
    "gpt-4o",
    "gpt-5",
    "gpt-5-nano",
    "gpt-5.1",
    "gpt-5.2",
    "gpt-5.5",
    "gpt-6",
    "gemini-2.5-pro",
    "gemini-3-pro",
    "other",
)
SCHEMA = {
    "type": "object",
    "properties": {"label": {"type": "string"}},
    "required": ["label"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "name": "look_up", "description": "Finds a word.", "parameters": SCHEMA}


def asks(*parts: object, model: str = "gpt-5.4", **more: object) -> Request:
    """Return a request of one message."""
    body = {"model": model, "input": [{"role": "user", "content": list(parts)}], **more}
    return Request(row=0, model=model, body=body, fingerprint=b"", weight=1)


def says(text: str) -> Mapping[str, object]:
    """Return a part of text."""
    return {"type": "input_text", "text": text}


def shows(
    kind: MediaKind = "image", *, detail: str | None = None, url: str | None = None, **extent: Any
) -> Mapping[str, object]:
    """Return a part that shows media of this extent."""
    given = Extent(**extent) if extent else None
    media = Media(identity="m", label="m", url=url, data=None if url else b"-", kind=kind, extent=given)
    return {"type": f"input_{kind}", f"{kind}_url": media, **({} if detail is None else {"detail": detail})}


def weight(request: Request, rules: MediaRules | None = None, **options: Any) -> Weight:
    """Return the weight of one request at OpenAI."""
    dialect = options.pop("dialect", OPENAI)
    return Scales(rules or MediaRules(), dialect).weigh([request], **options)[0]


def bound(request: Request, rules: MediaRules | None = None, **options: Any) -> int:
    """Return the most input tokens of one request at OpenAI."""
    dialect = options.pop("dialect", OPENAI)
    model = options.pop("model", request.model)
    return bound_of(request.body, model, rules or MediaRules(), dialect, output_cap=7).input_tokens


def test_text_is_counted_exactly_but_for_its_frame() -> None:
    """Words of the row and instructions; what frames a message is known to a few tokens."""
    request = asks(says("The quick brown fox."), instructions="Answer briefly.")
    exact = sum(count_tokens(["The quick brown fox.", "Answer briefly."]))
    assert weight(request).text == Interval(exact + 2 * 3, exact + 2 * 4 + 3, exact + 2 * 5 + 8)
    assert weight(request).notes == frozenset()
    assert weight(request).total == weight(request).text


@pytest.mark.parametrize(
    "given",
    [
        "hello world",
        [{"role": "user", "content": "hello world"}],
        [{"role": "user", "content": [{"type": "input_text", "text": "hello world"}]}],
        [
            {
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "hello world"}],
            }
        ],
        [{"type": "function_call_output", "output": "hello world"}],
    ],
)
def test_every_form_of_input_is_read(given: object) -> None:
    """A plain text, messages, and the items of earlier rounds; roles and types are no text."""
    request = Request(row=0, model="gpt-5", body={"input": given}, fingerprint=b"", weight=1)
    assert weight(request).text.mid == 2 + 4 + 3


@pytest.mark.parametrize(
    ("model", "low", "high"), [("gemini-2.5-pro", 0.85, 1.15), ("claude", 0.9, 1.5), ("other", 0.75, 1.35)]
)
def test_another_vendors_text_has_a_band(model: str, low: float, high: float) -> None:
    """Its vocabulary is not OpenAI's, and a note says so."""
    text = "The quick brown fox jumps over the lazy dog. " * 20
    (exact,) = count_tokens([text])
    weighed = weight(asks(says(text)), model=model)
    assert weighed.text == Interval(exact * low + 3, exact + 7, exact * high + 13)
    assert any("proxy" in note for note in weighed.notes)


def test_tools_and_schema_are_kinds_of_their_own() -> None:
    """By the tokens of their JSON, in a band: how they are written into the prompt is not published."""
    request = asks(says("x"), tools=[TOOL], text={"format": {"type": "json_schema", "name": "r", "schema": SCHEMA}})
    weighed = weight(request)
    assert 0 < weighed.tools.low < weighed.tools.mid < weighed.tools.high
    assert 0 < weighed.schema.low < weighed.schema.mid < weighed.schema.high
    assert weighed.total == weighed.text + weighed.tools + weighed.schema
    assert sum("not published" in note for note in weighed.notes) == 2
    assert (weight(asks(says("x"))).tools, weight(asks(says("x"))).schema) == (ZERO, ZERO)


def test_what_requests_share_is_counted_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for all of them; the figures are those of each request weighed alone."""
    requests = [asks(says(f"row {number}"), instructions="Label it.", tools=[TOOL]) for number in range(20)]
    counted: list[str] = []

    def count(texts: list[str]) -> list[int]:
        counted.extend(texts)
        return count_tokens(texts)

    monkeypatch.setattr("pipeline.cost.weigh.count_tokens", count)
    scales = Scales(MediaRules(), OPENAI)
    together = scales.weigh(requests[:10]) + scales.weigh(requests[10:])
    assert counted.count("Label it.") == 1
    assert together == [weight(request) for request in requests]


def test_rows_that_share_nothing_do_not_fill_memory() -> None:
    """Instructions may be templates: each row has its own."""
    scales = Scales(MediaRules(), OPENAI)
    for start in range(0, 10_000, 1_000):
        scales.weigh([asks(says("x"), instructions=f"row {number}") for number in range(start, start + 1_000)])
    assert len(scales._shared) < 6_000


@pytest.mark.parametrize(
    ("rules", "tokens"),
    [(MediaRules(), 11_750), (MediaRules(max_side=2048), 64 * 48), (MediaRules(max_side=1024), 32 * 24)],
)
def test_a_picture_counts_as_it_is_sent(rules: MediaRules, tokens: float) -> None:
    """Scaled down first where the job says so."""
    assert weight(asks(shows(width=4000, height=3000), model="gpt-5.6"), rules).image.mid == tokens


def test_a_url_is_not_scaled() -> None:
    """It leaves as it stands; only what is downloaded here is made smaller."""
    request = asks(shows(url="https://example.org/a", width=4000, height=3000), model="gpt-5.6")
    assert weight(request, MediaRules(max_side=1024)).image.mid == 11_750
    assert weight(request, MediaRules(max_side=1024, send="inline", fetch=True)).image.mid == 32 * 24


def test_detail_is_the_parts_and_another_to_compare() -> None:
    """What the part says, or what the caller asks about."""
    request = asks(shows(detail="low", width=1024, height=1024), model="gpt-4o")
    assert weight(request).image.mid == 85
    assert weight(request, detail="high").image.mid == 765
    assert weight(request, detail="high", model="gpt-5").image.mid == 630


def test_a_detail_that_may_be_ignored_widens_the_band() -> None:
    """qingbo's page does not list it."""
    weighed = weight(asks(shows(detail="low", width=1024, height=1024), model="gpt-4o"), dialect=QINGBO)
    assert weighed.image == Interval(85 * 0.98, 85, 765 * 1.02)
    assert any("may be ignored" in note for note in weighed.notes)


@pytest.mark.parametrize("model", MODELS)
def test_a_picture_of_unknown_size_has_a_band(model: str) -> None:
    """From a thumbnail to the most that the model takes, and a note says so."""
    weighed = weight(asks(shows(url="https://example.org/a")), model=model)
    assert 0 < weighed.image.low <= weighed.image.mid < weighed.image.high
    assert any("unknown size" in note for note in weighed.notes)


def test_videos_and_files_count_by_what_they_hold() -> None:
    """Seconds, pages and bytes of text; of what is unknown the band is wide."""
    seconds = weight(asks(shows("video", seconds=60.0)), model="gemini-2.5-pro", dialect=QINGBO).video
    assert (seconds.mid, seconds.high > 18_000) == (17_400, True)
    assert weight(asks(shows("file", pages=10)), model="gemini-3-pro").file.mid == 5_601
    assert weight(asks(shows("file", text_bytes=4_000))).file.mid == 1_000
    assert weight(asks(shows("file"))).file.high == 100_000
    rendered = weight(asks(shows("file", pages=3)), model="gpt-4o").file
    assert 3 * 600 < rendered.low < rendered.mid < rendered.high


@pytest.mark.parametrize("kind", ["image", "file"])
def test_a_raw_input_may_hold_data_uris(kind: MediaKind) -> None:
    """They are media and no text, and are measured; their base64 would be counted a hundred times too dear."""
    buffer = io.BytesIO()
    Image.effect_noise((512, 512), 90).save(buffer, "PNG")
    data = buffer.getvalue() if kind == "image" else b"plain words\n" * 100
    uri = "data:x/y;base64," + base64.b64encode(data).decode()
    name = "image_url" if kind == "image" else "file_data"
    weighed = weight(asks({"type": f"input_{kind}", name: uri}, model="gpt-4o"))
    assert (weighed.image.mid, weighed.file.mid) == ((255, 0) if kind == "image" else (0, 300))
    assert weighed.text.high < 20


def test_a_data_uri_of_a_raw_input_is_not_scaled() -> None:
    """It is sent as it stands, so neither estimate nor worst case may count on media.max_side."""
    buffer = io.BytesIO()
    Image.new("L", (2048, 2048)).save(buffer, "PNG")
    uri = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    request = asks({"type": "input_image", "image_url": uri}, model="gpt-5.6")
    assert weight(request, MediaRules(max_side=64)).image.mid == 64 * 64
    assert bound(request, MediaRules(max_side=64)) > 64 * 64


@pytest.mark.parametrize("url", ["https://example.org/a.png", "data:image/png;base64,~", "data:image/png;base64,é"])
def test_a_raw_input_that_cannot_be_measured_is_unknown(url: str) -> None:
    """The provider downloads or refuses it."""
    assert any("unknown size" in note for note in weight(asks({"type": "input_image", "image_url": url})).notes)


def test_what_lies_at_the_provider_is_said_not_to_be_counted() -> None:
    """An estimate goes on without it."""
    request = asks({"type": "input_image", "file_id": "f"}, previous_response_id="r", tools=[{"type": "web_search"}])
    notes = weight(request).notes
    assert {"not counted: the response it goes on from", "not counted: a file that is stored at the provider"} <= notes
    assert any("only known afterwards" in note for note in notes)


UNBOUNDED: tuple[tuple[Request, str], ...] = (
    (asks(says("x"), previous_response_id="r"), "takes in the response it goes on from"),
    (asks(says("x"), conversation={"id": "c"}), "takes in a stored conversation"),
    (asks(says("x"), prompt={"id": "p"}), "takes in a stored prompt"),
    (asks({"type": "item_reference", "id": "i"}), "takes in an item that is stored"),
    (asks({"type": "input_file", "file_id": "f"}), "takes in a file that is stored"),
    (asks(says("x"), tools=[TOOL, {"type": "web_search"}]), "the tool web_search puts into the prompt"),
    (asks(shows("file")), "how much a file holds is unknown"),
    (asks(shows(url="https://example.org/a"), model="gpt-5.6"), "at detail original nothing limits"),
    (asks(shows(url="https://example.org/a"), model="gemini-2.0-flash"), "nothing limits what Gemini 2 counts"),
)


@pytest.mark.parametrize(("request_", "reason"), UNBOUNDED)
def test_what_nobody_can_bound_is_refused(request_: Request, reason: str) -> None:
    """With the reason, and the setting that gives a bound by hand."""
    with pytest.raises(PromptError, match=reason) as raised:
        bound(request_)
    assert "budget.per_request_tokens" in str(raised.value.hint)


@pytest.mark.parametrize(
    ("request_", "rules"),
    [
        (asks(shows(url="https://example.org/a", detail="high"), model="gpt-5.6"), MediaRules()),
        (
            asks(shows(url="https://example.org/a"), model="gpt-5.6"),
            MediaRules(max_side=512, send="inline", fetch=True),
        ),
        (asks(shows("video", url="https://example.org/a"), model="gemini-3-pro"), MediaRules()),
        (asks(shows(url="https://example.org/a"), model="gpt-4o"), MediaRules()),
    ],
)
def test_a_cap_bounds_what_is_unknown(request_: Request, rules: MediaRules) -> None:
    """Of the detail, of the job's own scaling, of the length that the provider takes."""
    assert bound(request_, rules) >= weight(request_, rules).total.high


def test_what_is_sent_along_verbatim_counts() -> None:
    """It wins over the request's own; and in the worst case so do members that nobody knows here."""
    request, words = asks(says("x"), instructions="Short."), "Answer as a harbour master would. " * 30
    (exact,) = count_tokens([words])
    (weighed,) = Scales(MediaRules(), OPENAI, {"instructions": words}).weigh([request])
    assert weighed.text.mid == exact + 1 + 2 * 4 + 3
    unknown = {**request.body, "system_text": words}
    assert bound_of(unknown, "gpt-5", MediaRules(), OPENAI, output_cap=7).input_tokens > bound(request) + len(words)


def test_the_bound_takes_the_cap_of_the_output() -> None:
    """As it is given."""
    assert bound_of(asks(says("x")).body, "gpt-5", MediaRules(), OPENAI, output_cap=321).output_tokens == 321


TEXTS = st.text(max_size=60) | st.text("0123456789#ß漢😀", max_size=60)
SIDES = st.integers(1, 9_000)
SHOWN = st.one_of(
    st.builds(
        lambda w, h, detail: shows(detail=detail, width=w, height=h),
        SIDES,
        SIDES,
        st.sampled_from([None, "low", "high"]),
    ),
    st.builds(lambda s: shows("video", seconds=s), st.floats(0.1, 600)),
    st.builds(lambda n: shows("file", pages=n), st.integers(1, 500)),
    st.builds(lambda n: shows("file", text_bytes=n), st.integers(1, 10**6)),
)
RULES = st.builds(MediaRules, max_side=st.none() | st.integers(1, 3_000), animated=st.sampled_from(["first", "keep"]))


@given(st.lists(TEXTS.map(says) | SHOWN, max_size=4), st.sampled_from(MODELS), RULES, st.booleans(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_the_bound_is_above_every_band(
    parts: list[object], model: str, rules: MediaRules, tools: bool, gateway: bool
) -> None:
    """Bound, high, mid and low stand in this order, for any request and model."""
    more = (
        {"tools": [TOOL], "text": {"format": {"type": "json_schema", "name": "r", "schema": SCHEMA}}} if tools else {}
    )
    request, dialect = asks(*parts, model=model, **more), QINGBO if gateway else OPENAI
    total = weight(request, rules, dialect=dialect).total
    assert 0 <= total.low <= total.mid <= total.high <= bound(request, rules, dialect=dialect)


def test_media_are_measured_where_they_lie() -> None:
    """Only their headers are read; the body it came from stays as it was."""
    media = Media(identity="m", label="m", path=(DATA / "photos" / "temple.jpg").resolve())
    request = asks(says("x"), {"type": "input_image", "image_url": media})
    measured = with_extents(request)
    assert weight(measured, model="gpt-5.6").image.mid == 14 * 20
    assert weight(request, model="gpt-5.6").image.high > 10_000
    assert with_extents(measured).body == measured.body


def test_a_file_that_is_gone_is_told_when_it_is_measured(tmp_path: Path) -> None:
    """Before anything is held for it."""
    media = Media(identity="m", label="gone.png", path=tmp_path / "gone.png")
    with pytest.raises(MediaError, match=r"cannot read gone\.png"):
        with_extents(asks({"type": "input_image", "image_url": media}))
