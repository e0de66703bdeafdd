"""Ending the wait for a call cancels the call and closes its connection."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from madspark import AsyncCoordinator, AuthorizationError, ProviderUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import LLMRouter
    from madspark.testing import Simulator

CANCELS = 200


@pytest.fixture
def simulator(madspark_simulator: Simulator) -> Simulator:
    """Never answers prompts that contain "unanswered"."""
    madspark_simulator.on(contains="unanswered", fault="stall")
    return madspark_simulator


@pytest.fixture
def router(madspark_router: Callable[..., LLMRouter]) -> LLMRouter:
    return madspark_router(primary_provider="ollama", fallback_enabled=False)


def native_threads() -> int:
    # Without the threads of Python, such as those that wait for the simulator.
    return len(list(Path("/proc/self/task").iterdir())) - threading.active_count()


async def assert_all_hung_up(simulator: Simulator, router: LLMRouter, started: int) -> None:
    assert await simulator.await_hang_ups(started)
    assert [request.hung_up for request in simulator.requests] == [True] * started
    assert simulator.in_flight == 0
    assert (await router.agenerate("hello"))[1].provider == "ollama"


async def test_cancelling_a_task_cancels_the_call(simulator: Simulator, router: LLMRouter) -> None:
    task = asyncio.create_task(router.agenerate("unanswered"))
    assert await simulator.await_requests(1)
    task.cancel("no longer wanted")
    with pytest.raises(asyncio.CancelledError, match="no longer wanted"):
        await task
    await assert_all_hung_up(simulator, router, 1)
    # A cancelled call is not a failed one.
    assert router.get_metrics()["failed_requests"] == 0


async def test_wait_for_cancels_the_call(simulator: Simulator, router: LLMRouter) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(router.agenerate("unanswered"), 0.2)
    await assert_all_hung_up(simulator, router, 1)


async def test_a_timeout_block_cancels_the_call(simulator: Simulator, router: LLMRouter) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await router.agenerate("unanswered")
    await assert_all_hung_up(simulator, router, 1)


async def test_a_task_group_cancels_the_calls_beside_a_failing_task(simulator: Simulator, router: LLMRouter) -> None:
    async def fail() -> None:
        assert await simulator.await_requests(3)
        raise LookupError

    async def all_of_them() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(router.agenerate("unanswered"))
            group.create_task(fail())

    with pytest.raises(ExceptionGroup) as raised:
        await all_of_them()
    # The cancelled calls are not among the errors.
    assert [type(error) for error in raised.value.exceptions] == [LookupError]
    await assert_all_hung_up(simulator, router, 3)


async def test_cancelling_gather_cancels_its_calls(simulator: Simulator, router: LLMRouter) -> None:
    gathered = asyncio.gather(*(router.agenerate("unanswered") for _ in range(5)))
    assert await simulator.await_requests(5)
    gathered.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gathered
    await assert_all_hung_up(simulator, router, 5)


async def test_gather_does_not_cancel_the_calls_beside_a_failing_one(simulator: Simulator, router: LLMRouter) -> None:
    # As documented for gather: only the awaiting task sees the error.
    calls = [asyncio.create_task(router.agenerate("unanswered")) for _ in range(2)]
    with pytest.raises(ValueError, match="prompt"):
        await asyncio.gather(*calls, router.agenerate(" "))
    assert await simulator.await_requests(2)
    assert not any(call.done() for call in calls)
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    await assert_all_hung_up(simulator, router, 2)


async def test_a_batch_cancels_its_other_calls_when_one_fails(simulator: Simulator, router: LLMRouter) -> None:
    from madspark.schemas import GeneratedIdeas

    simulator.on(contains="wrong key", status=401)
    with pytest.raises(AuthorizationError):
        await router.agenerate_structured_batch(["unanswered", "wrong key", "unanswered"], GeneratedIdeas)
    sent = [request for request in simulator.requests if request.prompt == "unanswered"]
    assert await simulator.await_hang_ups(len(sent))
    assert simulator.in_flight == 0


async def test_a_structured_call_is_cancelled_in_its_repair(simulator: Simulator, router: LLMRouter) -> None:
    from madspark.schemas import GeneratedIdeas

    simulator.clear_rules()
    simulator.on(text="{}", times=1)
    simulator.on(fault="stall")
    task = asyncio.create_task(router.agenerate_structured("ideas", GeneratedIdeas))
    assert await simulator.await_requests(2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await simulator.await_hang_ups(1)
    assert [request.hung_up for request in simulator.requests] == [False, True]


@pytest.mark.parametrize("call", [1, 2, 3])
async def test_a_workflow_is_cancelled_in_each_of_its_first_calls(
    simulator: Simulator, router: LLMRouter, call: int
) -> None:
    simulator.clear_rules()
    simulator.set_latency(0)
    for _ in range(call - 1):
        simulator.on(times=1, latency=0)
    simulator.on(fault="stall")
    coordinator = AsyncCoordinator(router=router)
    task = asyncio.create_task(coordinator.run_workflow("roof gardens", enhanced_reasoning=True))
    assert await simulator.await_requests(call)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    hanging = len(simulator.requests) - call + 1
    assert await simulator.await_hang_ups(hanging)
    assert simulator.in_flight == 0
    simulator.clear_rules()
    assert [one["status"] for one in await coordinator.run_workflow("roof gardens")] == ["ok", "ok"]


async def test_a_cancelled_workflow_releases_its_permits(simulator: Simulator, router: LLMRouter) -> None:
    coordinator = AsyncCoordinator(max_concurrent_agents=1, router=router)
    for number in range(1, 4):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(coordinator.run_workflow("unanswered"), 0.1)
        assert await simulator.await_hang_ups(number)
    async with asyncio.timeout(10):
        assert len(await coordinator.run_workflow("roof gardens")) == 2


async def test_many_cancelled_calls_leave_no_thread_and_no_request(simulator: Simulator, router: LLMRouter) -> None:
    await router.agenerate("hello")
    simulator.clear()
    before = native_threads()
    for number in range(1, CANCELS + 1):
        task = asyncio.create_task(router.agenerate("unanswered"))
        assert await simulator.await_requests(number)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await simulator.await_hang_ups(number)
    assert simulator.in_flight == 0
    assert native_threads() == before
    assert (await router.agenerate("hello"))[1].provider == "ollama"


async def test_calls_are_cancelled_at_any_moment(simulator: Simulator, router: LLMRouter) -> None:
    """Before the task starts, while it connects, and while it receives the reply."""
    for turns in range(CANCELS):
        task = asyncio.create_task(router.agenerate("hello" if turns % 2 else "unanswered"))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
    assert (await router.agenerate("hello"))[1].provider == "ollama"
    hanging = sum(request.prompt == "unanswered" for request in simulator.requests)
    assert await simulator.await_hang_ups(hanging)
    assert simulator.in_flight == 0


def test_an_abandoned_loop_with_a_call_in_flight_is_collected(
    simulator: Simulator, madspark_router: Callable[..., LLMRouter]
) -> None:
    """Python warns about the task that was not cancelled. Nothing else is reported or kept."""
    router = madspark_router(primary_provider="ollama", fallback_enabled=False, max_attempts=1)
    messages: list[str] = []
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _, context: messages.append(context["message"]))
    task = loop.create_task(router.agenerate("unanswered"))
    loop.run_until_complete(simulator.await_requests(1))
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    watched = weakref.ref(task)
    del task, loop
    # The call fails when its loop is already closed.
    simulator.stop()
    for _ in range(1000):
        if watched() is None:
            break
        with pytest.raises(ProviderUnavailableError):
            asyncio.run(router.agenerate("hello"))
        gc.collect()
    assert messages == ["Task was destroyed but it is pending!"]
