"""What `check` says of the first rows that would send nothing: a null, a template that fails, a file that is missing or cannot be sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.client.body import media_of
from pipeline.client.loader import image_rules, largest_bytes, not_a_url, video_rules
from pipeline.engine.first import FIRST_ROWS
from pipeline.errors import MediaError, NullCell, RowError
from pipeline.media.attachments import attach_file, sound_video
from pipeline.media.load import labelled, read_media
from pipeline.media.prepare import carry_out, plan_image

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.engine.check import Prepared
    from pipeline.engine.first import First
    from pipeline.records import Media, MediaKind, Request

LOOKED_AT = 64 * 1024 * 1024
"""Bytes of local pictures and files that are read, at most. Of a video, whose head tells enough, only that is read."""

_TOLD = 3  # rows, each with its reason


def silent_notes(prepared: Prepared, first: First) -> tuple[str, ...]:
    """Return a sentence about those of the first rows that would send nothing, with reasons. Blocking; reads their local media."""
    look = _Look(prepared)
    reasons = {row: reason for row, built in first if (reason := look.reason(built)) is not None}
    if not reasons:
        return ()
    told = [f"row {row}: {reason}" for row, reason in list(reasons.items())[:_TOLD]]
    more = ["…"] if len(reasons) > _TOLD else []
    send = "sends" if len(reasons) == 1 else "send"
    shows = f"`pipeline preview -n {FIRST_ROWS}` shows the rows"
    return (f"{len(reasons)} of the first {len(first)} rows {send} nothing: {'; '.join([*told, *more, shows])}",)


class _Look:
    """Looks at the rows and media of a job, as long as there are bytes ``left`` to read; each picture, video or file once."""

    def __init__(self, prepared: Prepared) -> None:
        rules, dialect = prepared.job.media, prepared.endpoint.dialect
        images, videos = image_rules(rules, dialect), video_rules(dialect)
        self._skips_nulls = prepared.job.on_null == "skip"
        self._only_urls = rules.send == "url"
        self._largest = largest_bytes(rules, dialect)
        self._left = LOOKED_AT
        self._known: dict[tuple[MediaKind, str], str | None] = {}

        def look_at_image(data: bytes) -> None:
            plan = plan_image(data, images)
            if not plan.changes:  # else its bytes are known only once it is drawn anew, which takes its time
                carry_out(plan, data, images)

        self._read: Mapping[MediaKind, Callable[[Media, bytes], object]] = {
            "image": lambda _, data: look_at_image(data),
            "video": lambda _, data: sound_video(data, videos),
            "file": lambda media, data: attach_file(data, media.filename, dialect.max_file_bytes),
        }
        self._videos = videos

    def reason(self, built: Request | RowError) -> str | None:
        """Return why a row would send nothing; None where it sends, or where that it does not is as wished."""
        if isinstance(built, RowError):
            wished = self._skips_nulls and isinstance(built, NullCell)
            return None if wished else built.message
        return next((reason for media in media_of(built.body) if (reason := self._mistake(media)) is not None), None)

    def _mistake(self, media: Media) -> str | None:
        place = (media.kind, media.identity)
        if media.url is None and place not in self._known:
            try:
                self._look_at(media)
            except MediaError as error:
                self._known[place] = error.message
            else:
                self._known[place] = None
        return self._known.get(place)

    def _look_at(self, media: Media) -> None:
        """Raise the ``MediaError`` with which media would be refused, as far as little reading can tell."""
        if self._only_urls:
            raise not_a_url(media)
        if media.kind == "video" and media.path is not None:
            with labelled(media):
                sound_video(media.path, self._videos)
            return
        size, largest = media.size or 0, self._largest[media.kind]
        if self._left < size <= largest:
            return
        data = read_media(media, largest)
        self._left -= size
        with labelled(media):
            self._read[media.kind](media, data)
