"""Environment variables in a spec are values and nothing more."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import SpecError
from pipeline.spec.evaluate import evaluate
from pipeline.spec.interpolate import interpolate
from pipeline.spec.job import Job
from pipeline.spec.problems import Report
from pipeline.spec.secrecy import names_key
from pipeline.spec.syntax import read

Load = Callable[..., Job]
Mistakes = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("${A}", "one"),
        ("a/${A}/${B_2}.csv", "a/one/two.csv"),
        ("${NONE:-x y}", "x y"),
        ("${NONE:-}", ""),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY}", ""),
        ("${A:-x}", "one"),
        ("$${A}", "${A}"),
        ("$${{ a }}", "${{ a }}"),
        ("${{ price }}", "${{ price }}"),
        ("$A {A} $ $$", "$A {A} $ $$"),
        ("${LOOKS}", "${A}"),
    ],
)
def test_references_are_filled_in(text: str, filled: str) -> None:
    """A reference is its variable or its default; what a variable holds is not looked into again."""
    environ = {"A": "one", "B_2": "two", "EMPTY": "", "LOOKS": "${A}"}
    assert interpolate(text, environ) == (filled, [])


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${a.b}", "${A:?no}", "${A", "${A:-${B}}", "${ A }"])
def test_what_only_looks_like_a_reference_is_told(text: str) -> None:
    """A `${` that is none of ours is a mistake, with the way to write a literal one."""
    assert interpolate(text, {"A": "one", "B": "two"})[1] == [
        "has a ${ that is neither ${NAME} nor ${NAME:-default}; a literal ${ is written $${"
    ]


def test_an_unset_variable_is_a_mistake_that_names_it(mistakes: Mistakes, small: str) -> None:
    """The variable is named, with its line, and its setting is not called wrong a second time."""
    assert mistakes(small + "stop_after: ${N}\n") == [
        "6:13 stop_after: needs the environment variable N, which is not set; ${N:-default} would give it a default"
    ]


def test_an_unset_variable_excuses_the_group_it_stands_in(mistakes: Mistakes, small: str) -> None:
    """A group that can only be judged with the variable's value is not judged."""
    found = mistakes(small.replace("simulator", "${WHO}") + "request: {temperature: '${T}', top_p: 7}\n")
    assert [mistake.split(";")[0] for mistake in found] == [
        "1:11 provider: needs the environment variable WHO, which is not set",
        "6:24 request.temperature: needs the environment variable T, which is not set",
        "6:32 request.top_p: must be a number from 0 to 1, not 7",
    ]


@pytest.mark.parametrize(
    "name",
    [
        *("OPENAI_API_KEY", "TOKEN", "db_password", "CLIENT_SECRET", "API_KEYS", "SECRET_KEY_BASE", "apikey", "KEY_2"),
        *("GITHUB_PAT", "PAT", "PGPASSWD", "GOOGLE_APPLICATION_CREDENTIALS", "SENTRY_DSN", "DATABASE_URL", "TOKEN2"),
    ],
)
def test_a_secret_is_not_interpolated(mistakes: Mistakes, small: str, name: str) -> None:
    """A variable whose name says that it holds a secret is refused, set or not, and its text is not shown."""
    (mistake,) = mistakes(f"{small}run_dir: a/${{{name}}}\n", **{name: "hunter2"})
    assert mistake == (
        f"6:10 run_dir: would put the secret in ${name} into the spec; "
        "keys are given by the name of an environment variable (`api_key_env: NAME`, in an MCP tool `authorization_env: NAME`), "
        "never by their value"
    )


@pytest.mark.parametrize("name", ["PATH", "MAX_TOKENS", "KEYBOARD", "HOME", "PATTERN", "BASE_URL", "PATIENT_ID"])
def test_a_name_that_only_looks_like_a_secrets_is_a_variable_like_any_other(name: str) -> None:
    """Words count where they end."""
    assert not names_key(name)


def test_what_the_environment_gave_is_known_by_name_and_place(load: Load) -> None:
    """Not what a default gave, nor a literal one, nor what was overridden on the command line."""
    text = "name: ${A}-${B}\nrequest: {metadata: {a: '${A} ${A}', b: '${NONE:-x} $${A} ${EMPTY:-y}'}}\nrun_dir: ${A}\n"
    job = load(text, "run_dir=x", A="1", B="2", EMPTY="")
    assert job.borrowed == (("A", ("name",)), ("B", ("name",)), ("A", ("request", "metadata", "a")))


def test_an_unquoted_reference_has_the_type_of_its_text(load: Load) -> None:
    """`limit: ${N}` is a number when N is one; in quotes it stays text."""
    job = load("stop_after: ${N}\nrequest: {metadata: {a: '${N}'}, top_p: 0}\nextra_body:\n  n: ${N}\n", N="7")
    assert job.stop_after == 7
    assert job.request["metadata"] == {"a": "7"}
    assert job.extra_body == {"n": 7}


def test_keys_are_not_interpolated(load: Load) -> None:
    """Only values are; a key with `${` is what it says."""
    assert load("extra_body:\n  ${A}: 1\n", A="x").extra_body == {"${A}": 1}


@given(st.text(max_size=40))
def test_a_variable_cannot_add_structure(text: str) -> None:
    """Whatever a variable holds, its place in the spec is one value, and the rest of the spec is as it was."""
    source = 'a: ${V}\nb: "x${V}"\nc: [1, "${V}"]\n'
    report = Report(source, "job.yaml")
    values, spoiled = evaluate(read(source, "yaml", report), {"V": text}, report)
    assert list(values) == ["a", "b", "c"]
    assert values["a"] is None or isinstance(values["a"], str | int | float)
    assert values["b"] == f"x{text}"
    assert values["c"] == [1, text]
    assert bool(spoiled) == bool(report.problems)


def test_bytes_that_were_no_utf_8_are_refused(load: Load) -> None:
    """A variable with undecodable bytes would fail when the request is written; it fails here, with its line."""
    with pytest.raises(SpecError, match=r"job\.yaml:6:10: run_dir: is not text: it holds a NUL"):
        load("run_dir: ${X}\n", X="Zo\udce9")
    with pytest.raises(SpecError, match="run_dir: is not text"):
        load('run_dir: "a\\0b"\n')
