"""Many concurrent workflows, each with its own router and settings, against failing providers.

Compares every router's metrics with the requests that the simulators recorded for its workflow: requests by provider,
tokens, keys, models, and the workflow's unique word. Watches resident memory. Exits with 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import random
import tempfile
from collections import Counter
from contextlib import ExitStack
from time import monotonic
from typing import TYPE_CHECKING

from benches import machine
from benches.load_accounting import FAULTS, Accounting, Choice, Entry, as_json
from benches.soak import resident_kb
from madspark import AsyncCoordinator, MadsparkError
from madspark.testing import Simulator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from madspark import TierName
    from madspark.llm.router import LLMRouter

GROUP = 100
"""Workflows per simulator; then the next simulator takes over and the last one's requests are checked."""
ROUND = 1000
"""Workflows per round; at its end none is running, and memory is sampled without recorded requests."""
GROWTH = 1.1
"""Upper bound of the memory of the last third of the samples over that of the middle third."""
SAMPLES_NEEDED = 9
"""Fewer samples say nothing about growth: pools, tables and caches are still filling."""
SHORT, LONG = 0.002, 0.02
"""Seconds after which an impatient caller cancels, drawn uniformly."""
RUN_TIMEOUT = 300.0
"""Timeout of a run in seconds; none should reach it."""
CANCEL_TIMEOUT = 30.0
"""Seconds within which cancelled requests must have ended."""
MAX_PROBLEMS_SHOWN = 20


