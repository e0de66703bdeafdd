"""The simulator, with coroutines for tests that must not block their loop."""

from __future__ import annotations

import asyncio

from madspark import _core


class Simulator(_core.Simulator):
    """An HTTP server on loopback that speaks the protocols of Ollama, Gemini, OpenAI and Anthropic.

    >>> with Simulator() as simulator:  # doctest: +SKIP
    ...     simulator.on("gemini", status=429, times=1)
    ...     config = LLMConfig(ollama_host=simulator.ollama_url, gemini_base_url=simulator.gemini_url)

    It answers any JSON Schema with valid, deterministic content made of the prompt's own words, and keeps every request
    as it arrived in `requests`. It runs on a thread of its own until `stop()` or the end of its `with` block.
    """

    async def await_requests(self, count: int, timeout: float = 5.0) -> bool:  # noqa: ASYNC109  (as its twin)
        """Do as `wait_for_requests`, as a coroutine."""
        return await asyncio.to_thread(self.wait_for_requests, count, timeout)

    async def await_hang_ups(self, count: int, timeout: float = 5.0) -> bool:  # noqa: ASYNC109  (as its twin)
        """Do as `wait_for_hang_ups`, as a coroutine."""
        return await asyncio.to_thread(self.wait_for_hang_ups, count, timeout)
