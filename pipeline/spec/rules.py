"""The rules of a job: how fast it may go, when it asks again, how long it waits, and what it does with media."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from pipeline.spec.group import Settings


class Limits(Settings):
    """What the provider allows, per model. What is left out is learned from its answers."""

    requests_per_minute: float | None = Field(None, gt=0)
    """Request starts in any minute."""
    tokens_per_minute: float | None = Field(None, gt=0)
    """Input and output tokens in any minute."""
    concurrency: int | None = Field(None, gt=0, le=10_000)
    """Requests in flight at once, each with an open connection. What is learned ends at 512, so many a second if each takes one."""


class Retry(Settings):
    """What is done about attempts that fail in a way that waiting can mend."""

    attempts: int = Field(6, ge=1, le=100)
    """Attempts per request and run, the first included; a row makes a request for each sample, and one more for each round and repair."""
    ambiguous: bool = True
    """Ask again when a request left but no whole answer came, though it may have been paid. If false, such rows end as `unknown`."""
    hedge_after: float | None = Field(None, gt=0)
    """Seconds that an attempt may be out before it gets a second one beside it; the first answer counts, and both may be paid."""
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
    """For the whole attempt; with `delivery: background`, to hand the request in."""
    background_s: float = Field(3600.0, gt=0)
    """From then until a background answer is there; what takes longer is cancelled at the provider."""


class MediaRules(Settings):
    """How pictures, videos and files are found, told apart and sent."""

    identity: Literal["stat", "content"] = "stat"
    """Whether a local file counts in a request's identity by path, size and modification time, or by its content."""
    roots: list[str] = []
    """Folders below which rows may name files, besides the input's own folder. Relative to the spec."""
    send: Literal["auto", "inline", "url"] = "auto"
    """How media leave: URLs as URLs and all others inline (`auto`), everything inline, or nothing but URLs (`url`)."""
    fetch: bool = False
    """Whether URLs may be downloaded here: for `send: inline`, and with `auto` where the provider could not download a picture."""
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
