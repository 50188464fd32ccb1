"""The functions that a model may call, run so that neither it nor they can harm the run.

Whatever goes wrong with a call is told to the model as the call's output, since it is the one who can do better: an
unknown name, arguments that don't fit, an exception, a result that is no JSON, a function that takes too long. What it
is told holds no traceback and no place on this machine.

Async functions run on the event loop and are cancelled at their deadline. Others run in threads, and a thread cannot be
stopped: past its deadline it is left behind and runs on, its result is dropped, and it keeps one of ``THREADS`` places
until it ends, so a function that hangs for ever cannot fill the machine. Once calls past their deadline hold every
place, no function could start any more, and the run is told to stop before it pays for further rounds. The threads are
daemons, which anyio's workers are not: the process ends in spite of them.
"""

from __future__ import annotations

import inspect
import math
import re
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass, replace
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from types import MappingProxyType
from typing import TYPE_CHECKING

import anyio
import anyio.from_thread
import anyio.lowlevel
import orjson
from pydantic import BaseModel

from pipeline.errors import FunctionsHang
from pipeline.spec.functions import Arguments, ArgumentsError, arguments_of
from pipeline.wire.tolerant import NotJsonError, clean, parse, tamed
from pipeline.wire.turns import ANSWERABLE

if TYPE_CHECKING:
    from pipeline.records import ToolCall

THREADS = 64
"""Functions that may run in threads at once, those left behind included."""
LONGEST_RESULT = 256 * 1024
"""Bytes of a result that the model is shown."""
LONGEST_ERROR = 500
"""Characters of an exception's message that the model is shown."""
LONGEST_PROBLEM = 4000
"""Characters of any complaint that the model is shown; what it wrote itself may stand in one."""
MOST_CALLS = 64
"""Calls of one reply that are run; a model that asks for more is told so."""
LONGEST_ROUND = 1024 * 1024
"""Bytes that the results of one reply's calls have together, but for the notes of those that are cut: all further rounds carry them."""

_ABSOLUTE_PATH = re.compile(r"(?:file://|(?<![\w/]))(?:/[\w.+@~-]+)+/(?=[\w.+@~-])|\b[A-Za-z]:\\(?:[^\\\s'\"]+\\)*")
_NOTE = re.compile(r"\n\[cut: the result has (\d{1,18}) bytes, and these are the first \d+\]\Z")


@dataclass(frozen=True, slots=True)
class Called:
    """How a call ended: the ``output`` to send back, and where that is an error, what it says.

    ``function`` is the name of the job's function that was called, None where it has none of that name.
    """

    function: str | None
    output: str
    error: str | None = None


