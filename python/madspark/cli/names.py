"""The names of providers in messages."""

from __future__ import annotations

__all__ = ["NAMES", "name_of"]

NAMES = {
    "ollama": "Ollama",
    "gemini": "Gemini",
    "openai": "the OpenAI-compatible server",
    "anthropic": "Anthropic",
}


def name_of(provider: str) -> str:
    """Return the name of `provider` in a sentence."""
    return NAMES.get(provider, provider)
