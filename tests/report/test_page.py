"""A report is one file that loads nothing, runs nothing but its own, and shows all that strangers wrote as text."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from importlib.resources import files

import pytest
import stories

from pipeline.report.page import MOST_BYTES, render_comparison, render_estimate, render_story


def estimate() -> str:
    """Return the page of two estimated jobs."""
    return render_estimate(
        [stories.estimate(), stories.estimate("labels.yaml")], title="Both", version="0.1.0", made_at=0.0
    )


PAGES: dict[str, Callable[[], str]] = {
    "story": lambda: render_story(stories.story(20)),
    "empty": lambda: render_story(stories.empty()),
    "hostile": lambda: render_story(stories.hostile()),
    "comparison": lambda: render_comparison(stories.comparison()),
    "estimate": estimate,
}
every_page = pytest.mark.parametrize("draw", PAGES.values(), ids=PAGES)


class Parts(HTMLParser):
    """What a page consists of: its elements with their attributes, and the contents of its styles and scripts."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: list[tuple[str, str | None, str]] = []
        self.words: list[str] = []
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.elements.append((tag, dict(attrs)))
        self._inside = tag if tag in ("script", "style") else ""
        if self._inside:
            self.raw.append((tag, dict(attrs).get("type"), ""))

    def handle_data(self, data: str) -> None:
        """Note text, or the content of a script or a style."""
        if self._inside:
            tag, kind, content = self.raw[-1]
            self.raw[-1] = (tag, kind, content + data)
        else:
            self.words.append(data)

    def handle_endtag(self, tag: str) -> None:
        """Leave an element."""
        self._inside = ""


@every_page
def test_the_policy_names_the_hash_of_each_style_and_script_and_allows_nothing_else(draw: Callable[[], str]) -> None:
    """No unsafe-inline, no unsafe-eval, no host; a data block is no script and has no hash."""
    parts = Parts(draw())
    policy = next(
        a["content"] for tag, a in parts.elements if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    hashes = {
        f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"
        for _, kind, content in parts.raw
        if kind != "application/json"
    }
    assert policy is not None
    assert set(re.findall(r"'sha256-[^']+'", policy)) == hashes
    assert re.sub(r"'sha256-[^']+' ?", "", policy).replace(" ;", ";") == (
        "default-src 'none'; img-src data:; style-src ; script-src ; base-uri 'none'; form-action 'none'"
    ).replace(" ;", ";")


@every_page
def test_a_page_loads_nothing_and_has_no_inline_handlers_or_styles(draw: Callable[[], str]) -> None:
    """Sources and links are data or places in the page; attributes neither run nor style anything."""
    for _, attributes in Parts(draw()).elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert (attributes.get("src") or "data:").startswith("data:image/") or "src" not in attributes
        assert (attributes.get("href") or "#").startswith(("#", "data:,"))


def test_a_hostile_story_has_the_same_elements_as_a_harmless_one_and_its_texts_as_text() -> None:
    """Nothing in a text becomes an element, a template's expression or the end of a script; hidden characters are visible."""
    page = render_story(stories.hostile())
    parts = Parts(page)
    harmless = {tag for tag, _ in Parts(render_story(stories.story(20))).elements}
    words = "".join(parts.words)
    assert {tag for tag, _ in parts.elements} <= harmless
    assert len(parts.raw) == 4
    assert all(attack in words for attack in stories.ATTACKS[:7])
    assert "abc\\u202egnp.exe\\u202c" in words
    assert not re.search("[\u202a-\u202e\u2028\u2029\x00\x1b\ud800-\udfff]", page)


def test_data_for_the_script_is_json_that_no_html_parser_ends() -> None:
    """Angle brackets, ampersands and line separators stand as escapes, and read back they are the texts, emoji whole."""
    page = render_story(stories.hostile())
    data = next(content for _, kind, content in Parts(page).raw if kind == "application/json")
    answers = {text for card in json.loads(data)["cards"] for text in card["answer"].values()}
    assert not set("<>&\u2028\u2029") & set(data)
    assert {stories.ATTACKS[0], stories.ATTACKS[9], stories.ATTACKS[10]} <= answers


def test_only_small_pictures_in_data_uris_are_drawn() -> None:
    """A picture that is anything else is left out."""
    page = render_story(stories.hostile())
    data = json.loads(next(content for _, kind, content in Parts(page).raw if kind == "application/json"))
    assert data["pictures"]
    assert all(uri.startswith("data:image/webp;base64,") for uri in data["pictures"])


def test_a_comparison_draws_only_pictures_in_data_uris() -> None:
    """There too, and its hostile texts stay text."""
    base = stories.comparison()
    attack = stories.ATTACKS[5]
    evil = replace(
        base.changes[0], pictures=["https://example.com/x.png", "javascript:alert(1)"], before={attack: attack}
    )
    parts = Parts(render_comparison(replace(base, changes=[evil])))
    assert [tag for tag, _ in parts.elements if tag == "img"] == []
    assert "".join(parts.words).count(attack) >= 1


def test_a_story_of_300_cards_is_below_3_megabytes_and_keeps_each_picture_once() -> None:
    """Charts are drawn over aggregates, and rows that show the same picture share it."""
    page = render_story(stories.story(300))
    assert len(page.encode()) < MOST_BYTES
    assert page.count(stories.thumbnail("cat")) == 1


def test_cards_that_would_make_the_page_too_large_are_left_out_and_the_page_says_so() -> None:
    """Those that are there for a reason are kept before those by chance, and all stay in the order of rows."""
    base = stories.story(40)
    heavy = [replace(card, request="<" * 20_000, tags=["sampled"]) for card in base.cards]
    heavy[-1] = replace(heavy[-1], tags=["failed"])
    page = render_story(replace(base, cards=heavy))
    data = json.loads(next(content for _, kind, content in Parts(page).raw if kind == "application/json"))
    assert [card["row"] for card in data["cards"]] == [
        card.row for card in [*heavy[: len(data["cards"]) - 1], heavy[-1]]
    ]
    ended = sum(rows for status, rows, _, _ in base.by_status if status != "pending")
    assert f"{len(data['cards'])} of {ended:,} rows are shown one by one" in page
    assert 10 < len(data["cards"]) < 40
    assert len(page.encode()) < MOST_BYTES


def test_changes_that_would_make_a_page_too_large_are_left_out_and_the_page_says_so() -> None:
    """What is measured is the page as it is written: a quote takes six bytes of it."""
    base = stories.comparison()
    text = "\"&'/<" * 500
    changes = [replace(base.changes[0], row=row, inputs=dict.fromkeys("abcd", text)) for row in range(200)]
    page = render_comparison(replace(base, changes=changes, changed=200))
    kept = [int(row) for row in re.findall(r'id="row-(\d+)"', page)]
    assert MOST_BYTES * 0.6 < len(page.encode()) < MOST_BYTES
    assert f"{len(kept)} of 200 changed rows" in page
    assert kept[-1] - kept[0] > 150


def test_names_and_prices_of_many_models_do_not_make_a_page_too_large() -> None:
    """A server may name another model and tier in each answer: the first rates are listed, and the others counted."""
    base = stories.story(40)
    evil = "&'/" * 200
    rates = [replace(base.bill.rates[0], model=f"{n}{evil}", tier=f"{n}{evil}") for n in range(3_000)]
    page = render_story(replace(base, bill=replace(base.bill, rates=rates)))
    assert len(page.encode()) < MOST_BYTES
    assert "2,950 more are not listed" in page


def test_cards_give_way_to_a_page_that_is_large_without_them() -> None:
    """Whatever fills the page, cards are dropped until it is small enough."""
    base = stories.story(40)
    large = replace(base.columns[0], groups=base.columns[0].groups * 200)
    heavy = [replace(card, request="<" * 20_000) for card in base.cards]
    page = render_story(replace(base, cards=heavy, columns=[large]))
    data = json.loads(next(content for _, kind, content in Parts(page).raw if kind == "application/json"))
    assert 0 < len(data["cards"]) < 13
    assert len(page.encode()) < MOST_BYTES


def test_vega_is_put_in_only_where_a_chart_is_drawn() -> None:
    """A page without charts is small."""
    assert len(render_story(stories.empty())) < 60_000
    assert len(estimate()) < 90_000
    assert "vegaEmbed=" in render_story(stories.story(1))


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (lambda: render_story(stories.one_row()), "Simulated: nothing was paid."),
        (lambda: render_story(stories.empty()), "The run goes on."),
        (lambda: render_story(replace(stories.empty(), running=False)), "The run has not finished."),
        (lambda: render_story(stories.story(0)), "of unknown cost: 27 attempts ("),
        (lambda: render_story(stories.story(0)), "$12.297340116"),
        (lambda: render_story(stories.story(0)), "genai-prices 0.2.3"),
        (lambda: render_story(stories.story(0)), "no list has this model; give its price under prices:"),
        (lambda: render_story(stories.all_failed()), "Set OPENAI_API_KEY to a key of this project."),
        (lambda: render_comparison(stories.comparison()), "+97.6 %"),
        (estimate, "no list has this model"),
        (estimate, "Estimate, after a pilot"),
        (estimate, "by the pilot, for what is left to send"),
    ],
)
def test_a_page_says_what_must_not_be_overlooked(page: Callable[[], str], said: str) -> None:
    """Simulated and unfinished runs, unknown costs, the exact sum, where prices are from, and what to do."""
    assert said in unescape(page())


