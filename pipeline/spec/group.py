"""A group of settings, the piece that the job is made of."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import ClassVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator

ADDRESS = r"^https?://[^\s]+$"
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
CURRENCY = r"^[A-Z]{3}$"
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
PATTERNS: Mapping[str, str] = {
    ADDRESS: "must be an address that begins with http:// or https://",
    VARIABLE: "must be the name of an environment variable",
    CURRENCY: "must be the three letters of a currency, such as USD, EUR or CNY",
    NAME: "must be at most 100 letters, digits, dots, dashes and underscores, and begin with a letter or a digit",
}
"""What the patterns of this module ask for, in words."""


class Settings(BaseModel):
    """A group of settings. A value that is no map is short for one that has only the setting named ``shorthand``."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)
    shorthand: ClassVar[str | None] = None

    @model_validator(mode="before")
    @classmethod
    def _from_shorthand(cls, value: object) -> object:
        is_short = cls.shorthand is not None and value is not None and not isinstance(value, Mapping | BaseModel)
        return {cls.shorthand: value} if is_short else value

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: object, info: ValidationInfo) -> object:
        # Python takes true for 1, and nobody means that by `concurrency: true`.
        annotation = cls.model_fields[str(info.field_name)].annotation
        kinds = (annotation, *get_args(annotation))
        if isinstance(value, bool) and not {int, float, Decimal}.isdisjoint(kinds):
            raise ValueError(f"must be a number, not {str(value).lower()}")
        return value
