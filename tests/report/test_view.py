"""What a page's bars and tables are made of."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import stories
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.story import Verdicts
from pipeline.report.view import LABELS_SHOWN, Part, confusion, headline, pairs, pieces, spent_of, token_parts
from pipeline.report.view import estimate as estimate_view

COUNTS = st.lists(st.tuples(st.sampled_from(["x", "y"]), st.just("n"), st.integers(0, 10**9)), max_size=8)


@given(COUNTS)
def test_pieces_of_a_bar_lie_side_by_side_and_fill_it(parts: list[tuple[str, str, int]]) -> None:
    """Each begins where the last one ends, and together they are the whole."""
    laid = pieces(parts)
    assert all(abs(one.x + one.width - other.x) < 0.01 for one, other in pairwise(laid))
    assert not laid or abs(laid[-1].x + laid[-1].width - 100) < 0.01


def test_parts_of_tokens_do_not_overlap() -> None:
    """Cached and written input come out of the input, reasoning out of the output."""
    tokens = {"input": 100, "cached": 40, "cache_write": 10, "output": 30, "reasoning": 20}
    assert [(part.kind, part.value) for part in token_parts(tokens)] == [
        ("input", 50),
        ("cached", 40),
        ("written", 10),
        ("output", 10),
        ("reasoning", 20),
    ]


def test_unknown_tokens_are_no_part() -> None:
    """Nothing is drawn for what nobody knows."""
    assert token_parts(dict.fromkeys(("input", "cached", "cache_write", "output", "reasoning"))) == []
    assert Part("input", "input", 5) in token_parts(
        {"input": 5, "cached": None, "cache_write": None, "output": None, "reasoning": None}
    )


@pytest.mark.parametrize("labels", [1, 3, LABELS_SHOWN, LABELS_SHOWN + 20])
def test_a_confusion_table_counts_every_row_once(labels: int) -> None:
    """Also where many labels are summed in the last one, and those answered rightly among them still count as right."""
    table = [(f"k{n}", f"k{n}", 5) for n in range(labels)] + [
        (f"k{n}", f"k{(n + 1) % labels}", 1) for n in range(labels)
    ]
    shown = confusion(Verdicts("gold", "field", labels * 6, labels * 5, 5 / 6, table, []))
    assert sum(rows for line in shown["lines"] for rows, _, _ in line["cells"]) == labels * 6
    assert len(shown["labels"]) == min(labels, LABELS_SHOWN)
    assert shown["lines"][-1]["recall"] == ("83.3 %" if labels > 1 else "100 %")


def test_an_unknown_cost_stays_unknown_and_a_half_known_one_is_told() -> None:
    """Unknown and unknown are not zero."""
    assert spent_of(stories.empty().bill) is None
    assert spent_of(stories.story(0).bill) == pytest.approx(12.297)


def test_time_and_speed_leave_out_pauses_and_a_clock_that_was_set_back() -> None:
    """A run that rested a day did not take one; where its end lies before its start nobody knows."""
    base = replace(stories.story(0), started_at=1_000.0, ended_at=90_060.0)
    rested = headline(replace(base, paused_s=89_000.0))
    answered = sum(moment.answered for moment in base.moments)
    assert (rested["span"], rested["speed"]) == (60.0, answered)
    back = headline(replace(base, ended_at=900.0))
    assert (back["span"], back["speed"]) == (None, None)


def test_rows_that_were_never_asked_count_neither_as_wished_nor_in_the_cost_of_a_row() -> None:
    """A thousand rows cost what their answers in use cost, all samples of a row together."""
    by_status = [("ok", 20, "", True), ("skipped", 8, "", True), ("pending", 4, "", False)]
    base = stories.story(0)
    told = headline(
        replace(base, by_status=by_status, samples=2, exit_code=0, bill=replace(base.bill, table=5.0, superseded=3.0))
    )
    assert (told["wished"], told["total"], told["per_row"]) == (20, 24, 0.5)
    assert told["state"] == ("good", "finished, every row that was asked is ok")


def test_shares_change_by_points() -> None:
    """From 25.3 % to 27.6 % are 2.3 points, not 9.1 %."""
    base = stories.comparison()
    verdicts = stories.story(0).verdicts
    assert verdicts is not None
    before, after = (
        replace(story, verdicts=replace(verdicts, accuracy=accuracy))
        for story, accuracy in ((base.before, 0.253), (base.after, 0.276))
    )
    accuracy = next(each for each in pairs(replace(base, before=before, after=after)) if each["name"] == "Accuracy")
    assert (accuracy["change"], accuracy["better"]) == (pytest.approx(0.023), True)


def test_two_runs_are_better_or_worse_where_one_can_say_so() -> None:
    """Less cost is better, fewer tokens are neither, and no change is no judgement."""
    figures = {pair["name"]: pair for pair in pairs(stories.comparison())}
    assert figures["Cost"]["better"] is False
    assert figures["Input tokens"]["better"] is None
    assert figures["Rows as wished"]["better"] is None
    assert figures["Median latency"]["before"] is None


def test_what_is_counted_is_called_by_its_name() -> None:
    """A run of several samples has more answers than rows."""
    base = stories.comparison()
    sampled = replace(base, after=replace(base.after, samples=5))
    names = [pair["name"] for pair in pairs(sampled)]
    assert "Answers as wished" in names
    assert "Rows as wished" not in names


def test_an_estimate_of_nothing_left_to_send_is_drawn() -> None:
    """Its cost is zero, and has a place in its bar like any other."""
    nothing = {"low": 0.0, "mid": 0.0, "high": 0.0}
    quote = {"model": "m", "group": None, "others": 0, "input": {"text": nothing}, "cost": nothing}
    shown = estimate_view({"total": quote, "quotes": [dict(quote)], "groups": []})
    assert shown["quotes"][0]["place"] == {"low": 0.0, "mid": 0.0, "width": 0.5}
