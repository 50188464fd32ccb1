"""A call that a model asks for ends in a text for the model, whatever it or the function does."""

from __future__ import annotations

import asyncio
import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from pipeline.client import tools
from pipeline.client.tools import LONGEST_PROBLEM, LONGEST_RESULT, LONGEST_ROUND, MOST_CALLS, Called, Toolbox
from pipeline.errors import FunctionsHang
from pipeline.records import ToolCall
from pipeline.spec.functions import FunctionError

LONG_S = 3600.0


class Mood(Enum):
    CALM = "calm"


@dataclass
class Point:
    x: int


class Box(BaseModel):
    label: str
    things: set[str] = set()


def add(a: int, b: int = 1) -> int:
    return a + b


async def add_later(a: int, b: int = 1) -> int:
    await anyio.sleep(b)
    return a + b


def shout(text: str) -> str:
    return text.upper()


def nothing() -> None: ...


def call(name: str | None, arguments: str = "", kind: str = "function") -> ToolCall:
    return ToolCall("call_1", name, arguments, None, kind)


async def told(toolbox: Toolbox, called: ToolCall, timeout_s: float = LONG_S) -> str:
    """Return what the model is told when it makes one call."""
    (ended,) = await toolbox.call_all([called], timeout_s)
    return ended.output


def all_told(functions: dict[str, Callable[..., object]], calls: list[ToolCall]) -> list[str]:
    """Return what the model is told when it makes several calls at once."""
    return [ended.output for ended in anyio.run(Toolbox(functions).call_all, calls, LONG_S)]


def ask(function: Callable[..., object], arguments: str = "", kind: str = "function") -> str:
    """Return what the model is told when it calls the function, outside of any event loop."""
    return anyio.run(told, Toolbox({"f": function}), call("f", arguments, kind))


def problem(output: str) -> str:
    """Return the message of an output that is an error."""
    value = orjson.loads(output)
    assert value.keys() == {"error"}
    assert isinstance(value["error"], str)
    return value["error"]


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        ('{"a": 1, "b": 2}', "3"),
        ('{"a": 1}', "2"),
        ('{"a": "1"}', "2"),
        ('\ufeff {"a": 1.0}\n', "2"),
    ],
)
def test_a_function_gets_typed_arguments_and_its_result_is_json(arguments: str, output: str) -> None:
    """What is left out keeps its default, and what can be read as the parameter's type is."""
    assert ask(add, arguments) == output


@pytest.mark.anyio
async def test_an_async_function_runs_on_the_loop(virtual_time: Callable[[], float]) -> None:
    """It waits without a thread, and its result is the output."""
    assert await told(Toolbox({"add": add_later}), call("add", '{"a": 1, "b": 60}')) == "61"
    assert virtual_time() == pytest.approx(60, abs=0.1)


@pytest.mark.parametrize(
    ("result", "output"),
    [
        ("plain, not quoted", "plain, not quoted"),
        ("half \ud83d", "half \N{REPLACEMENT CHARACTER}"),
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        ([1, "a", None], '[1,"a",null]'),
        ({"a": {1: 2}}, '{"a":{"1":2}}'),
        (Point(1), '{"x":1}'),
        ([Box(label="a", things={"y", "x"})], '[{"label":"a","things":["x","y"]}]'),
        (set("hgfedcba"), '["a","b","c","d","e","f","g","h"]'),
        ({Mood.CALM: date(2026, 1, 2)}, '{"calm":"2026-01-02"}'),
        ((Mood.CALM, Decimal("1.10"), Path("a")), '["calm","1.10","a"]'),
    ],
)
def test_a_result_becomes_the_text_that_the_model_reads(result: object, output: str) -> None:
    """A text stays as it is, and everything else is JSON, the same in every process."""

    def give() -> Any:
        return result

    assert ask(give) == output


@pytest.mark.parametrize("result", [b"bytes", {"a": b"bytes"}, object(), 2**70, lambda: 1])
def test_a_result_that_is_no_json_is_an_error(result: object) -> None:
    """Bytes, too: the model could not read them."""

    def give() -> Any:
        return result

    assert "Error" in problem(ask(give))


@dataclass
class Measured:
    grade: float


class Weighed(BaseModel):
    grams: float


class Limit(Enum):
    NONE = math.inf


