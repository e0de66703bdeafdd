"""Confidence intervals for a share of wins, by bootstrap over the tasks."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIDENCE = 0.95


def interval(scores: Sequence[float], resamples: int, seed: int) -> tuple[float, float, float]:
    """Return the mean of the tasks' scores and its percentile bootstrap interval.

    Whole tasks are resampled: answers to one task are alike, and more judgements of it say nothing about other tasks.

    Raises:
        ValueError: There is no score.
    """
    if not scores:
        raise ValueError("there is no task to resample")
    dice = random.Random(seed)  # noqa: S311  # figures that can be repeated
    count = len(scores)
    means = sorted(sum(dice.choices(scores, k=count)) / count for _ in range(resamples))
    tail = (1 - CONFIDENCE) / 2
    low, high = int(tail * resamples), min(resamples - 1, int((1 - tail) * resamples))
    return sum(scores) / count, means[low], means[high]
