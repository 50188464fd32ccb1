"""Videos, files and several pictures a row: the answer is about what was really sent, and what cannot be sent is not paid."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline.errors import SpecError

if TYPE_CHECKING:
    from tests.conftest import FileServer
    from tests.e2e.bench import Bench, Provider

ROOT = Path(__file__).parents[2]
CLOCK = (ROOT / "data" / "clips" / "clock.mp4").read_bytes()
BALL = (ROOT / "data" / "clips" / "ball.webm").read_bytes()
POND = (ROOT / "data" / "documents" / "pond.pdf").read_bytes()
ASKS = {"text": "#{{ id }}# What is this?"}


def lasting(seconds: int) -> bytes:
    """Return the clock with another length in its head."""
    at = CLOCK.index(b"mvhd") + 20
    return CLOCK[:at] + struct.pack(">I", seconds * 1000) + CLOCK[at + 4 :]


def sample(name: str, folder: Path) -> list[dict[str, Any]]:
    """Run a job of jobs/ into a folder and return the rows of its table."""
    finished = pipeline.run(ROOT / "jobs" / f"{name}.yaml", sets=(f"output.path={folder / 'out.parquet'}",))
    assert finished.exit_code == 0
    rows: list[dict[str, Any]] = pq.read_table(finished.output).to_pylist()
    return rows


@pytest.fixture
def videos(bench: Callable[..., Bench], provider: Provider) -> Callable[..., Bench]:
    """Set up a job that asks about videos, in the dialect that takes them."""

    def set_up(**settings: Any) -> Bench:
        job = bench(provider, prompt=[ASKS, {"video": "clip"}], **settings)
        job.spec["provider"] = {"base_url": provider.base("qingbo"), "dialect": "qingbo"}
        return job

    return set_up


# -- the sample jobs -------------------------------------------------------------------------------------------------


def test_compare_images_shows_both_photos_of_each_pair(tmp_path: Path) -> None:
    """In their order: the sizes and formats in the answer are those of the two files."""
    first, second, third = (row["description"] for row in sample("compare-images", tmp_path))
    assert first.startswith("A 512x512 PNG, mostly grey; a 512x512 WebP")
    assert second.startswith("A 451x300 PNG")
    assert "; a 640x427 JPEG" in second
    assert third.startswith("A 1000x872 JPEG")
    assert "; a 1024x1024 WebP" in third


def test_video_sends_the_clips_themselves(tmp_path: Path) -> None:
    """Each answer tells the container, length and size of its own clip."""
    ball, clock = (row["output"] for row in sample("video", tmp_path))
    assert ball.startswith(f"A WebM video of 4 seconds and {len(BALL)} bytes")
    assert clock.startswith(f"An MP4 video of 3 seconds and {len(CLOCK)} bytes")


def test_read_pdf_sends_the_document_itself(tmp_path: Path) -> None:
    """The answer tells its name, its pages and the words it begins with."""
    (row,) = sample("read-pdf", tmp_path)
    assert row["answer"].startswith(f"A PDF file named pond.pdf of {len(POND)} bytes and 2 pages")
    assert "Field notes from the pond" in row["answer"]


# -- rows that cannot be sent ----------------------------------------------------------------------------------------

BAD_VIDEOS = {
    "long": (lasting(601), "the video is 601 seconds long; 600 are the limit"),
    "flash": (b"FLV\x01" + bytes(50), "the video is not MP4, MOV, AVI or WebM: it is a Flash video"),
    "pdf": (POND, "it is a PDF"),
    "empty": (b"", "it is empty"),
    "cut": (CLOCK[:-100], "the video is cut off or damaged"),
}


def test_bad_videos_fail_their_rows_and_no_other(videos: Callable[..., Bench], provider: Provider) -> None:
    """Each with its reason, before anything is sent; a wrong ending alone does no harm."""
    job = videos()
    for name, (data, _) in BAD_VIDEOS.items():
        (job.folder / f"{name}.mp4").write_bytes(data)
    (job.folder / "really-webm.mp4").write_bytes(BALL)
    rows = [{"id": name, "clip": f"{name}.mp4"} for name in BAD_VIDEOS]
    rows += [
        {"id": "webm", "clip": "really-webm.mp4"},
        {"id": "gone", "clip": "gone.mp4"},
        {"id": "null", "clip": None},
    ]
    rows += [{"id": "outside", "clip": "../../etc/hosts"}]
    job.fill(rows)
    closing = job.run()
    table = job.by_id()
    for name, (_, reason) in BAD_VIDEOS.items():
        assert (table[name]["status"], table[name]["error_kind"]) == ("failed", "media")
        assert reason in table[name]["error_message"]
    assert {table[name]["status"] for name in ("gone", "null", "outside")} == {"failed"}
    assert "WebM video of 4 seconds" in table["webm"]["output"]
    assert provider.ledger.asked() == {"webm": 1}
    assert (closing.exit_code, closing.maybe_paid) == (1, 0)


def test_a_sparse_file_of_a_terabyte_is_refused_by_its_size(videos: Callable[..., Bench]) -> None:
    """It is never read."""
    job = videos()
    with (job.folder / "huge.mp4").open("wb") as file:
        file.truncate(10**12)
    job.fill([{"id": "huge", "clip": "huge.mp4"}])
    job.run()
    assert "1,000,000,000,000 bytes; 209,715,200 are the limit" in job.table()[0]["error_message"]


BAD_FILES = {
    "page": (b"<!doctype html><p>Please log in", "page.pdf: the file is called page.pdf, but it is an HTML page"),
    "empty": (b"", "empty.pdf: the file is empty"),
}


def test_bad_files_fail_their_rows_and_no_other(bench: Callable[..., Bench], provider: Provider) -> None:
    """A login page that was saved as a PDF is not paid for."""
    job = bench(provider, prompt=[ASKS, {"file": "report"}])
    for name, (data, _) in BAD_FILES.items():
        (job.folder / f"{name}.pdf").write_bytes(data)
    (job.folder / "scan").write_bytes(POND)
    job.fill([{"id": name, "report": f"{name}.pdf"} for name in BAD_FILES] + [{"id": "scan", "report": "scan"}])
    job.run()
    table = job.by_id()
    for name, (_, reason) in BAD_FILES.items():
        assert table[name]["error_message"] == reason
    assert "PDF file named scan" in table["scan"]["output"]
    assert provider.ledger.asked() == {"scan": 1}


# -- the ways in which media can be given ----------------------------------------------------------------------------


def test_bytes_urls_lists_and_ids_go_together(bench: Callable[..., Bench], provider: Provider) -> None:
    """In the order of the prompt; what is a URL leaves as one, and what has no name gets one by its type."""
    prompt = [{"file": "files"}, ASKS, {"image_id": "image"}, {"file_id": "more"}]
    job = bench(provider, prompt=prompt)
    files = [{"bytes": POND, "path": None}, {"bytes": None, "path": "https://example.com/b.pdf"}]
    job.fill([{"id": "a", "files": files, "image": "file-1", "more": ["file-2", "file-3"]}])
    assert job.run().by_status == {"ok": 1}
    (text,) = job.column("output")
    told = [f"A PDF file named file.pdf of {len(POND)} bytes", "file named b.pdf", "file-1", "file-2", "file-3"]
    assert [text.index(each) for each in told] == sorted(text.index(each) for each in told)


def test_a_column_of_messages_shows_media_as_a_spec_does(bench: Callable[..., Bench], provider: Provider) -> None:
    """By the same names; a part in the API's own words goes through as it is."""
    job = bench(provider, prompt={"messages": "chat"})
    (job.folder / "pond.pdf").write_bytes(POND)
    own = f"data:application/pdf;base64,{base64.b64encode(b'%PDF-1.4 own').decode()}"
    content = [
        {"text": "#a# Read these."},
        {"file": "pond.pdf", "filename": "birds.pdf", "detail": "high"},
        {"type": "input_file", "file_data": own, "filename": "own.pdf"},
    ]
    job.fill([{"id": "a", "chat": json.dumps([{"role": "user", "content": content}])}])
    assert job.run().by_status == {"ok": 1}
    (text,) = job.column("output")
    assert "A PDF file named birds.pdf" in text
    assert "a PDF file named own.pdf of 12 bytes" in text


