"""From a job to the checked job with all that it needs to send: its key, its tokens, and the simulator where that is the provider."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from pipeline.engine.check import check_key, prepare
from pipeline.engine.live import Secrets
from pipeline.engine.tokens import job_tokens
from pipeline.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.engine.check import Prepared
    from pipeline.spec.job import Job


@contextmanager
def ready(job: Job, environ: Mapping[str, str], *, allow_code: bool) -> Iterator[tuple[Prepared, Secrets]]:
    """Give a checked job with what opens its provider, while the block runs; the simulator then runs too, where it is the provider.

    Raises ``SpecError`` or ``DataError``.
    """
    with ExitStack() as stack:
        base_url = None
        if job.provider.simulated:
            from pipeline.simulator import Simulator  # only now: it is a whole server

            base_url = stack.enter_context(Simulator(script=job.simulator)).base_url(job.provider.facts.name)
        prepared = prepare(job, base_url, allow_code=allow_code)
        key = environ.get(prepared.endpoint.key_env or "")
        check_key(prepared.endpoint, key)
        yield prepared, Secrets(lambda: key, job_tokens(job, prepared.endpoint, environ))


def check_script(job: Job) -> None:
    """Check what the job says to the simulator, where that is its provider; raises ``SpecError``."""
    if job.provider.simulated:
        from pipeline.simulator import ScriptError, read_script

        try:
            read_script(job.simulator)
        except ScriptError as error:
            raise SpecError([job.problem("simulator", str(error))], source=job.source) from error
