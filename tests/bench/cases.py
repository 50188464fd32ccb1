"""What is measured, and what it is held against: the cases, as a table.

A case is a list of trials that are run one after the other in each round, so that whatever else the machine does meets them all, and of
claims about their figures. What another module measures by itself is an entry of ``FURTHER``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from inputs import image_table, text_table, write_job
from servers import Server
from trial import HERE, Trial

__all__ = ["FULL", "SHORT", "Aim", "Case", "Claim", "Sizes", "all_cases"]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything is measured."""

    texts: int
    images: int
    posts: int
    """Requests of a transport alone."""
    finished: int
    """Rows of a large run: that is resumed, and whose memory is held against that of ``texts`` rows."""
    in_flight: tuple[int, int, int]
    latency_s: float


FULL = Sizes(20_000, 2_000, 20_000, 1_000_000, (64, 512, 2_000), 0.2)
SHORT = Sizes(24, 4, 24, 60, (4, 4, 4), 0.01)
"""Enough to see that everything works; what is the same trial is run once."""


@dataclass(frozen=True, slots=True)
class Aim:
    """What a figure is to be, and what it would be at best; ``at_least`` where more is better."""

    target: float
    moonshot: float | None = None
    at_least: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """A figure of one trial, held against the same one of another trial, or its figure ``than``; without an aim it is only shown."""

    what: str
    figure: str
    of: str
    against: str | None = None
    aim: Aim | None = None
    than: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """Trials that are held against each other, round by round; each has a name of its own."""

    name: str
    trials: Sequence[Trial]
    claims: Sequence[Claim]
    once: bool = False
    """Whether one round says it all, as it does of the memory of a run that takes long."""


Make = Callable[[Server, Path, Sizes], Case]


@dataclass(frozen=True, slots=True)
class Further:
    """What a module of this folder measures by itself: its ``measure`` returns figures by name, and such as have an aim are claims here."""

    module: str
    claims: Sequence[Claim]
    options: Callable[[Sizes], dict[str, object]] = lambda _: {}


FURTHER: Sequence[Further] = (
    Further(
        "throttle",
        (
            Claim("throttle, 500/s: rate off by", "rate_off_by", "throttle", aim=Aim(0.005, 0.002)),
            Claim("throttle, 500/s: worst second", "worst_second", "throttle", aim=Aim(1.1, 1.05)),
            Claim("throttle: heavy request, in its own drain times", "heavy_served_after", "throttle", aim=Aim(2.5, 2)),
        ),
        lambda sizes: {"seconds": 20.0 if sizes == FULL else 0.2},
    ),
    Further(
        "journal",
        (Claim("journal, us of CPU a row", "us", "journal"), Claim("journal, rows a second", "rows_per_s", "journal")),
        lambda sizes: {"rows": sizes.texts, "in_flight": sizes.in_flight[0]},
    ),
    Further(
        "table",
        (
            Claim("CPU, final write: us / polars", "ours.cpu_s", "table", "table", Aim(1.2, 0.8), "polars.cpu_s"),
            Claim("anonymous memory, the same", "ours.peak_mb", "table", "table", Aim(0.4, 0.25), "polars.peak_mb"),
        ),
        lambda sizes: {"rows": sizes.finished},
    ),
    Further("requests", (), lambda sizes: {"texts": sizes.texts, "pictures": min(sizes.images, 500)}),
    Further("replies", (), lambda sizes: {"times": min(sizes.texts, 2_000)}),
)
"""A module that is not there is left out."""


def all_cases(server: Server, folder: Path, sizes: Sizes) -> Iterator[tuple[str, Callable[[], Case]]]:
    """Yield the name of each case, and what makes it: its inputs are written only when it is run."""
    for name, make in _CASES.items():
        if server.tls or not name.endswith("-tls"):
            yield name, lambda make=make: make(server, folder, sizes)
    for one in FURTHER:
        if (HERE / f"{one.module}.py").exists():
            yield one.module, lambda one=one: _further(one, sizes)