class Toolbox:
    """The functions of a job by the names under which a model calls them. Built inside the run that uses it."""

    def __init__(self, functions: Mapping[str, Callable[..., object]]) -> None:
        """Raises ``FunctionError`` for a function that cannot be a tool."""
        tools = {name: _Tool(name, function, arguments_of(function)) for name, function in functions.items()}
        self._tools: Mapping[str, _Tool] = MappingProxyType(tools)
        self._places = anyio.CapacityLimiter(THREADS)
        self._overdue: dict[object, str] = {}  # functions that were left behind and still run, by their places

    async def call_all(self, calls: Sequence[ToolCall], timeout_s: float) -> list[Called]:
        """Run calls side by side and return how they ended in the order of the calls, after ``timeout_s`` at the latest.

        An output is the function's result, as JSON text unless it is a text already, or ``{"error": ...}``. Raises
        ``FunctionsHang`` where calls that are past their deadline hold every place.

        The model decides how many calls there are, so no more than ``MOST_CALLS`` are run, and the results share ``LONGEST_ROUND``.
        """
        run = calls[:MOST_CALLS]
        ended: dict[int, Called | None] = {}

        async def fill(index: int) -> None:
            ended[index] = await self._call(calls[index], timeout_s)

        async with anyio.create_task_group() as group:
            for index in range(len(run)):
                group.start_soon(fill, index)
        called = [each for index in range(len(run)) if (each := ended[index]) is not None]
        if len(called) < len(run) or len(self._overdue) >= THREADS:
            raise self._hang(timeout_s)
        shared = _sharing([each.output for each in called], LONGEST_ROUND)
        answered = [replace(each, output=output) for each, output in zip(called, shared, strict=True)]
        return answered + [self._left_out(call, len(calls)) for call in calls[MOST_CALLS:]]

    def _left_out(self, call: ToolCall, number: int) -> Called:
        function = call.name if call.name in self._tools else None
        message = f"too many calls at once: the first {MOST_CALLS} of {number} were run, and this one was not"
        return _failed(function, message)

    def _hang(self, timeout_s: float) -> FunctionsHang:
        names = ", ".join(f"{name} {count}" for name, count in Counter(self._overdue.values()).most_common())
        return FunctionsHang(
            f"{len(self._overdue)} calls of functions still run past tools.timeout_s ({timeout_s:g} s), and no other can start: {names}",
            hint="let the functions end by themselves, or raise tools.timeout_s; the same command goes on from here",
        )

    async def _call(self, call: ToolCall, timeout_s: float) -> Called | None:
        """Return how a call ended, None where it could not even start. Nothing but cancellation is raised."""
        tool = self._tools.get(call.name or "") if call.kind in ANSWERABLE else None
        if tool is None:
            known = ", ".join(sorted(self._tools))
            return _failed(None, f"there is no {_brief(f'{call.kind} {call.name}', 100)}; the functions are: {known}")
        ended: list[Called] = []
        started = anyio.Event()
        with anyio.move_on_after(timeout_s) as deadline:
            # A group of its own: a function that cancels itself ends nothing else.
            async with anyio.create_task_group() as group:
                group.start_soon(self._run, tool, call, ended.append, started)
        if ended:
            return ended[0]
        if deadline.cancelled_caught and not started.is_set():
            return None
        ending = f"took longer than {timeout_s:g} s" if deadline.cancelled_caught else "was cancelled"
        return _failed(tool.name, f"{tool.name} {ending}")

    async def _run(self, tool: _Tool, call: ToolCall, done: Callable[[Called], None], started: anyio.Event) -> None:
        if tool.is_async:
            started.set()
            done(await tool.on_loop(call))
        else:
            done(await self._in_thread(tool, call, started))

    async def _in_thread(self, tool: _Tool, call: ToolCall, started: anyio.Event) -> Called:
        """Call a function in a thread that holds a place until it ends."""
        place, loop, ended = object(), anyio.lowlevel.current_token(), anyio.Event()
        outcomes: list[Called] = []

        def end(outcome: Called) -> None:
            outcomes.append(outcome)
            self._overdue.pop(place, None)
            self._places.release_on_behalf_of(place)
            ended.set()

        def run() -> None:
            outcome = tool.in_thread(call)
            with suppress(anyio.RunFinishedError):  # left behind, and the run is over
                anyio.from_thread.run_sync(end, outcome, token=loop)

        await self._places.acquire_on_behalf_of(place)
        started.set()
        threading.Thread(target=run, name="tool", daemon=True).start()
        try:
            await ended.wait()
        finally:
            if not outcomes:
                self._overdue[place] = tool.name
        return outcomes[0]


