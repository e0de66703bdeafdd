"""Defects of the previous package that must not recur in the agents, by their numbers in the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from doubles import (
    advocacy,
    dimensions,
    evaluation,
    improvement,
    inference,
    labels,
    script,
    skepticism,
    stages,
    temperature_of,
)
from madspark import AsyncCoordinator, Coordinator, LLMConfig, LLMRouter
from madspark.agents import Critic, LogicalInferenceEngine, MultiDimensionalEvaluator
from madspark.agents.advocate import advocate_ideas_batch
from madspark.agents.idea_generator import improve_ideas_batch
from madspark.agents.skeptic import criticize_ideas_batch
from madspark.utils.temperature_control import TemperatureConfig, TemperatureManager

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark.testing import Simulator

    Make = Callable[..., LLMRouter]

TOPIC = "Shade for hot bus stops"
IDEAS = ["Amber shelter", "Bramble shelter", "Copper shelter", "Drizzle shelter"]


def by_index(found: list[Any]) -> dict[int, Any]:
    items = [one if isinstance(one, dict) else one.model_dump() for one in found]
    assert len({item["idea_index"] for item in items}) == len(items)
    return {item["idea_index"]: item for item in items}


# By stage: an item about an idea, the call, and the text of an item that names its idea.
BATCHES: dict[str, tuple[Callable[[str], dict[str, Any]], Callable[[LLMRouter], list[Any]], Callable[[Any], str]]] = {
    "evaluation": (
        lambda about: evaluation(7, about),
        lambda router: Critic(router).evaluate(IDEAS, TOPIC),
        lambda item: item["comment"],
    ),
    "advocacy": (
        advocacy,
        lambda router: advocate_ideas_batch([{"idea": one} for one in IDEAS], TOPIC, router=router)[0],
        lambda item: item["strengths"][0]["title"],
    ),
    "skepticism": (
        skepticism,
        lambda router: criticize_ideas_batch([{"idea": one} for one in IDEAS], TOPIC, router=router)[0],
        lambda item: item["critical_flaws"][0]["title"],
    ),
    "improvement": (
        improvement,
        lambda router: improve_ideas_batch([{"idea": one} for one in IDEAS], TOPIC, router=router)[0],
        lambda item: item["improved_title"],
    ),
    "multi_dimensional": (
        lambda about: dimensions(7, about),
        lambda router: MultiDimensionalEvaluator(router).evaluate(IDEAS, TOPIC),
        lambda item: item["summary"],
    ),
    "logical_inference": (
        inference,
        lambda router: LogicalInferenceEngine(router).infer(IDEAS, TOPIC),
        lambda item: item["conclusion"],
    ),
}


def test_defect_9_ideas_are_counted_and_not_lines(madspark_router: Make, madspark_simulator: Simulator) -> None:
    ideas = ["Amber\nA roof of leaves", "Bramble\n\n1. Plant\n2. Wait", "Copper"]
    reply = [{"idea_index": at, **evaluation(at + 5, name.split("\n")[0])} for at, name in enumerate(ideas)]
    script(madspark_simulator, "evaluation", reply)
    found = Critic(madspark_router(primary_provider="ollama")).evaluate(ideas, TOPIC)
    (request,) = madspark_simulator.requests
    assert labels(request.prompt) == [0, 1, 2]
    assert request.schema["required"] == ["idea_0", "idea_1", "idea_2"]
    items = [(one.idea_index, one.score, one.comment.rsplit(" ", 1)[1]) for one in found]
    assert items == [(0, 5, "Amber"), (1, 6, "Bramble"), (2, 7, "Copper")]


@pytest.mark.parametrize("stage", BATCHES)
def test_defect_10_items_are_matched_by_their_index(
    stage: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    make, ask, about = BATCHES[stage]
    items = [{"idea_index": at, **make(name)} for at, name in enumerate(IDEAS)]
    # In another order, with an unknown idea, two items for one idea, and an invalid item.
    unknown, second, invalid = {**items[0], "idea_index": 9}, {**make("Other"), "idea_index": 1}, {"idea_index": 2}
    reply = [items[3], unknown, items[1], invalid, items[0], second]
    script(madspark_simulator, stage, reply, [items[2], items[1]])
    found = by_index(ask(madspark_router(primary_provider="ollama", fallback_enabled=False)))
    first, again = madspark_simulator.requests
    assert (labels(first.prompt), labels(again.prompt)) == ([0, 1, 2, 3], [1, 2])
    assert sorted(found) == [0, 1, 2, 3]
    for index, name in enumerate(IDEAS):
        assert name in about(found[index])


async def test_defect_17_the_skeptic_sees_the_advocacy(madspark_router: Make, madspark_simulator: Simulator) -> None:
    for asynchronous in (False, True):
        madspark_simulator.clear()
        reply = [{"idea_index": at, **advocacy(f"Praise {at}")} for at in range(2)]
        script(madspark_simulator, "advocacy", reply)
        router = madspark_router(primary_provider="ollama")
        if asynchronous:
            await AsyncCoordinator(router=router).run_workflow(TOPIC, enhanced_reasoning=True)
        else:
            Coordinator(router=router).run_workflow(TOPIC, enhanced_reasoning=True)
        by_stage = dict(zip(stages(madspark_simulator.requests), madspark_simulator.requests, strict=True))
        prompt = by_stage["skepticism"].prompt
        assert "Praise 0 in more words" in prompt
        assert "Praise 1 in more words" in prompt


async def test_defect_22_a_temperature_of_zero_is_a_value(madspark_router: Make, madspark_simulator: Simulator) -> None:
    router = madspark_router(primary_provider="ollama")
    manager = TemperatureManager(TemperatureConfig(0.0, 0.0, 0.0, 0.0, 0.0))
    await AsyncCoordinator(router=router).run_workflow(TOPIC, enhanced_reasoning=True, temperature_manager=manager)
    Critic(router).evaluate(IDEAS, TOPIC, temperature=0.0)
    LogicalInferenceEngine(router).infer(IDEAS, TOPIC, temperature=0.0)
    router.generate("Name an idea.", temperature=0.0)
    assert [temperature_of(request) for request in madspark_simulator.requests] == [0.0] * 9
    assert LLMConfig(default_temperature=0.0).default_temperature == 0.0
