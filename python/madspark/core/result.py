"""The result of a run, with the status and usage of each stage and agent."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, computed_field

from madspark._described import DescribedModel
from madspark.core.ratings import Inference, Rating

__all__ = [
    "AgentSummary",
    "Candidate",
    "Problem",
    "ServedBy",
    "Spending",
    "StageOutcome",
    "StageSummary",
    "Usage",
    "WorkflowResult",
]

Status = Literal["ok", "degraded", "failed"]
StageStatus = Literal["ok", "degraded", "failed", "skipped"]
Mode = Literal["batch", "fanout"]


class Document(DescribedModel):
    """The base of results and events: their JSON Schema describes each field and requires those that are always set."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class Problem(Document):
    """A stage that failed for an idea."""

    stage: str
    """The stage that failed."""
    reason: str
    """Why, in words."""


class StageOutcome(Document):
    """The outcome of a stage for one idea; "skipped" if the idea did not reach it."""

    stage: str
    """The stage."""
    status: Literal["ok", "failed", "skipped"]
    """Its outcome."""
    reason: str | None = None
    """Why it failed, in words; None if it did not."""


class Candidate(Document):
    """An idea and the outputs of the stages for it. Fields of a stage that failed are None."""

    idea_index: int
    """The index of the idea in its run, from 0, as in events."""
    idea: str
    """The idea as one text, "title: description"."""
    text: str
    """The same as `idea`."""
    initial_score: float | None = None
    """The score of the idea, 0.0 to 10.0."""
    initial_critique: str | None = None
    """The critic's comment on the idea."""
    advocacy: str | None = None
    """The arguments for the idea, as bullet points."""
    skepticism: str | None = None
    """The arguments against the idea, as bullet points."""
    multi_dimensional_evaluation: Rating | None = None
    """The rating of the idea; None if it was not requested."""
    improved_idea: str | None = None
    """The improved idea as one text."""
    improved_score: float | None = None
    """The score of the improved idea, 0.0 to 10.0."""
    improved_critique: str | None = None
    """The critic's comment on the improved idea."""
    improved_multi_dimensional_evaluation: Rating | None = None
    """The rating of the improved idea; None if it was not requested."""
    score_delta: float | None = None
    """The improved score minus the initial score."""
    is_meaningful_improvement: bool | None = None
    """Whether the improvement is meaningful; None if a score is missing."""
    similarity_score: float | None = None
    """The similarity of the idea and the improved idea, 0.0 to 1.0."""
    improvement_kept: bool | None = None
    """Whether the improved idea is the final one: it is unless it scored lower. None if there is nothing to compare,
    because there is no improved idea or one of the scores is missing."""
    final_idea: str = Field(default_factory=lambda fields: str(fields.get("idea", "")))
    """The text with which the idea ended: the improved idea if it has a score that is not below the initial one,
    otherwise the idea itself. An improved idea that nobody scored is not final; a scored one is if the idea has no
    score."""
    final_score: float | None = None
    """The score of `final_idea`."""
    logical_inference: Inference | None = None
    """The conclusions from the idea; None if they were not requested or are not certain enough."""
    status: Status = "ok"
    """"ok" if every requested stage succeeded, "failed" if no idea of the run has a score, otherwise "degraded"."""
    problems: list[Problem] = Field(default_factory=list)
    """The failed stages, in order."""
    stages: list[StageOutcome] = Field(default_factory=list)
    """Every requested stage, in order."""


class Usage(Document):
    """Tokens by kind, in disjoint counts."""

    input: int = 0
    """Tokens of prompts, without cached ones."""
    cached_input: int = 0
    """Tokens of prompts that the provider had cached."""
    output: int = 0
    """Tokens of answers."""
    reasoning: int = 0
    """Tokens of reasoning before answers."""
    tool: int = 0
    """Tokens of tools, such as web pages that the provider read."""


class Spending(Document):
    """The usage of a number of requests."""

    calls: int = 0
    """Requests sent, including repairs, retries and fallbacks. For a custom router, its answers."""
    cached: int = 0
    """Answers from the response cache, or from an equal call that was in flight. They sent no request of their own."""
    tokens: int = 0
    """The tokens of these requests."""
    usage: Usage = Usage()
    """The tokens by kind; a custom router does not report them."""
    cost: float | None = 0.0
    """US dollars; None if a price is unknown."""
    is_estimated: bool = False
    """Whether some tokens are estimated because a request was dropped before the provider reported them."""


class ServedBy(Document):
    """A model and the number of answers used from it."""

    provider: str
    """The provider."""
    model: str
    """The model."""
    answers: int
    """The number of its answers that were used."""
    cached: int = 0
    """Those of the answers that came from the response cache, or from an equal call that was in flight."""


class StageSummary(Document):
    """The result of one stage."""

    stage: str
    """The stage."""
    status: StageStatus
    """"ok" if it succeeded for every idea, "failed" if for none, "skipped" if it was not reached, else "degraded"."""
    reason: str | None
    """Why the status is not "ok": the first failure."""
    began: float | None
    """Seconds from the start of the run to the start of the stage; None if it was never reached."""
    seconds: float
    """Seconds from the first idea that entered the stage to the last that left it."""
    ideas_ok: int
    """The number of ideas for which it succeeded."""
    ideas_failed: int
    """The number of ideas for which it failed."""
    spent: Spending
    """Its usage."""
    served_by: list[ServedBy]
    """The models that answered, the most used first."""


class AgentSummary(Document):
    """The usage of one agent over all its stages."""

    agent: str
    """The agent."""
    spent: Spending
    """Its usage."""


class WorkflowResult(Document):
    """The result of a run."""

    run_id: str
    """The unique id of the run."""
    status: StageStatus
    """"ok" if every candidate went through every stage, "failed" if no idea has a score, otherwise "degraded"."""
    partial: bool
    """Whether the run ended early; the candidates hold what was finished by then."""
    cut: Literal["deadline", "budget", "cancelled", "stopped", "running"] | None = None
    """Why the run ended early; "running" in a snapshot of a run in progress."""
    reason: str | None = None
    """The reason as a sentence."""
    mode: Mode
    """How the calls were grouped."""
    candidates: list[Candidate]
    """The selected ideas, the best first as the option `order` has it; every idea if the run ended before the
    selection."""
    stages: list[StageSummary] = Field(default_factory=list)
    """The requested stages, in order."""
    agents: list[AgentSummary] = Field(default_factory=list)
    """The agents that were used."""
    served_by: list[ServedBy] = Field(default_factory=list)
    """The models that answered, the most used first."""
    spent: Spending = Spending()
    """The usage of the run."""
    seconds: float = 0.0
    """The duration of the run."""
    cached: bool = False
    """Whether the result comes from the workflow cache; no request was sent then."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def calls(self) -> int:
        """The number of requests sent."""
        return self.spent.calls

    @computed_field  # type: ignore[prop-decorator]
    @property
    def tokens(self) -> int:
        """The tokens of all requests."""
        return self.spent.tokens

    @computed_field  # type: ignore[prop-decorator]
    @property
    def cost(self) -> float | None:
        """The cost of all requests in US dollars; None if a price is unknown."""
        return self.spent.cost

    def stage(self, name: str) -> StageSummary:
        """Return the stage `name`.

        Raises:
            KeyError: If the run did not include it.
        """
        for summary in self.stages:
            if summary.stage == name:
                return summary
        raise KeyError(name)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the candidates as `run_workflow` returns them."""
        found = [candidate.model_dump(exclude={"idea_index", "stages"}) for candidate in self.candidates]
        for fields in found:
            # The only key that is omitted without a value.
            if fields["logical_inference"] is None:
                del fields["logical_inference"]
        return found
