"""The configuration of a router."""

from madspark._core import LLMConfig
from madspark.llm.tiers import ModelTier

__all__ = ["LLMConfig", "ModelTier"]
