"""What can be known to be wrong before a request leaves is found before it, with its place and what was meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import api
from pipeline.engine.check import Prepared, check_key, is_loopback, prepare
from pipeline.engine.first import first_requests
from pipeline.errors import DataError, RowError, SpecError
from pipeline.records import Request
from pipeline.spec.job import Job
from pipeline.spec.provider import Provider
from pipeline.wire.dialect import Endpoint

DELIVERIES = ("plain", "stream")
TABLE = "id,title,Größe\n1,Alien,3\n2,Brazil,\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a table."""
    (tmp_path / "t.csv").write_text(TABLE)
    return tmp_path


def checked(folder: Path, **settings: Any) -> Prepared:
    """Write a spec with these settings, and check it."""
    spec = {
        "provider": "simulator",
        "model": "m",
        "input": "t.csv",
        "prompt": "About {{ title }}",
        "output": "out/o.parquet",
        **settings,
    }
    (folder / "job.yaml").write_text(yaml.safe_dump(spec, sort_keys=False, allow_unicode=True))
    return api.check(folder / "job.yaml")


def refused(folder: Path, **settings: Any) -> str:
    """Return why a spec is refused."""
    with pytest.raises((SpecError, DataError)) as error:
        checked(folder, **settings)
    return error.value.message


@pytest.mark.parametrize(
    ("gold", "note"),
    [
        ("title", "no value of title that was looked at (Alien, Brazil) is a choice of a (brazil, alien)"),
        ("right", None),
    ],
)
def test_known_answers_that_are_no_choice_are_told(folder: Path, gold: str, note: str | None) -> None:
    """A column in another language or spelling makes every answer wrong: better told before the run than after."""
    (folder / "t.csv").write_text("title,right\nAlien,alien\nBrazil,\n")
    output = {"path": "o.parquet", "fields": {"a": "enum[brazil, alien]"}, "gold": gold}
    notes = [each for each in checked(folder, output=output).notes if "gold" in each]
    assert notes == ([f"output.gold: {note}"] if note else [])


@pytest.mark.parametrize(
    ("settings", "note"),
    [
        ({}, None),
        ({"output": {"path": "o.parquet", "fields": {"a": "int"}, "repair": 2}}, "up to 3 requests: 1 + 2 to repair"),
        (
            {"output": {"path": "o.parquet", "fields": {"a": "int"}, "repair": 1}, "samples": 5},
            "up to 10 requests: 1 + 1 to repair for each of 5 samples",
        ),
    ],
)
def test_how_many_requests_a_row_may_become_is_told(folder: Path, settings: Any, note: str | None) -> None:
    """Before the bill tells it."""
    found = [each for each in checked(folder, **settings).notes if "requests" in each]
    assert [note in each for each in found] == [True] if note else found == []


# -- columns ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "where", "column"),
    [
        ({"prompt": "About {{ titlex }}"}, "prompt", "titlex"),
        ({"prompt": {"system": "{{ titlex }}", "user": "x"}}, "prompt.system", "titlex"),
        ({"prompt": {"user": [{"text": "x"}, {"image": "titlex"}]}}, "prompt.user[1].image", "titlex"),
        ({"prompt": {"messages": [{"role": "user", "content": "{{ row['titlex'] }}"}]}}, "prompt.messages", "titlex"),
        ({"model": "{{ titlex }}"}, "model", "titlex"),
        ({"request": {"metadata": {"a": "{{ titlex }}"}}}, "request.metadata.a", "titlex"),
        ({"request": {"user": "x {{ titlex }}"}}, "request.user", "titlex"),
    ],
)
def test_a_missing_column_has_its_line_and_what_was_meant(folder: Path, settings: Any, where: str, column: str) -> None:
    """Wherever it is named; and the columns there are stand in the message."""
    with pytest.raises(SpecError) as error:
        checked(folder, **settings)
    (problem,) = error.value.problems
    assert problem.where.startswith(where)
    assert (problem.suggestion, problem.line is not None) == ("title", True)
    assert f"no column {column!r} (it has id, title, Größe)" in problem.message
    assert column in str(problem.excerpt)