@pytest.mark.parametrize(
    "result",
    [
        math.nan,
        [1, -math.inf],
        {"a": (math.nan,)},
        Measured(math.inf),
        Weighed(grams=math.nan),
        Limit.NONE,
        {math.inf},
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_number_that_json_lacks_is_an_error(result: object) -> None:
    """NaN must not reach the model as a null that nobody wrote."""

    def give() -> Any:
        return result

    assert problem(ask(give)) == "ValueError: NaN and infinite numbers are no JSON"


def test_a_null_is_no_nan() -> None:
    """Values that hold None, or the word, pass."""

    def give() -> Any:
        return {"a": [None, "null", 1.5, Measured(2), Weighed(grams=1), {b"x".decode()}, Mood.CALM]}

    assert ask(give) == '{"a":[null,"null",1.5,{"grade":2},{"grams":1.0},["x"],"calm"]}'


def test_a_long_result_is_cut_with_a_note() -> None:
    """The model gets a whole beginning, never half a character, and hears how much there is."""

    def give() -> str:
        return "x" + "ä" * LONGEST_RESULT

    shown, note = ask(give).rsplit("\n", 1)
    assert shown == "x" + "ä" * (LONGEST_RESULT // 2 - 1)
    assert note == f"[cut: the result has {2 * LONGEST_RESULT + 1} bytes, and these are the first {LONGEST_RESULT}]"


def test_no_more_calls_are_run_than_one_reply_may_ask_for() -> None:
    """The others are told so; each call has an output, in the order of the calls."""
    ran: list[int] = []

    async def note(n: int) -> int:
        ran.append(n)
        return n

    calls = [call("f", f'{{"n": {n}}}') for n in range(1000)]
    outputs = all_told({"f": note}, calls)
    assert sorted(ran) == list(range(MOST_CALLS))
    assert outputs[:MOST_CALLS] == [str(n) for n in range(MOST_CALLS)]
    assert {problem(output) for output in outputs[MOST_CALLS:]} == {
        f"too many calls at once: the first {MOST_CALLS} of 1000 were run, and this one was not"
    }
    assert len(outputs) == 1000


def test_the_results_of_one_round_share_its_room() -> None:
    """Short ones stay whole; the longest are cut to the same length, and each note says how long its result really is."""

    async def give(n: int) -> str:
        return "x" * n

    sizes = [10, 2 * LONGEST_RESULT, LONGEST_RESULT, 1000, *[LONGEST_RESULT] * 6]
    calls = [call("f", f'{{"n": {size}}}') for size in sizes]
    outputs = all_told({"f": give}, calls)
    each = (LONGEST_ROUND - 1010) // 8
    notes = [f"\n[cut: the result has {size} bytes, and these are the first {each}]" for size in sizes]
    assert outputs == [
        "x" * size if size < each else "x" * each + note for size, note in zip(sizes, notes, strict=True)
    ]


@given(st.lists(st.text(max_size=30), max_size=8), st.integers(0, 60))
def test_shared_room_is_never_overdrawn(outputs: list[str], room: int) -> None:
    """Whatever was cut is a beginning of what it was, and nothing is cut where all fits."""
    shared = tools._sharing(outputs, room)
    shown = [
        text.rpartition("\n[cut: ")[0] if text != output else text for text, output in zip(shared, outputs, strict=True)
    ]
    assert all(output.startswith(text) for output, text in zip(outputs, shown, strict=True))
    assert sum(len(text.encode()) for text in shown) <= room
    assert shown == outputs or sum(len(output.encode()) for output in outputs) > room


@pytest.mark.parametrize(
    ("name", "arguments"), [("f", '{"' + "k" * 5_000_000 + '": 1}'), ("n" * 10_000, "{}")], ids=["key", "name"]
)
def test_what_the_model_wrote_itself_is_not_told_at_length(name: str, arguments: str) -> None:
    """The complaint is cut, and still says which functions there are."""
    said = problem(anyio.run(told, Toolbox({"f": add}), call(name, arguments)))
    assert len(said) <= LONGEST_PROBLEM
    assert name == "f" or said.endswith("; the functions are: f")


@pytest.mark.parametrize("arguments", ["", "  \n", "{}"])
def test_no_arguments_can_be_written_as_no_text(arguments: str) -> None:
    """Some servers send nothing where there is nothing to say."""
    assert ask(nothing, arguments) == "null"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "a: Field required"),
        ('{"a": 1', "the arguments are no JSON: "),
        ("[1]", "the arguments must be a JSON object"),
        ("null", "the arguments must be a JSON object"),
        ('{"a": 1, "c": 2}', "c: Extra inputs are not permitted"),
        ('{"a": "x"}', "a: Input should be a valid integer, unable to parse string as an integer"),
        ('{"a": NaN}', "a: Input should be a finite number"),
        ("[" * 100_000, "the arguments are no JSON: nested too deeply"),
    ],
)
def test_arguments_that_do_not_fit_are_told_to_the_model(arguments: str, message: str) -> None:
    """The function does not run, and the model hears what it should have sent."""
    assert problem(ask(add, arguments)).startswith(message)


@given(st.text() | st.binary().map(lambda content: content.decode(errors="surrogateescape")))
def test_no_text_of_a_model_breaks_a_call(arguments: str) -> None:
    """Whatever stands where arguments should be, an output comes back that can be sent."""
    for function, kind in ((add, "function"), (shout, "custom")):
        ask(function, arguments, kind).encode()


class _Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


RAISED = [
    (ValueError("too far"), "ValueError: too far"),
    (KeyError("x"), "KeyError: 'x'"),
    (ValueError(), "ValueError"),
    (ValueError("two\n  lines"), "ValueError: two lines"),
    (SystemExit(3), "SystemExit: 3"),
    (StopIteration(), "StopIteration"),
    (FunctionError("tools.py:a", "no"), "FunctionError: tools.py:a: no"),
    (
        FileNotFoundError(2, "No such file", "/home/ann/stock/list.csv"),
        "FileNotFoundError: [Errno 2] No such file: 'list.csv'",
    ),
    (OSError(r"C:\Users\ann\list.csv is locked"), "OSError: list.csv is locked"),
    (OSError("file:///srv/data/list.csv"), "OSError: list.csv"),
    (OSError("https://example.com/a/b?c=/d and 1/2"), "OSError: https://example.com/a/b?c=/d and 1/2"),
    (ValueError("x" * 1000), "ValueError: " + "x" * tools.LONGEST_ERROR),
    (_Mute(), "_Mute: <exception str() failed>"),
]


