"""Whole runs: four and nine stages, one call for all ideas or one for each."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from benches.real.agents import CONTEXT, TOPIC
from benches.real.outcome import Outcomes
from madspark import AsyncCoordinator, LLMProviderError, WorkflowTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

    from benches.real.server import Server

TIMEOUT = 3600
NINE = {"enhanced_reasoning": True, "multi_dimensional_eval": True, "logical_inference": True}
WORKFLOWS = {
    f"{stages}, {mode}": (options, mode)
    for stages, options in (("four stages", {}), ("nine stages", NINE))
    for mode in ("batch", "fanout")
}

PROMPTS = ["prompt tokens read", "from cache"]
"""Averages per run that ended; servers that report no cached tokens count them as read."""


def measure(server: Server, repeats: int, report: Callable[[str, Outcomes, list[str]], None]) -> None:
    """Run every workflow `repeats` times. The last argument of `report` are the cells of `PROMPTS`."""
    for name, (options, mode) in WORKFLOWS.items():
        outcomes, read, reused = Outcomes(), 0, 0
        for _ in range(repeats):
            router, began = server.router(), time.perf_counter()
            try:
                run = AsyncCoordinator(router=router).run(TOPIC, CONTEXT, mode=mode, timeout=TIMEOUT, **options)  # type: ignore[arg-type]
                result = asyncio.run(run)
            except (LLMProviderError, WorkflowTimeoutError) as error:
                outcomes.fail(router, time.perf_counter() - began, error)
            else:
                read += result.spent.usage.input
                reused += result.spent.usage.cached_input
                outcomes.reasons.update(f"{stage.stage}: {stage.reason}" for stage in result.stages if stage.reason)
                complete = result.status == "ok"
                outcomes.add(router, time.perf_counter() - began, complete=complete)
        report(name, outcomes, [f"{tokens / repeats:.0f}" for tokens in (read, reused)])
