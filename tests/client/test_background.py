"""Answers made in the background: when they are looked at, what ends the waiting, and what is left with the provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from random import Random
from typing import Any

import anyio
import orjson
import pytest

from pipeline.client.background import BELIEVED, CANCEL_S, fetching
from pipeline.client.exchange import Answer, Hear
from pipeline.client.loader import Loader
from pipeline.client.send import journaled, sending
from pipeline.client.stored import Stored, is_usable
from pipeline.errors import AttemptError, DiskFailed, ProviderRefused, RowError, Sent, Unfetched
from pipeline.records import Attempt, Claim, Media, Outcome, Reply, Request, Status
from pipeline.spec.provider import Provider
from pipeline.spec.rules import MediaRules
from pipeline.wire.dialect import DIALECTS
from pipeline.wire.signals import RateHeaders

pytestmark = pytest.mark.anyio
Clock = Callable[[], float]

REQUEST = Request(3, "m", {"model": "m", "input": "hi", "background": True}, b"0" * 16, 10)
ENDPOINT = Provider(base_url="https://x/v1", api_key_env="KEY").endpoint()
KEY = "secret-key"
USAGE = {"input_tokens": 3, "output_tokens": 4}
OVER_S = 3600.0


def response(status: str, **members: object) -> dict[str, object]:
    """Return a response's body."""
    return {"id": "resp_1", "status": status, "output": [], **members}


def answer(status: str, headers: Mapping[str, str] | None = None, **members: object) -> Answer:
    """Return a whole answer that holds a response."""
    return Answer(200, headers or {}, orjson.dumps(response(status, **members)))


def refused(status: int, headers: Mapping[str, str] | None = None, **error: object) -> Answer:
    """Return an answer that says no."""
    return Answer(status, headers or {}, orjson.dumps({"error": {"message": "no", **error}}))


QUEUED = answer("queued")
WORKING = answer("in_progress")
CANCELLED = answer("cancelled")
TEXT = [{"type": "message", "content": [{"type": "output_text", "text": "done"}]}]
DONE = answer("completed", output=TEXT, usage=USAGE)
LATE = AttemptError("no answer", kind="timeout", sent=Sent.NEVER, transient=True)
CUT = AttemptError("broke off", kind="disconnected", sent=Sent.NEVER, transient=True)
UNTRUSTED = AttemptError("who is that", kind="certificate", sent=Sent.NEVER, transient=False, scope="run")

Said = Answer | AttemptError


@dataclass
class Desk:
    """A provider that says what it is told to, the last of it for ever, and keeps what it is asked and when."""

    submit: Said = QUEUED
    looks: Sequence[Said] = (DONE,)
    cancel: Said | None = CANCELLED
    asked: list[tuple[float, str, str]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, hear: Hear | None = None) -> Answer:
        """Take a request in, which takes a second."""
        await anyio.sleep(1)
        return self._say(self.submit, "POST", url, headers)

    async def call(self, method: str, url: str, headers: Mapping[str, str]) -> Answer:
        """Show or cancel a response; without words for a cancellation, say nothing for ever."""
        await anyio.lowlevel.checkpoint()
        if method == "GET":
            looks = len(self.times("GET"))
            return self._say(self.looks[min(looks, len(self.looks) - 1)], method, url, headers)
        if self.cancel is None:
            self.asked.append((anyio.current_time(), method, url))
            await anyio.sleep_forever()
        assert self.cancel is not None
        return self._say(self.cancel, method, url, headers)

    def times(self, method: str) -> list[float]:
        """Return when it was asked so."""
        return [at for at, verb, _ in self.asked if verb == method]

    def _say(self, said: Said, method: str, url: str, headers: Mapping[str, str]) -> Answer:
        self.asked.append((anyio.current_time(), method, url))
        self.headers.append(headers)
        self.log.append(method)
        if isinstance(said, AttemptError):
            raise said
        return said


