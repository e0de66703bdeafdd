"""A run of many short turns: in each turn every client runs every task, so that all see the same noise."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

from benches import machine
from benches.client import Client, ClientError
from benches.upstream import Gauge, Upstream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benches.task import Figures, Task

RARELY = 6
"""Long tasks run in every turn with a multiple of this number."""
SLOW = 2
"""Seconds after which a task counts as long for a row."""
LONG_ENOUGH = 10
"""Seconds after which a row does not repeat a task."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the tables: a library in the environment of an interpreter."""

    name: str
    library: str
    python: str


@dataclass(slots=True)
class Results:
    """The results of a run."""

    figures: dict[Task, dict[str, list[Figures]]] = field(default_factory=dict)
    """The figures of every turn, by task and row."""
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    """Why a row, or a figure of a row, could not be measured."""
    turns: int = 0
    seconds: float = 0.0
    others: float = 0.0
    """The number of cores that other processes used."""

    def best(self, task: Task) -> dict[str, Figures]:
        """Return the best turn of each row: other load on the machine only adds time."""
        return {row: _best(turns) for row, turns in self.figures.get(task, {}).items()}

    def busiest(self) -> float:
        """Return the maximum load of the upstream; near 1, the upstream was the bottleneck."""
        rows = [turns for rows in self.figures.values() for turns in rows.values() if "upstream_busy" in turns[0]]
        return max((median(turn["upstream_busy"] for turn in turns) for turns in rows), default=0.0)

    def noise(self) -> float:
        """Return the ratio of the median turn to the best one, over all durations."""
        ratios = [
            median(values) / min(values)
            for rows in self.figures.values()
            for turns in rows.values()
            for figure in turns[0]
            if figure.endswith("_us") and min(values := [turn[figure] for turn in turns]) > 0
        ]
        return median(ratios) if ratios else 1.0


class Run:
    """Clients that run in turns."""

    def __init__(self, rows: Sequence[Row], tasks: Sequence[Task], seconds: float) -> None:
        self.rows, self.tasks, self.seconds = rows, tasks, seconds
        self.results = Results()
        self.clients: dict[str, Client] = {}
        self.slow: set[tuple[str, Task]] = set()
        self.done: set[tuple[str, Task]] = set()
        self.core, self.upstream_core = machine.cores()[0], machine.cores()[-1]

    def measure(self, until: float) -> Results:
        """Take one turn after the other until about `until`, at least one."""
        began, busy = perf_counter(), machine.busy_seconds()
        own = sum(os.times()[:4])
        with Upstream(self.upstream_core) as upstream:
            gauge = Gauge(upstream.port, upstream.process.pid)
            with ExitStack() as stack:
                self._start(gauge, stack)
                took = {False: 0.0, True: 0.0}
                while True:
                    rarely = self.results.turns % RARELY == 0
                    started = perf_counter()
                    # A turn that would end too late is not started.
                    if self.results.turns and started + took[rarely] > until:
                        break
                    self._turn(gauge, rarely=rarely)
                    took[rarely] = perf_counter() - started
                    self.results.turns += 1
        self.results.seconds = perf_counter() - began
        # All children are reaped by now, so that their times are known.
        others = machine.busy_seconds() - busy - (sum(os.times()[:4]) - own)
        self.results.others = max(0.0, others / self.results.seconds)
        return self.results

    def _start(self, gauge: Gauge, stack: ExitStack) -> None:
        for row in self.rows:
            try:
                cache = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
                client = Client(row.library, row.python, gauge, self.core, cache)
            except ClientError as error:
                self.results.missing[row.name] = str(error)
                continue
            stack.callback(client.close)
            self.clients[row.name] = client
            self.results.versions[row.name] = client.ready.versions

    def _turn(self, gauge: Gauge, *, rarely: bool) -> None:
        # The order rotates.
        names = list(self.clients)
        first = self.results.turns % len(names) if names else 0
        for task in self.tasks:
            for name in names[first:] + names[:first]:
                client, is_rare = self.clients.get(name), task.rare or (name, task) in self.slow
                if client is None or (is_rare and not rarely) or (name, task) in self.done:
                    continue
                if client.ready.can(task):
                    self._do(name, task, gauge)

    def _do(self, name: str, task: Task, gauge: Gauge) -> None:
        started = perf_counter()
        try:
            figures = self._figures(name, task, gauge)
        except ClientError as error:
            self.results.missing[f"{name}, {task}"] = str(error)
            self.done.add((name, task))
            if self.clients[name].has_ended():
                del self.clients[name]
            return
        self.results.figures.setdefault(task, {}).setdefault(name, []).append(figures)
        took = perf_counter() - started
        if took > LONG_ENOUGH:
            self.done.add((name, task))
        elif took > SLOW:
            self.slow.add((name, task))

    def _figures(self, name: str, task: Task, gauge: Gauge) -> Figures:
        if task.kind == "disk_hit":
            return self._disk_hit(name, task, gauge)
        return self.clients[name].measure(task, self.seconds)

    def _disk_hit(self, name: str, task: Task, gauge: Gauge) -> Figures:
        """Store answers with one process and read them with another, so that they are only on disk."""
        row = next(row for row in self.rows if row.name == name)
        with tempfile.TemporaryDirectory(prefix="bench-") as directory:
            for each in (replace(task, kind="fill_disk"), task):
                client = Client(row.library, row.python, gauge, self.core, directory)
                try:
                    figures = client.measure(each, self.seconds)
                finally:
                    client.close()
        return figures


def _best(turns: list[Figures]) -> Figures:
    return {figure: (min if figure.endswith("_us") else max)(turn[figure] for turn in turns) for figure in turns[0]}