def _text(server: Server, folder: Path, sizes: Sizes) -> Case:
    """Texts, without latency."""
    few, some, many = sizes.in_flight
    table = text_table(folder / "texts.parquet", sizes.texts)
    trials = [one for count in _distinct(sizes.in_flight) for one in _us_and_floor(table, server.plain, count)]
    trials.append(Trial(f"openai SDK, {few}", "openai_sdk", "run", _asking(table, server.plain, few)))
    claims = [
        Claim(f"CPU, text, {few} in flight: us / floor", "cpu_ms", f"us, {few}", f"floor, {few}", Aim(1.1, 0.8)),
        Claim(f"CPU, text, {some} in flight: us / floor", "cpu_ms", f"us, {some}", f"floor, {some}"),
        Claim(f"CPU, text, {many} in flight: us / floor", "cpu_ms", f"us, {many}", f"floor, {many}"),
        Claim("CPU, text: us / openai SDK + aiohttp", "cpu_ms", f"us, {few}", f"openai SDK, {few}", Aim(1 / 8, 1 / 12)),
        Claim(f"CPU, text: us {many} / us {few}", "cpu_ms", f"us, {many}", f"us, {few}", Aim(1.5, 1.2)),
        Claim("wall, text: us / floor", "wall_s", f"us, {few}", f"floor, {few}"),
    ]
    return Case("text", trials, claims)


def _start(server: Server, folder: Path, sizes: Sizes) -> Case:
    """What it takes until anything happens."""
    table = text_table(folder / "few.parquet", SHORT.texts)
    trials = [Trial("help", "start", "shown"), Trial("run", "ours", "run", _running(table, server.plain, 1))]
    claims = [
        Claim("CPU of pipeline --help, s", "help_cpu_s", "help", aim=Aim(0.3)),
        Claim("CPU of the imports of a run, s", "import_cpu_s", "run"),
        Claim("CPU from there to the first request, s", "start_cpu_s", "run", aim=Aim(1)),
    ]
    return Case("start", trials, claims)


def _latency(server: Server, folder: Path, sizes: Sizes) -> Case:
    """Texts, with latency."""
    _, some, many = sizes.in_flight
    table = text_table(folder / "texts.parquet", sizes.texts)
    trials = [one for count in _distinct((some, many)) for one in _us_and_floor(table, server.slow, count)]
    after = f"{sizes.latency_s * 1000:.0f} ms"
    claims = [
        Claim(f"CPU, text, {after}, {some}: us / floor", "cpu_ms", f"us, {some}", f"floor, {some}", Aim(1.1, 0.8)),
        Claim(f"CPU, text, {after}, {many}: us / floor", "cpu_ms", f"us, {many}", f"floor, {many}"),
        Claim(f"wall, text, {after}, {some}: us / floor", "wall_s", f"us, {some}", f"floor, {some}", Aim(1.15, 1.0)),
        Claim(f"wall, text, {after}, {many}: us / floor", "wall_s", f"us, {many}", f"floor, {many}"),
    ]
    return Case("latency", trials, claims)


def _images(server: Server, folder: Path, sizes: Sizes) -> Case:
    """Pictures of 200 KB, from files; the floor sends a ready one."""
    few, some, _ = sizes.in_flight
    table = image_table(folder / "images.parquet", sizes.images)
    trials = [one for count in _distinct((few, some)) for one in _us_and_floor(table, server.plain, count)]
    claims = [
        Claim(f"CPU, images, {few}: us / floor", "cpu_ms", f"us, {few}", f"floor, {few}", Aim(1.3, 1.0)),
        Claim(f"CPU, images, {some}: us / floor", "cpu_ms", f"us, {some}", f"floor, {some}"),
        Claim(f"anonymous memory, images, {some}: us / floor", "anonymous_mb", f"us, {some}", f"floor, {some}"),
    ]
    return Case("images", trials, claims)


