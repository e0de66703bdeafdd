"""The configuration of one request: `LLMConfig` and `ModelTier`."""

from madspark._core import LLMConfig
from madspark.llm.tiers import ModelTier

__all__ = ["LLMConfig", "ModelTier"]