def test_a_page_says_what_the_prompt_cache_gave_and_saved() -> None:
    """Nothing where it gave nothing, no amount where it has no price, and a loss where writing cost more."""
    told = stories.story(1)
    assert told.cache is not None
    words = " ".join(Parts(render_story(told)).words)
    assert "33.5 %" in words
    assert "6,120 of 9,976 requests" in words
    assert "Saved by the provider's prompt cache" in words
    for saved, said in ((None, "33.5 %"), (-1.5, "Paid for writing into the prompt cache")):
        words = " ".join(Parts(render_story(replace(told, cache=replace(told.cache, saved=saved)))).words)
        assert said in words
        assert "Saved by" not in words
    assert "prompt cache" not in " ".join(Parts(render_story(replace(told, cache=None))).words)


def test_what_is_unknown_is_never_shown_as_nothing() -> None:
    """A run without known cost or tokens says so."""
    words = " ".join(Parts(render_story(stories.all_failed())).words)
    assert "$0" not in words
    assert words.count("unknown") >= 4


def test_templates_styles_and_scripts_travel_with_the_package() -> None:
    """They lie inside it, where the wheel takes everything."""
    names = {item.name for item in (files("pipeline.report") / "paper").iterdir()}
    assert {
        "page.html",
        "parts.html",
        "story.html",
        "comparison.html",
        "estimate.html",
        "page.css",
        "page.js",
        "gallery.js",
    } == names


def test_importing_the_page_does_not_load_what_draws_charts() -> None:
    """It comes with the first story that is drawn; comparisons and estimates do without."""
    program = "import sys, pipeline.report.page; sys.exit(bool({'altair', 'vl_convert'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
