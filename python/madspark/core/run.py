"""A run held by its caller: its events, its result and its cancellation."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Self

from madspark import _core
from madspark._waiting import result_of
from madspark.core._cache import WorkflowCache
from madspark.core._readers import ITERATES, Readers
from madspark.core.events import PAGE, Event, RunFinished
from madspark.core.result import Candidate, WorkflowResult

__all__ = ["WorkflowEvents", "WorkflowRun"]


class WorkflowRun:
    """A run in progress, returned by `AsyncCoordinator.start`.

    `cancel()`, leaving it as a context manager, and dropping the object end the run and close its connections. Readers
    of its events may leave and return, as long as

    * fewer than `buffer` events are unread; otherwise the run waits before its next call, and
    * somebody waits for an event or for the result at least every `patience` seconds; otherwise the run is cancelled.

    The finished part remains available however the run ends: from `result()`, also after a cancellation, and at any
    time from `snapshot()`.
    """

    __slots__ = ("__weakref__", "_cache", "_core", "_result", "id")

    id: str
    """The unique id of the run."""

    def __init__(
        self, core: _core.Run | None, cache: WorkflowCache | None, result: WorkflowResult | None = None
    ) -> None:
        self._core = core
        self._cache = cache
        self._result = result
        if core is not None:
            self.id = core.id
            if cache is not None:
                cache.run_id = core.id
        elif result is not None:
            self.id = result.run_id

    def events(self, after: int = 0) -> WorkflowEvents:
        """Iterate over the events after number `after`, waiting for new ones.

        0 starts from the beginning. A client that reconnects passes the number of the last event it received and misses
        none. Passing `after` also confirms that everything up to it was received.

        Raises (on iteration):
            ValueError: If some of these events are no longer kept, or if event `after` does not exist yet.
        """
        return WorkflowEvents(self, after)

    def __aiter__(self) -> WorkflowEvents:
        return self.events()

    async def result(self) -> WorkflowResult:
        """Wait for the end of the run and return its result. May be called repeatedly and concurrently.

        If the timeout, the budget, a gate or `cancel()` ended the run early, the result is the finished part, with
        `partial` set. While somebody waits here, the run does not wait for readers of its events.

        Raises:
            LLMProviderError: If the run ended before there was a part to return.
        """
        if self._result is None and self._core is not None:
            result = WorkflowResult.model_validate_json(await result_of(self._core.result()))
            if self._result is None:
                self._result = result
                if self._cache is not None and result.status == "ok" and not result.partial:
                    await self._cache.put(result.to_dicts())
        return self.snapshot()

    def snapshot(self) -> WorkflowResult:
        """Return the result so far, without waiting."""
        if self._result is not None or self._core is None:
            assert self._result is not None  # noqa: S101  (a run without a core comes from a cache)
            return self._result.model_copy(deep=True)
        return WorkflowResult.model_validate_json(self._core.snapshot())

    def cancel(self) -> None:
        """End the run if it has not ended; its connections close. Safe to call again."""
        if self._core is not None:
            self._core.close()

    async def page(self, after: int) -> list[Event]:
        """Wait for events after number `after` and return some of them; empty at the end of the run."""
        if self._core is not None:
            text = await result_of(self._core.events(after))
            return [] if text is None else PAGE.validate_json(text)
        if after > 0:
            return []
        end = RunFinished(
            run_id=self.id,
            sequence=1,
            seconds=0.0,
            fraction=1.0,
            seconds_left=0.0,
            message="Answered from the cache",
            type="run_finished",
            status="ok",
            partial=False,
            reason=None,
            idea_indices=[candidate.idea_index for candidate in self.snapshot().candidates],
        )
        return [end]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self.cancel()

    def __repr__(self) -> str:
        return f"WorkflowRun(id={self.id!r})"


class WorkflowEvents:
    """The events of a run, as an async iterator and an async context manager that closes it.

    Events are read on demand. After the last event of an iterator from `AsyncCoordinator.events` it raises the error
    that ended the run, if there is no result. Such an iterator owns its run, which is cancelled as soon as

    * the iterator is closed or dropped,
    * an `async for` over it is cancelled while it waits, by a time limit, Ctrl-C or a client that left,
    * a task that iterates over it fails or is cancelled, or
    * the tasks that iterate over it and the task that created it have all ended.

    Cancelling `anext(events)` loses no event and does not cancel the run, so each may have a time limit. A task does
    not iterate while it waits for the only event that it asked for: it may be given up. What the run had finished
    remains available from `result()`.

    An iterator from a `WorkflowRun` does not own the run and never cancels it.
    """

    __slots__ = ("_after", "_events", "_failure", "_readers", "_run", "_start")

    def __init__(
        self,
        run: WorkflowRun | None,
        after: int = 0,
        start: Callable[[], Coroutine[Any, Any, WorkflowRun]] | None = None,
    ) -> None:
        self._run = run
        self._after = after
        self._start = start
        self._readers = None if start is None else Readers()
        self._events: deque[Event] = deque()
        self._failure: Exception | None = None

    def __aiter__(self) -> AsyncIterator[Event]:
        return self if self._readers is None else _Loop(self._read, self._close)

    # Not a coroutine function: `wait_for` and `ensure_future` may run the coroutine in a task of its own, which says
    # nothing about the task that reads.
    def __anext__(self) -> Coroutine[Any, Any, Event]:
        return self._read(1)

    def _read(self, times: int) -> Coroutine[Any, Any, Event]:
        """Return a coroutine for the next event, which counts as `times` reads of the current task."""
        return self._next(None if self._readers is None else self._readers.add(times))

    async def _next(self, reader: asyncio.Task[Any] | None) -> Event:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            try:
                raise failure
            finally:
                # Its traceback holds this frame.
                del failure
        run = await self._started()
        if run is None:
            raise StopAsyncIteration
        if not self._events:
            self._events.extend(await run.page(self._after))
        if not self._events:
            raise StopAsyncIteration
        event = self._events.popleft()
        if self._readers is not None and isinstance(event, RunFinished):
            # Stores the result in the cache. Not in the next call, because many readers stop at this event.
            try:
                await run.result()
            except asyncio.CancelledError:
                self._events.appendleft(event)
                raise
            except Exception as failure:  # noqa: BLE001  (raised by the next call)
                self._failure = failure
        self._after = event.sequence
        if self._readers is not None and reader is not None:
            self._readers.received(reader)
        return event

    def result(self) -> Coroutine[Any, Any, WorkflowResult]:
        """Wait for the end of the run, as `WorkflowRun.result` does. Starts the run if no event was read yet.

        Raises:
            LLMProviderError: If the run ended before there was a part to return.
            RuntimeError: If the iterator was closed before the run started.
        """
        if self._readers is not None:
            self._readers.add(1)
        return self._result()

    async def _result(self) -> WorkflowResult:
        run = await self._started()
        if run is None:
            raise RuntimeError("the events were closed before the run started")
        return await run.result()

    async def aclose(self) -> None:
        """Stop reading, and cancel the run if this iterator owns it. Safe to call again."""
        self._close()

    def _close(self) -> None:
        self._start = None
        self._events.clear()
        if self._readers is not None and self._run is not None:
            self._run.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self._close()

    async def _started(self) -> WorkflowRun | None:
        if self._run is None and self._start is not None:
            start, self._start = self._start, None
            try:
                self._run = await start()
            except asyncio.CancelledError:
                # The next call starts the run.
                self._start = start
                raise
            if self._readers is not None:
                self._readers.run = self._run
        return self._run


class _Loop:
    """An `async for` over events that own their run. Leaving it while it waits closes them."""

    __slots__ = ("_close", "_read")

    def __init__(self, read: Callable[[int], Coroutine[Any, Any, Event]], close: Callable[[], None]) -> None:
        self._read = read
        self._close = close

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Coroutine[Any, Any, Event]:
        return self._next(self._read(ITERATES))

    async def _next(self, read: Coroutine[Any, Any, Event]) -> Event:
        try:
            return await read
        except BaseException as error:
            if not isinstance(error, Exception):
                self._close()
            raise


def cached_run(candidates: list[dict[str, Any]], mode: str) -> WorkflowRun:
    """Return a finished run with candidates from the workflow cache."""
    import uuid

    result = WorkflowResult(
        run_id=uuid.uuid4().hex,
        status="ok",
        partial=False,
        mode="fanout" if mode == "fanout" else "batch",
        candidates=[Candidate.model_validate({"idea_index": at, **one}) for at, one in enumerate(candidates)],
        cached=True,
    )
    return WorkflowRun(None, None, result)
