"""Invalid arguments are rejected before a request or a cache lookup; calls respect the concurrency limit."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock

import pytest

from madspark import AsyncCoordinator, Coordinator, LLMRouter
from madspark.utils.temperature_control import TemperatureConfig, TemperatureManager

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark.testing import Simulator

    Make = Callable[..., LLMRouter]

TOPIC = "Shade for hot bus stops"


class CustomTemperatures:
    """A custom temperature manager."""

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature

    def get_temperature_for_stage(self, _stage: str) -> float:
        return self.temperature


class CustomReasoning:
    """A custom reasoning engine."""

    def __init__(self, inference_type: str, confidence_threshold: Any) -> None:
        self.inference_type = inference_type
        self.confidence_threshold = confidence_threshold


INVALID: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"topic": ""}, ValueError, "topic must not be blank"),
    ({"topic": " \n\t\u3000"}, ValueError, "topic must not be blank"),
    ({"topic": None}, TypeError, "topic must be a str, not NoneType"),
    ({"topic": "\ud800"}, ValueError, "topic contains a lone surrogate"),
    ({"context": None}, TypeError, "context must be a str, not NoneType"),
    ({"num_top_candidates": 0}, ValueError, "num_top_candidates must be between 1 and 5, not 0"),
    ({"num_top_candidates": 6}, ValueError, "num_top_candidates must be between 1 and 5, not 6"),
    ({"num_top_candidates": -1}, ValueError, "num_top_candidates must not be negative"),
    ({"num_top_candidates": 2.5}, TypeError, "num_top_candidates must be an integer"),
    ({"novelty_threshold": -0.1}, ValueError, "novelty_threshold must be between"),
    ({"novelty_threshold": 1.1}, ValueError, "novelty_threshold must be between"),
    ({"novelty_threshold": math.nan}, ValueError, "novelty_threshold must be a finite number"),
    ({"timeout": 0}, ValueError, "timeout must be a positive number"),
    ({"timeout": -1}, ValueError, "timeout must be a positive number"),
    ({"timeout": math.nan}, ValueError, "timeout must be a finite number"),
    ({"timeout": -math.inf}, ValueError, "timeout must be a finite number"),
    ({"stage_timeouts": {"evaluation": 0}}, ValueError, "evaluation must be a positive number"),
    ({"stage_timeouts": {"evaluation": math.nan}}, ValueError, "evaluation must be a finite number"),
    ({"stage_timeouts": {"evaluations": 3}}, ValueError, "unknown stage 'evaluations' .*: did you mean 'evaluation'"),
    ({"stage_timeouts": {"tea": 3}}, ValueError, "the stages are idea_generation, evaluation, "),
    ({"temperature_manager": CustomTemperatures(2.1)}, ValueError, "temperature"),
    ({"temperature_manager": CustomTemperatures(-0.1)}, ValueError, "temperature"),
    ({"temperature_manager": CustomTemperatures(math.nan)}, ValueError, "temperature of idea_generation"),
    ({"temperature_manager": 0.7}, TypeError, "get_temperature_for_stage"),
    ({"multimodal_files": ["/no/such/file.png"]}, FileNotFoundError, "file.png"),
    ({"multimodal_files": "picture.png"}, TypeError, "multimodal_files must be a list, not str"),
    ({"multimodal_files": b"%PDF-1.7"}, TypeError, "multimodal_files must be a list, not bytes"),
    ({"multimodal_urls": "https://example.com"}, TypeError, "multimodal_urls must be a list, not str"),
    ({"multi_dimensional_eval": "yes"}, ValueError, "expected a boolean"),
    ({"logical_inference": 1}, ValueError, "expected a boolean"),
    ({"reasoning_engine": object()}, TypeError, "reasoning_engine must have inference_type and confidence_threshold"),
    (
        {"reasoning_engine": CustomReasoning("magic", 0.5)},
        ValueError,
        "unknown type of inference .magic.: use one of full,",
    ),
    (
        {"reasoning_engine": CustomReasoning("full", 1.1)},
        ValueError,
        "confidence_threshold must be between 0.0 and 1.0",
    ),
    (
        {"reasoning_engine": CustomReasoning("full", math.nan)},
        ValueError,
        "confidence_threshold must be a finite number",
    ),
    ({"reasoning_engine": CustomReasoning("full", "0.5")}, TypeError, "must be real number"),
    ({"language": "Klingon"}, ValueError, 'unknown language "Klingon".*[^0-9]$'),
    ({"language": ""}, ValueError, "unknown language"),
    ({"language": 1}, TypeError, "language must be a str"),
    ({"stage_timeouts": {"logical_inference": 0}}, ValueError, "logical_inference must be a positive number"),
]


@pytest.mark.parametrize(("given", "kind", "words"), INVALID)
async def test_invalid_arguments_send_nothing(
    given: dict[str, Any], kind: type[Exception], words: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    cache = AsyncMock()
    cache.get_cached_workflow.return_value = {"candidates": [{"idea": "from the cache"}]}
    progress: list[object] = []
    router = madspark_router()
    arguments = {"topic": TOPIC, **given}
    with pytest.raises(kind, match=words):
        await AsyncCoordinator(router=router, cache_manager=cache).run_workflow(**arguments)
    with pytest.raises(kind, match=words):
        Coordinator(router=router, progress_callback=lambda *event: progress.append(event)).run_workflow(**arguments)
    assert madspark_simulator.requests == []
    assert cache.mock_calls == []
    assert progress == []
    assert router.get_metrics()["total_requests"] == 0


def test_invalid_arguments_of_coordinators(madspark_router: Make) -> None:
    router = madspark_router()
    for kind in (AsyncCoordinator, Coordinator):
        with pytest.raises(ValueError, match="max_concurrent_agents must be at least 1"):
            kind(0, router=router)
        with pytest.raises(TypeError, match="progress_callback must be callable"):
            kind(progress_callback=3, router=router)  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", [None, math.inf, 10**9])
async def test_infinite_timeouts_are_accepted(limit: float | None, madspark_router: Make) -> None:
    limits = {"evaluation": math.inf}
    heat = TemperatureManager(TemperatureConfig())
    router = madspark_router(primary_provider="ollama")
    results = await AsyncCoordinator(router=router).run_workflow(
        TOPIC, timeout=limit, stage_timeouts=limits, temperature_manager=heat
    )
    assert [result["status"] for result in results] == ["ok", "ok"]


@pytest.mark.parametrize(("limit", "reached", "latency"), [(1, 1, 0.02), (3, 3, 0.05), (10, 8, 0.25)])
async def test_concurrent_calls_respect_the_limit(
    limit: int, reached: int, latency: float, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    madspark_simulator.set_latency(latency)
    coordinator = AsyncCoordinator(limit, router=madspark_router(primary_provider="ollama", fallback_enabled=False))
    async with asyncio.timeout(10):
        runs = await asyncio.gather(*(coordinator.run_workflow(f"{TOPIC} {number}") for number in range(8)))
    assert all(result["status"] == "ok" for results in runs for result in results)
    assert madspark_simulator.max_in_flight == reached
    assert len(madspark_simulator.requests) == 8 * 4


async def test_a_cancelled_run_releases_its_permit(madspark_router: Make, madspark_simulator: Simulator) -> None:
    madspark_simulator.on(fault="stall", times=1)
    coordinator = AsyncCoordinator(1, router=madspark_router(primary_provider="ollama", fallback_enabled=False))
    async with asyncio.timeout(10):
        first = asyncio.ensure_future(coordinator.run_workflow(TOPIC))
        assert await madspark_simulator.await_requests(1)
        second = asyncio.ensure_future(coordinator.run_workflow(TOPIC))
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert [result["status"] for result in await second] == ["ok", "ok"]
    assert await madspark_simulator.await_hang_ups(1)
