"""Hands a run's progress to the caller's callback, in order, without ever failing the run."""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_logger = logging.getLogger("madspark.progress")

GRACE_SECONDS = 5.0
"""How long a finished run waits for a slow callback to take the last messages."""


class ProgressPump:
    """Calls `callback(message, fraction)` for each event, one after the other, in the context of the run.

    An async callback is awaited before the next event. One that raises is logged and called again for the next event.
    """

    def __init__(self, callback: Callable[[str, float], object]) -> None:
        self._callback = callback
        self._events: asyncio.Queue[tuple[str, float] | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def emit(self, message: str, fraction: float) -> None:
        """Take one event; returns at once. Called on the run's loop."""
        self._events.put_nowait((message, fraction))

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._serve())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task = self._task
        if task is None:
            return
        try:
            if error is None:
                self._events.put_nowait(None)
                _, late = await asyncio.wait({task}, timeout=GRACE_SECONDS)
                if late:
                    _logger.warning("the progress callback did not return within %g s of the run's end", GRACE_SECONDS)
        finally:
            # Also where the run is cancelled while it waits: nothing is told after its end.
            task.cancel()
            await asyncio.wait({task})

    async def _serve(self) -> None:
        while (event := await self._events.get()) is not None:
            try:
                outcome = self._callback(*event)
                if inspect.isawaitable(outcome):
                    await outcome
            except Exception:
                _logger.exception("the progress callback raised; the run goes on")
