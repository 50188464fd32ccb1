"""A job's functions are loaded where that is allowed, and each one that cannot be a tool has its place in the spec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.errors import SpecError
from pipeline.spec.job import Job
from pipeline.spec.load import load_text
from pipeline.spec.toolset import NO_TOOLS, Toolset, files_of, load_toolset

CODE = '''
from pathlib import Path

Path(__file__).with_name("ran").touch()

def population(city: str) -> int:
    """Return how many people live in a city."""
    return 1

def distance(start: str, end: str) -> float:
    return 1.5

def untyped(city): ...
'''
BASE = {"provider": "simulator", "model": "m", "input": "t.csv", "prompt": "hi", "output": "o.parquet"}
CUSTOM = {"type": "custom", "name": "population"}


def job(folder: Path, functions: object, **settings: Any) -> Job:
    """Load a spec with these functions from a folder that has the code."""
    (folder / "code.py").write_text(CODE, encoding="utf-8")
    spec = {**BASE, "tools": functions, **settings}
    return load_text(yaml.safe_dump(spec, sort_keys=False), source="job.yaml", folder=folder)


def loaded(folder: Path, functions: object, **settings: Any) -> Toolset:
    return load_toolset(job(folder, functions, **settings), allow_code=True)


def refused(folder: Path, functions: object, **settings: Any) -> SpecError:
    with pytest.raises(SpecError) as error:
        loaded(folder, functions, **settings)
    return error.value


def test_functions_are_offered_under_their_names(tmp_path: Path) -> None:
    """With their schema, and a digest of the file for the requests' identity."""
    toolset = loaded(tmp_path, ["code.py:population", "code.py:distance"])
    assert list(toolset.functions) == list(toolset.sources) == [tool["name"] for tool in toolset.tools]
    assert toolset.functions["population"]("Rome") == 1
    assert toolset.tools[0]["description"] == "Return how many people live in a city."


def test_without_permission_nothing_of_a_file_runs(tmp_path: Path) -> None:
    """The message says what would run, and how to allow it."""
    with pytest.raises(SpecError) as error:
        load_toolset(job(tmp_path, ["code.py:population", "code.py:distance"]), allow_code=False)
    assert [problem.where for problem in error.value.problems] == ["tools.functions"]
    assert error.value.problems[0].line is not None
    assert "code.py" in error.value.message
    assert "--allow-code" in str(error.value.hint)
    assert not (tmp_path / "ran").exists()


def test_a_job_without_functions_needs_no_permission(tmp_path: Path) -> None:
    """Nor has it anything to run."""
    assert load_toolset(job(tmp_path, []), allow_code=False) == NO_TOOLS


@pytest.mark.parametrize(
    "reference",
    [
        "/etc/passwd:x",
        "../../etc/passwd:x",
        "code.py",
        "code.py:",
        "code.py:os.system",
        "code.py:__import__('os')",
        "missing.py:population",
        "code.py:populatio",
        "code.py:untyped",
        "code.py:Path",
        "https://example.com/code.py:population",
        "{{ file }}.py:population",
    ],
)
def test_a_reference_that_names_no_function_is_a_mistake_with_its_place(tmp_path: Path, reference: str) -> None:
    """Whatever a spec holds; the other functions are checked, too."""
    error = refused(tmp_path, ["code.py:population", reference, "code.py:nothing"])
    assert [problem.where for problem in error.problems] == ["tools.functions[1]", "tools.functions[2]"]
    assert all(problem.line for problem in error.problems)


@pytest.mark.parametrize(
    ("tool", "kind"),
    [
        ({"type": "function", "name": "population", "parameters": {}}, "function"),
        ({"type": "function", "function": {"name": "population"}}, "function"),
    ],
    ids=["flat", "nested"],
)
def test_a_name_can_be_taken_by_a_tool_of_the_request(tmp_path: Path, tool: dict[str, Any], kind: str) -> None:
    """The model could not tell the two apart."""
    error = refused(tmp_path, ["code.py:population"], request={"tools": [tool]})
    assert f"request.tools has a {kind} called population already" in error.message


def test_two_functions_have_two_names(tmp_path: Path) -> None:
    """Also where they come from different files."""
    (tmp_path / "other.py").write_text(CODE, encoding="utf-8")
    error = refused(tmp_path, ["code.py:population", "other.py:population"])
    assert [problem.where for problem in error.problems] == ["tools.functions[1]"]
    assert "another function is called population" in error.message


def test_a_function_answers_a_custom_tool_of_its_name(tmp_path: Path) -> None:
    """The request offers it already, so nothing is added; its free text needs exactly one parameter."""
    assert loaded(tmp_path, ["code.py:population"], request={"tools": [CUSTOM]}).tools == ()
    error = refused(tmp_path, ["code.py:distance"], request={"tools": [{**CUSTOM, "name": "distance"}]})
    assert "exactly one parameter" in error.message


def test_an_edited_file_has_another_digest(tmp_path: Path) -> None:
    """And runs as it is now."""
    before = loaded(tmp_path, ["code.py:population"])
    spec = job(tmp_path, ["code.py:population"])
    (tmp_path / "code.py").write_text(CODE.replace("return 1\n", "return 2\n"), encoding="utf-8")
    after = load_toolset(spec, allow_code=True)
    assert before.sources != after.sources
    assert after.functions["population"]("Rome") == 2


def test_files_are_named_once() -> None:
    """In the order of the spec."""
    assert files_of(["b.py:f", "a.py:f", "b.py:g"]) == ["b.py", "a.py"]


# -- the settings themselves -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({"output": {"path": "o.parquet", "repair": 1}}, "output"),
        ({"output": {"path": "o.parquet", "fields": {"a": "int"}, "repair": 4}}, "output.repair"),
        ({"tools": {"functions": ["a.py:f"], "rounds": 0}}, "tools.rounds"),
        ({"tools": {"functions": ["a.py:f"], "timeout_s": 0}}, "tools.timeout_s"),
        ({"tools": ["a.py:f"], "extra_body": {"tool_choice": "required"}}, "extra_body.tool_choice"),
        (
            {"output": {"path": "o.parquet", "fields": {"a": "int"}, "repair": 1}, "extra_body": {"input": "x"}},
            "extra_body.input",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path: Path, settings: dict[str, Any], where: str) -> None:
    """Also what the extra body would send in every round, though rounds change it."""
    with pytest.raises(SpecError) as error:
        load_text(yaml.safe_dump({**BASE, **settings}), source="job.yaml", folder=tmp_path)
    assert where in [problem.where for problem in error.value.problems]
