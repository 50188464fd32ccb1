"""What a column holds of a conversation: a list of ``{role, content}``, or a raw ``input`` of the Responses API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import orjson

from pipeline.errors import NullCell, PromptError
from pipeline.prompt.parts import text_part

if TYPE_CHECKING:
    from pipeline.prompt.parts import Parts


def column_messages(cell: object, column: str, parts: Parts) -> list[dict[str, object]]:
    """Return the messages that a cell holds as a list or as JSON. Raises ``NullCell``, ``PromptError`` or ``MediaError``."""
    turns = _decoded(cell, column)
    if not isinstance(turns, Sequence) or isinstance(turns, str) or not turns:
        raise PromptError(f"column {column!r} holds no list of messages")
    return [_message(turn, f"{column}[{index}]", parts) for index, turn in enumerate(turns)]


def _message(turn: object, place: str, parts: Parts) -> dict[str, object]:
    if not isinstance(turn, Mapping) or not isinstance(turn.get("role"), str):
        raise PromptError(f"{place} is no message: it needs role and content")
    role, content = turn["role"], turn.get("content")
    if content is None:
        raise NullCell(f"{place}.content")
    if isinstance(content, str):
        return {"role": role, "content": content if role == "assistant" else [text_part(content)]}
    if not isinstance(content, Sequence):
        raise PromptError(f"{place}.content is neither a text nor a list of parts")
    return {"role": role, "content": [part for item in content for part in parts.from_column(item, place)]}


def raw_input(cell: object, column: str) -> object:
    """Return what a cell holds as an ``input``: text as it is, or a list of items. Raises ``NullCell`` or ``PromptError``."""
    if cell is None:
        raise NullCell(column)
    if isinstance(cell, str) and not cell.lstrip().startswith(("[", "{")):
        return cell
    value = _decoded(cell, column)
    if isinstance(value, Mapping):
        return [value]
    if isinstance(value, Sequence):
        return list(value)
    raise PromptError(f"column {column!r} holds a {type(cell).__name__}, which is no input of the Responses API")


def _decoded(cell: object, column: str) -> object:
    if cell is None:
        raise NullCell(column)
    if not isinstance(cell, str):
        return _without_nulls(cell)
    try:
        return orjson.loads(cell)
    except orjson.JSONDecodeError as error:
        raise PromptError(f"column {column!r} holds text that is not JSON: {error}") from error


def _without_nulls(value: object) -> object:
    """A struct of a table has a null where an item does not have that member."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list | tuple) else value
