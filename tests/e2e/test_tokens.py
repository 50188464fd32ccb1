"""The token of an MCP server goes to the provider, and nowhere else."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline.errors import SpecError
from pipeline.events import Event

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.bench import Bench, Provider

TOKEN = "mcp/T0KEN+zz81CANARY42"
URL = "https://private.example/mcp"  # a name for which the simulator wants to see a token
FORMS: dict[str, dict[str, Any]] = {
    "openai": {"type": "mcp", "server_label": "private", "server_url": URL, "authorization_env": "MCP_TOKEN"},
    "qingbo": {"type": "remote_mcp", "remote_mcp": {"url": URL, "auth_token_env": "MCP_TOKEN"}},
}


def _token(body: dict[str, Any]) -> str:
    """Return the token as the dialect of the request has it."""
    (tool,) = body["tools"]
    token: str = tool["authorization"] if tool["type"] == "mcp" else tool["remote_mcp"]["auth_token"]
    return token


def _unnamed(tool: dict[str, Any]) -> dict[str, Any]:
    """Return a tool without the name of its token's variable."""
    return {
        name: _unnamed(value) if isinstance(value, dict) else value
        for name, value in tool.items()
        if not name.endswith("_env")
    }


def _escaped(text: str) -> str:
    return "".join(f"\\u{ord(character):04x}" for character in text)


def _chunks(text: str) -> bytes:
    """Return a chat-style stream that brings a text letter by letter."""
    pieces = [{"choices": [{"delta": {"content": letter}}]} for letter in text]
    pieces.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    return b"".join(f"data: {json.dumps(piece)}\n\n".encode() for piece in pieces) + b"data: [DONE]\n\n"


def _answered(text: str, **more: object) -> bytes:
    return json.dumps({"status": "completed", "output_text": text, **more}).encode()


ECHOES: dict[str, tuple[int, Callable[[str], bytes]]] = {
    "plain": (200, lambda token: _answered(f"it is {token}", tools=[{"authorization": token}], id=token)),
    "escaped": (200, lambda token: _answered("it is #").replace(b"#", _escaped(token).encode())),
    "base64": (200, lambda token: _answered("as " + b64encode(f"Bearer {token}".encode()).decode())),
    "letters": (200, _chunks),
    "bad request": (400, lambda token: b'{"error": {"message": "bad #"}}'.replace(b"#", _escaped(token).encode())),
    "server": (500, lambda token: f"<html>failed with {token}".encode()),
    "no json": (200, lambda token: f"sorry, {token}".encode()),
    "cut": (200, lambda token: f'data: {{"type": "response.created", "response": {{"id": "{token}"}}}}\n\n'.encode()),
}


