"""Who answers: the ``provider`` of a job."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from pipeline.spec.group import ADDRESS, VARIABLE, Settings
from pipeline.wire.credentials import SECRET_HEADERS
from pipeline.wire.dialect import DIALECTS, Dialect, Endpoint, UnknownFact

SIMULATOR = "simulator"
_PATH = "/responses"
_NOWHERE = "http://simulator/v1"  # before the embedded simulator listens; nothing is ever sent there


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
            if header.lower() in SECRET_HEADERS:
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
