"""The deadline of a call covers every retry, repair, fallback, pause, wait and piece of a stream."""

from __future__ import annotations

import asyncio
import copy
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from madspark import AllProvidersFailedError, DeadlineExceededError, Limits, LLMProviderError
from wire import called_providers, model_requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import LLMRouter
    from madspark.testing import Simulator

TEST_TIMEOUT = 10
"""Far beyond every deadline here: only a call that ignores its deadline reaches it."""

LATER = {"retry-after": "50"}


class Idea(BaseModel):
    """The requested output."""

    title: str


async def ask(router: LLMRouter, streamed: bool) -> None:
    """Make a call, streamed or not."""
    if streamed:
        async for _ in router.astream_structured("hello", Idea, on_stream_error="restart"):
            pass
    else:
        await router.agenerate_structured("hello", Idea)


# The replies before the stalled one, and the error classes of the attempts.
BEFORE: dict[str, tuple[list[dict[str, Any]], list[str], list[str]]] = {
    "nothing": ([], ["openai"], []),
    "a retry": (
        [{"route": "openai", "status": 500, "headers": {"retry-after": "0.01"}, "times": 1}],
        ["openai", "openai"],
        ["server"],
    ),
    "a repair": ([{"route": "openai", "json": {"name": 1}, "times": 1}], ["openai", "openai"], ["invalid_output"]),
    "a simpler form": (
        [{"route": "openai", "status": 400, "body": "response_format", "times": 1}],
        ["openai", "openai"],
        ["schema_rejected"],
    ),
}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", BEFORE)
async def test_the_deadline_covers_retries_and_repairs(
    name: str, streamed: bool, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    rules, wire, errors = BEFORE[name]
    for rule in rules:
        madspark_simulator.on(**rule)
    madspark_simulator.on("openai", fault="stall")
    router = madspark_router(primary_provider="openai", fallback_enabled=False, deadline=0.3)
    async with asyncio.timeout(TEST_TIMEOUT):
        with pytest.raises(DeadlineExceededError, match=r"deadline of 0\.3 s") as caught:
            await ask(router, streamed)
    assert called_providers(madspark_simulator) == wire
    assert [attempt.error for attempt in caught.value.attempts] == [*errors, "deadline_reached"]
    assert await madspark_simulator.await_hang_ups(1)


async def test_the_deadline_covers_fallbacks(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("gemini", fault="stall_mid_body")
    madspark_simulator.on(status=500)
    router = madspark_router(primary_provider="anthropic", fallback_enabled=True, deadline=0.3)
    async with asyncio.timeout(TEST_TIMEOUT):
        with pytest.raises(DeadlineExceededError) as caught:
            await router.agenerate("a private prompt")
    assert called_providers(madspark_simulator) == ["anthropic", "ollama", "gemini"]
    error = caught.value
    assert isinstance(error, TimeoutError)
    assert isinstance(error, LLMProviderError)
    assert not isinstance(error, AllProvidersFailedError)
    assert [(attempt.provider, attempt.error) for attempt in error.attempts] == [
        ("anthropic", "server"),
        ("ollama", "server"),
        ("gemini", "deadline_reached"),
    ]
    assert "private" not in f"{error} {error!r}"
    assert "anthropic" in str(error)
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):  # noqa: S301  # our own bytes
        assert (type(twin), str(twin), twin.attempts) == (DeadlineExceededError, str(error), error.attempts)
    metrics = router.get_metrics()
    assert (metrics["failed_requests"], metrics["cancelled_requests"]) == (1, 0)


async def test_the_deadline_covers_the_pieces_of_a_stream(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    piece = 'data: {"choices":[{"delta":{"content":"drip "}}]}\n\n'
    madspark_simulator.on("openai", pieces=[piece] * 5000, tokens_per_second=50)
    router = madspark_router(primary_provider="openai", fallback_enabled=True, deadline=0.3)
    stream = router.astream("hello")
    async with asyncio.timeout(TEST_TIMEOUT):
        with pytest.raises(DeadlineExceededError) as caught:
            _ = [piece async for piece in stream]
    assert caught.value.partial == stream.text
    assert stream.text.startswith("drip drip")
    assert [attempt.error for attempt in caught.value.attempts] == ["deadline_reached"]
    assert called_providers(madspark_simulator) == ["openai"]
    assert await madspark_simulator.await_hang_ups(1)


async def test_the_deadline_covers_the_wait_for_a_rate_limit(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on(fault="stall")
    choices = {"primary_provider": "ollama", "fallback_enabled": False, "limits": {"ollama": Limits(concurrent=1)}}
    holder = asyncio.create_task(madspark_router(**choices).agenerate("first"))
    assert await madspark_simulator.await_requests(1)
    router = madspark_router(**choices, deadline=0.2)
    async with asyncio.timeout(TEST_TIMEOUT):
        with pytest.raises(DeadlineExceededError) as caught:
            await router.agenerate("second")
    assert caught.value.attempts == ()
    assert len(model_requests(madspark_simulator)) == 1
    assert router.get_metrics()["failed_requests"] == 1
    holder.cancel()
    await asyncio.wait({holder})


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_wait_beyond_the_deadline_fails_at_once(
    streamed: bool, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on(status=503, headers=LATER)
    router = madspark_router(primary_provider="ollama", fallback_enabled=True, deadline=40.0)
    # It is known at once that neither target is ready within 40 seconds.
    async with asyncio.timeout(TEST_TIMEOUT):
        with pytest.raises(AllProvidersFailedError, match="before the deadline") as caught:
            await ask(router, streamed)
    assert called_providers(madspark_simulator) == ["ollama", "gemini"]
    assert min(caught.value.ready_in.values()) > 40


def test_the_deadline_holds_for_synchronous_calls(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on(fault="stall")
    router = madspark_router(primary_provider="gemini", fallback_enabled=False, deadline=0.1)
    with pytest.raises(TimeoutError):
        router.generate("hello")
    with pytest.raises(TimeoutError):
        list(router.stream("hello"))
    assert madspark_simulator.wait_for_hang_ups(2)


def test_each_call_has_its_own_deadline(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.set_latency(0.1)
    router = madspark_router(primary_provider="ollama", fallback_enabled=False, deadline=1.0)
    # Longer than the deadline in total.
    for _ in range(12):
        router.generate("hello")
    assert len(model_requests(madspark_simulator)) == 12
    assert router.deadline == 1.0


@pytest.mark.parametrize("deadline", [0.0, -1.0, float("nan"), float("inf")])
def test_an_invalid_deadline_is_rejected(deadline: float, madspark_router: Callable[..., LLMRouter]) -> None:
    with pytest.raises(ValueError, match="deadline"):
        madspark_router(deadline=deadline)
