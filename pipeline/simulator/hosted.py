"""The tools that run at the provider's: what each leaves among the items, and what it adds to the words.

Each one that is declared, and that `tool_choice` leaves, runs once in the response that holds the answer, in the order
of the declarations, up to `max_tool_calls`. Nothing is really searched, computed or called: sources, files and outputs
are made of the words of the request, on names reserved for examples. Tools that the client would have to execute
(shells, patches, computers) are taken and left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from pipeline.simulator.calling import CLIENT_TOOLS, allowed, family
from pipeline.simulator.drawing import draw
from pipeline.simulator.reading import Asked, Tool

__all__ = ["Citation", "Ran", "run_hosted"]

QUERY_CHARS = 80
SOURCES = ("example.com", "www.example.org", "docs.example.com")

_WORD = re.compile(r"[a-z0-9]+")
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.]*\d)")


@dataclass(frozen=True, slots=True)
class Citation:
    """One source: the words that point to it, and the annotation without its places."""

    mark: str
    note: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ran:
    """What one tool did: its items without ids, what it adds to the answer, and whether the answer must wait."""

    items: tuple[Mapping[str, Any], ...]
    said: str = ""
    cited: tuple[Citation, ...] = ()
    waits: bool = False


def run_hosted(asked: Asked, digest: str) -> tuple[Ran, ...]:
    """Run what is declared and allowed."""
    tools = [tool for tool in allowed(asked) if tool.type not in CLIENT_TOOLS and family(tool.type) in _MAKERS]
    return tuple(_MAKERS[family(tool.type)](tool, asked, digest) for tool in tools[: asked.max_tool_calls])


def _query(asked: Asked) -> str:
    """The last line that was asked, shortened."""
    return (asked.last or asked.text).strip().rpartition("\n")[2][:QUERY_CHARS]


def _web_search(tool: Tool, asked: Asked, digest: str) -> Ran:
    query = _query(asked)
    words = _WORD.findall(query.casefold())[:5] or ["page"]
    filters = tool.settings.get("filters")
    domains = _names(filters.get("allowed_domains")) if isinstance(filters, Mapping) else []
    count = 2 + int(digest[0], 16) % 2
    urls = [f"https://{host}/{'-'.join(words)}" for host in (domains or SOURCES)[:count]]
    action: dict[str, Any] = {"type": "search", "query": query, "queries": [query]}
    if "web_search_call.action.sources" in asked.include:
        action["sources"] = [{"type": "url", "url": url} for url in urls]
    title = " ".join(words).capitalize()
    cited = [
        Citation(f"([{url.split('/')[2]}]({url}))", {"type": "url_citation", "url": url, "title": title})
        for url in urls
    ]
    item = {"type": "web_search_call", "status": "completed", "action": action}
    return Ran((item,), " ".join(one.mark for one in cited), tuple(cited))


def _file_search(tool: Tool, asked: Asked, digest: str) -> Ran:
    query, most = _query(asked), tool.settings.get("max_num_results")
    count = min(2, most) if isinstance(most, int) and most > 0 else 2
    found = [
        {
            "file_id": f"file-{digest}{number}",
            "filename": f"notes-{number}.md",
            "score": round(0.95 - number / 10, 2),
            "text": f"Notes on {query}",
            "attributes": {},
        }
        for number in range(1, count + 1)
    ]
    best = found[0]
    cited = Citation(
        f"(from {best['filename']})",
        {"type": "file_citation", "file_id": best["file_id"], "filename": best["filename"]},
    )
    results = found if "file_search_call.results" in asked.include else None
    item = {"type": "file_search_call", "status": "completed", "queries": [query], "results": results}
    return Ran((item,), cited.mark, (cited,))


def _code_interpreter(tool: Tool, asked: Asked, digest: str) -> Ran:
    """Adds up the numbers of the question."""
    numbers = [float(one) if "." in one else int(one) for one in _NUMBER.findall(asked.last)]
    total = f"{sum(numbers)}"[:QUERY_CHARS]
    container = tool.settings.get("container")
    item = {
        "type": "code_interpreter_call",
        "status": "completed",
        "code": f"print(sum({numbers}))",
        "container_id": container if isinstance(container, str) else f"cntr_{digest}",
        "outputs": [{"type": "logs", "logs": total}] if "code_interpreter_call.outputs" in asked.include else None,
    }
    return Ran((item,), f"The numbers add up to {total}.")


def _image_generation(tool: Tool, asked: Asked, digest: str) -> Ran:
    picture = draw(digest, str(tool.settings.get("output_format") or "png"))
    item = {
        "type": "image_generation_call",
        "status": "completed",
        "result": picture.data,
        "revised_prompt": _query(asked),
        "output_format": picture.format,
        "size": f"{picture.width}x{picture.height}",
    }
    return Ran((item,), "The picture is drawn.")


def _mcp(tool: Tool, asked: Asked, digest: str) -> Ran:
    """The server's tools are listed and one is called, after approval where the request wants that."""
    name, common = _remote_tool(tool), {"server_label": tool.server}
    listing = {"type": "mcp_list_tools", **common, "tools": [_listed(name)], "error": None}
    asks = {**common, "name": name, "arguments": orjson.dumps({"query": _query(asked)}).decode()}
    approval, approved = _approval(tool, asked) if _needs_approval(tool, name) else (None, True)
    if approved is None:
        return Ran((listing, {"type": "mcp_approval_request", **asks}), waits=True)
    if not approved:
        return Ran((listing,), f"The call of {name} was not approved.")
    call = {"type": "mcp_call", **asks, "approval_request_id": approval}
    if "private" in tool.server.casefold() and not _is_authorized(tool):
        error = {"type": "http_error", "code": 401, "message": "Unauthorized"}
        said = f"The server {tool.server} refused: Unauthorized."
        return Ran((listing, {**call, "status": "failed", "output": None, "error": error}), said)
    output = f"{tool.server} has an entry {digest}"
    said = f"The server says: {output}."
    return Ran((listing, {**call, "status": "completed", "output": output, "error": None}), said)


