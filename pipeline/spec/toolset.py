"""The functions of a job, loaded: what runs, how the model hears of it, and what stands for its source.

This is the one place that runs the code a job names, and it does so only where it was allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.errors import SpecError
from pipeline.spec.functions import FunctionError, arguments_of, load_function, source_digest, tool_of
from pipeline.wire.tools import names_of

if TYPE_CHECKING:
    from pipeline.errors import Problem
    from pipeline.spec.job import Job


@dataclass(frozen=True, slots=True)
class Toolset:
    """A job's functions by the names under which the model calls them.

    ``tools`` are to be put beside the request's own, in OpenAI's flat form; ``sources`` are digests of the functions' files.
    """

    functions: Mapping[str, Callable[..., object]] = field(default_factory=dict)
    tools: tuple[Mapping[str, object], ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)


NO_TOOLS = Toolset()


def load_toolset(job: Job, *, allow_code: bool) -> Toolset:
    """Load the functions that a job names. **This runs their files' code.**

    Raises ``SpecError`` for each function that cannot be a tool, and before anything is loaded where ``allow_code`` is false.
    """
    references = job.tools.functions
    if references and not allow_code:
        message = f"names Python code, which runs only where you allow it: {', '.join(files_of(references))}"
        hint = "read the code, then pass --allow-code (in Python: allow_code=True)"
        raise SpecError([job.problem("tools.functions", message)], source=job.source, hint=hint)
    functions: dict[str, Callable[..., object]] = {}
    tools: list[Mapping[str, object]] = []
    problems: list[Problem] = []
    for index, reference in enumerate(references):
        try:
            function, tool = _loaded(reference, job, functions)
        except FunctionError as error:
            problems.append(job.problem(f"tools.functions.{index}", str(error)))
        else:
            functions[str(function.__name__)] = function
            tools += tool
    if problems:
        raise SpecError(problems, source=job.source)
    return Toolset(functions, tuple(tools), {name: source_digest(function) for name, function in functions.items()})


def files_of(references: Sequence[str]) -> list[str]:
    """Return the files that functions are named from, each once."""
    return list(dict.fromkeys(reference.rpartition(":")[0] or reference for reference in references))


def _loaded(
    reference: str, job: Job, taken: Mapping[str, object]
) -> tuple[Callable[..., object], list[Mapping[str, object]]]:
    """Return a function and the tool that offers it: none where the request declares a custom tool of its name already."""
    function = load_function(reference, job.place("."))
    tool = tool_of(function)
    source_digest(function)
    name = str(tool["name"])
    if name in taken:
        raise FunctionError(reference, f"another function is called {name}, too; the model could not tell them apart")
    kinds = set(_declared(job.request.get("tools"), name))
    if kinds - {"custom"}:
        raise FunctionError(reference, f"request.tools has a {', '.join(sorted(kinds))} called {name} already")
    if kinds and len(arguments_of(function).names) != 1:
        raise FunctionError(
            reference, "answers a custom tool, which gives it one text, so it needs exactly one parameter"
        )
    return function, [] if kinds else [tool]


def _declared(tools: object, name: str) -> Iterator[str]:
    """Yield the types of the tools of that name."""
    if isinstance(tools, list):
        for tool in tools:
            if name in names_of([tool]):
                yield str(tool["type"])
