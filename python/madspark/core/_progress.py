"""Delivers the progress of a run to the caller's callback. Its failures are logged and never fail the run."""

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
"""How long a finished run waits for a slow callback to process the last messages."""


class ProgressQueue:
    """Calls `callback(message, fraction)` for each event in order, in the context of the run.

    An async callback is awaited before the next event. A callback that raises is logged and called again for the next
    event. With `is_verbose` the events are also logged.
    """

    def __init__(self, callback: Callable[[str, float], object] | None, is_verbose: bool) -> None:
        self.run_id: str | None = None
        """The id of the run, for its records."""
        self._callback = callback
        self._is_verbose = is_verbose
        self._events: asyncio.Queue[tuple[str, float] | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def emit(self, message: str, fraction: float) -> None:
        """Add an event and return at once. Must be called on the loop of the run."""
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
                _, pending = await asyncio.wait({task}, timeout=GRACE_SECONDS)
                if pending:
                    message = "the progress callback did not return within %g s of the run's end"
                    _logger.warning(message, GRACE_SECONDS, extra=self._extra())
        finally:
            # Also if the run is cancelled during the wait: the callback is not called after the end of the run.
            task.cancel()
            await asyncio.wait({task})

    async def _serve(self) -> None:
        while (event := await self._events.get()) is not None:
            message, fraction = event
            if self._is_verbose:
                _logger.info("%3.0f%% %s", fraction * 100, message, extra=self._extra())
            if self._callback is None:
                continue
            try:
                outcome = self._callback(message, fraction)
                if inspect.isawaitable(outcome):
                    await outcome
            except Exception:
                _logger.exception("the progress callback raised; the run continues", extra=self._extra())

    def _extra(self) -> dict[str, str]:
        return {} if self.run_id is None else {"madspark_run_id": self.run_id}
