"""The agents, as typed classes and as the functions of the existing package.

Each class takes a router (an `LLMRouter`, or any object with `generate_structured`) and has synchronous methods and
coroutines of the same name with an `a` in front. Without a router it builds a fresh one from the environment.
"""

from madspark.agents.advocate import Advocate
from madspark.agents.critic import Critic
from madspark.agents.idea_generator import IdeaGenerator
from madspark.agents.logical_inference import LogicalInferenceEngine
from madspark.agents.multi_dimensional import MultiDimensionalEvaluator
from madspark.agents.skeptic import Skeptic
from madspark.agents.structured_idea_generator import StructuredIdeaGenerator

__all__ = [
    "Advocate",
    "Critic",
    "IdeaGenerator",
    "LogicalInferenceEngine",
    "MultiDimensionalEvaluator",
    "Skeptic",
    "StructuredIdeaGenerator",
]
