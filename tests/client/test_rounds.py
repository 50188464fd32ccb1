"""Which replies want another round, how many rounds there are, and what becomes of them after a crash."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import orjson
import pytest

from pipeline.client import tools
from pipeline.client.artifacts import Keep, illustrated
from pipeline.client.rounds import ROUND_LIMIT, Rules, in_rounds, judging
from pipeline.client.send import conforming
from pipeline.client.tools import Toolbox
from pipeline.errors import AttemptError, FunctionsHang, Sent
from pipeline.events import FunctionCalled
from pipeline.records import Media, Reply, Request, Status, Turn, Usage
from pipeline.spec.fields import Fields
from pipeline.spec.functions import tool_of
from pipeline.wire.decode import decode
from pipeline.wire.dialect import DIALECTS

pytestmark = pytest.mark.anyio
FIELDS = Fields.parse({"n": "int"})


def double(n: int) -> int:
    return 2 * n


TOOLS = [tool_of(double)]
REQUEST = Request(3, "m", {"model": "m", "input": "hi", "tools": TOOLS}, b"0" * 16, 100)


def said(*items: Mapping[str, object], status: str = "completed", tokens: int = 5) -> dict[str, Any]:
    usage = {"input_tokens": 10, "output_tokens": tokens}
    reason = {"incomplete_details": {"reason": "max_output_tokens"}} if status == "incomplete" else {}
    return {"id": "resp_1", "status": status, "output": [*items], "usage": usage, **reason}


def call(n: int = 1, name: str = "double", kind: str = "function_call") -> dict[str, Any]:
    field_name = "arguments" if kind == "function_call" else "input"
    return {"type": kind, "call_id": f"call_{n}", "name": name, field_name: orjson.dumps({"n": n}).decode()}


def words(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}


@dataclass
class Model:
    """Answers in turn with these bodies, and remembers what it was asked and what was judged of its replies."""

    bodies: Sequence[dict[str, Any] | AttemptError]
    asked: list[Request] = field(default_factory=list)
    judged: list[Reply] = field(default_factory=list)

    async def post(self, request: Request) -> Reply:
        body = self.bodies[len(self.asked)]
        self.asked.append(request)
        if isinstance(body, AttemptError):
            raise body
        return decode(body)


@dataclass
class Bench:
    """A job's rules, and what its functions are."""

    functions: Mapping[str, Callable[..., object]] = field(default_factory=lambda: {"double": double})
    rounds: int = 8
    repairs: int = 0
    fields: Fields | None = None
    timeout_s: float = 30.0
    keep: Keep = lambda name, _content: name
    heard: list[FunctionCalled] = field(default_factory=list)

    async def ask(self, model: Model, request: Request = REQUEST) -> Reply:
        limits = {Turn.TOOLS: self.rounds, Turn.REPAIR: self.repairs}
        rules = Rules(frozenset(self.functions), limits, self.timeout_s, self.fields, DIALECTS["openai"], {})
        judged = judging(conforming(model.post, self.fields), rules)
        judged = illustrated(judged, self.keep)

        async def remember(request: Request) -> Reply:
            reply = await judged(request)
            model.judged.append(reply)
            return reply

        return await in_rounds(remember, rules, Toolbox(self.functions), announce=self.heard.append)(request)


# -- functions -------------------------------------------------------------------------------------------------------


async def test_functions_run_until_the_model_has_its_answer() -> None:
    """Each round brings the outputs of the calls before; the reply has all calls, their outputs, and all rounds' tokens."""
    model = Model([said(call(1), call(2)), said(words("One moment."), call(3)), said(words("12"))])
    reply = await Bench().ask(model)
    assert (reply.status, reply.text, reply.turn) == (Status.OK, "12", None)
    assert reply.usage == Usage(30, None, 15, None, 45)
    assert [(each.name, each.output) for each in reply.tool_calls] == [
        ("double", "2"),
        ("double", "4"),
        ("double", "6"),
    ]
    assert [each.turn for each in model.judged] == [Turn.TOOLS, Turn.TOOLS, None]
    assert [each.status for each in model.judged] == [Status.TOOL_CALLS, Status.TOOL_CALLS, Status.OK]
    assert [request.turns for request in model.asked] == [(), (Turn.TOOLS,), (Turn.TOOLS, Turn.TOOLS)]
    assert [request.rounds for request in model.asked] == [tuple(model.bodies[:count]) for count in range(3)]
    last: Any = model.asked[-1].body["input"]
    assert [item["output"] for item in last if item.get("type") == "function_call_output"] == ["2", "4", "6"]


