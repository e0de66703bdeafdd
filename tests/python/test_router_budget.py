"""The budget of a router: requests, tokens and US dollars of all its calls."""

from __future__ import annotations

import asyncio
import copy
import pickle
import socket
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from madspark import AllProvidersFailedError, Budget, BudgetExceededError, Limits, LLMProviderError, LLMResponse
from wire import called_providers, model_requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import LLMRouter
    from madspark.testing import Simulator

SOON = {"retry-after": "0.01"}


class Idea(BaseModel):
    """The requested output."""

    title: str


def sent_tokens(router: LLMRouter) -> int:
    tokens: int = router.get_metrics()["total_tokens"]
    return tokens


async def ask_many(router: LLMRouter, count: int) -> tuple[int, list[BaseException]]:
    """Return the number of answers to concurrent calls, and the errors of the others."""
    async with asyncio.timeout(30):
        outcomes = await asyncio.gather(
            *(router.agenerate(f"number {number}") for number in range(count)), return_exceptions=True
        )
    errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    return count - len(errors), errors


@pytest.mark.parametrize("most", [0, 1, 20])
async def test_max_calls_is_exact_under_concurrent_calls(
    most: int, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.set_latency(0.01)
    router = madspark_router(primary_provider="ollama", budget=Budget(max_calls=most))
    answered, errors = await ask_many(router, 50)
    assert answered == len(model_requests(madspark_simulator)) == most
    assert {type(error) for error in errors} == {BudgetExceededError}
    metrics = router.get_metrics()
    assert (metrics["total_requests"], metrics["failed_requests"], metrics["ollama_calls"]) == (50, 50 - most, most)


async def test_max_calls_is_exact_while_every_request_fails(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on(status=429, headers=SOON)
    router = madspark_router(primary_provider="openai", fallback_enabled=True, budget=Budget(max_calls=20))
    answered, errors = await ask_many(router, 50)
    assert answered == 0
    assert len(called_providers(madspark_simulator)) == 20
    assert any(isinstance(error, BudgetExceededError) for error in errors)


async def test_streams_use_the_budget(madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator) -> None:
    router = madspark_router(primary_provider="ollama", budget=Budget(max_calls=2))
    assert [piece async for piece in router.astream("one")]
    assert router.generate_structured("two", Idea)[0].title
    with pytest.raises(BudgetExceededError):
        _ = [piece async for piece in router.astream("three")]
    assert len(model_requests(madspark_simulator)) == 2


def test_no_request_is_sent_after_max_tokens(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", prompt_tokens=90, text="four words of text")
    router = madspark_router(primary_provider="ollama", budget=Budget(max_tokens=200))
    used = [router.generate("hello")[1].tokens_used for _ in range(3)]
    assert used == [used[0]] * 3
    assert sum(used[:2]) < 200 <= sum(used)
    with pytest.raises(BudgetExceededError, match=f"{sum(used)} of 200 tokens"):
        router.generate("hello")
    assert len(model_requests(madspark_simulator)) == 3


async def test_max_tokens_is_exceeded_only_by_requests_in_flight(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", prompt_tokens=100, text="word", latency=0.005)
    router = madspark_router(
        primary_provider="ollama", budget=Budget(max_tokens=1000), limits={"ollama": Limits(concurrent=5)}
    )
    answered, errors = await ask_many(router, 50)
    assert answered + len(errors) == 50
    # 101 tokens each.
    assert 1000 <= sent_tokens(router) < 1000 + 5 * 101
    assert {type(error) for error in errors} == {BudgetExceededError}


def test_max_cost_uses_the_configured_prices(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", prompt_tokens=1000, text="word")
    router = madspark_router(
        primary_provider="ollama", prices={"gemma3:12b": (1000.0, 0.0)}, budget=Budget(max_cost=2.5)
    )
    costs = [router.generate("hello")[1].cost for _ in range(3)]
    assert costs == pytest.approx([1.0] * 3)
    with pytest.raises(BudgetExceededError, match=r"3\.0+ of 2\.50+ US dollars"):
        router.generate("hello")
    assert len(model_requests(madspark_simulator)) == 3


def test_a_model_with_an_unknown_price_is_skipped_under_max_cost(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    choices = {"primary_provider": "openai", "fallback_enabled": True, "budget": Budget(max_cost=1.0)}
    _, response = madspark_router(**choices).generate("hello")
    assert called_providers(madspark_simulator) == ["ollama"]
    passed_over, answered = response.attempts
    assert (passed_over.provider, passed_over.error, passed_over.usage["input"]) == ("openai", "not_configured", 0)
    assert "prices" in (passed_over.message or "")
    assert answered.ok
    # With a configured price it is used; without max_cost too.
    madspark_simulator.clear()
    madspark_router(**choices, prices={"simulated": (1.0, 1.0)}).generate("hello")
    madspark_router(**{**choices, "budget": Budget(max_tokens=1000)}).generate("hello")
    assert called_providers(madspark_simulator) == ["openai", "openai"]
    madspark_simulator.clear()
    with pytest.raises(AllProvidersFailedError, match="prices"):
        madspark_router(**{**choices, "fallback_enabled": False}).generate("hello")
    assert called_providers(madspark_simulator) == []


def test_the_error_has_the_spending_and_the_attempts(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", status=500)
    router = madspark_router(primary_provider="ollama", fallback_enabled=True, budget=Budget(max_calls=1))
    with pytest.raises(BudgetExceededError, match="1 of 1 calls") as caught:
        router.generate("a private prompt")
    error = caught.value
    assert not isinstance(error, AllProvidersFailedError)
    assert isinstance(error, LLMProviderError)
    assert [(attempt.provider, attempt.error) for attempt in error.attempts] == [("ollama", "server")]
    assert (error.provider, error.status) == (None, None)
    assert "private" not in f"{error} {error!r} {error.explain()}"
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):  # noqa: S301  # our own bytes
        assert (type(twin), str(twin), twin.attempts) == (BudgetExceededError, str(error), error.attempts)
    assert called_providers(madspark_simulator) == ["ollama"]


COSTLY: dict[str, tuple[list[dict[str, Any]], list[str], bool]] = {
    "a retry": ([{"route": "openai", "status": 503, "headers": SOON}], ["openai", "openai"], False),
    "a repair": ([{"route": "openai", "json": {"name": 1}}], ["openai", "openai"], False),
    "a fallback": ([{"route": "openai", "status": 400}], ["openai", "ollama"], True),
    "a simpler form": ([{"route": "openai", "status": 400, "body": "response_format"}], ["openai", "openai"], False),
}


@pytest.mark.parametrize("name", COSTLY)
def test_every_sent_request_counts(
    name: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    rules, wire, fallback = COSTLY[name]
    for budget in (Budget(max_calls=1), Budget(max_calls=2)):
        # A different model each time, so that no state is shared.
        choices = {"openai_model": f"simulated-{budget.max_calls}", "fallback_enabled": fallback, "budget": budget}
        router = madspark_router(primary_provider="openai", **choices)
        madspark_simulator.clear()
        madspark_simulator.clear_rules()
        for rule in rules:
            madspark_simulator.on(**rule, times=1)
        if budget.max_calls == 1:
            with pytest.raises(BudgetExceededError):
                router.generate_structured("hello", Idea)
            assert called_providers(madspark_simulator) == wire[:1]
        else:
            assert router.generate_structured("hello", Idea)[0].title
            assert called_providers(madspark_simulator) == wire


@pytest.mark.parametrize("budget", [Budget(max_calls=1), Budget(max_tokens=50), Budget(max_cost=0.01)], ids=str)
async def test_a_cancelled_request_counts_with_estimated_tokens(
    budget: Budget, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on(contains="unanswered", fault="stall")
    router = madspark_router(primary_provider="ollama", budget=budget, prices={"gemma3:12b": (1000.0, 1000.0)})
    task = asyncio.create_task(router.agenerate("unanswered " * 40))
    assert await madspark_simulator.await_requests(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await madspark_simulator.await_hang_ups(1)
    # About 440 characters.
    assert 90 <= sent_tokens(router) <= 130
    with pytest.raises(BudgetExceededError):
        await router.agenerate("hello")
    assert len(model_requests(madspark_simulator)) == 1


def test_an_unsent_request_does_not_count(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{holder.getsockname()[1]}"
    choices = {"primary_provider": "ollama", "ollama_host": closed, "budget": Budget(max_calls=1)}
    _, response = madspark_router(**choices, fallback_enabled=True).generate("hello")
    assert [attempt.error for attempt in response.attempts] == ["connect", None]
    assert called_providers(madspark_simulator) == ["gemini"]


def test_each_router_has_its_own_budget(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    budget = Budget(max_calls=1)
    routers = [madspark_router(primary_provider="ollama", budget=budget) for _ in range(2)]
    for router in routers:
        assert isinstance(router.generate("hello")[1], LLMResponse)
        with pytest.raises(BudgetExceededError):
            router.generate("hello")
        # Metrics can be reset; the spent budget cannot.
        router.reset_metrics()
        with pytest.raises(BudgetExceededError):
            router.generate("hello")
    assert len(model_requests(madspark_simulator)) == 2
