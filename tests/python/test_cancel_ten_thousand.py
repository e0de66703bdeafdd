"""Ten thousand calls and streams are cancelled at random moments and leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import random
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from madspark import Limits, LLMConfig, LLMProviderError, LLMRouter
from madspark.testing import Simulator

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

CANCELS = 10_000

AT_ONCE = 100

LONGEST = 0.02
"""Seconds until the last of the concurrent calls is cancelled."""

PIECE = 'data: {"choices":[{"delta":{"content":"Once upon a time "}}]}\n\n'


def sockets() -> int:
    """Count the open sockets of this process, of clients and servers."""
    count = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            count += str(descriptor.readlink()).startswith("socket:")
        except FileNotFoundError:
            # The descriptor of this listing.
            continue
    return count


def native_threads() -> int:
    return len(list(Path("/proc/self/task").iterdir())) - threading.active_count()


async def until(is_so: Callable[[], bool]) -> bool:
    """Wait until a condition holds that other threads bring about."""
    for _ in range(1000):
        if is_so():
            return True
        await asyncio.sleep(0.01)
    return False


class Stages:
    """Calls that wait at one stage each, by its name. Each stage has its own target and router."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self.routers = {name: self._router(name) for name in self.names}
        self.number = 0
        simulator.on(model="before-headers", fault="stall")
        simulator.on(model="in-the-body", fault="stall_mid_body")
        simulator.on(model="stream-before-headers", fault="stall")
        simulator.on(model="in-a-stream", pieces=[PIECE] * 3, fault="stall_mid_body")
        simulator.on(model="before-a-retry", status=503, headers={"retry-after": "30"})
        simulator.on(model="hedged", fault="stall")
        simulator.on(model="hedge", fault="stall")
        simulator.on(contains="the holder", fault="stall")
        # Other requests are answered: "answered" and "streamed" are cancelled before, during or after the reply.

    names = (
        "before-headers",
        "in-the-body",
        "stream-before-headers",
        "in-a-stream",
        "for-a-limit",
        "before-a-retry",
        "hedged",
        "answered",
        "streamed",
    )

    def _router(self, name: str, key: str = "key") -> LLMRouter:
        simulator = self._simulator
        config = LLMConfig(
            ollama_host=simulator.ollama_url,
            ollama_model_balanced="hedge" if name == "hedged" else "gemma3:12b",
            openai_base_url=simulator.openai_url,
            openai_api_key=key,
            openai_model=name,
            limits={"openai": Limits(concurrent=1)} if name == "for-a-limit" else None,
        )
        hedge_after = 0.002 if name == "hedged" else None
        return LLMRouter("openai", name == "hedged", config=config, hedge_after=hedge_after)

    def call(self, name: str) -> tuple[LLMRouter, Awaitable[Any]]:
        self.number += 1
        # A target in cooldown receives no request, so each call has its own target.
        fresh = name == "before-a-retry"
        router = self._router(name, f"key-{self.number}") if fresh else self.routers[name]
        return router, self._stream(router) if "stream" in name else router.agenerate("hello")

    @staticmethod
    async def _stream(router: LLMRouter) -> str:
        async with router.astream("hello") as stream:
            return "".join([piece async for piece in stream])


async def cancel_at_random(stages: Stages, count: int, chance: random.Random, tally: Counter[str]) -> list[LLMRouter]:
    """Start and cancel `count` calls; return the routers that serve one call only."""
    loop = asyncio.get_running_loop()
    tasks, alone = [], []
    for _ in range(count):
        name = chance.choice(stages.names)
        router, call = stages.call(name)
        if router is not stages.routers[name]:
            alone.append(router)
        task = asyncio.ensure_future(call)
        # Some immediately, before or in their first turn.
        if chance.random() < 0.1:
            loop.call_soon(task.cancel)
        else:
            loop.call_later(chance.random() * LONGEST, task.cancel)
        tasks.append(task)
    await asyncio.wait(tasks)
    for task in tasks:
        if task.cancelled():
            tally["cancelled"] += 1
        else:
            tally["failed" if isinstance(task.exception(), LLMProviderError) else "answered"] += 1
    return alone


async def test_ten_thousand_cancelled_calls_leave_nothing_behind() -> None:
    with Simulator() as warm:
        # Starts the runtime and its threads.
        router = LLMRouter("ollama", fallback_enabled=False, config=LLMConfig(ollama_host=warm.ollama_url))
        await asyncio.gather(*(router.agenerate("hello") for _ in range(10)))
    before = sockets()
    chance = random.Random(20)  # noqa: S311  (the same moments each time)
    tally: Counter[str] = Counter()
    metrics: Counter[str] = Counter()

    def count(router: LLMRouter) -> None:
        values = router.get_metrics()
        for name in ("total_requests", "failed_requests", "cancelled_requests"):
            metrics[name] += values[name]

    with Simulator() as simulator:
        stages = Stages(simulator)
        holder = asyncio.ensure_future(stages.routers["for-a-limit"].agenerate("the holder"))
        assert await simulator.await_requests(1)
        threads = native_threads()
        alone: list[LLMRouter] = []
        for _ in range(CANCELS // AT_ONCE):
            alone += await cancel_at_random(stages, AT_ONCE, chance, tally)
        holder.cancel()
        await asyncio.wait({holder})
        tally["cancelled"] += 1
        assert await until(lambda: simulator.in_flight == 0)
        # Each stage was reached many times, and no call passed the limit.
        reached = Counter(request.model for request in simulator.requests)
        for name in {*Stages.names, "hedge"} - {"for-a-limit"}:
            assert reached[name] > CANCELS // 100, name
        assert reached["for-a-limit"] == 1
        assert sum(request.status == 503 for request in simulator.requests) > CANCELS // 100
        # No task and no thread is left.
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert await until(lambda: native_threads() <= threads)
        # Every permit is released: a call succeeds at once.
        async with asyncio.timeout(10):
            await stages.routers["for-a-limit"].agenerate("hello")
        tally["answered"] += 1
        # Every call is counted exactly once.
        assert sum(tally.values()) == CANCELS + 2
        assert tally["cancelled"] > CANCELS // 2
        assert tally["answered"] > 0
        for router in [*stages.routers.values(), *alone]:
            count(router)
        assert metrics["failed_requests"] == tally["failed"]
        assert metrics["total_requests"] == sum(
            (tally["answered"], metrics["failed_requests"], metrics["cancelled_requests"])
        )
        # Calls that were cancelled before they started are not counted.
        assert metrics["cancelled_requests"] <= tally["cancelled"]
    gc.collect()
    # No socket is left: the idle ones end with the server.
    assert await until(lambda: sockets() <= before)


def test_a_stream_that_is_not_read_is_not_a_call() -> None:
    with Simulator() as simulator:
        router = LLMRouter("ollama", config=LLMConfig(ollama_host=simulator.ollama_url))
        router.stream("hello").close()
        metrics = router.get_metrics()
        assert simulator.requests == []
    assert metrics["total_requests"] == metrics["failed_requests"] + metrics["cancelled_requests"]
