"""The values that flow from a table row to a table row, and the port through which they are made durable.

Nothing here does I/O or knows a clock. Unknown is ``None`` everywhere, never 0 and never an empty string.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from pipeline.values import value

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from pipeline.errors import AttemptError, RowError

MediaKind = Literal["image", "video", "file"]
"""What a request can refer to besides text."""


class Status(StrEnum):
    """What became of a row."""

    OK = "ok"
    REFUSED = "refused"
    TRUNCATED = "truncated"
    FILTERED = "filtered"
    EMPTY = "empty"
    INVALID = "invalid"
    TOOL_CALLS = "tool_calls"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"
    PENDING = "pending"


@value
class StatusFact:
    """What a status means: is the row as wished, was it answered (and so paid), does a plain second run ask it again?"""

    meaning: str
    ok: bool = False
    answered: bool = False
    asked_again: bool = False


STATUS_FACTS: Mapping[Status, StatusFact] = {
    Status.OK: StatusFact("answered as wished", ok=True, answered=True),
    Status.REFUSED: StatusFact("the model declined; its words are in `refusal`", answered=True),
    Status.TRUNCATED: StatusFact("cut off by max_output_tokens; the partial text is kept", answered=True),
    Status.FILTERED: StatusFact("stopped by the provider's content filter; the partial text is kept", answered=True),
    Status.EMPTY: StatusFact("answered without text, picture, refusal or calls", answered=True),
    Status.INVALID: StatusFact("the answer does not fit output.fields; the raw text is kept", answered=True),
    Status.TOOL_CALLS: StatusFact("the model asked for tools and gave no final text", answered=True),
    Status.FAILED: StatusFact("no usable answer; error_kind and error_message say why"),
    Status.CANCELLED: StatusFact("cancelled at the provider"),
    Status.SKIPPED: StatusFact("not asked: a null cell, and on_null is skip", ok=True),
    Status.UNKNOWN: StatusFact("sent, perhaps paid, without a usable answer, and not asked again by itself"),
    Status.PENDING: StatusFact("not finished; the next run goes on with it", asked_again=True),
}


@value
class Row:
    """One row of the input: its number in the whole input (from 0, before ``where``, ``limit`` and ``sample``) and the cells in use."""

    number: int
    cells: Mapping[str, object]


@value
class Extent:
    """How much a medium shows, read from its header: ``width`` and ``height`` in upright pixels, ``seconds`` of a video, ``pages`` of a
    file, ``text_bytes`` of a file that is text. None is what its header does not tell.
    """

    width: int | None = None
    height: int | None = None
    seconds: float | None = None
    pages: int | None = None
    text_bytes: int | None = None


@value
class Media:
    """A picture, video or file that a request refers to; its bytes are loaded only when an attempt leaves.

    Exactly one of ``url`` (sent as it stands), ``path`` (a file below a declared root) and ``data`` (the cell's bytes) is set.
    ``identity`` is what counts in the request's fingerprint. ``label`` is how messages call it: never the bytes. ``filename`` is what the
    model is told a file is called, ``size`` the bytes that were counted when the request was made. ``extent`` is known where something
    had to be counted by it before the request leaves: a budget's worst case.
    """

    identity: str
    label: str
    url: str | None = None
    path: Path | None = None
    data: bytes | None = field(default=None, repr=False)
    kind: MediaKind = "image"
    filename: str | None = None
    size: int | None = None
    extent: Extent | None = None


class Turn(StrEnum):
    """What a further round of one request is for."""

    TOOLS = "tools"
    """To give the model what the functions it called have returned."""
    REPAIR = "repair"
    """To let it mend an answer that does not fit ``output.fields``."""


@value
class Attempt:
    """An attempt's number in the journal. ``response_id`` is set where the provider works on it already: it is fetched, not asked again."""

    number: int
    response_id: str | None = None


@value
class Bound:
    """The most that one attempt can cost, in tokens that go in and come out."""

    input_tokens: int
    output_tokens: int


@value
class Amount:
    """What something costs: money in picodollars (10^-12 US dollars, so that sums are exact) and tokens, in and out."""

    picos: int = 0
    tokens: int = 0

    def __add__(self, other: Amount) -> Amount:
        """Return both together."""
        return Amount(self.picos + other.picos, self.tokens + other.tokens)

    def __sub__(self, other: Amount) -> Amount:
        """Return what is left without the other."""
        return Amount(self.picos - other.picos, self.tokens - other.tokens)


@value
class Purse:
    """Where a budget stands: its caps (``picos`` and ``tokens``, None where there is none), what all runs of the job have ``spent``, and
    what is ``held``: the worst case of attempts that are on their way, or whose end or usage is not known.
    """

    picos: int | None
    tokens: int | None
    spent: Amount
    held: Amount


@value
class Request:
    """What a row asks, before it is put into a dialect.

    ``body`` uses OpenAI's parameter names; pictures stand in it as ``Media`` values. ``fingerprint`` is 16 bytes, a digest of all that can
    change the answer. ``weight`` is the estimate in tokens that the throttle reserves. ``sample`` counts a row's requests from 0.

    One request may take several rounds, which share its fingerprint: ``rounds`` holds the bodies of the replies that the journal has of the
    rounds before, ``turns`` says what the rounds before this one led to, ``called`` holds the calls they made. ``attempt`` is set between
    the journal and the wire.

    ``bound`` is set where money is held for the attempt, ``waited_s`` is how many seconds it has waited for its turn.

    ``content`` is ``body`` as it is sent, encoded once for all attempts, but for its media: ``shown`` has them in order, each with the
    place in ``content`` where it goes in as a JSON text. None where the bytes are made when an attempt leaves, because there are tokens or
    files to be put in. Whoever changes ``body`` takes both away.
    """

    row: int
    model: str
    body: Mapping[str, object]
    fingerprint: bytes
    weight: int
    sample: int = 0
    rounds: tuple[Mapping[str, object], ...] = ()
    turns: tuple[Turn, ...] = ()
    called: tuple[ToolCall, ...] = ()
    attempt: Attempt | None = None
    bound: Bound | None = None
    waited_s: float = 0.0
    content: bytes | None = field(default=None, repr=False)
    shown: tuple[tuple[int, Media], ...] = ()


@value
class Usage:
    """Tokens as the provider reported them. ``cached`` and ``cache_write`` are parts of ``input``, ``reasoning`` is a part of ``output``.

    ``vendor_cost`` is what the provider says the call cost, in a unit of its own: quota at qingbo, 500,000 to the dollar.
    """

    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    total_tokens: int | None = None
    cache_write_tokens: int | None = None
    vendor_cost: float | None = None

    def __add__(self, other: Usage) -> Usage:
        """Add what is known; a figure neither side knows stays unknown."""
        return Usage(
            _sum(self.input_tokens, other.input_tokens),
            _sum(self.cached_tokens, other.cached_tokens),
            _sum(self.output_tokens, other.output_tokens),
            _sum(self.reasoning_tokens, other.reasoning_tokens),
            _sum(self.total_tokens, other.total_tokens),
            _sum(self.cache_write_tokens, other.cache_write_tokens),
            _sum(self.vendor_cost, other.vendor_cost),
        )


_Figure = TypeVar("_Figure", int, float)


def _sum(left: _Figure | None, right: _Figure | None) -> _Figure | None:
    return left if right is None else right if left is None else left + right


@value
class ToolCall:
    """A call the model asks for. ``arguments`` is the JSON text as it came; ``parsed`` its value, or None where it is no JSON.

    ``output`` is what a function of the job's gave back for it.
    """

    call_id: str | None
    name: str | None
    arguments: str
    parsed: object = None
    kind: str = "function"
    output: str | None = None


@value
class Source:
    """What an answer rests on: a page or a file.

    ``kind`` is the provider's word for a citation (``url_citation``, ``file_citation``, …), or ``web_search`` and ``file_search`` for what
    a search found and the answer does not cite.
    """

    kind: str
    title: str | None = None
    url: str | None = None
    file_id: str | None = None
    filename: str | None = None


@value
class Reply:
    """A reply in one normal form, whatever shape it came in. ``raw`` is the body as it was decoded, without its envelope.

    ``first_token_s`` is the seconds from sending to the first piece of text, known only of a stream that was asked for; ``poll_after_s`` is
    how many seconds the provider wants to be left alone before it is asked for the rest of an unfinished one.
    With a ``turn`` it is not the request's answer: another round follows.

    ``searches`` counts the hosted searches that were completed, which is what providers bill. ``pictures`` are generated pictures that have
    no file yet, in base64 as they came; ``images`` are the paths of those that have one, from the folder of the output. ``confidence`` is
    the geometric mean of the probabilities of the text's tokens, from 0 to 1. ``notes`` say what went wrong beside an answer that stands.
    """

    status: Status
    text: str = ""
    refusal: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    annotations: tuple[Mapping[str, object], ...] = ()
    sources: tuple[Source, ...] = ()
    searches: int | None = None
    pictures: tuple[str, ...] = field(default=(), repr=False)
    images: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    confidence: float | None = None
    phase: str | None = None
    reasoning_summary: str | None = None
    usage: Usage = field(default_factory=Usage)
    model: str | None = None
    service_tier: str | None = None
    response_id: str | None = None
    created: float | None = None
    incomplete_reason: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    request_id: str | None = None
    simulated: bool = False
    first_token_s: float | None = None
    poll_after_s: float | None = None
    turn: Turn | None = None
    raw: Mapping[str, object] = field(default_factory=dict, repr=False)


@value
class Outcome:
    """How one attempt ended: with a reply or with an error, after ``latency_s`` seconds; None where an earlier process sent it."""

    latency_s: float | None
    reply: Reply | None = None
    error: AttemptError | None = None

    @property
    def told(self) -> Reply | None:
        """What the provider said, also where that was a failure."""
        return self.reply or (self.error.reply if self.error is not None else None)

    @property
    def spent(self) -> Usage:
        """The tokens that the provider reported."""
        return self.told.usage if self.told is not None else Usage()


@value
class Result:
    """What became of a row, as far as progress and exit code need it; the table itself is written from the journal.

    Where each row is asked k times it has k results, and one that asks nothing counts k times in ``rows``.
    """

    row: int
    status: Status
    usage: Usage = field(default_factory=Usage)
    error_kind: str | None = None
    error_message: str | None = None
    rows: int = 1

    @staticmethod
    def of(row: int, reply: Reply, *, rows: int) -> Result:
        """Return the result of a row that was answered; ``rows`` counts it and the twins that share the answer."""
        kind = None if STATUS_FACTS[reply.status].ok else reply.error_code or reply.incomplete_reason
        return Result(row, reply.status, reply.usage, kind, reply.error_message, rows)

    @staticmethod
    def failed(row: int, error: RowError, *, rows: int = 1) -> Result:
        """Return the result of a row that ended in ``error``; ``rows`` counts it and all that share its end."""
        return Result(row, Status.UNKNOWN if error.unknown else Status.FAILED, Usage(), error.kind, error.message, rows)

    @staticmethod
    def shared(row: int, known: Status | None) -> Result:
        """Return the result of a row whose answer another row has, or will have: then that one counts this row with its own."""
        return Result(row, known or Status.PENDING, rows=0 if known is None else 1)


@dataclass(slots=True)
class Claim:
    """A row's hold on its request. ``known`` is the status it already has; ``ours`` says that this row is the one to ask.

    Neither means that a twin row is asking right now: its answer will stand for both. ``twins`` counts the rows that came meanwhile.
    """

    request: Request
    ours: bool
    known: Status | None = None
    twins: int = 0


class Journal(Protocol):
    """What the engine and the client need of the checkpoint: durable when a call returns, or it raises ``DiskFailed``."""

    def claim(self, request: Request) -> AbstractContextManager[Claim]:
        """Tie a row to its request, and hold the request while this row asks it."""

    async def tie_known(self, requests: Sequence[Request]) -> Sequence[Status | None]:
        """Tie the rows of requests that need no asking, all at once; return their statuses, and None for those to be claimed."""

    def note(self, row: int, status: Status, error: RowError) -> None:
        """Record a row that asks nothing: its prompt failed, or it is skipped."""

    async def intend(self, request: Request) -> Attempt:
        """Make it durable that an attempt is about to leave; where the provider works on an earlier one, return that."""

    async def submitted(self, attempt: Attempt, response_id: str) -> None:
        """Make durable under which id the provider works on an attempt, so that its answer is fetched whatever happens."""

    async def settle(self, request: Request, attempt: Attempt, outcome: Outcome) -> None:
        """Make the outcome of an attempt durable; a reply without a turn finishes the request.

        Whoever is cancelled while waiting for this has lost nothing: it is then waited for all the same.
        """


Post = Callable[[Request], Awaitable[Reply]]
"""Every layer of the client has this shape, so they nest. It returns a reply or raises ``AttemptError`` or ``MediaError``."""
