"""The options of a run, as a type.

A function that wraps a method can take the same options without repeating them:

>>> from typing import Unpack
>>> from madspark import RunOptions
>>> async def ideas(coordinator, topic: str, **options: Unpack[RunOptions]):
...     return await coordinator.run(topic, **options)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

import madspark
from madspark.llm.options import File, PageErrorPolicy
from madspark.utils.temperature_control import TemperatureManager

__all__ = ["DEFAULT_TIMEOUT", "RunOptions", "StartOptions"]

DEFAULT_TIMEOUT = 1200
"""The default timeout of a run, in seconds."""


class RunOptions(TypedDict, total=False):
    """The options of one run besides topic and context. All are optional."""

    num_top_candidates: int
    """The number of ideas that are selected after the evaluation, 1 to 5. max(5, n + 2) ideas are generated.
    Default 2."""
    enable_novelty_filter: bool
    """Whether near-duplicates among the generated ideas are removed. This is a local computation. Default True."""
    novelty_threshold: float
    """The similarity, 0.0 to 1.0, at which two ideas count as duplicates. Default 0.8."""
    temperature_manager: TemperatureManager | None
    """The temperatures of the stages, as a `TemperatureManager` or any object with its `get_temperature_for_stage`."""
    verbose: bool
    """Whether the progress is also logged, at INFO under the logger "madspark.progress". Default False."""
    enhanced_reasoning: bool
    """Whether an advocate and a skeptic review each selected idea before the improvement. Default False."""
    multi_dimensional_eval: bool
    """Whether the selected ideas, and later their improved versions, are rated on seven dimensions. The improvement
    addresses the weak dimensions. Default False."""
    logical_inference: bool
    """Whether conclusions are drawn from each selected idea. The improvement uses those that are certain enough.
    Default False."""
    reasoning_engine: Any
    """How conclusions are drawn: a `ReasoningEngine`, or any object with its `inference_type` and
    `confidence_threshold`. None means "full" and 0.5. The run uses its own router, not the engine's."""
    timeout: float | None
    """The timeout of the run in seconds. None means 1200."""
    multimodal_files: Sequence[File] | None
    """Paths or bytes of images, PDF and text files for the idea generation."""
    multimodal_urls: Sequence[str] | None
    """Web pages for the idea generation, at most 20. They are fetched here and sent as text. Gemini receives the
    addresses instead if it is the first provider, except those of `page_hosts`. A custom router receives them too."""
    on_page_error: PageErrorPolicy
    """What happens if a page cannot be read, here or by Gemini. "skip", the default, reports it to the model and
    continues: the run is degraded, and the `problems` of its candidates name the page. "fail" raises
    PageUnavailableError."""
    stage_timeouts: Mapping[str, float | None] | None
    """The time that the calls of each stage may take, in seconds; None means no limit. Waiting for a permit or for the
    limits of a server does not count. Defaults: idea_generation 300, evaluation 600, multi_dimensional 600 (for each of
    its two calls), logical_inference 240, advocacy 240, skepticism 240, improvement 600, re_evaluation 240; in
    proportion more with a timeout of the run of more than 1200 s."""
    mode: Literal["auto", "batch", "fanout"]
    """How the calls are grouped.

    "batch" makes one call per stage for all ideas: the fewest calls, for servers that process one request at a time.
    "fanout" makes one concurrent call per stage and idea, and an idea enters its next stage when it is ready: the
    shortest time, for servers that process requests concurrently. "auto" uses "fanout" if the first provider is hosted,
    and "batch" for Ollama, a server on this machine, a server limited to one request at a time, and a custom router.
    `LLMConfig(limits=...)` sets the concurrency of a server. Default "auto"; "batch" for `run_workflow`."""
    evaluation: Literal["auto", "each", "together"] | None
    """How the ideas of an evaluation are grouped in batch mode. "each" makes one call for each idea: small models rank
    ideas at chance if they see several at once. "together" makes one call for all, for models that rank well. "auto"
    is "each" on a local server, otherwise "together". None, the default, is "auto" if the mode is "auto", and
    "together" if it is "batch"."""
    max_output_tokens: int | Literal["auto", "unlimited"]
    """The maximum number of output tokens of each call. "auto", the default, is that of the longest answer that a stage
    asks for on a local server, and no limit elsewhere."""
    order: Literal["final", "initial"]
    """The order of the candidates: by `final_score`, the default, or by `initial_score`; the highest first, unscored
    candidates last, and equal scores in the order of the ideas. The selection is by the initial score with either."""
    use_cache: bool | None
    """Whether the answers of the models may come from the response cache and are stored there: True for all of them,
    False for none, and then the workflow cache (`cache_manager`) is not used either. None, the default, means the
    answers of the stages with temperature 0, if the router's cache is enabled. A custom router gets a value as
    `use_cache=`, None not at all."""
    language: str | None
    """The language of the answers, by its English name, its own name or its code ("German", "Deutsch", "de", "de-AT").
    None uses the language of the topic."""
    batch_tokens: int
    """The approximate maximum of idea tokens in one call; a stage with more makes several calls. Default 16 000."""
    on_stage: madspark.OnStage | None
    """A gate, `async (review) -> decision`, called after the generation, after the selection and after each later
    stage; in fan-out mode once per candidate after these. None or True continues, False or `StopWorkflow` ends the run
    with the finished part, and a list of candidates continues with these as edited. The time of a review counts towards
    the timeout of the run. A run with a gate neither reads nor writes the workflow cache."""

    on_provider: madspark.OnProvider | None
    """Called with a `ProviderUse` and awaited before the run sends its first request to each provider. False excludes
    the provider from the run; None or True permits it. An exception ends the run. Not called for answers from a cache,
    nor for a custom router, which chooses its providers itself."""


class StartOptions(RunOptions, total=False):
    """The options of a run whose events are read."""

    buffer: int
    """The number of events that are kept for reading again. The run waits before its next call while this many events
    are unread. Default 1024, which holds all events of a usual run."""
    patience: float
    """The idle timeout: the seconds after which a run that nobody waits for is cancelled. Default 300."""
