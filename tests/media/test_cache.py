"""An image that many rows show is prepared once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import pytest

from pipeline.errors import MediaError
from pipeline.media import cache as cache_module
from pipeline.media.cache import CacheStatistics, PreparedCache
from pipeline.media.prepare import ImagePlan, ImageRules, PreparedImage, carry_out, prepare_image

RULES = ImageRules(formats=frozenset({"image/jpeg", "image/png"}), max_bytes=2**20)
THREADS = 6


def turned_image(generate: ModuleType, orientation: int = 6) -> bytes:
    """Return an image that must be changed."""
    data: bytes = generate.encoded(generate.blocks(), "JPEG", exif=generate.turned(orientation))
    return data


def test_the_second_row_finds_what_the_first_has_prepared(generate: ModuleType) -> None:
    """By content and rules: the same object for equal bytes, another one for another size."""
    cache = PreparedCache(2**20)
    first = cache.prepare(turned_image(generate), RULES)
    assert first == prepare_image(turned_image(generate), RULES)
    assert cache.prepare(bytes(bytearray(turned_image(generate))), RULES) is first
    smaller = cache.prepare(turned_image(generate), ImageRules(RULES.formats, RULES.max_bytes, max_side=10))
    assert smaller.height == 10
    assert cache.statistics() == CacheStatistics(2, len(first.data) + len(smaller.data), prepared=2, shared=1)


def test_an_image_that_needs_nothing_is_not_kept(generate: ModuleType) -> None:
    """The row has its bytes already."""
    cache = PreparedCache(2**20)
    data = turned_image(generate, 1)
    assert cache.prepare(data, RULES).data is data
    assert cache.statistics() == CacheStatistics(0, 0, prepared=0, shared=0)


def test_what_is_used_least_makes_room(generate: ModuleType) -> None:
    """The bytes kept never pass the bound, and an image that is larger than it is not kept at all."""
    images = {turn: turned_image(generate, turn) for turn in (2, 3, 4)}
    sizes = [len(prepare_image(data, RULES).data) for data in images.values()]
    cache = PreparedCache(sum(sizes) - 1)
    kept = {turn: cache.prepare(data, RULES) for turn, data in images.items() if turn != 4}
    assert cache.prepare(images[2], RULES) is kept[2]
    cache.prepare(images[4], RULES)
    assert cache.statistics().bytes <= sum(sizes) - 1
    assert cache.prepare(images[2], RULES) is kept[2]
    assert cache.prepare(images[3], RULES) is not kept[3]

    tiny = PreparedCache(10)
    tiny.prepare(images[2], RULES)
    assert tiny.statistics() == CacheStatistics(0, 0, prepared=1, shared=0)


@pytest.mark.parametrize("fails", [False, True])
def test_threads_that_ask_together_share_one_outcome(
    fails: bool, generate: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first prepares while the others wait; they get the very same image, or the error. An error is not kept."""
    cache, all_wait = PreparedCache(2**20), threading.Event()
    calls = []

    def slow(plan: ImagePlan, data: bytes, rules: ImageRules) -> PreparedImage:
        calls.append(threading.get_ident())
        while cache.statistics().shared < THREADS - 1:
            all_wait.wait(0.001)
        if fails:
            raise MediaError("the image cannot be decoded")
        return carry_out(plan, data, rules)

    monkeypatch.setattr(cache_module, "carry_out", slow)
    data = turned_image(generate)
    with ThreadPoolExecutor(THREADS) as pool:
        futures = [pool.submit(cache.prepare, data, RULES) for _ in range(THREADS)]
        outcomes = [future.exception() or future.result() for future in futures]
    assert len(calls) == 1
    assert len({id(outcome) for outcome in outcomes}) == 1
    assert isinstance(outcomes[0], MediaError) == fails
    monkeypatch.undo()
    assert cache.prepare(data, RULES).changes == ("turned by EXIF",)
    assert cache.statistics().prepared == (2 if fails else 1)
