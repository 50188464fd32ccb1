"""What runs in a process of the bench: set up its descriptors, its limits and the moment of its death, then be a command line.

The bench sets the names below. ``arguments`` is a command line of ours, or one of two that only tests need: ``tell JOB`` runs a job and
writes the name of each event as it happens, ``serve LEDGER [SCRIPT]`` is a provider that says its address.
"""

import os
import resource
import signal
import sys
from multiprocessing.connection import Connection

arguments: list[str]
stdout: Connection
stderr: str
dies_at: tuple[str, str] | None
largest_file: int | None


def _die_there(event: str, values: tuple[object, ...]) -> None:
    """End as a power cut does, just before an audit event of Python's whose arguments hold the words."""
    if dies_at is not None and event == dies_at[0] and dies_at[1] in str(values):
        os.kill(os.getpid(), signal.SIGKILL)


os.dup2(stdout.fileno(), 1)
stdout.close()
with open(stderr, "wb") as errors:
    os.dup2(errors.fileno(), 2)
for name in [name for name in os.environ if name.upper().endswith(("_API_KEY", "_PROXY"))]:
    del os.environ[name]
if dies_at is not None:
    sys.addaudithook(_die_there)
if largest_file is not None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

if arguments[0] == "tell":
    from pipeline import run

    run(arguments[1], sets=arguments[2:], yes=True, observe=lambda event: print(type(event).__name__, flush=True))
elif arguments[0] == "serve":
    from pathlib import Path

    from pipeline.simulator import load_script, serve

    script = load_script(Path(arguments[2])) if arguments[2:] else None
    serve("127.0.0.1", 0, script, Path(arguments[1]), lambda url: print(url, flush=True))
else:
    from pipeline.cli import main

    sys.argv = ["pipeline", *arguments]
    main()
