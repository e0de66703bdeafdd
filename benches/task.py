"""The tasks of a turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from benches import workload

Kind = Literal["one_by_one", "blocking", "in_flight", "streams", "construct", "memory_hit", "fill_disk", "disk_hit"]
Figures = dict[str, float]
"""The figures of one task. Lower is better for `…_us`, higher for all others."""

IN_FLIGHT: Final = 64
"""The default number of calls in flight."""
STREAMS: Final = 16
"""The number of concurrent streams whose chunks arrive one by one."""
LEVELS: Final = (1, 8, 64, 256, 1000)


@dataclass(frozen=True, slots=True)
class Task:
    """One measurement, run by each client in turn."""

    kind: Kind
    dialect: str = "openai"
    shape: Literal["plain", "structured"] = "plain"
    in_flight: int = 0
    model: str = workload.ANSWER_MODEL
    rare: bool = False
    """Whether the task is long and runs only in some turns."""

    def __str__(self) -> str:
        level = f" {self.in_flight}" if self.in_flight else ""
        model = f" {self.model}" if self.kind == "streams" else ""
        return f"{self.kind}{level}{model} {self.dialect} {self.shape}"


def all_tasks() -> list[Task]:
    """Return the tasks of a turn, in their order."""
    tasks = [Task("construct")]
    for dialect in workload.DIALECTS:
        tasks += [
            Task("one_by_one", dialect),
            Task("one_by_one", dialect, "structured"),
            Task("in_flight", dialect, in_flight=IN_FLIGHT),
            Task("in_flight", dialect, "structured", in_flight=IN_FLIGHT),
            Task("blocking", dialect),
            Task("blocking", dialect, "structured"),
            Task("streams", dialect, in_flight=1, model=workload.BURST_MODEL),
            Task("streams", dialect, in_flight=STREAMS, model=workload.SINGLE_MODEL, rare=True),
        ]
    tasks += [Task("memory_hit"), Task("memory_hit", shape="structured")]
    tasks += [Task("disk_hit", rare=True), Task("disk_hit", shape="structured", rare=True)]
    tasks += [Task("in_flight", in_flight=level, rare=True) for level in LEVELS if level != IN_FLIGHT]
    return tasks
