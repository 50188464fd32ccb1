"""``${VAR}`` and ``${VAR:-default}`` in the values of a spec.

As in a shell, the default also stands for a variable that is empty. ``$${`` is a literal ``${``. A variable's text is never looked
into again, and it becomes one value: it cannot add keys, lists or further references to the spec.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pipeline.spec.secrecy import ADVICE, names_key

# `${{ price }}` is a dollar sign before a template, not a reference. A default may hold anything but `}` and another reference.
_REFERENCE = re.compile(
    r"\$\$\{|\$\{(?!\{)(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-(?:(?!\$\{)[^}])*)?\})?",
)


def interpolate(text: str, environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return the text with its variables filled in, and a sentence for each reference that cannot be."""
    mistakes: dict[str, None] = {}  # each once

    def filled(reference: re.Match[str]) -> str:
        if reference[0] == "$${":
            return "${"
        name, default = reference["name"], reference["default"]
        mistake = _mistake(name, default, environ)
        if mistake is not None:
            mistakes[mistake] = None
            return reference[0]
        return environ.get(name) or (default or ":-")[2:]

    return _REFERENCE.sub(filled, text), list(mistakes)


def borrowed(text: str, environ: Mapping[str, str]) -> list[str]:
    """Return the variables, each once, whose own text stands in what ``interpolate`` makes of a text."""
    names = [reference["name"] for reference in _REFERENCE.finditer(text)]
    return list(dict.fromkeys(name for name in names if name is not None and environ.get(name)))


def _mistake(name: str | None, default: str | None, environ: Mapping[str, str]) -> str | None:
    if name is None:
        return "has a ${ that is neither ${NAME} nor ${NAME:-default}; a literal ${ is written $${"
    if names_key(name):
        return f"would put the secret in ${name} into the spec; {ADVICE}"
    if default is None and name not in environ:
        return f"needs the environment variable {name}, which is not set; ${{{name}:-default}} would give it a default"
    return None
