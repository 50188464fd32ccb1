"""What an answer carries beside its text is read from every shape it comes in, and garbage in it is unknown, never a crash."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records import Reply, Source, Status
from pipeline.wire.decode import decode, read_answer
from pipeline.wire.items import distinct

PAGE = Source("url_citation", "A", "https://a.example")


def cites(*annotations: object) -> dict[str, object]:
    """Return a message that cites."""
    return {"type": "message", "content": [{"type": "output_text", "text": "x", "annotations": list(annotations)}]}


def weighs(*logprobs: object) -> dict[str, object]:
    """Return a message whose tokens have these logarithms."""
    tokens = [{"token": "x", "logprob": value} for value in logprobs]
    return {"type": "message", "content": [{"type": "output_text", "text": "x", "logprobs": tokens}]}


def read(*items: object, **more: object) -> Reply:
    """Return the reply of these items."""
    return decode({"status": "completed", "output": list(items), **more})


def chosen(choice: Mapping[str, object] | None = None, **message: object) -> Reply:
    """Return the reply of a chat-style choice."""
    return decode({"choices": [{"message": {"content": "x", **message}, "finish_reason": "stop", **(choice or {})}]})


def url(address: object, title: object = "A") -> dict[str, object]:
    """Return a citation of a page."""
    return {"type": "url_citation", "url": address, "title": title}


# -- sources -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotations", "sources"),
    [
        ([url("https://a.example")], [PAGE]),
        ([url("https://a.example"), url("https://b.example", None), url("https://a.example", "again")],
         [PAGE, Source("url_citation", None, "https://b.example")]),
        ([{"type": "file_citation", "file_id": "f", "filename": "n"}, {"type": "file_path", "file_id": "f", "filename": "n"}],
         [Source("file_citation", file_id="f", filename="n")]),
        ([{"type": "newer_citation", "url": "https://a.example"}], [Source("newer_citation", url="https://a.example")]),
        ([{"url": "https://a.example"}], [Source("citation", url="https://a.example")]),
        ([{"type": "url_citation", "url_citation": {"url": "https://a.example", "title": "A"}}], [PAGE]),
        ([url(""), url(None), url(5), {"type": "file_path"}, {}, None, "odd", []], []),
    ],
    ids=["one", "again", "two kinds", "newer kind", "no kind", "nested", "nothing named"],
)  # fmt: skip
def test_citations_become_sources_in_order_and_once_each(annotations: list[Any], sources: list[Source]) -> None:
    """In both shapes, under the provider's own word for the kind; what names neither page nor file is left out."""
    assert list(read(cites(*annotations)).sources) == sources
    assert list(chosen(annotations=annotations).sources) == sources


def test_what_a_search_found_stands_behind_what_the_text_cites() -> None:
    """A page that is cited too is there once, as a citation, although the search came first."""
    search = {
        "type": "web_search_call",
        "action": {"sources": [url("https://b.example", None), url("https://a.example")]},
    }
    assert read(search, cites(url("https://a.example"))).sources == (
        PAGE,
        Source("web_search", url="https://b.example"),
    )


@pytest.mark.parametrize("odd", [None, 1, "x", [], [None], [{}], {"sources": 5}, {"sources": [1, {"url": 2}]}])
def test_a_search_without_readable_sources_has_none(odd: object) -> None:
    """Whatever stands where they should be."""
    assert read({"type": "web_search_call", "action": odd}, {"type": "file_search_call", "results": odd}).sources == ()


@given(
    st.lists(
        st.builds(
            Source, st.sampled_from("ab"), url=st.sampled_from([None, "u", "v"]), file_id=st.sampled_from([None, "f"])
        )
    )
)
def test_distinct_sources_keep_the_first_of_each(sources: list[Source]) -> None:
    """Their order stays, nothing comes twice, and nothing that names something is lost."""
    kept = distinct(tuple(sources))
    names = [(source.url, source.file_id) for source in sources if (source.url, source.file_id) != (None, None)]
    assert [(source.url, source.file_id) for source in kept] == list(dict.fromkeys(names))
    assert [sources.index(source) for source in kept] == sorted(sources.index(source) for source in kept)


# -- searches ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("items", "count"),
    [
        ([], None),
        ([None, "odd"], None),
        ([cites()], 0),
        ([{"type": "web_search_call"}], 1),
        ([{"type": "web_search_call", "status": "completed", "action": {"type": "search"}}] * 3, 3),
        ([{"type": "file_search_call", "status": "completed"}, {"type": "web_search_call"}], 2),
        ([{"type": "web_search_call", "action": {"type": kind}} for kind in ("open_page", "find_in_page")], 0),
        ([{"type": "web_search_call", "status": "failed"}, {"type": "file_search_call", "status": "incomplete"}], 0),
        ([{"type": "file_search_call", "status": ["odd"]}, {"type": "web_search_call", "action": ["odd"]}], 1),
    ],
)  # fmt: skip
def test_completed_searches_are_counted(items: list[Any], count: int | None) -> None:
    """Those that are billed: pages that were opened, and searches that failed, are none; without items nobody knows."""
    assert read(*items).searches == count


