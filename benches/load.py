"""Many workflows at once, each through a router of its own with choices of its own, against failing providers.

Every router's figures are compared with what the wire saw of its workflow: requests by provider, tokens, keys, models,
and whose words. The resident memory is watched. Ends with 1 where anything is wrong.
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
from benches.load_books import FAULTS, Books, Choice, Entry, as_told
from benches.soak import resident_kb
from madspark import AsyncCoordinator, MadsparkError
from madspark.testing import Simulator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from madspark import TierName
    from madspark.llm.router import LLMRouter

GROUP = 100
"""Workflows after which the next simulator takes over, and the books of the last one are settled."""
ROUND = 1000
"""Workflows after which all of them are let end, so that the memory can be sampled with no record in it."""
GROWTH = 1.1
"""How much larger the memory of the last third may be than that of the middle one."""
SAMPLES_NEEDED = 9
"""Fewer tell nothing of growth: pools, tables and caches still fill."""
SHORT, LONG = 0.002, 0.02
"""Seconds within which an impatient sender leaves."""
RUN_TIMEOUT = 300.0
"""Seconds for a run; so many that none ends by it."""
PATIENCE = 30.0
"""Seconds until a request that nobody waits for any more must be over."""
MOST_TOLD = 20


class Group:
    """The workflows that one simulator answers until its books are settled."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.entries: list[Entry] = []
        self.begun = self.under_way = 0
        self.closed = False


class Load:
    """Keeps so many workflows under way, and settles the books of each group when its last one has ended."""

    def __init__(self, simulators: Sequence[Simulator], folder: str, seed: int) -> None:
        self._idle = list(simulators)
        self._folder = folder
        self._dice = random.Random(seed)  # noqa: S311  # choices that can be repeated
        self._group = Group(self._idle.pop())
        self._settling: set[asyncio.Task[None]] = set()
        self.books = Books()
        self.outcomes: Counter[str] = Counter()
        self.memory: list[float] = []
        self.workflows = self.under_way = self.most_under_way = 0

    async def work(self, at_once: int, runs: int | None, seconds: float | None) -> None:
        """Run workflows until there were `runs` of them, or `seconds` have passed."""
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
            give_back()
            self.memory.append(resident_kb())
            self._group = Group(self._idle.pop())

    async def _run_one(self) -> None:
        choice = Choice.drawn(self.workflows, self._dice)
        patience = self._dice.uniform(SHORT, LONG)
        self.workflows += 1
        if self._group.begun >= GROUP and self._idle:
            full, self._group = self._group, Group(self._idle.pop())
            self._close(full)
        group = self._group
        group.begun += 1
        group.under_way += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self._workflow(group, choice, patience)
        finally:
            self.under_way -= 1
            group.under_way -= 1
            self._settle_if_done(group)

    async def _workflow(self, group: Group, choice: Choice, patience: float) -> None:
        if choice.fault is not None:
            group.simulator.on(contains=choice.tag, times=choice.fault_times, **FAULTS[choice.fault])
        router = choice.router(group.simulator, self._folder)
        first = await self._run(choice, router, patience if choice.impatient else None)
        group.entries.append(first)
        if not choice.cache or choice.fault is not None or first.outcome != "ok":
            return
        # The same question again, and then of another tier: the first answer is for the first alone. What a stream
        # wrote is not kept, so a fanout writes its ideas anew.
        pinned = choice.provider != "auto" and not choice.fallback
        if pinned and choice.mode == "batch":
            again = await self._run(choice, choice.router(group.simulator, self._folder), None)
            again.recalled = True
            group.entries.append(again)
            if again.told != first.told:
                self.books.wrong.append(f"workflow {choice.number}: the cache gave another answer")
        if choice.provider == "ollama" and not choice.fallback:
            tier: TierName = "balanced" if choice.tier == "fast" else "fast"
            other = await self._run(choice, choice.router(group.simulator, self._folder, tier), None, tier)
            group.entries.append(other)
            if other.router.get_metrics()["cache_hits"]:
                self.books.wrong.append(f"workflow {choice.number}: one tier was given another tier's answer")

    async def _run(self, choice: Choice, router: LLMRouter, patience: float | None, tier: str | None = None) -> Entry:
        entry = Entry(choice, router, tier or choice.tier, "ok")
        run = AsyncCoordinator(router=router).run(
            f"{choice.tag} for hot bus stops",
            f"{choice.tag} with little money",
            mode=choice.mode,
            enhanced_reasoning=choice.enhanced,
            timeout=RUN_TIMEOUT,
        )
        try:
            result = await asyncio.wait_for(run, patience)
        except MadsparkError as error:
            entry.outcome = type(error).__name__
        except TimeoutError:
            entry.outcome = "left"
        else:
            entry.outcome, entry.told = result.status, as_told(result.to_dicts())
        self.outcomes[entry.outcome] += 1
        return entry

    def _close(self, group: Group) -> None:
        group.closed = True
        self._settle_if_done(group)

    def _settle_if_done(self, group: Group) -> None:
        if group.closed and group.under_way == 0:
            task = asyncio.get_running_loop().create_task(self._settle(group))
            self._settling.add(task)
            task.add_done_callback(self._settled)

    def _settled(self, task: asyncio.Task[None]) -> None:
        # A failure stays, to be raised at the end.
        if not task.cancelled() and task.exception() is None:
            self._settling.discard(task)

    async def _settle(self, group: Group) -> None:
        async with asyncio.timeout(PATIENCE):
            # The last ones that left have yet to be noticed.
            while group.simulator.in_flight:  # noqa: ASYNC110  # the simulator has a thread of its own
                await asyncio.sleep(0.01)
        await asyncio.to_thread(self.books.settle, group.simulator, group.entries)
        group.simulator.clear()
        group.entries.clear()
        self._idle.append(group.simulator)


