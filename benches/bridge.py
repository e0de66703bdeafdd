"""What one call costs between Python and the core, with a provider that answers at once: no HTTP, no model.

Prints microseconds per call, the median of several repetitions: awaited one after the other, and all at once in one
`asyncio.gather`.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

from madspark import LLMConfig, LLMRouter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def one_by_one(router: LLMRouter, calls: int) -> None:
    """Await each call before the next one."""
    for _ in range(calls):
        await router.agenerate("hello")


async def gathered(router: LLMRouter, calls: int) -> None:
    """Await all calls together."""
    await asyncio.gather(*(router.agenerate("hello") for _ in range(calls)))


async def blocking(router: LLMRouter, calls: int) -> None:
    """Make each call synchronously."""
    for _ in range(calls):
        router.generate("hello")


async def measure(
    work: Callable[[LLMRouter, int], Awaitable[None]], calls: int, repetitions: int
) -> tuple[float, float, float]:
    """Return the median, the least and the most microseconds per call."""
    router = LLMRouter("mock", fallback_enabled=False, config=LLMConfig())
    await work(router, calls)
    times = []
    for _ in range(repetitions):
        started = perf_counter()
        await work(router, calls)
        times.append((perf_counter() - started) / calls * 1e6)
    return median(times), min(times), max(times)


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000, help="calls per repetition (default: %(default)s)")
    parser.add_argument("--repetitions", type=int, default=15, help="default: %(default)s")
    given = parser.parse_args()

    print(f"{given.calls} calls, {given.repetitions} repetitions, Python {platform.python_version()}")
    print(f"{'µs per call':<24}{'median':>9}{'min':>9}{'max':>9}")
    rows: list[tuple[str, Callable[[LLMRouter, int], Awaitable[None]]]] = [
        ("awaited one by one", one_by_one),
        ("in one gather", gathered),
        ("synchronous", blocking),
    ]
    for name, work in rows:
        middle, least, most = await measure(work, given.calls, given.repetitions)
        print(f"{name:<24}{middle:>9.1f}{least:>9.1f}{most:>9.1f}")


if __name__ == "__main__":
    asyncio.run(main())