@dataclass
class Book:
    """A journal of one attempt, which takes a second to write and keeps the order of things."""

    log: list[str]
    attempt: Attempt = field(default_factory=lambda: Attempt(7))
    outcomes: list[Outcome] = field(default_factory=list)
    full: bool = False

    def claim(self, request: Request) -> AbstractContextManager[Claim]:
        """Not part of these tests."""
        raise NotImplementedError

    def note(self, row: int, status: Status, error: RowError) -> None:
        """Not part of these tests."""
        raise NotImplementedError

    async def intend(self, request: Request) -> Attempt:
        """Give the attempt."""
        return self.attempt

    async def submitted(self, attempt: Attempt, response_id: str) -> None:
        """Write down an id."""
        assert attempt == self.attempt
        await anyio.sleep(1)
        if self.full:
            raise DiskFailed("full")
        self.log.append(response_id)

    async def settle(self, request: Request, attempt: Attempt, outcome: Outcome) -> None:
        """Write down an outcome."""
        assert attempt == self.attempt
        await anyio.sleep(1)
        self.log.append("settled")
        self.outcomes.append(outcome)


@dataclass
class Bench:
    """A desk, a journal, and the layers between them."""

    desk: Desk
    book: Book
    heard: list[RateHeaders] = field(default_factory=list)
    urgent: bool = False
    loader: Loader = field(default_factory=lambda: Loader(MediaRules(fetch=True), DIALECTS["openai"]))

    async def ask(self, request: Request = REQUEST, within_s: float = OVER_S) -> Reply:
        """Send a request through the layers."""

        def feedback(model: str, headers: RateHeaders) -> None:
            assert model == "m"
            self.heard.append(headers)

        post = sending(self.desk, ENDPOINT, lambda: KEY, {}, self.loader, feedback)
        stored = Stored(self.desk, ENDPOINT, lambda: KEY, self.loader, feedback)
        post = fetching(post, stored, self.book, within_s, urgent=lambda: self.urgent, rng=Random(1))
        return await journaled(post, self.book)(request)

    async def fails(self, within_s: float = OVER_S) -> AttemptError:
        """Send a request that fails, and return how."""
        with pytest.raises(AttemptError) as failed:
            await self.ask(within_s=within_s)
        assert self.book.outcomes[-1].error is failed.value
        return failed.value


def bench(*looks: Said, response_id: str | None = None, **desk: Any) -> Bench:
    """Return a bench whose provider says this, one look after the other; with an id an earlier process has handed the request in."""
    made = Desk(looks=looks or (DONE,), **desk)
    return Bench(made, Book(made.log, Attempt(7, response_id)))


# -- the way of an answer --------------------------------------------------------------------------------------------


async def test_the_id_is_durable_before_the_first_look_and_the_answer_is_the_plain_one(virtual_time: Clock) -> None:
    """Handed in, journaled, looked at, settled: in this order, with the time from the first to the last."""
    at = bench(WORKING, DONE)
    reply = await at.ask()
    assert at.desk.log == ["POST", "resp_1", "GET", "GET", "settled"]
    assert (reply.status, reply.text, reply.usage.total_tokens) == (Status.OK, "done", 7)
    (outcome,) = at.book.outcomes
    assert outcome.latency_s == pytest.approx(at.desk.times("GET")[-1], abs=0.01)
    assert [url for _, _, url in at.desk.asked] == ["https://x/v1/responses"] + ["https://x/v1/responses/resp_1"] * 2
    assert all(headers["authorization"] == f"Bearer {KEY}" for headers in at.desk.headers)


async def test_an_answer_that_is_there_at_once_is_not_looked_at(virtual_time: Clock) -> None:
    """Nor is its id journaled, for there is nothing to fetch."""
    at = bench(submit=DONE)
    assert (await at.ask()).text == "done"
    assert at.desk.log == ["POST", "settled"]


@pytest.mark.parametrize("body", [{"model": "m", "input": "hi"}, REQUEST.body], ids=["plain", "background"])
async def test_an_attempt_with_an_id_is_fetched_and_not_sent(virtual_time: Clock, body: Mapping[str, object]) -> None:
    """At once, whichever delivery the job has by now; how long it took in all is not known."""
    at = bench(response_id="resp_1")
    assert (await at.ask(replace(REQUEST, body=body))).text == "done"
    assert at.desk.log == ["GET", "settled"]
    assert at.desk.times("GET") == [pytest.approx(0, abs=0.01)]
    assert at.book.outcomes[0].latency_s is None


