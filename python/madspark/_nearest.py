"""Finds the name that somebody probably meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["nearest"]

_SHORTEST_PART = 3
"""Shorter parts are contained in too many names."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the one of `known` that is most like `name`, or None if none is.

    A name that begins with `name` comes before one that contains it, and that before one that is spelled alike.
    """
    from difflib import get_close_matches

    by_key = {_key(one): one for one in known}
    key = _key(name)
    if len(key) >= _SHORTEST_PART:
        for is_match in (str.startswith, str.__contains__):
            matches = [candidate for candidate in by_key if is_match(candidate, key)]
            if matches:
                return by_key[min(matches, key=len)]
    matches = get_close_matches(key, by_key, n=1)
    return by_key[matches[0]] if matches else None


def _key(name: str) -> str:
    return name.casefold().replace("-", "_").lstrip("_")
