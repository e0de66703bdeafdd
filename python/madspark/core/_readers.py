"""The tasks that read the events of a run. A run that belongs to an iterator ends with them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

if TYPE_CHECKING:
    from madspark.core.run import WorkflowRun

    Task = asyncio.Task[Any]

ITERATES = 2
"""From so many reads on, a task iterates. The only read of a task may be a step that another task gives up."""

_readers: WeakKeyDictionary[Task, WeakSet[Readers]] = WeakKeyDictionary()
"""What each task reads. Weak, so that a task that lives long keeps no iterator that it dropped."""


class Readers:
    """The tasks that created or read one iterator, and the run that ends when they have left.

    A reference count does not tell whether they have: the traceback of the exception that ended a task keeps the frames
    of the task, and they keep the iterator.
    """

    __slots__ = ("__weakref__", "_has_iterated", "_reads", "_received", "run")

    def __init__(self) -> None:
        self.run: WorkflowRun | None = None
        self._has_iterated = False
        self._reads: WeakKeyDictionary[Task, int] = WeakKeyDictionary()
        self._received: WeakSet[Task] = WeakSet()
        self.add(reads=0)

    def add(self, reads: int) -> Task | None:
        """Count reads of the current task and return it."""
        try:
            task = asyncio.current_task()
        except RuntimeError:
            return None
        if task is None:
            return None
        before = self._reads.get(task)
        if before is None:
            _watch(task, self)
        total = (before or 0) + reads
        self._reads[task] = total
        self._has_iterated |= total >= ITERATES
        return task

    def received(self, task: Task) -> None:
        """Note that `task` was handed an event: from now on its cancellation does not give up a read only."""
        self._received.add(task)

    def leave(self, task: Task) -> None:
        """End the run if the end of `task` means that its readers have left."""
        reads = self._reads.pop(task, 0)
        if task.cancelled():
            has_left = reads >= ITERATES or task in self._received
        else:
            # Unlike `exception()`, this does not suppress asyncio's report of an exception that nobody retrieves.
            has_left = reads > 0 and bool(task.get_stack(limit=1))
        is_last = self._has_iterated and all(other.done() for other in self._reads)
        if (has_left or is_last) and self.run is not None:
            self.run.cancel()


def _watch(task: Task, readers: Readers) -> None:
    watched = _readers.get(task)
    if watched is None:
        watched = _readers[task] = WeakSet()
        task.add_done_callback(_ended)
    watched.add(readers)


def _ended(task: Task) -> None:
    for readers in list(_readers.pop(task, ())):
        readers.leave(task)
