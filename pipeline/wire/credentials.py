"""What is secret inside of tools: tokens of MCP servers, and what containers may know.

A job names the environment variable (``authorization_env: NAME``), and everything that is kept of a request holds the name. The value is
put in, as ``authorization``, when the bytes that leave are made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pipeline.wire.shape import Complaint, Path, closest, is_template

__all__ = ["SECRET_HEADERS", "Lookup", "destinations", "exposed", "filled", "variables"]

Lookup = Callable[[str], str]
"""Gives what stands for an environment variable."""

SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "api-key", "x-api-key", "x-auth-token", "cookie"})
"""Request headers, in lower case, whose values are keys."""

_SUFFIX = "_env"
_HEADERS = "headers" + _SUFFIX
_SECRET = "is secret and does not stand in a spec or a table; put it into an environment variable"  # noqa: S105 - words
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DESTINATIONS = ("server_url", "url", "connector_id", "domain")  # where what stands beside them is sent
_POLICY = ("network_policy", "domain_secrets")


@dataclass(frozen=True, slots=True)
class _Holder:
    """The way from a tool to the map, or the maps, with something secret; the field that is; whether there are headers, which may be."""

    way: tuple[str, ...]
    field: str
    headers: bool = False


_HOLDERS: Mapping[str, _Holder] = {
    "mcp": _Holder((), "authorization", headers=True),
    "remote_mcp": _Holder(("remote_mcp",), "auth_token"),
    "code_interpreter": _Holder(("container", *_POLICY), "value"),
    "shell": _Holder(("environment", *_POLICY), "value"),
}


def filled(body: Mapping[str, object], lookup: Lookup) -> Mapping[str, object]:
    """Return a body whose tools have every ``…_env`` replaced by the field that it stands for; the given one is left as it is."""
    tools = body.get("tools")
    if not isinstance(tools, list | tuple):
        return body
    return {**body, "tools": [_tool(tool, lookup) for tool in tools]}


def variables(body: Mapping[str, object]) -> list[str]:
    """Return the environment variables that the tools of a body name, each once."""
    names: dict[str, None] = {}

    def note(name: str) -> str:
        names[name] = None
        return ""

    filled(body, note)
    return list(names)


def destinations(body: Mapping[str, object]) -> list[tuple[str, str | None]]:
    """Return the environment variables that the tools of a body name, each with the address it goes to; None where that is not said."""
    found: dict[tuple[str, str | None], None] = {}
    tools = body.get("tools")
    for tool in tools if isinstance(tools, list | tuple) else ():
        holder = _HOLDERS.get(str(tool.get("type"))) if isinstance(tool, Mapping) else None
        if holder is None:
            continue
        for _, inner in _below(tool, holder.way, ()):
            address = next((text for name in _DESTINATIONS if isinstance(text := inner.get(name), str)), None)
            headers = _mapping(inner.get(_HEADERS)) if holder.headers else {}
            named = [inner.get(holder.field + _SUFFIX), *headers.values()]
            found |= {(name, address): None for name in named if isinstance(name, str)}
    return list(found)


def exposed(tools: object, path: Path) -> Iterator[Complaint]:
    """Yield a complaint for everything secret that stands in tools as such, and for every ``…_env`` that would not be understood.

    Templates are refused too: a row's cell is no better place for a token, and must choose neither which variable is sent nor where to.
    """
    for index, tool in enumerate(tools if isinstance(tools, list | tuple) else ()):
        holder = _HOLDERS.get(str(tool.get("type"))) if isinstance(tool, Mapping) else None
        if holder is not None:
            for place, inner in _below(tool, holder.way, (*path, index)):
                yield from _exposed(inner, holder, place)
            if holder.way:
                yield from _misplaced(tool, set(), (*path, index))


def _tool(tool: object, lookup: Lookup) -> object:
    holder = _HOLDERS.get(str(tool.get("type"))) if isinstance(tool, Mapping) else None
    return tool if holder is None else _filled(tool, holder.way, holder, lookup)


def _filled(value: object, way: tuple[str, ...], holder: _Holder, lookup: Lookup) -> object:
    if isinstance(value, list | tuple):
        return [_filled(member, way, holder, lookup) for member in value]
    if not isinstance(value, Mapping):
        return value
    if way:
        return {**value, way[0]: _filled(value[way[0]], way[1:], holder, lookup)} if way[0] in value else value
    result = dict(value)
    if isinstance(name := result.pop(holder.field + _SUFFIX, None), str):
        result[holder.field] = lookup(name)
    if holder.headers and isinstance(named := result.pop(_HEADERS, None), Mapping):
        given = result.get("headers")
        secret = {header: lookup(str(name)) for header, name in named.items()}
        result["headers"] = {**(given if isinstance(given, Mapping) else {}), **secret}
    return result


def _below(value: object, way: tuple[str, ...], path: Path) -> Iterator[tuple[Path, Mapping[str, object]]]:
    if isinstance(value, list | tuple):
        for index, member in enumerate(value):
            yield from _below(member, way, (*path, index))
    elif isinstance(value, Mapping):
        if not way:
            yield path, value
        elif way[0] in value:
            yield from _below(value[way[0]], way[1:], (*path, way[0]))


def _exposed(inner: Mapping[str, object], holder: _Holder, path: Path) -> Iterator[Complaint]:
    named = holder.field + _SUFFIX
    if inner.get(holder.field) is not None:
        yield Complaint((*path, holder.field), f"{_SECRET}, and give its name as {named}")
    yield from _unnamed(inner.get(named), (*path, named))
    if holder.headers:
        yield from _exposed_headers(inner, path)
    yield from _astray(inner, path)
    yield from _misplaced(inner, {named, _HEADERS} if holder.headers else {named}, path)


def _exposed_headers(inner: Mapping[str, object], path: Path) -> Iterator[Complaint]:
    for header in _mapping(inner.get("headers")):
        if str(header).lower() in SECRET_HEADERS:
            yield Complaint((*path, "headers", str(header)), f"{_SECRET}, and give its name in {_HEADERS}")
    named = inner.get(_HEADERS)
    if named is not None and not isinstance(named, Mapping):
        yield Complaint((*path, _HEADERS), "must be a mapping from headers to names of environment variables")
    for header, name in _mapping(named).items():
        yield from _unnamed(name, (*path, _HEADERS, str(header)))


def _unnamed(name: object, path: Path) -> Iterator[Complaint]:
    """Complain about what is no variable's name, without repeating it: it may be the token itself."""
    if name is not None and not (isinstance(name, str) and _VARIABLE.fullmatch(name)):
        yield Complaint(path, "must be the name of an environment variable, and no template")


def _astray(inner: Mapping[str, object], path: Path) -> Iterator[Complaint]:
    """Complain where a row would choose who gets the job's secret."""
    if any(str(name).endswith(_SUFFIX) and value is not None for name, value in inner.items()):
        for name in _DESTINATIONS:
            if is_template(inner.get(name)):
                yield Complaint(
                    (*path, name),
                    "is where a secret is sent, which no row chooses; write it out, or send no secret there",
                )


def _misplaced(inner: Mapping[str, object], taken: set[str], path: Path) -> Iterator[Complaint]:
    for name in map(str, inner):
        if name.endswith(_SUFFIX) and name not in taken:
            known = [holder.field + _SUFFIX for holder in _HOLDERS.values()]
            yield Complaint(
                (*path, name), "is not known here, and would be sent as it stands", closest(name, taken or known)
            )


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
