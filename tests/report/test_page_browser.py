"""Pages in a real browser: charts are drawn under the policy, the gallery answers, and nothing leaves, complains or runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import stories
from playwright.sync_api import Browser, Page, sync_playwright

from pipeline.report.page import render_comparison, render_estimate, render_story

PAGES: dict[str, Callable[[], str]] = {
    "story": lambda: render_story(stories.story(60)),
    "hostile": lambda: render_story(stories.hostile()),
    "empty": lambda: render_story(stories.empty()),
    "comparison": lambda: render_comparison(stories.comparison()),
    "estimate": lambda: render_estimate([stories.estimate()], title="Captions", version="0.1.0", made_at=0.0),
}
DRAWN = "document.querySelectorAll('[data-drawn]').length"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start the system's Chromium once."""
    program = shutil.which("chromium")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("chromium is not installed, and in CI the report must be looked at")
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write each page as a file, as people open it."""
    folder = tmp_path_factory.mktemp("pages")
    for name, draw in PAGES.items():
        (folder / f"{name}.html").write_text(draw(), encoding="utf-8")
    return folder


class Window:
    """A browser's window and all that it asked the network for, said on its console, or was refused by the policy."""

    def __init__(self, page: Page, folder: Path) -> None:
        self.page = page
        self.folder = folder
        self.asked: list[str] = []
        self.said: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))
        page.add_init_script(
            "addEventListener('securitypolicyviolation', event => console.error('refused ' + event.violatedDirective))"
        )

    def open(self, name: str, anchor: str = "") -> Page:
        """Open a page and wait until all its charts are drawn."""
        self.page.goto(f"{(self.folder / name).as_uri()}.html{anchor}")
        self.page.locator("[data-chart]:not([data-drawn])").first.wait_for(state="detached")
        return self.page


@pytest.fixture
def window(browser: Browser, written: Path) -> Iterator[Window]:
    """Open a window, and afterwards make sure that it was quiet."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    made = Window(context.new_page(), written)
    yield made
    context.close()
    assert made.said == []
    assert [url for url in made.asked if not url.startswith(("file:", "data:"))] == []


def cards(page: Page) -> int:
    """Return how many cards the gallery shows."""
    return page.locator(".card").count()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_asks_nobody_says_nothing_and_is_refused_nothing(window: Window, name: str) -> None:
    """No request beside the file itself, an empty console, no violation of the policy."""
    page = window.open(name)
    assert len([url for url in window.asked if url.startswith("file:")]) == 1
    assert page.locator("h1").is_visible()


def test_marks_are_drawn_under_the_policy(window: Window) -> None:
    """Vega interprets its expressions: five charts as SVG, with a bar for each span of time and a point for each outlier."""
    page = window.open("story")
    assert page.evaluate(DRAWN) == 5
    assert page.locator("[data-chart=throughput] .mark-rect path").count() > 48
    assert page.locator("[data-chart=latency] .mark-line path").count() == 3
    assert page.locator("[data-chart=outliers] .mark-symbol path").count() == 14
    assert page.locator("[data-chart] canvas").count() == 0


def test_a_chart_tells_its_figures_under_the_pointer(window: Window) -> None:
    """Also the tooltip does without styles or scripts of its own."""
    page = window.open("story")
    page.locator("[data-chart=throughput] .mark-rect path").nth(20).hover()
    page.locator("#vg-tooltip-element.visible").wait_for()
    assert "per minute" in page.locator("#vg-tooltip-element").inner_text()


def test_search_and_filters_show_the_rows_that_fit_and_their_number(window: Window) -> None:
    """Words are looked for everywhere, filters add up, and where nothing fits the page says so."""
    page = window.open("story")
    assert cards(page) == 24
    page.fill("#q", "GINGER cat")
    few = cards(page)
    assert 0 < few <= 24
    assert page.locator("#found").inner_text().startswith(f"{few} of 60 rows")
    page.fill("#q", "no such words anywhere")
    assert cards(page) == 0
    assert "No row fits" in page.locator("#found").inner_text()
    page.fill("#q", "")
    page.select_option("#status", "failed")
    assert set(page.locator(".card .tags .chip:first-child").all_inner_texts()) == {"failed"}


def test_the_gallery_turns_its_pages_and_orders_by_cost(window: Window) -> None:
    """60 cards are three pages; the most expensive comes first where one asks for it."""
    page = window.open("story")
    page.click("#after")
    page.click("#after")
    assert cards(page) == 12
    assert page.locator("#after").is_disabled()
    page.select_option("#order", "cost")
    costs = [float(text.lstrip("$")) for text in page.locator(".card .base b").all_inner_texts() if text != "unknown"]
    assert costs == sorted(costs, reverse=True)


def test_the_theme_follows_the_system_until_it_is_chosen(window: Window) -> None:
    """One click turns the ground from light to dark, and charts with it; the next one turns them back."""
    page = window.open("story")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    bar = "getComputedStyle(document.querySelector('[data-chart=throughput] .mark-rect path')).fill"
    light = (page.evaluate(ground), page.evaluate(bar))
    page.click("#theme")
    dark = (page.evaluate(ground), page.evaluate(bar))
    page.click("#theme")
    assert light[0] != dark[0]
    assert light[1] != dark[1]
    assert (page.evaluate(ground), page.evaluate(bar)) == light


def test_a_row_opens_by_click_and_by_key_and_closes_by_escape(window: Window) -> None:
    """It shows request, reply and attempts, arrows lead to its neighbours, the address names it, and focus comes back to its card."""
    page = window.open("story")
    card = page.locator(".card").nth(3)
    card.click()
    sheet = page.locator("dialog[open]")
    assert '"model":' in sheet.locator("pre").first.inner_text()
    assert sheet.locator(".trial").count() >= 1
    title = sheet.locator("h2").inner_text()
    page.keyboard.press("ArrowRight")
    sheet.get_by_text(title, exact=True).wait_for(state="detached")
    page.keyboard.press("ArrowLeft")
    sheet.get_by_text(title, exact=True).wait_for()
    page.keyboard.press("Escape")
    sheet.wait_for(state="detached")
    assert page.evaluate("document.activeElement.id") == card.get_attribute("id")
    page.keyboard.press("Enter")
    assert page.locator("dialog[open] h2").inner_text().startswith("Row ")


def test_a_link_opens_a_row_and_one_to_a_row_that_is_not_there_opens_nothing(window: Window) -> None:
    """The part of the address behind # is enough, also in an open page."""
    last = stories.story(60).cards[-1].row
    page = window.open("story", f"#row-{last}")
    assert page.locator("dialog[open] h2").inner_text() == f"Row {last}"
    page.evaluate("location.hash = 'row-99999999'")
    page.locator("dialog[open]").wait_for(state="detached")


