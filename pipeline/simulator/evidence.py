"""What a text tells about named values, so that a tool is called with what its row says.

A value stands after its name (`SKU 4711`, `order_id: 17`, `"price": 19`). Where nothing is named, quoted words, words
with digits and names in capitals are taken in the order of the text, and at last the whole text.
"""

from __future__ import annotations

import re

__all__ = ["Evidence"]

LONGEST = 500

_WHOLE_NAMES = re.compile(r"query|question|text|prompt|message|content|sentence|input|topic|search", re.IGNORECASE)
_SUFFIX = re.compile(r"[_\- ]?(?:ids?|no|num|number|name|code|key)\Z", re.IGNORECASE)
_JOINT = re.compile(r"[_\-\s]+|(?<=[a-z])(?=[A-Z])")
_VALUE = r"""["']?\s*(?P<said>[:=]|\bis\b)?\s*#?(?:"(?P<quoted>[^"\n]*)"|(?P<bare>[^\s,;"'{}\[\]()]+))"""
_TELLING = re.compile(r"\d|\A[A-Z]")
_TOKEN = re.compile(r'"([^"\n]+)"|\b(?=[\w-]*\d)(\w[\w-]*)|(?<=[a-z,] )([A-Z][\w-]+(?: [A-Z][\w-]+)*)')
_NUMBER = re.compile(r"(?<![\w.-])-?\d+(?:\.\d+)?(?![\w-])")


class Evidence:
    """One text's values; what was taken once is not taken again while there is more."""

    def __init__(self, text: str, *, named_only: bool = False) -> None:
        self._text = text
        self._named_only = named_only
        self._tokens: list[str] = [next(filter(None, found.groups())) for found in _TOKEN.finditer(text)]
        self._numbers = [float(found[0]) for found in _NUMBER.finditer(text)]

    def string(self, name: str) -> str | None:
        """The text for this name; None when only named values count and there is none."""
        found = self._after(name)
        if found is not None or self._named_only:
            return found
        if self._tokens and not _WHOLE_NAMES.search(name):
            return self._tokens.pop(0) if len(self._tokens) > 1 else self._tokens[0]
        return " ".join(self._text.split())[:LONGEST]

    def number(self, name: str) -> float | None:
        """The number for this name, else the next one in the text."""
        found = self._after(name)
        if found is not None and _NUMBER.fullmatch(found):
            return float(found)
        if self._named_only or not self._numbers:
            return None
        return self._numbers.pop(0) if len(self._numbers) > 1 else self._numbers[0]

    def _after(self, name: str) -> str | None:
        """The value that stands after its name, or after the name without what says `id` or `name`."""
        for stem in dict.fromkeys((name, _SUFFIX.sub("", name))):
            words = [re.escape(word) for word in _JOINT.split(stem) if word]
            if not words:
                continue
            for found in re.finditer(rf"\b{'[_ -]?'.join(words)}\b{_VALUE}", self._text, re.IGNORECASE):
                value = str(found["bare"].rstrip(".?!:") if found["quoted"] is None else found["quoted"])
                if value and (found["said"] or found["quoted"] is not None or _TELLING.search(value)):
                    return value
        return None
