"""The workflow as a coroutine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from madspark import _core
from madspark._check import count, listed, number, seconds, text
from madspark._drive import finish
from madspark._host import router_or_default, source

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from madspark.llm._base_router import File
    from madspark.utils.temperature_control import TemperatureManager

    ProgressCallback = Callable[[str, float], Awaitable[None] | None]


DEFAULT_TIMEOUT = 1200
"""Seconds a whole run may take where the caller sets no bound."""


class AsyncCoordinator:
    """Runs the idea workflow: generate, evaluate, advocate, doubt, improve, evaluate again.

    A coordinator keeps nothing of a run: one object can run many workflows at once, on any event loop.

    Args:
        max_concurrent_agents: Upper bound of model calls under way at once, over all runs of this coordinator.
        progress_callback: `async (message, fraction)` or a plain function; fraction goes from 0.0 to 1.0 and never
            back. One that raises is logged and survived.
        cache_manager: An object with `await get_cached_workflow(topic, context, options)`, which returns a dict with
            "candidates" or None, and `await cache_workflow_result(topic, context, options, {"candidates": [...]})`.
            Only runs without a problem are given to it. `options` tell all that can change a result; of a router of
            the caller's own, its class and those of an `LLMRouter`'s attributes that it has.
        router: An `LLMRouter`, or any object with `generate_structured` (sync or async). None builds a fresh
            `LLMRouter()` from the environment.

    Raises:
        ValueError: `max_concurrent_agents` is less than 1.
        TypeError: `router` or `progress_callback` is not what it must be.
    """

    __slots__ = ("_cache", "_core", "_progress", "_router")

    def __init__(
        self,
        max_concurrent_agents: int = 10,
        progress_callback: ProgressCallback | None = None,
        cache_manager: Any = None,
        router: Any = None,
    ) -> None:
        if progress_callback is not None and not callable(progress_callback):
            message = f"progress_callback must be callable, not {type(progress_callback).__name__}"
            raise TypeError(message)
        self._core = _core.Coordinator(max_concurrent_agents)
        self._progress = progress_callback
        self._cache = cache_manager
        self._router = router_or_default(router)

    @property
    def router(self) -> Any:
        """The router that every agent of this coordinator uses."""
        return self._router

    async def run_workflow(
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
        timeout: float | None = DEFAULT_TIMEOUT,  # noqa: ASYNC109  (the contract's name)
        multimodal_files: Sequence[File] | None = None,
        multimodal_urls: Sequence[str] | None = None,
        *,
        stage_timeouts: Mapping[str, float] | None = None,
    ) -> list[dict[str, Any]]:
        """Run the workflow and return its candidates, the highest initial score first.

        Cancelling the coroutine, or leaving it through `asyncio.wait_for`, closes every connection of the run.

        Args:
            topic: What the ideas are about; not blank. The answers are in its language.
            context: What limits or guides them; may be blank.
            num_top_candidates: 1 to 5. max(5, n + 2) ideas are asked for.
            enable_novelty_filter: Whether near-duplicates among the ideas are dropped, locally.
            novelty_threshold: 0.0 to 1.0; two ideas at least this similar are duplicates.
            temperature_manager: The stages' temperatures; None means the defaults.
            verbose: Whether the progress is logged too, at INFO under the logger "madspark.progress".
            enhanced_reasoning: Whether an advocate and a skeptic speak before the improvement.
            multi_dimensional_eval: Not built yet.
            logical_inference: Not built yet.
            reasoning_engine: Not built yet.
            timeout: Seconds for the whole run; None means 1200.
            multimodal_files: Paths or bytes of images, PDF and text files that the ideas are drawn from.
            multimodal_urls: Web pages the provider reads by itself; Gemini can.
            stage_timeouts: Seconds per stage over the defaults: idea_generation 300, evaluation 600, advocacy 240,
                skepticism 240, improvement 600, re_evaluation 240.

        Returns:
            A dict per candidate: idea, text, initial_score, initial_critique, advocacy, skepticism,
            multi_dimensional_evaluation, improved_idea, improved_score, improved_critique,
            improved_multi_dimensional_evaluation, score_delta, is_meaningful_improvement, similarity_score, status
            ("ok", "degraded" or "failed") and problems (each a dict of stage and reason). What a stage could not
            tell is None, never a made-up value.

        Raises:
            ValueError: For a wrong argument; nothing was sent.
            NotImplementedError: For a stage that is not built yet.
            AllProvidersFailedError: No provider could generate ideas.
            WorkflowTimeoutError: The time ran out before there was anything to return; later, the finished part is
                returned and its candidates are marked.
        """
        if multi_dimensional_eval or logical_inference or reasoning_engine is not None:
            message = "multi-dimensional evaluation and logical inference are not built yet; leave them off"
            raise NotImplementedError(message)
        from madspark.core._cache import WorkflowCache
        from madspark.core._options import describe, temperatures
        from madspark.core._progress import ProgressPump

        files, urls = listed("multimodal_files", multimodal_files), listed("multimodal_urls", multimodal_urls)
        options: dict[str, Any] = {
            "topic": text("topic", topic),
            "context": text("context", context),
            "num_top_candidates": count("num_top_candidates", num_top_candidates),
            "enable_novelty_filter": enable_novelty_filter,
            "novelty_threshold": number("novelty_threshold", novelty_threshold),
            "temperatures": temperatures(temperature_manager),
            "enhanced_reasoning": enhanced_reasoning,
            "timeout": seconds("timeout", DEFAULT_TIMEOUT if timeout is None else timeout),
            "stage_timeouts": {stage: seconds(stage, limit) for stage, limit in (stage_timeouts or {}).items()},
        }
        request = json.dumps(options, allow_nan=False)
        # Before the cache, which would answer for arguments that no run takes.
        _core.Coordinator.check(request)
        async with ProgressPump(self._callback(verbose)) as pump:
            cache = WorkflowCache(self._cache, topic, context, lambda: describe(self._router, options, files, urls))
            known = await cache.get()
            if known is not None:
                pump.emit("Answered from the cache", 1.0)
                return known
            asked = source(self._router, files, urls)
            results: list[dict[str, Any]] = json.loads(
                await finish(self._core.arun(asked, request, files, urls, pump.emit))
            )
            await cache.put(results)
            return results

    def _callback(self, verbose: bool) -> Callable[[str, float], object]:
        callback = self._progress
        if not verbose:
            return callback or _ignore
        import logging

        logger = logging.getLogger("madspark.progress")

        def tell(message: str, fraction: float) -> object:
            logger.info("%3.0f%% %s", fraction * 100, message)
            return None if callback is None else callback(message, fraction)

        return tell


def _ignore(_message: str, _fraction: float) -> None:
    """Take progress that nobody asked for."""
