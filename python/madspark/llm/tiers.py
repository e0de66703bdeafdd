"""The model tiers."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["ModelTier"]


class ModelTier(StrEnum):
    """The model tier of a call. A member equals its value: `ModelTier.FAST == "fast"`."""

    FAST = "fast"
    """The small Ollama model."""
    BALANCED = "balanced"
    """The large Ollama model."""
    QUALITY = "quality"
    """Gemini is preferred, unless a provider is pinned."""
