"""The handle of a worker process, one per library, which receives tasks as lines of JSON."""

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
RESPONSE_TIMEOUT = 120
"""Seconds without an answer after which a worker counts as hung."""


class ClientError(Exception):
    """A worker failed; the message is its error."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The capabilities of a worker."""

    versions: dict[str, str]
    dialects: tuple[str, ...]
    blocking: bool
    cache: bool

    def can(self, task: Task) -> bool:
        """Return whether the library supports `task`."""
        if task.kind in {"memory_hit", "disk_hit", "fill_disk"}:
            return self.cache
        return task.dialect in self.dialects and (self.blocking or task.kind != "blocking")


class Client:
    """A worker process. It is suspended (SIGSTOP) while it has no task, so that it takes no time of another."""

    def __init__(self, library: str, python: str, gauge: Gauge, core: int, cache: str) -> None:
        command = [python, "-m", "benches.worker", library, str(gauge.port), str(gauge.pid), str(core), cache]
        self.process = subprocess.Popen(  # noqa: S603  # a module of this package
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        try:
            answer = self._receive()
        except ClientError:
            self.close()
            raise
        self.ready = Ready(answer["versions"], tuple(answer["dialects"]), answer["blocking"], answer["cache"])

    def measure(self, task: Task, seconds: float) -> Figures:
        """Run `task` and return its figures."""
        self.process.send_signal(signal.SIGCONT)
        try:
            print(json.dumps({"task": asdict(task), "seconds": seconds}), file=self.process.stdin, flush=True)
        except BrokenPipeError:
            raise ClientError(f"the process has ended with {self.process.wait()}") from None
        figures: Figures = self._receive()
        return figures

    def has_ended(self) -> bool:
        """Return whether the process has ended."""
        return self.process.poll() is not None

    def close(self) -> None:
        """End the process and ignore its exit code."""
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.communicate(timeout=RESPONSE_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _receive(self) -> Any:
        output = self.process.stdout
        if output is None or not select.select([output], [], [], RESPONSE_TIMEOUT)[0]:
            self.process.kill()
            self.process.wait()
            raise ClientError(f"no answer within {RESPONSE_TIMEOUT} s")
        line = output.readline()
        if not line:
            raise ClientError(f"the process has ended with {self.process.wait()}")
        self.process.send_signal(signal.SIGSTOP)
        answer = json.loads(line)
        if "error" in answer:
            raise ClientError(answer["error"])
        return answer