async def test_a_further_round_is_encoded_anew() -> None:
    """Its body is another one, so what was encoded for the first is not sent again."""
    model = Model([said(call(1)), said(words("2"))])
    shown = Media(identity="", label="p", url="https://x/p")
    await Bench().ask(model, replace(REQUEST, content=b"{}", shown=((1, shown),)))
    assert [(request.content, request.shown) for request in model.asked] == [(b"{}", ((1, shown),)), (None, ())]


@pytest.mark.parametrize("finished", [0, 1])
async def test_pictures_and_sources_of_all_rounds_belong_to_the_answer(finished: int) -> None:
    """Also of those that an earlier process asked; each picture is written once, with the answer."""
    picture = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
    drawing = {"type": "image_generation_call", "status": "completed", "result": picture}
    cited = [{"type": "url_citation", "url": "https://a.example", "title": "A"}]
    looking = words("Let me look.") | {"content": [{"type": "output_text", "text": "…", "annotations": cited}]}
    bodies = [said(looking, drawing, call(1)), said(words("2"))]
    written: list[str] = []
    bench = Bench(keep=lambda name, _content: written.append(name) or name)
    reply = await bench.ask(Model(bodies[finished:]), replace(REQUEST, rounds=tuple(bodies[:finished])))
    assert [source.url for source in reply.sources] == ["https://a.example"]
    assert (len(reply.images), len(written)) == (1, 1)


async def test_each_round_weighs_what_came_before() -> None:
    """What was said and what the functions gave are the next round's input."""
    model = Model([said(call(1), tokens=50), said(words("2"))])
    await Bench().ask(model)
    assert [request.weight for request in model.asked] == [100, 151]


@pytest.mark.parametrize("rounds", [1, 2])
async def test_a_model_that_goes_on_calling_is_stopped(rounds: int) -> None:
    """The request ends as one that asks for tools, with the calls that ran and those that did not."""
    model = Model([said(call(n)) for n in range(1, 9)])
    reply = await Bench(rounds=rounds).ask(model)
    assert (reply.status, reply.error_code) == (Status.TOOL_CALLS, ROUND_LIMIT)
    assert reply.error_message is not None
    assert f"{rounds} rounds" in reply.error_message
    assert [each.output for each in reply.tool_calls] == [*(str(2 * n) for n in range(1, rounds + 1)), None]
    assert len(model.asked) == rounds + 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (said(call(1), call(2, "label")), Status.TOOL_CALLS),
        (said(call(1), {"type": "computer_call", "call_id": "c", "action": {}}), Status.TOOL_CALLS),
        (said(call(1), {"type": "mcp_approval_request", "id": "m", "name": "double"}), Status.TOOL_CALLS),
        (said(call(1), status="incomplete"), Status.TRUNCATED),
    ],
    ids=["another tool of the request", "another kind", "an approval", "cut off"],
)
async def test_calls_that_cannot_all_be_answered_are_recorded_as_ever(body: dict[str, Any], status: Status) -> None:
    """Half of the outputs would be refused; nothing runs."""
    model = Model([body])
    labelling = {**REQUEST.body, "tools": [*TOOLS, {"type": "function", "function": {"name": "label"}}]}
    reply = await Bench().ask(model, replace(REQUEST, body=labelling))
    assert (reply.status, reply.turn, len(model.asked)) == (status, None, 1)
    assert all(each.output is None for each in reply.tool_calls)