class Group:
    """The workflows that one simulator answers until its requests are checked."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.entries: list[Entry] = []
        self.started = self.running = 0
        self.closed = False


class Load:
    """Keeps a number of workflows running, and checks each group when its last workflow has ended."""

    def __init__(self, simulators: Sequence[Simulator], folder: str, seed: int) -> None:
        self._idle = list(simulators)
        self._folder = folder
        self._dice = random.Random(seed)  # noqa: S311  # repeatable choices
        self._group = Group(self._idle.pop())
        self._settling: set[asyncio.Task[None]] = set()
        self.accounting = Accounting()
        self.outcomes: Counter[str] = Counter()
        self.memory: list[float] = []
        self.workflows = self.running = self.max_running = 0

    async def work(self, at_once: int, runs: int | None, seconds: float | None) -> None:
        """Run workflows until `runs` have run or `seconds` have passed."""
        until = None if seconds is None else monotonic() + seconds

        def is_over() -> bool:
            return (runs is not None and self.workflows >= runs) or (until is not None and monotonic() >= until)

        async def keep_running(last: int) -> None:
            while self.workflows < last and not is_over():
                await self._run_one()

        while not is_over():
            async with asyncio.TaskGroup() as group:
                for _ in range(at_once):
                    group.create_task(keep_running(self.workflows + ROUND))
            self._close(self._group)
            await asyncio.gather(*self._settling)
            release_memory()
            self.memory.append(resident_kb())
            self._group = Group(self._idle.pop())

    async def _run_one(self) -> None:
        choice = Choice.generate(self.workflows, self._dice)
        cancel_after = self._dice.uniform(SHORT, LONG)
        self.workflows += 1
        if self._group.started >= GROUP and self._idle:
            full, self._group = self._group, Group(self._idle.pop())
            self._close(full)
        group = self._group
        group.started += 1
        group.running += 1
        self.running += 1
        self.max_running = max(self.max_running, self.running)
        try:
            await self._workflow(group, choice, cancel_after)
        finally:
            self.running -= 1
            group.running -= 1
            self._settle_if_done(group)

    async def _workflow(self, group: Group, choice: Choice, cancel_after: float) -> None:
        if choice.fault is not None:
            group.simulator.on(contains=choice.tag, times=choice.fault_times, **FAULTS[choice.fault])
        router = choice.router(group.simulator, self._folder)
        first = await self._run(choice, router, cancel_after if choice.impatient else None)
        group.entries.append(first)
        if not choice.cache or choice.fault is not None or first.outcome != "ok":
            return
        # The same request again must be a hit, the same request of another tier must not.
        pinned = choice.provider != "auto" and not choice.fallback
        if pinned:
            again = await self._run(choice, choice.router(group.simulator, self._folder), None)
            again.is_repeat = True
            group.entries.append(again)
            if again.results != first.results:
                self.accounting.problems.append(f"workflow {choice.number}: the cache returned another answer")
        if choice.provider == "ollama" and not choice.fallback:
            tier: TierName = "balanced" if choice.tier == "fast" else "fast"
            other = await self._run(choice, choice.router(group.simulator, self._folder, tier), None, tier)
            group.entries.append(other)
            if other.router.get_metrics()["cache_hits"]:
                self.accounting.problems.append(
                    f"workflow {choice.number}: one tier received another tier's cached answer"
                )

    async def _run(
        self, choice: Choice, router: LLMRouter, cancel_after: float | None, tier: str | None = None
    ) -> Entry:
        entry = Entry(choice, router, tier or choice.tier, "ok")
        run = AsyncCoordinator(router=router).run(
            f"{choice.tag} for hot bus stops",
            f"{choice.tag} with little money",
            mode=choice.mode,
            enhanced_reasoning=choice.enhanced,
            timeout=RUN_TIMEOUT,
            use_cache=choice.cache,
        )
        try:
            result = await asyncio.wait_for(run, cancel_after)
        except MadsparkError as error:
            entry.outcome = type(error).__name__
        except TimeoutError:
            entry.outcome = "left"
        else:
            entry.outcome, entry.results = result.status, as_json(result.to_dicts())
        self.outcomes[entry.outcome] += 1
        return entry

    def _close(self, group: Group) -> None:
        group.closed = True
        self._settle_if_done(group)

    def _settle_if_done(self, group: Group) -> None:
        if group.closed and group.running == 0:
            task = asyncio.get_running_loop().create_task(self._settle(group))
            self._settling.add(task)
            task.add_done_callback(self._settled)

    def _settled(self, task: asyncio.Task[None]) -> None:
        # A failed task stays, so that `gather` raises its error.
        if not task.cancelled() and task.exception() is None:
            self._settling.discard(task)

    async def _settle(self, group: Group) -> None:
        async with asyncio.timeout(CANCEL_TIMEOUT):
            # The server notices the last cancelled requests with a delay.
            while group.simulator.in_flight:  # noqa: ASYNC110  # the simulator runs on its own thread
                await asyncio.sleep(0.01)
        await asyncio.to_thread(self.accounting.check, group.simulator, group.entries)
        group.simulator.clear()
        group.entries.clear()
        self._idle.append(group.simulator)


def release_memory() -> None:
    """Return free memory to the system, if the allocator can: this process held the records of three simulators."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def grown(memory: Sequence[float]) -> float | None:
    """Return the memory of the last third over that of the middle third; None with too few samples."""
    if len(memory) < SAMPLES_NEEDED:
        return None
    third = len(memory) // 3
    middle, last = memory[third : 2 * third], memory[-third:]
    return (sum(last) / len(last)) / (sum(middle) / len(middle))


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benches.load", description=__doc__)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, default=5.0, help="duration (default: %(default)s)")
    length.add_argument("--runs", type=int, help="number of workflows, instead of a duration")
    parser.add_argument("--at-once", type=int, default=120, help="concurrent workflows (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="seed of all choices (default: %(default)s)")
    return parser.parse_args()


def report(load: Load, at_once: int) -> list[str]:
    """Print the figures and return the problems."""
    accounting, problems = load.accounting, list(load.accounting.problems)
    outcomes = ", ".join(f"{outcome} {count}" for outcome, count in load.outcomes.most_common())
    print(f"{load.workflows} workflows, at most {load.max_running} at once: {outcomes}")
    print(f"{accounting.requests} requests on the wire, each of one workflow, by {accounting.routers} routers")
    print(
        f"{accounting.unread} more were cancelled before the server read them; "
        f"{accounting.hits} calls were answered from the cache"
    )
    print(f"{accounting.tokens} tokens by {accounting.counted} routers, counted again at the wire")
    print(
        f"memory: {load.memory[0] / 1024:.0f} MB after the first round, {load.memory[-1] / 1024:.0f} MB after the last"
    )
    growth = grown(load.memory)
    if growth is not None:
        print(f"the last third of the samples is {growth:.2f} times the middle one; the bound is {GROWTH}")
        if growth > GROWTH:
            problems.append(f"memory has grown {growth:.2f} times")
    if load.max_running < min(at_once, load.workflows):
        problems.append(f"no more than {load.max_running} workflows ran at once")
    return problems


def main() -> None:
    """Run the load test."""
    options = arguments()
    machine.raise_file_limit()
    with ExitStack() as stack:
        simulators = [stack.enter_context(Simulator()) for _ in range(3)]
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="load-"))
        load = Load(simulators, folder, options.seed)
        asyncio.run(load.work(options.at_once, options.runs, None if options.runs else options.minutes * 60))
        problems = report(load, options.at_once)
    for problem in problems[:MAX_PROBLEMS_SHOWN]:
        print(f"problem: {problem}")
    if problems:
        raise SystemExit(f"{len(problems)} problems")
    print("the metrics of every router match the wire")


if __name__ == "__main__":
    main()
