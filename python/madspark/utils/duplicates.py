"""Who is too much like an earlier text, in any script; what the novelty filter of a run uses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from madspark import _core
from madspark._check import listed, text

__all__ = ["NOVELTY_THRESHOLD", "Duplicate", "find_duplicates", "similarity"]

NOVELTY_THRESHOLD = 0.8
"""The similarity from which on two ideas are the same, unless the caller says otherwise."""


class Duplicate(NamedTuple):
    """A text that is too much like an earlier one."""

    position: int
    of: int
    similarity: float


def similarity(one: str, two: str) -> float:
    """Tell how alike two texts are: 1.0 for the same words, 0.0 for nothing in common.

    Words and parts of words are compared in scripts with blanks between words, pairs of characters in those without
    (Chinese, Japanese, Thai and others). Case, width, composition, punctuation and vowel marks make no difference.
    """
    return _core.similarity(text("one", one), text("two", two))


def find_duplicates(texts: Iterable[str], threshold: float = NOVELTY_THRESHOLD) -> list[Duplicate]:
    """Find the texts that are at least `threshold` similar to an earlier one that is no duplicate itself.

    Raises:
        ValueError: `threshold` is not between 0.0 and 1.0.
    """
    if not 0.0 <= threshold <= 1.0:
        message = f"threshold must be between 0.0 and 1.0, not {threshold}"
        raise ValueError(message)
    found = _core.duplicates([text("texts", one) for one in listed("texts", texts)], threshold)
    return [Duplicate(*one) for one in found]
