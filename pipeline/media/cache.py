"""Prepare each image once, however many rows show it and however many threads ask."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass

from pipeline.media.load import digest
from pipeline.media.prepare import ImageRules, PreparedImage, carry_out, plan_image

_Key = tuple[str, ImageRules]


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """A snapshot. ``prepared`` counts images that were decoded, ``shared`` those that were found or waited for."""

    images: int
    bytes: int
    prepared: int
    shared: int


class PreparedCache:
    """Changed images by their content, the latest used, up to ``max_bytes`` of them.

    For threads: the first to ask for an image prepares it, others that ask meanwhile wait for it and share its outcome, an error too.
    An error is not kept. Images that need no change pass by: to look at them costs no more than their digest.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[_Key, PreparedImage] = OrderedDict()  # the latest used last
        self._under_way: dict[_Key, Future[PreparedImage]] = {}
        self._bytes = self._prepared = self._shared = 0

    def prepare(self, data: bytes, rules: ImageRules) -> PreparedImage:
        """Return the image as ``prepare_image`` does. Blocking. Raises ``MediaError``."""
        plan = plan_image(data, rules)
        if not plan.changes:
            return carry_out(plan, data, rules)
        key = (digest(data), rules)
        with self._lock:
            if (known := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                self._shared += 1
                return known
            if (other := self._under_way.get(key)) is None:
                mine = self._under_way[key] = Future()
                self._prepared += 1
            else:
                self._shared += 1
        if other is not None:
            return other.result()
        try:
            image = carry_out(plan, data, rules)
        except BaseException as error:
            self._finish(key, None)
            mine.set_exception(error)
            raise
        self._finish(key, image)
        mine.set_result(image)
        return image

    def statistics(self) -> CacheStatistics:
        """Return the present state."""
        with self._lock:
            return CacheStatistics(len(self._kept), self._bytes, self._prepared, self._shared)

    def _finish(self, key: _Key, image: PreparedImage | None) -> None:
        with self._lock:
            del self._under_way[key]
            if image is None or len(image.data) > self._max_bytes:
                return
            self._kept[key] = image
            self._bytes += len(image.data)
            while self._bytes > self._max_bytes:
                self._bytes -= len(self._kept.popitem(last=False)[1].data)
