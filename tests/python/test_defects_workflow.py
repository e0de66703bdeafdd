"""Defects of the existing workflow, by their numbers in the contract."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel

from doubles import BEGINNINGS
from madspark import AsyncCoordinator, Coordinator, LLMConfig, LLMRouter
from madspark.llm.exceptions import AllProvidersFailedError, RateLimitError
from test_workflow_cache import Cache
from wire import called_providers, model_requests

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from madspark.testing import Simulator

    Make = Callable[..., LLMRouter]

TOPIC = "Shade for hot bus stops"


class Answer(BaseModel):
    answer: str


async def test_defect_11_failures_are_reported_without_invented_ideas(
    madspark_router: Make, madspark_simulator: Simulator
) -> None:
    # Nothing listens on port 9.
    unreachable = LLMConfig(ollama_host="http://127.0.0.1:9", cache_enabled=False)
    cache = Cache()
    for router in (LLMRouter("ollama", True, config=unreachable), LLMRouter("ollama", False, config=unreachable)):
        with pytest.raises(AllProvidersFailedError):
            await AsyncCoordinator(cache_manager=cache, router=router).run_workflow(TOPIC)
    madspark_simulator.on(contains=BEGINNINGS["evaluation"], times=1)
    madspark_simulator.on(contains=BEGINNINGS["evaluation"], status=503)
    madspark_simulator.on(contains=BEGINNINGS["skepticism"], status=503)
    router = madspark_router(primary_provider="ollama", fallback_enabled=False, max_attempts=1)
    results = await AsyncCoordinator(cache_manager=cache, router=router).run_workflow(TOPIC, enhanced_reasoning=True)
    for result in results:
        missing = ("skepticism", "improved_score", "improved_critique", "score_delta", "is_meaningful_improvement")
        assert [result[field] for field in missing] == [None] * 5
        assert result["status"] == "degraded"
        assert [problem["stage"] for problem in result["problems"]] == ["skepticism", "re_evaluation"]
    assert cache.kept == {}


@pytest.mark.parametrize(("kept", "wanted"), [(1, 5), (3, 5), (4, 6), (5, 7)])
async def test_defect_12_the_number_of_ideas_reaches_the_prompt(
    kept: int, wanted: int, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider="ollama")
    await AsyncCoordinator(router=router).run_workflow(TOPIC, num_top_candidates=kept)
    first = model_requests(madspark_simulator)[0]
    assert f"Propose exactly {wanted} ideas" in first.prompt
    assert (first.schema["minItems"], first.schema["maxItems"]) == (wanted, wanted)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_defect_13_an_error_of_gemini_leads_to_the_fallback(
    status: int, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("gemini", status=status, headers={"retry-after": "30"})
    router = madspark_router(primary_provider="gemini", fallback_enabled=True)
    _, response = router.generate_structured(TOPIC, Answer)
    assert response.provider == "ollama"
    assert called_providers(madspark_simulator) == ["gemini", "ollama"]
    assert router.get_metrics()["fallback_triggers"] == 1


def test_defect_13_retry_after_is_reported_failures_are_counted_and_invalid_requests_are_not_retried(
    madspark_router: Make, madspark_simulator: Simulator
) -> None:
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "31s"}
    for how, wait in (
        ({"headers": {"retry-after": "30"}}, 30.0),
        ({"body": {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [detail]}}}, 31.0),
    ):
        madspark_simulator.clear_rules()
        madspark_simulator.on("gemini", status=429, **how)
        router = madspark_router(primary_provider="gemini", fallback_enabled=False, max_attempts=1)
        with pytest.raises(RateLimitError) as raised:
            router.generate(TOPIC)
        assert raised.value.retry_after == wait
        assert router.get_metrics()["failed_requests"] == 1
    madspark_simulator.clear()
    for mistake in (lambda: router.generate(" "), lambda: Coordinator(router=router).run_workflow(" ")):
        with pytest.raises(ValueError, match="blank"):
            mistake()
    assert madspark_simulator.requests == []


def test_defect_14_a_timeout_ends_the_calls_and_returns_the_finished_part(
    madspark_router: Make, madspark_simulator: Simulator
) -> None:
    madspark_simulator.on(contains=BEGINNINGS["improvement"], fault="stall")
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    results = Coordinator(router=router).run_workflow(TOPIC, enhanced_reasoning=True, timeout=1.0)
    for result in results:
        assert result["initial_score"] is not None
        assert result["advocacy"]
        assert result["skepticism"]
        assert (result["improved_idea"], result["status"]) == (None, "degraded")
        assert result["problems"][0]["stage"] == "improvement"
    assert len(model_requests(madspark_simulator)) == 5


async def test_defect_14_cancelling_ends_the_call_in_flight(
    madspark_router: Make, madspark_simulator: Simulator
) -> None:
    madspark_simulator.on(contains=BEGINNINGS["evaluation"], fault="stall")
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    task = asyncio.ensure_future(AsyncCoordinator(router=router).run_workflow(TOPIC))
    async with asyncio.timeout(10):
        assert await madspark_simulator.await_requests(2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await madspark_simulator.await_hang_ups(1)
    assert madspark_simulator.in_flight == 0
    assert len(model_requests(madspark_simulator)) == 2


@pytest.mark.parametrize("limit", [1, 2])
async def test_defect_15_the_concurrency_limit_is_enforced(
    limit: int, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    madspark_simulator.set_latency(0.05)
    coordinator = AsyncCoordinator(limit, router=madspark_router(primary_provider="ollama"))
    runs = (coordinator.run_workflow(f"{TOPIC} {number}", mode="fanout") for number in range(2))
    await asyncio.gather(*runs)
    assert madspark_simulator.max_in_flight == limit


async def test_defect_20_tokens_are_priced_by_kind_and_provider(
    madspark_router: Make, madspark_simulator: Simulator
) -> None:
    madspark_simulator.on(prompt_tokens=1000)
    costs: dict[str, float | None] = {}
    for provider in ("gemini", "ollama"):
        router = madspark_router(
            primary_provider=provider, gemini_model="gemini-3-flash-preview", fallback_enabled=False
        )
        result = await AsyncCoordinator(router=router).run(TOPIC, mode="batch")
        usage = result.spent.usage
        assert usage.input == 1000 * result.calls
        assert result.tokens == usage.input + usage.output + usage.reasoning
        costs[provider] = result.cost
        if provider == "gemini":
            dear = usage.input * 0.0005 + (usage.output + usage.reasoning) * 0.003
            assert result.cost == pytest.approx(dear / 1000)
    assert costs["ollama"] == 0.0


def test_defect_20_cached_answers_cost_nothing_and_do_not_count_as_latency(
    madspark_router: Make, madspark_simulator: Simulator, tmp_path: Path
) -> None:
    router = madspark_router(primary_provider="ollama", cache_enabled=True, cache_dir=str(tmp_path))
    router.generate(TOPIC, temperature=0.0)
    before = router.get_metrics()
    _, again = router.generate(TOPIC, temperature=0.0)
    after = router.get_metrics()
    assert (again.cached, after["cache_hits"]) == (True, 1)
    for figure in ("avg_latency_ms", "total_latency_ms", "total_tokens", "total_cost"):
        assert after[figure] == before[figure], figure
    assert len(model_requests(madspark_simulator)) == 1
