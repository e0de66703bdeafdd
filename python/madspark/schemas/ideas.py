"""The output of the idea generator."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from madspark.schemas.fields import Batch


class IdeaItem(BaseModel):
    """One idea."""

    idea_number: Annotated[int, Field(ge=1, description="1 for the first idea, and so on.")]
    title: Annotated[str, Field(min_length=1, max_length=200)]
    description: Annotated[str, Field(min_length=10, max_length=2000)]
    key_features: list[str] | None = None
    category: Annotated[str, Field(max_length=100)] | None = None


class GeneratedIdeas(Batch[IdeaItem]):
    """All ideas of one call."""
