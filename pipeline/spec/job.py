"""The job: what the user wrote, checked and frozen.

The model is the one description of the spec: the loader reports mistakes against it, the JSON Schema for editors and the reference in the
README are generated from it. A new knob is a field here, not a command line option. Nothing below ``api`` reads the environment.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from pipeline.errors import Problem
from pipeline.spec.budget import Caps
from pipeline.spec.fields import Fields
from pipeline.spec.gold import check_gold, known_answers
from pipeline.spec.group import NAME, Settings
from pipeline.spec.input import Input
from pipeline.spec.prices import Price
from pipeline.spec.prompt import Prompt
from pipeline.spec.provider import Provider
from pipeline.spec.request import ParameterErrors, check_request
from pipeline.spec.rules import Deadlines, Limits, MediaRules, Retry
from pipeline.spec.tools import Tools
from pipeline.wire.parameters import Complaint
from pipeline.wire.shape import is_template

_CHANGED_BY_ROUNDS = frozenset({"input", "tools", "tool_choice", "previous_response_id"})


class Output(Settings):
    """Where the table goes and which columns the answer becomes. A plain string is short for ``{path: …}``."""

    shorthand = "path"

    path: str
    """The Parquet file to write. Relative to the spec."""
    fields: Fields | None = None
    """Typed columns, as structured output: `{caption: string, score: float?, tags: [string], kind: "enum[a, b]"}`, or a JSON Schema."""
    prefix: str = ""
    """Put before the name of every column that is ours, where an input column has the same name."""
    keep: list[str] = []
    """Binary input columns to write too; by default they are left out."""
    raw: bool = False
    """Whether a column `raw` holds the reply that is the answer, as JSON, without pictures."""

    repair: int = Field(0, ge=0, le=3)
    """How often the model is asked again, with what is wrong, for an answer that does not fit `fields`."""

    gold: str | dict[str, str] | None = None
    """Input columns with known answers, by the fields they answer: `{label: true_label}`; or one column, where one field is a choice."""

    @model_validator(mode="after")
    def _knows_fields(self) -> Output:
        check_gold(self.gold, self.fields)
        return self

    @property
    def known(self) -> Mapping[str, str]:
        """The input columns with known answers, by the fields that they answer."""
        return known_answers(self.gold, self.fields)

    @model_validator(mode="after")
    def _repairs_fields(self) -> Output:
        if self.repair and self.fields is None:
            raise ValueError("repair mends answers that do not fit output.fields, and there are none")
        return self

    @field_validator("path")
    @classmethod
    def _parquet(cls, value: str) -> str:
        if not value.endswith(".parquet"):
            raise ValueError(
                "the output is a Parquet file; its name must end in .parquet (`pipeline export` writes CSV)"
            )
        return value


class Job(Settings):
    """A whole job spec."""

    name: str = Field("job", pattern=NAME)
    """What the run is called on screens and in files."""
    provider: Provider
    """`simulator`, `openai`, `qingbo`, `apimart`, or `{base_url, dialect, api_key_env}` for any compatible server."""
    model: str = Field(min_length=1)
    """The model's id, sent as it is written; may be a template."""
    input: Input
    """The rows."""
    prompt: Prompt
    """What each row asks."""
    request: dict[str, Any] = {}
    """Parameters of the Responses API by their OpenAI names; values may be templates. Checked before anything is sent."""
    tools: Tools = Tools()
    """Python functions that the model may call while it answers."""
    extra_body: dict[str, Any] = {}
    """Parameters that are not in the documents; sent verbatim, and they win over everything."""
    output: Output
    """Where the table goes, and its columns."""
    delivery: Literal["plain", "stream", "background"] = "plain"
    """How answers come: whole, as a stream of events, or made in the `background` at the provider and fetched once they are there."""
    limits: Limits = Limits()
    """What the provider allows."""
    budget: Caps = Caps()
    """What the job may spend over all its runs. `budget: 5` is five US dollars."""
    retry: Retry = Retry()
    """When an attempt is repeated."""
    deadlines: Deadlines = Deadlines()
    """How long an attempt may take."""
    transport: Literal["auto", "direct", "httpx", "http2"] = "auto"
    """What sends requests: our own HTTP/1.1 client (`direct`), which uses no proxy; `httpx`; or `http2`: httpx with the extra of that name.
    `auto` is `direct`, but `httpx` where the environment names a proxy."""
    media: MediaRules = MediaRules()
    """How pictures are found, told apart and sent."""
    prices: dict[str, Price] = {}
    """What models cost, by `model` or `provider/model`, where `*` stands for anything; list prices where this says nothing."""
    on_null: Literal["fail", "skip", "empty"] = "fail"
    """What becomes of a row with a null in its prompt: it fails, it is skipped, or the null is an empty text."""
    prompt_cache: bool = True
    """Whether rows that begin alike, for at least 1,024 tokens, are sent near each other and one ahead, so that the others cost less."""
    dedupe: bool = True
    """Ask identical rows once and share the answer. Rows that use a `conversation` are each asked, for each changes it."""
    samples: int = Field(1, ge=1, le=100)
    """How many answers each row gets. With more than one, answer columns are lists, and votes and agreement stand beside them."""
    stop_after: int = Field(20, ge=1)
    """Stop the run after this many failures of one kind without a single success."""
    run_dir: str | None = None
    """Where the journal lies; `<output>.run` by default. Relative to the spec."""
    simulator: dict[str, Any] = {}
    """A script for the embedded simulator: latency, limits, faults."""

    _folder: Path | None = PrivateAttr(default=None)
    _source: str = PrivateAttr(default="job spec")
    _describe: Describe | None = PrivateAttr(default=None)
    _borrowed: Borrowed = PrivateAttr(default=())

    @field_validator("budget", mode="before")
    @classmethod
    def _caps_something(cls, value: object) -> object:
        if value == {}:
            raise ValueError("an empty budget caps nothing; write the most that may be spent, such as {usd: 5}")
        return value

    @property
    def takes_rounds(self) -> bool:
        """True when one request may take several rounds: functions to call, or answers to mend."""
        return bool(self.tools.functions or self.output.repair)

    @model_validator(mode="after")
    def _rounds_may_grow(self) -> Job:
        if self.takes_rounds and (fixed := sorted(_CHANGED_BY_ROUNDS & self.extra_body.keys())):
            message = "would go out unchanged in every round that tools.functions or output.repair make"
            raise ParameterErrors([Complaint(("extra_body", name), message) for name in fixed])
        return self

    @model_validator(mode="after")
    def _parameters(self) -> Job:
        asks_fields, asks_system = self.output.fields is not None, self.prompt.system is not None
        complaints = check_request(self.request, self.extra_body, asks_fields=asks_fields, asks_system=asks_system)
        if complaints := [*complaints, *_unsafe_hedging(self)]:
            raise ParameterErrors(complaints)
        return self

    @model_validator(mode="after")
    def _has_what_it_forces(self) -> Job:
        choice = self.request.get("tool_choice")
        # A stored prompt may bring tools of its own.
        has_tools = self.tools.functions or any(
            body.get(name) for body in (self.request, self.extra_body) for name in ("tools", "prompt")
        )
        if choice is not None and choice not in ("none", "auto") and not is_template(choice) and not has_tools:
            message = "asks for a tool, and the job has none: list it under request.tools or tools"
            raise ParameterErrors([Complaint(("request", "tool_choice"), message)])
        return self

    def located(
        self, folder: Path, *, source: str = "job spec", describe: Describe | None = None, borrowed: Borrowed = ()
    ) -> Job:
        """Return the same job with its relative paths counted from ``folder``.

        ``source`` is what messages call the spec; ``describe`` turns a mistake that is found later into a problem with its line.
        ``borrowed`` are the environment variables in it.
        """
        job = self.model_copy()
        job._folder, job._source, job._describe, job._borrowed = folder, source, describe, borrowed
        return job

    @property
    def borrowed(self) -> Borrowed:
        """The environment variables whose texts stand in values of the spec, each with the place of the value."""
        return self._borrowed

    @property
    def source(self) -> str:
        """What messages call the spec."""
        return self._source

    def problem(self, place: str, message: str, *, suggestion: str | None = None) -> Problem:
        """Return a problem with the setting at ``place`` (``prompt.user.0.text``), with its line where the spec was read from a file."""
        if self._describe is None:
            return Problem(place, message, suggestion=suggestion)
        return self._describe(
            tuple(int(key) if key.isdigit() else key for key in place.split(".")), message, suggestion
        )

    def place(self, path: str) -> Path:
        """Return where a path of the spec lies."""
        return Path(os.path.normpath((self._folder or Path.cwd()) / Path(path).expanduser()))

    @property
    def output_path(self) -> Path:
        """Where the table is written."""
        return self.place(self.output.path)

    @property
    def run_path(self) -> Path:
        """The run directory."""
        return self.place(self.run_dir) if self.run_dir else self.output_path.with_name(self.output_path.name + ".run")


Borrowed = tuple[tuple[str, tuple[str | int, ...]], ...]
"""Names of environment variables and places in the spec."""
Describe = Callable[[tuple[str | int, ...], str, str | None], Problem]
"""Takes a place, a message and a suggestion."""


def _unsafe_hedging(job: Job) -> list[Complaint]:
    """Say why a second attempt is not safe: it may be paid, has to be cut off, and must change nothing at the provider."""
    if job.retry.hedge_after is None:
        return []
    sent = {**job.request, **job.extra_body}
    reasons = {
        "retry.ambiguous is false: a second attempt may be paid, too": not job.retry.ambiguous,
        "answers are made in the background: the one that is not needed would go on": job.delivery == "background"
        or bool(sent.get("background")),
        "rows use a conversation: each attempt changes it": sent.get("conversation") is not None,
    }
    path = ("retry", "hedge_after")
    return [Complaint(path, f"is not possible where {reason}") for reason, holds in reasons.items() if holds]
