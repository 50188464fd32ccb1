"""Responses kept for later calls: fetched while they run, cancelled, deleted, continued."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.simulator.problems import RequestError
from pipeline.simulator.shapes import Reply, response_object, unfinished

__all__ = ["Store", "Stored", "view"]

KEPT = 10_000
KEPT_CONVERSATIONS = 100
KEPT_BYTES = 256 * 1024 * 1024


@dataclass(slots=True)
class Stored:
    """One kept response and the moments its state changes."""

    reply: Reply
    items: list[dict[str, Any]]
    """The whole input, earlier turns included."""
    size: int = 0
    """About how many bytes it holds."""
    queued_until: float = 0.0
    ready_at: float = 0.0
    background: bool = False
    cancelled: bool = False
    polls: int | None = None
    """The fetch that finds the answer, where the clock does not decide."""
    fetched: int = 0

    def status(self, now: float) -> str:
        """The state at this moment."""
        if self.cancelled:
            return "cancelled"
        if self.is_ready(now):
            return self.reply.answer.status
        is_queued = now < self.queued_until if self.polls is None else not self.fetched
        return "queued" if is_queued else "in_progress"

    def is_ready(self, now: float) -> bool:
        """Whether the model has finished."""
        return now >= self.ready_at if self.polls is None else self.fetched >= self.polls

    def is_over(self, now: float) -> bool:
        """Whether the state will not change any more."""
        return self.cancelled or self.is_ready(now)


def view(stored: Stored, now: float) -> dict[str, Any]:
    """The response as a fetch at this moment shows it."""
    status = stored.status(now)
    return response_object(stored.reply) if status == stored.reply.answer.status else unfinished(stored.reply, status)


class Store:
    """The kept responses, the oldest forgotten first."""

    def __init__(self, kept_s: float | None = None) -> None:
        self._kept_s = math.inf if kept_s is None else kept_s
        self._kept: OrderedDict[str, Stored] = OrderedDict()
        self._items: dict[str, dict[str, Any]] = {}
        self._thoughts: dict[str, str] = {}
        """By the id of each kept item, that of the thought that led to it."""
        self._bytes = 0
        self._conversations: OrderedDict[str, list[dict[str, Any]]] = OrderedDict()

    def keep(self, stored: Stored) -> None:
        """Keep a response."""
        self._kept[stored.reply.id] = stored
        self._items.update((item["id"], item) for item in stored.reply.output)
        thought, *led = stored.reply.output or ({"type": None},)
        if thought["type"] == "reasoning":
            self._thoughts.update((item["id"], thought["id"]) for item in led)
        self._bytes += stored.size
        while len(self._kept) > 1 and (len(self._kept) > KEPT or self._bytes > KEPT_BYTES):
            self._drop(next(iter(self._kept)))

    def _drop(self, response_id: str) -> None:
        gone = self._kept.pop(response_id)
        self._bytes -= gone.size
        for item in gone.reply.output:
            self._items.pop(item["id"], None)
            self._thoughts.pop(item["id"], None)

    def get(self, response_id: str, now: float) -> Stored:
        """The kept response, or 404."""
        stored = self._kept.get(response_id)
        if stored is not None and stored.background and stored.is_over(now) and now >= stored.ready_at + self._kept_s:
            self._drop(response_id)
            stored = None
        if stored is None:
            raise RequestError(f"Response with id '{response_id}' not found.", status=404)
        return stored

    def fetch(self, response_id: str, now: float) -> Stored:
        """The kept response after one more look at it, or 404."""
        if response_id in self._kept:
            self._kept[response_id].fetched += 1
        return self.get(response_id, now)

    def delete(self, response_id: str, now: float) -> None:
        """Forget a response, or 404."""
        self.get(response_id, now)
        self._drop(response_id)

    def cancel(self, response_id: str, now: float) -> Stored:
        """Cancel a background response; one that is over stays as it is."""
        stored = self.get(response_id, now)
        if not stored.background:
            raise RequestError("Cannot cancel a synchronous response.")
        stored.cancelled = stored.cancelled or not stored.is_ready(now)
        return stored

    def history(self, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The items of the conversation a request continues."""
        previous = body.get("previous_response_id")
        if previous:
            stored = self._kept.get(previous)
            if stored is None:
                raise RequestError(
                    f"Previous response with id '{previous}' not found.",
                    code="previous_response_not_found",
                    param="previous_response_id",
                )
            return [*stored.items, *stored.reply.output]
        return list(self._conversations.get(_conversation_id(body), ()))

    def continue_conversation(self, body: Mapping[str, Any], items: list[dict[str, Any]]) -> None:
        """Keep the items of a conversation's turn."""
        name = _conversation_id(body)
        if name:
            self._conversations[name] = items
            if len(self._conversations) > KEPT_CONVERSATIONS:
                self._conversations.popitem(last=False)

    def resolve(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The items with references followed; what is replayed only by its id must have been stored."""
        resolved = []
        for item in items:
            kind = item.get("type")
            bare = kind == "item_reference" or (kind == "reasoning" and not item.get("encrypted_content"))
            known = self._items.get(item["id"]) if bare else None
            if bare and known is None:
                raise RequestError(
                    f"Item with id '{item['id']}' not found. Items are not persisted when `store` is set to false. "
                    "Try again with `store` set to true, or remove this item from your input.",
                    status=404,
                    param="input",
                )
            resolved.append(item if known is None else known)
        self._check_thoughts(resolved)
        return resolved

    def _check_thoughts(self, items: list[dict[str, Any]]) -> None:
        """An item that goes by the id it was kept under comes with the thought that led to it."""
        given = {item["id"] for item in items if isinstance(item.get("id"), str)}
        for item in items:
            thought = self._thoughts.get(item["id"]) if isinstance(item.get("id"), str) else None
            if thought is not None and thought not in given:
                kind = item.get("type", "message")
                message = f"Item '{item['id']}' of type '{kind}' was provided without its required 'reasoning' item: "
                raise RequestError(f"{message}'{thought}'.", param="input")


def _conversation_id(body: Mapping[str, Any]) -> str:
    conversation = body.get("conversation")
    return str(conversation.get("id") if isinstance(conversation, Mapping) else conversation or "")
