"""The output of the structured idea generator."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from madspark.schemas.fields import Batch, IdeaIndex


class Improvement(BaseModel):
    """An idea made better by what was said for and against it."""

    improved_title: Annotated[str, Field(min_length=1, max_length=200)]
    improved_description: Annotated[str, Field(min_length=10, max_length=5000)]
    key_improvements: Annotated[list[str], Field(min_length=1)]
    implementation_steps: list[str] | None = None
    differentiators: list[str] | None = None


class ImprovementForIdea(Improvement):
    """One of several ideas made better."""

    idea_index: IdeaIndex


class ImprovementBatch(Batch[ImprovementForIdea]):
    """Each of several ideas made better."""
