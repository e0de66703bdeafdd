"""The output of the skeptic."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from madspark.schemas.fields import Batch, IdeaIndex, TitledPoint


class QuestionableAssumption(BaseModel):
    """Something the idea takes for granted, and why that is doubtful."""

    assumption: Annotated[str, Field(min_length=1, max_length=500)]
    concern: Annotated[str, Field(min_length=1, max_length=1000)]


class MissingConsideration(BaseModel):
    """Something the idea leaves out, and why it matters."""

    aspect: Annotated[str, Field(min_length=1, max_length=200)]
    importance: Annotated[str, Field(min_length=1, max_length=1000)]


class Skepticism(BaseModel):
    """The case against an idea."""

    critical_flaws: list[TitledPoint]
    risks_and_challenges: list[TitledPoint]
    questionable_assumptions: list[QuestionableAssumption]
    missing_considerations: list[MissingConsideration]


class SkepticismForIdea(Skepticism):
    """The case against one idea of several."""

    idea_index: IdeaIndex


class SkepticismBatch(Batch[SkepticismForIdea]):
    """The case against each of several ideas."""