@dataclass(frozen=True, slots=True)
class _Tool:
    name: str
    function: Callable[..., object]
    arguments: Arguments

    @property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(inspect.unwrap(self.function))

    async def on_loop(self, call: ToolCall) -> Called:
        try:
            result = self.function(**self._arguments(call))
            return Called(self.name, _written(await result if inspect.isawaitable(result) else result))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's code may raise anything
            return _failed(self.name, _told(error))

    def in_thread(self, call: ToolCall) -> Called:
        """Raises nothing."""
        try:
            return Called(self.name, _written(self.function(**self._arguments(call))))
        except BaseException as error:  # noqa: BLE001 - as above, and no cancellation of ours reaches a thread
            return _failed(self.name, _told(error))

    def _arguments(self, call: ToolCall) -> dict[str, object]:
        """Return the call's keyword arguments. A custom tool's input is free text, for a function's only parameter."""
        if call.kind == "custom":
            if len(self.arguments.names) != 1:
                raise ArgumentsError(f"{call.name} takes {len(self.arguments.names)} arguments, not one text")
            return self.arguments.read({self.arguments.names[0]: clean(call.arguments)})
        try:
            # Some servers write no arguments as no text at all.
            return self.arguments.read(tamed(parse(call.arguments)) if call.arguments.strip() else {})
        except NotJsonError as error:
            raise ArgumentsError(f"the arguments are no JSON: {error}") from error


def _failed(function: str | None, message: str) -> Called:
    error = clean(_brief(message, LONGEST_PROBLEM))
    return Called(function, orjson.dumps({"error": error}).decode(), error)


def _brief(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _told(error: BaseException) -> str:
    """Say what was raised in one short line, without paths: the last part of one says which file it was."""
    if isinstance(error, ArgumentsError):
        return str(error)
    # An exception may fail to say what it is; the traceback module lives with that.
    said = " ".join(str(traceback.TracebackException(type(error), error, None)).split())
    said = _ABSOLUTE_PATH.sub("", said)
    name = type(error).__name__
    return f"{name}: {said[:LONGEST_ERROR]}" if said else name


def _written(result: object) -> str:
    """Return a result as the model reads it. Raises ``TypeError`` or ``ValueError`` for what is no JSON, such as bytes or NaN."""
    text = clean(result) if isinstance(result, str) else _json(result).decode()
    if "null" in text and not _is_finite(result):  # orjson writes such numbers as null, without a word
        raise ValueError("NaN and infinite numbers are no JSON")
    return _cut(text, LONGEST_RESULT)


def _cut(text: str, longest: int) -> str:
    """Return the text with no more than so many bytes, and with a note where that is not all of it; it may have been cut before."""
    content = text.encode()
    if len(content) <= longest:
        return text
    before = _NOTE.search(text)
    size = len(content) if before is None else int(before[1])
    shown = content[:longest].decode(errors="ignore")
    return f"{shown}\n[cut: the result has {size} bytes, and these are the first {longest}]"


def _sharing(outputs: Sequence[str], room: int) -> list[str]:
    """Return outputs that have ``room`` bytes together: short ones stay whole, and the longest are cut to the same length."""
    sizes = [len(output.encode()) for output in outputs]
    longest = room
    for waiting, size in zip(range(len(sizes), 0, -1), sorted(sizes), strict=True):
        if size * waiting > room:
            longest = room // waiting
            break
        room -= size
    return [_cut(output, longest) for output in outputs]


def _json(value: object) -> bytes:
    return orjson.dumps(value, _plain, orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY)


def _is_finite(value: object) -> bool:
    """Tell whether all numbers in a value that orjson could write are finite."""
    match value:
        case float():
            return math.isfinite(value)
        case str() | bytes():
            return True
        case Mapping():
            return all(map(_is_finite, value.values()))
        case BaseModel():
            return _is_finite(value.model_dump())
        case Sequence() | Set():
            return all(map(_is_finite, value))
        case Enum():
            return _is_finite(value.value)
    if is_dataclass(value):
        return all(_is_finite(getattr(value, field.name)) for field in fields(value))
    numbers = getattr(value, "tolist", None)  # numpy's
    return numbers is None or _is_finite(numbers())


def _plain(value: object) -> object:
    """Return what orjson does not know by itself as something it does."""
    match value:
        case BaseModel():
            return value.model_dump()
        case Set():
            # In an order of its own, for a set's own differs from process to process and the next request would too.
            return sorted(value, key=_json)
        case Decimal() | PurePath():
            return str(value)
    raise TypeError(f"{type(value).__name__} is no JSON")
