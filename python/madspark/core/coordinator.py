"""The workflow for synchronous code."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Unpack

import madspark
from madspark._waiting import run_sync
from madspark.core.async_coordinator import AsyncCoordinator
from madspark.core.options import DEFAULT_TIMEOUT, RunOptions
from madspark.llm.options import File
from madspark.utils.temperature_control import TemperatureManager


class Coordinator:
    """The synchronous twin of `AsyncCoordinator`, with the same arguments.

    The progress callback must be a plain function; it is called on the calling thread, except under a running event
    loop (a notebook), where the run has a thread of its own while the caller waits.

    Raises:
        ValueError: `max_concurrent_agents` is less than 1.
        TypeError: `router` or `progress_callback` is not what it must be.
    """

    __slots__ = ("_twin",)

    def __init__(
        self,
        max_concurrent_agents: int = 10,
        progress_callback: Callable[[str, float], None] | None = None,
        cache_manager: Any = None,
        router: Any = None,
    ) -> None:
        if inspect.iscoroutinefunction(progress_callback):
            message = "progress_callback is a coroutine function: pass a plain function, or use AsyncCoordinator"
            raise TypeError(message)
        self._twin = AsyncCoordinator(max_concurrent_agents, progress_callback, cache_manager, router)

    @property
    def router(self) -> Any:
        """The router that every agent of this coordinator uses."""
        return self._twin.router

    def run_workflow(
        self,
        topic: str,
        context: str = "",
        num_top_candidates: int = 2,
        enable_novelty_filter: bool = True,
        novelty_threshold: float = 0.8,
        temperature_manager: TemperatureManager | None = None,
        verbose: bool = False,
        enhanced_reasoning: bool = False,
        multi_dimensional_eval: bool = False,
        logical_inference: bool = False,
        reasoning_engine: Any = None,
        timeout: float | None = DEFAULT_TIMEOUT,
        multimodal_files: Sequence[File] | None = None,
        multimodal_urls: Sequence[str] | None = None,
        *,
        stage_timeouts: Mapping[str, float] | None = None,
        mode: Literal["auto", "batch", "fanout"] = "batch",
        language: str | None = None,
    ) -> list[dict[str, Any]]:
        """Do as `AsyncCoordinator.run_workflow`; Ctrl-C cancels the run and closes its connections."""
        return run_sync(
            lambda: self._twin.run_workflow(
                topic,
                context,
                num_top_candidates,
                enable_novelty_filter,
                novelty_threshold,
                temperature_manager,
                verbose,
                enhanced_reasoning,
                multi_dimensional_eval,
                logical_inference,
                reasoning_engine,
                timeout,
                multimodal_files,
                multimodal_urls,
                stage_timeouts=stage_timeouts,
                mode=mode,
                language=language,
            )
        )

    def run(self, topic: str, context: str = "", **options: Unpack[RunOptions]) -> madspark.WorkflowResult:
        """Do as `AsyncCoordinator.run`; Ctrl-C cancels the run and closes its connections."""
        return run_sync(lambda: self._twin.run(topic, context, **options))


def run_multistep_workflow(
    topic: str,
    context: str = "",
    num_top_candidates: int = 2,
    enable_novelty_filter: bool = True,
    novelty_threshold: float = 0.8,
    temperature_manager: TemperatureManager | None = None,
    verbose: bool = False,
    enhanced_reasoning: bool = False,
    multi_dimensional_eval: bool = False,
    logical_inference: bool = False,
    reasoning_engine: Any = None,
    timeout: float | None = DEFAULT_TIMEOUT,
    multimodal_files: Sequence[File] | None = None,
    multimodal_urls: Sequence[str] | None = None,
    router: Any = None,
    *,
    stage_timeouts: Mapping[str, float] | None = None,
    mode: Literal["auto", "batch", "fanout"] = "batch",
    language: str | None = None,
) -> list[dict[str, Any]]:
    """Run the workflow once, through `router` alone; the other arguments are those of `Coordinator.run_workflow`.

    Without a router it makes a fresh `LLMRouter()` from the environment, which nothing else shares.
    """
    return Coordinator(router=router).run_workflow(
        topic,
        context,
        num_top_candidates,
        enable_novelty_filter,
        novelty_threshold,
        temperature_manager,
        verbose,
        enhanced_reasoning,
        multi_dimensional_eval,
        logical_inference,
        reasoning_engine,
        timeout,
        multimodal_files,
        multimodal_urls,
        stage_timeouts=stage_timeouts,
        mode=mode,
        language=language,
    )
