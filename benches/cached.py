"""What a call costs that the cache answers. A figure counts only where no call has reached the upstream."""

from __future__ import annotations

from itertools import islice, repeat
from typing import TYPE_CHECKING

from benches import measure, workload

if TYPE_CHECKING:
    from benches.callers.base import Caller
    from benches.task import Figures
    from benches.upstream import Gauge

ON_DISK = 1000
"""How many answers are kept for the measurement of the disk."""


async def memory_hit(caller: Caller, shape: str, gauge: Gauge, seconds: float) -> Figures:
    """Make one call again and again."""
    call, prompt = measure.call_of(caller, shape), "What is asked again and again?"
    await call(prompt)
    asked = gauge.answered()
    figures = await measure.one_by_one(call, repeat(prompt), seconds)
    _all_hit(gauge.answered() - asked)
    return figures


async def fill_disk(caller: Caller, shape: str) -> Figures:
    """Have answers kept for another process."""
    call = measure.call_of(caller, shape)
    for prompt in islice(workload.prompts(), ON_DISK):
        await call(prompt)
    return {}


async def disk_hit(caller: Caller, shape: str, gauge: Gauge) -> Figures:
    """Make each call once that another process has made: the memory of this one is empty."""
    asked = gauge.answered()
    made_before = islice(workload.prompts(), ON_DISK)
    figures = await measure.one_by_one(measure.call_of(caller, shape), made_before, float("inf"))
    _all_hit(gauge.answered() - asked)
    return figures


def _all_hit(missed: int) -> None:
    if missed:
        raise RuntimeError(f"{missed} calls were not answered by the cache")
