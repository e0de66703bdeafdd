"""Measures memory growth: the slope of the resident memory of a process that makes many calls of every kind.

Exits with 1 if the slope is at least 1 KB per 1000 calls.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import os
import random
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import create_model

from benches import machine, workload
from benches.callers.ours import HAS_CACHE, Ours
from benches.upstream import Gauge, Upstream
from benches.workload import (
    ANSWER,
    ANSWER_MODEL,
    FAILING_MODEL,
    MISFIT_MODEL,
    REFUSED_MODEL,
    SILENT_MODEL,
    SINGLE_MODEL,
    Idea,
    check,
)
from madspark.llm import LLMProviderError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence


IN_FLIGHT = 64
BOUND = 1.0
"""The maximum slope in KB per 1000 calls."""
WARM_UP = 1.0
"""Calls before the first sample, relative to all others: pools fill, and caches reach their limits."""


class Mix:
    """The kinds of calls of a server."""

    def __init__(self, callers: Sequence[Ours]) -> None:
        self.callers = callers
        self.prompts, self.numbers = workload.prompts(), itertools.count()
        self.failing = [caller.build(FAILING_MODEL, max_attempts=1) for caller in callers]
        self.refused = [caller.build(REFUSED_MODEL) for caller in callers]
        self.misfit = [caller.build(MISFIT_MODEL, max_attempts=2) for caller in callers]
        self.silent = [caller.build(SILENT_MODEL) for caller in callers]

    async def plain(self, caller: Ours) -> None:
        """Request text."""
        check(await caller.text(ANSWER_MODEL, next(self.prompts)) == ANSWER)

    async def structured(self, caller: Ours) -> None:
        """Request structured output."""
        check((await caller.idea(ANSWER_MODEL, next(self.prompts))).reasons != [])

    async def renewed(self, caller: Ours) -> None:
        """Request text through a new router with a new key."""
        router = caller.build(ANSWER_MODEL, key=f"key-{next(self.numbers)}")
        text, _ = await router.agenerate(next(self.prompts))
        check(text == ANSWER and router.get_metrics()["total_requests"] == 1)

    async def new_schema(self, caller: Ours) -> None:
        """Request structured output with a schema created for this call."""
        schema = create_model(f"Idea{next(self.numbers)}", __base__=Idea)
        idea, _ = await caller.router(ANSWER_MODEL).agenerate_structured(next(self.prompts), schema)
        check(isinstance(idea, schema))

    async def failing_(self, caller: Ours) -> None:
        """Call a failing server; after some failures the breaker is open."""
        await _fails(self.failing[self.callers.index(caller)].agenerate(next(self.prompts)))

    async def refused_(self, caller: Ours) -> None:
        """Send a request that the server rejects."""
        await _fails(self.refused[self.callers.index(caller)].agenerate(next(self.prompts)))

    async def misfit_(self, caller: Ours) -> None:
        """Receive replies that do not match the schema."""
        await _fails(self.misfit[self.callers.index(caller)].agenerate_structured(next(self.prompts), Idea))

    async def cancelled(self, caller: Ours) -> None:
        """Cancel a call in flight."""
        router = self.silent[self.callers.index(caller)]
        try:
            await asyncio.wait_for(router.agenerate(next(self.prompts)), 0.01)
        except TimeoutError:
            return
        check(False)

    async def streamed(self, caller: Ours) -> None:
        """Read a stream to its end."""
        pieces = [piece async for piece in caller.pieces(SINGLE_MODEL, next(self.prompts))]
        check("".join(pieces) == "".join(workload.STORIES[SINGLE_MODEL]))

    async def left(self, caller: Ours) -> None:
        """Close a stream after its first piece."""
        async with caller.router(SINGLE_MODEL).astream(next(self.prompts)) as stream:
            check(bool(await anext(stream)))

    async def blocking(self, caller: Ours) -> None:
        """Request text synchronously on a thread."""
        check(await asyncio.to_thread(caller.text_now, ANSWER_MODEL, next(self.prompts)) == ANSWER)


KINDS: Final[dict[str, tuple[Callable[[Mix, Ours], Awaitable[None]], int]]] = {
    "plain": (Mix.plain, 8),
    "structured": (Mix.structured, 4),
    # Frequent enough that the warm-up fills the table of targets; each key is one.
    "renewed": (Mix.renewed, 6),
    "new_schema": (Mix.new_schema, 1),
    "failing": (Mix.failing_, 1),
    "refused": (Mix.refused_, 1),
    "misfit": (Mix.misfit_, 1),
    "cancelled": (Mix.cancelled, 1),
    "streamed": (Mix.streamed, 1),
    "left": (Mix.left, 1),
    "blocking": (Mix.blocking, 1),
}
"""Each kind of call and its weight; the weights add up to 26."""


async def _fails(call: Awaitable[object]) -> None:
    try:
        await call
    except LLMProviderError:
        return
    check(False)


def resident_kb() -> float:
    """Return the resident memory of this process after a garbage collection."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


