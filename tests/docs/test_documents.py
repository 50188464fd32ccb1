"""What is documented is executed, and what can be done is documented."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
import reference

from pipeline.cli import cli, main
from pipeline.errors import SpecError
from pipeline.simulator import load_script
from pipeline.spec.load import load_text

ROOT = reference.ROOT
JOBS = sorted(set((ROOT / "jobs").glob("*.yaml")) - {ROOT / "jobs" / "estimate.yaml"})
README = (ROOT / "README.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"(?:<!-- (?P<mark>[\w ]+) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)```", re.DOTALL)
BLOCKS = [(found["language"], found["text"], found["mark"]) for found in _BLOCK.finditer(README)]


def blocks(language: str) -> list[str]:
    return [text for kind, text, _ in BLOCKS if kind == language]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a reader has: the sample jobs and their data."""
    return furnished(tmp_path_factory.mktemp("reader"))


def furnished(folder: Path) -> Path:
    """Put the sample jobs and their data into a folder."""
    for name in ("jobs", "data"):
        shutil.copytree(ROOT / name, folder / name)
    return folder


def pipeline(arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command line as a shell would, but in this process: an interpreter of its own would take seconds only to import."""
    code, out, err = 0, StringIO(), StringIO()
    with chdir(folder), redirect_stdout(out), redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["pipeline", *arguments.split()])
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


@pytest.mark.parametrize("document", reference.PARTS)
def test_generated_parts_are_fresh(document: str) -> None:
    """README and CONTRIBUTING say what the code says; `python tests/docs/reference.py` refreshes them."""
    text = (ROOT / document).read_text(encoding="utf-8")
    assert reference.filled(document, text) == text


def test_every_module_that_contributing_names_is_there() -> None:
    """The reading tour, the rules and the commands name files of today: from the root, from the package, or from the bench."""
    named = set(re.findall(r"[\w/]+\.py\b", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")))
    places = (ROOT, ROOT / "pipeline", ROOT / "tests" / "bench")
    assert [name for name in sorted(named) if not any((place / name).is_file() for place in places)] == []


def test_ci_runs_the_readme_test_command() -> None:
    """CI is the test command that the README gives, and nothing a reader can't run."""
    command = next(text for _, text, mark in BLOCKS if mark == "test command").strip()
    assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", list(cli.commands))
def test_every_command_is_in_the_readme_with_its_help(name: str) -> None:
    """A command that exists is documented and says what it does."""
    assert f"Usage: pipeline {name} " in README
    assert cli.commands[name].get_short_help_str()


def test_the_shown_output_is_what_the_caption_run_prints(workplace: Path) -> None:
    """The first screen of the README is the screen people get, but for the seconds it took."""
    shown = blocks("text")[0]
    done = pipeline("run jobs/caption.yaml", workplace)
    assert done.returncode == 0, done.stderr
    assert _timeless(done.stdout) == _timeless(shown)


def test_the_shown_spec_is_the_sample_job() -> None:
    """The spec under the two commands is the file that ran, but for its opening comment."""
    lines = (ROOT / "jobs" / "caption.yaml").read_text(encoding="utf-8").splitlines()
    assert blocks("yaml")[0].splitlines() == [line for line in lines if not line.startswith("#")]


@pytest.mark.parametrize("text", blocks("python"))
def test_a_python_snippet_runs(text: str, workplace: Path) -> None:
    """Each Python snippet runs as it stands in a reader's folder."""
    with chdir(workplace), redirect_stdout(StringIO()):
        exec(compile(text, "README.md", "exec"), {"__name__": "__main__"})


def test_the_console_commands_run_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each `$ pipeline …` of the README works, and prints what is shown under it, where something is, but for seconds and for what … omits.

    They run in this process, for there are many. A block that is marked `exits N` ends with that code.
    """
    monkeypatch.chdir(furnished(tmp_path))
    for _, block, mark in (each for each in BLOCKS if each[0] == "console"):
        for part in re.split(r"^\$ pipeline ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            monkeypatch.setattr(sys, "argv", ["pipeline", *shlex.split(command)])
            with pytest.raises(SystemExit) as ended:
                main()
            printed, errors = capsys.readouterr()
            assert ended.value.code == int((mark or "exits 0").removeprefix("exits ")), f"{command}: {errors}"
            if shown:
                pieces = map(re.escape, _timeless(shown).split("…"))
                assert re.fullmatch(".*".join(pieces), _timeless(printed), re.DOTALL), f"{command} prints:\n{printed}"


@pytest.mark.parametrize("text", blocks("yaml"))
def test_a_yaml_snippet_is_a_spec_or_a_script(text: str, tmp_path: Path) -> None:
    """Each YAML snippet loads as what it is."""
    if "provider:" in text:
        assert load_text(text, source="README", folder=ROOT / "jobs").name
        return
    file = tmp_path / "storm.yaml"
    file.write_text(text, encoding="utf-8")
    assert load_script(file)["faults"]


@pytest.mark.parametrize("job", JOBS, ids=lambda path: path.name)
def test_a_sample_job_runs_offline(job: Path, workplace: Path) -> None:
    """Every job in jobs/ is ready to run as it stands, without a key."""
    allowed = "--allow-code" if "tools:" in job.read_text(encoding="utf-8") else ""
    done = pipeline(f"run jobs/{job.name} --quiet {allowed}", workplace)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_sample_estimate_is_made_offline(workplace: Path) -> None:
    """It prices two tables for five models as it stands, without a key."""
    done = pipeline("estimate jobs/estimate.yaml", workplace)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("Nothing was sent.\n")


@pytest.mark.parametrize("job", JOBS, ids=lambda path: path.name)
def test_a_sample_job_names_the_schema(job: Path) -> None:
    """Editors find the JSON Schema through the first line of each sample."""
    assert job.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=job.schema.json\n")


def test_a_wrong_job_is_told_as_the_contract_says(workplace: Path) -> None:
    """A spec with a mistake ends with exit code 2 and says where, what and how to mend it."""
    done = pipeline("check jobs/caption.yaml --set limits.concurency=3", workplace)
    assert done.returncode == SpecError.exit_code
    assert "did you mean" in done.stderr
    assert "concurrency" in done.stderr


def _timeless(text: str) -> str:
    return re.sub(r"\d+(\.\d+)? (s|ms|min)\b|\d+:\d\d:\d\d", "TIME", text).strip()
