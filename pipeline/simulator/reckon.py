"""What a request would use, reckoned without a server: the truth that estimates are held against."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.simulator.answers import Usage, answer
from pipeline.simulator.dialects import DIALECTS
from pipeline.simulator.reading import input_items, read
from pipeline.simulator.script import read_script
from pipeline.simulator.seen import Seen, SeenCache, brings_bytes, see
from pipeline.simulator.validate import check_request

__all__ = ["reckoner"]


def reckoner(script: Mapping[str, object] | None, dialect: str = "openai") -> Callable[[Mapping[str, Any]], Usage]:
    """Return what tells the usage of a body, the first time that a simulator with this script executes it."""
    played, spoken, cache = read_script(script), DIALECTS[dialect], SeenCache()

    def reckon(body: Mapping[str, Any]) -> Usage:
        check_request(body, spoken)
        asked = read(body, (), input_items(body), spoken)
        facts: dict[tuple[str, str], Seen] = {}
        for medium in filter(brings_bytes, asked.media):
            if (seen := cache.get(medium)) is None:
                cache.put(medium, seen := see(medium))
            facts[medium.key] = seen
        return answer(asked, facts, played.seed, rounds=played.tool_rounds, figures=played.figures).usage

    return reckon
