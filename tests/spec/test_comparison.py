"""The spec of an estimate: told from a job's, and as strict."""

from __future__ import annotations

from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from pipeline.errors import SpecError
from pipeline.spec.load import load_comparison, load_job
from pipeline.spec.reference import schema

JOBS = Path(__file__).parents[2] / "jobs"


def written(folder: Path, text: str) -> Path:
    """A spec with this text."""
    path = folder / "estimate.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_list_of_jobs_is_enough(tmp_path: Path) -> None:
    """Their paths count from the spec's folder, wherever the command runs."""
    comparison = load_comparison(written(tmp_path, "estimate: [a.yaml, ../b.yaml]"))
    assert comparison is not None
    assert comparison.jobs == [tmp_path / "a.yaml", tmp_path.parent / "b.yaml"]
    assert (comparison.estimate.models, comparison.estimate.by) == ([], None)


def test_a_job_is_no_estimate() -> None:
    """Whoever asks for the one is told that it is the other."""
    assert load_comparison(JOBS / "caption.yaml") is None
    with pytest.raises(SpecError, match=r"estimate\.yaml:3:1: estimate: is the spec of an estimate"):
        load_job(JOBS / "estimate.yaml")


def test_every_mistake_is_told_at_its_place(tmp_path: Path) -> None:
    """As in a job: all at once, each with line and column, and what was meant."""
    text = "estimate:\n  jobs: []\n  modles: [x]\n  details: [ultra]\n  tiers: flex\n  by: 3\nfoo: 1\n"
    with pytest.raises(SpecError) as caught:
        load_comparison(written(tmp_path, text))
    places = [(problem.line, problem.column, problem.where) for problem in caught.value.problems]
    assert places == [
        (2, 9, "estimate.jobs"),
        (3, 3, "estimate.modles"),
        (4, 13, "estimate.details[0]"),
        (5, 10, "estimate.tiers"),
        (6, 7, "estimate.by"),
        (7, 1, "foo"),
    ]
    assert caught.value.problems[1].suggestion == "models"


def test_a_variable_that_is_not_set_is_a_mistake(tmp_path: Path) -> None:
    """Values are filled in as a job's are."""
    with pytest.raises(SpecError, match="NO_SUCH_MODEL"):
        load_comparison(written(tmp_path, "estimate:\n  jobs: [a.yaml]\n  models: ['${NO_SUCH_MODEL}']\n"))


def test_the_schema_takes_what_the_loader_takes() -> None:
    """An editor underlines mistakes in it, and nothing else."""
    sample = yaml.safe_load((JOBS / "estimate.yaml").read_text(encoding="utf-8"))
    jsonschema_rs.validate(schema("estimate"), sample)
    assert jsonschema_rs.is_valid(schema("estimate"), {"estimate": ["a.yaml"]})
    assert not jsonschema_rs.is_valid(schema("estimate"), {"estimate": {"jobs": ["a.yaml"], "modles": []}})


@pytest.mark.parametrize("key", ["estimates", "estimat", "Estimate"])
def test_a_misspelled_estimate_is_one_mistake(tmp_path: Path, key: str) -> None:
    """What was meant is named, and not all that a job would need."""
    path = tmp_path / "estimate.yaml"
    path.write_text(f"{key}: [a.yaml]\n")
    with pytest.raises(SpecError) as caught:
        load_job(path)
    ((problem),) = caught.value.problems
    assert (problem.where, problem.suggestion) == (key, "estimate")
