"""How much model a caller wants."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["ModelTier"]


class ModelTier(StrEnum):
    """How much model a call gets. A member equals its name: ``ModelTier.FAST == "fast"``."""

    FAST = "fast"
    """The small Ollama model."""
    BALANCED = "balanced"
    """The large Ollama model."""
    QUALITY = "quality"
    """Gemini preferred, unless the caller pinned a provider."""
