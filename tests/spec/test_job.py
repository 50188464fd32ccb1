"""The job's model: short forms, and what it takes and refuses by itself."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.spec.job import Job
from pipeline.spec.settings import paths, settings_at

SMALL: dict[str, Any] = {"provider": "simulator", "model": "m", "input": "a.csv", "prompt": "hi", "output": "o.parquet"}


@pytest.mark.parametrize(
    ("name", "short", "long"),
    [
        ("provider", "openai", {"name": "openai"}),
        ("input", "a.csv", {"path": "a.csv"}),
        ("input", ["a.csv", "b.csv"], {"path": ["a.csv", "b.csv"]}),
        ("input", {"path": "a", "sample": 5}, {"path": "a", "sample": {"rows": 5}}),
        ("prompt", "hi", {"user": "hi"}),
        ("prompt", [{"text": "hi"}], {"user": [{"text": "hi"}]}),
        ("output", "o.parquet", {"path": "o.parquet"}),
    ],
)
def test_a_short_form_is_the_long_one(name: str, short: object, long: object) -> None:
    """A value that is no map stands for the group's main setting."""
    assert Job.model_validate({**SMALL, name: short}) == Job.model_validate({**SMALL, name: long})


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize(
    "name", ["stop_after", "limits.concurrency", "limits.requests_per_minute", "input.sample.seed"]
)
def test_true_is_no_number(name: str, value: bool) -> None:
    """Python would take `true` for 1."""
    *above, last = name.split(".")
    setting: dict[str, Any] = {last: value}
    for group in reversed(above):
        setting = {group: setting}
    with pytest.raises(ValidationError, match=f"must be a number, not {str(value).lower()}"):
        Job.model_validate({**SMALL, **setting})


def test_a_job_dumps_to_what_it_was_made_of() -> None:
    """A job's plain values make the same job again, typed columns included."""
    job = Job.model_validate({**SMALL, "output": {"path": "o.parquet", "fields": {"a": "int?", "b": ["string"]}}})
    assert Job.model_validate(job.model_dump()) == job
    assert Job.model_validate_json(job.model_dump_json()) == job


def test_every_path_of_the_model_is_found_again() -> None:
    """What walks the model down finds what lists it."""
    for path in paths():
        group = settings_at(path[:-1])
        assert group is not None
        assert path[-1] in group.model_fields
    assert settings_at(("nowhere",)) is None
    assert settings_at(("model", "x")) is None


def test_pictures_are_sent_inline_only_where_urls_may_be_fetched() -> None:
    """Otherwise a row with a URL would have no way out."""
    with pytest.raises(ValidationError, match="fetch: true"):
        Job.model_validate({**SMALL, "media": {"send": "inline"}})
    assert Job.model_validate({**SMALL, "media": {"send": "inline", "fetch": True}}).media.fetch


@pytest.mark.parametrize("side", [0, -1, True])
def test_a_longest_side_is_a_number_of_pixels(side: object) -> None:
    """At least one."""
    with pytest.raises(ValidationError):
        Job.model_validate({**SMALL, "media": {"max_side": side}})
