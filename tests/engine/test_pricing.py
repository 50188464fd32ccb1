"""What ``check`` says of prices before anything is paid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import api

LISTED = "list price of OpenAI, genai-prices 0.2.3 of 2026-11-10; simulated: nothing is billed"


def said(folder: Path, **settings: Any) -> list[str]:
    """Return the notes on prices and costs of a job."""
    (folder / "rows.csv").write_text("a,name,tier\nx,gpt-5,flex\ny,gpt-5,flex\nz,nobody-1,default\n", encoding="utf-8")
    spec = {"provider": "simulator", "model": "gpt-5", "input": "rows.csv", "prompt": "{{ a }}", "output": "o.parquet"}
    (folder / "job.yaml").write_text(yaml.safe_dump(spec | settings), encoding="utf-8")
    return [note for note in api.check(folder / "job.yaml").notes if note.startswith(("price", "no price", "cost"))]


def test_the_price_that_will_be_used_is_shown_with_its_source(tmp_path: Path) -> None:
    """Rates, long prompts, and where they are from."""
    assert said(tmp_path) == [f"price: gpt-5: $1.25 in, $0.125 cached, $10 out per million tokens ({LISTED})"]
    (longer,) = said(tmp_path, model="gpt-5.4")
    assert ", $5 in and $22.5 out above 272,000 tokens of input (list price" in longer


def test_each_model_and_tier_of_the_first_rows_is_priced(tmp_path: Path) -> None:
    """Templates are priced by what the rows make of them, and a model without a price says what to write."""
    assert said(tmp_path, model="{{ name }}", request={"service_tier": "{{ tier }}"}) == [
        f"price: gpt-5 (flex): $0.625 in, $0.0625 cached, $5 out per million tokens ({LISTED})",
        "no price: genai-prices 0.2.3 lists no price for nobody-1; the cost will be unknown. "
        "Write it under prices: nobody-1: {input: …, output: …}",
    ]


@pytest.mark.parametrize(
    ("settings", "warning"),
    [
        (
            {"model": "gpt-4o", "request": {"service_tier": "flex"}},
            "cost: at the standard price: no flex price of gpt-4o is known",
        ),
        (
            {"prices": {"gpt-5": {"input": 1, "output": 2}}, "extra_body": {"service_tier": "flex"}},
            "cost: at the standard price: prices.gpt-5 says nothing of flex",
        ),
        (
            {"request": {"tools": [{"type": "web_search"}]}},
            "cost: hosted searches are billed apart, and their price is not known: write per_search under prices",
        ),
    ],
)
def test_what_will_be_missing_from_the_cost_is_a_warning(
    tmp_path: Path, settings: dict[str, Any], warning: str
) -> None:
    """A tier that changes nothing and searches without a price are told before the run."""
    assert warning in said(tmp_path, **settings)


@pytest.mark.parametrize(
    ("key", "model", "idle"),
    [
        ("gtp-5*", "gpt-5", True),
        ("gpt-5", "gpt-5", False),
        ("GPT-5*", "gpt-5-mini", False),
        ("openai/gpt-5", "gpt-5", False),
        ("gpt-5-2026-03-17", "gpt-5", False),
        ("gpt-5", "gpt-5-mini", True),
        ("gtp-5", "{{ name }}", False),
    ],
)
def test_a_price_for_no_model_of_the_job_is_named(tmp_path: Path, key: str, model: str, idle: bool) -> None:
    """A misspelt name would leave the list price in force, silently; where rows name their models nobody can tell."""
    notes = said(tmp_path, model=model, prices={key: {"input": 1, "output": 2}})
    assert (f"prices.{key}: no model of this job is called so ({model})" in notes) is idle
    (estimate,) = api.estimate(tmp_path / "job.yaml")
    assert any(note.startswith(f"prices.{key}: no model") for note in estimate.assumptions) is idle