def test_a_shape_without_items_says_nothing_of_searches() -> None:
    """Unknown is None, never 0."""
    assert chosen().searches is None
    assert decode({"output_text": "x"}).searches is None


# -- pictures ----------------------------------------------------------------------------------------------------------------


def test_generated_pictures_are_kept_in_order_as_they_came() -> None:
    """Base64 is read later, off the event loop; what is no text is no picture."""
    results = ["aGk=", None, 5, "", {"a": 1}, "not base64"]
    items = [{"type": "image_generation_call", "result": result} for result in results]
    assert read(*items).pictures == ("aGk=", "not base64")


def test_a_picture_is_an_answer_without_a_word() -> None:
    """Many models draw and say nothing; a refusal or a call beside it still is one."""
    drawn = {"type": "image_generation_call", "result": "aGk="}
    assert read(drawn).status is Status.OK
    assert read(drawn, {"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}).status is Status.REFUSED
    assert read(drawn, {"type": "function_call", "call_id": "c", "name": "f"}).status is Status.TOOL_CALLS
    assert read({**drawn, "result": None}).status is Status.EMPTY


# -- confidence --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("logprobs", "confidence"),
    [
        ([0.0], 1.0),
        ([-0.5, -0.1], math.exp(-0.3)),
        ([0, -1], math.exp(-0.5)),
        ([1e-9], 1.0),
        ([-9999.0, -9999.0], 0.0),
        ([-math.inf], 0.0),
        ([-(10**400)], 0.0),
        ([], None),
        ([5.0], None),
        ([math.nan], None),
        ([math.inf], None),
        ([-0.1, None], None),
        ([-0.1, "-0.2"], None),
        ([True], None),
    ],
)
def test_confidence_is_the_geometric_mean_of_the_tokens_probabilities(
    logprobs: list[Any], confidence: float | None
) -> None:
    """In both shapes; where the probability of a single token makes no sense, that of the text is not known."""
    expected = None if confidence is None else pytest.approx(confidence)
    assert read(weighs(*logprobs)).confidence == expected
    assert chosen({"logprobs": {"content": [{"logprob": value} for value in logprobs]}}).confidence == expected


def test_confidence_is_that_of_all_parts_and_messages() -> None:
    """As the text is all of them."""
    assert read(weighs(-1.0), weighs(-3.0)).confidence == pytest.approx(math.exp(-2))
    assert read(weighs(-1.0), weighs(None)).confidence is None


@pytest.mark.parametrize("odd", [None, 1, "x", {}, {"content": 5}, {"content": None}])
def test_logprobs_of_another_form_are_no_logprobs(odd: object) -> None:
    """Neither do they hurt the text."""
    part = {"type": "output_text", "text": "x", "logprobs": odd}
    assert read({"type": "message", "content": [part]}).confidence is None
    assert chosen({"logprobs": odd}).confidence is None


@given(st.lists(st.floats() | st.integers() | st.none() | st.text(max_size=2), max_size=6))
def test_confidence_is_a_probability_or_unknown(logprobs: list[Any]) -> None:
    """Whatever numbers come."""
    found = read(weighs(*logprobs)).confidence
    assert found is None or 0.0 <= found <= 1.0


# -- phase, and streams ------------------------------------------------------------------------------------------------------


def test_the_phase_is_that_of_the_last_message() -> None:
    """What comes before it is commentary."""
    commentary, final = ({**cites(), "phase": phase} for phase in ("commentary", "final_answer"))
    assert read(commentary, final, {"type": "reasoning", "phase": "x"}).phase == "final_answer"
    assert read(final, cites()).phase is None
    assert chosen(phase="final_answer").phase == "final_answer"


def test_chat_chunks_keep_their_citations_and_probabilities() -> None:
    """Each chunk has those of its own tokens; together they are those of the plain answer."""
    stream = (
        b'data: {"choices": [{"index": 0, "delta": {"content": "To"}, "logprobs": {"content": [{"logprob": -0.5}]}}]}\n\n'
        b'data: {"choices": [{"index": 0, "delta": {"content": "kyo", "annotations": [{"type": "url_citation",'
        b' "url": "https://a.example", "title": "A"}]}, "logprobs": {"content": [{"logprob": -0.1}]}, "finish_reason": "stop"}]}\n\n'
        b"data: [DONE]\n\n"
    )
    reply = read_answer(200, {"content-type": "text/event-stream"}, stream, now=0.0)
    assert (reply.text, reply.sources, reply.confidence) == ("Tokyo", (PAGE,), pytest.approx(math.exp(-0.3)))
