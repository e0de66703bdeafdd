"""What a run hands back: typed, with what each stage and each agent took."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

__all__ = [
    "AgentSummary",
    "Candidate",
    "Problem",
    "ServedBy",
    "Spending",
    "StageMark",
    "StageSummary",
    "Usage",
    "WorkflowResult",
]

Status = Literal["ok", "degraded", "failed"]
StageStatus = Literal["ok", "degraded", "failed", "skipped"]
Mode = Literal["batch", "fanout"]


class Problem(BaseModel):
    """A stage that gave nothing for an idea, and why."""

    stage: str
    reason: str


class StageMark(BaseModel):
    """What a stage was for one idea; "skipped" where the idea did not come to it."""

    stage: str
    status: Literal["ok", "failed", "skipped"]
    reason: str | None = None


class Candidate(BaseModel):
    """An idea and what became of it. What a stage could not tell is None, never a made-up value."""

    idea_index: int
    """The number of the idea in its run, counting from 0 as the events do."""
    idea: str
    text: str
    initial_score: float | None = None
    initial_critique: str | None = None
    advocacy: str | None = None
    skepticism: str | None = None
    multi_dimensional_evaluation: dict[str, Any] | None = None
    improved_idea: str | None = None
    improved_score: float | None = None
    improved_critique: str | None = None
    improved_multi_dimensional_evaluation: dict[str, Any] | None = None
    score_delta: float | None = None
    is_meaningful_improvement: bool | None = None
    similarity_score: float | None = None
    logical_inference: dict[str, Any] | None = None
    """What follows from the idea; None where nobody asked, or what was answered is not certain enough."""
    status: Status = "ok"
    problems: list[Problem] = []
    stages: list[StageMark] = []
    """Every stage that was asked for, in order."""


class Usage(BaseModel):
    """Tokens by kind, in disjoint buckets."""

    input: int = 0
    cached_input: int = 0
    output: int = 0
    reasoning: int = 0
    tool: int = 0


class Spending(BaseModel):
    """What requests took."""

    calls: int = 0
    """Requests that went on the wire, with repairs, repetitions and fallbacks. Of a router of your own, its answers."""
    tokens: int = 0
    usage: Usage = Usage()
    """Those tokens by kind; a router of your own does not tell."""
    cost: float | None = 0.0
    """US dollars; None where a price is not known."""
    is_estimated: bool = False
    """Whether some tokens are an estimate: a request was given up before they were counted."""


class ServedBy(BaseModel):
    """Who answered, and how often."""

    provider: str
    model: str
    answers: int


class StageSummary(BaseModel):
    """What one stage was."""

    stage: str
    status: StageStatus
    reason: str | None
    """Why it is not ok: the first reason there was."""
    began: float | None
    """When it began, in seconds since the run did; None where it was not come to."""
    seconds: float
    """How long it took, from the first idea that came to it to the last that left."""
    ideas_ok: int
    ideas_failed: int
    spent: Spending
    served_by: list[ServedBy]


class AgentSummary(BaseModel):
    """What one agent took, over all its stages."""

    agent: str
    spent: Spending


class WorkflowResult(BaseModel):
    """What a run made, how well, and what it took."""

    run_id: str
    status: StageStatus
    """"ok" where every candidate went through every stage; "degraded"; "failed" where no idea has a score."""
    partial: bool
    """Whether the run ended before its end. What was finished by then is in the candidates."""
    cut: Literal["deadline", "budget", "cancelled", "stopped", "running"] | None = None
    """Why it did; "running" in a snapshot of a run that goes on."""
    reason: str | None = None
    """The same in words."""
    mode: Mode
    """How the calls were made."""
    candidates: list[Candidate]
    """The kept ideas, the best first; every idea where the run ended before it chose."""
    stages: list[StageSummary] = []
    """The stages that were asked for, in order."""
    agents: list[AgentSummary] = []
    served_by: list[ServedBy] = []
    """Who answered, the most often first."""
    spent: Spending = Spending()
    """What everything took."""
    seconds: float = 0.0
    """How long the run took."""
    cached: bool = False
    """Whether it comes from the workflow cache: nothing was asked then."""

    @property
    def calls(self) -> int:
        """Requests that went on the wire."""
        return self.spent.calls

    @property
    def tokens(self) -> int:
        """Tokens of all of them."""
        return self.spent.tokens

    @property
    def cost(self) -> float | None:
        """US dollars of all of them; None where a price is not known."""
        return self.spent.cost

    def stage(self, name: str) -> StageSummary:
        """The stage of this name.

        Raises:
            KeyError: The run was not asked for it.
        """
        for summary in self.stages:
            if summary.stage == name:
                return summary
        raise KeyError(name)

    def to_dicts(self) -> list[dict[str, Any]]:
        """The candidates as `run_workflow` returns them."""
        return [_as_dict(candidate) for candidate in self.candidates]


def _as_dict(candidate: Candidate) -> dict[str, Any]:
    told = candidate.model_dump(exclude={"idea_index", "stages"})
    if candidate.logical_inference is None:
        # Of all keys the only one that is there only where it has something to tell.
        del told["logical_inference"]
    return told