def _memory(server: Server, folder: Path, sizes: Sizes) -> Case:
    """A run of many rows, held against a run of few."""
    few = sizes.in_flight[0]
    tables = {
        "few": text_table(folder / "texts.parquet", sizes.texts),
        "many": text_table(folder / "many.parquet", sizes.finished),
    }
    trials = [
        Trial(f"{name} rows", "ours", "run", _running(table, server.plain, few)) for name, table in tables.items()
    ]
    what = f"memory, {sizes.finished:,} rows / {sizes.texts:,} rows"
    claims = [
        Claim(f"peak {what}", "rss_mb", "many rows", "few rows", Aim(1.3, 1.1)),
        Claim(f"peak anonymous {what}", "anonymous_mb", "many rows", "few rows", Aim(1.3, 1.1)),
        Claim("CPU, many rows / few rows", "cpu_ms", "many rows", "few rows"),
    ]
    return Case("memory", trials, claims, once=True)


def _resume(server: Server, folder: Path, sizes: Sizes) -> Case:
    """A run that was stopped when nearly all of its rows had been answered."""
    options = {"url": server.plain, "finished": sizes.finished}
    what = f"{sizes.finished:,} finished rows"
    claims = [
        Claim(f"resume with {what}: first answer after, s", "first_s", "us", aim=Aim(5)),
        Claim(f"resume with {what}: peak memory, MB", "first_rss_mb", "us", aim=Aim(500)),
    ]
    return Case("resume", [Trial("us", "resume", "run", options)], claims)


def _simulator(server: Server, folder: Path, sizes: Sizes) -> Case:
    """The simulator, and the same in starlette and uvicorn."""
    load = {"requests": sizes.posts, "in_flight": sizes.in_flight[0]}
    kinds = ("simulator", "starlette")
    trials = [Trial(kind, "provider_rate", "run", {"kind": kind, **load}) for kind in kinds]
    claims = [
        Claim("simulator: requests a CPU second / starlette", "per_cpu_second", *kinds, Aim(1.5, 2, at_least=True)),
        Claim("simulator: requests a second / starlette", "per_second", *kinds),
    ]
    return Case("simulator", trials, claims)


def _transport(name: str, *, tls: bool, image: bool) -> Make:
    """Return what makes a case of the transports alone."""

    def make(server: Server, folder: Path, sizes: Sizes) -> Case:
        url, few = server.tls if tls else server.plain, sizes.in_flight[0]
        options = {"url": url, "posts": sizes.images if image else sizes.posts, "in_flight": few, "image": image}
        trials = [
            Trial(kind, "transports", "run", {"transport": kind, **options}) for kind in (*_TRANSPORTS, "aiohttp")
        ]
        what = f"CPU, transport, {'TLS' if tls else 'plain'}, {'200 KB' if image else 'small'}"
        claims = [
            Claim(f"{what}: {kind} / aiohttp", "cpu_ms", kind, "aiohttp", aim) for kind, aim in _TRANSPORTS.items()
        ]
        return Case(name, trials, claims)

    return make


_TRANSPORTS: dict[str, Aim | None] = {"ours": Aim(0.75, 0.55), "stock httpx": None}
"""Those of ``transports`` that are held against aiohttp."""


_CASES: dict[str, Make] = {
    "start": _start,
    "text": _text,
    "latency": _latency,
    "images": _images,
    "transport": _transport("transport", tls=False, image=False),
    "transport-images": _transport("transport-images", tls=False, image=True),
    "transport-tls": _transport("transport-tls", tls=True, image=False),
    "transport-images-tls": _transport("transport-images-tls", tls=True, image=True),
    "memory": _memory,
    "resume": _resume,
    "simulator": _simulator,
}


def _further(one: Further, sizes: Sizes) -> Case:
    return Case(one.module, [Trial(one.module, one.module, "measure", one.options(sizes))], one.claims)


def _us_and_floor(table: Path, url: str, in_flight: int) -> list[Trial]:
    return [
        Trial(f"us, {in_flight}", "ours", "run", _running(table, url, in_flight)),
        Trial(f"floor, {in_flight}", "floor_aiohttp", "run", _asking(table, url, in_flight)),
    ]


def _distinct(counts: Sequence[int]) -> list[int]:
    return list(dict.fromkeys(counts))


def _running(table: Path, url: str, in_flight: int) -> dict[str, object]:
    return {"job": str(write_job(table, url)), "in_flight": in_flight}


def _asking(table: Path, url: str, in_flight: int) -> dict[str, object]:
    return {"table": str(table), "url": url, "in_flight": in_flight}
