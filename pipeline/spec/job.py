"""The job: what the user wrote, checked and frozen.

The model is the one description of the spec: the loader reports mistakes against it, the JSON Schema for editors and the reference in the
README are generated from it. A new knob is a field here, not a command line option. Nothing below ``api`` reads the environment.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from pipeline.errors import Problem
from pipeline.spec.fields import Fields
from pipeline.spec.request import ParameterErrors, check_request
from pipeline.wire.dialect import DIALECTS, Dialect, Endpoint, UnknownFact

SIMULATOR = "simulator"
_PATH = "/responses"
_NOWHERE = "http://simulator/v1"  # before the embedded simulator listens; nothing is ever sent there
CSV_TYPES = ("string", "int", "float", "bool", "date", "datetime")
ADDRESS = r"^https?://[^\s]+$"
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
PATTERNS: Mapping[str, str] = {
    ADDRESS: "must be an address that begins with http:// or https://",
    VARIABLE: "must be the name of an environment variable",
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
        if isinstance(value, bool) and (int in kinds or float in kinds):
            raise ValueError(f"must be a number, not {str(value).lower()}")
        return value


class Provider(Settings):
    """Who answers. A plain string is short for ``{name: …}``."""

    shorthand = "name"

    name: str = "custom"
    """`simulator`, `openai`, `qingbo`, `apimart`, or a label of yours for another compatible server."""
    dialect: Literal["openai", "qingbo", "apimart"] | None = None
    """How the server speaks; by default the one of its name, else `openai`."""
    base_url: str | None = Field(None, pattern=ADDRESS)
    """Address up to and including `/v1`. With the simulator's name it replaces the simulator by the server at that address."""
    api_key_env: str | None = Field(None, pattern=VARIABLE)
    """Name of the environment variable that holds the key. Left out, a vendor's own variable is used, for the vendor's own address only."""
    headers: dict[str, str] = {}
    """Further request headers, such as `OpenAI-Project`. Not for keys."""
    overrides: dict[str, Any] = {}
    """Facts of the dialect that this server does otherwise, such as `{max_tokens_field: max_tokens}`."""

    @model_validator(mode="after")
    def _complete(self) -> Provider:
        if self.name not in (SIMULATOR, *DIALECTS) and self.base_url is None:
            known = ", ".join((SIMULATOR, *DIALECTS))
            raise ValueError(f"{self.name!r} is not one of {known}, so it needs a base_url")
        if self.base_url is not None and self.base_url.rstrip("/").endswith(_PATH):
            raise ValueError(f"base_url ends in {_PATH}, which is added to it; end it with /v1")
        for header in self.headers:
            if header.lower() in ("authorization", "api-key", "x-api-key", "cookie"):
                raise ValueError(f"the header {header} would put a key into the spec; name its variable in api_key_env")
        try:
            self.facts  # noqa: B018 - raises for an override that is no fact
        except UnknownFact as error:
            raise ValueError(str(error)) from error
        return self

    @property
    def simulated(self) -> bool:
        """True when the embedded simulator answers."""
        return self.name == SIMULATOR and self.base_url is None

    @property
    def facts(self) -> Dialect:
        """The dialect this server speaks, with the spec's overrides."""
        name = self.dialect or (self.name if self.name in DIALECTS else "openai")
        return DIALECTS[name].overridden(self.overrides)

    @property
    def label(self) -> str:
        """What the output's ``provider`` column says."""
        if self.base_url is not None and self.name in (SIMULATOR, "custom"):
            return self.base_url.split("//", 1)[1].split("/", 1)[0].rpartition("@")[2]
        return self.name

    def endpoint(self, base_url: str | None = None) -> Endpoint:
        """Return where requests go: the spec's address, else ``base_url`` (the embedded simulator's), else the vendor's own."""
        facts = self.facts
        address = (self.base_url or base_url or (_NOWHERE if self.simulated else facts.base_url)).rstrip("/")
        own = self.base_url is None and not self.simulated
        key = self.api_key_env or (facts.key_env if own else None)
        identity = f"{SIMULATOR}:embedded" if self.simulated else address
        return Endpoint(
            url=address + facts.path, identity=identity, key_env=key, headers=dict(self.headers), dialect=facts
        )


