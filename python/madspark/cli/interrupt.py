"""Ctrl-C and SIGTERM during a run."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import TYPE_CHECKING, Any, Self

from madspark.cli.outcome import interrupted

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Interrupts"]


class Interrupts:
    """Calls `cancel` at the first SIGINT or SIGTERM, and ends the process at the second.

    A context manager, to be entered on the event loop of the run. Only the main thread receives signals; on another one
    it does nothing.
    """

    def __init__(self, cancel: Callable[[], None]) -> None:
        self._cancel = cancel
        self._before: dict[int, Any] = {}
        self.signal: int | None = None
        """The signal that ended the run."""

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                # Works on every platform, unlike the loop's own handlers. The loop runs the handler between two events.
                self._before[number] = signal.signal(
                    number, lambda number, _frame: loop.call_soon_threadsafe(self._receive, number)
                )
        return self

    def __exit__(self, *_exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int) -> None:
        if self.signal is not None:
            os._exit(interrupted(number))
        self.signal = number
        self._cancel()
