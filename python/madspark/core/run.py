"""A run that its caller holds: its events, its result, its end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

from madspark import _core
from madspark._waiting import result_of
from madspark.core._cache import WorkflowCache
from madspark.core.events import PAGE, Event, RunFinished
from madspark.core.result import Candidate, WorkflowResult

__all__ = ["WorkflowEvents", "WorkflowRun"]


class WorkflowRun:
    """A run under way. Get it from `AsyncCoordinator.start`.

    The run belongs to this object: `cancel()`, leaving it as a context manager, or dropping it ends the run and closes
    its connections. Nothing else does: a reader of its events may go away and come back, for as long as

    * no more than `buffer` events are unread; with more, the run waits before its next call, and
    * it is not longer than `patience` seconds since somebody last waited for an event or for the result; after that the
      run is cancelled.

    What is finished stays here however the run ended: `result()` of a run that was cancelled tells it, and `snapshot()`
    does at any moment.
    """

    __slots__ = ("_cache", "_core", "_result", "id")

    id: str
    """The name of the run, unlike any other's."""

    def __init__(
        self, core: _core.Run | None, cache: WorkflowCache | None, result: WorkflowResult | None = None
    ) -> None:
        self._core = core
        self._cache = cache
        self._result = result
        if core is not None:
            self.id = core.id
        elif result is not None:
            self.id = result.run_id

    def events(self, after: int = 0) -> WorkflowEvents:
        """Iterate over the events after the one with number `after`, waiting for those to come.

        With 0 from the beginning. A client that comes back names the last event it has, and misses none. `after` also
        tells that everything up to it has arrived.

        Raises (on iteration):
            ValueError: Some of those events are no longer kept, or there is no event `after` yet.
        """
        return WorkflowEvents(self, after)

    def __aiter__(self) -> WorkflowEvents:
        return self.events()

    async def result(self) -> WorkflowResult:
        """Wait for the end of the run. May be called again, and by many.

        Where time, budget, a gate or `cancel()` ended it early, the result is the finished part, with `partial` set.
        While somebody waits here, the run does not wait for readers of its events.

        Raises:
            LLMProviderError: What ended the run, where there is no part.
        """
        if self._result is None and self._core is not None:
            result = WorkflowResult.model_validate_json(await result_of(self._core.result()))
            if self._result is None:
                self._result = result
                if self._cache is not None and result.status == "ok" and not result.partial:
                    await self._cache.put(result.to_dicts())
        return self.snapshot()

    def snapshot(self) -> WorkflowResult:
        """What there is of the result now. Does not wait."""
        if self._result is not None or self._core is None:
            assert self._result is not None  # noqa: S101  (a run without a core has come from a cache)
            return self._result.model_copy(deep=True)
        return WorkflowResult.model_validate_json(self._core.snapshot())

    def cancel(self) -> None:
        """End the run, if it has not ended; its connections close. Safe to call again."""
        if self._core is not None:
            self._core.close()

    async def page(self, after: int) -> list[Event]:
        """The events after number `after`, some at a time, waited for; none at the end of the run."""
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
        )
        return [end]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    def __repr__(self) -> str:
        return f"WorkflowRun(id={self.id!r})"


class WorkflowEvents:
    """The events of a run, as an async iterator and as an async context manager, which closes it.

    It reads when it is pulled. A pull that is cancelled takes nothing, so a time limit for each event is safe. One that
    begins its run itself (`AsyncCoordinator.events`) cancels it when it is closed or dropped, and raises after the last
    event what ended the run, where there is no result; one of a `WorkflowRun` does neither.
    """

    __slots__ = ("_after", "_begin", "_events", "_failure", "_owns", "_run")

    def __init__(
        self,
        run: WorkflowRun | None,
        after: int = 0,
        begin: Callable[[], Coroutine[Any, Any, WorkflowRun]] | None = None,
    ) -> None:
        self._run = run
        self._after = after
        self._begin = begin
        self._owns = begin is not None
        self._events: deque[Event] = deque()
        self._failure: Exception | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        run = await self._begun()
        if run is None:
            raise StopAsyncIteration
        if not self._events:
            self._events.extend(await run.page(self._after))
        if not self._events:
            raise StopAsyncIteration
        event = self._events.popleft()
        self._after = event.sequence
        if self._owns and isinstance(event, RunFinished):
            # Here and not at the next pull: many readers stop at this event, and the cache is to know of the run.
            try:
                await run.result()
            except Exception as failure:  # noqa: BLE001  (raised by the next pull)
                self._failure = failure
        return event

    async def result(self) -> WorkflowResult:
        """Wait for the end of the run, as `WorkflowRun.result` does; begins it where no event was asked for yet.

        Raises:
            LLMProviderError: What ended the run, where there is no part.
            RuntimeError: The iterator was closed before it began.
        """
        run = await self._begun()
        if run is None:
            raise RuntimeError("the events were closed before the run began")
        return await run.result()

    async def aclose(self) -> None:
        """Stop reading; cancels the run where this iterator began it. Safe to call again."""
        self._begin = None
        self._events.clear()
        if self._owns and self._run is not None:
            self._run.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _begun(self) -> WorkflowRun | None:
        if self._run is None and self._begin is not None:
            begin, self._begin = self._begin, None
            self._run = await begin()
        return self._run


def cached_run(candidates: list[dict[str, Any]], mode: str) -> WorkflowRun:
    """A run that is over before it began: its candidates come from the workflow cache."""
    import uuid

    found = [Candidate.model_validate({"idea_index": at, **one}) for at, one in enumerate(candidates)]
    result = WorkflowResult(
        run_id=uuid.uuid4().hex,
        status="ok",
        partial=False,
        mode="fanout" if mode == "fanout" else "batch",
        candidates=found,
        cached=True,
    )
    return WorkflowRun(None, None, result)
