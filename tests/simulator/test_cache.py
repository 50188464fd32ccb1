"""Prompts that begin as an answered one did: from 1,024 tokens on, in steps of 128, up to the first difference."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

LONG = "word " * 2000


def cached(response) -> int:
    """Return the tokens that came from the cache."""
    return response.json()["usage"]["input_tokens_details"]["cached_tokens"]


def test_a_beginning_is_there_once_a_request_with_it_was_answered(play, ask):
    """Those under way together all miss it."""
    simulator = play({"cache": True, "latency_s": 0.2})
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda n: cached(ask(simulator, f"{LONG}{n}")), range(4)))
    assert together == [0] * 4
    assert cached(ask(simulator, LONG + "5")) >= 1920


def test_pictures_are_part_of_a_beginning(play, ask, picture, shown):
    """The same one hits, another one does not, and the words before it alone are too few."""
    simulator = play({"cache": True})

    def asking(colour, question):
        body = shown(picture(colour, (1536, 1024)), text="Look.")
        body["input"][0]["content"].append({"type": "input_text", "text": question})
        return cached(ask(simulator, body))

    assert [asking("red", "one?"), asking("red", "two?"), asking("blue", "three?")] == [0, 1024, 0]


def test_what_stands_first_parts_prompts(play, ask):
    """Another model, other tools or other instructions: nothing of the rest is found."""
    simulator = play({"cache": True})
    ask(simulator, LONG)
    tools = [{"type": "web_search"}]
    others = [{"model": "gpt-4o"}, {"tools": tools}, {"instructions": "Be brief."}]
    assert [cached(ask(simulator, LONG, **other)) for other in others] == [0, 0, 0]
    assert cached(ask(simulator, LONG, temperature=0.5)) > 0


def test_a_short_prompt_is_not_cached(play, ask):
    """However often it is asked."""
    simulator = play({"cache": True})
    assert [cached(ask(simulator, "word " * 900)) for _ in range(3)] == [0, 0, 0]
