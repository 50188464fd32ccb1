"""`--set a.b=value`, one setting at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.spec.input import Sample
from pipeline.spec.job import Job
from pipeline.spec.provider import Provider

Load = Callable[..., Job]
Mistakes = Callable[..., list[str]]
TYPES = "string, int, float, bool, enum[a, b], list[string]"


def test_short_forms_on_the_way_are_written_out(load: Load) -> None:
    """What the short form said is kept beside what is set."""
    job = load(
        "",
        "provider.base_url=http://localhost:8000/v1",
        "input.limit=5",
        "prompt.system=Be brief.",
        "output.prefix=r_",
        "input.sample=10",
        "input.sample.seed=4",
    )
    assert job.provider == Provider(name="simulator", base_url="http://localhost:8000/v1")
    assert (job.input.path, job.input.limit, job.input.sample) == ("rows.csv", 5, Sample(rows=10, seed=4))
    assert (job.prompt.user, job.prompt.system) == ("{{ question }}", "Be brief.")
    assert (job.output.path, job.output.prefix) == ("answers.parquet", "r_")


def test_a_list_of_paths_is_a_short_form_too(load: Load) -> None:
    """`input: [a, b]` with `input.limit` keeps the list as the path."""
    assert load("", "input=[a.csv, b.csv]", "input.limit=1").input.path == ["a.csv", "b.csv"]


def test_a_whole_value_replaces_a_map(load: Load) -> None:
    """Setting a group sets all of it, and forgets what it held."""
    job = load("", "provider.base_url=http://localhost/v1", "provider=openai", "input={path: x.csv}")
    assert job.provider == Provider(name="openai")
    assert job.input.limit is None


def test_maps_on_the_way_are_made(load: Load) -> None:
    """A group that the spec leaves out, or leaves empty, can be set into."""
    job = load("retry:\n", "limits.requests_per_minute=60", "request.metadata.run=a", "retry.attempts=2")
    assert job.limits.requests_per_minute == 60
    assert job.request == {"metadata": {"run": "a"}}
    assert job.retry.attempts == 2


def test_list_positions_count_from_zero(load: Load) -> None:
    """`prompt.user.0.text` is the first part's text."""
    more = "extra_body: {list: [[1, 2], [3]]}\n"
    job = load(more, "prompt=[{text: a}, {image: photo}]", "prompt.user.1.detail=low", "extra_body.list.0.1=9")
    assert isinstance(job.prompt.user, list)
    assert job.prompt.user[1].detail == "low"
    assert job.extra_body == {"list": [[1, 9], [3]]}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("5", 5),
        ("1e3", 1000.0),
        ("true", True),
        ("no", "no"),
        ("", None),
        ("null", None),
        ("'5'", "5"),
        ('"a\\nb"', "a\nb"),
        ("[a, 1]", ["a", 1]),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
        ("{{ title }}", "{{ title }}"),
        ("{% if a %}b{% endif %}", "{% if a %}b{% endif %}"),
        ("a: b # c", "a: b # c"),
        ("*.csv", "*.csv"),
        ("!x &y", "!x &y"),
        ("a=b=c", "a=b=c"),
        ("  5  ", 5),
        ("${HOME}", "${HOME}"),
        ("['${HOME}']", ["${HOME}"]),
    ],
)
def test_values_are_scalars_unless_they_begin_with_a_bracket_or_a_quote(load: Load, written: str, value: Any) -> None:
    """What people type is taken as they mean it: no comments, no anchors, no variables, templates without quotes."""
    assert load("", f"extra_body.x={written}", HOME="/root").extra_body == {"x": value}


def test_a_replaced_value_is_not_looked_into(load: Load) -> None:
    """An unset variable or a wrong value in the file does not matter once it is replaced."""
    assert load("run_dir: ${NONE}\nstop_after: x\n", "run_dir=a", "stop_after=3").run_dir == "a"


def test_an_alias_is_set_in_one_place(load: Load) -> None:
    """Values that share an anchor are separate once one of them is set."""
    job = load("extra_body: {a: &x {n: 1}, b: *x}\n", "extra_body.a.n=2")
    assert job.extra_body == {"a": {"n": 2}, "b": {"n": 1}}


@pytest.mark.parametrize(
    ("option", "mistake"),
    [
        ("nonsense", "--set nonsense: is not of the form key=value, such as input.limit=5"),
        ("=3", "--set =3: is not of the form key=value, such as input.limit=5"),
        ("a..b=3", "--set a..b: is not of the form key=value, such as input.limit=5"),
        ("input.limmit=3", "--set input.limmit: is not a setting here (limit?)"),
        ("inptu.limit=3", "--set inptu.limit: inptu is not a setting here (input?)"),
        ("model.x=3", "--set model.x: model is a single value, it has nothing below it"),
        ("prompt.user.0.text=a", "--set prompt.user.0.text: prompt.user is a single value, it has nothing below it"),
        ("input.limit=abc", "--set input.limit: must be a whole number, not 'abc'"),
        ("request.temperature=3", "--set request.temperature: must be a number from 0 to 2, not 3"),
        ("input.sample.seed=3", "--set input.sample.seed: input.sample.rows is required"),
        ("limits={a: 1}", "--set limits: limits.a is not a setting here"),
        (
            "output.fields={a: itn}",
            f"--set output.fields: output.fields.a 'itn' is not a type; types are {TYPES} (int?)",
        ),
        ("limits=[1", "--set limits: ends before a [ or { is closed"),
        ("limits={a: 1, a: 2}", "--set limits: a stands here a second time; the first is in line 1, column 2"),
        (
            "prices.gpt-5.4-mini.input=1",
            "--set prices.gpt-5.4-mini.input: is split at each dot, also at that of a model's name; "
            "write --set 'prices={gpt-5.4-mini: {input: 1}}'",
        ),
        (
            "prices.gpt-5.4={input: 1, output: 2}",
            "--set prices.gpt-5.4: is split at each dot, also at that of a model's name; "
            "write --set 'prices={gpt-5.4: {input: 1, output: 2}}'",
        ),
        ("prices.gpt-5.inptu=1", "--set prices.gpt-5.inptu: is not a setting here (input?)"),
        ("stop_after=.nan", "--set stop_after: must be a finite number"),
        ("a\0b=1", "--set a�b: is not text"),
        (".".join("a" * 60) + "=1", f"--set {'.'.join('a' * 60)}: names more than 50 levels"),
    ],
)
def test_a_wrong_option_is_a_mistake_without_a_line(mistakes: Mistakes, small: str, option: str, mistake: str) -> None:
    """The option takes the place of file and line."""
    assert mistake in mistakes(small, option)


@pytest.mark.parametrize("position", ["2", "-1", "x", "9" * 5000, "0000000001", "\uff11"])
def test_a_position_that_does_not_exist_is_told(mistakes: Mistakes, small: str, position: str) -> None:
    """Lists are not extended by setting into them."""
    (mistake,) = mistakes(small, "input=[a.csv, b.csv]", "input={path: [a.csv, b.csv]}", f"input.path.{position}=c.csv")
    assert "input.path is a list of 2, so" in mistake


def test_every_wrong_option_is_told_beside_the_files_mistakes(mistakes: Mistakes, small: str) -> None:
    """One wrong option hides neither the next nor what is wrong in the file."""
    assert mistakes(small + "dedupe: 7\n", "a=1", "b") == [
        "6:9 dedupe: must be true or false, not 7",
        "--set b: is not of the form key=value, such as input.limit=5",
        "--set a: is not a setting here",
    ]
