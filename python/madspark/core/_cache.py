"""Reads and writes the caller's workflow cache. Its failures are logged and never fail a run."""

from __future__ import annotations

import asyncio
import copy
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_logger = logging.getLogger("madspark.cache")


class WorkflowCache:
    """The entry of one run in a `cache_manager`; does nothing without one."""

    def __init__(self, manager: Any, topic: str, context: str, options: Callable[[], dict[str, Any]]) -> None:
        self.run_id: str | None = None
        """The id of the run, for its records; None before there is one."""
        self._manager = manager
        self._topic = topic
        self._context = context
        self._load_options = options
        self._options: dict[str, Any] | None = None

    async def get(self) -> list[dict[str, Any]] | None:
        """Return the candidates of an earlier run with the same options."""
        if self._manager is None:
            return None
        # On a thread, because it reads files.
        self._options = await asyncio.to_thread(self._load_options)
        try:
            found = await self._manager.get_cached_workflow(self._topic, self._context, self._options)
            # A copy, so that the caller's changes do not reach the cache.
            return None if found is None else list(copy.deepcopy(found["candidates"]))
        except Exception:
            _logger.exception("the workflow cache could not be read; the run continues without it")
            return None

    async def put(self, candidates: list[dict[str, Any]]) -> None:
        """Store the candidates of a run without problems."""
        if self._manager is None or not candidates or any(one["status"] != "ok" for one in candidates):
            return
        result = {"candidates": copy.deepcopy(candidates)}
        try:
            await self._manager.cache_workflow_result(self._topic, self._context, self._options, result)
        except Exception:
            extra = {} if self.run_id is None else {"madspark_run_id": self.run_id}
            _logger.exception("the workflow cache could not be written; the result is not affected", extra=extra)
