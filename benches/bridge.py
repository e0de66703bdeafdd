"""Measures the overhead of a call between Python and the core, with the mock provider: no HTTP, no model.

Prints the median of several repetitions in microseconds per call: awaited one after another, together in one
`asyncio.gather`, and synchronously.
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
    """Return the median, minimum and maximum of microseconds per call."""
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
    options = parser.parse_args()

    print(f"{options.calls} calls, {options.repetitions} repetitions, Python {platform.python_version()}")
    print(f"{'µs per call':<24}{'median':>9}{'min':>9}{'max':>9}")
    rows: list[tuple[str, Callable[[LLMRouter, int], Awaitable[None]]]] = [
        ("awaited one by one", one_by_one),
        ("in one gather", gathered),
        ("synchronous", blocking),
    ]
    for name, work in rows:
        middle, low, high = await measure(work, options.calls, options.repetitions)
        print(f"{name:<24}{middle:>9.1f}{low:>9.1f}{high:>9.1f}")


if __name__ == "__main__":
    asyncio.run(main())