async def test_the_providers_hint_says_when_to_look(virtual_time: Clock) -> None:
    """Given with what was handed in, and anew with each look."""
    at = bench(answer("queued", {"openai-poll-after-ms": "30000"}), WORKING, DONE)
    at.desk.submit = answer("queued", {"openai-poll-after-ms": "250"})
    await at.ask()
    first, second, third = at.desk.times("GET")
    assert first == pytest.approx(2.25, abs=0.01)
    assert second - first == pytest.approx(30, abs=0.01)
    assert third - second < 15


async def test_without_a_hint_the_looks_become_rarer(virtual_time: Clock) -> None:
    """From about a second to a quarter of a minute."""
    at = bench(*[WORKING] * 30, DONE)
    await at.ask()
    waits = [later - earlier for earlier, later in pairwise([2.0, *at.desk.times("GET")])]
    assert 0.75 <= waits[0] <= 1.01
    assert all(11.25 <= wait <= 15.01 for wait in waits[-20:])


async def test_looks_tell_of_the_limits_as_answers_do(virtual_time: Clock) -> None:
    """Each one's rate headers are heard."""
    at = bench(answer("completed", {"x-ratelimit-limit-requests": "500"}, output=TEXT))
    await at.ask()
    assert [headers.limit_requests for headers in at.heard] == [None, 500]


# -- looks that fail -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [LATE, CUT, refused(429, code="rate_limit_exceeded"), refused(500), refused(503), Answer(502, {}, b"<html>")],
    ids=["timeout", "disconnected", "429", "500", "503", "a page"],
)
async def test_a_look_that_fails_is_no_attempt(virtual_time: Clock, fault: Said) -> None:
    """Reads are free, so it is tried again, however often, and the answer is fetched."""
    at = bench(*[fault] * 12, DONE)
    assert (await at.ask()).text == "done"
    assert at.desk.log == ["POST", "resp_1", *["GET"] * 13, "settled"]


async def test_a_look_is_put_off_as_long_as_the_provider_asks(virtual_time: Clock) -> None:
    """By ``Retry-After``."""
    at = bench(refused(429, {"retry-after": "77"}), DONE)
    await at.ask()
    first, second = at.desk.times("GET")
    assert second - first == pytest.approx(77, abs=0.01)


@pytest.mark.parametrize(
    "fault",
    [refused(401), refused(403), refused(402), refused(429, code="insufficient_quota"), UNTRUSTED],
    ids=["401", "403", "402", "quota", "certificate"],
)
async def test_a_look_that_is_refused_to_everyone_ends_the_run_and_leaves_the_answer(
    virtual_time: Clock, fault: Said
) -> None:
    """It is not settled: once the key is right, the next run fetches it."""
    at = bench(WORKING, fault)
    with pytest.raises(ProviderRefused):
        await at.ask()
    assert at.desk.log == ["POST", "resp_1", "GET", "GET"]


@pytest.mark.parametrize("response_id", [None, "resp_1"], ids=["seen before", "of an earlier run"])
async def test_an_answer_that_is_gone_may_have_been_paid(virtual_time: Clock, response_id: str | None) -> None:
    """What becomes of it is for ``retry.ambiguous`` to say, as with every attempt that was lost."""
    at = bench(*([] if response_id else [WORKING]), refused(404), response_id=response_id)
    error = await at.fails()
    assert (error.kind, error.sent, error.transient, error.http_status) == ("gone", Sent.MAYBE, True, 404)
    assert "resp_1" in error.message


async def test_an_answer_that_is_not_there_yet_is_waited_for(virtual_time: Clock) -> None:
    """What was handed in a moment ago need not be found at once."""
    at = bench(*[refused(404)] * (BELIEVED - 1), DONE)
    assert (await at.ask()).text == "done"


async def test_an_answer_that_was_never_there_is_not_paid_again(virtual_time: Clock) -> None:
    """A server that takes requests in and keeps no answers would be paid for each attempt: such a row ends as unknown."""
    at = bench(refused(404))
    error = await at.fails()
    assert (error.kind, error.sent, error.transient, error.unknown) == ("gone", Sent.MAYBE, False, True)
    assert len(at.desk.times("GET")) == BELIEVED