def test_urls_of_videos_and_files_are_fetched_where_the_job_asks_for_it(
    videos: Callable[..., Bench], bench: Callable[..., Bench], provider: Provider, file_server: FileServer
) -> None:
    """Each sent as its bytes; one that is no video fails its row."""
    media = {"send": "inline", "fetch": True, "allow_private": True}
    file_server.files |= {"ball.webm": BALL, "pond.pdf": POND}
    job = videos(media=media)
    job.fill([{"id": name, "clip": file_server.url(name)} for name in ("ball.webm", "pond.pdf")])
    job.run()
    assert "WebM video of 4 seconds" in job.by_id()["ball.webm"]["output"]
    assert "it is a PDF" in job.by_id()["pond.pdf"]["error_message"]
    job = bench(provider, prompt=[ASKS, {"file": "report"}], media=media)
    job.fill([{"id": "pond", "report": file_server.url("pond.pdf")}])
    job.run()
    assert "PDF file named pond.pdf of 1379 bytes and 2 pages" in job.by_id()["pond"]["output"]


def test_a_picture_that_could_not_be_downloaded_brings_no_file_with_it(
    bench: Callable[..., Bench], play: Callable[..., Provider], file_server: FileServer
) -> None:
    """It alone is fetched here; the file beside it stays a URL."""
    provider = play({"faults": [{"fault": "failed", "code": "failed_to_download_image", "nth": 1}]})
    file_server.files |= {"cat.png": (ROOT / "data" / "photos" / "cat.png").read_bytes(), "pond.pdf": POND}
    prompt = [ASKS, {"image": "photo"}, {"file": "report"}]
    job = bench(provider, prompt=prompt, media={"fetch": True, "allow_private": True}, retry={"max_wait_s": 0.05})
    job.fill([{"id": "a", "photo": file_server.url("cat.png"), "report": file_server.url("pond.pdf")}])
    assert job.run().by_status == {"ok": 1}
    assert job.column("output")[0].startswith("A 451x300 PNG")
    assert "a file named pond.pdf" in job.column("output")[0]
    assert file_server.asked == ["cat.png"]


