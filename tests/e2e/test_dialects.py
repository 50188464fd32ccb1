"""The same job at providers of all three dialects gives the same table."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from PIL import Image

if TYPE_CHECKING:
    from tests.e2e.bench import Bench, Provider

DIALECTS = ("openai", "qingbo", "apimart")
ASIDE = frozenset(
    {
        "response_id",
        "latency_s",
        "finished_at",
        "service_tier",
        "cached_tokens",
        "reasoning_tokens",
        "vendor_cost",
        "cost_note",
    }
)
"""What may differ from one run to the next, or is said by some providers only."""


def _tables(job: Bench, provider: Provider) -> list[list[dict[str, Any]]]:
    """Run a job in every dialect, and return its tables without what may differ."""
    tables = []
    for dialect in DIALECTS:
        ledger = provider.ledger.now()
        job.spec["provider"] = {"base_url": provider.base(dialect), "dialect": dialect}
        job.spec["output"]["path"] = f"{dialect}.parquet"
        closing = job.run()
        assert {line["dialect"] for line in ledger.requests()} == {dialect}
        assert closing.usage.total_tokens == ledger.tokens()
        assert closing.usage.output_tokens == ledger.tokens("output_tokens")
        rows = job.table(job.folder / f"{dialect}.parquet")
        tables.append([{name: cell for name, cell in row.items() if name not in ASIDE} for row in rows])
    return tables


def test_a_job_with_a_system_prompt_and_typed_fields_is_the_same_in_every_dialect(
    bench: Callable[..., Bench], provider: Provider
) -> None:
    """Answers, statuses, typed columns and tokens agree."""
    job = bench(provider, rows=12)
    job.spec["prompt"] = {"system": "Answer briefly.", "user": "Judge {{ text }}"}
    fields = {"label": "enum[good, bad]", "score": "float?", "tags": "list[string]", "by": {"name": "string"}}
    job.spec["output"]["fields"] = fields
    job.spec["request"] = {"max_output_tokens": 500}
    first, *others = _tables(job, provider)
    assert others == [first, first]
    assert {row["status"] for row in first} == {"ok"}
    assert {row["label"] for row in first} <= {"good", "bad"}
    assert all(isinstance(row["tags"], list) and row["by"]["name"] for row in first)


def test_an_image_job_is_the_same_in_every_dialect(bench: Callable[..., Bench], provider: Provider) -> None:
    """Each provider decoded the picture that was sent to it, and counted the same tokens for it."""
    job = bench(provider)
    colours = {"red": (40, 30), "lime": (64, 64), "blue": (20, 90)}
    photos = [{"id": name, "photo": _photo(name, size)} for name, size in colours.items()]
    job.fill(photos, pa.schema([("id", pa.string()), ("photo", pa.binary())]))
    job.spec["prompt"] = [{"text": "What is this?"}, {"image": "photo", "detail": "low"}]
    first, *others = _tables(job, provider)
    assert others == [first, first]
    assert [row["status"] for row in first] == ["ok"] * 3
    for row, (width, height) in zip(first, colours.values(), strict=True):
        assert f"{width}x{height} PNG" in row["output"]
        assert "photo" not in row


def _photo(colour: str, size: tuple[int, int]) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()
