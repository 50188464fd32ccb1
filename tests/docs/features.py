"""What each dialect takes, in each delivery: every cell a real run against the simulator, or the message that refuses it.

``python tests/docs/features.py`` rewrites the README's table; a test runs every cell again and compares.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import polars as pl
import yaml

import pipeline
from pipeline.errors import SpecError
from pipeline.events import Event, Notice
from pipeline.simulator import Simulator
from pipeline.wire.dialect import DIALECTS

ROOT = Path(__file__).parents[2]
DATA = ROOT / "data"
README = ROOT / "README.md"
DELIVERIES = ("plain", "stream", "background")
WORKS = "yes"
UNLISTED = "sent"
"""It works here, but the vendor's page does not speak of it: `check` says so."""
PART = re.compile(r"(<!-- begin: features -->\n)(.*?)(<!-- end: features -->)", re.DOTALL)
SCRIPT = {"variation": True, "files": ["file-photo", "file-report"]}

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Feature:
    """Something the vendors' documents name: how a job asks for it, and what is true of a row where it worked."""

    name: str
    spec: Mapping[str, Any]
    shows: Callable[[Row], object]


def _says(*words: str) -> Callable[[Row], object]:
    return lambda row: all(re.search(word, str(row["output"])) for word in words)


def _looks(
    name: str, *parts: Mapping[str, object], says: str = "512x512 JPEG", table: str = "photos.parquet"
) -> Feature:
    return Feature(
        name, {"input": {"path": str(DATA / table)}, "prompt": [{"text": "Look at this."}, *parts]}, _says(says)
    )


def _sends(name: str, value: object, **more: object) -> Feature:
    """A parameter, which the request must hold; the reply can't show each."""
    return Feature(
        f"`{name}`", {"request": {name: value, **more}}, lambda row: {name, "max_tokens"} & row["sent"]().keys()
    )


def _uses(
    name: str, tool: Mapping[str, object], shows: Callable[[Row], object], text: str = "Search for {{ title }}."
) -> Feature:
    return Feature(name, {"prompt": text, "request": {"tools": [tool]}}, shows)


_ADD = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
_FUNCTION = {"type": "function", "name": "double", "parameters": _ADD, "strict": True}

FEATURES: Sequence[Feature] = (
    Feature("system prompt", {"prompt": {"system": "Be brief.", "user": "{{ title }}"}}, _says(".")),
    Feature(
        "turns (few-shot examples)",
        {
            "prompt": {
                "messages": [
                    {"role": "user", "content": "a"},
                    {"role": "assistant", "content": "b"},
                    {"role": "user", "content": "{{ title }}"},
                ]
            }
        },
        _says("."),
    ),
    Feature(
        "typed columns (structured output)",
        {"output": {"fields": {"kind": "enum[a, b]"}}},
        lambda row: row["kind"] in "ab",
    ),
    Feature(
        "`samples`",
        {"samples": 3, "output": {"fields": {"kind": "enum[a, b]"}}},
        lambda row: len(row["kind"]) == 3 and row["kind_vote"] in "ab",
    ),
    _looks("image: bytes or file", {"image": "photo"}),
    _looks("image: URL", {"image": "https://example.org/{{ id }}.jpg"}, says="."),
    _looks("image: several among texts", {"image": "photo"}, {"text": "And this?"}, {"image": "photo"}),
    _looks("image: `detail`", {"image": "photo", "detail": "low"}),
    _looks("image: the provider's id", {"image_id": "file-{{ 'photo' }}"}, says="."),
    _looks("video: bytes or file", {"video": "clip"}, says="seconds", table="clips.csv"),
    _looks("video: URL", {"video": "https://example.org/{{ id }}.mp4"}, says="."),
    _looks("file: bytes or file", {"file": "document"}, says="2 pages", table="documents.csv"),
    _looks("file: URL", {"file": "https://example.org/{{ id }}.pdf"}, says="."),
    _looks("file: the provider's id", {"file_id": "file-{{ 'report' }}"}, says="."),
    Feature(
        "your functions, called in rounds",
        {"prompt": "double 21", "tools": {"functions": ["functions.py:double"]}},
        lambda row: "42" in row["output"] and "double" in row["tool_calls"],
    ),
    Feature(
        "function calls, recorded",
        {"prompt": "double 21", "request": {"tools": [_FUNCTION], "tool_choice": "required"}},
        lambda row: "21" in row["tool_calls"],
    ),
    _uses(
        "custom tool", {"type": "custom", "name": "note"}, lambda row: "note" in row["tool_calls"], "note {{ title }}"
    ),
    _uses("web search, with its sources", {"type": "web_search"}, lambda row: row["sources"] and row["searches"] == 1),
    _uses(
        "file search, with its sources",
        {"type": "file_search", "vector_store_ids": ["vs_1"]},
        lambda row: row["sources"],
    ),
    _uses("code interpreter", {"type": "code_interpreter", "container": {"type": "auto"}}, _says(".")),
    _uses("image generation, into files", {"type": "image_generation"}, lambda row: row["images"], "Draw {{ title }}."),
    _uses("MCP server", {"type": "mcp", "server_label": "s", "server_url": "https://example.org/mcp"}, _says(".")),
    Feature(
        "`tool_choice`",
        {"prompt": "21", "request": {"tools": [_FUNCTION], "tool_choice": {"type": "function", "name": "double"}}},
        lambda row: row["tool_calls"],
    ),
    Feature(
        "reasoning summary",
        {"request": {"reasoning": {"effort": "low", "summary": "auto"}}},
        lambda row: row["reasoning_summary"],
    ),
    Feature(
        "logprobs, and a confidence",
        {"request": {"include": ["message.output_text.logprobs"], "top_logprobs": 2}},
        lambda row: 0 < (row["confidence"] or 0) <= 1,
    ),
    _sends("max_output_tokens", 300),
    _sends("temperature", 0.5),
    _sends("top_p", 0.5),
    _sends("text", {"verbosity": "low"}),
    _sends("reasoning", {"effort": "low"}),
    _sends("metadata", {"title": "{{ title }}"}),
    _sends("include", ["reasoning.encrypted_content"]),
    _sends("parallel_tool_calls", False),
    _sends("max_tool_calls", 2),
    _sends("service_tier", "flex"),
    _sends("store", True),
    _sends("truncation", "auto"),
    _sends("context_management", [{"type": "compaction", "compact_threshold": 50_000}]),
    _sends("conversation", "conv_1"),
    _sends("previous_response_id", "{previous}"),
    _sends("prompt", {"id": "pmpt_1", "variables": {"title": "{{ title }}"}}),
    _sends("prompt_cache_key", "key"),
    _sends("prompt_cache_retention", "24h"),
    _sends("safety_identifier", "id"),
    _sends("user", "id"),
)