def test_only_urls_of_videos_are_sent_where_the_job_asks_for_that(videos: Callable[..., Bench]) -> None:
    """A local one fails its row with a plain reason."""
    job = videos(media={"send": "url"})
    (job.folder / "a.mp4").write_bytes(CLOCK)
    job.fill([{"id": "here", "clip": "a.mp4"}, {"id": "there", "clip": "https://example.com/b.mp4"}])
    job.run()
    table = job.by_id()
    assert table["there"]["output"].startswith("A video named b.mp4")
    assert table["here"]["error_message"] == "a.mp4 is no URL, and media.send is url"


def test_a_video_that_has_changed_is_asked_about_again(videos: Callable[..., Bench], provider: Provider) -> None:
    """And one that has not is not."""
    job = videos()
    (job.folder / "a.mp4").write_bytes(CLOCK)
    (job.folder / "b.mp4").write_bytes(CLOCK)
    job.fill([{"id": "a", "clip": "a.mp4"}, {"id": "b", "clip": "b.mp4"}])
    job.run()
    (job.folder / "b.mp4").write_bytes(BALL)
    job.run()
    assert provider.ledger.asked() == {"a": 1, "b": 2}
    assert "WebM" in job.by_id()["b"]["output"]


# -- dialects --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dialect", "part", "said"),
    [
        ("openai", {"video": "c"}, "openai takes no video; qingbo does"),
        ("apimart", {"video": "c"}, "apimart takes no video; qingbo does"),
        ("qingbo", {"file": "c"}, "qingbo takes no file; openai does"),
        ("apimart", {"file": "c"}, "apimart takes no file; openai does"),
        ("qingbo", {"image_id": "c"}, "qingbo takes no image_id; openai does"),
        ("apimart", {"image_id": "c"}, "apimart takes no image_id; openai does"),
        ("apimart", {"file_id": "c"}, "apimart takes no file_id; openai does"),
    ],
)
def test_what_a_dialect_does_not_take_is_refused_before_the_run(
    bench: Callable[..., Bench], provider: Provider, dialect: str, part: dict[str, str], said: str
) -> None:
    """By the check already, with the reason; nothing is asked."""
    job = bench(provider, prompt=[ASKS, part])
    job.spec["provider"] = {"base_url": provider.base(dialect), "dialect": dialect}
    job.fill([{"id": "a", "c": "https://example.com/x"}])
    for attempt in (lambda: pipeline.check(job.job), job.run):
        with pytest.raises(SpecError, match=said):
            attempt()
    assert provider.ledger.asked() == {}


def test_a_detail_that_no_page_lists_is_told_of_by_the_check(bench: Callable[..., Bench], provider: Provider) -> None:
    """It is sent as the job has it."""
    job = bench(provider, prompt=[ASKS, {"image": "c", "detail": "low"}])
    job.spec["provider"] = {"base_url": provider.base("qingbo"), "dialect": "qingbo"}
    job.fill([{"id": "a", "c": "https://example.com/x"}])
    assert any("detail of pictures" in note for note in pipeline.check(job.job).notes)
    assert job.run().by_status == {"ok": 1}
