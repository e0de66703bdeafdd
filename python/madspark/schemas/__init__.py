"""Pydantic models of the agents' outputs.

A reply that violates a bound is repaired or rejected, never truncated. The core validates the same bounds; these models
are for callers that parse stored replies or write their own agents.
"""

from madspark.schemas.advocacy import AddressedConcern, Advocacy, AdvocacyBatch, AdvocacyForIdea
from madspark.schemas.dimensions import (
    DimensionEvaluations,
    DimensionScores,
    DimensionScoresForIdea,
    MultiDimensionalEvaluation,
    MultiDimensionalEvaluationForIdea,
)
from madspark.schemas.evaluation import CriticEvaluation, CriticEvaluations
from madspark.schemas.fields import TitledPoint
from madspark.schemas.ideas import GeneratedIdeas, IdeaItem
from madspark.schemas.improvement import Improvement, ImprovementBatch, ImprovementForIdea
from madspark.schemas.inference import (
    CausalInference,
    CausalInferences,
    Constraint,
    ConstraintInference,
    ConstraintInferences,
    Contradiction,
    ContradictionInference,
    ContradictionInferences,
    FullInference,
    FullInferences,
    ImplicationInference,
    ImplicationInferences,
    LogicalInference,
)
from madspark.schemas.skepticism import (
    MissingConsideration,
    QuestionableAssumption,
    Skepticism,
    SkepticismBatch,
    SkepticismForIdea,
)

__all__ = [
    "AddressedConcern",
    "Advocacy",
    "AdvocacyBatch",
    "AdvocacyForIdea",
    "CausalInference",
    "CausalInferences",
    "Constraint",
    "ConstraintInference",
    "ConstraintInferences",
    "Contradiction",
    "ContradictionInference",
    "ContradictionInferences",
    "CriticEvaluation",
    "CriticEvaluations",
    "DimensionEvaluations",
    "DimensionScores",
    "DimensionScoresForIdea",
    "FullInference",
    "FullInferences",
    "GeneratedIdeas",
    "IdeaItem",
    "ImplicationInference",
    "ImplicationInferences",
    "Improvement",
    "ImprovementBatch",
    "ImprovementForIdea",
    "LogicalInference",
    "MissingConsideration",
    "MultiDimensionalEvaluation",
    "MultiDimensionalEvaluationForIdea",
    "QuestionableAssumption",
    "Skepticism",
    "SkepticismBatch",
    "SkepticismForIdea",
    "TitledPoint",
]
