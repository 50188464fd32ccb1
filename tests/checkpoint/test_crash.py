"""Random lives of a journal, with crashes between any two steps, and logs torn at any byte.

A crash is a copy of the journal's files at that moment, opened as another run's: what a killed process would leave.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pipeline.checkpoint.journal import Journal
from pipeline.checkpoint.reader import reading
from pipeline.checkpoint.schema import RESULT
from pipeline.checkpoint.store import Start
from pipeline.errors import AttemptError, DiskFailed, RunDirectoryError, Sent
from pipeline.records import Claim, Outcome, Reply, Request, Status, Usage

Bench = Any  # the fixture's class lives in conftest.py, which no module can import
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # what is judged is what was written, not when
FILES = ("journal.sqlite", "journal.sqlite-wal")
ROWS = st.integers(0, 7)
QUESTIONS = st.integers(0, 4)


class Life(RuleBasedStateMachine):
    """What a run may do with its journal, beside a model of what it was told is durable."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.runner = self.stack.enter_context(asyncio.Runner())
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory(dir=MEMORY)))
        self.crashes = 0
        self.plan = 0
        self.asks: dict[int, int] = {}  # row → question, as far as it is durable
        self.told: dict[int, int] = {}  # the same, since the last time that something was durable
        self.answers: dict[int, str] = {}  # question → text
        self.failed: set[int] = set()  # in this session
        self.paid = Usage(0, 0, 0, 0, 0)
        self.attempts = 0
        self.open: dict[int, int] = {}  # attempt → question
        self.lost = 0
        self.out: dict[int, tuple[Claim, ExitStack, list[int]]] = {}  # question → what holds it, and its open attempts

    @property
    def run_dir(self) -> Path:
        """Where the journal of the present process lies."""
        return self.folder / str(self.crashes)

    @initialize()
    def begin(self) -> None:
        """Start a session, as a process does."""
        self.run_dir.mkdir(exist_ok=True)
        self.journal = Journal(self.run_dir / FILES[0], label="somebody")
        start = Start("{}", "/", f"job {self.plan}", "table", 8, names_files=False, simulated=False, version="1")
        self.journal.begin(start, self.journal.look(start), ambiguous=True)
        self.lost += len(self.open)
        self.open.clear()
        self.failed.clear()

    @rule(row=ROWS, question=QUESTIONS)
    def ask(self, row: int, question: int) -> None:
        """Let a row ask; it holds the question where nobody has asked it yet."""
        held = ExitStack()
        claim = held.enter_context(self.journal.claim(Request(row, "m", {}, question.to_bytes(16, "big"), 1)))
        known = question in self.answers or question in self.failed
        assert (claim.known is not None) == known
        assert claim.ours == (not known and question not in self.out)
        self.asks.pop(row, None)
        self.told[row] = question
        if claim.ours:
            self.out[question] = claim, held, []
        else:
            held.close()

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def intend(self, data: st.DataObject) -> None:
        """Let an attempt of a held question leave."""
        question = data.draw(st.sampled_from(sorted(self.out)))
        claim, _, attempts = self.out[question]
        attempt = self.runner.run(self.journal.intend(claim.request))
        self.durable()
        attempts.append(attempt)
        self.open[attempt] = question
        self.attempts += 1

    @precondition(lambda self: any(attempts for *_, attempts in self.out.values()))
    @rule(
        data=st.data(),
        sent=st.sampled_from([None, Sent.ANSWERED, Sent.MAYBE]),
        tokens=st.integers(0, 9),
        last=st.booleans(),
    )
    def settle(self, data: st.DataObject, sent: Sent | None, tokens: int, last: bool) -> None:
        """Let an attempt end with an answer or with an error, which may be its row's last."""
        question = data.draw(st.sampled_from(sorted(each for each, (*_, attempts) in self.out.items() if attempts)))
        claim, held, attempts = self.out[question]
        attempt = attempts.pop()
        reply = Reply(
            Status.OK, text=f"answer {attempt}", usage=Usage(tokens, 0, tokens, 0, 2 * tokens), raw={"n": attempt}
        )
        error = None
        if sent is not None:
            error = AttemptError("no", kind="server", sent=sent, transient=True, reply=reply)
        outcome = Outcome(0.1, reply=reply if error is None else None, error=error)
        self.runner.run(self.journal.settle(claim.request, attempt, outcome))
        self.durable()
        del self.open[attempt]
        self.paid += reply.usage
        self.lost += sent is Sent.MAYBE
        if error is None:
            self.answers[question] = reply.text
            del self.out[question]
            held.close()
        elif last:
            del self.out[question]
            self.failed.add(question)
            with suppress(AttemptError), held:
                raise error

    @rule(data=st.data(), other_job=st.booleans())
    def crash(self, data: st.DataObject, other_job: bool) -> None:
        """Kill the process, and go on from its files, perhaps with a changed job."""
        before = self.run_dir
        self.crashes += 1
        self.run_dir.mkdir()
        for name in FILES:
            if (before / name).exists():
                shutil.copy(before / name, self.run_dir / name)
        self.abandon()
        self.next(other_job)

    @rule(other_job=st.booleans())
    def end(self, other_job: bool) -> None:
        """End the process in order, and start another."""
        self.abandon()
        self.next(other_job)

    def next(self, other_job: bool) -> None:
        """Begin again; with another job, rows count only once they ask again."""
        if other_job:
            self.plan += 1
        self.asks.clear()
        self.told.clear()
        self.begin()

    def durable(self) -> None:
        """Note that what the journal was told before has reached the disk."""
        self.asks |= self.told
        self.told.clear()

    def abandon(self) -> None:
        """Let go of everything in this process."""
        self.out.clear()
        self.journal.finish()

    @invariant()
    def what_was_acknowledged_is_there(self) -> None:
        """Every answer, every attempt and every token, in memory and on disk."""
        if not hasattr(self, "journal"):
            return
        with reading(self.run_dir) as reader:
            totals = reader.totals()
            texts = {int(str(line[0])): line[RESULT.index("output")] for line in reader.results(0, 99)}
        assert totals.attempts == self.attempts
        assert totals.maybe_paid == self.lost + len(self.open)
        assert (totals.usage + totals.superseded).total_tokens in (self.paid.total_tokens, None)
        for question, text in self.answers.items():
            assert self.journal.knows(Request(0, "m", {}, question.to_bytes(16, "big"), 1))
            for row in (row for row, asked in self.asks.items() if asked == question):
                assert texts[row] == text

    def teardown(self) -> None:
        """Close what is open."""
        if hasattr(self, "journal"):
            self.abandon()
        self.stack.close()


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=10, stateful_step_count=20, deadline=None)


