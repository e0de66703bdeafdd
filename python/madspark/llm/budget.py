"""The budget of a router, for `LLMRouter(budget=...)`."""

from madspark._core import Budget

__all__ = ["Budget"]