class Sample(Settings):
    """A random choice of rows, the same at every run. A plain number is short for ``{rows: …}``."""

    shorthand = "rows"

    rows: int = Field(gt=0)
    """How many rows."""
    seed: int = 0
    """Another seed gives another choice."""


class Input(Settings):
    """The rows. A plain string or a list of them is short for ``{path: …}``."""

    shorthand = "path"

    path: str | list[str]
    """A Parquet, CSV or JSONL file, a glob of them, a list of those, or a folder of images. Relative to the spec."""
    format: Literal["parquet", "csv", "jsonl", "images"] | None = None
    """By default read off the file's ending."""
    columns: dict[str, Literal["string", "int", "float", "bool", "date", "datetime"]] = {}
    """Types of CSV columns. A column that is not named here reaches the prompt as it is written."""
    where: str | None = None
    """Only the rows for which this polars SQL expression is true, e.g. `width > 100 AND lang = 'en'`."""
    limit: int | None = Field(None, gt=0)
    """At most this many rows, the first ones."""
    sample: Sample | None = None
    """A random choice of rows, kept in file order."""
    null_values: list[str] = []
    """CSV cells that mean null, besides empty ones."""
    delimiter: str = Field(",", min_length=1, max_length=1)
    """The CSV's column separator."""


Detail = Literal["low", "high", "auto", "original"]


class Part(Settings):
    """One piece of a message: a text or an image."""

    text: str | None = None
    """A template; a column is written `{{ name }}`."""
    image: str | None = None
    """A column that holds a URL, a path, bytes, `{bytes, path}` or a list of those; or a template that gives a URL or a path."""
    detail: Detail | None = None
    """How closely the model looks at the image; it decides the image's price."""

    @model_validator(mode="after")
    def _one_kind(self) -> Part:
        if (self.text is None) == (self.image is None):
            raise ValueError("a part has either text or image")
        if self.detail is not None and self.image is None:
            raise ValueError("detail belongs to an image")
        return self


class Message(Settings):
    """One turn of a conversation."""

    role: Literal["user", "assistant", "system", "developer"]
    """Who speaks."""
    content: str | list[Part]
    """A template, or parts in the order in which the model sees them."""


class Prompt(Settings):
    """What each row asks. A plain string or a list of parts is short for ``{user: …}``."""

    shorthand = "user"

    system: str | None = None
    """Instructions for every row; a template."""
    user: str | list[Part] | None = None
    """A template, or parts in the order in which the model sees them."""
    messages: list[Message] | str | None = None
    """A whole conversation: turns written here (few-shot examples, say), or the name of a column that holds a list of `{role, content}`."""
    input: str | None = None
    """The name of a column that holds a raw `input` of the Responses API, as text or as a list of items; passed through."""

    @model_validator(mode="after")
    def _one_way(self) -> Prompt:
        if sum(way is not None for way in (self.user, self.messages, self.input)) != 1:
            raise ValueError("a prompt has exactly one of user, messages and input")
        return self


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

    @field_validator("path")
    @classmethod
    def _parquet(cls, value: str) -> str:
        if not value.endswith(".parquet"):
            raise ValueError(
                "the output is a Parquet file; its name must end in .parquet (`pipeline export` writes CSV)"
            )
        return value


class Limits(Settings):
    """What the provider allows, per model. What is left out is learned from its answers."""

    requests_per_minute: float | None = Field(None, gt=0)
    """Request starts in any minute."""
    tokens_per_minute: float | None = Field(None, gt=0)
    """Input and output tokens in any minute."""
    concurrency: int | None = Field(None, gt=0, le=10_000)
    """Requests in flight at once."""


class Retry(Settings):
    """What is done about attempts that fail in a way that waiting can mend."""

    attempts: int = Field(6, ge=1, le=100)
    """Attempts per row and run, the first included."""
    ambiguous: bool = True
    """Ask again when a request left but no whole answer came, though it may have been paid. If false, such rows end as `unknown`."""
    max_wait_s: float = Field(60.0, gt=0)
    """Longest back-off in seconds. A longer wait that the server asks for is obeyed."""


