"""Synchronous calls under gevent: a call waits on a native thread, so that other greenlets run meanwhile."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine

    from gevent.hub import Hub
    from gevent.threadpool import ThreadPool

_T = TypeVar("_T")

_THREADS = 256
"""The most concurrent calls of the greenlets of one thread; further calls wait. gevent's own pool has ten threads, and
they also resolve names."""

_IDLE_SECONDS = 10.0
"""How long an idle thread remains."""

_pools: dict[Hub, ThreadPool] = {}


def is_patched() -> bool:
    """Return whether gevent runs the threads of this process as greenlets."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def call(function: Callable[[], _T]) -> _T:
    """Return what `function` returns, from a native thread with the caller's context variables."""
    import contextvars

    def outcome() -> tuple[_T, None] | tuple[None, BaseException]:
        # gevent reports what a thread raises, also where the caller handles it or was killed.
        try:
            return function(), None
        except BaseException as error:  # noqa: BLE001  (raised by the caller)
            return None, error

    value, error = _pool().apply(contextvars.copy_context().run, (outcome,))
    if error is None:
        return cast("_T", value)
    try:
        raise error
    finally:
        # Its traceback holds this frame.
        del error


def run(work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Run a coroutine to its end on a native thread. Killing the greenlet that waits cancels the coroutine."""
    waiting = _Waiting()
    try:
        return call(lambda: waiting.run(work))
    except BaseException:
        waiting.cancel()
        raise


class _Waiting:
    """The task of a coroutine on another thread, which may be cancelled before it exists."""

    def __init__(self) -> None:
        self._is_cancelled = False
        self._task: asyncio.Task[Any] | None = None

    def run(self, work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        import asyncio

        return asyncio.run(self._main(work))

    async def _main(self, work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        import asyncio

        self._task = asyncio.current_task()
        # After the assignment: whichever of the threads comes second sees what the other one did.
        if self._is_cancelled:
            raise asyncio.CancelledError
        return await work()

    def cancel(self) -> None:
        import contextlib

        self._is_cancelled = True
        task = self._task
        if task is not None:
            # The loop is closed if the coroutine has ended.
            with contextlib.suppress(RuntimeError):
                task.get_loop().call_soon_threadsafe(task.cancel)


def _pool() -> ThreadPool:
    """Return the pool of the calling thread's hub."""
    import gevent
    from gevent.threadpool import ThreadPool

    hub = gevent.get_hub()
    pool = _pools.get(hub)
    if pool is None:
        for other in [other for other in _pools if other.dead]:
            del _pools[other]
        pool = _pools[hub] = ThreadPool(_THREADS, hub=hub, idle_task_timeout=_IDLE_SECONDS)
    return pool
