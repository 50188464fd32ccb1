"""Which transport carries a job's requests: our own, or stock httpx where a proxy stands in the way or HTTP/2 is asked for."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from pipeline.client.direct import DirectHttp
from pipeline.client.http import UNUSABLE, StockHttp, authorities
from pipeline.client.proxies import proxy_for
from pipeline.errors import Problem, SpecError

if TYPE_CHECKING:
    from pipeline.spec.job import Job

Name = Literal["direct", "httpx", "http2"]
_PROXY_HINT = (
    "check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY: a proxy is http://user:password@host:port, with / ? # in a password quoted as"
    " %2F %3F %23, and socks5:// needs the package socksio; NO_PROXY takes names and addresses without brackets"
)


def chosen(job: Job, url: str) -> Name:
    """Return the transport for requests to ``url``: the one that the job names; else our own, unless the environment names a proxy."""
    if job.transport != "auto":
        return job.transport
    return "direct" if proxy_for(url) is None else "httpx"


def http_of(job: Job, url: str) -> DirectHttp | StockHttp:
    """Return the transport for requests to ``url``, to be entered in a running loop.

    Raises ``SpecError`` where the environment names a proxy, or authorities to trust, that cannot be used: before anything is sent.
    """
    name = chosen(job, url)
    try:
        if name != "direct":
            return StockHttp(job.deadlines, http2=name == "http2")
        if urlsplit(url).scheme != "https":
            return DirectHttp(job.deadlines, authorities)
        tls = authorities()
        return DirectHttp(job.deadlines, lambda: tls)
    except OSError as error:  # of TLS, too
        message = f"the authorities to trust cannot be read: {error.strerror or type(error).__name__}"
        raise SpecError(
            [Problem("", message)], source="environment", hint="check what SSL_CERT_FILE and SSL_CERT_DIR name"
        ) from error
    except UNUSABLE:  # what it says may quote a password
        message = "a proxy, or an exception from it, cannot be used"
        raise SpecError([Problem("", message)], source="environment", hint=_PROXY_HINT) from None


def missing(job: Job) -> str | None:
    """Say what has to be installed for the transport that the job names, or None."""
    if job.transport == "http2" and find_spec("h2") is None:
        return "http2 needs the package h2; install it with: pip install 'responses-pipeline[http2]'"
    return None


def note(job: Job, url: str) -> tuple[str, ...]:
    """Say so where a proxy decides, and so the speed."""
    proxy = proxy_for(url)
    if proxy is None:
        return ()
    if job.transport == "direct":
        return (f"transport: direct does not use the proxy {proxy} that the environment names",)
    if job.transport == "auto":
        return (
            f"requests go over the proxy {proxy} that the environment names, so httpx sends them, which takes more CPU",
        )
    return ()
