"""Numbers of any size, as arguments and in the answers of custom routers."""

from __future__ import annotations

import asyncio
import math
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from doubles import AsyncRouter
from madspark import AsyncCoordinator, Coordinator, LLMRouter
from madspark.agents import critic, idea_generator
from madspark.core.enhanced_reasoning import ReasoningEngine
from madspark.utils.temperature_control import TemperatureManager

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark.testing import Simulator

    Make = Callable[..., LLMRouter]
    Use = Callable[[LLMRouter, Any], object]

TOPIC = "Shade for hot bus stops"
MOST = 2**64 - 1


def short(number: float) -> str:
    """Return the name of a number in the ids of tests."""
    return str(number) if len(str(number)) < 30 else ("-huge" if number < 0 else "huge")


class Slogan(BaseModel):
    text: str


def read(stream: Any) -> object:
    with stream:
        return list(stream)


def run(router: LLMRouter, **options: Any) -> object:
    return Coordinator(router=router).run(TOPIC, **options)


def start(router: LLMRouter, **options: Any) -> object:
    async def started() -> None:
        async with await AsyncCoordinator(router=router).start(TOPIC, **options) as started:
            await started.result()

    return asyncio.run(started())


ALWAYS_WRONG: dict[str, Use] = {
    "temperature of generate": lambda router, number: router.generate(TOPIC, temperature=number),
    "temperature of generate_structured": lambda router, number: router.generate_structured(
        TOPIC, Slogan, temperature=number
    ),
    "temperature of a batch": lambda router, number: router.generate_structured_batch(
        [TOPIC], Slogan, temperature=number
    ),
    "temperature of stream": lambda router, number: read(router.stream(TOPIC, temperature=number)),
    "temperature of stream_structured": lambda router, number: read(
        router.stream_structured(TOPIC, Slogan, temperature=number)
    ),
    "temperature of an agent": lambda router, number: critic.evaluate_ideas(
        "An idea", TOPIC, temperature=number, router=router
    ),
    "temperature of the generator": lambda router, number: idea_generator.generate_ideas(
        TOPIC, temperature=number, router=router
    ),
    "temperature of a manager": lambda router, number: run(
        router, temperature_manager=SimpleNamespace(get_temperature_for_stage=lambda _: number)
    ),
    "base temperature": lambda _, number: TemperatureManager.from_base_temperature(number),
    "novelty_threshold": lambda router, number: run(router, novelty_threshold=number),
    "confidence_threshold": lambda _, number: ReasoningEngine(confidence_threshold=number),
}
WRONG_IF_INTEGER: dict[str, Use] = {
    "max_tokens": lambda router, number: router.generate(TOPIC, max_tokens=number),
    "token_budget": lambda router, number: router.generate_structured(TOPIC, Slogan, token_budget=number),
    "max_tokens of stream": lambda router, number: read(router.stream(TOPIC, max_tokens=number)),
    "num_top_candidates": lambda router, number: run(router, num_top_candidates=number),
    "batch_tokens": lambda router, number: run(router, batch_tokens=number),
    "max_output_tokens": lambda router, number: run(router, max_output_tokens=number),
}


@pytest.mark.parametrize("number", [10**400, -(10**400), 2**80, math.inf, math.nan], ids=short)
@pytest.mark.parametrize("name", ALWAYS_WRONG)
def test_a_number_out_of_range_is_a_value_error(
    name: str, number: float, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (each has words of its own)
        ALWAYS_WRONG[name](madspark_router(primary_provider="ollama"), number)
    assert madspark_simulator.requests == []


@pytest.mark.parametrize("number", [10**400, -(10**400), 2**80, -1], ids=short)
@pytest.mark.parametrize("name", WRONG_IF_INTEGER)
def test_an_integer_out_of_range_is_a_value_error(
    name: str, number: int, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (each has words of its own)
        WRONG_IF_INTEGER[name](madspark_router(primary_provider="ollama"), number)
    assert madspark_simulator.requests == []


@pytest.mark.parametrize("number", [10**400, 2**80], ids=short)
def test_a_limit_that_is_never_reached_may_be_of_any_size(number: int, madspark_router: Make) -> None:
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    run(router, timeout=number, stage_timeouts={"evaluation": number})
    start(router, timeout=number, buffer=number, patience=number)
    assert Coordinator(max_concurrent_agents=number, router=router).run(TOPIC).status == "ok"


def test_a_negative_number_of_agents_is_a_value_error(madspark_router: Make) -> None:
    for number in (-1, -(2**80)):
        with pytest.raises(ValueError, match="max_concurrent_agents must be at least 1"):
            Coordinator(max_concurrent_agents=number, router=madspark_router())


async def test_an_event_of_any_number(madspark_router: Make) -> None:
    run = await AsyncCoordinator(router=madspark_router(primary_provider="ollama")).start(TOPIC)
    async with run:
        with pytest.raises(ValueError, match=r"has no event \d+ yet"):
            await anext(run.events(after=2**80))


class Reporting(AsyncRouter):
    """A custom router that reports this usage with each of its answers."""

    def __init__(self, **usage: Any) -> None:
        super().__init__()
        self.usage = usage

    async def generate_structured(self, **arguments: Any) -> tuple[BaseModel, object]:  # type: ignore[override]
        value, _ = await super().generate_structured(**arguments)
        return value, SimpleNamespace(provider="own", model="m", **self.usage)


@pytest.mark.parametrize("tokens", [2**62, 2**63, 2**64, 2**80, 10**400, 1e300, math.inf], ids=short)
async def test_token_counts_of_a_custom_router_saturate(tokens: float) -> None:
    router = Reporting(tokens_used=tokens, cost=10**400, latency_ms=10**400)
    result = await AsyncCoordinator(router=router).run(TOPIC, enable_novelty_filter=False)
    assert (result.status, result.calls) == ("ok", 4)
    assert result.tokens == MOST
    assert result.cost is None
    assert sum(stage.spent.tokens for stage in result.stages) >= MOST
    _, counted = critic.evaluate_ideas("An idea", TOPIC, router=router)
    assert 0 < counted <= MOST


async def test_counts_that_are_no_numbers_are_not_counted() -> None:
    router = Reporting(tokens_used=math.nan, cost=math.nan, latency_ms=-1)
    result = await AsyncCoordinator(router=router).run(TOPIC, enable_novelty_filter=False)
    assert (result.status, result.tokens, result.cost) == ("ok", 0, None)


def test_absurd_token_counts_of_a_server_are_unknown(madspark_router: Make, madspark_simulator: Simulator) -> None:
    """They neither pass a budget nor become a total."""
    counts = ["18446744073709551615", "9223372036854775808", "1e30", "-5", '"99999999999999999999999"']
    router = madspark_router(primary_provider="openai", fallback_enabled=False)
    for count in counts:
        madspark_simulator.on(
            times=1,
            reply=(
                '{"choices":[{"index":0,"message":{"content":"Yes."},"finish_reason":"stop"}],'
                f'"usage":{{"prompt_tokens":{count},"completion_tokens":3,"total_tokens":{count}}}}}'
            ),
        )
        _, response = router.generate(TOPIC, use_cache=False)
        assert response.tokens_used == 3, count
    assert router.get_metrics()["total_tokens"] == 3 * len(counts)