def test_all_missing_columns_are_named_at_once(folder: Path) -> None:
    """A person mends them in one go."""
    with pytest.raises(SpecError) as error:
        checked(folder, prompt={"system": "{{ a }}", "user": "{{ b }} {{ title }} {{ c }}"})
    assert sorted(problem.message.split("'")[1] for problem in error.value.problems) == ["a", "b", "c"]


def test_every_broken_template_has_its_line(folder: Path) -> None:
    """All of them at once, too."""
    with pytest.raises(SpecError) as error:
        checked(folder, prompt={"system": "{{ a", "user": [{"text": "{% if %}"}]}, request={"user": "{{ b| }}"})
    assert [problem.where for problem in error.value.problems] == [
        "prompt.system",
        "prompt.user[0].text",
        "request.user",
    ]
    assert all(problem.line for problem in error.value.problems)


def test_a_column_of_the_output_that_is_taken_is_found(folder: Path) -> None:
    """With the line that mends it."""
    (folder / "t.csv").write_text("title,status\na,b\n")
    with pytest.raises(DataError, match="needs for itself: 'status'") as error:
        checked(folder)
    assert error.value.hint == 'add this line under output in the spec: `prefix: "llm_"`'
    assert "llm_status" in checked(folder, output={"path": "o.parquet", "prefix": "llm_"}).columns.schema.names


# -- the output ------------------------------------------------------------------------------------------------------


def test_an_output_in_a_new_folder_leaves_nothing_but_the_folder(folder: Path) -> None:
    """The look whether it can be written is cleaned up."""
    checked(folder)
    assert list((folder / "out").iterdir()) == []


@pytest.mark.parametrize("path", ["t.csv/o.parquet", "t.csv/deep/o.parquet", "n" * 300 + ".parquet", "/proc/o.parquet"])
def test_an_output_that_cannot_be_written_is_found(folder: Path, path: str) -> None:
    """Before anything is paid."""
    assert "cannot be written" in refused(folder, output=path)


def test_an_output_that_is_a_folder_is_found(folder: Path) -> None:
    """With what to write instead."""
    (folder / "o.parquet").mkdir()
    assert "is a folder" in refused(folder, output="o.parquet")


@pytest.mark.parametrize("name", ["t.parquet", "link.parquet", "./x/../t.parquet"])
def test_an_output_that_would_replace_the_input_is_found(folder: Path, name: str) -> None:
    """Also by another name of the same file."""
    (folder / "x").mkdir()
    (folder / "t.parquet").write_text(TABLE)
    (folder / "link.parquet").symlink_to("t.parquet")
    assert "file of the input" in refused(folder, input={"path": "t.parquet", "format": "csv"}, output=name)


# -- the provider ----------------------------------------------------------------------------------------------------


def endpoint(**provider: Any) -> Endpoint:
    """Return the endpoint of these settings."""
    return Provider.model_validate(provider).endpoint()


def test_a_missing_key_is_named_by_its_variable() -> None:
    """And never asked for in the spec."""
    for key in (None, ""):
        with pytest.raises(SpecError, match="OPENAI_API_KEY is not set") as error:
            check_key(endpoint(name="openai"), key)
        assert "export OPENAI_API_KEY=" in str(error.value.hint)


@pytest.mark.parametrize("key", ["sk-1", "a" * 500, "!#~"])
def test_a_key_is_taken_as_it_is(key: str) -> None:
    """Whatever a vendor puts into it."""
    check_key(endpoint(name="openai"), key)


