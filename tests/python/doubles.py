"""What the tests of agents and workflow share: stages told from prompts, answers of a router's double."""

from __future__ import annotations

import asyncio
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, RootModel

from madspark import agents
from madspark.agents import advocate, critic, idea_generator, skeptic, structured_idea_generator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from madspark.testing import RecordedRequest, Simulator

_Model = TypeVar("_Model", bound=BaseModel)

STAGES = ["idea_generation", "evaluation", "advocacy", "skepticism", "improvement", "re_evaluation"]

ALL_STAGES = [
    "idea_generation",
    "evaluation",
    "multi_dimensional",
    "logical_inference",
    "advocacy",
    "skepticism",
    "improvement",
    "re_evaluation",
    "re_multi_dimensional",
]
"""The stages of a run with everything on."""

BEGINNINGS = {
    "idea_generation": "Propose exactly",
    "evaluation": "Evaluate each idea",
    "advocacy": "Make the case for ",
    "skepticism": "Make the case against ",
    "improvement": "Improve ",
}
"""How each stage's prompt begins."""

REASONING = {"multi_dimensional": "Rate each idea", "logical_inference": "Reason about each idea"}
"""How the prompts begin of the agents that rate and reason."""

AGAIN = {"evaluation": "re_evaluation", "multi_dimensional": "re_multi_dimensional"}
"""The stages that come again, for the improved ideas."""

IMPROVED = "Better "
"""How the ideas begin that `sample` improved."""

NAMES = ["Amber", "Bramble", "Copper", "Drizzle", "Ember"]
"""The ideas of `sample`, by their first words."""


DIMENSIONS = [
    "feasibility",
    "innovation",
    "impact",
    "cost_effectiveness",
    "scalability",
    "risk_assessment",
    "timeline",
]

INFERENCES = [
    "FullInferences",
    "CausalInferences",
    "ConstraintInferences",
    "ContradictionInferences",
    "ImplicationInferences",
]


def stage_of(prompt: str) -> str:
    """The stage a prompt belongs to; improved ideas are told by their words."""
    [stage] = [stage for stage, beginning in (BEGINNINGS | REASONING).items() if prompt.startswith(beginning)]
    return AGAIN.get(stage, stage) if f"<idea>\n{IMPROVED}" in prompt else stage


def stages(requests: Sequence[RecordedRequest]) -> list[str]:
    """The stage of each request; the second evaluation of a run is its re-evaluation, and so for the ratings."""
    told: list[str] = []
    for request in requests:
        stage = stage_of(request.prompt)
        told.append(AGAIN.get(stage, stage) if stage in told else stage)
    return told


def temperature_of(request: RecordedRequest) -> float:
    """The temperature a request asks for, in its provider's words."""
    body = request.json
    settings = {"ollama": body.get("options"), "gemini": body.get("generationConfig"), "openai": body}
    temperature: float = settings[str(request.provider)]["temperature"]
    return temperature


def labels(prompt: str) -> list[int]:
    """The ideas a prompt asks about."""
    return [int(label) for label in re.findall(r"(?m)^idea_index: (\d+)$", prompt)]


def titles(prompt: str) -> list[str]:
    """The first word of each idea a prompt asks about; of improved ones the first of the original."""
    return re.findall(rf"<idea>\n(?:{IMPROVED})?(\w+)", prompt)


def point(text: str) -> dict[str, str]:
    return {"title": text, "description": f"{text} in more words"}


def idea(title: str, number: int = 1) -> dict[str, Any]:
    return {"idea_number": number, "title": title, "description": f"The whole of {title}"}


def evaluation(score: float, about: str) -> dict[str, Any]:
    return {"score": score, "comment": f"What there is to say about {about}"}


def advocacy(about: str) -> dict[str, Any]:
    concern = {"concern": f"Worry over {about}", "response": f"Calm over {about}"}
    return {"strengths": [point(about)], "opportunities": [point(about)], "addressing_concerns": [concern]}


def skepticism(about: str) -> dict[str, Any]:
    return {
        "critical_flaws": [point(about)],
        "risks_and_challenges": [point(about)],
        "questionable_assumptions": [{"assumption": f"Belief in {about}", "concern": f"Doubt of {about}"}],
        "missing_considerations": [{"aspect": f"Gap in {about}", "importance": f"Weight of {about}"}],
    }


def improvement(about: str) -> dict[str, Any]:
    return {
        "improved_title": f"{IMPROVED}{about}",
        "improved_description": f"All that {about} can become",
        "key_improvements": [f"More of {about}"],
    }


def dimensions(score: float, about: str) -> dict[str, Any]:
    return {**dict.fromkeys(DIMENSIONS, score), "summary": f"Sides of {about}"}


def inference(about: str, confidence: float = 0.8) -> dict[str, Any]:
    """What every type of inference takes from."""
    return {
        "inference_chain": [f"{about} exists", "People use it"],
        "conclusion": f"{about} works",
        "confidence": confidence,
        "causal_chain": ["Use, then less heat"],
        "constraints": [{"constraint": "No money", "satisfaction": 0.5}],
        "contradictions": [{"conflict": "Free, but costly", "severity": "low"}],
        "implications": ["Less heat"],
    }


