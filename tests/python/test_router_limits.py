"""Rate limits of one target, shared by all routers of the process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from madspark import DeadlineExceededError, Limits
from wire import called_providers, model_requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import LLMRouter
    from madspark.testing import Simulator


@pytest.fixture
def limited(madspark_router: Callable[..., LLMRouter]) -> Callable[..., LLMRouter]:
    """Return a factory of limited routers for OpenAI's protocol."""

    def make(key: str = "key-of-one", deadline: float | None = None, **limits: int) -> LLMRouter:
        return madspark_router(
            primary_provider="openai",
            fallback_enabled=False,
            openai_api_key=key,
            deadline=deadline,
            limits={"openai": Limits(**limits)} if limits else None,
        )

    return make


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_concurrency_limit_holds_across_all_routers_of_a_key(
    streamed: bool, limited: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.set_latency(0.02)
    routers = [limited(concurrent=2) for _ in range(5)]

    async def ask(number: int) -> None:
        if streamed:
            assert [piece async for piece in routers[number % 5].astream(f"number {number}")]
        else:
            await routers[number % 5].agenerate(f"number {number}")

    async with asyncio.timeout(20):
        await asyncio.gather(*(ask(number) for number in range(20)))
    assert len(model_requests(madspark_simulator)) == 20
    assert madspark_simulator.max_in_flight == 2


async def test_waiting_calls_are_served_in_order(
    limited: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    routers = [limited(concurrent=1) for _ in range(5)]
    async with asyncio.timeout(20):
        await asyncio.gather(*(routers[number % 5].agenerate(f"number {number}") for number in range(20)))
    assert [request.prompt for request in model_requests(madspark_simulator)] == [
        f"number {number}" for number in range(20)
    ]
    assert madspark_simulator.max_in_flight == 1


async def test_other_keys_and_other_limits_do_not_wait(
    limited: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    # Waits below 1 ms are not reported, and a release build completes the three calls in less.
    madspark_simulator.set_latency(0.01)
    madspark_simulator.on(contains="unanswered", fault="stall")
    holder = asyncio.create_task(limited(concurrent=1).agenerate("unanswered"))
    assert await madspark_simulator.await_requests(1)
    waiting = asyncio.create_task(limited(concurrent=1).agenerate("waiting"))
    async with asyncio.timeout(10):
        # Another key with the same limit; the same key without a limit, and with a larger one.
        await limited("key-of-another", concurrent=1).agenerate("another key")
        await limited().agenerate("no limit")
        await limited(concurrent=2).agenerate("a larger limit")
    prompts = [request.prompt for request in model_requests(madspark_simulator)]
    assert prompts == ["unanswered", "another key", "no limit", "a larger limit"]
    assert not waiting.done()
    holder.cancel()
    async with asyncio.timeout(10):
        _, response = await waiting
    assert response.attempts[0].wait_ms > 0


async def test_cancelled_waiters_leave_nothing_behind(
    limited: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on(contains="unanswered", fault="stall")
    router = limited(concurrent=1)
    holder = asyncio.create_task(router.agenerate("unanswered"))
    assert await madspark_simulator.await_requests(1)
    waiters = [asyncio.create_task(router.agenerate(f"number {number}")) for number in range(50)]
    last = asyncio.create_task(router.agenerate("last"))
    await asyncio.sleep(0)
    for waiter in waiters:
        waiter.cancel()
    await asyncio.wait(waiters)
    assert all(waiter.cancelled() for waiter in waiters)
    holder.cancel()
    async with asyncio.timeout(10):
        await last
        await router.agenerate("afterwards")
    assert [request.prompt for request in model_requests(madspark_simulator)] == ["unanswered", "last", "afterwards"]
    metrics = router.get_metrics()
    assert (metrics["total_requests"], metrics["cancelled_requests"], metrics["openai_calls"]) == (53, 51, 3)


@pytest.mark.parametrize("rule", [{"status": 500}, {"fault": "disconnect"}, {"json": []}], ids=str)
async def test_a_failure_releases_its_reservation(
    rule: dict[str, Any], limited: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("openai", **rule, times=1)
    async with asyncio.timeout(20):
        await limited(concurrent=1).agenerate_structured("hello", dict[str, str])
        await limited(concurrent=1).agenerate("hello")
    assert called_providers(madspark_simulator) == ["openai"] * 3


async def test_a_stream_holds_its_reservation_until_it_is_closed(
    limited: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    piece = 'data: {"choices":[{"delta":{"content":"Once upon"}}]}\n\n'
    madspark_simulator.on(contains="a tale", pieces=[piece], fault="stall_mid_body")
    router = limited(concurrent=1)
    async with asyncio.timeout(10), router.astream("a tale") as stream:
        assert await anext(aiter(stream)) == "Once upon"
        waiting = asyncio.create_task(router.agenerate("next"))
        with pytest.raises(DeadlineExceededError):
            await limited(concurrent=1, deadline=0.1).agenerate("cannot wait")
        assert not waiting.done()
    async with asyncio.timeout(10):
        await waiting
    assert [request.prompt for request in model_requests(madspark_simulator)] == ["a tale", "next"]


async def test_requests_per_minute(limited: Callable[..., LLMRouter], madspark_simulator: Simulator) -> None:
    async with asyncio.timeout(10):
        for number in range(3):
            await limited(requests_per_minute=3).agenerate(f"number {number}")
        with pytest.raises(DeadlineExceededError):
            await limited(requests_per_minute=3, deadline=0.1).agenerate("one too many")
        await limited("key-of-another", requests_per_minute=3).agenerate("another key")
    assert len(model_requests(madspark_simulator)) == 4


async def test_tokens_per_minute_count_the_actual_usage(
    limited: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("openai", prompt_tokens=900, text="word")
    async with asyncio.timeout(10):
        # Two tokens are reserved for the prompt, 901 are used.
        await limited(tokens_per_minute=1000).agenerate("hello")
        with pytest.raises(DeadlineExceededError):
            await limited(tokens_per_minute=1000, deadline=0.1).agenerate("word " * 200)
        await limited(tokens_per_minute=1000).agenerate("hello")
    assert len(model_requests(madspark_simulator)) == 2
