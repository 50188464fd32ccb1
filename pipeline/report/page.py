"""A report as one HTML file that loads nothing: stories, comparisons and estimates, drawn from the templates in ``paper``.

All texts may be hostile. Templates escape them, scripts put them into the page as text only, and the content security policy runs no script
and takes no style but those whose hashes it names. There is no ``unsafe-eval``: Vega interprets its expressions.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import orjson
from minijinja import Environment, safe

from pipeline.records import Status
from pipeline.report import view
from pipeline.report.figures import FILTERS, money, plain, seconds, short
from pipeline.report.story import Card, Change, Comparison, Story, Trial
from pipeline.report.text import counted, unit

if TYPE_CHECKING:
    from pipeline.cost.estimate import Estimate

MOST_BYTES = 3_000_000  # of a page; the library that draws has 0.9 million of them
_ROOM = 1_700_000  # bytes of cards, which leaves the rest of a page as much as it may need
_SLACK = 1_000  # bytes of what changes with the number of cards
_LONGEST = 600  # characters of a text outside the gallery
_PICTURES = ("data:image/webp;base64,", "data:image/png;base64,", "data:image/jpeg;base64,", "data:image/gif;base64,")
_STANDINGS = {"pilot": "after a pilot", "exact": "with input that the provider counted"}
_ESCAPES = (
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)


def render_story(story: Story) -> str:
    """Return the page of one run, with as many of the cards, those with a reason first, as fit onto a page."""
    from pipeline.report import charts  # altair and its library take a second and 100 MB

    drawn = charts.charts_of(story)
    scripts = [*([charts.bundle()] if drawn else []), _read("page.js") + "\n" + _read("gallery.js")]
    page = _story(story, drawn, scripts, _ROOM)
    over = len(page.encode()) - MOST_BYTES
    return page if over <= 0 else _story(story, drawn, scripts, _ROOM - over - _SLACK)


def _story(story: Story, drawn: Mapping[str, object], scripts: Sequence[str], room: int) -> str:
    """Return the page of a run with as many cards as fit into so many bytes."""
    special_first = sorted(story.cards, key=lambda card: not set(card.tags) - {"sampled"})
    cards, pictures = _fitting(special_first, room)
    cards.sort(key=lambda card: (card["row"], card["sample"]))
    there = {(card["row"], card["sample"]) for card in cards}
    data = {"cards": cards, "pictures": pictures, "samples": story.samples, "charts": drawn}
    known = [card["row"] for card in cards]
    drawn_story = replace(story, cards=[card for card in story.cards if (card.row, card.sample) in there])
    told = view.told(drawn_story, _shown(story, [*_shown_of(story, len(cards)), *story.notes]))
    body = _template("story.html", **told, charts=list(drawn), known=known)
    return _page(f"{story.name} · run report", body, data, scripts)


def render_comparison(comparison: Comparison) -> str:
    """Return the page of two runs side by side, with as many of the changes, spread evenly, as fit onto a page."""
    page = _comparison(comparison, comparison.changes)
    most = len(comparison.changes)
    while len(page.encode()) > MOST_BYTES and most:
        most = most * 4 // 5
        spread = [comparison.changes[place * len(comparison.changes) // most] for place in range(most)]
        page = _comparison(comparison, spread)
    return page


def _comparison(comparison: Comparison, changes: Sequence[Change]) -> str:
    before, after = (replace(story, cards=()) for story in (comparison.before, comparison.after))
    shown = _plain(replace(comparison, before=before, after=after, changes=changes))
    pairs = view.pairs(comparison)
    body = _template("comparison.html", c=shown, pairs=pairs, cost=pairs[0])
    return _page(f"{before.name} and {after.name} · compared", body, {}, [_read("page.js")])


def render_estimate(estimates: Sequence[Estimate], *, title: str, version: str, made_at: float) -> str:
    """Return the page of what jobs would cost, in the order of the jobs."""
    shown = [view.estimate(_plain(each, _LONGEST)) for each in estimates]
    ways = {sampled["how"] for each in shown for sampled in each["sampled"]}
    standing = next((words for how, words in _STANDINGS.items() if how in ways), "before anything is sent")
    body = _template(
        "estimate.html", estimates=shown, standing=standing, title=plain(title), version=version, made_at=made_at
    )
    return _page(f"{title} · estimate", body, {}, [_read("page.js")])


def _shown(story: Story, notes: Sequence[str]) -> dict[str, Any]:
    """Return a story as plain values, without its cards, which the page's script draws."""
    return _plain(replace(story, cards=(), notes=notes, bill=view.listed_rates(story.bill)), _LONGEST)