@pytest.fixture(scope="module")
def torn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A run of four rows as a crash leaves it: a log that is in no table yet."""
    folder = tmp_path_factory.mktemp("torn")
    journal = Journal(folder / FILES[0], label="somebody")
    start = Start("{}", "/", "job", "table", 4, names_files=False, simulated=False, version="1")
    journal.begin(start, journal.look(start), ambiguous=True)
    with asyncio.Runner() as runner:
        for row in range(4):
            with journal.claim(Request(row, "m", {}, row.to_bytes(16, "big"), 1)) as claim:
                attempt = runner.run(journal.intend(claim.request))
                runner.run(
                    journal.settle(claim.request, attempt, Outcome(0.1, reply=Reply(Status.OK, text=f"answer {row}")))
                )
    copy = tmp_path_factory.mktemp("copy")
    for name in FILES:
        shutil.copy(folder / name, copy / name)
    journal.finish()
    return copy, [f"answer {row}" for row in range(4)]


def opened(folder: Path) -> list[object]:
    """Open what is there, go on with it for a row, and return the texts of the rows before."""
    journal = Journal(folder / FILES[0], label="somebody")
    try:
        start = Start("{}", "/", "job", "table", 4, names_files=False, simulated=False, version="1")
        journal.begin(start, journal.look(start), ambiguous=True)
        with reading(folder) as reader:
            texts = [line[RESULT.index("output")] for line in reader.results(0, 3)]
        with asyncio.Runner() as runner, journal.claim(Request(9, "m", {}, b"9" * 16, 1)) as claim:
            attempt = runner.run(journal.intend(claim.request))
            runner.run(journal.settle(claim.request, attempt, Outcome(0.1, reply=Reply(Status.OK, text="more"))))
    finally:
        journal.finish()
    return texts


def damaged(torn: tuple[Path, list[str]], name: str, harm: Callable[[bytearray], bytes]) -> list[object]:
    """Return what is left of the rows once one of the files is damaged."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        for each in FILES:
            shutil.copy(torn[0] / each, Path(folder) / each)
        path = Path(folder) / name
        path.write_bytes(harm(bytearray(path.read_bytes())))
        return opened(Path(folder))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1), mask=st.integers(0, 255))
def test_a_torn_log_leaves_a_beginning(torn: tuple[Path, list[str]], share: float, mask: int) -> None:
    """Cut off or damaged at any byte, the log is good up to there: rows are whole, in order, and none after a lost one."""

    def harm(content: bytearray) -> bytes:
        at = min(int(share * len(content)), len(content) - 1)
        if mask == 0:
            return content[:at]
        content[at] ^= mask
        return content

    texts = [text for text in damaged(torn, FILES[1], harm) if text is not None]
    assert texts == torn[1][: len(texts)]


def test_an_undamaged_log_is_whole(torn: tuple[Path, list[str]]) -> None:
    """A crash alone loses nothing."""
    assert damaged(torn, FILES[1], bytes) == torn[1]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True), mask=st.integers(0, 255))
def test_a_damaged_file_is_a_named_error_or_still_readable(
    torn: tuple[Path, list[str]], share: float, mask: int
) -> None:
    """Whatever happens to the main file, there is no traceback."""

    def harm(content: bytearray) -> bytes:
        at = int(share * len(content))
        if mask == 0:
            return content[:at]
        content[at] ^= mask
        return content

    try:
        damaged(torn, FILES[0], harm)
    except (RunDirectoryError, DiskFailed) as error:
        assert "journal.sqlite" in error.message  # noqa: PT017 - either outcome is right
