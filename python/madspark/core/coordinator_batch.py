"""The workflow with one model call per stage, for any provider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from madspark.core.coordinator import run_multistep_workflow
from madspark.core.options import DEFAULT_TIMEOUT
from madspark.llm.options import File, PageErrorPolicy
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
    stage_timeouts: Mapping[str, float | None] | None = None,
    language: str | None = None,
    order: Literal["final", "initial"] = "final",
    use_cache: bool | None = None,
    on_page_error: PageErrorPolicy = "skip",
) -> list[dict[str, Any]]:
    """Run the workflow once in batch mode, as `run_multistep_workflow` does: one call per stage for all its ideas."""
    return run_multistep_workflow(**locals(), mode="batch")
