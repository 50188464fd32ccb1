"""What is generated from the model is complete, and the copy in the repository is fresh."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from pipeline.spec.job import Job
from pipeline.spec.reference import SPECS, reference, schema
from pipeline.spec.settings import paths

ROOT = Path(__file__).parents[2]
SMALL: dict[str, Any] = {"provider": "simulator", "model": "m", "input": "a.csv", "prompt": "hi", "output": "o.parquet"}


@pytest.mark.parametrize("kind", list(SPECS))
def test_the_schema_file_is_fresh(kind: str) -> None:
    """`python -m pipeline.spec.reference > jobs/job.schema.json` refreshes it, with `estimate` the other."""
    stored = json.loads((ROOT / "jobs" / f"{kind}.schema.json").read_text(encoding="utf-8"))
    assert stored == schema(kind), f"stale; run: python -m pipeline.spec.reference {kind} > jobs/{kind}.schema.json"


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"$schema": "./job.schema.json"},
        {"provider": {"name": "openai"}},
        {"input": ["a.csv"]},
        {"input": {"path": "a.csv", "sample": 5}},
        {"prompt": [{"text": "a"}, {"image": "b", "detail": "low"}]},
        {"output": {"path": "o.parquet", "fields": {"a": "int"}}},
    ],
)
def test_short_and_long_forms_fit_the_schema(change: dict[str, Any]) -> None:
    """An editor underlines nothing that the loader takes."""
    spec = {**SMALL, **change}
    assert jsonschema_rs.is_valid(schema(), spec)
    spec.pop("$schema", None)
    Job.model_validate(spec)


@pytest.mark.parametrize(
    "change", [{"limit": 5}, {"on_null": "x"}, {"provider": 5}, {"input": {"limit": 5}}, {"output": None}]
)
def test_mistakes_do_not_fit_the_schema(change: dict[str, Any]) -> None:
    """An editor underlines what the loader refuses."""
    assert not jsonschema_rs.is_valid(schema(), {**SMALL, **change})


def test_the_sample_jobs_fit_the_schema() -> None:
    """Every spec in `jobs/` names the schema of its kind and fits it."""
    specs = sorted((ROOT / "jobs").glob("*.yaml"))
    assert specs
    for path in specs:
        text = path.read_text(encoding="utf-8")
        kind = "estimate" if path.name == "estimate.yaml" else "job"
        assert text.startswith(f"# yaml-language-server: $schema={kind}.schema.json\n")
        jsonschema_rs.validate(schema(kind), yaml.safe_load(text))


def test_every_setting_is_in_the_reference_with_its_meaning() -> None:
    """A setting without a sentence is not done."""
    rows = reference()
    assert len(rows) == len(list(paths()))
    for key, type_, _, meaning in rows:
        assert type_, key
        assert meaning.endswith((".", ")")), key


def test_the_reference_says_type_and_default() -> None:
    """A few rows as they are shown."""
    rows = {key: (type_, default) for key, type_, default, _ in reference()}
    assert rows["input"] == ("text or list of text or map", "required")
    assert rows["input.limit"] == ("whole number", "")
    assert rows["prompt.user[].detail"] == ("one of `low`, `high`, `auto`, `original`", "")
    assert rows["on_null"] == ("one of `fail`, `skip`, `empty`", '"fail"')
    assert rows["retry.attempts"] == ("whole number", "6")
    assert rows["provider.headers"] == ("map to text", "")
    assert rows["output.fields"] == ("map of names to types, or JSON Schema", "")