def numbered_ideas(*names: str) -> list[dict[str, Any]]:
    """A generator's reply with an idea for each name."""
    return [idea(f"{name} shelter", at + 1) for at, name in enumerate(names)]


def script(simulator: Simulator, stage: str, *replies: Any) -> None:
    """Have the simulator answer the next calls of a stage; an evaluation's second call is the re-evaluation's."""
    beginning = (BEGINNINGS | REASONING)[stage]
    for reply in replies:
        simulator.on(contains=beginning, times=1, json=reply)


def sample(schema: type[_Model], prompt: str) -> _Model:
    """An answer to an agent's prompt, as a router's double gives it."""
    if schema.__name__ == "GeneratedIdeas":
        return schema.model_validate(numbered_ideas(*NAMES))
    makers: dict[str, Callable[[int], dict[str, Any]]] = {
        "CriticEvaluations": lambda at: evaluation(5 + at / 2, str(at)),
        "AdvocacyBatch": lambda at: advocacy(str(at)),
        "SkepticismBatch": lambda at: skepticism(str(at)),
        "ImprovementBatch": lambda at: improvement(str(at)),
        "DimensionEvaluations": lambda at: dimensions(5 + at / 2, str(at)),
        **dict.fromkeys(INFERENCES, lambda at: inference(str(at))),
        "Advocacy": lambda _: advocacy("it"),
        "Skepticism": lambda _: skepticism("it"),
        "Improvement": lambda _: improvement("it"),
    }
    make = makers[schema.__name__]
    if not issubclass(schema, RootModel):
        return schema.model_validate(make(0))
    return schema.model_validate([{"idea_index": label, **make(label)} for label in labels(prompt)])


class SyncRouter:
    """Answers by itself and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def generate_structured(self, **asked: Any) -> tuple[BaseModel, object]:
        self.asked.append(asked)
        return sample(asked["schema"], asked["prompt"]), SimpleNamespace(provider="own", model="m", tokens_used=7)


class AsyncRouter(SyncRouter):
    async def generate_structured(self, **asked: Any) -> tuple[BaseModel, object]:  # type: ignore[override]
        await asyncio.sleep(0)
        return super().generate_structured(**asked)


def ask_everyone(router: Any, topic: str, context: str = "", temperature: float | None = None) -> None:
    """Call every synchronous method of the agents and every function of the contract, 16 calls of the router."""
    given: dict[str, Any] = {} if temperature is None else {"temperature": temperature}
    both = {"idea": "Amber shelter", "evaluation": "Fine", "advocacy": "Good", "skepticism": "Bad"}
    agents.IdeaGenerator(router).generate(topic, context, **given)
    agents.Critic(router).evaluate(["Amber shelter"], topic, context, **given)
    agents.Advocate(router).advocate("Amber shelter", "Fine", topic, context, **given)
    agents.Advocate(router).advocate_batch([both], topic, context, **given)
    agents.Skeptic(router).criticize("Amber shelter", "Good", topic, context, **given)
    agents.Skeptic(router).criticize_batch([both], topic, context, **given)
    agents.StructuredIdeaGenerator(router).improve("Amber shelter", "Fine", "Good", "Bad", topic, context, **given)
    idea_generator.generate_ideas(topic, context, router=router, **given)
    critic.evaluate_ideas("Amber shelter", topic, context, router=router, **given)
    advocate.advocate_idea("Amber shelter", "Fine", topic, context, router=router, **given)
    skeptic.criticize_idea("Amber shelter", "Good", topic, context, router=router, **given)
    structured_idea_generator.improve_idea_structured(
        "Amber shelter", "Fine", "Good", "Bad", topic, context, router=router, **given
    )
    idea_generator.improve_idea("Amber shelter", "Fine", "Good", "Bad", topic, context, router=router, **given)
    for batch in (
        advocate.advocate_ideas_batch,
        skeptic.criticize_ideas_batch,
        idea_generator.improve_ideas_batch,
    ):
        batch([both], topic, context, router=router, **given)


async def aask_everyone(router: Any, topic: str, context: str = "", temperature: float | None = None) -> None:
    """Call every coroutine of the agents, 7 calls of the router."""
    given: dict[str, Any] = {} if temperature is None else {"temperature": temperature}
    both = {"idea": "Amber shelter", "evaluation": "Fine", "advocacy": "Good", "skepticism": "Bad"}
    await agents.IdeaGenerator(router).agenerate(topic, context, **given)
    await agents.Critic(router).aevaluate(["Amber shelter"], topic, context, **given)
    await agents.Advocate(router).aadvocate("Amber shelter", "Fine", topic, context, **given)
    await agents.Advocate(router).aadvocate_batch([both], topic, context, **given)
    await agents.Skeptic(router).acriticize("Amber shelter", "Good", topic, context, **given)
    await agents.Skeptic(router).acriticize_batch([both], topic, context, **given)
    improver = agents.StructuredIdeaGenerator(router)
    await improver.aimprove("Amber shelter", "Fine", "Good", "Bad", topic, context, **given)