def test_what_is_hostile_stays_text_in_the_gallery_and_in_a_row(window: Window) -> None:
    """No element comes from an answer, no picture from elsewhere, no link from a text, and no dialog opens by itself."""
    page = window.open("hostile")
    assert stories.ATTACKS[0] in page.locator("#cards").inner_text()
    page.locator(".card").nth(2).click()
    shown = page.locator("dialog[open]").inner_text()
    assert stories.ATTACKS[2] in shown
    assert "abc\\u202egnp.exe" in shown
    assert page.evaluate("[...document.images].every(image => image.src.startsWith('data:image/webp'))")
    assert page.evaluate("[...document.links].every(link => link.getAttribute('href').startsWith('#'))")
    assert page.locator("script").count() == 3


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [360, 768])
def test_no_page_is_wider_than_a_phone(window: Window, name: str, width: int) -> None:
    """Wide tables scroll in themselves, also where a word of ten thousand letters stands in them."""
    window.page.set_viewport_size({"width": width, "height": 740})
    page = window.open(name)
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_paper_is_light_whole_and_without_controls(window: Window) -> None:
    """In print a dark page is light, everything is open, and buttons are gone."""
    page = window.open("story")
    page.click("#theme")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("main details:not([open])").count() == 0
    assert page.locator("button:visible:not(.card), input:visible, nav:visible").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("main details:not([open])").count() > 0


CONTRAST = """() => {
  const parse = (color) => { const c = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    c.fillStyle = color; c.fillRect(0, 0, 1, 1); return [...c.getImageData(0, 0, 1, 1).data].slice(0, 3).map(v => v / 255)
      .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); };
  const light = (color) => { const [r, g, b] = parse(color); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const probe = document.body.appendChild(document.createElement('i'));
  const of = (name) => { probe.style.color = `var(--${name})`; return light(getComputedStyle(probe).color); };
  const poor = [];
  for (const text of ['ink', 'muted', 'accent', 'good', 'bad', 'warn']) for (const ground of ['ground', 'surface']) {
    const [a, b] = [of(text), of(ground)].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) poor.push([text, ground, (a + 0.05) / (b + 0.05)]);
  }
  probe.remove();
  return poor;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_that_aa_asks_for(window: Window, scheme: str) -> None:
    """Every colour of text on both grounds, 4.5 to 1, in both themes."""
    page = window.open("empty")
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    assert page.evaluate(CONTRAST) == []


def test_everything_that_is_used_has_a_name(window: Window) -> None:
    """Buttons, fields, regions, charts and the dialog tell a screen reader what they are; there is one main part and one first heading."""
    page = window.open("story", f"#row-{stories.story(60).cards[0].row}")
    nameless = """[...document.querySelectorAll('button, input, select, [role=img], [role=region], dialog, nav, section')].filter(each =>
      !(each.innerText || each.getAttribute('aria-label') || each.getAttribute('aria-labelledby') || each.labels?.length)).length"""
    assert page.evaluate(nameless) == 0
    assert page.locator("main").count() == page.locator("h1").count() == 1
    assert page.evaluate("document.querySelectorAll('[data-chart]:not([aria-label])').length") == 0
