"""Concurrency and rate limits of a provider, for `LLMConfig(limits=...)`."""

from madspark._core import Limits

__all__ = ["Limits"]