@pytest.mark.parametrize("begins", [(), (WORKING,)], ids=["never seen", "seen before"])
@pytest.mark.parametrize(
    "fault",
    [
        refused(400),
        refused(405),
        Answer(200, {}, b"<html>welcome</html>"),
        Answer(200, {}, b'{"message": "moved"}'),
        AttemptError("no HTTP", kind="protocol", sent=Sent.NEVER, transient=False),
        answer("completed", id="resp_of_somebody_else"),
    ],
    ids=["400", "405", "page", "shape", "protocol", "another's"],
)
async def test_an_answer_that_cannot_be_fetched_now_is_left_to_be_fetched(
    virtual_time: Clock, begins: tuple[Said, ...], fault: Said
) -> None:
    """It is paid, and it is there: the attempt stays open under its id, and the next run looks again."""
    at = bench(*begins, fault)
    with pytest.raises(Unfetched, match="resp_1"):
        await at.ask()
    assert len(at.desk.times("GET")) == len(begins) + BELIEVED


@pytest.mark.parametrize(
    ("ends", "status"),
    [
        (answer("incomplete", incomplete_details={"reason": "max_output_tokens"}, usage=USAGE), Status.TRUNCATED),
        (answer("incomplete", incomplete_details={"reason": "content_filter"}, usage=USAGE), Status.FILTERED),
        (answer("cancelled", usage=USAGE), Status.CANCELLED),
    ],
)
async def test_an_answer_that_ends_otherwise_has_the_status_of_a_plain_one(
    virtual_time: Clock, ends: Answer, status: Status
) -> None:
    """With its tokens."""
    reply = await bench(WORKING, ends).ask()
    assert (reply.status, reply.usage.total_tokens) == (status, 7)


@pytest.mark.parametrize(
    ("code", "transient"), [("server_error", True), ("invalid_image", False), ("insufficient_quota", False)]
)
async def test_an_answer_that_failed_is_a_failed_attempt(virtual_time: Clock, code: str, transient: bool) -> None:
    """It says so itself, so nothing is unclear, and its tokens count; also where the failure is that of the whole run."""
    at = bench(answer("failed", error={"code": code, "message": "no"}, usage=USAGE))
    error = await at.fails()
    assert (error.sent, error.transient, at.book.outcomes[0].spent.total_tokens) == (Sent.ANSWERED, transient, 7)


async def test_a_picture_that_the_provider_could_not_download_is_sent_as_bytes_next_time(virtual_time: Clock) -> None:
    """It is told only when the answer has failed."""
    picture = Media(identity="p", label="p", url="https://x/p.png")
    asking = replace(REQUEST, body={**REQUEST.body, "input": [{"role": "user", "content": [{"image_url": picture}]}]})
    at = bench(answer("failed", error={"code": "failed_to_download_image", "message": "no"}))
    assert at.loader.goes_as_url(picture)
    with pytest.raises(AttemptError):
        await at.ask(asking)
    assert not at.loader.goes_as_url(picture)


# -- the end of the waiting ------------------------------------------------------------------------------------------


async def test_an_answer_that_takes_too_long_is_cancelled_at_the_provider(virtual_time: Clock) -> None:
    """It may have been paid."""
    at = bench(WORKING, cancel=CANCELLED)
    error = await at.fails(within_s=100)
    assert (error.kind, error.sent, error.transient) == ("timeout", Sent.MAYBE, True)
    assert "deadlines.background_s" in error.message
    assert "was cancelled" in error.message
    assert at.desk.times("POST")[1] == pytest.approx(102, abs=0.01)
    assert at.desk.asked[-1][2] == "https://x/v1/responses/resp_1/cancel"


@pytest.mark.parametrize(
    ("cancel", "took_s"), [(refused(500), 0), (None, CANCEL_S), (WORKING, 0)], ids=["refused", "silent", "goes on"]
)
async def test_an_answer_that_cannot_be_cancelled_is_left_to_be_fetched(
    virtual_time: Clock, cancel: Said | None, took_s: float
) -> None:
    """It may still be made, so it is not asked again; a silent provider is waited for, but not for long."""
    at = bench(WORKING, cancel=cancel)
    with pytest.raises(Unfetched, match=r"deadlines\.background_s.*resp_1"):
        await at.ask(within_s=100)
    assert virtual_time() == pytest.approx(102 + took_s, abs=0.01)


