"""The workflow as a coroutine."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, Unpack

import madspark
from madspark import _core
from madspark._check import count, seconds
from madspark._custom_router import router_or_default, source
from madspark._waiting import result_of
from madspark.core.options import DEFAULT_TIMEOUT, RunOptions
from madspark.llm.options import File
from madspark.utils.temperature_control import TemperatureManager

if TYPE_CHECKING:
    from madspark.core._cache import WorkflowCache
    from madspark.core._options import Prepared

ProgressCallback: TypeAlias = Callable[[str, float], Awaitable[None] | None]


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
        mode: Literal["auto", "batch", "fanout"] = "batch",
        language: str | None = None,
    ) -> list[dict[str, Any]]:
        """Run the workflow and return its candidates, the highest initial score first.

        Cancelling the coroutine, or leaving it through `asyncio.wait_for`, closes every connection of the run.

        Args:
            topic: What the ideas are about; not blank. The answers are in its language, unless `language` names one.
            context: What limits or guides them; may be blank.
            num_top_candidates: 1 to 5. max(5, n + 2) ideas are asked for.
            enable_novelty_filter: Whether near-duplicates among the ideas are dropped, locally.
            novelty_threshold: 0.0 to 1.0; two ideas at least this similar are duplicates.
            temperature_manager: The stages' temperatures; None means the defaults.
            verbose: Whether the progress is logged too, at INFO under the logger "madspark.progress".
            enhanced_reasoning: Whether an advocate and a skeptic speak before the improvement.
            multi_dimensional_eval: Whether the kept ideas, and then their improved versions, are rated on seven
                dimensions. The improver is told of the weak ones.
            logical_inference: Whether it is reasoned what follows from the kept ideas. The improver is told of what is
                certain enough.
            reasoning_engine: A `ReasoningEngine`, or any object with its `inference_type` and `confidence_threshold`:
                how to reason where `logical_inference` asks for it. None means "full" and 0.5. The run asks its own
                router, whatever router the engine has.
            timeout: Seconds for the whole run; None means 1200.
            multimodal_files: Paths or bytes of images, PDF and text files that the ideas are drawn from.
            multimodal_urls: Web pages the provider reads by itself; Gemini can.
            stage_timeouts: Seconds per stage over the defaults: idea_generation 300, evaluation 600,
                multi_dimensional 600 (each of its two calls), logical_inference 240, advocacy 240, skepticism 240,
                improvement 600, re_evaluation 240.
            mode: How the calls are made: "batch" for one call a stage, "fanout" for one for each idea, "auto" to choose
                by the provider. See `madspark.core.options.RunOptions`.
            language: The language of the answers, by its English or own name or its code ("German", "Deutsch", "de",
                "de-AT"); None follows the topic.

        Returns:
            A dict per candidate: idea, text, initial_score, initial_critique, advocacy, skepticism,
            multi_dimensional_evaluation, improved_idea, improved_score, improved_critique,
            improved_multi_dimensional_evaluation, score_delta, is_meaningful_improvement, similarity_score, status
            ("ok", "degraded" or "failed") and problems (each a dict of stage and reason). What a stage could not
            tell is None, never a made-up value. A rating is a dict of overall_score, weighted_score,
            confidence_interval, dimension_scores by name, weak_dimensions and summary. Where an inference was certain
            enough, there is logical_inference besides: confidence, conclusion, inference_chain, improvements, and what
            the type of inference adds.

        Raises:
            ValueError: For a wrong argument; nothing was sent.
            TypeError: For an argument of a wrong type; nothing was sent.
            AllProvidersFailedError: No provider could generate ideas.
            WorkflowTimeoutError: The time ran out before there was anything to return; later, the finished part is
                returned and its candidates are marked.
        """
        prepared = self._prepare(
            topic,
            context,
            {
                "num_top_candidates": num_top_candidates,
                "enable_novelty_filter": enable_novelty_filter,
                "novelty_threshold": novelty_threshold,
                "temperature_manager": temperature_manager,
                "verbose": verbose,
                "enhanced_reasoning": enhanced_reasoning,
                "multi_dimensional_eval": multi_dimensional_eval,
                "logical_inference": logical_inference,
                "reasoning_engine": reasoning_engine,
                "timeout": timeout,
                "multimodal_files": multimodal_files,
                "multimodal_urls": multimodal_urls,
                "stage_timeouts": stage_timeouts,
                "mode": mode,
                "language": language,
            },
        )
        from madspark.core._progress import ProgressPump

        async with ProgressPump(self._callback(prepared.verbose)) as pump:
            cache = self._workflow_cache(prepared)
            known = await cache.get()
            if known is not None:
                pump.emit("Answered from the cache", 1.0)
                return known
            run = self._begin(prepared, pump.emit)
            try:
                results: list[dict[str, Any]] = json.loads(await result_of(run.candidates()))
            finally:
                run.close()
            await cache.put(results)
            return results

    async def run(self, topic: str, context: str = "", **options: Unpack[RunOptions]) -> madspark.WorkflowResult:
        """Run the workflow and return what it made, how well, and what it took.

        Where the time or the budget runs out, or a gate stops the run, the result is the finished part, with `partial`
        set. A caller that is cancelled gets `CancelledError`, as everywhere in asyncio, and every connection of the run
        is closed; who wants the part then holds the run: see `start`.

        Args:
            topic: What the ideas are about; not blank. The answers are in its language.
            context: What limits or guides them; may be blank.
            options: See `madspark.core.options.RunOptions`.

        Raises:
            ValueError: For a wrong argument; nothing was sent.
            TypeError: For an argument of a wrong type, and for an unknown one.
            LLMProviderError: What ended the run before there was a part to return: its class tells what.
        """
        prepared = self._prepare(topic, context, options)
        from madspark.core._progress import ProgressPump

        async with (
            ProgressPump(self._callback(prepared.verbose)) as pump,
            await self._started(prepared, pump.emit) as run,
        ):
            return await run.result()

    async def start(
        self,
        topic: str,
        context: str = "",
        *,
        buffer: int = 1024,
        patience: float = 300.0,
        **options: Unpack[RunOptions],
    ) -> madspark.WorkflowRun:
        """Start a run and return it. The progress callback is not called: the events of the run tell more.

        Args:
            topic: What the ideas are about; not blank.
            context: What limits or guides them; may be blank.
            buffer: How many events are kept for reading again; with so many unread ones the run waits before its next
                call. The default holds every event of any usual run.
            patience: Seconds after which a run that nobody waits for is cancelled.
            options: See `madspark.core.options.RunOptions`.

        Raises:
            ValueError: For a wrong argument; nothing was sent.
            TypeError: For an argument of a wrong type, and for an unknown one.
        """
        if count("buffer", buffer) < 1:
            message = "buffer must be at least 1"
            raise ValueError(message)
        if seconds("patience", patience) <= 0:
            message = f"patience must be a positive number of seconds, not {patience}"
            raise ValueError(message)
        prepared = self._prepare(topic, context, options)
        return await self._started(prepared, None, buffer, patience)

    def events(
        self,
        topic: str,
        context: str = "",
        *,
        buffer: int = 1024,
        patience: float = 300.0,
        **options: Unpack[RunOptions],
    ) -> madspark.WorkflowEvents:
        """Iterate over the events of a run that begins with the first of them: `async for event in c.events(topic)`.

        Closing or dropping the iterator cancels the run. The arguments are those of `start`, which is for runs whose
        readers come and go; `await events.result()` gives the result.
        """
        from madspark.core.run import WorkflowEvents

        return WorkflowEvents(
            None, begin=lambda: self.start(topic, context, buffer=buffer, patience=patience, **options)
        )

    def _prepare(self, topic: str, context: str, options: Mapping[str, Any]) -> Prepared:
        from madspark.core._options import Prepared

        prepared = Prepared(topic, context, options)
        # Before the cache, which would answer for arguments that no run takes.
        _core.Coordinator.check(prepared.request)
        return prepared

    def _workflow_cache(self, prepared: Prepared) -> WorkflowCache:
        from madspark.core._cache import WorkflowCache
        from madspark.core._options import describe

        # What a gate decided for one run holds for no other.
        manager = None if prepared.on_stage is not None else self._cache
        topic, context = prepared.options["topic"], prepared.options["context"]
        return WorkflowCache(manager, topic, context, lambda: describe(self._router, prepared))

    def _begin(
        self,
        prepared: Prepared,
        emit: Callable[[str, float], object] | None,
        events: int = 0,
        patience: float = 0.0,
    ) -> _core.Run:
        gate = None
        if prepared.on_stage is not None:
            from madspark.core.gate import json_gate

            gate = json_gate(prepared.on_stage)
        asked = source(self._router, prepared.files, prepared.urls)
        return self._core.start(asked, prepared.request, prepared.files, prepared.urls, emit, gate, events, patience)

    async def _started(
        self,
        prepared: Prepared,
        emit: Callable[[str, float], object] | None,
        events: int = 0,
        patience: float = 0.0,
    ) -> madspark.WorkflowRun:
        from madspark.core.run import WorkflowRun, cached_run

        cache = self._workflow_cache(prepared)
        known = await cache.get()
        if known is not None:
            if emit is not None:
                emit("Answered from the cache", 1.0)
            return cached_run(known, prepared.options["mode"])
        return WorkflowRun(self._begin(prepared, emit, events, patience), cache)

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
