"""What answers carry beside their text reaches the table: sources, searches, pictures, confidence, cost, the reply itself."""

from __future__ import annotations

import io
import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from click.testing import CliRunner
from PIL import Image

import pipeline
from pipeline.cli import cli
from pipeline.errors import DataError

if TYPE_CHECKING:
    from tests.e2e.bench import Bench, Provider

ROOT = Path(__file__).parents[2]
DRAWS = {"tools": [{"type": "image_generation"}]}


class Canned(ThreadingHTTPServer):
    """A provider on loopback that answers every request with the same items, and counts them."""

    def __init__(self, *output: object, usage: dict[str, object] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Canned)
        self.body = json.dumps({"id": "resp_1", "status": "completed", "output": output, "usage": usage}).encode()
        self.asked = 0

    @property
    def base(self) -> str:
        """The address up to and including ``/v1``."""
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Canned(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """Answer."""
        assert isinstance(self.server, Canned)
        self.rfile.read(int(self.headers["content-length"]))
        self.server.asked += 1
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(*output: object, usage: dict[str, object] | None = None) -> Iterator[Canned]:
    """Serve one canned answer."""
    with Canned(*output, usage=usage) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def picture(form: str = "PNG") -> str:
    """Return a small picture in base64."""
    buffer = io.BytesIO()
    Image.new("RGB", (3, 2), "red").save(buffer, form)
    return b64encode(buffer.getvalue()).decode()


def drew(result: object) -> dict[str, object]:
    """Return the item of a generated picture."""
    return {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": result}


def said(text: str, **part: object) -> dict[str, object]:
    """Return a message."""
    return {"type": "message", "content": [{"type": "output_text", "text": text, "annotations": [], **part}]}


# -- sources -----------------------------------------------------------------------------------------------------------------


def test_a_claim_comes_back_with_its_verdict_and_its_sources(tmp_path: Path) -> None:
    """The sample job, offline: typed columns, the pages as structs, and the searches that would be billed."""
    output = tmp_path / "facts.parquet"
    finished = pipeline.run(ROOT / "jobs" / "fact-check.yaml", sets=[f"output.path={output}"], yes=True)
    table = pl.read_parquet(output)
    assert finished.by_status == {"ok": table.height}
    assert set(table["verdict"]) <= {"supported", "refuted", "unclear"}
    assert set(table["known"]) == {"supported", "refuted", "unclear"}
    pages = table.explode("sources").unnest("sources")
    assert pages["url"].str.starts_with("https://").all()
    assert "url_citation" in set(pages["kind"])
    assert (table["searches"] >= 1).all()


def test_an_export_to_csv_holds_the_sources(bench: Callable[..., Bench], provider: Provider) -> None:
    """As JSON, for a spreadsheet."""
    job = bench(provider, rows=2, request={"tools": [{"type": "web_search"}]})
    job.spec["prompt"] = "#{{ id }}# Please search for this: {{ text }}"
    job.run()
    pipeline.export(job.job, job.folder / "o.csv")
    cells = [json.loads(cell) for cell in pl.read_csv(job.folder / "o.csv")["sources"]]
    assert cells == job.column("sources")
    assert all(cell[0]["kind"] == "url_citation" for cell in cells)


# -- pictures ----------------------------------------------------------------------------------------------------------------


def test_a_generated_picture_is_a_file_that_the_table_names(bench: Callable[..., Bench]) -> None:
    """Each row has its own, twins share one, and a second run asks nothing and finds them where they were."""
    with serving(drew(picture()), said("Here it is.")) as server:
        job = bench(request=DRAWS, provider={"base_url": server.base})
        job.fill([{"id": str(number), "text": f"text {number // 2}"} for number in range(4)])
        job.spec["prompt"] = "{{ text }}"
        job.run()
        images = job.column("images")
        assert [len(each) for each in images] == [1, 1, 1, 1]
        assert images[0] == images[1] != images[2] == images[3]
        for (path,) in images:
            with Image.open(job.output.parent / path) as image:
                assert (image.format, image.size) == ("PNG", (3, 2))
        assert job.column("notes") == [None] * 4
        assert job.column("output") == ["Here it is."] * 4
        job.run()
        assert (server.asked, job.column("images")) == (2, images)


@pytest.mark.parametrize("delivery", ["plain", "stream"])
def test_pictures_and_confidence_come_in_every_delivery(
    bench: Callable[..., Bench], provider: Provider, delivery: str
) -> None:
    """From the simulator, which draws and tells probabilities as the reference documents it."""
    tools = [{"type": "image_generation"}]
    request = {"tools": tools, "tool_choice": tools[0], "include": ["message.output_text.logprobs"]}
    job = bench(provider, rows=2, request=request, delivery=delivery)
    assert job.run().by_status == {"ok": 2}
    for (path,), confidence in zip(job.column("images"), job.column("confidence"), strict=True):
        with Image.open(job.folder / path) as image:
            assert image.format == "PNG"
        assert 0 < confidence <= 1


def test_spoilt_pictures_cost_no_answer(bench: Callable[..., Bench]) -> None:
    """Each leaves a note; the text, the other picture and the status stand."""
    with serving(drew("no base64!"), drew(picture("JPEG")), drew("aGVsbG8="), drew(None), said("Here.")) as server:
        job = bench(rows=1, request=DRAWS, provider={"base_url": server.base})
        assert job.run().by_status == {"ok": 1}
    (row,) = job.table()
    assert row["output"] == "Here."
    assert [Path(path).suffix for path in row["images"]] == [".jpg"]
    assert row["notes"] == ["generated picture 1: no base64", "generated picture 3: the bytes are no picture"]


@pytest.mark.parametrize(("result", "status"), [(picture(), "ok"), ("spoilt", "empty")])
def test_a_picture_is_an_answer_without_a_text(bench: Callable[..., Bench], result: str, status: str) -> None:
    """Many models draw without a word; but what is no picture is no answer."""
    with serving(drew(result)) as server:
        job = bench(rows=1, request=DRAWS, provider={"base_url": server.base})
        assert job.run().by_status == {status: 1}
    (row,) = job.table()
    assert (row["output"], bool(row["images"])) == ("", status == "ok")


def test_pictures_without_a_place_are_found_out_before_anything_is_sent(bench: Callable[..., Bench]) -> None:
    """A file in the way of their folder, say."""
    with serving(drew(picture())) as server:
        job = bench(rows=1, request=DRAWS, provider={"base_url": server.base})
        (job.folder / "out.images").write_text("in the way")
        with pytest.raises(DataError, match=r"out\.images, cannot be written: Not a directory"):
            job.run()
        assert server.asked == 0


def test_a_picture_that_cannot_be_written_costs_no_answer(bench: Callable[..., Bench]) -> None:
    """The row is ok and says why there is no file, also where the job did not ask to draw; the journal has the picture."""
    with serving(drew(picture()), said("Here.")) as server:
        job = bench(rows=1, provider={"base_url": server.base})
        (job.folder / "out.images").write_text("in the way")
        assert job.run().by_status == {"ok": 1}
    shown = pipeline.show(job.job, 0)
    assert (shown["output"], shown["images"]) == ("Here.", None)
    (note,) = shown["notes"]
    assert note.startswith("generated picture 1: not written, and kept in the journal: ")


# -- the rest ----------------------------------------------------------------------------------------------------------------


def test_confidence_phase_and_cost_are_columns_where_they_are_asked_for(bench: Callable[..., Bench]) -> None:
    """From the probabilities of the tokens, the last message, and the provider's own figure."""
    answer = {**said("Tokyo", logprobs=[{"token": "Tokyo", "logprob": 0.0}]), "phase": "final_answer"}
    with serving(answer, usage={"input_tokens": 5, "output_tokens": 1, "cost": 1250}) as server:
        request = {"include": ["message.output_text.logprobs"], "tools": [{"type": "web_search"}]}
        job = bench(rows=2, request=request, provider={"base_url": server.base, "dialect": "qingbo"})
        finished = job.run()
    assert job.column("confidence") == [1.0, 1.0]
    assert job.column("phase") == ["final_answer"] * 2
    assert job.column("vendor_cost") == [1250.0, 1250.0]
    assert (finished.usage.vendor_cost, job.metadata()["vendor_cost"]) == (2500.0, 2500.0)
    assert job.column("searches") == [0, 0]


def test_reasoning_that_is_summed_up_is_a_column(bench: Callable[..., Bench], provider: Provider) -> None:
    """Where the job asks for the summary."""
    job = bench(provider, rows=1, request={"reasoning": {"effort": "low", "summary": "auto"}})
    job.run()
    assert job.column("reasoning_summary")[0]


def test_the_reply_itself_is_a_column_on_request(bench: Callable[..., Bench], provider: Provider) -> None:
    """As JSON, with the id that its own column has; a row that was never answered has none."""
    job = bench(provider, rows=2)
    job.spec["output"]["raw"] = True
    job.fill([{"id": "a", "text": "one"}, {"id": "b", "text": None}])
    job.run()
    answered, failed = job.table()
    assert json.loads(answered["raw"])["id"] == answered["response_id"]
    assert failed["raw"] is None
    pipeline.export(job.job, job.folder / "o.csv")
    assert json.loads(pl.read_csv(job.folder / "o.csv")["raw"][0])["status"] == "completed"


def test_a_row_is_shown_with_what_it_carries(bench: Callable[..., Bench]) -> None:
    """Sources and pictures stand in lines of their own, and no base64 reaches the screen."""
    cited: dict[str, Any] = {"type": "url_citation", "url": "https://a.example", "title": "A page"}
    with serving(drew(picture()), said("Here.", annotations=[cited])) as server:
        tools = [*DRAWS["tools"], {"type": "web_search"}]
        job = bench(rows=1, request={"tools": tools}, provider={"base_url": server.base})
        job.run()
    screen = CliRunner().invoke(cli, ["show", str(job.job), "0"]).output
    assert "\nsources\n  url_citation · A page · https://a.example\n" in screen
    assert "\nimages\n  out.images/0-1-" in screen
    assert picture() not in screen
