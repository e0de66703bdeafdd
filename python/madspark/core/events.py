"""The events of a run."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, Field, TypeAdapter

from madspark.core.result import Mode, Spending, StageStatus

__all__ = [
    "AttemptFailed",
    "BudgetSpent",
    "Event",
    "FallbackTaken",
    "IdeaGenerated",
    "IdeaImproved",
    "IdeaScored",
    "IdeasSelected",
    "Progress",
    "RunFinished",
    "RunStarted",
    "StageFinished",
    "StageStarted",
    "WorkflowEvent",
]


class WorkflowEvent(BaseModel):
    """The fields of every event."""

    run_id: str
    sequence: int
    """The number of the event in its run, from 1, without gaps."""
    seconds: float
    """Seconds since the run started."""
    fraction: float
    """The progress of the run, 0.0 to 1.0; never decreases."""
    seconds_left: float | None
    """The estimated remaining seconds; None until the first stage has been measured."""
    message: str | None
    """A message for progress displays, if any."""
    type: str

    def to_sse(self) -> str:
        """Return a server-sent event. Its `id` is the number, which browsers send back as `Last-Event-ID`."""
        # JSON text has no line breaks.
        return f"id: {self.sequence}\nevent: {self.type}\ndata: {self.model_dump_json()}\n\n"


class RunStarted(WorkflowEvent):
    """The run started."""

    type: Literal["run_started"]
    mode: Mode
    stages: list[str]


class StageStarted(WorkflowEvent):
    """The first idea entered a stage."""

    type: Literal["stage_started"]
    stage: str


class StageFinished(WorkflowEvent):
    """The last idea left a stage."""

    type: Literal["stage_finished"]
    stage: str
    status: StageStatus
    reason: str | None


class IdeaGenerated(WorkflowEvent):
    """An idea was generated."""

    type: Literal["idea_generated"]
    idea_index: int
    idea: str


class IdeaScored(WorkflowEvent):
    """An idea received a score, or its improved version if `stage` is "re_evaluation" or "re_multi_dimensional".

    The score of "multi_dimensional" and "re_multi_dimensional" is the overall score of the rating.
    """

    type: Literal["idea_scored"]
    stage: str
    idea_index: int
    score: float
    improvement_kept: bool | None
    """For "re_evaluation", whether the improved idea is kept, as in `Candidate`; otherwise None."""


class IdeasSelected(WorkflowEvent):
    """The ideas with the highest initial scores were selected, the highest first."""

    type: Literal["ideas_selected"]
    idea_indices: list[int]


class IdeaImproved(WorkflowEvent):
    """An idea was improved. Whether the improvement is kept is known when it is scored."""

    type: Literal["idea_improved"]
    idea_index: int
    idea: str


class AttemptFailed(WorkflowEvent):
    """An attempt failed. The router's policy decides what follows."""

    type: Literal["attempt_failed"]
    stage: str
    provider: str
    model: str
    error: str
    reason: str | None
    status: int | None


class FallbackTaken(WorkflowEvent):
    """The call continues with another provider or model."""

    type: Literal["fallback_taken"]
    stage: str
    provider: str
    model: str
    instead_of: str


class BudgetSpent(WorkflowEvent):
    """The usage of the run so far; `is_reached` if the router's budget was reached."""

    type: Literal["budget"]
    spent: Spending
    is_reached: bool


class Progress(WorkflowEvent):
    """The run made progress, as described by `message`."""

    type: Literal["progress"]


class RunFinished(WorkflowEvent):
    """The run ended; no event follows."""

    type: Literal["run_finished"]
    status: StageStatus
    partial: bool
    reason: str | None
    idea_indices: list[int]
    """The candidates of the result, in its order."""


Event: TypeAlias = Annotated[
    RunStarted
    | StageStarted
    | StageFinished
    | IdeaGenerated
    | IdeaScored
    | IdeasSelected
    | IdeaImproved
    | AttemptFailed
    | FallbackTaken
    | BudgetSpent
    | Progress
    | RunFinished,
    Field(discriminator="type"),
]
"""Any event, distinguished by `type`."""

PAGE: TypeAdapter[list[Event]] = TypeAdapter(list[Event])
"""Parses a page of events from the core."""