@pytest.mark.parametrize(("error", "message"), RAISED, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("is_async", [False, True])
def test_what_a_function_raises_is_told_in_one_line(error: BaseException, message: str, is_async: bool) -> None:
    """The model hears the kind and the message; no traceback, and no place on this machine."""

    def fail() -> None:
        raise error

    async def fail_later() -> None:
        raise error

    if is_async and isinstance(error, StopIteration):
        message = "RuntimeError: coroutine raised StopIteration"  # Python's own translation
    assert problem(ask(fail_later if is_async else fail)) == message


def test_a_function_that_cancels_itself_ends_nothing_else() -> None:
    """A stray cancellation is the function's own trouble, in a thread as on the loop."""

    def thread() -> None:
        raise asyncio.CancelledError

    async def task() -> None:
        raise asyncio.CancelledError

    assert problem(ask(thread)) == "CancelledError"
    assert problem(ask(task)) == "f was cancelled"


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    """A model that made up a function is told which there are."""
    output = anyio.run(told, Toolbox({"b": add, "a": shout}), call("c"))
    assert problem(output) == "there is no function c; the functions are: a, b"


def test_a_call_of_another_kind_runs_no_function() -> None:
    """An approval or a shell command is not for a function, even one that has its name."""
    output = anyio.run(told, Toolbox({"add": add}), call("add", '{"a": 1}', "mcp_approval"))
    assert problem(output) == "there is no mcp_approval add; the functions are: add"


def test_a_custom_tool_takes_its_input_as_the_only_argument() -> None:
    """Its input is text and not JSON, even where it looks like it."""
    assert ask(shout, '{"a": 1}', "custom") == '{"A": 1}'
    assert problem(ask(add, "1", "custom")) == "f takes 2 arguments, not one text"


def test_a_function_that_cannot_be_a_tool_is_refused_at_once() -> None:
    """Not when the first row calls it."""

    def many(*values: int) -> None: ...

    with pytest.raises(FunctionError):
        Toolbox({"many": many})


@pytest.mark.anyio
async def test_an_async_function_is_cancelled_at_its_deadline(virtual_time: Callable[[], float]) -> None:
    """It ends then, and the model hears how long it would have been waited for."""
    ended = []

    async def hang() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(virtual_time())

    output = await told(Toolbox({"hang": hang}), call("hang"), 2.5)
    assert problem(output) == "hang took longer than 2.5 s"
    assert ended == [pytest.approx(2.5, abs=0.1)]


class Hanging:
    """A function that blocks its thread until it is let go."""

    def __init__(self) -> None:
        self.started = threading.Semaphore(0)
        self.released = threading.Event()

    def __call__(self) -> str:
        self.started.release()
        self.released.wait()
        return "late"

    def function(self) -> Callable[[], str]:
        return lambda: self()


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    function = Hanging()
    yield function
    function.released.set()


@pytest.mark.anyio
async def test_a_thread_is_left_behind_at_its_deadline(virtual_time: Callable[[], float], hanging: Hanging) -> None:
    """The run goes on without it."""
    output = await told(Toolbox({"hang": hanging.function()}), call("hang"), 2.5)
    assert problem(output) == "hang took longer than 2.5 s"
    assert virtual_time() == pytest.approx(2.5, abs=0.1)


@pytest.mark.anyio
async def test_a_function_that_blocks_does_not_hold_up_the_loop(hanging: Hanging) -> None:
    """While it blocks, others run and one of them can even let it go."""

    async def release() -> str:
        hanging.released.set()
        return "released"

    toolbox = Toolbox({"hang": hanging.function(), "release": release})
    ended = await toolbox.call_all([call("hang"), call("release")], LONG_S)
    assert ended == [Called("hang", "late"), Called("release", "released")]


@pytest.mark.anyio
@pytest.mark.parametrize("calls", [2, 5], ids=["every place", "some could not start"])
async def test_functions_that_hold_every_place_end_the_run(
    monkeypatch: pytest.MonkeyPatch, virtual_time: Callable[[], float], hanging: Hanging, calls: int
) -> None:
    """A function that hangs in every row takes no more threads than there are places, and no round is paid for that none could serve."""
    monkeypatch.setattr(tools, "THREADS", 2)
    toolbox = Toolbox({"hang": hanging.function(), "shout": shout})
    with pytest.raises(FunctionsHang) as raised:
        await toolbox.call_all([call("hang")] * calls, 1.0)
    assert raised.value.message == (
        "2 calls of functions still run past tools.timeout_s (1 s), and no other can start: hang 2"
    )
    assert "tools.timeout_s" in str(raised.value.hint)
    assert [hanging.started.acquire(blocking=False) for _ in range(3)] == [True, True, False]
    with pytest.raises(FunctionsHang):
        await told(toolbox, call("shout", '{"text": "a"}'), 1.0)
    hanging.released.set()
    for thread in [thread for thread in threading.enumerate() if thread.name == "tool"]:
        await anyio.to_thread.run_sync(thread.join)  # it tells the loop that it has ended
    assert await told(toolbox, call("shout", '{"text": "a"}')) == "A"


@pytest.mark.anyio
async def test_a_place_that_is_left_lets_the_run_go_on(
    monkeypatch: pytest.MonkeyPatch, virtual_time: Callable[[], float], hanging: Hanging
) -> None:
    """One call that hangs costs its place and nothing else."""
    monkeypatch.setattr(tools, "THREADS", 2)
    toolbox = Toolbox({"hang": hanging.function(), "shout": shout})
    assert problem(await told(toolbox, call("hang"), 1.0)) == "hang took longer than 1 s"
    assert [await told(toolbox, call("shout", '{"text": "a"}')) for _ in range(3)] == ["A"] * 3


def test_a_hanging_thread_does_not_keep_the_process(tmp_path: Path) -> None:
    """The run ends when its rows do, not when somebody's function does."""
    program = tmp_path / "program.py"
    program.write_text(
        "import threading, anyio\n"
        "from pipeline.client.tools import Toolbox\n"
        "from pipeline.records import ToolCall\n"
        "def hang() -> None: threading.Event().wait()\n"
        "print(anyio.run(Toolbox({'hang': hang}).call_all, [ToolCall('1', 'hang', '{}')], 0.01)[0].output)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(tools.__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, program], env=environment, capture_output=True, text=True, timeout=20, check=True
    )
    assert problem(done.stdout) == "hang took longer than 0.01 s"


@pytest.mark.anyio
async def test_parallel_calls_are_answered_in_their_order(virtual_time: Callable[[], float]) -> None:
    """They take as long as the longest, not as long as all, and one that fails fails alone."""
    calls = [
        call("add_later", '{"a": 1, "b": 30}'),
        call("gone"),
        call("add_later", '{"a": 1, "b": 10}'),
        call("add_later", '{"a": 1, "b": 99}'),
        call("add", '{"a": 1}'),
    ]
    ended = await Toolbox({"add": add, "add_later": add_later}).call_all(calls, 60.0)
    outputs = [each.output for each in ended]
    assert outputs[0] == "31"
    assert problem(outputs[1]).startswith("there is no function gone")
    assert outputs[2] == "11"
    assert problem(outputs[3]) == "add_later took longer than 60 s"
    assert outputs[4] == "2"
    assert [each.function for each in ended] == ["add_later", None, "add_later", "add_later", "add"]
    assert [each.error for each in ended] == [None, problem(outputs[1]), None, problem(outputs[3]), None]
    assert virtual_time() == pytest.approx(60, abs=0.1)


@pytest.mark.anyio
async def test_cancellation_of_the_run_passes(hanging: Hanging) -> None:
    """A run that ends waits neither for a function on the loop nor for one in a thread."""

    async def hang_later() -> None:
        await anyio.sleep_forever()

    toolbox = Toolbox({"hang": hanging.function(), "hang_later": hang_later})
    async with anyio.create_task_group() as group:
        group.start_soon(toolbox.call_all, [call("hang"), call("hang_later")], LONG_S)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert not hanging.released.is_set()
