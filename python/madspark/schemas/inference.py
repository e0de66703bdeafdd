"""The output of the logical inference engine."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from madspark.schemas.fields import Batch, IdeaIndex

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class LogicalInference(BaseModel):
    """What follows from one idea of several, of any type."""

    idea_index: IdeaIndex
    inference_chain: Annotated[list[str], Field(min_length=1)]
    conclusion: Annotated[str, Field(min_length=1, max_length=2000)]
    confidence: Share
    improvements: Annotated[str, Field(max_length=5000)] | None = None


class FullInference(LogicalInference):
    """Whether the idea reaches its aim."""


class CausalInference(LogicalInference):
    """What causes what."""

    causal_chain: Annotated[list[str], Field(min_length=1)]
    feedback_loops: list[str] | None = None
    root_cause: Annotated[str, Field(max_length=2000)] | None = None


class Constraint(BaseModel):
    """A constraint and how well an idea keeps it."""

    constraint: Annotated[str, Field(min_length=1, max_length=500)]
    satisfaction: Share
    explanation: Annotated[str, Field(max_length=1000)] | None = None


class ConstraintInference(LogicalInference):
    """Which constraints the idea keeps."""

    constraints: Annotated[list[Constraint], Field(min_length=1)]
    trade_offs: list[str] | None = None


class Contradiction(BaseModel):
    """Two things that cannot both be."""

    conflict: Annotated[str, Field(min_length=1, max_length=1000)]
    severity: Literal["low", "medium", "high"]


class ContradictionInference(LogicalInference):
    """Where the idea contradicts itself or the context."""

    contradictions: list[Contradiction]
    resolution: Annotated[str, Field(max_length=2000)] | None = None


class ImplicationInference(LogicalInference):
    """What the idea leads to."""

    implications: Annotated[list[str], Field(min_length=1)]
    second_order_effects: list[str] | None = None


class FullInferences(Batch[FullInference]):
    """Whether each idea reaches its aim."""


class CausalInferences(Batch[CausalInference]):
    """What causes what, for each idea."""


class ConstraintInferences(Batch[ConstraintInference]):
    """Which constraints each idea keeps."""


class ContradictionInferences(Batch[ContradictionInference]):
    """Where each idea contradicts itself or the context."""


class ImplicationInferences(Batch[ImplicationInference]):
    """What each idea leads to."""