def outcome(feature: Feature, dialect: str, delivery: str) -> str:
    """Run a feature's job and return ``WORKS``, ``UNLISTED``, or the message that says why not."""
    with TemporaryDirectory() as folder, Simulator(script=SCRIPT) as simulator:
        (Path(folder) / "functions.py").write_text("def double(a: int) -> int:\n    return 2 * a\n", encoding="utf-8")
        base = {
            "provider": {"base_url": simulator.base_url(dialect), "dialect": dialect},
            "model": "gpt-5.4",
            "input": {"path": str(DATA / "photos.parquet"), "limit": 1},
            "prompt": "About {{ title }}.",
            "output": {"path": "out.parquet"},
            "delivery": delivery,
            "retry": {"attempts": 1},
        }
        text = yaml.safe_dump(_laid_over(base, feature.spec))
        if "{previous}" in text:
            text = text.replace("{previous}", _kept_response(simulator.base_url("openai")))
        job = Path(folder) / "job.yaml"
        job.write_text(text, encoding="utf-8")
        return _result(feature, job)


def _result(feature: Feature, job: Path) -> str:
    said: list[Event] = []
    try:
        finished = pipeline.run(job, yes=True, allow_code=True, observe=said.append)
    except SpecError as error:
        return "; ".join(problem.message for problem in error.problems)
    row = pl.read_parquet(finished.output).row(0, named=True)
    row["sent"] = lambda: pipeline.preview(job, allow_code=True)[0].body
    answered = row["status"] == "ok" or (row["status"] == "tool_calls" and row["tool_calls"])
    if not answered:
        return f"{row['status']}: {row['error_message']}"
    if not feature.shows(row):
        return "it is sent, but the answer, in the shape of a chat, has no place for it"
    return (
        UNLISTED if any(isinstance(each, Notice) and "page does not list" in each.message for each in said) else WORKS
    )


def _kept_response(base_url: str) -> str:
    reply = httpx.post(f"{base_url}/responses", json={"model": "gpt-5.4", "input": "hello", "store": True})
    return str(reply.raise_for_status().json()["id"])


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        key: _laid_over(below[key], above[key])
        for key in below.keys() & above.keys()
        if isinstance(above[key], Mapping) and isinstance(below[key], Mapping)
    }
    return {**below, **above, **both}


def found(feature: Feature) -> dict[str, dict[str, str]]:
    """Return a feature's outcomes by dialect and delivery."""
    return {dialect: {delivery: outcome(feature, dialect, delivery) for delivery in DELIVERIES} for dialect in DIALECTS}


def told(outcomes: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return a feature's cells: what the deliveries that a dialect has have in common, or each by its name."""
    cells = []
    for dialect, by in outcomes.items():
        had = {delivery: by[delivery] for delivery in DELIVERIES if delivery in DIALECTS[dialect].deliveries}
        same = len(set(had.values())) == 1
        cells.append(
            next(iter(had.values())) if same else "; ".join(f"{delivery}: {each}" for delivery, each in had.items())
        )
    return cells


def table() -> str:
    """Return the README's table: each feature's cells, a message as the number of a note below."""
    notes: dict[str, int] = {}
    lines = ["| | " + " | ".join(DIALECTS) + " |", "|" + " --- |" * (len(DIALECTS) + 1)]
    for feature in FEATURES:
        cells = (
            each if each in (WORKS, UNLISTED) else f"no [{notes.setdefault(each, len(notes) + 1)}]"
            for each in told(found(feature))
        )
        lines.append(f"| {feature.name} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *(f"{number}. {message}" for message, number in notes.items())])


def read_back() -> dict[str, list[str]]:
    """Return the README's cells by feature, with the notes in the place of their numbers."""
    part = PART.search(README.read_text(encoding="utf-8"))
    assert part, "the README has no table of features"
    notes = dict(re.findall(r"^(\d+)\. (.+)$", part[2], re.MULTILINE))
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in part[2].splitlines() if line.startswith("| ")
    ]
    return {
        name: [re.sub(r"^no \[(\d+)\]$", lambda note: notes[note[1]], cell) for cell in cells]
        for name, *cells in rows[2:]
    }


if __name__ == "__main__":
    made = table()
    text = README.read_text(encoding="utf-8")
    README.write_text(PART.sub(lambda part: part[1] + made + "\n" + part[3], text), encoding="utf-8")
