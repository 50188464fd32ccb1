"""What a person sees of a wrong spec, and that nothing in a spec gets past it as another error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import SpecError
from pipeline.spec.job import Job
from pipeline.spec.load import load_job, load_text

Load = Callable[..., Job]
Mistakes = Callable[..., list[str]]

FIVE_MISTAKES = """\
name: caption-photos
provider: simulator
model: gpt-5.4-mini
input:
  path: ../data/photos.parquet
  limmit: 100
prompt:
  system: You write alt text.
  user:
    - text: "One sentence for {{ title }}."
    - image: photo
      detail: ultra
request:
  temperature: 3
output:
  path: ../out/captions.parquet
  fields:
    caption: string
    score: number
limits:
  requests_per_minute: fast
"""

ONE_SCREEN = """\
job.yaml:6:3: input.limmit: is not a setting here - did you mean 'limit'?
     6 |   limmit: 100
       |   ^
job.yaml:12:15: prompt.user[1].detail: must be one of low, high, auto, original, not 'ultra'
    12 |       detail: ultra
       |               ^
job.yaml:14:3: request.temperature: must be a number from 0 to 2, not 3
    14 |   temperature: 3
       |   ^
job.yaml:19:5: output.fields.score: 'number' is not a type; types are string, int, float, bool, enum[a, b], list[string] \
- did you mean 'float'?
    19 |     score: number
       |     ^
job.yaml:21:24: limits.requests_per_minute: must be a number, not 'fast'
    21 |   requests_per_minute: fast
       |                        ^"""


def test_five_mistakes_are_one_screen_each_with_its_line_and_its_mend() -> None:
    """All mistakes are shown at once, with place, line and suggestion."""
    with pytest.raises(SpecError) as caught:
        load_text(FIVE_MISTAKES, source="job.yaml", folder=Path("/specs"))
    assert str(caught.value) == ONE_SCREEN


def test_a_spec_without_mistakes_is_a_job_located_in_its_folder(load: Load) -> None:
    """Relative paths count from the folder that is handed in."""
    job = load()
    assert job.output_path == Path("/specs/answers.parquet")
    assert job.prompt.user == "{{ question }}"


def test_a_file_is_read_relative_to_its_own_folder(tmp_path: Path, small: str) -> None:
    """`load_job` reads the file, a byte order mark or not, and locates the job beside it."""
    path = tmp_path / "job.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + small.encode())
    assert load_job(path).output_path == tmp_path / "answers.parquet"


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        (".yml", "provider: simulator\nmodel: m\ninput: a.csv\nprompt: hi\noutput: o.parquet\n"),
        (".json", '{"provider":"simulator","model":"m","input":"a.csv","prompt":"hi","output":"o.parquet"}'),
        (".toml", 'provider = "simulator"\nmodel = "m"\ninput = "a.csv"\nprompt = "hi"\noutput = "o.parquet"\n'),
    ],
)
def test_yaml_json_and_toml_make_the_same_job(tmp_path: Path, ending: str, text: str) -> None:
    """The three formats go through one model; the file's ending tells them apart."""
    path = tmp_path / f"job{ending}"
    path.write_text(text)
    job = load_job(path)
    assert (job.model, job.input.path, job.prompt.user) == ("m", "a.csv", "hi")


def test_a_missing_file_is_a_spec_error_with_its_path(tmp_path: Path) -> None:
    """A file that can't be read is a mistake of the command line like any other."""
    path = tmp_path / "none.yaml"
    with pytest.raises(SpecError) as caught:
        load_job(path)
    assert str(caught.value) == f"{path}: cannot be read: No such file or directory"


def test_a_folder_is_a_spec_error(tmp_path: Path) -> None:
    """A folder in place of the spec is told from a spec."""
    with pytest.raises(SpecError, match="cannot be read: Is a directory"):
        load_job(tmp_path)


def test_bytes_that_are_not_utf_8_are_a_spec_error_with_their_line(tmp_path: Path) -> None:
    """Another encoding is named with the place of the first bad byte."""
    path = tmp_path / "job.yaml"
    path.write_bytes("name: a\nmodel: Zo\xe9".encode("latin-1"))
    with pytest.raises(SpecError, match="is not UTF-8 text: byte 0xe9 in line 2"):
        load_job(path)


