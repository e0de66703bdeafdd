"""What a caller may choose for one run of the workflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

import madspark
from madspark.llm.options import File
from madspark.utils.temperature_control import TemperatureManager

__all__ = ["DEFAULT_TIMEOUT", "RunOptions"]

DEFAULT_TIMEOUT = 1200
"""Seconds a whole run may take where the caller sets no bound."""


class RunOptions(TypedDict, total=False):
    """What a caller may choose for one run, besides topic and context. Everything may be left out.

    Those that `AsyncCoordinator.run_workflow` has mean the same. In addition:

    language: The language of the answers by name or code; None follows the topic.
    mode: "batch" asks about all ideas of a stage in one call: the fewest calls, for servers that answer one at a time.
        "fanout" asks about each idea by itself, at the same time, and each goes on to its next stage when it is ready:
        the shortest time, for servers that answer many at a time. "auto", the default, takes "fanout" where the
        provider that is asked first is a hosted one, and "batch" otherwise: for Ollama, a server on this machine, one
        limited to one request at a time, and a router of your own. `LLMConfig(limits=...)` tells of a server's places.
    batch_tokens: About how many tokens about ideas one call tells at most; a stage with more makes several calls.
    on_stage: A gate: `async (review) -> verdict`, asked after the generation, after the selection and after each later
        stage; in "fanout" after those with one candidate each. None or True goes on, False or `StopWorkflow` ends the
        run with what there is, and a list of candidates goes on with these and their changes. Its time is the run's.
        Such a run is neither answered from a cache nor kept in one.
    """

    num_top_candidates: int
    enable_novelty_filter: bool
    novelty_threshold: float
    temperature_manager: TemperatureManager | None
    verbose: bool
    enhanced_reasoning: bool
    multi_dimensional_eval: bool
    logical_inference: bool
    reasoning_engine: Any
    timeout: float | None
    multimodal_files: Sequence[File] | None
    multimodal_urls: Sequence[str] | None
    stage_timeouts: Mapping[str, float] | None
    mode: Literal["auto", "batch", "fanout"]
    language: str | None
    batch_tokens: int
    on_stage: madspark.OnStage | None
