"""The output of the critic."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from madspark.schemas.fields import Batch, IdeaIndex, Score


class CriticEvaluation(BaseModel):
    """The critic's view of one idea."""

    idea_index: IdeaIndex
    score: Score
    comment: Annotated[str, Field(min_length=10, max_length=5000)]
    strengths: list[str] | None = None
    weaknesses: list[str] | None = None


class CriticEvaluations(Batch[CriticEvaluation]):
    """The critic's view of every idea."""
