"""Which calls use the cache: those at temperature 0, and those that choose it. Other samples differ."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from doubles import SyncRouter
from madspark import AsyncCoordinator, Coordinator, LLMConfig, LLMRouter
from madspark.agents import Critic
from madspark.core.coordinator import run_multistep_workflow
from madspark.core.coordinator_batch import run_multistep_workflow_batch
from madspark.utils.temperature_control import TemperatureConfig, TemperatureManager
from test_workflow_cache import Cache
from wire import model_requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark.testing import Simulator

    Make = Callable[..., LLMRouter]

pytestmark = pytest.mark.cache

TOPIC = "roof gardens"

GOOGLE_KEY = "key-of-the-test-0123456789"


class Name(BaseModel):
    """The requested output."""

    name: str


@pytest.fixture
def make(madspark_router: Make) -> Make:
    """Makes routers that share an enabled cache."""

    def router(**choices: Any) -> LLMRouter:
        return madspark_router(
            **{"cache_enabled": True, "primary_provider": "ollama", "fallback_enabled": False} | choices
        )

    return router


def answers(simulator: Simulator, count: int, latency: float = 0.0) -> list[str]:
    """Script replies that differ, and return them."""
    names = [f"name {number}" for number in range(count)]
    for name in names:
        simulator.on("ollama", text=f'{{"name": "{name}"}}', latency=latency, times=1)
    return names


@pytest.mark.parametrize("temperature", [1.0, 0.1, None, "default"])
@pytest.mark.parametrize("concurrent", [True, False])
async def test_four_samples_are_four_answers(
    temperature: Any, concurrent: bool, make: Make, madspark_simulator: Simulator
) -> None:
    router, names = make(), answers(madspark_simulator, 4, latency=0.1 if concurrent else 0.0)
    calls = [router.agenerate_structured("a name", Name, temperature=temperature) for _ in names]
    found = await asyncio.gather(*calls) if concurrent else [await call for call in calls]
    assert sorted(name.name for name, _ in found) == names
    assert [response.cached for _, response in found] == [False] * 4
    assert not any(attempt.shared for _, response in found for attempt in response.attempts)
    assert len(model_requests(madspark_simulator)) == 4
    assert router.get_metrics()["cache_hits"] == 0


@pytest.mark.parametrize("concurrent", [True, False])
@pytest.mark.parametrize(
    "choice",
    [{"temperature": 0.0}, {"temperature": 1.0, "use_cache": True}, {"temperature": None, "use_cache": True}],
    ids=str,
)
async def test_equal_calls_that_use_the_cache_cost_one_request(
    choice: dict[str, Any], concurrent: bool, make: Make, madspark_simulator: Simulator
) -> None:
    router = make()
    answers(madspark_simulator, 4, latency=0.1 if concurrent else 0.0)
    calls = [router.agenerate_structured("a name", Name, **choice) for _ in range(4)]
    found = await asyncio.gather(*calls) if concurrent else [await call for call in calls]
    assert {name.name for name, _ in found} == {"name 0"}
    assert sorted(response.cached for _, response in found) == [False, True, True, True]
    assert len(model_requests(madspark_simulator)) == 1
    assert router.get_metrics()["cache_hits"] == 3


async def test_a_call_that_declines_the_cache_shares_nothing(make: Make, madspark_simulator: Simulator) -> None:
    router = make()
    answers(madspark_simulator, 3, latency=0.1)
    calls = [router.agenerate_structured("a name", Name, use_cache=False) for _ in range(3)]
    assert len({name.name for name, _ in await asyncio.gather(*calls)}) == 3
    # Nor is anything stored.
    _, response = await router.agenerate_structured("a name", Name, use_cache=True)
    assert not response.cached
    assert len(model_requests(madspark_simulator)) == 4


def test_text_is_sampled_by_default_and_cached_at_temperature_0(make: Make, madspark_simulator: Simulator) -> None:
    sampled, exact = make(), make(default_temperature=0.0)
    assert [sampled.generate("a name")[1].cached for _ in range(2)] == [False, False]
    assert [exact.generate("a name")[1].cached for _ in range(2)] == [False, True]
    # The sampled answers were not stored either: only that at temperature 0 was.
    assert not sampled.generate("a name", use_cache=True)[1].cached
    assert len(model_requests(madspark_simulator)) == 4


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"primary_provider": "openai", "openai_model": "o3-mini", "openai_api_key": GOOGLE_KEY}, "/chat/completions"),
        (
            {"primary_provider": "anthropic", "anthropic_model": "claude-opus-4-7", "anthropic_api_key": GOOGLE_KEY},
            "/messages",
        ),
    ],
    ids=["openai", "anthropic"],
)
def test_the_temperature_that_was_asked_for_decides_where_the_model_takes_none(
    settings: dict[str, Any], path: str, make: Make, madspark_simulator: Simulator
) -> None:
    router = make(**settings)
    for _ in range(2):
        _, response = router.generate("a name", temperature=1.0)
        assert not response.cached
    cached = [router.generate("a name", temperature=0.0)[1].cached for _ in range(2)]
    assert cached == [False, True]
    requests = model_requests(madspark_simulator)
    assert len(requests) == 3
    for request in requests:
        assert request.path.endswith(path)
        assert "temperature" not in request.json


@pytest.mark.parametrize("sync", [True, False])
async def test_a_batch_of_equal_prompts_follows_the_same_rule(
    sync: bool, make: Make, madspark_simulator: Simulator
) -> None:
    router = make()

    async def batch(**options: Any) -> int:
        madspark_simulator.clear()
        arguments: dict[str, Any] = {"prompts": ["a name"] * 4, "schema": Name, **options}
        if sync:
            await asyncio.to_thread(lambda: router.generate_structured_batch(**arguments))
        else:
            await router.agenerate_structured_batch(**arguments)
        return len(model_requests(madspark_simulator))

    assert await batch(temperature=1.0) == 4
    assert await batch() == 1
    assert await batch() == 0
    assert await batch(use_cache=False) == 4
    assert await batch(temperature=1.0, use_cache=True) == 1


async def test_streams_never_use_the_cache(make: Make, madspark_simulator: Simulator) -> None:
    router = make()
    for _ in range(2):
        async with router.astream("a name", temperature=0.0) as text:
            assert [piece async for piece in text]
        assert not text.response.cached
        async with router.astream_structured("a name", Name) as parts:
            assert [part async for part in parts]
        assert not parts.response.cached
    assert len(model_requests(madspark_simulator)) == 4


@pytest.mark.parametrize("mode", ["batch", "fanout"])
@pytest.mark.parametrize("how", ["run", "start", "events", "run_workflow"])
async def test_a_run_takes_every_answer_from_the_cache_if_it_chooses_so(
    how: str, mode: Any, make: Make, madspark_simulator: Simulator
) -> None:

    async def run(**options: Any) -> Any:
        madspark_simulator.clear()
        coordinator = AsyncCoordinator(router=make())
        options = {"mode": mode, "num_top_candidates": 1, **options}
        if how == "run_workflow":
            return await coordinator.run_workflow(TOPIC, **options)
        if how == "run":
            return await coordinator.run(TOPIC, **options)
        if how == "start":
            async with await coordinator.start(TOPIC, **options) as started:
                return await started.result()
        events = coordinator.events(TOPIC, **options)
        assert [event async for event in events]
        return await events.result()

    await run(use_cache=True)
    calls = len(model_requests(madspark_simulator))
    again = await run(use_cache=True)
    assert calls > 3
    assert madspark_simulator.requests == []
    if how != "run_workflow":
        spent = again.spent
        assert (spent.calls, spent.cached, spent.tokens, spent.cost) == (0, calls, 0, 0.0)
        assert sum(stage.spent.cached for stage in again.stages) == calls
        assert sum(agent.spent.cached for agent in again.agents) == calls
        [served] = again.served_by
        assert (served.answers, served.cached) == (calls, calls)
        assert [served.cached for stage in again.stages for served in stage.served_by] == [
            stage.spent.cached for stage in again.stages
        ]
    # None of the stages has the temperature 0, so a run that does not choose makes every request.
    fresh = await run()
    assert len(model_requests(madspark_simulator)) == calls
    if how != "run_workflow":
        assert (fresh.spent.calls, fresh.spent.cached) == (calls, 0)


async def test_the_stages_at_temperature_0_use_the_cache_by_default(make: Make, madspark_simulator: Simulator) -> None:
    zero = TemperatureManager(TemperatureConfig(*[0.0] * 5))

    async def run(use_cache: bool | None = None, **options: Any) -> Any:
        madspark_simulator.clear()
        coordinator = AsyncCoordinator(router=make())
        return await coordinator.run(TOPIC, temperature_manager=zero, use_cache=use_cache, **options)

    first = await run()
    assert (first.spent.calls, first.spent.cached) == (len(model_requests(madspark_simulator)), 0)
    second = await run()
    assert (second.spent.calls, second.spent.cached) == (0, first.calls)
    assert second.to_dicts() == first.to_dicts()
    third = await run(use_cache=False)
    assert (third.spent.calls, third.spent.cached) == (len(model_requests(madspark_simulator)), 0)
    assert third.calls == first.calls


def test_the_synchronous_entry_points_take_the_choice(make: Make, madspark_simulator: Simulator) -> None:
    counts = []
    for call in (
        lambda router: Coordinator(router=router).run(TOPIC, mode="batch", use_cache=True),
        lambda router: Coordinator(router=router).run_workflow(TOPIC, use_cache=True),
        lambda router: run_multistep_workflow(TOPIC, router=router, use_cache=True),
        lambda router: run_multistep_workflow_batch(TOPIC, router=router, use_cache=True),
        lambda router: run_multistep_workflow_batch(TOPIC, router=router),
    ):
        madspark_simulator.clear()
        call(make())
        counts.append(len(model_requests(madspark_simulator)))
    assert counts[0] > 0
    assert counts == [counts[0], 0, 0, 0, counts[0]]


async def test_agents_use_the_cache_at_temperature_0_or_if_they_choose_so(
    make: Make, madspark_simulator: Simulator
) -> None:
    async def requests(temperature: float, **choice: Any) -> int:
        madspark_simulator.clear()
        critic = Critic(make(), **choice)
        await critic.aevaluate(["A garden on the roof"], TOPIC, temperature=temperature)
        critic.evaluate(["A garden on the roof"], TOPIC, temperature=temperature)
        return len(model_requests(madspark_simulator))

    assert await requests(0.3) == 2
    assert await requests(0.3, use_cache=True) == 1
    assert await requests(0.0) == 1
    assert await requests(0.0, use_cache=False) == 2
    with pytest.raises(TypeError, match="use_cache must be a bool"):
        Critic(make(), use_cache="yes")  # type: ignore[arg-type]


async def test_a_custom_router_gets_the_choice_only_if_there_is_one() -> None:
    for choice in (None, True, False):
        router = SyncRouter()
        await AsyncCoordinator(router=router).run(TOPIC, use_cache=choice)
        assert router.calls
        assert {call.get("use_cache", "none") for call in router.calls} == {"none" if choice is None else choice}


async def test_a_run_without_cache_does_not_use_the_workflow_cache(make: Make, madspark_simulator: Simulator) -> None:
    cache = Cache()
    coordinator = AsyncCoordinator(router=make(), cache_manager=cache)
    await coordinator.run(TOPIC, use_cache=False)
    assert (cache.lookups, cache.kept) == ([], {})
    await coordinator.run(TOPIC)
    madspark_simulator.clear()
    # The choice of the response cache is not part of the key.
    assert (await coordinator.run(TOPIC, use_cache=True)).cached
    assert madspark_simulator.requests == []
    assert not (await coordinator.run(TOPIC, use_cache=False)).cached
    assert len(cache.kept) == 1


async def test_an_invalid_choice_is_rejected(make: Make, madspark_simulator: Simulator) -> None:
    with pytest.raises((TypeError, ValueError), match="boolean"):
        await AsyncCoordinator(router=make()).run(TOPIC, use_cache="yes")  # type: ignore[arg-type]
    assert madspark_simulator.requests == []


def test_a_disabled_cache_is_used_by_the_calls_that_choose_it_only(
    madspark_simulator: Simulator, tmp_path: Any
) -> None:
    config = LLMConfig(ollama_host=madspark_simulator.ollama_url, cache_dir=tmp_path, cache_enabled=False)
    router = LLMRouter("ollama", False, config=config)
    assert [router.generate("a name", temperature=0.0)[1].cached for _ in range(2)] == [False, False]
    assert list(tmp_path.iterdir()) == []
    assert [router.generate("a name", use_cache=True)[1].cached for _ in range(2)] == [False, True]
