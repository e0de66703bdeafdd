"""Waits for the core's work from coroutines, and for coroutines from synchronous code."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from madspark import _greenlets

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from threading import Thread
    from typing import Any

    from madspark._core import Pending

_T = TypeVar("_T")

_POLL_SECONDS = 0.1
"""How often a thread that waits for another thread checks for cancellation."""


async def result_of(pending: Pending[_T]) -> _T:
    """Await work of the core. Ending the wait early, for any reason, drops the work and closes its sockets."""
    try:
        return await pending.future
    except BaseException:
        pending.close()
        raise


def run_sync(work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Run a coroutine to its end from synchronous code.

    Runs on the calling thread unless an event loop is running there, so that callbacks stay on that thread. Under a
    running loop, as in a notebook, it runs on a new thread with the caller's context variables while the caller waits.
    Under gevent it also runs on a native thread, so that other greenlets run meanwhile. Ctrl-C, the cancellation of the
    caller's task and the end of its greenlet cancel the coroutine.
    """
    if _greenlets.is_patched():
        return _greenlets.run(work)
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    return _run_on_thread(work)


def _run_on_thread(work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Run a coroutine on a new event loop in a new thread, and wait for it."""
    import asyncio
    import contextvars
    import threading
    from concurrent.futures import Future

    outcome: Future[_T] = Future()
    running: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = Future()

    async def main() -> _T:
        task = asyncio.ensure_future(work())
        running.set_result((asyncio.get_running_loop(), task))
        return await task

    def body() -> None:
        try:
            outcome.set_result(asyncio.run(main()))
        except BaseException as error:  # noqa: BLE001  (raised again on the waiting thread)
            outcome.set_exception(error)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(body,), name="madspark-sync", daemon=True)
    thread.start()
    try:
        _join(thread)
    except BaseException:
        loop, task = running.result()
        if not loop.is_closed():
            loop.call_soon_threadsafe(task.cancel)
        thread.join()
        raise
    return outcome.result()


def _join(thread: Thread) -> None:
    """Wait for `thread`.

    Raises:
        CancelledError: If the waiting task is cancelled, which is what Ctrl-C does under `asyncio.run`.
    """
    import asyncio

    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    while thread.is_alive():
        thread.join(_POLL_SECONDS)
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError
