"""The agents as typed classes. Their modules also have the functions of the previous package.

Each class and function takes a router: an `LLMRouter`, or any object with `generate_structured`. None builds an
`LLMRouter` from the environment. The topic of a request must not be blank; its context may be. Each synchronous method
has a coroutine twin whose name starts with "a".
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
