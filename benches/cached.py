"""The cost of cache hits. A figure counts only if no call reached the upstream."""

from __future__ import annotations

from itertools import islice, repeat
from typing import TYPE_CHECKING

from benches import measure, workload

if TYPE_CHECKING:
    from benches.callers.base import Caller
    from benches.task import Figures
    from benches.upstream import Gauge

ON_DISK = 1000
"""The number of answers stored for the measurement of the disk tier."""


async def memory_hit(caller: Caller, shape: str, gauge: Gauge, seconds: float) -> Figures:
    """Repeat one call."""
    call, prompt = measure.call_of(caller, shape), "The same question every time?"
    await call(prompt)
    before = gauge.answered()
    figures = await measure.one_by_one(call, repeat(prompt), seconds)
    _all_hit(gauge.answered() - before)
    return figures


async def fill_disk(caller: Caller, shape: str) -> Figures:
    """Store answers for another process."""
    call = measure.call_of(caller, shape)
    for prompt in islice(workload.prompts(), ON_DISK):
        await call(prompt)
    return {}


async def disk_hit(caller: Caller, shape: str, gauge: Gauge) -> Figures:
    """Make each call of the other process once; the memory tier of this process is empty."""
    before = gauge.answered()
    prompts = islice(workload.prompts(), ON_DISK)
    figures = await measure.one_by_one(measure.call_of(caller, shape), prompts, float("inf"))
    _all_hit(gauge.answered() - before)
    return figures


def _all_hit(missed: int) -> None:
    if missed:
        raise RuntimeError(f"{missed} calls were not answered by the cache")
