"""What happens in a run, typed: each event has its number, how far the run is, and how long it has still to go."""

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
    """What every event has."""

    run_id: str
    sequence: int
    """The number of the event in its run, counting from 1, without gaps."""
    seconds: float
    """Seconds since the run began."""
    fraction: float
    """How far the run is, 0.0 to 1.0; never goes backwards."""
    seconds_left: float | None
    """About how many seconds the run has still to go; None before its first stage has shown how fast the models are."""
    message: str | None
    """The event for people; None where there is nothing to say beyond its fields."""
    type: str

    def to_sse(self) -> str:
        """The event as a server-sent one: its number is the `id`, which browsers send back as `Last-Event-ID`."""
        # JSON has no line breaks of its own.
        return f"id: {self.sequence}\nevent: {self.type}\ndata: {self.model_dump_json()}\n\n"


class RunStarted(WorkflowEvent):
    """The run begins."""

    type: Literal["run_started"]
    mode: Mode
    stages: list[str]


class StageStarted(WorkflowEvent):
    """The first idea has come to a stage."""

    type: Literal["stage_started"]
    stage: str


class StageFinished(WorkflowEvent):
    """The last idea has left a stage."""

    type: Literal["stage_finished"]
    stage: str
    status: StageStatus
    reason: str | None


class IdeaGenerated(WorkflowEvent):
    """There is an idea."""

    type: Literal["idea_generated"]
    idea_index: int
    idea: str


class IdeaScored(WorkflowEvent):
    """An idea has a score, or its improvement, where `stage` is "re_evaluation" or "re_multi_dimensional".

    That of the two ratings, "multi_dimensional" and "re_multi_dimensional", is their overall score.
    """

    type: Literal["idea_scored"]
    stage: str
    idea_index: int
    score: float


class IdeasSelected(WorkflowEvent):
    """The best ideas are chosen; the best first."""

    type: Literal["ideas_selected"]
    idea_indices: list[int]


class IdeaImproved(WorkflowEvent):
    """An idea has become a better one."""

    type: Literal["idea_improved"]
    idea_index: int
    idea: str


class AttemptFailed(WorkflowEvent):
    """A request to a provider failed, or its reply could not be used. What follows is the router's policy."""

    type: Literal["attempt_failed"]
    stage: str
    provider: str
    model: str
    error: str
    reason: str | None
    status: int | None


class FallbackTaken(WorkflowEvent):
    """Another provider or model is asked instead."""

    type: Literal["fallback_taken"]
    stage: str
    provider: str
    model: str
    instead_of: str


class BudgetSpent(WorkflowEvent):
    """What the run has spent so far; `is_reached` where the router's budget is used up."""

    type: Literal["budget"]
    spent: Spending
    is_reached: bool


class Progress(WorkflowEvent):
    """The run goes on; `message` tells with what."""

    type: Literal["progress"]


class RunFinished(WorkflowEvent):
    """Nothing follows; the result is there."""

    type: Literal["run_finished"]
    status: StageStatus
    partial: bool
    reason: str | None


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
"""Any of them, told apart by `type`."""

PAGE: TypeAdapter[list[Event]] = TypeAdapter(list[Event])
"""Reads what the core tells at a time."""