def test_a_spec_of_more_than_a_megabyte_is_refused(tmp_path: Path, small: str) -> None:
    """Data pasted into a spec is refused before it is parsed."""
    path = tmp_path / "job.yaml"
    path.write_text(small + "#" * 1_000_000)
    with pytest.raises(SpecError, match="is larger than 1,000,000 bytes"):
        load_job(path)


def test_parameters_are_checked_even_where_the_rest_of_the_job_is_wrong(mistakes: Mistakes, small: str) -> None:
    """The request's mistakes are not held back by those of other settings."""
    more = "request: {temperature: 9, stream: true}\ndedupe: perhaps\n"
    assert mistakes(small + more) == [
        "6:11 request.temperature: must be a number from 0 to 2, not 9",
        "6:27 request.stream: is set by the job's delivery, not here",
        "7:9 dedupe: must be true or false, not 'perhaps'",
    ]


def test_a_mistake_inside_a_parameter_stands_at_its_own_line(mistakes: Mistakes, small: str) -> None:
    """A complaint about a tool's field points at that field, not at the request."""
    more = dedent("""\
        request:
          tools:
            - type: function
              name: look_up
              strict: maybe
        """)
    assert mistakes(small + more) == ["10:7 request.tools[0].strict: must be true or false, not 'maybe'"]


def test_two_ways_to_ask_for_a_format_clash(mistakes: Mistakes) -> None:
    """`output.fields` and `request.text.format` are not both obeyed."""
    text = dedent("""\
        provider: simulator
        model: m
        input: a.csv
        prompt: {user: hi, system: be kind}
        request: {instructions: be nice, text: {format: {type: text}}}
        output: {path: o.parquet, fields: {a: int}}
        """)
    assert mistakes(text) == [
        "5:11 request.instructions: prompt.system is sent as the instructions; keep one of them",
        "5:41 request.text.format: output.fields asks for a format already; keep one of them",
    ]


def test_a_mistake_found_later_still_has_its_line(load: Load) -> None:
    """The job can name the line of a setting long after it was loaded, for what only the input can tell."""
    problem = load("request:\n  metadata:\n    title: '{{ titlle }}'\n").problem(
        "request.metadata.title", "no such column"
    )
    assert (problem.line, problem.excerpt) == (8, "    title: '{{ titlle }}'")


def test_an_editors_schema_hint_is_no_setting(load: Load) -> None:
    """`$schema` at the top is for editors of JSON, which has no comments."""
    assert load('"$schema": ./job.schema.json\n').model == "gpt-5.4-mini"


def test_a_hundred_mistakes_are_enough(mistakes: Mistakes) -> None:
    """A spec that is nothing but mistakes is cut off, and says so."""
    found = mistakes("".join(f"setting_{number}: 1\n" for number in range(1000)))
    assert len(found) == 101
    assert found[-1] == ": only the first 100 mistakes are shown"


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["${A}", "${A:-1}", "$${", "no", "12:30", "010", "~", "{{ x }}", "sk-" + "a" * 24, "enum[a"]),
)
NAMES = st.sampled_from(
    ["provider", "model", "input", "prompt", "output", "request", "fields", "user", "text", "path", "limits", "0", "<<"]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(NAMES | st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def outcome(text: str, **how: Any) -> str:
    """Return what a person sees of a spec: its mistakes, or nothing."""
    try:
        load_text(text, folder=Path("/specs"), environ={"A": "x: [1"}, **how)
    except SpecError as error:
        return str(error)
    return ""


@given(st.text(max_size=200))
def test_any_text_is_a_job_or_a_spec_error(text: str) -> None:
    """No text whatever escapes as another error."""
    for format_ in ("yaml", "json", "toml"):
        assert "pydantic" not in outcome(text, format=format_)


@given(st.text(alphabet="ab:-?[]{}\"'&*!|>%@`#, \n\t\\0.~<$=", max_size=80))
def test_any_yaml_soup_is_a_job_or_a_spec_error(text: str) -> None:
    """No pile of YAML's marks escapes as another error, in the file or in an option."""
    assert "pydantic" not in outcome(text)
    assert "--set" in outcome("provider: simulator\n", sets=[text, f"a={text}", f"prompt.user={text}"])


@given(st.dictionaries(NAMES, VALUES, max_size=6))
def test_any_values_are_a_job_or_a_spec_error(values: dict[str, object]) -> None:
    """No well-formed spec with wrong values escapes as another error."""
    for format_ in ("yaml", "json"):
        assert "pydantic" not in outcome(json.dumps(values), format=format_)