@pytest.mark.parametrize("key", [" sk", "sk ", "sk\n", "s k", "sk\r\nx: y", "s\0k", "schlüssel", "\u2028"])
def test_a_key_with_what_no_key_has_is_refused_without_being_shown(key: str) -> None:
    """A line end from a file, a space from a copy; the message does not repeat it."""
    with pytest.raises(
        SpecError, match="OPENAI_API_KEY holds spaces, line ends or characters that no key has"
    ) as error:
        check_key(endpoint(name="openai"), key)
    assert key not in error.value.message


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("https://api.example/v1", True),
        ("http://127.0.0.1:8080/v1", True),
        ("http://127.5.5.5/v1", True),
        ("http://[::1]:8080/v1", True),
        ("http://localhost/v1", True),
        ("http://api.example/v1", False),
        ("http://192.168.1.2/v1", False),
        ("http://localhost.evil.example/v1", False),
        ("http://127.0.0.1.evil.example/v1", False),
        ("http://localhost@evil.example/v1", False),
        ("http://evil.example/localhost/v1", False),
        ("http://2130706433/v1", False),
    ],
)
def test_a_key_is_not_sent_in_the_clear(url: str, fine: bool) -> None:
    """Over plain http only to this machine, by a name that can be nobody else's."""
    assert is_loopback(url) == (fine and url.startswith("http:"))
    target = endpoint(base_url=url, api_key_env="MY_KEY")
    if fine:
        check_key(target, "k")
    else:
        with pytest.raises(SpecError, match="not sent over plain http"):
            check_key(target, "k")


def test_a_server_without_a_key_needs_none() -> None:
    """Also over plain http."""
    check_key(endpoint(base_url="http://192.168.1.2/v1"), None)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:99999/v1", "http://:80/v1", "http:///v1", "http://[::1/v1", "http://a:b/v1"]
)
def test_an_address_that_is_none_is_found(folder: Path, url: str) -> None:
    """Before the first row finds out."""
    assert "provider.base_url" in refused(folder, provider={"base_url": url})


QINGBO = {"name": "qingbo", "base_url": "http://127.0.0.1:1/v1"}
CUSTOM = {"request": {"tools": [{"type": "custom", "name": "note"}]}}
STRICT = {
    "base_url": "http://127.0.0.1:1/v1",
    "overrides": {"undocumented": "refuse", "documented": ["model", "input"]},
}


@pytest.mark.parametrize(
    ("settings", "where", "said"),
    [
        (
            {"prompt": {"messages": [{"role": "user", "content": "x"}, {"role": "developer", "content": "x"}]}},
            ["prompt.messages[1].role"],
            "qingbo has no role developer",
        ),
        (
            {"prompt": [{"text": "x"}, {"file": "https://x/{{ id }}.pdf"}, {"file": "https://y/{{ id }}.pdf"}]},
            ["prompt.user[1].file", "prompt.user[2].file"],
            "qingbo takes no file; openai does",
        ),
        (
            {"prompt": {"messages": [{"role": "user", "content": [{"image_id": "title"}]}]}},
            ["prompt.messages[0].content[0].image_id"],
            "qingbo takes no image_id; openai does; give its URL or its bytes",
        ),
        ({"prompt": {"input": "raw"}}, ["prompt"], "qingbo takes no file; openai does"),
        (CUSTOM, ["request.tools"], "qingbo takes no tool custom"),
        ({"request": {"truncation": "auto"}, "provider": STRICT}, ["request.truncation"], "does not list truncation"),
    ],
)
def test_what_the_dialect_does_not_take_is_found_by_the_first_rows(
    folder: Path, settings: Any, where: list[str], said: str
) -> None:
    """A job that asks for what its provider has not is refused as a whole, where it asks for it, with what to do."""
    raw = '[{""role"": ""user"", ""content"": [{""type"": ""input_file"", ""file_url"": ""https://x/a.pdf""}]}]'
    (folder / "t.csv").write_text(f'id,title,raw\n1,Alien,"{raw}"\n')
    with pytest.raises(SpecError) as error:
        checked(folder, **{"provider": QINGBO, **settings})
    assert [problem.where for problem in error.value.problems] == where
    assert all(said in problem.message and problem.line for problem in error.value.problems)
    assert "provider.overrides" in str(error.value.hint)


