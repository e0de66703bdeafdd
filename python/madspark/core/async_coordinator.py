"""The workflow as a coroutine."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, Unpack

import madspark
from madspark import _core
from madspark._check import count, seconds
from madspark._custom_router import router_or_default, source
from madspark._not_from_requests import keep_from_requests
from madspark._waiting import result_of
from madspark.core.options import DEFAULT_TIMEOUT, RunOptions, StartOptions
from madspark.llm.exceptions import InvalidRequestError
from madspark.llm.options import File, PageErrorPolicy
from madspark.utils.temperature_control import TemperatureManager

if TYPE_CHECKING:
    from madspark.core._cache import WorkflowCache
    from madspark.core._options import RunRequest

__all__ = ["AsyncCoordinator", "ProgressCallback"]

ProgressCallback: TypeAlias = Callable[[str, float], Awaitable[None] | None]
"""`(message, fraction)`, a coroutine function or a plain function. The fraction is 0.0 to 1.0 and never decreases."""

_BUFFER = 1024
_IDLE_SECONDS = 300.0


class AsyncCoordinator:
    """Runs the idea workflow: generate, evaluate, advocate, criticize, improve, evaluate again.

    A coordinator has no state of a run: one object can run many workflows concurrently, on any event loop.

    Args:
        max_concurrent_agents: The maximum of concurrent model calls, over all runs of this coordinator.
        progress_callback: Receives the progress. Exceptions it raises are logged.
        cache_manager: An object with `await get_cached_workflow(topic, context, options)`, which returns a dict with
            "candidates" or None, and `await cache_workflow_result(topic, context, options, {"candidates": [...]})`.
            Only runs without problems are stored. `options` includes everything that can change a result; for a custom
            router, its class and those `LLMRouter` attributes that it has.
        router: An `LLMRouter`, or any object with `generate_structured` (sync or async). None creates an `LLMRouter()`
            from the environment.

    Raises:
        ValueError: If `max_concurrent_agents` is less than 1.
        TypeError: If `router` or `progress_callback` has the wrong type.
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
            raise TypeError(f"progress_callback must be callable, not {type(progress_callback).__name__}")
        self._core = _core.Coordinator(max_concurrent_agents)
        self._progress = progress_callback
        self._cache = cache_manager
        self._router = router_or_default(router)

    @property
    def router(self) -> Any:
        """The router of all agents of this coordinator."""
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
        stage_timeouts: Mapping[str, float | None] | None = None,
        mode: Literal["auto", "batch", "fanout"] = "batch",
        evaluation: Literal["auto", "each", "together"] | None = None,
        max_output_tokens: int | Literal["auto", "unlimited"] = "auto",
        language: str | None = None,
        order: Literal["final", "initial"] = "final",
        use_cache: bool | None = None,
        on_page_error: PageErrorPolicy = "skip",
    ) -> list[dict[str, Any]]:
        """Run the workflow and return its candidates, the highest final score first.

        The options are those of `RunOptions`, which documents them. Cancelling the coroutine (Ctrl-C in the synchronous
        twin) closes every connection of the run.

        Args:
            topic: The topic of the ideas; not blank.
            context: Constraints and preferences; may be blank.

        Returns:
            A dict per candidate: idea, text, initial_score, initial_critique, advocacy, skepticism,
            multi_dimensional_evaluation, improved_idea, improved_score, improved_critique,
            improved_multi_dimensional_evaluation, score_delta, is_meaningful_improvement, similarity_score,
            improvement_kept, final_idea, final_score, status ("ok", "degraded" or "failed") and problems (each a dict
            of stage and reason). Fields of a stage that failed are None. A rating is a dict of overall_score,
            weighted_score, confidence_interval, dimension_scores by name, weak_dimensions and summary. If an inference
            is certain enough, the dict also has logical_inference: confidence, conclusion, inference_chain,
            improvements, and the fields of its inference type.

        Raises:
            ValueError: If an argument is invalid. Nothing is sent.
            TypeError: If an argument has the wrong type. Nothing is sent.
            AllProvidersFailedError: If no provider could generate ideas.
            WorkflowTimeoutError: If the timeout passes before ideas are selected. After that the finished part is
                returned, and its candidates report the failed stages.
        """
        arguments = dict(locals())
        del arguments["self"]
        request = self._request(**arguments)
        from madspark.core._progress import ProgressQueue

        async with ProgressQueue(self._progress, request.verbose) as progress:
            cache = self._workflow_cache(request)
            cached = await cache.get()
            if cached is not None:
                progress.emit("Answered from the cache", 1.0)
                return cached
            run = self._begin(request, progress.emit)
            progress.run_id = cache.run_id = run.id
            try:
                candidates: list[dict[str, Any]] = json.loads(await result_of(run.candidates()))
            finally:
                run.close()
            await cache.put(candidates)
            return candidates

    async def run(self, topic: str, context: str = "", **options: Unpack[RunOptions]) -> madspark.WorkflowResult:
        """Run the workflow and return its result.

        If the timeout, the budget or a gate ends the run early, the result is the finished part, with `partial` set.
        Cancelling the coroutine (Ctrl-C in the synchronous twin) closes every connection of the run; to keep the
        finished part then, use `start`.

        Args:
            topic: The topic of the ideas; not blank. The answers are in its language by default.
            context: Constraints and preferences; may be blank.
            options: See `RunOptions`.

        Raises:
            ValueError: If an argument is invalid. Nothing is sent.
            TypeError: If an argument has the wrong type or is unknown. Nothing is sent.
            LLMProviderError: If the run ends before there is a part to return.
        """
        request = self._request(topic, context, **options)
        from madspark.core._progress import ProgressQueue

        async with (
            ProgressQueue(self._progress, request.verbose) as progress,
            await self._start(request, progress.emit) as run,
        ):
            progress.run_id = run.id
            return await run.result()

    async def start(self, topic: str, context: str = "", **options: Unpack[StartOptions]) -> madspark.WorkflowRun:
        """Start a run and return it. The progress callback is not called; the run has events instead.

        The arguments are those of `run`, with the options of `StartOptions`.

        Raises:
            ValueError: If an argument is invalid. Nothing is sent.
            TypeError: If an argument has the wrong type or is unknown. Nothing is sent.
        """
        buffer, patience = options.pop("buffer", _BUFFER), options.pop("patience", _IDLE_SECONDS)
        if count("buffer", buffer) < 1:
            raise InvalidRequestError("buffer must be at least 1")
        idle_seconds = seconds("patience", patience)
        if idle_seconds <= 0:
            raise InvalidRequestError(f"patience must be a positive number of seconds, not {patience}")
        return await self._start(self._request(topic, context, **options), None, buffer, idle_seconds)

    def events(self, topic: str, context: str = "", **options: Unpack[StartOptions]) -> madspark.WorkflowEvents:
        """Iterate over the events of a run: `async for event in coordinator.events(topic)`.

        The run starts with the first event and ends when its reader leaves, as `WorkflowEvents` describes; use `start`
        for a run with readers that come and go. `await events.result()` returns the result. The arguments are those of
        `start`.
        """
        from madspark.core.run import WorkflowEvents

        return WorkflowEvents(None, start=lambda: self.start(topic, context, **options))

    def _request(self, topic: str, context: str, **options: Any) -> RunRequest:
        from madspark.core._options import RunRequest

        request = RunRequest(topic, context, options)
        # Before the cache lookup, which could succeed for invalid options.
        _core.Coordinator.check(request.json)
        return request

    def _workflow_cache(self, request: RunRequest) -> WorkflowCache:
        from madspark.core._cache import WorkflowCache

        # The decisions of a gate are not part of the key.
        is_off = request.on_stage is not None or request.options["use_cache"] is False
        manager = None if is_off else self._cache
        topic, context = request.options["topic"], request.options["context"]
        return WorkflowCache(manager, topic, context, lambda: request.cache_options(self._router))

    def _begin(
        self,
        request: RunRequest,
        emit: Callable[[str, float], object] | None,
        events: int = 0,
        idle_seconds: float = 0.0,
    ) -> _core.Run:
        gate = provider_gate = None
        if request.on_stage is not None:
            from madspark.core.gate import json_gate

            gate = json_gate(request.on_stage)
        if request.on_provider is not None:
            from madspark.core.gate import json_provider_gate

            provider_gate = json_provider_gate(request.on_provider)
        router = source(self._router, request.files, request.urls)
        return self._core.start(
            router,
            request.json,
            request.files,
            request.urls,
            request.on_page_error,
            emit,
            gate,
            provider_gate,
            events,
            idle_seconds,
        )

    async def _start(
        self,
        request: RunRequest,
        emit: Callable[[str, float], object] | None,
        events: int = 0,
        idle_seconds: float = 0.0,
    ) -> madspark.WorkflowRun:
        from madspark.core.run import WorkflowRun, cached_run

        cache = self._workflow_cache(request)
        cached = await cache.get()
        if cached is not None:
            if emit is not None:
                emit("Answered from the cache", 1.0)
            return cached_run(cached, request.options["mode"])
        return WorkflowRun(self._begin(request, emit, events, idle_seconds), cache)


keep_from_requests(AsyncCoordinator.__init__, "router", Any)