class _Echo(BaseHTTPRequestHandler):
    """Answers with the token of the request, compressed, and spelled as the path says."""

    def do_POST(self) -> None:
        """Read the request and send its token back; one that is answered in the background is only taken in."""
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.token = token = _token(request)  # type: ignore[attr-defined]
        status, spelled = ECHOES[self.path.split("/")[1].replace("%20", " ")]
        taken_in = b'{"id": "resp_1", "status": "queued", "output": []}'
        self._answer(status, taken_in if request.get("background") else spelled(token), token)

    def do_GET(self) -> None:
        """Send the token back that the request had, under the id that it got: an answer with another one is somebody else's."""
        status, spelled = ECHOES[self.path.split("/")[1].replace("%20", " ")]
        token: str = self.server.token  # type: ignore[attr-defined]
        own = spelled(token).replace(f'"id": "{token}"'.encode(), b'"id": "resp_1"')
        self._answer(status, own, token)

    def _answer(self, status: int, content: bytes, token: str) -> None:
        body = gzip.compress(content)
        self.send_response(status)
        self.send_header("content-encoding", "gzip")
        self.send_header("content-length", str(len(body)))
        self.send_header("x-request-id", token)
        self.send_header("openai-poll-after-ms", "1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def _serving() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _leaks(folder: Path, *said: object) -> list[str]:
    """Return where the token stands: files by name, and what was said, as it is written and as it is shown."""
    secrets = [TOKEN, json.dumps(TOKEN)[1:-1], TOKEN.replace("/", "\\/"), b64encode(TOKEN.encode()).decode()]
    files = [path for path in folder.rglob("*") if path.is_file()]
    found = [path.name for path in files if any(secret.encode() in path.read_bytes() for secret in secrets)]
    return found + [text for text in map(str, said) if any(secret in text for secret in secrets)]


@pytest.mark.parametrize("dialect", FORMS)
@pytest.mark.parametrize("echo", ECHOES)
def test_a_token_that_an_answer_echoes_reaches_nothing_of_ours(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, dialect: str, echo: str
) -> None:
    """Not the journal, the table, what is said or shown: whether the answer is good, an error, broken or a stream."""
    monkeypatch.setenv("MCP_TOKEN", TOKEN)
    said: list[Event] = []
    with _serving() as url:
        provider = {"base_url": f"{url}/{echo.replace(' ', '%20')}/v1", "dialect": dialect}
        tools = {"tools": [FORMS["openai"]]}
        job = bench(rows=2, provider=provider, request=tools, retry={"attempts": 2, "max_wait_s": 0.01})
        closing = pipeline.run(job.job, yes=True, observe=said.append)
    shown = [pipeline.show(job.job, row) for row in range(2)]
    assert closing.rows == 2
    assert _leaks(job.job.parent, said, shown, pq.read_table(closing.output).to_pylist(), closing) == []
    if ECHOES[echo][0] == 200 and echo not in ("no json", "cut"):
        assert all("***" in text for text in job.column("output"))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dialect", ["openai", "qingbo", "apimart"])
def test_either_form_works_with_every_provider(
    bench: Callable[..., Bench], provider: Provider, monkeypatch: pytest.MonkeyPatch, dialect: str, form: str
) -> None:
    """The simulator refuses a form that its dialect does not have, and its private server a call without a token."""
    monkeypatch.setenv("MCP_TOKEN", TOKEN)
    server = {"base_url": provider.base(dialect), "dialect": dialect}
    job = bench(rows=2, provider=server, request={"tools": [FORMS[form]]}, prompt="#{{ id }}# call the server")
    assert job.run().by_status == {"ok": 2}
    assert _leaks(job.job.parent, pipeline.show(job.job, 0), pipeline.preview(job.job)) == []
    assert "Unauthorized" not in str(job.column("output"))
    assert len(provider.ledger.requests()) == 2


@pytest.mark.usefixtures("quick_looks")
@pytest.mark.parametrize("echo", ["plain", "escaped"])
def test_an_answer_that_is_fetched_later_is_no_way_out(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, echo: str
) -> None:
    """It echoes its tools, too, though the request that held the token is long gone."""
    monkeypatch.setenv("MCP_TOKEN", TOKEN)
    with _serving() as url:
        provider = {"base_url": f"{url}/{echo}/v1"}
        job = bench(rows=2, provider=provider, request={"tools": [FORMS["openai"]]}, delivery="background")
        assert job.run().by_status == {"ok": 2}
    assert _leaks(job.job.parent, [pipeline.show(job.job, row) for row in range(2)], job.table()) == []
    assert job.column("output") == ["it is ***"] * 2


def test_a_preview_names_the_variable_as_a_shell_does(bench: Callable[..., Bench], provider: Provider) -> None:
    """What is shown is what would be sent, but for the value; and `check` says that the variable is missing."""
    job = bench(provider, rows=1, request={"tools": [FORMS["openai"]]})
    (shown,) = pipeline.preview(job.job)
    assert shown.body is not None
    assert _token(dict(shown.body)) == "$MCP_TOKEN"
    assert "MCP_TOKEN is not set in this shell; `run` needs it" in pipeline.check(job.job).notes


def test_a_missing_token_stops_the_run_before_anything_is_sent(bench: Callable[..., Bench], provider: Provider) -> None:
    """The message names the variable."""
    job = bench(provider, rows=1, request={"tools": [FORMS["openai"]]})
    with pytest.raises(SpecError, match="environment variable MCP_TOKEN is not set"):
        job.run()
    assert provider.ledger.requests() == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("whole", [True, False], ids=["the list", "one of it"])
def test_a_row_that_names_a_variable_gets_no_secret(
    bench: Callable[..., Bench], provider: Provider, monkeypatch: pytest.MonkeyPatch, form: str, whole: bool
) -> None:
    """Not even one that the job sends to a server of its own: the row would choose where to. It fails alone, the next is asked."""
    monkeypatch.setenv("MCP_TOKEN", TOKEN)
    tools = "{{ tools }}" if whole else ["{{ tools }}", {**FORMS["openai"], "server_label": "own"}]
    job = bench(provider, request={"tools": tools}, prompt="#{{ id }}#")
    naming, harmless = FORMS[form], _unnamed(FORMS[form])
    cells = [[naming], [harmless]] if whole else [naming, harmless]
    job.fill([{"id": f"r{row}", "tools": cell} for row, cell in enumerate(cells)])
    job.run()
    failed, asked = job.table()
    assert (failed["status"], asked["status"]) == ("failed", "ok")
    assert failed["error_message"] == "column 'tools' names an environment variable; only the spec does"
    assert provider.ledger.asked() == {"r1": 1}
