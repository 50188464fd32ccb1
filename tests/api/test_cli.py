"""What the command line says, beyond what the functions behind it do."""

from __future__ import annotations

from pathlib import Path
from threading import Event as Flag
from threading import Thread

import polars as pl
import pytest
import yaml
from click.testing import CliRunner, Result

from pipeline.checkpoint.rundir import held, is_held
from pipeline.cli import cli, main
from pipeline.errors import SpecError


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A job of ten rows, in a file whose name a shell would take apart; every fifth request is refused."""
    pl.DataFrame({"text": [f"t{number}" for number in range(10)]}).write_parquet(tmp_path / "t.parquet")
    job = {
        "provider": "simulator",
        "model": "m",
        "input": "t.parquet",
        "prompt": "{{ text }}",
        "output": "out.parquet",
        "simulator": {"faults": [{"every": 5, "fault": "bad_request"}]},
    }
    path = tmp_path / "my job.yaml"
    path.write_text(yaml.safe_dump(job), encoding="utf-8")
    return path


def ran(*words: object) -> Result:
    """Run a command; our own errors are raised."""
    return CliRunner().invoke(cli, [str(word) for word in words])


def test_the_advised_command_is_the_one_that_was_run(spec: Path) -> None:
    """With its changes, and quoted: copied as it stands it must not ask somebody else."""
    done = ran("run", spec, "--set", "limits.concurrency=2", "--set", "prompt=Say {{ text }}")
    assert done.exit_code == 1
    assert (
        f"pipeline run '{spec}' --set limits.concurrency=2 --set 'prompt=Say {{{{ text }}}}' --retry failed"
        in done.output
    )


def test_status_says_that_rows_are_not_ok(spec: Path) -> None:
    """A run that ended with exit code 1 is not told as one in which all went well."""
    ran("run", spec)
    shown = ran("status", spec).output
    assert "some rows are not ok" in shown
    assert "10 of 10 finished" in shown


@pytest.mark.parametrize("template", ["{{ text | uper }}", "{{ text.upper() }}", "{{ text + 1 }}"])
def test_check_refuses_a_template_that_no_row_can_fill(spec: Path, template: str) -> None:
    """It is a mistake of the job's, found before anything is sent."""
    refused = ran("check", spec, "--set", f"prompt={template}").exception
    assert isinstance(refused, SpecError)


def test_check_names_a_key_that_is_missing(spec: Path) -> None:
    """Before the run does."""
    assert "OPENAI_API_KEY is not set" in ran("check", spec, "--set", "provider=openai").output


def test_check_says_which_secrets_leave_and_for_where(spec: Path) -> None:
    """By name, before anybody says yes."""
    tool = "{type: mcp, server_label: s, server_url: 'https://github.example/mcp', authorization_env: GITHUB_TOKEN}"
    shown = ran("check", spec, "--set", "provider=openai", "--set", f"request.tools=[{tool}]").output
    assert "  secrets    $OPENAI_API_KEY -> api.openai.com, $GITHUB_TOKEN -> github.example\n" in shown


def test_an_address_with_the_path_in_it_is_refused(spec: Path) -> None:
    """The path would be added a second time."""
    refused = ran("check", spec, "--set", "provider.base_url=http://127.0.0.1:9/v1/responses").exception
    assert "ends in /responses" in str(refused)


def test_no_message_steers_the_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Names of files and columns, and words of a server, may hold escapes; they are shown instead of sent."""
    monkeypatch.setattr("sys.argv", ["pipeline", "check", "\x1b]0;owned\x07.yaml"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "\\x1b]0;owned\\x07.yaml" in said
    assert "\x1b" not in said


def test_looking_at_a_run_keeps_none_from_starting(tmp_path: Path) -> None:
    """`status` may be asked as often as one likes."""
    stop = Flag()

    def look() -> None:
        while not stop.is_set():
            is_held(tmp_path / "run")

    watcher = Thread(target=look)
    watcher.start()
    try:
        for _ in range(50):
            with held(tmp_path / "run"):
                pass
    finally:
        stop.set()
        watcher.join()


@pytest.mark.parametrize(
    "words", [("estimate", "--models", ""), ("estimate", "--tiers", " , "), ("run", "--retry", "")], ids=" ".join
)
def test_an_option_that_names_nothing_is_refused(spec: Path, words: tuple[str, ...]) -> None:
    """It is what a shell makes of a variable that is not set: everything would be taken for what was named."""
    done = ran(words[0], spec, *words[1:])
    assert done.exit_code == 2
    assert f"'{words[1]}': names nothing" in done.output


def test_a_mistake_of_the_programs_own_has_a_code_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python's own code for it is 1, which says that a run has finished and some rows are not ok."""

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("pipeline.api.status", fail)
    monkeypatch.setattr("sys.argv", ["pipeline", "status", "job.yaml"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 70
    assert "ZeroDivisionError: ours" in capsys.readouterr().err


def test_an_empty_budget_is_refused(spec: Path) -> None:
    """It would cap nothing, whatever its author meant."""
    done = ran("check", spec, "--set", "budget={}")
    assert isinstance(done.exception, SpecError)
    assert "an empty budget caps nothing" in str(done.exception)
