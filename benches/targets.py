"""The performance targets of madspark, compared with a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benches import workload
from benches.table import number
from benches.task import IN_FLIGHT, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benches.run import Results

OURS = "madspark"
_CALLS = [
    Task("in_flight", dialect, shape, in_flight=IN_FLIGHT)
    for dialect in workload.DIALECTS
    for shape in ("plain", "structured")
]
_BURSTS = [Task("streams", dialect, in_flight=1, model=workload.BURST_MODEL) for dialect in workload.DIALECTS]
_MEMORY = [Task("memory_hit", shape=shape) for shape in ("plain", "structured")]
_DISK = [Task("disk_hit", shape=shape, rare=True) for shape in ("plain", "structured")]


@dataclass(frozen=True, slots=True)
class Target:
    """A target: the worst of some figures is within a bound."""

    promise: str
    figures: Callable[[Results], list[float]]
    bound: float
    at_least: bool
    unit: str = ""

    def check(self, results: Results) -> tuple[str, str, str]:
        """Return the target, the figure, and whether it was met."""
        found = self.figures(results)
        if not found:
            return self.promise, "", "not measured"
        worst = min(found) if self.at_least else max(found)
        kept = worst >= self.bound if self.at_least else worst <= self.bound
        each = ", ".join(number(value) for value in found)
        return self.promise, f"{number(worst)}{self.unit} (of {each})" if found[1:] else each, _word(kept)


def _word(kept: bool) -> str:
    return "met" if kept else "**not met**"


def _ours(tasks: Iterable[Task], figure: str) -> Callable[[Results], list[float]]:
    def found(results: Results) -> list[float]:
        rows = [results.best(task).get(OURS) for task in tasks]
        return [row[figure] for row in rows if row]

    return found


def _relative_to(peer: str) -> Callable[[Results], list[float]]:
    def found(results: Results) -> list[float]:
        ratios = []
        for task in _CALLS:
            best = results.best(task)
            if OURS in best and peer in best:
                ratios.append(best[OURS]["calls_per_s"] / best[peer]["calls_per_s"])
        return ratios

    return found


TARGETS = (
    Target("at most 120 µs of processor time for a call", _ours(_CALLS, "cpu_us"), 120, at_least=False, unit=" µs"),
    Target("at least 8 000 calls/s on one core", _ours(_CALLS, "calls_per_s"), 8000, at_least=True, unit="/s"),
    Target("at least 1.5 times the calls/s of tensorzero", _relative_to("tensorzero"), 1.5, at_least=True, unit="x"),
    Target("at least 20 times the calls/s of litellm", _relative_to("litellm"), 20, at_least=True, unit="x"),
    Target("at most 10 µs for a hit in memory", _ours(_MEMORY, "p50_us"), 10, at_least=False, unit=" µs"),
    Target("at most 100 µs for a hit on disk", _ours(_DISK, "p50_us"), 100, at_least=False, unit=" µs"),
    Target("at most 5 µs for a chunk of a stream", _ours(_BURSTS, "chunk_us"), 5, at_least=False, unit=" µs"),
)
