"""The events of a run."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, TypeAdapter

from madspark.core.result import Document, Mode, Spending, StageStatus

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


class WorkflowEvent(Document):
    """The fields of every event."""

    run_id: str
    """The unique id of the run."""
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
    """The name of the event, which determines its fields."""

    def to_sse(self) -> str:
        """Return a server-sent event. Its `id` is the number, which browsers send back as `Last-Event-ID`."""
        # JSON text has no line breaks.
        return f"id: {self.sequence}\nevent: {self.type}\ndata: {self.model_dump_json()}\n\n"


class RunStarted(WorkflowEvent):
    """The run started."""

    type: Literal["run_started"]
    """The name of the event."""
    mode: Mode
    """How the calls are grouped."""
    stages: list[str]
    """The requested stages, in order."""


class StageStarted(WorkflowEvent):
    """The first idea entered a stage."""

    type: Literal["stage_started"]
    """The name of the event."""
    stage: str
    """The stage."""


class StageFinished(WorkflowEvent):
    """The last idea left a stage."""

    type: Literal["stage_finished"]
    """The name of the event."""
    stage: str
    """The stage."""
    status: StageStatus
    """Its outcome, as in `StageSummary`."""
    reason: str | None
    """Why the status is not "ok": the first failure."""


class IdeaGenerated(WorkflowEvent):
    """An idea was generated."""

    type: Literal["idea_generated"]
    """The name of the event."""
    idea_index: int
    """The index of the idea in its run, from 0."""
    idea: str
    """The idea as one text, "title: description"."""


class IdeaScored(WorkflowEvent):
    """An idea received a score, or its improved version if `stage` is "re_evaluation" or "re_multi_dimensional".

    The score of "multi_dimensional" and "re_multi_dimensional" is the overall score of the rating.
    """

    type: Literal["idea_scored"]
    """The name of the event."""
    stage: str
    """The stage that scored it."""
    idea_index: int
    """The index of the idea in its run, from 0."""
    score: float
    """The score, 0.0 to 10.0."""
    improvement_kept: bool | None
    """For "re_evaluation", whether the improved idea is kept, as in `Candidate`; otherwise None."""


class IdeasSelected(WorkflowEvent):
    """The ideas with the highest initial scores were selected, the highest first."""

    type: Literal["ideas_selected"]
    """The name of the event."""
    idea_indices: list[int]
    """The indices of the selected ideas, the highest score first."""


class IdeaImproved(WorkflowEvent):
    """An idea was improved. Whether the improvement is kept is known when it is scored."""

    type: Literal["idea_improved"]
    """The name of the event."""
    idea_index: int
    """The index of the idea in its run, from 0."""
    idea: str
    """The improved idea as one text."""


class AttemptFailed(WorkflowEvent):
    """An attempt failed. The router's policy decides what follows."""

    type: Literal["attempt_failed"]
    """The name of the event."""
    stage: str
    """The stage that made the call."""
    provider: str
    """The provider that failed."""
    model: str
    """Its model."""
    error: str
    """The class of the failure in snake case, as in `Attempt`."""
    reason: str | None
    """The failure in words."""
    status: int | None
    """The HTTP status of the reply; None if there was none."""


class FallbackTaken(WorkflowEvent):
    """The call continues with another provider or model."""

    type: Literal["fallback_taken"]
    """The name of the event."""
    stage: str
    """The stage that made the call."""
    provider: str
    """The provider that the call continues with."""
    model: str
    """Its model."""
    instead_of: str
    """The provider before."""


class BudgetSpent(WorkflowEvent):
    """The usage of the run so far; `is_reached` if the router's budget was reached."""

    type: Literal["budget"]
    """The name of the event."""
    spent: Spending
    """The usage of the run."""
    is_reached: bool
    """Whether the router's budget was reached."""


class Progress(WorkflowEvent):
    """The run made progress, as described by `message`."""

    type: Literal["progress"]
    """The name of the event."""


class RunFinished(WorkflowEvent):
    """The run ended; no event follows."""

    type: Literal["run_finished"]
    """The name of the event."""
    status: StageStatus
    """The outcome of the run, as in `WorkflowResult`."""
    partial: bool
    """Whether the run ended early."""
    reason: str | None
    """Why it ended early, in words."""
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