async def test_a_job_without_functions_records_calls() -> None:
    """As it always did."""
    model = Model([said(call(1))])
    reply = await Bench({}).ask(model)
    assert (reply.status, reply.turn, reply.error_code) == (Status.TOOL_CALLS, None, None)


async def test_a_name_that_no_tool_has_is_told_to_the_model() -> None:
    """It made the name up, and may do better."""
    model = Model([said(call(1, "treble")), said(words("no"))])
    reply = await Bench().ask(model)
    assert reply.status is Status.OK
    assert "there is no function treble" in str(reply.tool_calls[0].output)


async def test_a_custom_tool_is_answered_in_its_own_form() -> None:
    """Its text is the function's only argument."""
    model = Model([said({**call(1, kind="custom_tool_call"), "input": "7"}), said(words("14"))])
    reply = await Bench().ask(model)
    sent: Any = model.asked[1].body["input"]
    assert sent[-1] == {"type": "custom_tool_call_output", "call_id": "call_1", "output": "14"}
    assert reply.text == "14"


@pytest.mark.parametrize(
    ("give", "message"),
    [
        (lambda: 1 / 0, "ZeroDivisionError"),
        (lambda: b"bytes", "TypeError"),
    ],
    ids=["raises", "bytes"],
)
async def test_what_goes_wrong_in_a_function_is_the_models_to_mend(give: Callable[[], object], message: str) -> None:
    """The row goes on."""

    def broken(n: int) -> object:
        return give()

    reply = await Bench({"double": broken}).ask(Model([said(call(1)), said(words("sorry"))]))
    assert (reply.status, reply.text) == (Status.OK, "sorry")
    assert message in str(reply.tool_calls[0].output)


async def test_every_call_is_announced_with_how_it_ended() -> None:
    """Those that failed with what the model was told, and a name that the model made up as none of the job's."""

    def half(n: int) -> int:
        if n % 2:
            raise ValueError("odd")
        return n // 2

    bench = Bench({"double": double, "half": half})
    calls = (call(1, "half"), call(2, "half"), call(3), call(4, "treble"), {**call(5), "arguments": "{"})
    reply = await bench.ask(Model([said(*calls), said(words("ok"))]))
    assert [(heard.row, heard.function) for heard in bench.heard] == [
        *[(3, "half")] * 2,
        (3, "double"),
        (3, None),
        (3, "double"),
    ]
    errors = [heard.error for heard in bench.heard]
    assert errors[:4] == ["ValueError: odd", None, None, "there is no function treble; the functions are: double, half"]
    assert str(errors[4]).startswith("the arguments are no JSON")
    told = [orjson.loads(str(each.output)) for each in reply.tool_calls]
    assert [value["error"] for value in told if isinstance(value, dict)] == [error for error in errors if error]


async def test_no_round_is_paid_for_that_functions_could_not_serve(
    monkeypatch: pytest.MonkeyPatch, virtual_time: Callable[[], float]
) -> None:
    """Where calls that hang hold every place the run stops, and the finished round is there for the next one."""
    monkeypatch.setattr(tools, "THREADS", 1)
    released = threading.Event()

    def hang(n: int) -> None:
        released.wait()

    model = Model([said(call(1)), said(words("late"))])
    with pytest.raises(FunctionsHang, match="double 1"):
        await Bench({"double": hang}, timeout_s=2.0).ask(model)
    released.set()
    for thread in [thread for thread in threading.enumerate() if thread.name == "tool"]:
        await anyio.to_thread.run_sync(thread.join)  # it tells the loop that it has ended
    assert len(model.asked) == 1


async def test_a_function_that_hangs_is_left_behind(virtual_time: Callable[[], float]) -> None:
    """After its time the model hears so, and the row goes on."""

    async def hang(n: int) -> None:
        await anyio.sleep_forever()

    reply = await Bench({"double": hang}, timeout_s=2.0).ask(Model([said(call(1)), said(words("late"))]))
    assert "took longer than 2 s" in str(reply.tool_calls[0].output)
    assert virtual_time() == pytest.approx(2, abs=0.1)


