"""Responses kept for later calls: fetched while they run, cancelled, deleted, continued."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.simulator.problems import RequestError
from pipeline.simulator.shapes import Reply, response_object

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

    def status(self, now: float) -> str:
        """The state at this moment."""
        if self.cancelled:
            return "cancelled"
        if now < self.queued_until:
            return "queued"
        return "in_progress" if now < self.ready_at else self.reply.answer.status


def view(stored: Stored, now: float) -> dict[str, Any]:
    """The response as a fetch at this moment shows it."""
    whole = response_object(stored.reply)
    status = stored.status(now)
    if status != stored.reply.answer.status:
        whole |= {"status": status, "output": [], "usage": None, "error": None, "incomplete_details": None}
        whole.pop("completed_at", None)
    return whole


class Store:
    """The kept responses, the oldest forgotten first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Stored] = OrderedDict()
        self._items: dict[str, dict[str, Any]] = {}
        self._bytes = 0
        self._conversations: OrderedDict[str, list[dict[str, Any]]] = OrderedDict()

    def keep(self, stored: Stored) -> None:
        """Keep a response."""
        self._kept[stored.reply.id] = stored
        self._items.update((item["id"], item) for item in stored.reply.output)
        self._bytes += stored.size
        while len(self._kept) > 1 and (len(self._kept) > KEPT or self._bytes > KEPT_BYTES):
            self._drop(next(iter(self._kept)))

    def _drop(self, response_id: str) -> None:
        gone = self._kept.pop(response_id)
        self._bytes -= gone.size
        for item in gone.reply.output:
            self._items.pop(item["id"], None)

    def get(self, response_id: str) -> Stored:
        """The kept response, or 404."""
        stored = self._kept.get(response_id)
        if stored is None:
            raise RequestError(f"Response with id '{response_id}' not found.", status=404)
        return stored

    def delete(self, response_id: str) -> None:
        """Forget a response, or 404."""
        self.get(response_id)
        self._drop(response_id)

    def cancel(self, response_id: str, now: float) -> Stored:
        """Cancel a background response; one that is over stays as it is."""
        stored = self.get(response_id)
        if not stored.background:
            raise RequestError("Cannot cancel a synchronous response.")
        if now < stored.ready_at:
            stored.cancelled = True
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
        return resolved


def _conversation_id(body: Mapping[str, Any]) -> str:
    conversation = body.get("conversation")
    return str(conversation.get("id") if isinstance(conversation, Mapping) else conversation or "")
