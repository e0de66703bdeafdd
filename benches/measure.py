"""The measurements. Each returns the figures of one turn, for this process with all its threads."""

from __future__ import annotations

import asyncio
from statistics import median, quantiles
from time import perf_counter, process_time
from typing import TYPE_CHECKING

from benches import workload
from benches.workload import ANSWER, ANSWER_MODEL, check

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from benches.callers.base import BlockingCaller, Caller
    from benches.task import Figures
    from benches.upstream import Gauge

    Call = Callable[[str], Awaitable[None]]

TITLE = "Moss walls"


def call_of(caller: Caller, shape: str) -> Call:
    """Return a function that makes one call and checks its answer."""

    async def plain(prompt: str) -> None:
        check(await caller.text(ANSWER_MODEL, prompt) == ANSWER)

    async def structured(prompt: str) -> None:
        check((await caller.idea(ANSWER_MODEL, prompt)).title == TITLE)

    return plain if shape == "plain" else structured


def blocking_call_of(caller: BlockingCaller, shape: str) -> Callable[[str], None]:
    """Return a function that makes one synchronous call and checks its answer."""

    def plain(prompt: str) -> None:
        check(caller.text_now(ANSWER_MODEL, prompt) == ANSWER)

    def structured(prompt: str) -> None:
        check(caller.idea_now(ANSWER_MODEL, prompt).title == TITLE)

    return plain if shape == "plain" else structured


async def one_by_one(call: Call, source: Iterator[str], seconds: float) -> Figures:
    """Await each call before the next one."""
    await call(next(source))
    times: list[float] = []
    used, until = process_time(), perf_counter() + seconds
    for prompt in source:
        started = perf_counter()
        await call(prompt)
        ended = perf_counter()
        times.append(ended - started)
        if ended >= until:
            break
    return {"p50_us": median(times) * 1e6, "cpu_us": (process_time() - used) / len(times) * 1e6}


def blocking(call: Callable[[str], None], source: Iterator[str], seconds: float) -> Figures:
    """Make each call synchronously."""
    call(next(source))
    times: list[float] = []
    used, until = process_time(), perf_counter() + seconds
    for prompt in source:
        started = perf_counter()
        call(prompt)
        ended = perf_counter()
        times.append(ended - started)
        if ended >= until:
            break
    return {"p50_us": median(times) * 1e6, "cpu_us": (process_time() - used) / len(times) * 1e6}


async def in_flight(call: Call, source: Iterator[str], gauge: Gauge, level: int, seconds: float) -> Figures:
    """Keep `level` calls in flight; `upstream_busy` near 1 means that the upstream was the bottleneck."""
    # Opens all connections beforehand.
    await asyncio.gather(*(call(next(source)) for _ in range(level)))
    times: list[float] = []
    used_above, used, began = gauge.used(), process_time(), perf_counter()
    until = began + seconds

    async def keep_calling() -> None:
        while True:
            started = perf_counter()
            await call(next(source))
            ended = perf_counter()
            times.append(ended - started)
            if ended >= until:
                return

    await asyncio.gather(*(keep_calling() for _ in range(level)))
    used, took = process_time() - used, perf_counter() - began
    return {
        "calls_per_s": len(times) / took,
        "cpu_us": used / len(times) * 1e6,
        "p99_us": quantiles(times, n=100, method="inclusive")[-1] * 1e6 if len(times) > 1 else times[0] * 1e6,
        "upstream_busy": (gauge.used() - used_above) / took,
    }


async def streams(caller: Caller, model: str, source: Iterator[str], level: int, seconds: float) -> Figures:
    """Read `level` streams at a time to their ends; `pieces` is the number of pieces yielded per chunk sent."""
    words = workload.STORIES[model]
    story, chunks, pieces = "".join(words), 0, 0

    async def take_one() -> int:
        received = [piece async for piece in caller.pieces(model, next(source))]
        check("".join(received) == story)
        return len(received)

    # Opens all connections beforehand.
    await asyncio.gather(*(caller.text(ANSWER_MODEL, next(source)) for _ in range(level)))
    used, began = process_time(), perf_counter()
    while perf_counter() - began < seconds or not chunks:
        pieces += sum(await asyncio.gather(*(take_one() for _ in range(level))))
        chunks += level * len(words)
    used, took = process_time() - used, perf_counter() - began
    return {"chunk_us": took / chunks * 1e6, "cpu_us": used / chunks * 1e6, "pieces": pieces / chunks}


async def construct(caller: Caller, seconds: float) -> Figures:
    """Construct clients without using them."""
    times: list[float] = []
    until = perf_counter() + seconds
    while (started := perf_counter()) < until or not times:
        await caller.construct()
        times.append(perf_counter() - started)
    return {"p50_us": median(times) * 1e6}