def test_parameters_that_a_page_does_not_list_are_told(folder: Path) -> None:
    """They are sent, with a warning in the notes."""
    prepared = checked(
        folder, request={"truncation": "auto"}, provider={"name": "qingbo", "base_url": "http://127.0.0.1:1/v1"}
    )
    assert any("truncation" in note for note in prepared.notes)


def test_a_delivery_that_the_dialect_has_not_is_found_with_its_line(folder: Path) -> None:
    """Before the first row is looked at, with what there is instead."""
    provider = {"base_url": "http://127.0.0.1:1/v1", "overrides": {"deliveries": ["plain"]}}
    assert checked(folder, provider=provider).job.delivery == "plain"
    with pytest.raises(SpecError) as error:
        checked(folder, provider=provider, delivery="stream")
    (problem,) = error.value.problems
    assert (problem.where, problem.line is not None) == ("delivery", True)
    assert "has no delivery stream; it has plain" in problem.message


def test_a_delivery_that_there_is_not_is_found(folder: Path) -> None:
    """The ones there are stand in the message."""
    said = refused(folder, delivery="pigeon")
    assert "delivery" in said
    assert "plain" in said
    assert "stream" in said


@pytest.mark.parametrize("dialect", ["qingbo", "apimart"])
def test_a_gateway_has_no_background_unless_the_job_says_that_it_has(folder: Path, dialect: str) -> None:
    """None documents the calls that fetch an answer, so nothing is handed in that could not be fetched."""
    provider: dict[str, object] = {"base_url": "http://127.0.0.1:1/v1", "dialect": dialect}
    with pytest.raises(SpecError) as error:
        checked(folder, provider=provider, delivery="background")
    assert f"{dialect} has no delivery background; it has plain, stream" in error.value.problems[0].message
    assert "provider.overrides" in str(error.value.hint)
    provider["overrides"] = {"deliveries": ["plain", "background"]}
    job = checked(folder, provider=provider, delivery="background")
    (_, asked) = next(first_requests(job, 1))
    assert isinstance(asked, Request)
    assert job.body(asked)["background"] is True


@pytest.mark.parametrize("place", ["request", "extra_body"])
def test_what_is_not_stored_cannot_be_made_in_the_background(folder: Path, place: str) -> None:
    """Its answer could not be fetched; where the job says nothing, storing is left to the provider."""
    with pytest.raises(SpecError) as error:
        checked(folder, delivery="background", **{place: {"store": False}})
    (problem,) = error.value.problems
    assert (problem.where, problem.line is not None) == (f"{place}.store", True)
    assert not any("store" in note for note in checked(folder, delivery="plain", **{place: {"store": False}}).notes)
    job = checked(folder, delivery="background")
    (_, asked) = next(first_requests(job, 1))
    assert isinstance(asked, Request)
    body = job.body(asked)
    assert ("store" in body, body["background"]) == (False, True)


def test_stream_options_go_only_with_a_stream(folder: Path) -> None:
    """A plain job is told that they are left out; a streamed one sends them, and has nothing to be told."""
    options = {"include_obfuscation": False}
    plain, streamed = (checked(folder, delivery=name, request={"stream_options": options}) for name in DELIVERIES)
    assert [any("stream_options" in note for note in job.notes) for job in (plain, streamed)] == [True, False]
    (_, asked), (_, streaming) = (next(first_requests(job, 1)) for job in (plain, streamed))
    assert isinstance(asked, Request)
    assert isinstance(streaming, Request)
    assert not {"stream", "stream_options"} & plain.body(asked).keys()
    assert (streamed.body(streaming)["stream"], streamed.body(streaming)["stream_options"]) == (True, options)
    assert asked.fingerprint == streaming.fingerprint


