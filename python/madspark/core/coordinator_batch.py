"""The workflow with one model call for each stage, whatever the provider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from madspark.core.coordinator import run_multistep_workflow
from madspark.core.options import DEFAULT_TIMEOUT
from madspark.llm.options import File
from madspark.utils.temperature_control import TemperatureManager

__all__ = ["run_multistep_workflow_batch"]


def run_multistep_workflow_batch(
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
    language: str | None = None,
) -> list[dict[str, Any]]:
    """Do as `run_multistep_workflow` in the mode "batch": each stage asks about all its ideas in one call."""
    return run_multistep_workflow(
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
        router,
        stage_timeouts=stage_timeouts,
        mode="batch",
        language=language,
    )
