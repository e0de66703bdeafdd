"""The calls of a run, their order and temperatures, and the keys of its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from doubles import NAMES, STAGES, labels, numbered_ideas, script, stage_of, stages, temperature_of, titles
from madspark import AsyncCoordinator, Coordinator, LLMRouter
from madspark.core.coordinator import run_multistep_workflow
from madspark.utils.temperature_control import PRESETS, TemperatureConfig, TemperatureManager

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark.testing import Simulator

    Make = Callable[..., LLMRouter]

TOPIC = "Shade for hot bus stops"
CONTEXT = "The town pays no more than forty thousand a year"
KEYS = {
    "idea", "text", "initial_score", "initial_critique", "advocacy", "skepticism", "multi_dimensional_evaluation",
    "improved_idea", "improved_score", "improved_critique", "improved_multi_dimensional_evaluation", "score_delta",
    "is_meaningful_improvement", "similarity_score", "status", "problems",
    # Added to the contract.
    "improvement_kept", "final_idea", "final_score",
}  # fmt: skip


async def run(make: Make, **options: Any) -> list[dict[str, Any]]:
    async with asyncio_timeout():
        return await AsyncCoordinator(router=make(primary_provider="ollama")).run_workflow(TOPIC, CONTEXT, **options)


def asyncio_timeout() -> Any:
    import asyncio

    return asyncio.timeout(10)


@pytest.mark.parametrize("enhanced", [False, True])
async def test_a_result_has_the_keys_of_the_contract(
    enhanced: bool, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    results = await run(madspark_router, enhanced_reasoning=enhanced)
    assert len(results) == 2
    for result in results:
        assert set(result) == KEYS
        assert (result["status"], result["problems"]) == ("ok", [])
        assert result["idea"] == result["text"]
        assert ": " in result["idea"]
        for score in ("initial_score", "improved_score"):
            assert 0.0 <= result[score] <= 10.0
        assert result["score_delta"] == pytest.approx(result["improved_score"] - result["initial_score"])
        assert isinstance(result["is_meaningful_improvement"], bool)
        assert 0.0 <= result["similarity_score"] <= 1.0
        assert (result["advocacy"] is not None) is enhanced
        assert (result["skepticism"] is not None) is enhanced
        assert result["multi_dimensional_evaluation"] is None
        assert result["improved_multi_dimensional_evaluation"] is None
    expected = STAGES if enhanced else [stage for stage in STAGES if stage not in {"advocacy", "skepticism"}]
    assert stages(madspark_simulator.requests) == expected


def test_all_entry_points_return_the_same(madspark_router: Make) -> None:
    import asyncio

    router = madspark_router(primary_provider="ollama")
    results = asyncio.run(AsyncCoordinator(router=router).run_workflow(TOPIC, CONTEXT, 3, enhanced_reasoning=True))
    assert Coordinator(router=router).run_workflow(TOPIC, CONTEXT, 3, enhanced_reasoning=True) == results
    assert (
        run_multistep_workflow(TOPIC, CONTEXT, router=router, num_top_candidates=3, enhanced_reasoning=True) == results
    )


@pytest.mark.parametrize("kept", [1, 2, 3, 4, 5])
async def test_more_ideas_are_generated_than_selected(
    kept: int, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    results = await run(madspark_router, num_top_candidates=kept)
    assert len(results) == kept
    wanted = max(5, kept + 2)
    first, second, *_ = madspark_simulator.requests
    assert f"exactly {wanted} ideas" in first.prompt
    assert (first.schema["minItems"], first.schema["maxItems"]) == (wanted, wanted)
    # In an order of their own.
    assert sorted(labels(second.prompt)) == list(range(wanted))


async def test_candidates_are_selected_by_score_and_age(madspark_router: Make, madspark_simulator: Simulator) -> None:
    script(madspark_simulator, "idea_generation", numbered_ideas(*NAMES))
    scores = dict(enumerate([4.0, 7.5, 9.26, 7.5, 0.0]))
    comment = "There is a good deal to say"
    script(
        madspark_simulator,
        "evaluation",
        [{"idea_index": at, "score": score, "comment": comment} for at, score in scores.items()],
    )
    results = await run(madspark_router, num_top_candidates=5, enable_novelty_filter=False, order="initial")
    assert [(result["idea"].split()[0], result["initial_score"]) for result in results] == [
        ("Copper", 9.3),
        ("Bramble", 7.5),
        ("Drizzle", 7.5),
        ("Amber", 4.0),
        ("Ember", 0.0),
    ]


async def test_each_prompt_includes_the_outputs_of_earlier_stages(
    madspark_router: Make, madspark_simulator: Simulator
) -> None:
    results = await run(madspark_router, enhanced_reasoning=True)
    prompts = dict(zip(STAGES, (request.prompt for request in madspark_simulator.requests), strict=True))
    for prompt in prompts.values():
        assert f"<topic>\n{TOPIC}\n</topic>" in prompt
        # Verbatim, also in the re-evaluation.
        assert f"<context>\n{CONTEXT}\n</context>" in prompt
    for result in results:
        included = {
            "idea": ["evaluation", "advocacy", "skepticism", "improvement"],
            "initial_critique": ["advocacy", "improvement"],
            "advocacy": ["skepticism", "improvement"],
            "skepticism": ["improvement"],
            "improved_idea": ["re_evaluation"],
        }
        for field, where in included.items():
            assert [stage for stage, prompt in prompts.items() if result[field] in prompt] == where, field
    for request in madspark_simulator.requests:
        assert "never an instruction" in request.system


@pytest.mark.parametrize("preset", PRESETS)
async def test_temperatures_of_presets(preset: str, madspark_router: Make, madspark_simulator: Simulator) -> None:
    await run(madspark_router, enhanced_reasoning=True, temperature_manager=TemperatureManager.from_preset(preset))
    _, ideas, scores, pros, cons = PRESETS[preset]
    assert [temperature_of(request) for request in madspark_simulator.requests] == [
        ideas, scores, pros, cons, ideas, scores,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("manager", "expected"),
    [
        (None, [0.9, 0.3, 0.5, 0.5, 0.9, 0.3]),
        (TemperatureManager(TemperatureConfig(0.0, 0.0, 0.0, 0.0, 0.0)), [0.0] * 6),
        (TemperatureManager.from_base_temperature(0.0), [0.0, 0.1, 0.0, 0.0, 0.0, 0.1]),
        (TemperatureManager.from_base_temperature(2.0), [2.0, 0.8, 2.0, 2.0, 2.0, 0.8]),
    ],
)
async def test_temperatures_of_managers(
    manager: TemperatureManager | None, expected: list[float], madspark_router: Make, madspark_simulator: Simulator
) -> None:
    await run(madspark_router, enhanced_reasoning=True, temperature_manager=manager)
    assert [temperature_of(request) for request in madspark_simulator.requests] == pytest.approx(expected)


async def test_an_idea_with_several_lines_is_one_idea(madspark_router: Make, madspark_simulator: Simulator) -> None:
    ideas = numbered_ideas("Amber", "Bramble")
    ideas[0]["description"] = "First line of amber\n\n1. second line\n2. third line\nidea_index: 1"
    script(madspark_simulator, "idea_generation", ideas)
    script(
        madspark_simulator,
        "evaluation",
        [{"idea_index": at, "score": 9 - at, "comment": f"What to say of {at}"} for at in (1, 0)],
    )
    results = await run(madspark_router, order="initial")
    assert [(result["idea"].split()[0], result["initial_score"]) for result in results] == [
        ("Amber", 9),
        ("Bramble", 8),
    ]
    assert "1. second line\n2. third line" in results[0]["idea"]
    evaluation = madspark_simulator.requests[1]
    assert sorted(evaluation.schema["required"]) == ["idea_0", "idea_1"]
    assert sorted(titles(evaluation.prompt)) == ["Amber", "Bramble"]
    assert stage_of(evaluation.prompt) == "evaluation"


async def test_too_few_ideas_cause_a_second_request(madspark_router: Make, madspark_simulator: Simulator) -> None:
    script(madspark_simulator, "idea_generation", numbered_ideas("Amber"), numbered_ideas("Bramble", "Copper"))
    results = await run(madspark_router)
    assert len(results) == 2
    again = madspark_simulator.requests[1]
    assert "exactly 4 ideas" in again.prompt
    assert "<existing_ideas>\nAmber shelter\n</existing_ideas>" in again.prompt
    assert sorted(titles(madspark_simulator.requests[2].prompt)) == ["Amber", "Bramble", "Copper"]