# -- rows ------------------------------------------------------------------------------------------------------------


def test_a_row_that_fails_alone_is_no_mistake_of_the_job(folder: Path) -> None:
    """Null cells and missing pictures are the rows' own."""
    prepared = checked(folder, prompt=[{"text": "{{ row['Größe'] }}"}, {"image": "title"}])
    assert [isinstance(built, RowError) for _, built in first_requests(prepared, 9)] == [True, True]


def test_the_first_requests_are_those_of_the_first_rows(folder: Path) -> None:
    """No more of them than asked for, with the row's number in the whole input."""
    prepared = checked(folder, input={"path": "t.csv", "where": "id = '2'"})
    assert [row for row, _ in first_requests(prepared, 1)] == [1]
    assert [row for row, _ in first_requests(checked(folder), 1)] == [0]


def test_what_keeps_every_row_from_asking_is_found_at_its_place(folder: Path) -> None:
    """All mistakes of the first rows at once, each place once, with its line and what was meant."""
    with pytest.raises(SpecError) as error:
        checked(
            folder,
            request={
                "temperature": "{{ title }}",
                "truncation": "{{ 'atuo' }}",
                "top_p": "{% if id == '2' %}x{% else %}1{% endif %}",
            },
        )
    found = [(each.where, each.message.partition(", not")[2], each.suggestion) for each in error.value.problems]
    assert found == [
        ("request.temperature", " 'Alien' (row 0; no row makes a request)", None),
        ("request.truncation", " 'atuo' (row 0; no row makes a request)", "auto"),
        ("request.top_p", " 'x' (row 1; no row makes a request)", None),
    ]
    assert all(problem.line for problem in error.value.problems)
    assert error.value.hint == "mend the template, or the cells that it reads"


@pytest.mark.parametrize("template", ["{{ title + 1 }}", "{{ title.a.b }}", "{{ title|nofilter }}", "{{ title() }}"])
def test_a_template_that_works_for_no_row_has_its_line(folder: Path, template: str) -> None:
    """What only a row can show is said where the template stands."""
    with pytest.raises(SpecError, match="no row makes a request") as error:
        checked(folder, prompt=[{"text": "x"}, {"text": template}])
    (problem,) = error.value.problems
    assert (problem.where, problem.line is not None) == ("prompt.user[1].text", True)


@pytest.mark.parametrize(
    ("settings", "same"),
    [
        ({}, True),
        ({"limits": {"concurrency": 3}}, True),
        ({"name": "other"}, True),
        ({"delivery": "stream"}, True),
        ({"retry": {"attempts": 2}}, True),
        ({"request": {"metadata": {"a": "b"}}}, True),
        ({"output": {"path": "x.parquet", "prefix": "y_"}}, True),
        ({"prompt": "Other {{ title }}"}, False),
        ({"model": "n"}, False),
        ({"request": {"temperature": 1}}, False),
        ({"extra_body": {"seed": 1}}, False),
        ({"on_null": "skip"}, False),
        ({"dedupe": False}, False),
        ({"output": {"path": "o.parquet", "fields": {"a": "int"}}}, False),
        ({"provider": {"base_url": "http://127.0.0.1:1/v1"}}, False),
    ],
    ids=str,
)
def test_the_digest_changes_with_what_can_change_a_result(folder: Path, settings: Any, same: bool) -> None:
    """And with nothing else, so that a run goes on without looking at each row again."""
    assert (checked(folder).digest() == checked(folder, **settings).digest()) == same


def test_a_job_made_in_python_needs_no_file(folder: Path) -> None:
    """Its problems have places, but no lines."""
    spec = {"provider": "simulator", "model": "m", "input": "t.csv", "prompt": "{{ titlex }}", "output": "o.parquet"}
    with pytest.raises(SpecError) as error:
        prepare(Job.model_validate(spec).located(folder))
    assert [(problem.where, problem.line) for problem in error.value.problems] == [("prompt.user", None)]
