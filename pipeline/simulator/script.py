"""The script a simulator plays, read strictly from a plain mapping."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pipeline.simulator.dialects import DIALECTS
from pipeline.simulator.faults import KINDS, Rule
from pipeline.simulator.figures import Figures, Lengths
from pipeline.simulator.limits import Limits
from pipeline.simulator.parameters import PARAMETERS
from pipeline.simulator.published import RULES
from pipeline.simulator.shapes import SHAPES

__all__ = ["Background", "Latency", "Script", "ScriptError", "load_script", "read_script"]

Z95 = 1.6448536269514722  # the normal distribution's 95th percentile

ENDPOINTS = ("create", "compact", "retrieve", "cancel", "delete", "input_items", "input_tokens", "models")


class ScriptError(ValueError):
    """Raised when a script says something the simulator does not know."""


@dataclass(frozen=True, slots=True)
class Latency:
    """How long an executed request takes: always the median, or log-normal when a p95 is given."""

    median: float = 0.0
    p95: float | None = None

    def draw(self, seed: int, digest: bytes, time: int = 1) -> float:
        """The same wait for the same request the same time, in whatever order requests arrive: one asked anew may be faster."""
        if self.p95 is None or self.median <= 0:
            return self.median
        source = random.Random(
            hashlib.sha256(b"%d/%b%b" % (seed, digest, b"" if time == 1 else b"/%d" % time)).digest()
        )
        return self.median * math.exp(source.gauss(0.0, math.log(self.p95 / self.median) / Z95))


@dataclass(frozen=True, slots=True)
class Background:
    """How background responses go on; without `polls` they take the time that `latency_s` says."""

    polls: int | None = None
    """The fetch with this number finds the answer, whatever the clock says."""
    poll_after_ms: float | None = None
    """What `openai-poll-after-ms` advises; None: nothing."""
    kept_s: float | None = None
    """How long a finished response can be fetched before it is 404; None: as long as the simulator lives."""


@dataclass(frozen=True, slots=True)
class Script:
    """How the provider behaves."""

    seed: int = 0
    latency: Latency = field(default_factory=Latency)
    limits: Limits | None = None
    api_keys: Mapping[str, str] = field(default_factory=dict)
    """By dialect; a dialect without one takes any key."""
    shape: str = "documented"
    cache: bool = False
    variation: bool = False
    """Whether further executions of the same body may answer otherwise, unless `temperature` is 0: a choice, number or
    truth value is that of the first answer in seven of ten cases, and free text is put differently."""
    tool_rounds: float | None = None
    """In how many rounds the client's functions are called, `always` for without end; None: those the text asks for."""
    background: Background = field(default_factory=Background)
    figures: Figures = field(default_factory=Figures)
    """What usages say."""
    service_tiers: Mapping[str, str] = field(default_factory=dict)
    """Which tier serves what was asked for another one; `auto` stands for requests that ask for none."""
    files: frozenset[str] | None = None
    """The ids of uploaded files; None knows all that look like one."""
    faults: tuple[Rule, ...] = ()

    def tier(self, asked: object) -> str:
        """The service tier that serves a request."""
        name = "auto" if asked is None else str(asked)
        return self.service_tiers.get(name, "default" if name == "auto" else name)


def load_script(path: Path) -> dict[str, Any]:
    """Read a script from a YAML or JSON file, and refuse it at once when it is wrong."""
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ScriptError(f"{path}: not YAML or JSON: {error}") from error
    if loaded is None:
        loaded = {}
    if not isinstance(loaded, dict):
        raise ScriptError(f"{path}: a script is a mapping, not {type(loaded).__name__}")
    read_script(loaded)
    return loaded


