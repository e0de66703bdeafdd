"""Validates the options of a run and converts them for the core and for cache keys."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from madspark._check import count, listed, number, seconds, text
from madspark.core.options import DEFAULT_TIMEOUT, RunOptions
from madspark.llm.exceptions import InvalidArgumentError, InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from madspark.core.gate import OnProvider, OnStage
    from madspark.llm.options import File, PageErrorPolicy


PROMPT_VERSION = 3
"""Part of every cache key. Changes with the text of any prompt, which invalidates earlier answers."""

_NO_LIMIT = 31_536_000.0
"""A year in seconds: no stage takes longer."""

STAGES = ("idea_generation", "evaluation", "advocacy", "skepticism")
"""The stages with a configurable temperature; the improvement uses that of the idea generation."""

TIMED_STAGES = (
    "idea_generation",
    "evaluation",
    "multi_dimensional",
    "logical_inference",
    "advocacy",
    "skepticism",
    "improvement",
    "re_evaluation",
)
"""The stages with a time of their own."""


class RunRequest:
    """The topic, context and options of one run, validated.

    Raises:
        TypeError: If an option is unknown or has the wrong type.
        ValueError: If an option has an invalid value.
    """

    __slots__ = ("files", "json", "on_page_error", "on_provider", "on_stage", "options", "urls", "verbose")

    def __init__(self, topic: str, context: str, options: Mapping[str, Any]) -> None:
        _check_names(options)
        get = options.get
        self.on_stage: OnStage | None = _function("on_stage", get("on_stage"))
        self.on_provider: OnProvider | None = _function("on_provider", get("on_provider"))
        self.verbose = bool(get("verbose", False))
        self.files: list[File] = listed("multimodal_files", get("multimodal_files"))
        self.urls: list[str] = listed("multimodal_urls", get("multimodal_urls"))
        self.on_page_error: PageErrorPolicy = get("on_page_error", "skip")
        if self.on_page_error not in ("fail", "skip"):
            raise InvalidRequestError(f'on_page_error must be "fail" or "skip", not {self.on_page_error!r}')
        timeout, language, stage_timeouts = get("timeout"), get("language"), get("stage_timeouts") or {}
        mode = get("mode", "auto")
        self.options: dict[str, Any] = {
            "topic": text("topic", topic),
            "context": text("context", context),
            "num_top_candidates": count("num_top_candidates", get("num_top_candidates", 2)),
            "enable_novelty_filter": get("enable_novelty_filter", True),
            "novelty_threshold": number("novelty_threshold", get("novelty_threshold", 0.8)),
            "temperatures": _temperatures(get("temperature_manager")),
            "enhanced_reasoning": get("enhanced_reasoning", False),
            "multi_dimensional_eval": get("multi_dimensional_eval", False),
            "logical_inference": get("logical_inference", False),
            **_reasoning(get("reasoning_engine")),
            "language": None if language is None else text("language", language),
            "timeout": seconds("timeout", DEFAULT_TIMEOUT if timeout is None else timeout),
            "stage_timeouts": {
                _timed_stage(stage): _NO_LIMIT if limit is None else seconds(stage, limit)
                for stage, limit in stage_timeouts.items()
            },
            "mode": mode,
            "batch_tokens": count("batch_tokens", get("batch_tokens", 16_000)),
            "evaluation": get("evaluation") or ("auto" if mode == "auto" else "together"),
            "order": get("order", "final"),
            "max_output_tokens": _output_tokens(get("max_output_tokens", "auto")),
            "use_cache": get("use_cache"),
        }
        self.json = json.dumps(self.options, allow_nan=False)

    def cache_options(self, router: Any) -> dict[str, Any]:
        """Return everything that can change the result of the run, as JSON-compatible data without any key.

        Reads the files, for their digests. `use_cache` is not part of it: it decides whether an answer is new, not what
        the question is.
        """
        import hashlib

        from madspark._core import __version__

        config = getattr(router, "config", None)
        return {
            **{name: value for name, value in self.options.items() if name not in _NOT_IN_KEY},
            "router": f"{type(router).__module__}.{type(router).__qualname__}",
            "provider": str(getattr(router, "primary_provider", None)),
            "model_tier": str(getattr(getattr(router, "model_tier", None), "value", None)),
            "fallback_enabled": getattr(router, "fallback_enabled", None) is True,
            "on_refusal": str(getattr(router, "on_refusal", None)),
            **{name: str(getattr(config, name, None)) for name in _TARGET_SETTINGS},
            "files": [_digest(file) for file in self.files],
            # An address may contain a secret.
            "urls": [hashlib.sha256(url.encode()).hexdigest() for url in self.urls],
            "version": __version__,
            "prompts": PROMPT_VERSION,
        }


_NOT_IN_KEY = {"topic", "context", "use_cache"}
"""The options that are not part of the key of a workflow cache, or a part of their own."""

_TARGET_SETTINGS = (
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
"""The attributes of an `LLMConfig` that select a model."""


def _check_names(options: Mapping[str, Any]) -> None:
    known = RunOptions.__annotations__
    for name in options:
        if name not in known:
            from madspark._nearest import nearest

            meant = nearest(name, known)
            hint = f"did you mean {meant!r}?" if meant else f"the options are {', '.join(known)}"
            raise InvalidArgumentError(f"unknown option {name!r}: {hint}")


def _timed_stage(name: str) -> str:
    if name not in TIMED_STAGES:
        from madspark._nearest import nearest

        meant = nearest(str(name), TIMED_STAGES)
        hint = f"did you mean {meant!r}?" if meant else f"the stages are {', '.join(TIMED_STAGES)}"
        raise InvalidRequestError(f"unknown stage {name!r} in stage_timeouts: {hint}")
    return name


def _function(name: str, value: Any) -> Any:
    if value is not None and not callable(value):
        raise InvalidArgumentError(f"{name} must be callable, not {type(value).__name__}")
    return value


def _output_tokens(value: Any) -> int | str:
    """Return the maximum number of output tokens, or the rule for it."""
    return value if isinstance(value, str) else count("max_output_tokens", value)


def _temperatures(manager: Any) -> dict[str, float | None]:
    """Return the temperature of each stage; empty for the defaults."""
    if manager is None:
        return {}
    lookup = getattr(manager, "get_temperature_for_stage", None)
    if not callable(lookup):
        raise TypeError(f"temperature_manager must have get_temperature_for_stage(), not {type(manager).__name__}")
    temperatures = {stage: _temperature(stage, lookup(stage)) for stage in STAGES}
    # Without a base, the stages with a fixed temperature send none either.
    is_off = all(value is None for value in temperatures.values())
    return {"base": None, **temperatures} if is_off else temperatures


def _temperature(stage: str, value: Any) -> float | None:
    return None if value is None else float(number(f"the temperature of {stage}", value))


def _reasoning(engine: Any) -> dict[str, Any]:
    """Return the inference options."""
    if engine is None:
        from madspark.agents.logical_inference import CONFIDENCE_THRESHOLD

        return {"inference_type": "full", "confidence_threshold": CONFIDENCE_THRESHOLD}
    kind, threshold = getattr(engine, "inference_type", None), getattr(engine, "confidence_threshold", None)
    if not isinstance(kind, str) or threshold is None:
        raise TypeError(
            f"reasoning_engine must have inference_type and confidence_threshold, not {type(engine).__name__}"
        )
    return {"inference_type": kind, "confidence_threshold": number("confidence_threshold", threshold)}


def _digest(file: File) -> str:
    import hashlib
    from pathlib import Path

    if isinstance(file, bytes):
        return hashlib.sha256(file).hexdigest()
    with Path(file).open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
