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


def measure(server: Server, repeats: int, report: Callable[[str, Outcomes], None]) -> None:
    """Run every workflow `repeats` times."""
    for name, (options, mode) in WORKFLOWS.items():
        outcomes = Outcomes()
        for _ in range(repeats):
            router, began = server.router(), time.perf_counter()
            try:
                run = AsyncCoordinator(router=router).run(TOPIC, CONTEXT, mode=mode, timeout=TIMEOUT, **options)  # type: ignore[arg-type]
                result = asyncio.run(run)
            except (LLMProviderError, WorkflowTimeoutError) as error:
                outcomes.fail(router, time.perf_counter() - began, error)
            else:
                outcomes.reasons.update(f"{stage.stage}: {stage.reason}" for stage in result.stages if stage.reason)
                complete = result.status == "ok"
                outcomes.add(router, time.perf_counter() - began, complete=complete)
        report(name, outcomes)
