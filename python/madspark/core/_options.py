"""A run's options in the core's terms, and in full for a cache's key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from madspark._check import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from madspark.llm._base_router import File

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


def describe(router: Any, options: dict[str, Any], files: Sequence[File], urls: Sequence[str]) -> dict[str, Any]:
    """Everything that could change a run's result, JSON-able and without any key; reads the files."""
    config = getattr(router, "config", None)
    target = {
        name: str(getattr(config, name, None))
        for name in (
            "ollama_host",
            "ollama_model_fast",
            "ollama_model_balanced",
            "gemini_model",
            "gemini_base_url",
            "openai_model",
            "openai_base_url",
            "anthropic_model",
            "anthropic_base_url",
        )
    }
    return {
        **{name: value for name, value in options.items() if name not in {"topic", "context"}},
        "router": f"{type(router).__module__}.{type(router).__qualname__}",
        "provider": str(getattr(router, "primary_provider", None)),
        "model_tier": str(getattr(getattr(router, "model_tier", None), "value", None)),
        "fallback_enabled": getattr(router, "fallback_enabled", None) is True,
        **target,
        "files": [_digest(file) for file in files],
        "urls": list(urls),
    }


def _digest(file: File) -> str:
    import hashlib
    from pathlib import Path

    if isinstance(file, bytes):
        return hashlib.sha256(file).hexdigest()
    with Path(file).open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
