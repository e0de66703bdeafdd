"""Hedged requests: which one answers, the cancellation of the other, and the cost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from madspark import AllProvidersFailedError, Budget, BudgetExceededError, ContentRefusedError, LLMRouter
from wire import called_providers, model_requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark.testing import Simulator

SOON = 0.05
NEVER = 60.0
"""Longer than any test."""


class Idea(BaseModel):
    """The requested output."""

    title: str


@pytest.fixture
def hedging(madspark_router: Callable[..., LLMRouter]) -> Callable[..., LLMRouter]:
    """Return a factory of routers that hedge slow requests to Ollama with Gemini."""

    def make(**choices: Any) -> LLMRouter:
        given = {"primary_provider": "ollama", "fallback_enabled": True, "hedge_after": SOON}
        return madspark_router(**{**given, **choices})

    return make


@pytest.mark.parametrize("structured", [False, True])
async def test_the_hedged_request_answers_if_the_first_is_slow(
    structured: bool, hedging: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", fault="stall")
    router = hedging(budget=Budget(max_calls=2), prices={"gemma3:12b": (1.0, 1.0)})
    prompt = "hello " * 100
    async with asyncio.timeout(10):
        asking = router.agenerate_structured(prompt, Idea) if structured else router.agenerate(prompt)
        _, response = await asking
    assert called_providers(madspark_simulator) == ["ollama", "gemini"]
    assert response.provider == "gemini"
    cancelled, answered = response.attempts
    assert (cancelled.provider, cancelled.ok, cancelled.error, cancelled.estimated) == (
        "ollama",
        False,
        "cancelled",
        True,
    )
    assert (answered.provider, answered.ok, answered.hedged, answered.estimated) == ("gemini", True, True, False)
    assert not cancelled.hedged
    # The cancelled connection is closed; its request counts with about 600 characters of prompt.
    assert await madspark_simulator.await_hang_ups(1)
    assert [request.hung_up for request in model_requests(madspark_simulator)] == [True, False]
    assert 120 <= cancelled.usage["input"] <= 200
    metrics = router.get_metrics()
    assert (metrics["ollama_calls"], metrics["gemini_calls"]) == (1, 1)
    assert metrics["providers"]["ollama"]["failures"] == {"cancelled": 1}
    assert (metrics["failed_requests"], metrics["cancelled_requests"]) == (0, 0)
    assert metrics["total_tokens"] == response.tokens_used == sum(sum(one.usage.values()) for one in response.attempts)
    assert response.cost == pytest.approx(metrics["total_cost"])
    # The budget includes both.
    with pytest.raises(BudgetExceededError, match="2 of 2 calls"):
        await router.agenerate("hello")


async def test_the_first_request_answers_if_the_hedged_one_is_slower(
    hedging: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", latency=0.25)
    madspark_simulator.on("gemini", fault="stall")
    router = hedging()
    _, response = await router.agenerate("hello")
    assert called_providers(madspark_simulator) == ["ollama", "gemini"]
    cancelled, answered = response.attempts
    assert (cancelled.provider, cancelled.error, cancelled.hedged, cancelled.estimated) == (
        "gemini",
        "cancelled",
        True,
        True,
    )
    assert (answered.provider, answered.ok, answered.hedged) == ("ollama", True, False)
    assert await madspark_simulator.await_hang_ups(1)
    assert router.get_metrics()["providers"]["gemini"]["failures"] == {"cancelled": 1}


async def test_a_fast_reply_is_not_hedged(hedging: Callable[..., LLMRouter], madspark_simulator: Simulator) -> None:
    router = hedging(hedge_after=NEVER)
    for _ in range(30):
        await router.agenerate("hello")
    await asyncio.gather(*(router.agenerate(f"number {number}") for number in range(30)))
    assert called_providers(madspark_simulator) == ["ollama"] * 60


@pytest.mark.parametrize("choices", [{"hedge_after": None}, {"fallback_enabled": False}, {"max_attempts": 1}], ids=str)
async def test_hedging_is_off_by_default_and_needs_a_fallback_and_a_second_request(
    choices: dict[str, Any], hedging: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", latency=0.25)
    _, response = await hedging(**choices).agenerate("hello")
    assert called_providers(madspark_simulator) == ["ollama"]
    assert len(response.attempts) == 1


async def test_p95_hedges_after_twenty_answers(
    hedging: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    # Slow replies first, so that a busy machine does not make one of the others look slow.
    madspark_simulator.on("ollama", latency=0.06, times=20)
    router = hedging(hedge_after="p95")
    await asyncio.gather(*(router.agenerate(f"number {number}") for number in range(19)))
    madspark_simulator.on("ollama", latency=0.25, times=1)
    await router.agenerate("the twentieth")
    await router.agenerate("the slow one")
    assert set(called_providers(madspark_simulator)[:20]) == {"ollama"}
    madspark_simulator.on("ollama", fault="stall")
    async with asyncio.timeout(10):
        _, response = await router.agenerate("hello")
    assert called_providers(madspark_simulator)[-2:] == ["ollama", "gemini"]
    assert [attempt.error for attempt in response.attempts] == ["cancelled", None]


async def test_p95_does_not_hedge_before_twenty_answers(
    hedging: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = hedging(hedge_after="p95")
    for _ in range(19):
        await router.agenerate("hello")
    madspark_simulator.on("ollama", latency=0.25)
    await router.agenerate("the slow one")
    assert called_providers(madspark_simulator) == ["ollama"] * 20


async def test_a_failure_before_the_delay_is_a_fallback(
    hedging: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", status=500)
    _, response = await hedging(hedge_after=NEVER).agenerate("hello")
    assert [(attempt.provider, attempt.error, attempt.hedged) for attempt in response.attempts] == [
        ("ollama", "server", False),
        ("gemini", None, False),
    ]


async def test_a_failure_of_one_request_leaves_the_other(
    hedging: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    # The first request fails while the second is in flight.
    madspark_simulator.on("ollama", status=500, latency=0.15, times=1)
    madspark_simulator.on("gemini", latency=0.3, times=1)
    _, response = await hedging().agenerate("one")
    assert called_providers(madspark_simulator) == ["ollama", "gemini"]
    assert [(attempt.provider, attempt.error) for attempt in response.attempts] == [
        ("ollama", "server"),
        ("gemini", None),
    ]
    # The second request fails, and the first answers.
    madspark_simulator.clear()
    madspark_simulator.on("ollama", latency=0.25, times=1)
    madspark_simulator.on("gemini", status=500, times=1)
    _, response = await hedging().agenerate("two")
    assert called_providers(madspark_simulator) == ["ollama", "gemini"]
    assert [(attempt.provider, attempt.error) for attempt in response.attempts] == [
        ("gemini", "server"),
        ("ollama", None),
    ]


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
async def test_hedging_respects_max_attempts(
    limit: int, hedging: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on(status=500, latency=0.02, headers={"retry-after": "0.01"})
    router = hedging(hedge_after=0.005, max_attempts=limit)
    with pytest.raises(AllProvidersFailedError) as caught:
        await router.agenerate("hello")
    assert len(called_providers(madspark_simulator)) == len(caught.value.attempts) == limit


@pytest.mark.parametrize("most", [1, 2])
async def test_hedging_respects_the_budget(
    most: int, hedging: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", latency=0.25)
    madspark_simulator.on("gemini", fault="stall")
    # Without budget for a second request, the first one answers.
    _, response = await hedging(budget=Budget(max_calls=most)).agenerate("hello")
    assert response.provider == "ollama"
    assert called_providers(madspark_simulator) == ["ollama", "gemini"][:most]


async def test_a_refusal_cancels_the_other_request(
    hedging: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", fault="stall")
    madspark_simulator.on("gemini", body={"promptFeedback": {"blockReason": "SAFETY"}})
    async with asyncio.timeout(10):
        with pytest.raises(ContentRefusedError) as caught:
            await hedging().agenerate("hello")
    assert [(attempt.provider, attempt.error) for attempt in caught.value.attempts] == [
        ("ollama", "cancelled"),
        ("gemini", "blocked"),
    ]
    assert await madspark_simulator.await_hang_ups(1)


async def test_cancelling_a_call_closes_both_sockets(
    hedging: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on(fault="stall")
    router = hedging()
    task = asyncio.create_task(router.agenerate("hello"))
    assert await madspark_simulator.await_requests(2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await madspark_simulator.await_hang_ups(2)
    # The call itself ends a moment after its sockets.
    async with asyncio.timeout(10):
        while router.get_metrics()["cancelled_requests"] == 0:  # noqa: ASYNC110  # it ends on another thread
            await asyncio.sleep(0.01)
    metrics = router.get_metrics()
    assert (metrics["ollama_calls"], metrics["gemini_calls"], metrics["cancelled_requests"]) == (1, 1, 1)
    assert metrics["failed_requests"] == 0


@pytest.mark.parametrize("value", [0.0, -1.0, "p50", float("nan")])
def test_an_invalid_hedge_after_is_rejected(value: Any) -> None:
    with pytest.raises(ValueError, match="hedge_after"):
        LLMRouter("mock", hedge_after=value)
