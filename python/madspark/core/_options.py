"""A run's options in the core's terms, and in full for a cache's key."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from madspark._check import count, listed, number, seconds, text
from madspark.core.options import DEFAULT_TIMEOUT, RunOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from madspark.core.gate import OnStage
    from madspark.llm.options import File


PROMPT_VERSION = 2
"""Changes with the words of any prompt: what was answered to other words is not to be found any more."""

STAGES = ("idea_generation", "evaluation", "advocacy", "skepticism")
"""The stages with a temperature of their own; improvement uses that of idea_generation."""


def temperatures(manager: Any) -> dict[str, float]:
    """The temperature of each stage; empty for the defaults.

    Raises:
        TypeError: `manager` has no `get_temperature_for_stage`.
    """
    if manager is None:
        return {}
    lookup = getattr(manager, "get_temperature_for_stage", None)
    if not callable(lookup):
        message = f"temperature_manager must have get_temperature_for_stage(), not {type(manager).__name__}"
        raise TypeError(message)
    return {stage: number(f"the temperature of {stage}", float(lookup(stage))) for stage in STAGES}


def reasoning(engine: Any) -> dict[str, Any]:
    """How to reason, in the core's terms.

    Raises:
        TypeError: `engine` does not tell how to reason.
    """
    if engine is None:
        from madspark.agents.logical_inference import CONFIDENCE_THRESHOLD

        return {"inference_type": "full", "confidence_threshold": CONFIDENCE_THRESHOLD}
    kind, threshold = getattr(engine, "inference_type", None), getattr(engine, "confidence_threshold", None)
    if not isinstance(kind, str) or threshold is None:
        message = f"reasoning_engine must have inference_type and confidence_threshold, not {type(engine).__name__}"
        raise TypeError(message)
    return {"inference_type": kind, "confidence_threshold": number("confidence_threshold", threshold)}


class Prepared:
    """The options of one run, checked, in the core's terms."""

    __slots__ = ("files", "on_stage", "options", "request", "urls", "verbose")

    def __init__(self, topic: str, context: str, given: Mapping[str, Any]) -> None:
        unknown = sorted(given.keys() - RunOptions.__annotations__.keys())
        if unknown:
            message = f"unknown options: {', '.join(unknown)}"
            raise TypeError(message)
        self.on_stage: OnStage | None = given.get("on_stage")
        if self.on_stage is not None and not callable(self.on_stage):
            message = f"on_stage must be callable, not {type(self.on_stage).__name__}"
            raise TypeError(message)
        self.verbose = bool(given.get("verbose", False))
        self.files: list[File] = listed("multimodal_files", given.get("multimodal_files"))
        self.urls: list[str] = listed("multimodal_urls", given.get("multimodal_urls"))
        timeout, language = given.get("timeout"), given.get("language")
        limits = given.get("stage_timeouts") or {}
        self.options: dict[str, Any] = {
            "topic": text("topic", topic),
            "context": text("context", context),
            "num_top_candidates": count("num_top_candidates", given.get("num_top_candidates", 2)),
            "enable_novelty_filter": given.get("enable_novelty_filter", True),
            "novelty_threshold": number("novelty_threshold", given.get("novelty_threshold", 0.8)),
            "temperatures": temperatures(given.get("temperature_manager")),
            "enhanced_reasoning": given.get("enhanced_reasoning", False),
            "multi_dimensional_eval": given.get("multi_dimensional_eval", False),
            "logical_inference": given.get("logical_inference", False),
            **reasoning(given.get("reasoning_engine")),
            "language": None if language is None else text("language", language),
            "timeout": seconds("timeout", DEFAULT_TIMEOUT if timeout is None else timeout),
            "stage_timeouts": {stage: seconds(stage, limit) for stage, limit in limits.items()},
            "mode": given.get("mode", "auto"),
            "batch_tokens": count("batch_tokens", given.get("batch_tokens", 16_000)),
        }
        self.request = json.dumps(self.options, allow_nan=False)


def describe(router: Any, prepared: Prepared) -> dict[str, Any]:
    """Everything that could change a run's result, JSON-able and without any key; reads the files."""
    from madspark._core import __version__

    config = getattr(router, "config", None)
    target = {
        name: str(getattr(config, name, None))
        for name in (
            "ollama_host",
            "ollama_model_fast",
            "ollama_model_balanced",
            "ollama_num_ctx",
            "gemini_model",
            "gemini_base_url",
            "gemini_thinking_budget",
            "gemini_thinking_level",
            "openai_model",
            "openai_base_url",
            "anthropic_model",
            "anthropic_base_url",
        )
    }
    return {
        **{name: value for name, value in prepared.options.items() if name not in {"topic", "context"}},
        "router": f"{type(router).__module__}.{type(router).__qualname__}",
        "provider": str(getattr(router, "primary_provider", None)),
        "model_tier": str(getattr(getattr(router, "model_tier", None), "value", None)),
        "fallback_enabled": getattr(router, "fallback_enabled", None) is True,
        "on_refusal": str(getattr(router, "on_refusal", None)),
        **target,
        "files": [_digest(file) for file in prepared.files],
        "urls": list(prepared.urls),
        "version": __version__,
        "prompts": PROMPT_VERSION,
    }


def _digest(file: File) -> str:
    import hashlib
    from pathlib import Path

    if isinstance(file, bytes):
        return hashlib.sha256(file).hexdigest()
    with Path(file).open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