def give_back() -> None:
    """Have the allocator return what is free, where it can: three simulators' records came and went in this process."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def grown(memory: Sequence[float]) -> float | None:
    """Return the memory of the last third over that of the middle one; None where the samples are too few."""
    if len(memory) < SAMPLES_NEEDED:
        return None
    third = len(memory) // 3
    middle, last = memory[third : 2 * third], memory[-third:]
    return (sum(last) / len(last)) / (sum(middle) / len(middle))


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benches.load", description=__doc__)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, default=5.0, help="how long (default: %(default)s)")
    length.add_argument("--runs", type=int, help="so many workflows, however long they take")
    parser.add_argument("--at-once", type=int, default=120, help="workflows under way (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="of every choice (default: %(default)s)")
    return parser.parse_args()


def report(load: Load, at_once: int) -> list[str]:
    """Print what was done, and return what is wrong."""
    books, wrong = load.books, list(load.books.wrong)
    told = ", ".join(f"{outcome} {count}" for outcome, count in load.outcomes.most_common())
    print(f"{load.workflows} workflows, at most {load.most_under_way} at once: {told}")
    print(f"{books.requests} requests on the wire, each of one workflow, by {books.routers} routers")
    print(
        f"{books.unread} more were given up before the wire saw them; {books.hits} calls were answered from the cache"
    )
    print(f"{books.tokens} tokens by {books.counted} routers, counted again at the wire")
    print(
        f"memory: {load.memory[0] / 1024:.0f} MB after the first round, {load.memory[-1] / 1024:.0f} MB after the last"
    )
    growth = grown(load.memory)
    if growth is not None:
        print(f"the last third of the samples is {growth:.2f} times the middle one; the bound is {GROWTH}")
        if growth > GROWTH:
            wrong.append(f"memory has grown {growth:.2f} times")
    if load.most_under_way < min(at_once, load.workflows):
        wrong.append(f"no more than {load.most_under_way} workflows were under way at once")
    return wrong


def main() -> None:
    """Run, compare, print, and judge."""
    given = arguments()
    machine.raise_file_limit()
    with ExitStack() as stack:
        simulators = [stack.enter_context(Simulator()) for _ in range(3)]
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="load-"))
        load = Load(simulators, folder, given.seed)
        asyncio.run(load.work(given.at_once, given.runs, None if given.runs else given.minutes * 60))
        wrong = report(load, given.at_once)
    for what in wrong[:MOST_TOLD]:
        print(f"wrong: {what}")
    if wrong:
        raise SystemExit(f"{len(wrong)} figures are wrong")
    print("every router's figures are the wire's")


if __name__ == "__main__":
    main()
