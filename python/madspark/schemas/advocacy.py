"""The output of the advocate."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from madspark.schemas.fields import Batch, IdeaIndex, TitledPoint


class AddressedConcern(BaseModel):
    """A concern and the answer to it."""

    concern: Annotated[str, Field(min_length=1, max_length=500)]
    response: Annotated[str, Field(min_length=1, max_length=1000)]


class Advocacy(BaseModel):
    """The case for an idea."""

    strengths: list[TitledPoint]
    opportunities: list[TitledPoint]
    addressing_concerns: list[AddressedConcern]


class AdvocacyForIdea(Advocacy):
    """The case for one idea of several."""

    idea_index: IdeaIndex


class AdvocacyBatch(Batch[AdvocacyForIdea]):
    """The case for each of several ideas."""
