"""Drives the core's work from coroutines and from synchronous code: the two doors of every twin method."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator
    from threading import Thread
    from typing import Any

    from madspark._core import Call, Pending

    # What a call does between its replies: yields the call and the faults of the last reply, receives the next one.
    Steps = Generator[tuple[Call, list[str] | None], str, "_T"]

_T = TypeVar("_T")


async def finish(pending: Pending[_T]) -> _T:
    """Await the core's work; whatever ends the wait early drops the work and closes its sockets."""
    try:
        return await pending.future
    except BaseException:
        pending.close()
        raise


def drive(steps: Steps[_T]) -> _T:
    """Run `steps` on the calling thread."""
    try:
        call, faults = next(steps)
        while True:
            try:
                text = call.next(faults)
            except Exception as error:  # noqa: BLE001  (the steps decide)
                call, faults = steps.throw(error)
            else:
                call, faults = steps.send(text)
    except StopIteration as done:
        call.settle()
        result: _T = done.value
        return result


async def adrive(steps: Steps[_T]) -> _T:
    """Run `steps` on the running event loop."""
    try:
        call, faults = next(steps)
        while True:
            try:
                step = call.anext(faults)
                text = step if isinstance(step, str) else await finish(step)
            except Exception as error:  # noqa: BLE001  (the steps decide)
                call, faults = steps.throw(error)
            else:
                call, faults = steps.send(text)
    except StopIteration as done:
        keeping = call.asettle()
        if keeping is not None:
            await finish(keeping)
        result: _T = done.value
        return result


_TICK_SECONDS = 0.1
"""How often a caller that waits for a thread looks whether it was cancelled."""


def run_sync(work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Run a coroutine to its end from synchronous code.

    On the calling thread where no loop runs there, so that callbacks stay on it. Under a running loop (a notebook) on a
    thread of its own, with the caller's context variables, while the caller waits; Ctrl-C and the cancellation of the
    caller's task cancel the coroutine.
    """
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    return _run_beside(work)


def _run_beside(work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Run a coroutine on a loop and a thread of its own, and wait for it."""
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
        except BaseException as error:  # noqa: BLE001  (handed to the waiting thread, which raises it)
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
        CancelledError: The task that waits was cancelled, which is what Ctrl-C does to it under asyncio.run.
    """
    import asyncio

    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    while thread.is_alive():
        thread.join(_TICK_SECONDS)
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError
