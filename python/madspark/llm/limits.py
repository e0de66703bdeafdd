"""Limits of what a provider is asked for, set in `LLMConfig(limits=...)`."""

from madspark._core import Limits

__all__ = ["Limits"]
