"""Fill the generated parts of README and CONTRIBUTING from the code they describe.

``python tests/docs/reference.py`` rewrites both; a test fails while one is stale. A part stands between ``<!-- begin: NAME -->`` and
``<!-- end: NAME -->``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import click

from pipeline.checkpoint.columns import OURS
from pipeline.cli import cli
from pipeline.cost.families import FAMILIES, UNKNOWN
from pipeline.cost.media_tokens import Crops, Fixed, ImageRule, Limit, Patches, Tiles, image_tokens
from pipeline.records import STATUS_FACTS
from pipeline.spec.reference import reference as settings
from pipeline.wire.dialect import DIALECTS
from pipeline.wire.parameters import reference as parameters

ROOT = Path(__file__).parents[2]


def command_line() -> str:
    """Every command's help, as `pipeline COMMAND --help` prints it."""
    whole = click.Context(cli, info_name="pipeline", max_content_width=100, terminal_width=100, **cli.context_settings)
    parts = [whole, *(click.Context(command, whole, name) for name, command in cli.commands.items())]
    return "\n\n".join(f"```text\n{part.get_help().rstrip()}\n```" for part in parts)


def spec() -> str:
    """Every setting of a job spec."""
    rows = (
        (f"`{key}`", takes, f"`{default}`" if default else "", meaning) for key, takes, default, meaning in settings()
    )
    return _table(("setting", "takes", "default", "meaning"), rows)


def request_parameters() -> str:
    """Every documented request parameter."""
    return _table(
        ("parameter", "takes", "part of identity", "notes"), ((f"`{name}`", *rest) for name, *rest in parameters())
    )


def statuses() -> str:
    """Every status a row can end with."""
    rows = (
        (
            f"`{status.value}`",
            fact.meaning,
            _yes(fact.ok),
            _yes(fact.answered),
        )
        for status, fact in STATUS_FACTS.items()
    )
    return _table(("status", "meaning", "counts as ok", "answered, so perhaps paid"), rows)


def columns() -> str:
    """Every column that is ours."""
    types = {ours.name: str(ours.usual_type).replace("list<item: ", "list<") for ours in OURS}
    return _table(
        ("column", "type", "meaning"), ((f"`{ours.name}`", f"`{types[ours.name]}`", ours.meaning) for ours in OURS)
    )


_FACTS: Mapping[str, Callable[[object], str]] = {
    "base_url": str,
    "key_env": str,
    "max_tokens_field": str,
    "function_tool": str,
    "mcp_tool": str,
    "instructions": str,
    "parts": lambda value: ", ".join(sorted(value)),  # type: ignore[call-overload]
    "tools": lambda value: ", ".join(sorted(value)),  # type: ignore[call-overload]
    "roles": lambda value: ", ".join(sorted(value)),  # type: ignore[call-overload]
    "image_formats": lambda value: ", ".join(sorted(value)),  # type: ignore[call-overload]
    "max_image_bytes": lambda value: f"{value:,}",
    "deliveries": lambda value: ", ".join(sorted(value)),  # type: ignore[call-overload]
    "undocumented": str,
}


def dialects() -> str:
    """What each dialect takes."""
    rows = (
        (f"`{fact}`", *(show(getattr(dialect, fact)) for dialect in DIALECTS.values())) for fact, show in _FACTS.items()
    )
    return _table(("fact", *DIALECTS), rows)


PHOTO = (4000, 3000)
"""Width and height in pixels of the picture by which the families of models are compared."""


def families() -> str:
    """How each family of models counts pictures, and where that is from."""
    rows = (
        (
            " ".join(f"`{pattern}`" for pattern in family.patterns),
            _rule(family.image),
            *(f"{image_tokens(family, *PHOTO, detail):,.0f}" for detail in ("low", "high", None)),
            _error(round(100 * (family.low - 1)), round(100 * (family.high - 1))),
            f"{family.source}; {family.as_of}",
        )
        for family in (*FAMILIES, UNKNOWN)
    )
    return _table(("models", "a picture", "`low`", "`high`", "left out", "error", "source; read"), rows)


def _rule(rule: ImageRule) -> str:
    match rule:
        case Tiles(base, tile):
            return f"{base:,} + {tile:,} for each tile of 512 pixels"
        case Patches(limits, _, factor):
            return f"patches of 32 pixels{'' if factor == 1 else f' x {factor}'}; {_limits(limits)}"
        case Fixed(by_detail):
            return ", ".join(f"{detail} {tokens:,}" for detail, tokens in by_detail.items())
        case Crops(square, whole):
            return ", ".join(
                [f"{square} for each square", *(f"{detail} {tokens:,}" for detail, tokens in whole.items())]
            )
    raise TypeError(f"a rule for pictures that is not described: {rule}")


def _error(low: int, high: int) -> str:
    return f"±{high} %" if low == -high else f"{low} to +{high} %"


def _limits(limits: Mapping[str, Limit]) -> str:
    return ", ".join(
        f"{detail} {'no limit' if limit.patches is None else f'{limit.patches:,} at most'}"
        for detail, limit in limits.items()
    )


def modules() -> str:
    """Every module's first sentence, which says what it owns."""
    lines = []
    for path in sorted((ROOT / "pipeline").rglob("*.py")):
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        if docstring is not None:
            lines.append(
                f"- `{path.relative_to(ROOT / 'pipeline')}`: {' '.join(docstring.split(chr(10) * 2)[0].split())}"
            )
    return "\n".join(lines)


def _yes(value: bool) -> str:
    return "yes" if value else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


PARTS: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "README.md": {
        "command line": command_line,
        "spec": spec,
        "statuses": statuses,
        "columns": columns,
        "dialects": dialects,
        "families": families,
        "parameters": request_parameters,
    },
    "CONTRIBUTING.md": {"modules": modules},
}


def filled(name: str, text: str) -> str:
    """Return a document with its generated parts made anew."""
    for part, make in PARTS[name].items():
        pattern = re.compile(rf"(<!-- begin: {part} -->\n).*?(<!-- end: {part} -->)", re.DOTALL)
        assert pattern.search(text), f"{name} has no part {part!r}"
        made = make()
        text = pattern.sub(lambda found, made=made: f"{found[1]}{made}\n{found[2]}", text)  # type: ignore[misc]
    return text


if __name__ == "__main__":
    for document in PARTS:
        file = ROOT / document
        file.write_text(filled(document, file.read_text(encoding="utf-8")), encoding="utf-8")