class Deadlines(Settings):
    """How long one attempt may take, in seconds."""

    connect_s: float = Field(15.0, gt=0)
    """To open a connection."""
    first_byte_s: float = Field(300.0, gt=0)
    """From sending the request to the first byte of the answer."""
    idle_s: float = Field(60.0, gt=0)
    """Between two pieces of the answer."""
    total_s: float = Field(600.0, gt=0)
    """For the whole attempt."""


class MediaRules(Settings):
    """How pictures are found, told apart and sent."""

    identity: Literal["stat", "content"] = "stat"
    """Whether a picture file counts in a request's identity by path, size and modification time, or by its content."""
    roots: list[str] = []
    """Folders below which rows may name files, besides the input's own folder. Relative to the spec."""
    send: Literal["auto", "inline", "url"] = "auto"
    """How pictures leave: URLs as URLs and all others inline (`auto`), everything inline, or nothing but URLs (`url`)."""
    fetch: bool = False
    """Whether URLs may be downloaded here: for `send: inline`, and with `auto` where the provider could not download one."""
    allow_private: bool = False
    """Whether what is fetched may lie on this machine or in its network, at any port. Only for rows that you trust."""
    max_side: int | None = Field(None, gt=0)
    """The longest side in pixels; larger pictures are scaled down. It holds for pictures that are sent inline."""
    animated: Literal["first", "keep"] = "first"
    """Whether an animation is sent as its first frame, or whole and unscaled."""
    convert: bool = False
    """Turn pictures of other formats (TIFF, BMP, or what the provider does not take) into PNG."""

    @model_validator(mode="after")
    def _inline_needs_fetch(self) -> MediaRules:
        if self.send == "inline" and not self.fetch:
            raise ValueError("send: inline means that URLs are downloaded here; allow it with fetch: true")
        return self

    @property
    def redrawing(self) -> str:
        """What of these rules changes the pictures that are sent, for a request's identity; empty by default."""
        changed = [
            name
            for name in ("max_side", "animated", "convert")
            if getattr(self, name) != MediaRules.model_fields[name].default
        ]
        return ",".join(f"{name}={getattr(self, name)}" for name in changed)


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
    extra_body: dict[str, Any] = {}
    """Parameters that are not in the documents; sent verbatim, and they win over everything."""
    output: Output
    """Where the table goes, and its columns."""
    delivery: Literal["plain", "stream"] = "plain"
    """How answers come: whole, or as a stream of events, which shows early whether an answer is on its way."""
    limits: Limits = Limits()
    """What the provider allows."""
    retry: Retry = Retry()
    """When an attempt is repeated."""
    deadlines: Deadlines = Deadlines()
    """How long an attempt may take."""
    media: MediaRules = MediaRules()
    """How pictures are found, told apart and sent."""
    on_null: Literal["fail", "skip", "empty"] = "fail"
    """What becomes of a row with a null in its prompt: it fails, it is skipped, or the null is an empty text."""
    dedupe: bool = True
    """Ask identical rows once and share the answer."""
    stop_after: int = Field(20, ge=1)
    """Stop the run after this many failures of one kind without a single success."""
    run_dir: str | None = None
    """Where the journal lies; `<output>.run` by default. Relative to the spec."""
    simulator: dict[str, Any] = {}
    """A script for the embedded simulator: latency, limits, faults."""

    _folder: Path | None = PrivateAttr(default=None)
    _source: str = PrivateAttr(default="job spec")
    _describe: Describe | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _parameters(self) -> Job:
        asks_fields, asks_system = self.output.fields is not None, self.prompt.system is not None
        if complaints := check_request(self.request, asks_fields=asks_fields, asks_system=asks_system):
            raise ParameterErrors(complaints)
        return self

    def located(self, folder: Path, *, source: str = "job spec", describe: Describe | None = None) -> Job:
        """Return the same job with its relative paths counted from ``folder``.

        ``source`` is what messages call the spec; ``describe`` turns a mistake that is found later into a problem with its line.
        """
        job = self.model_copy()
        job._folder, job._source, job._describe = folder, source, describe
        return job

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


Describe = Callable[[tuple[str | int, ...], str, str | None], Problem]
"""Takes a place, a message and a suggestion."""