def read_script(given: Mapping[str, object] | None) -> Script:
    """Turn a plain mapping into a Script; an unknown key or a bad value is a ScriptError that names it."""
    said: Mapping[str, Any] = given or {}
    _known(
        said,
        {
            "seed",
            "latency_s",
            "limits",
            "api_key",
            "shape",
            "cache",
            "variation",
            "tool_rounds",
            "background",
            "input_tokens",
            "output_tokens",
            "service_tiers",
            "files",
            "faults",
        },
        "script",
    )
    shape = said.get("shape", "documented")
    if shape != "documented" and shape not in SHAPES:
        raise ScriptError(f"shape: {shape!r} is none of documented, {', '.join(SHAPES)}")
    return Script(
        seed=_int(said.get("seed", 0), "seed"),
        latency=_latency(said.get("latency_s", 0.0)),
        limits=_limits(said.get("limits")),
        api_keys=_keys(said.get("api_key")),
        shape=shape,
        cache=_bool(said.get("cache", False), "cache"),
        variation=_bool(said.get("variation", False), "variation"),
        tool_rounds=_rounds(said.get("tool_rounds")),
        background=_background(said.get("background")),
        figures=_figures(said.get("input_tokens"), said.get("output_tokens")),
        service_tiers=_tiers(said.get("service_tiers")),
        files=None if said.get("files") is None else frozenset(map(str, _list(said["files"], "files"))),
        faults=tuple(_rule(rule, f"faults[{index}]") for index, rule in enumerate(_list(said.get("faults"), "faults"))),
    )


def _mapping(said: Any, place: str) -> None:
    if not isinstance(said, Mapping):
        raise ScriptError(f"{place}: a mapping is needed, not {type(said).__name__}")


def _known(said: Any, known: set[str], place: str) -> None:
    _mapping(said, place)
    unknown = sorted(str(key) for key in said if key not in known)
    if unknown:
        raise ScriptError(f"{place}: unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")


def _latency(said: Any) -> Latency:
    if isinstance(said, Mapping):
        _known(said, {"median", "p95"}, "latency_s")
        median = _number(said.get("median", 0.0), "latency_s.median")
        p95 = None if said.get("p95") is None else _number(said["p95"], "latency_s.p95")
        if p95 is not None and p95 < median:
            raise ScriptError(f"latency_s: p95 ({p95:g}) is below the median ({median:g})")
        return Latency(median, p95)
    return Latency(_number(said, "latency_s"))


def _limits(said: Any) -> Limits | None:
    if said is None:
        return None
    _known(said, {"requests_per_minute", "tokens_per_minute", "window_s", "headers"}, "limits")
    headers = said.get("headers", "told")
    if headers not in ("told", "unknown", "absent"):
        raise ScriptError(f"limits.headers: {headers!r} is none of told, unknown, absent")
    numbers = {name: value for name, value in said.items() if name != "headers" and value is not None}
    values = {name: _positive(value, f"limits.{name}") for name, value in numbers.items()}
    window = float(values.pop("window_s", 60.0))
    return Limits(**{name: int(value) for name, value in values.items()}, window_s=window, headers=headers)


def _background(said: Any) -> Background:
    if said is None:
        return Background()
    _known(said, {"polls", "poll_after_ms", "kept_s"}, "background")
    numbers = {name: _number(value, f"background.{name}") for name, value in said.items() if value is not None}
    polls = _int(said["polls"], "background.polls") if "polls" in numbers else None
    return Background(polls, numbers.get("poll_after_ms"), numbers.get("kept_s"))


def _rounds(said: Any) -> float | None:
    if said is None or said == "always":
        return math.inf if said else None
    rounds = _int(said, "tool_rounds")
    if rounds < 0:
        raise ScriptError(f"tool_rounds: {rounds} is neither 0 or more nor always")
    return rounds


def _figures(given: Any, made: Any) -> Figures:
    given = {} if given is None else given
    _known(given, {"rules", "perturb"}, "input_tokens")
    rules = given.get("rules", "own")
    if rules not in RULES:
        raise ScriptError(f"input_tokens.rules: {rules!r} is none of {', '.join(RULES)}")
    perturb = _number(given.get("perturb", 0.0), "input_tokens.perturb")
    if perturb >= 1:
        raise ScriptError(f"input_tokens.perturb: {perturb:g} is not below 1")
    return Figures(rules, perturb, None if made is None else _lengths(made))


def _lengths(said: Any) -> Lengths:
    _known(said, {"median", "p95", "per_input"}, "output_tokens")
    median = _positive(said.get("median", 0), "output_tokens.median")
    p95 = _number(said.get("p95", median), "output_tokens.p95")
    if p95 < median:
        raise ScriptError(f"output_tokens: p95 ({p95:g}) is below the median ({median:g})")
    return Lengths(median, p95, _number(said.get("per_input", 0.0), "output_tokens.per_input"))


