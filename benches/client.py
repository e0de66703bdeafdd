"""The handle of a process that makes calls: one for each library, told what to do line by line."""

from __future__ import annotations

import json
import select
import signal
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benches.task import Figures, Task
    from benches.upstream import Gauge

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
    """Such a process. It is stopped while it has nothing to do: what it does later is no other one's time."""

    def __init__(self, library: str, python: str, gauge: Gauge, core: int, cache: str) -> None:
        command = [python, "-m", "benches.worker", library, str(gauge.port), str(gauge.pid), str(core), cache]
        self.process = subprocess.Popen(  # noqa: S603  # a file beside this one
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
        self.process.send_signal(signal.SIGCONT)
        try:
            print(json.dumps({"task": asdict(task), "seconds": seconds}), file=self.process.stdin, flush=True)
        except BrokenPipeError:
            raise ClientError(f"the process has ended with {self.process.wait()}") from None
        figures: Figures = self._told()
        return figures

    def has_ended(self) -> bool:
        """Whether the process is no more."""
        return self.process.poll() is not None

    def close(self) -> None:
        """End the process; how it ends is its own affair."""
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _told(self) -> Any:
        output = self.process.stdout
        if output is None or not select.select([output], [], [], PATIENCE)[0]:
            self.process.kill()
            self.process.wait()
            raise ClientError(f"no answer within {PATIENCE} s")
        line = output.readline()
        if not line:
            raise ClientError(f"the process has ended with {self.process.wait()}")
        self.process.send_signal(signal.SIGSTOP)
        told = json.loads(line)
        if "error" in told:
            raise ClientError(told["error"])
        return told