def _plain(value: object, most: int | None = None) -> dict[str, Any]:
    shown = plain(value, most)
    assert isinstance(shown, dict)
    return shown


def _fitting(cards: Iterable[Card], room: int) -> tuple[list[dict[str, Any]], list[str]]:
    """Return as many of the first cards as fit into so many bytes, and their pictures, each once: cards name them by number."""
    kept: list[dict[str, Any]] = []
    pictures: dict[str, int] = {}
    for card in cards:
        shots = [uri for uri in (*card.made, *card.pictures) if uri.startswith(_PICTURES)]
        told = _card(card)
        room -= len(_json(told).encode()) + sum(len(uri) for uri in set(shots) if uri not in pictures)
        if room < 0:
            break
        told["pictures"] = [pictures.setdefault(uri, len(pictures)) for uri in shots]
        kept.append(told)
    return kept, list(pictures)


def _card(card: Card) -> dict[str, Any]:
    """Return what the gallery's script draws a card from: texts made visible, and figures as they are read."""
    told = _plain(replace(card, pictures=(), made=()))
    told["kind"] = view.color_of(card.status)
    tokens = view.token_parts(told.pop("tokens"))
    told["facts"] = {
        "Cost": money(card.cost),
        "Latency": seconds(card.latency_s),
        "Attempts": str(card.attempts),
        "Model": told["model"] or "\N{EN DASH}",
        **{part.name.capitalize(): short(part.value) for part in tokens},
    }
    told["trials"] = [_trial(trial) for trial in card.trials]
    return told


def _trial(trial: Trial) -> dict[str, Any]:
    told = _plain(trial)
    waited = f"waited {seconds(trial.waited_s)}" if trial.waited_s else None
    used = (
        f"{short(trial.input_tokens)} in, {short(trial.output_tokens)} out" if trial.input_tokens is not None else None
    )
    took = seconds(trial.latency_s) if trial.latency_s is not None else None
    cost = f"cost {money(trial.cost)}" if trial.cost is not None or trial.reply is not None else None
    facts = (told["model"], told["tier"], took, waited, used, cost)
    return {
        **{name: told[name] for name in ("state", "status", "error", "reply")},
        "kind": view.color_of(trial.status or "unknown"),
        "facts": [fact for fact in facts if fact],
    }


def _shown_of(story: Story, cards: int) -> list[str]:
    """Return how many of the rows have a card, where not all that ended have one."""
    ended = sum(rows for name, rows, _, _ in story.by_status if name != Status.PENDING)
    if cards >= ended:
        return []
    return [
        f"{cards:,} of {counted(ended, unit(story.samples))} are shown one by one, so that this page stays below {MOST_BYTES / 1e6:g} MB"
    ]


def _page(title: str, body: str, data: Mapping[str, object], scripts: Sequence[str]) -> str:
    """Put a page together: what its policy allows are the hashes of exactly these scripts and this style."""
    style = _read("page.css")
    allowed = " ".join(map(_hash, scripts))
    policy = f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {allowed}; base-uri 'none'; form-action 'none'"
    return _template(
        "page.html",
        policy=safe(policy),
        title=plain(title),
        style=safe(style),
        body=safe(body),
        data=safe(_json(data)),
        scripts=[safe(script) for script in scripts],
    )


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _json(data: object) -> str:
    """Return JSON that no HTML parser can take for the end of its element, or for anything but text."""
    text = orjson.dumps(data)
    for char, escape in _ESCAPES:
        text = text.replace(char, escape)
    return text.decode()


def _read(name: str) -> str:
    return (files("pipeline.report") / "paper" / name).read_text(encoding="utf-8")


def _template(name: str, **context: object) -> str:
    environment = Environment(
        loader=_read,
        filters=FILTERS,
        globals={"pieces": view.pieces, "colors": view.color_of},
        auto_escape_callback=lambda _: "html",
        undefined_behavior="strict",
        trim_blocks=True,
    )
    return environment.render_template(name, **context)
