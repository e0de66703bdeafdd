"""Shared helpers for tests of agents and the workflow: stages of prompts, sample replies, router doubles."""

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
"""The stages of a run with every optional stage."""

BEGINNINGS = {
    "idea_generation": "Propose exactly",
    "evaluation": "Evaluate each idea",
    "advocacy": "Make the case for ",
    "skepticism": "Make the case against ",
    "improvement": "Improve ",
}
"""The beginning of the task of each stage."""

REASONING = {"multi_dimensional": "Rate each idea", "logical_inference": "Reason about each idea"}
"""The beginning of the task of each optional stage."""

REPEATED = {"evaluation": "re_evaluation", "multi_dimensional": "re_multi_dimensional"}
"""The stages that are repeated for the improved ideas."""

IMPROVED = "Better "
"""The beginning of the ideas that `sample` improved."""

NAMES = ["Amber", "Bramble", "Copper", "Drizzle", "Ember"]
"""The first words of the ideas of `sample`."""

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
    """Return the stage of a prompt. Improved ideas are recognized by their beginning."""
    # The instruction is the last paragraph: the role in one line, then the task.
    task = prompt.rsplit("\n\n", 1)[1].split("\n")[1]
    [stage] = [stage for stage, beginning in (BEGINNINGS | REASONING).items() if task.startswith(beginning)]
    return REPEATED.get(stage, stage) if f"<idea>\n{IMPROVED}" in prompt else stage


def stages(requests: Sequence[RecordedRequest]) -> list[str]:
    """Return the stage of each request. The second evaluation of a run is the re-evaluation, likewise for ratings."""
    found: list[str] = []
    for request in requests:
        stage = stage_of(request.prompt)
        found.append(REPEATED.get(stage, stage) if stage in found else stage)
    return found


def temperature_of(request: RecordedRequest) -> float:
    """Return the temperature of a request in the format of its provider."""
    body = request.json
    settings = {"ollama": body.get("options"), "gemini": body.get("generationConfig"), "openai": body}
    temperature: float = settings[str(request.provider)]["temperature"]
    return temperature


def labels(prompt: str) -> list[int]:
    """Return the indices of the ideas in a prompt."""
    return [int(label) for label in re.findall(r"(?m)^idea_index: (\d+)$", prompt)]


def titles(prompt: str) -> list[str]:
    """Return the first word of each idea in a prompt; for improved ideas, that of the original."""
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
    """Return a reply with the fields of every type of inference."""
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
    """Return a reply of the generator with one idea for each name."""
    return [idea(f"{name} shelter", at + 1) for at, name in enumerate(names)]


def script(simulator: Simulator, stage: str, *replies: Any) -> None:
    """Script the replies to the next calls of a stage; the second evaluation is the re-evaluation."""
    beginning = (BEGINNINGS | REASONING)[stage]
    for reply in replies:
        simulator.on(contains=beginning, times=1, json=reply)


def sample(schema: type[_Model], prompt: str) -> _Model:
    """Return a valid answer to the prompt of an agent."""
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
    """A router double: returns samples and records the arguments of each call."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def generate_structured(self, **arguments: Any) -> tuple[BaseModel, object]:
        self.calls.append(arguments)
        return sample(arguments["schema"], arguments["prompt"]), SimpleNamespace(
            provider="own", model="m", tokens_used=7
        )


class AsyncRouter(SyncRouter):
    """The asynchronous form of `SyncRouter`."""

    async def generate_structured(self, **arguments: Any) -> tuple[BaseModel, object]:  # type: ignore[override]
        await asyncio.sleep(0)
        return super().generate_structured(**arguments)


def call_every_function(router: Any, topic: str, context: str = "", temperature: float | None = None) -> None:
    """Call every synchronous method of the agents and every agent function: 16 router calls."""
    options: dict[str, Any] = {} if temperature is None else {"temperature": temperature}
    both = {"idea": "Amber shelter", "evaluation": "Fine", "advocacy": "Good", "skepticism": "Bad"}
    agents.IdeaGenerator(router).generate(topic, context, **options)
    agents.Critic(router).evaluate(["Amber shelter"], topic, context, **options)
    agents.Advocate(router).advocate("Amber shelter", "Fine", topic, context, **options)
    agents.Advocate(router).advocate_batch([both], topic, context, **options)
    agents.Skeptic(router).criticize("Amber shelter", "Good", topic, context, **options)
    agents.Skeptic(router).criticize_batch([both], topic, context, **options)
    agents.StructuredIdeaGenerator(router).improve("Amber shelter", "Fine", "Good", "Bad", topic, context, **options)
    idea_generator.generate_ideas(topic, context, router=router, **options)
    critic.evaluate_ideas("Amber shelter", topic, context, router=router, **options)
    advocate.advocate_idea("Amber shelter", "Fine", topic, context, router=router, **options)
    skeptic.criticize_idea("Amber shelter", "Good", topic, context, router=router, **options)
    structured_idea_generator.improve_idea_structured(
        "Amber shelter", "Fine", "Good", "Bad", topic, context, router=router, **options
    )
    idea_generator.improve_idea("Amber shelter", "Fine", "Good", "Bad", topic, context, router=router, **options)
    for batch in (
        advocate.advocate_ideas_batch,
        skeptic.criticize_ideas_batch,
        idea_generator.improve_ideas_batch,
    ):
        batch([both], topic, context, router=router, **options)


async def call_every_coroutine(router: Any, topic: str, context: str = "", temperature: float | None = None) -> None:
    """Call every asynchronous method of the agents: 7 router calls."""
    options: dict[str, Any] = {} if temperature is None else {"temperature": temperature}
    both = {"idea": "Amber shelter", "evaluation": "Fine", "advocacy": "Good", "skepticism": "Bad"}
    await agents.IdeaGenerator(router).agenerate(topic, context, **options)
    await agents.Critic(router).aevaluate(["Amber shelter"], topic, context, **options)
    await agents.Advocate(router).aadvocate("Amber shelter", "Fine", topic, context, **options)
    await agents.Advocate(router).aadvocate_batch([both], topic, context, **options)
    await agents.Skeptic(router).acriticize("Amber shelter", "Good", topic, context, **options)
    await agents.Skeptic(router).acriticize_batch([both], topic, context, **options)
    improver = agents.StructuredIdeaGenerator(router)
    await improver.aimprove("Amber shelter", "Fine", "Good", "Bad", topic, context, **options)
