"""The process that makes the calls of one library, pinned to the first core; `client.py` is its handle."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import traceback
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TextIO

from benches import cached, callers, measure, workload
from benches.callers.base import BlockingCaller
from benches.machine import pin, raise_file_limit
from benches.task import Figures, Task
from benches.upstream import Gauge

if TYPE_CHECKING:
    from benches.callers.base import Caller


class Worker:
    """Makes the calls."""

    def __init__(self, library: str, gauge: Gauge, cache: str) -> None:
        self.library, self.gauge, self.cache = library, gauge, cache
        self.source = workload.prompts()
        self.callers: dict[str, Caller] = {}

    async def start(self) -> dict[str, Any]:
        """Import the library, connect, and return its capabilities."""
        library = callers.load(self.library)
        for dialect in library.dialects:
            self.callers[dialect] = await library.connect(dialect, self.gauge.port)
        return {
            "versions": {package: version(package) for package in library.packages},
            "dialects": library.dialects,
            "blocking": all(isinstance(caller, BlockingCaller) for caller in self.callers.values()),
            "cache": self.library == "madspark" and _has_cache(),
        }

    async def measure(self, task: Task, seconds: float) -> Figures:
        """Run `task`."""
        caller = self.callers[task.dialect]
        match task.kind:
            case "one_by_one":
                return await measure.one_by_one(measure.call_of(caller, task.shape), self.source, seconds)
            case "blocking" if isinstance(caller, BlockingCaller):
                call = measure.blocking_call_of(caller, task.shape)
                return await asyncio.to_thread(measure.blocking, call, self.source, seconds)
            case "in_flight":
                call_ = measure.call_of(caller, task.shape)
                return await measure.in_flight(call_, self.source, self.gauge, task.in_flight, seconds)
            case "streams":
                return await measure.streams(caller, task.model, self.source, task.in_flight, seconds)
            case "construct":
                return await measure.construct(caller, seconds)
            case "memory_hit":
                return await cached.memory_hit(self._with_cache(), task.shape, self.gauge, seconds)
            case "fill_disk":
                return await cached.fill_disk(self._with_cache(), task.shape)
            case "disk_hit":
                return await cached.disk_hit(self._with_cache(), task.shape, self.gauge)
        raise ValueError(f"{self.library} cannot do {task}")

    def _with_cache(self) -> Caller:
        from benches.callers.ours import Ours

        # Answers at temperature 0 are cached.
        cache = {"cache_enabled": True, "cache_dir": self.cache, "default_temperature": 0.0}
        return Ours("openai", self.gauge.port, cache)


def _has_cache() -> bool:
    from benches.callers.ours import HAS_CACHE

    return HAS_CACHE


async def work(worker: Worker, output: TextIO) -> None:
    """Run the task of each input line."""

    def reply(answer: object) -> None:
        print(json.dumps(answer), file=output, flush=True)

    try:
        reply(await worker.start())
    except Exception as error:  # noqa: BLE001  # whatever a library raises is the result
        reply({"error": _describe(error)})
        return
    while line := await asyncio.to_thread(sys.stdin.readline):
        order = json.loads(line)
        try:
            reply(await worker.measure(Task(**order["task"]), order["seconds"]))
        except Exception as error:  # noqa: BLE001  # whatever a library raises is the result
            traceback.print_exc()
            reply({"error": _describe(error)})


def _describe(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def main() -> None:
    """Run the worker."""
    library, port, pid, core, cache = sys.argv[1:]
    # Before anything is imported that counts cores.
    pin(int(core))
    raise_file_limit()
    # Libraries may print to stdout: answers use a separate descriptor.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as output:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        asyncio.run(work(Worker(library, Gauge(int(port), int(pid)), cache), output))


if __name__ == "__main__":
    main()
