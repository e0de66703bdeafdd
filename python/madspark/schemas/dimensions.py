"""The output of the multi-dimensional evaluator, and the evaluation derived from it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field

from madspark.schemas.fields import Batch, IdeaIndex


def _clamped(score: Any) -> Any:
    """Clamp a number to the scale. Other values are left for the validation to reject."""
    if isinstance(score, bool) or not isinstance(score, int | float) or score != score:  # noqa: PLR0124  (true for NaN)
        return score
    return min(max(score, 1.0), 10.0)


Dimension = Annotated[float, Field(ge=0, le=10, allow_inf_nan=False), BeforeValidator(_clamped)]
"""A score of one dimension, clamped to 1 to 10."""


class DimensionScores(BaseModel):
    """One idea on seven dimensions."""

    feasibility: Dimension
    innovation: Dimension
    impact: Dimension
    cost_effectiveness: Dimension
    scalability: Dimension
    risk_assessment: Annotated[Dimension, Field(description="Higher is safer.")]
    timeline: Dimension
    summary: Annotated[str, Field(min_length=1, max_length=1000)]


class DimensionScoresForIdea(DimensionScores):
    """One idea of several on seven dimensions."""

    idea_index: IdeaIndex


class DimensionEvaluations(Batch[DimensionScoresForIdea]):
    """Every idea on seven dimensions."""


class MultiDimensionalEvaluation(BaseModel):
    """What the seven scores of an idea come to."""

    overall_score: Annotated[float, Field(ge=1, le=10, description="The mean of the seven scores.")]
    weighted_score: Annotated[float, Field(ge=1, le=10, description="The sum of the seven scores by their weights.")]
    confidence_interval: Annotated[float, Field(ge=0, le=1, description="1 less a 25th of the scores' variance.")]
    dimension_scores: dict[str, float]
    weak_dimensions: Annotated[list[str], Field(description="Scores below 6, the lowest first, three at most.")]
    summary: str


class MultiDimensionalEvaluationForIdea(MultiDimensionalEvaluation):
    """What the seven scores of one idea of several come to."""

    idea_index: IdeaIndex
