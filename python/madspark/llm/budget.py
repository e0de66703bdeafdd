"""What a router may spend, set in `LLMRouter(budget=...)`."""

from madspark._core import Budget

__all__ = ["Budget"]
