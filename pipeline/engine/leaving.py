"""What leaves this machine with a job besides its rows, said by name and never by value: to agree to it, one must know of it.

A spec may be a stranger's. It chooses which tokens go to which server, it can put environment variables into a prompt, and with
``media.fetch`` it can have addresses asked that it has written itself, even where the simulator answers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pipeline.prompt.template import is_template, sole_column
from pipeline.wire.credentials import destinations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.spec.job import Job
    from pipeline.spec.prompt import Part
    from pipeline.wire.dialect import Endpoint

_SENT = ("provider", "model", "prompt", "request", "extra_body")
_SCHEMES = ("http://", "https://")
_MARK = re.compile(r"\{[{%#]")


def secrets(job: Job, endpoint: Endpoint) -> tuple[str, ...]:
    """Return which environment variables are sent as keys and tokens, each with the host that gets it in the end: ``$KEY -> host``."""
    provider = "the simulator" if job.provider.simulated else _host(endpoint.url)
    named = [(endpoint.key_env, provider)] if endpoint.key_env is not None else []
    for body in (job.request, job.extra_body):
        for variable, address in destinations(body):
            named.append((variable, provider if address is None or job.provider.simulated else _host(address)))
    return tuple(dict.fromkeys(f"${variable} -> {host}" for variable, host in named))


def notes(job: Job) -> tuple[str, ...]:
    """Return what a person should know of before saying yes: variables in what is sent, and addresses that the spec writes."""
    places: dict[str, list[str]] = {}
    for variable, place in job.borrowed:
        if place[0] in _SENT or place[:2] == ("output", "fields"):
            places.setdefault(variable, []).append(".".join(map(str, place)))
    said = [f"{variable} in {', '.join(dict.fromkeys(found))}" for variable, found in places.items()]
    written = [
        f"what {place} shows is downloaded here, from addresses that the spec writes" for place in downloads(job)
    ]
    return (*([f"from the environment: {'; '.join(said)}"] if said else []), *written)


def downloads(job: Job) -> list[str]:
    """Return the parts of the prompt that are downloaded from addresses which the spec writes, rather than a row.

    Such an address carries to its server whatever the template puts into it, whoever answers the prompt.
    """
    if not job.media.fetch or job.media.send == "url":
        return []
    return [place for place, part in _parts(job) if part.kind != "text" and _writes_address(part.source)]


def _parts(job: Job) -> Iterator[tuple[str, Part]]:
    contents = [("prompt.user", job.prompt.user)]
    if isinstance(job.prompt.messages, list):
        contents += [(f"prompt.messages.{turn}.content", each.content) for turn, each in enumerate(job.prompt.messages)]
    for place, content in contents:
        if isinstance(content, list):
            yield from ((f"{place}.{index}.{part.kind}", part) for index, part in enumerate(content))


def _writes_address(source: str) -> bool:
    """Tell whether a template can become a URL, but for one that is nothing but a column's."""
    if not is_template(source) or sole_column(source) is not None:
        return False
    beginning = _MARK.split(source, maxsplit=1)[0].lstrip().lower()
    return beginning.startswith(_SCHEMES) or any(scheme.startswith(beginning) for scheme in _SCHEMES)


def _host(address: str) -> str:
    """Return the host of a URL; other names of a destination, such as a connector's, as they are."""
    try:
        return urlsplit(address).hostname or address
    except ValueError:
        return address
