"""What settings there are, read off the job's model."""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, TypeGuard, Union, get_args, get_origin

from pipeline.spec.group import Settings
from pipeline.spec.job import Job
from pipeline.spec.paths import Path

ANY = "*"
"""Any key of a map."""


def settings_at(path: Path, spec: type[Settings] = Job) -> type[Settings] | None:
    """Return the group of settings that stands at a path of the spec, or None where none does."""
    found: Any = spec
    for key in path:
        found = _below(found, key)
    return next((option for option in options(found) if is_group(option)), None)


def paths(group: type[Settings] = Job, above: Path = ()) -> Iterator[Path]:
    """Yield the path of every setting, parents first; a list is passed through as position 0, a map as the key ``ANY``."""
    for name, field in group.model_fields.items():
        path = (*above, name)
        yield path
        if ANY in path:
            continue  # groups in a map repeat what stands beside them
        for option in options(field.annotation):
            if is_group(option):
                yield from paths(option, path)
            elif is_group(item := item_of(option)):
                yield from paths(item, (*path, 0))
            elif is_group(entry := entry_of(option)):
                yield from paths(entry, (*path, ANY))


def options(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the type itself; without what is further asked of their values."""
    members = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return tuple(get_args(member)[0] if get_origin(member) is Annotated else member for member in members)


def item_of(annotation: Any) -> Any:
    """Return the type of a list's items; None for what is no list."""
    return get_args(annotation)[0] if get_origin(annotation) is list else None


def entry_of(annotation: Any) -> Any:
    """Return the type of a map's values; None for what is no map."""
    return get_args(annotation)[1] if get_origin(annotation) is dict else None


def is_group(annotation: Any) -> TypeGuard[type[Settings]]:
    """Tell whether a type is a group of settings."""
    return isinstance(annotation, type) and issubclass(annotation, Settings)


def _below(annotation: Any, key: str | int) -> Any:
    return next((below for option in options(annotation) if (below := _below_option(option, key)) is not None), None)


def _below_option(option: Any, key: str | int) -> Any:
    if isinstance(key, str):
        known = is_group(option) and key in option.model_fields
        return option.model_fields[key].annotation if known else entry_of(option)
    if is_group(option) and option.shorthand is not None:  # a list in place of a group is its short form
        return _below(option.model_fields[option.shorthand].annotation, key)
    return item_of(option)
