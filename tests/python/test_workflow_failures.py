"""Failed stages are reported and produce no output."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from doubles import BEGINNINGS, STAGES, stages
from madspark import AsyncCoordinator, Coordinator, LLMConfig, LLMRouter
from madspark.llm.exceptions import AllProvidersFailedError, ProviderUnavailableError, WorkflowTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark.testing import Simulator

    Make = Callable[..., LLMRouter]

TOPIC = "Shade for hot bus stops"

# The output fields of each stage.
GIVES = {
    "evaluation": {"initial_score", "initial_critique"},
    "advocacy": {"advocacy"},
    "skepticism": {"skepticism"},
    "improvement": {"improved_idea", "similarity_score"},
    "re_evaluation": {"improved_score", "improved_critique", "score_delta", "is_meaningful_improvement"},
}
# The stages that require each stage.
NEEDED_BY = {
    "evaluation": {"advocacy", "skepticism", "improvement", "re_evaluation"},
    "improvement": {"re_evaluation"},
}


async def run(make: Make, *, max_attempts: int = 6, **options: Any) -> list[dict[str, Any]]:
    router = make(primary_provider="ollama", fallback_enabled=False, max_attempts=max_attempts)
    coordinator = AsyncCoordinator(router=router)
    async with asyncio.timeout(10):
        return await coordinator.run_workflow(TOPIC, enhanced_reasoning=True, **options)


def break_stage(simulator: Simulator, stage: str, **how: Any) -> None:
    """Make every call of a stage fail; for the re-evaluation, the first evaluation succeeds."""
    beginning = BEGINNINGS["evaluation" if stage == "re_evaluation" else stage]
    if stage == "re_evaluation":
        simulator.on(contains=beginning, times=1)
    simulator.on(contains=beginning, **how)


def check_lack(results: list[dict[str, Any]], stage: str, reason: str) -> None:
    """The fields of the stage and of the stages that require it are None; the others are not."""
    empty = GIVES[stage].union(*(GIVES[later] for later in NEEDED_BY.get(stage, ())))
    for result in results:
        for fields in GIVES.values():
            for field in fields:
                assert (result[field] is None) is (field in empty), field
        assert result["status"] == ("failed" if stage == "evaluation" else "degraded")
        [problem] = result["problems"]
        assert problem["stage"] == stage
        assert reason in problem["reason"]


@pytest.mark.parametrize("stage", STAGES[1:])
async def test_a_failed_stage_affects_only_the_stages_that_require_it(
    stage: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    break_stage(madspark_simulator, stage, status=503)
    results = await run(madspark_router, max_attempts=1)
    assert len(results) == 2
    check_lack(results, stage, "503")
    expected = [each for each in STAGES if each not in NEEDED_BY.get(stage, ())]
    assert list(dict.fromkeys(stages(madspark_simulator.requests))) == expected


async def test_a_failed_generation_raises(madspark_router: Make, madspark_simulator: Simulator) -> None:
    break_stage(madspark_simulator, "idea_generation", status=503)
    with pytest.raises(ProviderUnavailableError):
        await run(madspark_router, max_attempts=1)
    assert stages(madspark_simulator.requests) == ["idea_generation"]


async def test_invalid_replies_fail_the_stage(madspark_router: Make, madspark_simulator: Simulator) -> None:
    break_stage(madspark_simulator, "advocacy", json=[{"idea_index": 0, "strengths": "N/A"}])
    results = await run(madspark_router)
    check_lack(results, "advocacy", "does not fit the schema")
    # The skeptic's prompt includes no advocacy.
    [doubt] = [request for request in madspark_simulator.requests if BEGINNINGS["skepticism"] in request.prompt]
    assert "<advocacy>" not in doubt.prompt


async def test_the_error_of_unreachable_providers_names_each() -> None:
    config = LLMConfig(ollama_host="http://127.0.0.1:9", gemini_api_key="k" * 24, gemini_base_url="http://127.0.0.1:9")
    router = LLMRouter("ollama", fallback_enabled=True, config=config, max_attempts=2)
    with pytest.raises(AllProvidersFailedError) as raised:
        await AsyncCoordinator(router=router).run_workflow(TOPIC)
    assert list(raised.value.errors) == ["ollama", "gemini"]
    for provider, error in raised.value.errors.items():
        assert isinstance(error, ProviderUnavailableError)
        assert provider in str(raised.value)
    assert "k" * 24 not in repr(raised.value) + str(raised.value)


async def test_without_a_key_nothing_is_sent(madspark_simulator: Simulator) -> None:
    config = LLMConfig(gemini_base_url=madspark_simulator.gemini_url)
    router = LLMRouter("gemini", fallback_enabled=False, config=config)
    with pytest.raises(AllProvidersFailedError, match="gemini"):
        await AsyncCoordinator(router=router).run_workflow(TOPIC)
    assert madspark_simulator.requests == []


@pytest.mark.parametrize("stage", STAGES[:2])
async def test_a_timeout_before_the_selection_raises(
    stage: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    break_stage(madspark_simulator, stage, fault="stall")
    with pytest.raises(WorkflowTimeoutError, match=r"the run's deadline of 0.5 s was reached") as raised:
        await run(madspark_router, timeout=0.5)
    assert isinstance(raised.value, TimeoutError)
    assert await madspark_simulator.await_hang_ups(1)


def test_a_timeout_ends_a_synchronous_run(madspark_router: Make, madspark_simulator: Simulator) -> None:
    madspark_simulator.on(fault="stall")
    coordinator = Coordinator(router=madspark_router(primary_provider="ollama", fallback_enabled=False))
    with pytest.raises(TimeoutError):
        coordinator.run_workflow(TOPIC, timeout=0.3)
    assert madspark_simulator.wait_for_hang_ups(1)
    assert len(madspark_simulator.requests) == 1


@pytest.mark.parametrize("stage", STAGES[2:])
async def test_a_timeout_after_the_selection_returns_the_finished_part(
    stage: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    break_stage(madspark_simulator, stage, fault="stall")
    results = await run(madspark_router, timeout=1.2)
    assert await madspark_simulator.await_hang_ups(1)
    assert stages(madspark_simulator.requests) == STAGES[: STAGES.index(stage) + 1]
    # A stage without input does not report a failure.
    late = [each for each in STAGES[STAGES.index(stage) :] if stage == "re_evaluation" or each != "re_evaluation"]
    for result in results:
        assert result["status"] == "degraded"
        assert [problem["stage"] for problem in result["problems"]] == late
        assert all("the run's deadline of 1.2 s was reached" in problem["reason"] for problem in result["problems"])
        assert result["initial_score"] is not None
        for each in STAGES[STAGES.index(stage) :]:
            assert all(result[field] is None for field in GIVES[each])


@pytest.mark.parametrize("stage", STAGES)
async def test_each_stage_has_its_own_timeout(stage: str, madspark_router: Make, madspark_simulator: Simulator) -> None:
    break_stage(madspark_simulator, stage, fault="stall")
    reason = f"the limit of 0.3 s for {stage} was reached"
    if stage == "idea_generation":
        with pytest.raises(WorkflowTimeoutError, match=reason):
            await run(madspark_router, stage_timeouts={stage: 0.3})
        return
    check_lack(await run(madspark_router, stage_timeouts={stage: 0.3}), stage, reason)


async def test_the_progress_of_a_failed_run_reports_the_failure(
    madspark_router: Make, madspark_simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    break_stage(madspark_simulator, "evaluation", status=503)
    progress: list[tuple[str, float]] = []
    coordinator = AsyncCoordinator(
        progress_callback=lambda message, fraction: progress.append((message, fraction)),
        router=madspark_router(primary_provider="ollama", fallback_enabled=False, max_attempts=1),
    )
    with caplog.at_level(logging.WARNING):
        await coordinator.run_workflow(TOPIC)
    assert progress[-1] == ("No idea could be evaluated", 1.0)
    assert [fraction for _, fraction in progress] == sorted(fraction for _, fraction in progress)