async def test_a_run_that_ends_does_not_wait_for_a_function(virtual_time: Callable[[], float]) -> None:
    """Its thread is left behind: the finished round is in the journal, and the next run calls the function again."""
    stuck = anyio.Event()

    async def hang(n: int) -> None:
        stuck.set()
        await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        group.start_soon(Bench({"double": hang}).ask, Model([said(call(1))]))
        await stuck.wait()
        group.cancel_scope.cancel()
    assert virtual_time() < 1


# -- repairs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "repairs", "status", "asked"),
    [
        (['{"n": "one"}', '{"n": 1}'], 1, Status.OK, 2),
        (['{"n": "one"}', "no"], 1, Status.INVALID, 2),
        (['{"n": "one"}', "no", '{"n": 1}'], 3, Status.OK, 3),
        (['{"n": "one"}'], 0, Status.INVALID, 1),
        (['{"n": 1}'], 3, Status.OK, 1),
    ],
)
async def test_an_answer_that_does_not_fit_is_asked_for_again(
    texts: list[str], repairs: int, status: Status, asked: int
) -> None:
    """As often as the job says; each time the model hears what was wrong, and every answer is paid."""
    model = Model([said(words(text)) for text in texts])
    reply = await Bench({}, repairs=repairs, fields=FIELDS).ask(model)
    assert (reply.status, len(model.asked)) == (status, asked)
    assert reply.usage.total_tokens == 15 * asked
    for wrong, request in zip(model.judged, model.asked[1:], strict=False):
        sent: Any = request.body["input"]
        assert str(wrong.error_message) in sent[-1]["content"][0]["text"]
        assert sent[-2] == words(wrong.text)


async def test_words_beside_calls_are_no_wrong_answer() -> None:
    """The calls are answered first; an answer that is asked for again after them keeps the calls."""
    bodies = [said(words("Let me look."), call(1)), said(words("two")), said(words('{"n": 2}'))]
    model = Model(bodies)
    reply = await Bench(repairs=1, fields=FIELDS).ask(model)
    assert (reply.status, [each.output for each in reply.tool_calls]) == (Status.OK, ["2"])
    assert [each.turn for each in model.judged] == [Turn.TOOLS, Turn.REPAIR, None]


# -- after a crash ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("finished", [0, 1, 2, 3])
async def test_finished_rounds_are_gone_through_without_asking(finished: int) -> None:
    """The next round is the one that would have come, and only rounds that were asked now count as spent now."""
    bodies = [said(call(1)), said(call(2), call(3)), said(words("no")), said(words('{"n": 2}'))]
    bench = Bench(repairs=1, fields=FIELDS)
    whole = Model(bodies)
    wanted = await bench.ask(whole)
    rest = Model(bodies[finished:])
    reply = await bench.ask(rest, replace(REQUEST, rounds=tuple(bodies[:finished])))
    assert rest.asked == whole.asked[finished:]
    assert replace(reply, usage=wanted.usage) == wanted
    assert reply.usage.total_tokens == 15 * (4 - finished)


@pytest.mark.parametrize("bench", [Bench(rounds=1), Bench(rounds=2, repairs=0)], ids=["fewer rounds", "no repair"])
async def test_rounds_that_were_begun_under_other_limits_are_used_all_the_same(bench: Bench) -> None:
    """They are paid; the limits of now hold from the next reply on."""
    finished = (said(call(1)), said(call(2)))
    model = Model([said(call(3))])
    reply = await bench.ask(model, replace(REQUEST, rounds=finished))
    assert (reply.error_code, len(model.asked), len(reply.tool_calls)) == (ROUND_LIMIT, 1, 3)


async def test_a_failure_of_a_later_round_is_the_rows() -> None:
    """The rounds before it are in the journal, and the next run goes on with them."""
    error = AttemptError("no", kind="server", sent=Sent.ANSWERED, transient=True)
    model = Model([said(call(1)), error])
    with pytest.raises(AttemptError) as raised:
        await Bench().ask(model)
    assert raised.value is error
