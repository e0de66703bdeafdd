"""The similarity of texts in any script, and the search for near-duplicates that the novelty filter of a run uses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from madspark import _core
from madspark._check import listed, text
from madspark.llm.exceptions import InvalidRequestError

__all__ = ["NOVELTY_THRESHOLD", "Duplicate", "find_duplicates", "similarity"]

NOVELTY_THRESHOLD = 0.8
"""The default similarity at which two ideas count as duplicates."""


class Duplicate(NamedTuple):
    """A text that is too similar to an earlier one."""

    position: int
    of: int
    similarity: float


def similarity(one: str, two: str) -> float:
    """Return the similarity of two texts: 1.0 for the same words, 0.0 for no common part.

    Words and letter trigrams are compared in scripts that separate words by spaces, character bigrams in scripts that
    do not (Chinese, Japanese, Thai and others). Case, width, composition, punctuation and vowel marks are ignored.
    """
    return _core.similarity(text("one", one), text("two", two))


def find_duplicates(texts: Iterable[str], threshold: float = NOVELTY_THRESHOLD) -> list[Duplicate]:
    """Return the texts that are at least `threshold` similar to an earlier text that is not a duplicate itself.

    Raises:
        ValueError: If `threshold` is not between 0.0 and 1.0.
    """
    if not 0.0 <= threshold <= 1.0:
        raise InvalidRequestError(f"threshold must be between 0.0 and 1.0, not {threshold}")
    found = _core.duplicates([text("texts", one) for one in listed("texts", texts)], threshold)
    return [Duplicate(*one) for one in found]
