"""The workflow cache with typed runs: complete runs only, keyed by everything that changes them; and the exit code."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from doubles import ALL_STAGES, NAMES, STAGES, numbered_ideas, script
from madspark import AsyncCoordinator, Budget, LLMConfig, LLMRouter
from madspark.agents import LogicalInferenceEngine
from madspark.agents.logical_inference import INFERENCE_TYPES
from madspark.core._options import PROMPT_VERSION
from madspark.core.enhanced_reasoning import ReasoningEngine
from madspark.utils.temperature_control import TemperatureConfig, TemperatureManager
from test_run_result import TOPIC, kill_one
from test_workflow_cache import KEY, AlwaysCached, Cache
from wire import model_requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark.core.result import WorkflowResult
    from madspark.testing import Simulator

    Make = Callable[..., LLMRouter]


async def test_a_second_run_is_answered_from_the_cache(madspark_router: Make, madspark_simulator: Simulator) -> None:
    cache, progress = Cache(), list[tuple[str, float]]()
    coordinator = AsyncCoordinator(
        progress_callback=lambda message, fraction: progress.append((message, fraction)),
        cache_manager=cache,
        router=madspark_router(primary_provider="ollama"),
    )
    first = await coordinator.run(TOPIC)
    assert [*cache.kept.values()] == [{"candidates": first.to_dicts()}]
    madspark_simulator.clear()
    progress.clear()
    second = await coordinator.run(TOPIC)
    assert (second.cached, second.calls, second.cost, second.status) == (True, 0, 0.0, "ok")
    assert second.to_dicts() == first.to_dicts()
    assert progress == [("Answered from the cache", 1.0)]
    events = [event async for event in coordinator.events(TOPIC)]
    assert [(event.type, event.sequence, event.fraction) for event in events] == [("run_finished", 1, 1.0)]
    async with await coordinator.start(TOPIC) as run:
        result = await run.result()
        assert result.cached
        # Changes to a returned result do not reach the cache.
        result.candidates.clear()
        assert len((await run.result()).candidates) == 2
        assert [event.type async for event in run.events(after=1)] == []
    assert madspark_simulator.requests == []
    # Another mode has other prompts.
    assert not (await coordinator.run(TOPIC, mode="fanout")).cached


async def test_an_answer_from_the_response_cache_is_not_a_call(
    madspark_router: Make, madspark_simulator: Simulator
) -> None:
    async def run() -> tuple[WorkflowResult, LLMRouter]:
        madspark_simulator.clear()
        router = madspark_router(primary_provider="ollama", cache_enabled=True)
        options: dict[str, Any] = {"mode": "batch", "multi_dimensional_eval": True, "use_cache": True}
        return await AsyncCoordinator(router=router).run(TOPIC, **options), router

    first, _ = await run()
    assert first.calls == len(model_requests(madspark_simulator)) > 0
    second, router = await run()
    assert madspark_simulator.requests == []
    assert (second.calls, second.cost, second.cached, second.status) == (0, 0.0, False, "ok")
    assert router.get_metrics()["cache_hits"] == first.calls
    assert second.to_dicts() == first.to_dicts()


async def test_reading_all_events_fills_the_cache(madspark_router: Make) -> None:
    cache = Cache()
    coordinator = AsyncCoordinator(cache_manager=cache, router=madspark_router(primary_provider="ollama"))
    async for event in coordinator.events(TOPIC):
        if event.type == "run_finished":
            break
    assert len(cache.kept) == 1
    assert (await coordinator.run(TOPIC)).cached


@pytest.mark.parametrize("how", ["degraded", "deadline", "budget", "cancelled"])
async def test_an_incomplete_run_is_not_stored(how: str, madspark_router: Make, madspark_simulator: Simulator) -> None:
    cache = Cache()
    if how == "degraded":
        kill_one(madspark_simulator, "batch")
    if how in {"deadline", "cancelled"}:
        script(madspark_simulator, "idea_generation", numbered_ideas(*NAMES))
        madspark_simulator.on(contains="Improve ", fault="stall")
    budget = Budget(max_calls=5) if how == "budget" else None
    router = madspark_router(primary_provider="ollama", fallback_enabled=False, max_attempts=1, budget=budget)
    coordinator = AsyncCoordinator(cache_manager=cache, router=router)
    async with await coordinator.start(
        TOPIC,
        num_top_candidates=5,
        enhanced_reasoning=True,
        enable_novelty_filter=False,
        timeout=1.0 if how == "deadline" else None,
    ) as run:
        if how == "cancelled":
            assert await madspark_simulator.await_requests(5)
            run.cancel()
        result = await run.result()
    assert result.status == "degraded"
    assert result.cut == (None if how == "degraded" else how)
    assert len(cache.lookups) == 1
    assert cache.kept == {}


FIELDS: list[dict[str, Any]] = [
    {},
    {"anthropic_model": "another"},
    {"anthropic_base_url": "http://127.0.0.1:9"},
    {"ollama_num_ctx": 8192},
    {"gemini_thinking_budget": 0},
    {"gemini_thinking_level": "low"},
]

# Each temperature on its own.
TEMPERATURES = [[0.9 if at == changed else 0.5 for at in range(5)] for changed in (1, 2, 3, 4)]

OPTIONS: list[dict[str, Any]] = [
    {"multi_dimensional_eval": True},
    {"logical_inference": True},
    {"logical_inference": True, "reasoning_engine": ReasoningEngine(inference_type="causal")},
    {"logical_inference": True, "reasoning_engine": ReasoningEngine(confidence_threshold=0.1)},
    {"language": "de"},
    {"mode": "batch"},
    {"mode": "fanout"},
    {"batch_tokens": 100},
    *({"temperature_manager": TemperatureManager(TemperatureConfig(*each))} for each in TEMPERATURES),
]


async def test_each_option_and_setting_changes_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = AlwaysCached()
    for fields in FIELDS:
        router = LLMRouter(config=LLMConfig(gemini_api_key=KEY, **fields))
        await AsyncCoordinator(cache_manager=cache, router=router).run(TOPIC)
    next_on_refusal = LLMRouter(config=LLMConfig(gemini_api_key=KEY), on_refusal="next")
    await AsyncCoordinator(cache_manager=cache, router=next_on_refusal).run(TOPIC)
    coordinator = AsyncCoordinator(cache_manager=cache, router=LLMRouter(config=LLMConfig(gemini_api_key=KEY)))
    for options in OPTIONS:
        await coordinator.run(TOPIC, **options)
    with monkeypatch.context() as patch:
        patch.setattr("madspark.core._options.PROMPT_VERSION", PROMPT_VERSION + 1)
        await coordinator.run(TOPIC)
    with monkeypatch.context() as patch:
        patch.setattr("madspark._core.__version__", "0.0.0+another")
        await coordinator.run(TOPIC)
    assert len(set(cache.lookups)) == len(cache.lookups) == len(FIELDS) + len(OPTIONS) + 3
    assert not any(KEY in key for key in cache.lookups)
    await coordinator.run(TOPIC)
    assert cache.lookups.count(cache.lookups[0]) == 2


PROMPTS = {3: "4952ef5adfce4566"}
"""The digest of the prompts of each version."""


async def test_the_prompt_version_matches_the_prompts(madspark_router: Make, madspark_simulator: Simulator) -> None:
    """A changed prompt invalidates cached answers: raise PROMPT_VERSION, and add the new digest here."""
    script(madspark_simulator, "idea_generation", numbered_ideas(*NAMES))
    router = madspark_router(primary_provider="ollama")
    await AsyncCoordinator(router=router).run(
        TOPIC, enhanced_reasoning=True, multi_dimensional_eval=True, logical_inference=True, evaluation="together"
    )
    for kind in INFERENCE_TYPES:
        await LogicalInferenceEngine(router).ainfer(["A roof"], TOPIC, inference_type=kind)
    prompts = [[request.system, request.prompt.rsplit("\n\n", 1)[1]] for request in madspark_simulator.requests]
    assert len(prompts) == len(ALL_STAGES) + len(INFERENCE_TYPES)
    digest = hashlib.sha256(json.dumps(prompts).encode()).hexdigest()[:16]
    assert PROMPTS.get(PROMPT_VERSION) == digest


def test_the_exit_code_reports_a_failed_run(madspark_simulator: Simulator) -> None:
    kill_one(madspark_simulator, "batch")
    command = [sys.executable, "-m", "madspark", TOPIC, "--top", "5", "--enhanced", "--no-novelty-filter", "--quiet"]
    # The script has one reply for all evaluations.
    command += ["--evaluation", "together"]
    hosts = ["--provider", "ollama", "--no-fallback", "--ollama-host", madspark_simulator.ollama_url, "--json"]
    done = subprocess.run([*command, *hosts], capture_output=True, check=False, encoding="utf-8", timeout=60, env={})  # noqa: S603  (our own command)
    assert done.returncode == 3, done.stderr
    results = json.loads(done.stdout)["results"]
    assert [result["status"] for result in results].count("ok") == 4
    [line] = done.stderr.splitlines()
    assert "(Bramble shelter: " in line
    assert "is degraded: skepticism: " in line
    assert "503" in line
    assert len(model_requests(madspark_simulator)) > len(STAGES)
