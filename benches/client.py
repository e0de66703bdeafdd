"""The process that makes the calls: one for each library, pinned to the first core, told what to do line by line."""

from __future__ import annotations

import asyncio
import json
import os
import select
import subprocess
import sys
import traceback
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from benches import cached, callers, measure, workload
from benches.callers.base import BlockingCaller
from benches.machine import pin, raise_file_limit
from benches.task import Figures, Task
from benches.upstream import Gauge

if TYPE_CHECKING:
    from benches.callers.base import Caller

ROOT = Path(__file__).parent.parent
PATIENCE = 120
"""Seconds after which a client is taken to hang."""


class ClientError(Exception):
    """The client cannot do what it was told, in its own words."""


@dataclass(frozen=True, slots=True)
class Ready:
    """What a client can do."""

    versions: dict[str, str]
    dialects: tuple[str, ...]
    blocking: bool
    cache: bool

    def can(self, task: Task) -> bool:
        """Whether it can do `task`."""
        if task.kind in {"memory_hit", "disk_hit", "fill_disk"}:
            return self.cache
        return task.dialect in self.dialects and (self.blocking or task.kind != "blocking")


class Client:
    """The handle of such a process."""

    def __init__(self, library: str, python: str, gauge: Gauge, core: int, cache: str) -> None:
        command = [python, "-m", "benches.client", library, str(gauge.port), str(gauge.pid), str(core), cache]
        self.process = subprocess.Popen(  # noqa: S603  # this very file
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        try:
            told = self._told()
        except ClientError:
            self.close()
            raise
        self.ready = Ready(told["versions"], tuple(told["dialects"]), told["blocking"], told["cache"])

    def measure(self, task: Task, seconds: float) -> Figures:
        """Have it do `task`, and return its figures."""
        if self.process.stdin is None:
            raise ClientError("there is nothing to write to")
        self.process.stdin.write(json.dumps({"task": asdict(task), "seconds": seconds}) + "\n")
        self.process.stdin.flush()
        figures: Figures = self._told()
        return figures

    def has_ended(self) -> bool:
        """Whether the process is no more."""
        return self.process.poll() is not None

    def close(self) -> None:
        """End the process; how it ends is its own affair."""
        self.process.communicate()

    def _told(self) -> Any:
        output = self.process.stdout
        if output is None or not select.select([output], [], [], PATIENCE)[0]:
            self.process.kill()
            self.process.wait()
            raise ClientError(f"no answer within {PATIENCE} s")
        line = output.readline()
        if not line:
            raise ClientError(f"the process has ended with {self.process.wait()}")
        told = json.loads(line)
        if "error" in told:
            raise ClientError(told["error"])
        return told


class Worker:
    """The other side: makes the calls."""

    def __init__(self, library: str, gauge: Gauge, cache: str) -> None:
        self.library, self.gauge, self.cache = library, gauge, cache
        self.source = workload.prompts()
        self.callers: dict[str, Caller] = {}

    async def start(self) -> dict[str, Any]:
        """Import the library, connect, and tell what can be done."""
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
        """Do `task`."""
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

        return Ours("openai", self.gauge.port, {"cache_enabled": True, "cache_dir": self.cache})


def _has_cache() -> bool:
    from benches.callers.ours import HAS_CACHE

    return HAS_CACHE


async def work(worker: Worker, output: TextIO) -> None:
    """Do as each line says, until there are no more."""

    def tell(answer: object) -> None:
        print(json.dumps(answer), file=output, flush=True)

    try:
        tell(await worker.start())
    except Exception as error:  # noqa: BLE001  # whatever a library raises is the result
        tell({"error": _in_words(error)})
        return
    while line := await asyncio.to_thread(sys.stdin.readline):
        order = json.loads(line)
        try:
            tell(await worker.measure(Task(**order["task"]), order["seconds"]))
        except Exception as error:  # noqa: BLE001  # whatever a library raises is the result
            traceback.print_exc()
            tell({"error": _in_words(error)})


def _in_words(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def main() -> None:
    """Work."""
    library, port, pid, core, cache = sys.argv[1:]
    # Before anything is imported that counts cores.
    pin(int(core))
    raise_file_limit()
    # Libraries may print what they like: the answers have an output of their own.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as output:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        asyncio.run(work(Worker(library, Gauge(int(port), int(pid)), cache), output))


if __name__ == "__main__":
    main()
