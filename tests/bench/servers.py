"""What the clients ask: nginx with the echo module, or, where that is missing, the simulator, in a process and on a core of its own.

nginx costs so little that the client is what is measured; the simulator does not speak TLS and is slower than some of the clients.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from trial import HERE, SERVER_CORE, ended, environment

__all__ = ["Server", "nginx_is_here", "serving", "stand_in"]

_ECHO = Path("/usr/lib/nginx/modules/ngx_http_echo_module.so")
_PATIENCE = 500  # looks at a server that starts, 20 ms apart

_ANSWER = {
    "id": "resp_0123456789abcdef0123456789abcdef",
    "object": "response",
    "created_at": 1763640000,
    "status": "completed",
    "background": False,
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "max_output_tokens": 200,
    "max_tool_calls": None,
    "model": "gpt-5.4-mini-2026-03-17",
    "output": [
        {
            "type": "message",
            "id": "msg_0123456789abcdef0123456789abcdef",
            "status": "completed",
            "role": "assistant",
            "content": [
                {
                    "type": "output_text",
                    "text": "A short label for this ticket: the customer asks for a refund because the parcel came late "
                    "and damaged, and wants an answer by mail this week.",
                    "annotations": [],
                    "logprobs": [],
                }
            ],
        }
    ],
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": False,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "usage": {
        "input_tokens": 96,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 29,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 125,
    },
    "user": None,
    "metadata": {},
}

_CONFIG = """
load_module {module};
{user} daemon off; master_process off; pid {folder}/pid; error_log {folder}/errors warn;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
  access_log off; default_type application/json; keepalive_requests 100000000; keepalive_timeout 600s;
  client_max_body_size 64m; client_body_buffer_size 1m;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{
    listen 127.0.0.1:{plain} backlog=8192;
    listen 127.0.0.1:{tls} ssl backlog=8192;
    ssl_certificate {folder}/certificate.pem; ssl_certificate_key {folder}/key.pem;
    location /v1/responses {{ echo_read_request_body; echo -n '{answer}'; }}
    location /slow/v1/responses {{ echo_read_request_body; echo_sleep {latency_s}; echo -n '{answer}'; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Server:
    """Base URLs: one that answers at once, one that takes its time, and the first over TLS, None where there is none."""

    kind: str
    plain: str
    slow: str
    tls: str | None = None
    certificate: Path | None = None
    """What a client must trust."""


def nginx_is_here() -> bool:
    """Say whether nginx, its echo module and ``openssl`` are installed."""
    return _ECHO.exists() and bool(_nginx()) and bool(shutil.which("openssl"))


@contextmanager
def serving(latency_s: float) -> Iterator[Server]:
    """Serve while the block runs; the slow URL answers after ``latency_s`` seconds."""
    with _nginx_serving(latency_s) if nginx_is_here() else _simulator_serving(latency_s) as server:
        yield server


@contextmanager
def _nginx_serving(latency_s: float) -> Iterator[Server]:
    with TemporaryDirectory(prefix="bench-nginx-") as name:
        folder, (plain, tls) = Path(name), _free_ports(2)
        _certify(folder)
        answer = json.dumps(_ANSWER)
        assert not set("'$") & set(answer), "nginx would read these characters as its own"
        user = "user root;" if os.geteuid() == 0 else ""  # its default user could not read this folder
        config = _CONFIG.format(
            module=_ECHO, user=user, folder=folder, plain=plain, tls=tls, answer=answer, latency_s=latency_s
        )
        (folder / "nginx.conf").write_text(config)
        process = subprocess.Popen(
            [_nginx(), "-p", name, "-e", str(folder / "errors"), "-c", str(folder / "nginx.conf")]
        )
        with ended(process):
            os.sched_setaffinity(process.pid, {SERVER_CORE})
            _wait_for(process, tls)
            base, certificate = f"http://127.0.0.1:{plain}", folder / "certificate.pem"
            yield Server("nginx + echo", f"{base}/v1", f"{base}/slow/v1", f"https://127.0.0.1:{tls}/v1", certificate)


@contextmanager
def _simulator_serving(latency_s: float) -> Iterator[Server]:
    with ExitStack() as stack:
        plain, slow = [stack.enter_context(stand_in("simulator", wait))[0] for wait in (0.0, latency_s)]
        yield Server("the simulator: no nginx with echo module here", f"{plain}/v1", f"{slow}/v1")


@contextmanager
def stand_in(kind: str, latency_s: float = 0.0, core: int = SERVER_CORE) -> Iterator[tuple[str, int]]:
    """Run a provider of ``stand_ins`` in a process of its own while the block runs; yield its URL and its process id."""
    command = [sys.executable, str(HERE / "stand_ins.py"), kind, str(latency_s)]
    process = subprocess.Popen(command, env=environment(core), stdout=subprocess.PIPE, text=True)
    with ended(process):
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            raise RuntimeError(f"{' '.join(command)} did not start")
        yield url, process.pid


def _nginx() -> str:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin") or ""


def _certify(folder: Path) -> None:
    """Write a key and a certificate for 127.0.0.1 that signs itself."""
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    name = ["-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run(["openssl", "req", "-x509", *curve, *name, *files], check=True, capture_output=True)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    """Return when somebody listens; raises ``RuntimeError`` when the process ends instead, or takes too long."""
    for _ in range(_PATIENCE):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        with suppress(subprocess.TimeoutExpired):
            raise RuntimeError(f"the server ended with {process.wait(0.02)}")
    raise RuntimeError("the server does not listen")
