"""What a film shop knows of its shelves and its terms: the functions of tools.yaml.

They give the same result for the same arguments, as functions that a model may call must: after a crash they run again.
"""

from __future__ import annotations

SHELVES = {
    "Comedy": "A1",
    "Documentary": "A2",
    "Drama": "B1",
    "Horror": "C3",
    "Sci-Fi": "C1",
    "Western": "B4",
}


def shelf(genre: str) -> dict[str, str]:
    """Return the shelf on which the films of a genre stand."""
    if genre not in SHELVES:
        raise LookupError(f"there is no such genre; the genres are {', '.join(SHELVES)}")
    return {"shelf": SHELVES[genre]}


def lending_days(year: int) -> dict[str, int]:
    """Return for how many days a film is lent.

    Args:
        year: The year in which the film came out.
    """
    return {"days": 3 if year >= 2010 else 7}
