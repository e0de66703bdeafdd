"""One small set of native threads serves many calls, threads and event loops."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import uvloop

from madspark import Coordinator

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import LLMRouter
    from madspark.testing import Simulator

CALLS = 1000
THREADS = 8
LOOPS_PER_THREAD = 20


def threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


async def test_a_thousand_concurrent_calls_need_few_threads(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    for _ in range(2):
        answers = await asyncio.gather(*(router.agenerate(f"question {number}") for number in range(CALLS)))
        # The worker, the Python thread, the simulator's thread, and those of the interpreter.
        assert threads() < 16
        assert all(response.provider == "ollama" for _, response in answers)
    requests = madspark_simulator.requests
    prompts = [request.prompt for request in requests]
    assert sorted(prompts) == sorted([f"question {number}" for number in range(CALLS)] * 2)
    # The second thousand reuses the connections of the first.
    assert len({request.connection for request in requests}) <= CALLS
    assert router.get_metrics()["total_requests"] == 2 * CALLS


async def test_replies_reach_their_own_callers(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    for number in range(100):
        # Later requests are answered earlier.
        madspark_simulator.on(contains=f"<{number}>", text=f"answer {number}", latency=(100 - number) / 1000)
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    answers = await asyncio.gather(*(router.agenerate(f"<{number}>") for number in range(100)))
    assert [text for text, _ in answers] == [f"answer {number}" for number in range(100)]


def test_one_router_serves_many_threads_with_many_loops(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)

    async def call(thread: int, loop: int) -> list[str]:
        answers = await asyncio.gather(*(router.agenerate(f"{thread}.{loop}.{number}") for number in range(3)))
        return [response.provider for _, response in answers]

    def work(thread: int) -> None:
        for loop in range(LOOPS_PER_THREAD):
            assert asyncio.run(call(thread, loop)) == ["ollama"] * 3

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))
    expected = {f"{t}.{loop}.{c}" for t in range(THREADS) for loop in range(LOOPS_PER_THREAD) for c in range(3)}
    assert {request.prompt for request in madspark_simulator.requests} == expected
    assert len(madspark_simulator.requests) == len(expected)


def test_two_loops_in_two_threads_run_concurrently(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    meet = threading.Barrier(2, timeout=10)

    async def call(name: str) -> int:
        # Both loops are inside their calls at the same time.
        pending = asyncio.create_task(router.agenerate(name))
        await asyncio.to_thread(meet.wait)
        await pending
        return threading.get_ident()

    madspark_simulator.set_latency(0.05)
    with ThreadPoolExecutor(2) as pool:
        assert len(set(pool.map(lambda name: asyncio.run(call(name)), ("left", "right")))) == 2
    assert madspark_simulator.max_in_flight == 2


def test_uvloop_runs_and_cancels_calls(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    madspark_simulator.on(contains="hang", fault="stall")

    async def work() -> str:
        assert isinstance(asyncio.get_running_loop(), uvloop.Loop)
        hanging = asyncio.create_task(router.agenerate("hang"))
        assert await madspark_simulator.await_requests(1)
        hanging.cancel()
        assert await madspark_simulator.await_hang_ups(1)
        answers = await asyncio.gather(*(router.agenerate("hello") for _ in range(100)))
        return answers[99][1].provider

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(work()) == "ollama"


async def test_synchronous_calls_work_inside_a_running_loop(madspark_router: Callable[..., LLMRouter]) -> None:
    # As in a cell of a notebook.
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    assert router.generate("hello")[1].provider == "ollama"
    (first, _) = Coordinator(router=router).run_workflow("roof gardens")
    assert first["status"] == "ok"
    assert router.health_status()["ollama"]["healthy"]


async def test_a_synchronous_call_on_a_worker_thread_does_not_block_the_loop(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    madspark_simulator.on(contains="slow", latency=0.2)
    slow = asyncio.create_task(asyncio.to_thread(router.generate, "slow"))
    assert await madspark_simulator.await_requests(1)
    # The loop runs this call while the thread waits.
    await router.agenerate("quick")
    assert not slow.done()
    assert (await slow)[1].provider == "ollama"
    (first, _) = await asyncio.to_thread(Coordinator(router=router).run_workflow, "roof gardens")
    assert first["status"] == "ok"


def test_synchronous_calls_of_many_threads_overlap(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    madspark_simulator.set_latency(0.2)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(router.generate, [f"question {number}" for number in range(20)]))
    assert {response.provider for _, response in answers} == {"ollama"}
    assert madspark_simulator.max_in_flight > 10


async def test_a_call_that_ends_in_its_first_poll_needs_no_turn_of_the_loop(
    madspark_router: Callable[..., LLMRouter],
) -> None:
    coroutine = madspark_router(primary_provider="mock").agenerate("hello")
    with pytest.raises(StopIteration) as finished:
        coroutine.send(None)
    text, response = finished.value.value
    assert (text, response.provider) == (response.text, "mock")
