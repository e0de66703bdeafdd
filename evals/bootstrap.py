"""Confidence intervals for a share of wins, by bootstrap over the tasks."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIDENCE = 0.95


def interval(scores: Sequence[float], resamples: int, seed: int) -> tuple[float, float, float]:
    """Return the mean of the tasks' scores and its percentile bootstrap interval.

    A task is the unit that is drawn: answers to one task are alike, and judging it more often tells of no other one.

    Raises:
        ValueError: There is no score.
    """
    if not scores:
        raise ValueError("no task was judged")
    dice = random.Random(seed)  # noqa: S311  # figures that can be repeated
    count = len(scores)
    means = sorted(sum(dice.choices(scores, k=count)) / count for _ in range(resamples))
    tail = (1 - CONFIDENCE) / 2
    low, high = int(tail * resamples), min(resamples - 1, int((1 - tail) * resamples))
    return sum(scores) / count, means[low], means[high]