async def test_an_answer_that_was_there_just_before_it_was_cancelled_is_kept(virtual_time: Clock) -> None:
    """It is paid."""
    at = bench(WORKING, cancel=DONE)
    assert (await at.ask(within_s=100)).text == "done"


async def ended(at: Bench, after_s: float) -> None:
    """Cancel the row after so many seconds, as the end of a run does."""
    with anyio.move_on_after(after_s):
        await at.ask()


async def test_what_is_being_made_when_a_run_ends_stays_with_the_provider(virtual_time: Clock) -> None:
    """Nothing is cancelled or settled; the id is in the journal."""
    at = bench(WORKING)
    await ended(at, 60)
    assert set(at.desk.log[2:]) == {"GET"}
    assert virtual_time() == pytest.approx(60, abs=0.01)


async def test_what_is_being_made_when_a_run_ends_at_once_is_cancelled_and_asked_anew(virtual_time: Clock) -> None:
    """The journal says that it has ended and cannot be fetched, and not that it may have been paid."""
    at = bench(WORKING)
    at.urgent = True
    await ended(at, 60)
    assert at.desk.log[-2:] == ["POST", "settled"]
    error = at.book.outcomes[0].error
    assert error is not None
    assert (error.kind, error.sent, error.transient) == ("cancelled", Sent.ANSWERED, True)
    assert virtual_time() == pytest.approx(61, abs=0.01)


@pytest.mark.parametrize(
    ("cancel", "took_s"),
    [(DONE, 0), (WORKING, 0), (CUT, 0), (refused(404), 0), (None, CANCEL_S)],
    ids=["finished", "not yet", "disconnected", "refused", "silent"],
)
async def test_what_is_not_known_to_be_cancelled_is_left_to_be_fetched(
    virtual_time: Clock, cancel: Said | None, took_s: float
) -> None:
    """A run that ends at once waits five seconds for that, no more."""
    at = bench(WORKING, cancel=cancel)
    at.urgent = True
    await ended(at, 60)
    assert at.book.outcomes == []
    assert virtual_time() == pytest.approx(60 + took_s, abs=0.01)


async def test_an_id_that_is_here_is_journaled_whatever_ends_the_run(virtual_time: Clock) -> None:
    """The request is paid from the moment it is taken in."""
    at = bench(WORKING)
    await ended(at, 1.5)
    assert at.desk.log == ["POST", "resp_1"]


async def test_an_id_that_cannot_be_journaled_stops_the_run(virtual_time: Clock) -> None:
    """Before it is looked at; and it is cancelled there, since nobody could find it again."""
    at = bench()
    at.book.full = True
    with pytest.raises(DiskFailed):
        await at.ask()
    assert at.desk.log == ["POST", "POST"]
    assert at.desk.asked[-1][2].endswith("/resp_1/cancel")


# -- ids -------------------------------------------------------------------------------------------------------------

ABSURD = ["", ".", "..", "a b", "a\nb", "ä", "\0", "x" * 257]


@pytest.mark.parametrize("response_id", [None, *ABSURD])
async def test_an_id_that_leads_nowhere_ends_the_row_as_unknown(virtual_time: Clock, response_id: str | None) -> None:
    """Asked again it would be paid again, and be as lost."""
    at = bench(submit=answer("queued", id=response_id))
    error = await at.fails()
    assert (error.sent, error.unknown) == (Sent.MAYBE, True)
    assert "no id" in error.message
    assert at.desk.times("GET") == []


async def test_an_id_is_quoted_where_it_stands_in_an_address(virtual_time: Clock) -> None:
    """It is the provider's, and could be anything."""
    at = bench(answer("completed", id="../models?a=b#c%"), submit=answer("queued", id="../models?a=b#c%"))
    await at.ask()
    assert at.desk.asked[1][2] == "https://x/v1/responses/..%2Fmodels%3Fa%3Db%23c%25"


@pytest.mark.parametrize("response_id", ["resp_0a1B", "a/b", "x" * 256, "...", "~!"])
def test_ids_are_opaque(response_id: str) -> None:
    """Whatever can be quoted will do."""
    assert is_usable(response_id)
