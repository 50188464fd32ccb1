"""By script, usages follow published rules, lie beside them, and answers have lengths that nobody can foresee."""

from __future__ import annotations

import math
import statistics

import pytest

from pipeline.simulator.figures import Figures, Lengths
from pipeline.simulator.published import rules_for
from pipeline.simulator.reckon import reckoner

PUBLISHED = [
    ("gpt-4o", 1024, 1024, None, 765),
    ("gpt-4.1", 2048, 4096, "high", 1105),
    ("gpt-5", 640, 480, "high", 350),
    ("gpt-5", 640, 480, "low", 70),
    ("o3", 1920, 1080, "high", 975),
    ("gpt-4o-mini", 1024, 1024, "high", 25_501),
    ("gpt-5.4-mini", 1024, 1024, None, 1659),
    ("gpt-5.4-mini", 4000, 3000, None, 2353),
    ("gpt-5-nano", 256, 256, None, 158),
    ("gpt-5.2", 1800, 2400, None, 1452),
    ("gpt-5.4", 4000, 3000, "auto", 2451),
    ("gpt-5.4", 4000, 3000, "original", 9890),
    ("gpt-5.5", 4000, 3000, None, 9890),
    ("gpt-5.6", 4000, 3000, None, 11_750),
    ("gpt-5.6", 4000, 3000, "high", 2451),
    ("gemini-2.5-pro", 960, 540, None, 1548),
    ("gemini-2.5-pro", 384, 384, None, 258),
    ("gemini-3-pro", 10, 10, None, 1120),
    ("somebody's", 512, 513, None, 85 + 340),
]


@pytest.mark.parametrize(("model", "width", "height", "detail", "tokens"), PUBLISHED)
def test_published_rules_bill_a_picture_as_the_guides_say(model, width, height, detail, tokens):
    """The examples of the guides come out, rounded up to whole tokens; an unknown model is billed by the own rules."""
    assert rules_for("published", model).image(width, height, detail) == tokens
    assert rules_for("own", model).image(1024, 1024, None) == 85 + 4 * 170


def test_a_usage_and_the_endpoint_that_counts_agree(play, ask, http, shown, picture):
    """The count before sending is the bill's input, perturbed alike; what is no input is refused there."""
    simulator = play({"input_tokens": {"rules": "published", "perturb": 0.1}})
    body = shown(picture(size=(640, 480)), text="How many birds?") | {"model": "gpt-5"}
    counted = http.post(simulator.base_url() + "/responses/input_tokens", json=body)
    refused = http.post(simulator.base_url() + "/responses/input_tokens", json={**body, "max_output_tokens": 20})

    assert counted.json() == {
        "object": "response.input_tokens",
        "input_tokens": ask(simulator, body).json()["usage"]["input_tokens"],
    }
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "max_output_tokens")


def test_what_is_reckoned_is_what_is_billed(play, ask, shown, picture):
    """Without a server the same usage comes out, also where the cap cuts the answer."""
    script = {"seed": 3, "input_tokens": {"perturb": 0.1}, "output_tokens": {"median": 40, "p95": 110}}
    simulator, reckon = play(script), reckoner(script)
    for number in range(20):
        body = shown(picture(size=(64 * number + 8, 90)), text=f"Row {number}") | {"max_output_tokens": 50}
        usage = ask(simulator, body).json()["usage"]
        assert (usage["input_tokens"], usage["output_tokens"]) == (reckon(body).input, reckon(body).output)
        assert usage["output_tokens"] <= 50


def test_a_perturbed_input_stays_within_its_share_to_both_sides():
    """Each request has its own factor, the same every time."""
    figures = Figures(perturb=0.1)
    billed = [figures.input(1000, str(number)) for number in range(500)]

    assert 900 <= min(billed) < 910
    assert 1090 < max(billed) <= 1100
    assert billed == [figures.input(1000, str(number)) for number in range(500)]


def test_lengths_are_log_normal_and_grow_with_the_input():
    """Median and 95th percentile are those of the script; the mean lies above the median."""
    figures = Figures(lengths=Lengths(40, 110, per_input=0.1))
    lengths = sorted(figures.output(7, 0, str(number)) for number in range(4000))

    assert math.isclose(lengths[2000], 40, rel_tol=0.05)
    assert math.isclose(lengths[3800], 110, rel_tol=0.1)
    assert statistics.fmean(lengths) > 45
    assert statistics.median(figures.output(7, 400, str(number)) for number in range(1000)) > 70


@pytest.mark.parametrize(("seconds", "pages"), [(None, None), (12.5, 3)])
def test_videos_and_documents_have_published_rules_too(seconds, pages):
    """Seconds and pages cost by the model's family; what is unknown costs as the provider itself has it."""
    two, three = rules_for("published", "gemini-2.5-flash"), rules_for("published", "gemini-3-flash")

    assert (two.video(seconds), three.video(seconds)) == ((1000, 1000) if seconds is None else (3900, 1300))
    assert three.file(4000, pages) == (1000 if pages is None else 3 * 1060)
