"""``output.gold``: which column answers which field."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.spec.job import Output


def output(gold: object, **fields: Any) -> Output:
    return Output.model_validate({"path": "out.parquet", "fields": fields or None, "gold": gold})


@pytest.mark.parametrize(
    ("gold", "fields", "known"),
    [
        ("meant", {"label": "enum[a, b]", "reason": "string"}, {"label": "meant"}),
        ("meant", {"reason": "string"}, {"reason": "meant"}),
        ({"label": "one", "score": "two"}, {"label": "enum[a, b]", "score": "float"}, {"label": "one", "score": "two"}),
        (None, {"label": "string"}, {}),
    ],
)
def test_gold_names_a_column_for_a_field(gold: object, fields: dict[str, str], known: dict[str, str]) -> None:
    """A column alone answers the one field that is a choice; else the field is named."""
    assert output(gold, **fields).known == known


@pytest.mark.parametrize(
    ("gold", "fields", "message"),
    [
        ("meant", {}, "there are none"),
        ("meant", {"one": "bool", "two": "bool"}, "does not say which field"),
        ({"labl": "meant"}, {"label": "bool"}, "no field 'labl'"),
        ({"tags": "meant"}, {"tags": "list[string]"}, "which 'tags' is not"),
    ],
)
def test_gold_that_no_field_can_be_compared_with_is_refused(gold: object, fields: dict[str, str], message: str) -> None:
    """A mistake is told before anything is paid."""
    with pytest.raises(ValidationError, match=message):
        output(gold, **fields)