def _tiers(said: Any) -> dict[str, str]:
    """Which tier serves which; one that is not named serves itself."""
    asked = PARAMETERS["service_tier"].values or frozenset()
    _known({} if said is None else said, set(asked), "service_tiers")
    changes = {} if said is None else {str(tier): str(served) for tier, served in said.items()}
    for tier, served in changes.items():
        if served not in asked - {"auto"}:
            raise ScriptError(f"service_tiers.{tier}: {served!r} is none of {', '.join(sorted(asked - {'auto'}))}")
    return changes


def _keys(said: Any) -> dict[str, str]:
    if said is None:
        return {}
    if isinstance(said, Mapping):
        _known(said, set(DIALECTS), "api_key")
        return {name: str(key) for name, key in said.items()}
    return {name: str(said) for name in DIALECTS}


_MATCHERS = {"every", "nth", "probability", "text", "model", "times", "on"}
_OPTIONS = {
    "retry_after",
    "retry_after_ms",
    "retry_after_date",
    "code",
    "message",
    "status",
    "gap_s",
    "executed",
    "headers",
}


def _rule(said: Any, place: str) -> Rule:
    _known(said, _MATCHERS | _OPTIONS | {"fault"}, place)
    fault = said.get("fault")
    if fault not in KINDS:
        raise ScriptError(f"{place}.fault: {fault!r} is none of {', '.join(KINDS)}")
    on = said.get("on", "create")
    if on not in ENDPOINTS:
        raise ScriptError(f"{place}.on: {on!r} is none of {', '.join(ENDPOINTS)}")
    nth = said.get("nth")
    share = said.get("probability")
    if share is not None and not 0 <= _number(share, f"{place}.probability") <= 1:
        raise ScriptError(f"{place}.probability: {share!r} is not between 0 and 1")
    return Rule(
        fault=fault,
        every=None if said.get("every") is None else int(_positive(said["every"], f"{place}.every")),
        nth=tuple(_int(one, f"{place}.nth") for one in (nth if isinstance(nth, list | tuple) else [nth]))
        if nth
        else (),
        probability=share,
        text=None if said.get("text") is None else str(said["text"]),
        model=None if said.get("model") is None else str(said["model"]),
        times=None if said.get("times") is None else int(_positive(said["times"], f"{place}.times")),
        on=on,
        options=_options(said, place),
    )


def _options(said: Mapping[str, Any], place: str) -> dict[str, Any]:
    options = {name: said[name] for name in said if name in _OPTIONS and said[name] is not None}
    for name in ("retry_after", "retry_after_ms", "retry_after_date", "gap_s"):
        if name in options:
            _number(options[name], f"{place}.{name}")
    if "status" in options and not 400 <= _int(options["status"], f"{place}.status") <= 599:
        raise ScriptError(f"{place}.status: {options['status']} is no error status")
    if "headers" in options:
        _mapping(options["headers"], f"{place}.headers")
    if "executed" in options:
        _bool(options["executed"], f"{place}.executed")
    return options


def _list(said: Any, place: str) -> list[Any]:
    if said is None:
        return []
    if not isinstance(said, list | tuple):
        raise ScriptError(f"{place}: a list is needed, not {type(said).__name__}")
    return list(said)


def _int(said: Any, place: str) -> int:
    if isinstance(said, bool) or not isinstance(said, int):
        raise ScriptError(f"{place}: {said!r} is not a whole number")
    return said


def _bool(said: Any, place: str) -> bool:
    if not isinstance(said, bool):
        raise ScriptError(f"{place}: {said!r} is neither true nor false")
    return said


def _number(said: Any, place: str) -> float:
    if isinstance(said, bool) or not isinstance(said, int | float) or not said >= 0:
        raise ScriptError(f"{place}: {said!r} is not a number of 0 or more")
    return float(said)


def _positive(said: Any, place: str) -> float:
    if _number(said, place) <= 0:
        raise ScriptError(f"{place}: {said!r} is not above 0")
    return float(said)
