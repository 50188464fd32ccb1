"""What an unquoted value means: the core schema of YAML 1.2.

PyYAML knows YAML 1.1, in which `no` is false, `010` is 8 and `12:30` is 750. Here `no` and `12:30` are text and `010` is 10.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pipeline.spec.tree import Plain

# Python refuses to read or write integers of thousands of digits, and nobody means one.
LONGEST_NUMBER = 300

_CORE: tuple[tuple[re.Pattern[str], Callable[[str], Plain]], ...] = (
    (re.compile(r"|~|null|Null|NULL"), lambda _text: None),
    (re.compile(r"true|True|TRUE|false|False|FALSE"), lambda text: text.lower() == "true"),
    (re.compile(r"[-+]?[0-9]+"), int),
    (re.compile(r"0o[0-7]+"), lambda text: int(text, base=0)),
    (re.compile(r"0x[0-9a-fA-F]+"), lambda text: int(text, base=0)),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
    (re.compile(r"[-+]?\.(inf|Inf|INF)"), lambda text: float(text.replace(".", ""))),
    (re.compile(r"\.(nan|NaN|NAN)"), lambda _text: float("nan")),
)


_NO_TEXT = re.compile("[\0\ud800-\udfff]")


def is_text(value: str) -> bool:
    """Tell whether a text can be written everywhere: it holds no NUL and no half of a surrogate pair (a byte that was no UTF-8)."""
    return _NO_TEXT.search(value) is None


def resolve(text: str) -> Plain:
    """Return the value of an unquoted scalar; a number of more than 300 characters stays text."""
    if len(text) <= LONGEST_NUMBER:
        for pattern, value in _CORE:
            if pattern.fullmatch(text):
                return value(text)
    return text
