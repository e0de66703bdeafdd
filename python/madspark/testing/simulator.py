"""The simulator, with coroutines for tests that must not block their event loop."""

from __future__ import annotations

import asyncio

from madspark import _core
from madspark._core import RecordedRequest

__all__ = ["RecordedRequest", "Simulator"]


class Simulator(_core.Simulator):
    """An HTTP server on loopback that implements the protocols of Ollama, Gemini, OpenAI and Anthropic.

    >>> with Simulator() as simulator:  # doctest: +SKIP
    ...     simulator.on("gemini", status=429, times=1)
    ...     config = LLMConfig(ollama_host=simulator.ollama_url, gemini_base_url=simulator.gemini_url)

    It answers any JSON Schema with valid, deterministic content made of the words of the prompt, and records every
    request in `requests`. It runs on its own thread until `stop()` or the end of the `with` block.
    """

    async def await_requests(self, count: int, timeout: float = 5.0) -> bool:  # noqa: ASYNC109  (like its twin)
        """Wait for requests, as a coroutine. See `wait_for_requests`."""
        return await asyncio.to_thread(self.wait_for_requests, count, timeout)

    async def await_hang_ups(self, count: int, timeout: float = 5.0) -> bool:  # noqa: ASYNC109  (like its twin)
        """Wait for closed connections, as a coroutine. See `wait_for_hang_ups`."""
        return await asyncio.to_thread(self.wait_for_hang_ups, count, timeout)
