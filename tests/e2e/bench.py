"""A workbench for end-to-end tests: a provider in its own process, a job in its own folder, and the ledger that judges both.

The ledger is written by the simulator and fsynced before an answer leaves. What it says was asked, executed and used is the truth; what
the journal, the table and the closing figures say is held against it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

import pipeline
from pipeline.simulator.dialects import DIALECTS

if TYPE_CHECKING:
    from pipeline.events import Event, RunFinished

MARK = re.compile(r"#(\w+)#")
"""How a prompt of these tests carries its row's id into the ledger."""


@dataclass(frozen=True)
class Ledger:
    """What a provider wrote down from byte ``start`` on."""

    path: Path
    start: int = 0

    def lines(self) -> list[dict[str, Any]]:
        """Return every whole line."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            return [json.loads(line) for line in file if line.endswith(b"\n")]

    def requests(self) -> list[dict[str, Any]]:
        """Return what was asked, whatever became of it."""
        return [line for line in self.lines() if "outcome" in line]

    def executed(self) -> list[dict[str, Any]]:
        """Return what was executed, and so may have been paid."""
        return [line for line in self.requests() if line["executed"]]

    def asked(self) -> Counter[str]:
        """Return how often each row's mark was asked about."""
        return Counter(mark for line in self.requests() for mark in MARK.findall(line["request_text"]))

    def tokens(self, name: str = "total_tokens") -> int:
        """Return the tokens of all that was executed."""
        return sum(line["usage"][name] for line in self.executed())

    def rounds(self) -> Counter[tuple[str, int]]:
        """Return how often each round of each row was executed; a round is known by the outputs, an ``@`` each, that it brings."""
        texts = [line["request_text"] for line in self.executed()]
        return Counter((MARK.findall(text)[0], text.count("@")) for text in texts)

    def now(self) -> Ledger:
        """Return the part of the ledger that is still to be written."""
        return Ledger(self.path, self.path.stat().st_size)


@dataclass(frozen=True)
class Provider:
    """A simulator in a process of its own."""

    url: str
    ledger: Ledger

    def base(self, dialect: str = "openai") -> str:
        """Return the address for a dialect."""
        return self.url + DIALECTS[dialect].prefix


@dataclass
class Bench:
    """A job in a folder: its input, its spec, its output, and the events of its last run in this process."""

    folder: Path
    spec: dict[str, Any]
    events: list[Event] = field(default_factory=list)

    @property
    def input(self) -> Path:
        """The input table."""
        return self.folder / "input.parquet"

    @property
    def output(self) -> Path:
        """The output table."""
        return self.folder / "out.parquet"

    @property
    def job(self) -> Path:
        """The job spec, written as it is now."""
        path = self.folder / "job.yaml"
        path.write_text(yaml.safe_dump(self.spec, sort_keys=False), encoding="utf-8")
        return path

    def fill(self, rows: Sequence[Mapping[str, object]], schema: pa.Schema | None = None) -> None:
        """Write the input table."""
        pq.write_table(pa.Table.from_pylist([dict(row) for row in rows], schema), self.input)

    def run(self, *sets: str, retry: Sequence[str] = ()) -> RunFinished:
        """Run the job in this process."""
        self.events = []
        return pipeline.run(self.job, sets=sets, retry=retry, yes=True, allow_code=True, observe=self.events.append)

    def said(self, kind: type[Event]) -> list[Any]:
        """Return the events of a kind that the last run announced."""
        return [event for event in self.events if isinstance(event, kind)]

    def table(self, path: Path | None = None) -> list[dict[str, Any]]:
        """Return the output's rows."""
        rows: list[dict[str, Any]] = pq.read_table(path or self.output).to_pylist()
        return rows

    def by_id(self) -> dict[str, dict[str, Any]]:
        """Return the output's rows by their id."""
        return {row["id"]: row for row in self.table()}

    def column(self, name: str) -> list[Any]:
        """Return one column of the output."""
        cells: list[Any] = pq.read_table(self.output, columns=[name]).column(0).to_pylist()
        return cells

    def metadata(self) -> dict[str, Any]:
        """Return what the output says of itself."""
        found: dict[str, Any] = json.loads(pq.read_schema(self.output).metadata[b"pipeline"])
        return found
