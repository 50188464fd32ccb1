"""What every test gets: asyncio, a clean environment, no blocking calls in the loop, no threads left behind.

Async tests carry ``@pytest.mark.anyio``. One that also asks for ``virtual_time`` runs on a virtual clock, where waiting is
free and times are the same in every run; see ``virtual_time.py``.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import httpx
import pytest
from blockbuster import blockbuster_ctx
from hypothesis import settings

if TYPE_CHECKING:
    from pipeline.simulator import Simulator

# The same examples in every run, so that a commit is as good tomorrow as today, and no limit of time for one, which a busy machine breaks.
# `--hypothesis-profile=explore` looks for new ones; what it finds belongs into an `@example`.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile("steady")


class FileServer(ThreadingHTTPServer):
    """A web server on loopback. It has the files it is given, and writes down what it is asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _File)
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []

    def url(self, name: str) -> str:
        """Return the URL of a file."""
        return f"http://127.0.0.1:{self.server_port}/{name}"


class _File(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer with the file of that name."""
        assert isinstance(self.server, FileServer)
        name = self.path[1:]
        self.server.asked.append(name)
        content = self.server.files.get(name)
        self.send_response(404 if content is None else 200)
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _load_virtual_time() -> Any:
    """Load the module beside this file; ``--import-mode=importlib`` puts no test folder on the path."""
    spec = util.spec_from_file_location("virtual_time", Path(__file__).with_name("virtual_time.py"))
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_virtual_time = _load_virtual_time()


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """Run async tests on asyncio, on the virtual clock where a test asks for it."""
    if "virtual_time" in request.fixturenames:
        return "asyncio", {"loop_factory": _virtual_time.VirtualTimeLoop}
    return "asyncio"


@pytest.fixture
def virtual_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[], float]:
    """Put the test on a virtual clock, and return the function that reads it in seconds."""
    monkeypatch.setattr(anyio.to_thread, "run_sync", _virtual_time.counted_run_sync)
    return anyio.current_time


@pytest.fixture(autouse=True)
def _no_blocking_calls() -> Iterator[None]:
    """A blocking call of ours inside an event loop fails the test."""
    with blockbuster_ctx("pipeline", excluded_modules=["pipeline.simulator"]):  # a stranger, with a loop of its own
        yield


@pytest.fixture(autouse=True, scope="session")
def _one_tls_context() -> Iterator[None]:
    """Every run reads all authorities' certificates, which takes 20 ms: here they are read once, but where a test names its own."""
    made = httpx.create_ssl_context
    shared = cache(made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx, "create_ssl_context", lambda: made() if "SSL_CERT_FILE" in os.environ else shared())
        yield


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and proxies of the person who runs the tests reach none of them."""
    for name in list(os.environ):
        if name.upper().endswith(("_API_KEY", "_PROXY")):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _no_threads_left() -> Iterator[None]:
    """A thread that a test starts ends with it. Workers of the event loop end by themselves when the loop does."""
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before and not thread.name.startswith("AnyIO")]
    for thread in left:
        thread.join(timeout=1.0)
    assert not [thread.name for thread in left if thread.is_alive()]


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is made in the background is looked at every 10 ms, where it is no matter how long a run leaves it alone."""
    monkeypatch.setattr("pipeline.client.background.between_polls", lambda _looks, _dice: 0.01)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """A provider on loopback, without latency or faults."""
    from pipeline.simulator import Simulator

    with Simulator() as running:
        yield running


@pytest.fixture
def file_server() -> Iterator[FileServer]:
    """A web server on loopback, without files yet."""
    with FileServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