def _listed(name: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {"query": {"type": "string"}},
        "required": ["query"],
        "additionalProperties": False,
    }
    return {"name": name, "description": "Looks an entry up.", "input_schema": schema, "annotations": None}


def _remote_tool(tool: Tool) -> str:
    """The first tool the request allows, else one that looks entries up."""
    return next(iter(_names(tool.settings.get("allowed_tools"))), "lookup")


def _names(given: Any) -> list[str]:
    """The names of a list, bare or under `tool_names`."""
    listed = given.get("tool_names") if isinstance(given, Mapping) else given
    return [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []


def _needs_approval(tool: Tool, name: str) -> bool:
    """Approval is the default of the reference; the gateways know none."""
    if tool.type == "remote_mcp":
        return False
    rule = tool.settings.get("require_approval")
    return name not in _names(rule.get("never")) if isinstance(rule, Mapping) else rule != "never"


def _approval(tool: Tool, asked: Asked) -> tuple[str | None, bool | None]:
    """The request to this server's name and what the client said to it; None while it has said nothing."""
    for request, approved in asked.approvals.items():
        if asked.requested.get(request, tool.server) == tool.server:
            return request, approved
    return None, None


def _is_authorized(tool: Tool) -> bool:
    """Whether some authorization came along; what it is, is nobody's business."""
    remote = tool.settings.get("remote_mcp")
    headers = tool.settings.get("headers")
    return bool(
        tool.settings.get("authorization")
        or (isinstance(remote, Mapping) and remote.get("auth_token"))
        or (isinstance(headers, Mapping) and any(str(name).casefold() == "authorization" for name in headers))
    )


_MAKERS: Mapping[str, Callable[[Tool, Asked, str], Ran]] = {
    "web_search": _web_search,
    "file_search": _file_search,
    "code_interpreter": _code_interpreter,
    "image_generation": _image_generation,
    "mcp": _mcp,
    "remote_mcp": _mcp,
}