def slope(samples: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """Return the least-squares slope of the samples, in KB per 1000 calls, and its standard error."""
    xs, ys = [calls / 1000 for calls, _ in samples], [kb for _, kb in samples]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    steep = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread
    off = sum((y - mean_y - steep * (x - mean_x)) ** 2 for x, y in zip(xs, ys, strict=True))
    return steep, (off / max(1, len(xs) - 2) / spread) ** 0.5


async def make_calls(mix: Mix, names: Iterable[str]) -> None:
    """Make the calls of the given kinds concurrently."""
    left = iter(names)

    async def keep_calling() -> None:
        for name in left:
            kind, _ = KINDS[name]
            await kind(mix, mix.callers[next(mix.numbers) % len(mix.callers)])

    await asyncio.gather(*(keep_calling() for _ in range(IN_FLIGHT)))


async def soak(mix: Mix, kinds: Sequence[str], calls: int, count: int) -> list[tuple[int, float]]:
    """Make the calls and return the samples: number of calls, resident memory."""
    dice = random.Random(calls)  # noqa: S311  # a repeatable order
    weights = [KINDS[name][1] for name in kinds]
    samples: list[tuple[int, float]] = []
    step = max(1, calls // count)
    for sample in range(-round(count * WARM_UP), count):
        await make_calls(mix, dice.choices(kinds, weights, k=step))
        if sample >= 0:
            samples.append(((sample + 1) * step, resident_kb()))
            if (sample + 1) % 10 == 0:
                print(f"{samples[-1][0]:>9} calls {samples[-1][1]:>10.0f} KB", flush=True)
    return samples


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benches.soak", description=__doc__)
    parser.add_argument(
        "--calls", type=int, default=200_000, help="number of calls after the warm-up (default: %(default)s)"
    )
    parser.add_argument("--samples", type=int, default=100, help="number of memory samples (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS), help="kinds of calls (default: all)")
    parser.add_argument("--cache", action="store_true", help="enable the cache, at most 1 MB")
    return parser.parse_args()


def main() -> None:
    """Measure, print and compare the slope with the bound."""
    options = arguments()
    if options.cache and not HAS_CACHE:
        raise SystemExit("error: this version has no cache")
    machine.raise_file_limit()
    with (
        Upstream(machine.cores()[-1]) as upstream,
        tempfile.TemporaryDirectory(prefix="soak-") if options.cache else nullcontext("") as directory,
    ):
        cache: dict[str, Any] | None = None
        if options.cache:
            cache = {
                "cache_enabled": True,
                "cache_dir": directory,
                "cache_max_size_mb": 1,
                "default_temperature": 0.0,
            }
        mix = Mix([Ours(dialect, upstream.port, cache) for dialect in workload.DIALECTS])
        samples = asyncio.run(soak(mix, options.only, options.calls, options.samples))
        reached = Gauge(upstream.port, upstream.process.pid).answered()
    steep, error = slope(samples)
    print(f"{reached} requests reached the upstream")
    print(f"{steep:+.3f} KB per 1000 calls (standard error {error:.3f}); the bound is {BOUND:g}")
    if steep >= BOUND:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
