"""Progress callbacks run on the loop of the run, in its context and in order, and their errors do not end it."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from typing import TYPE_CHECKING

import pytest

from madspark import AsyncCoordinator, Coordinator

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import LLMRouter
    from madspark.testing import Simulator

REQUEST: contextvars.ContextVar[str] = contextvars.ContextVar("REQUEST", default="unset")


@pytest.fixture
def router(madspark_router: Callable[..., LLMRouter]) -> LLMRouter:
    return madspark_router(primary_provider="ollama", fallback_enabled=False)


class Progress:
    """Records the calls of a callback, with their context and thread."""

    def __init__(self) -> None:
        self.fractions: list[float] = []
        self.messages: list[str] = []
        self.requests: set[str] = set()
        self.threads: set[int] = set()

    def __call__(self, message: str, fraction: float) -> None:
        self.messages.append(message)
        self.fractions.append(fraction)
        self.requests.add(REQUEST.get())
        self.threads.add(threading.get_ident())

    def assert_complete(self) -> None:
        assert self.fractions[0] == 0.0
        assert self.fractions[-1] == 1.0
        assert self.fractions == sorted(self.fractions)
        assert all(self.messages)


async def test_a_plain_function_is_called_on_the_loop_in_the_callers_context(router: LLMRouter) -> None:
    REQUEST.set("seven")
    progress = Progress()
    await AsyncCoordinator(router=router, progress_callback=progress).run_workflow("roof gardens")
    progress.assert_complete()
    assert progress.requests == {"seven"}
    assert progress.threads == {threading.get_ident()}


async def test_a_slow_coroutine_function_receives_every_event_in_order(router: LLMRouter) -> None:
    REQUEST.set("seven")
    quick, slow = Progress(), Progress()
    await AsyncCoordinator(router=router, progress_callback=quick).run_workflow("roof gardens")

    async def callback(message: str, fraction: float) -> None:
        # Earlier events take longer, so that only sequential calls keep the order.
        for _ in range(int(200 * (1 - fraction))):
            await asyncio.sleep(0)
        slow(message, fraction)

    await AsyncCoordinator(router=router, progress_callback=callback).run_workflow("roof gardens")
    slow.assert_complete()
    assert slow.messages == quick.messages
    assert slow.requests == {"seven"}


class Cache:
    """A cache that is always empty. `given` is set when the run only waits for its callbacks."""

    def __init__(self) -> None:
        self.given = asyncio.Event()

    async def get_cached_workflow(self, *_: object) -> None: ...

    async def cache_workflow_result(self, *_: object) -> None:
        self.given.set()


async def test_a_run_waits_for_its_last_callback(router: LLMRouter) -> None:
    cache, finished = Cache(), []

    async def callback(_message: str, fraction: float) -> None:
        if fraction == 1.0:
            await cache.given.wait()
            await asyncio.sleep(0)
        finished.append(fraction)

    coordinator = AsyncCoordinator(router=router, progress_callback=callback, cache_manager=cache)
    await coordinator.run_workflow("roof gardens")
    assert finished[-1] == 1.0


async def test_concurrent_runs_do_not_share_progress(router: LLMRouter) -> None:
    progress: dict[str, Progress] = {name: Progress() for name in ("left", "right")}

    async def callback(message: str, fraction: float) -> None:
        await asyncio.sleep(0)
        progress[REQUEST.get()](message, fraction)

    coordinator = AsyncCoordinator(router=router, progress_callback=callback)

    async def run(name: str) -> None:
        REQUEST.set(name)
        await coordinator.run_workflow(name)

    await asyncio.gather(*(run(name) for name in progress))
    for name, one in progress.items():
        one.assert_complete()
        assert one.requests == {name}


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_an_error_of_a_callback_is_logged_and_the_run_continues(
    asynchronous: bool, router: LLMRouter, caplog: pytest.LogCaptureFixture
) -> None:
    progress = Progress()

    def raising(message: str, fraction: float) -> None:
        progress(message, fraction)
        raise LookupError("no such channel")

    async def raising_later(message: str, fraction: float) -> None:
        raising(message, fraction)

    callback = raising_later if asynchronous else raising
    results = await AsyncCoordinator(router=router, progress_callback=callback).run_workflow("roof gardens")
    assert [one["status"] for one in results] == ["ok", "ok"]
    progress.assert_complete()
    records = [record for record in caplog.records if record.name == "madspark.progress"]
    assert len(records) == len(progress.messages)
    assert all(record.levelno == logging.ERROR and "no such channel" in caplog.text for record in records)


async def test_a_cancelled_run_cancels_its_callback(router: LLMRouter, madspark_simulator: Simulator) -> None:
    madspark_simulator.on(fault="stall")
    called = asyncio.Event()
    ended: list[str] = []

    async def callback(_message: str, _fraction: float) -> None:
        called.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("callback")

    run = asyncio.create_task(AsyncCoordinator(router=router, progress_callback=callback).run_workflow("roof gardens"))
    await called.wait()
    assert await madspark_simulator.await_requests(1)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert ended == ["callback"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_run_cancelled_during_its_last_callback_cancels_it(router: LLMRouter) -> None:
    cache = Cache()

    async def callback(_message: str, fraction: float) -> None:
        if fraction == 1.0:
            await asyncio.Event().wait()

    coordinator = AsyncCoordinator(router=router, progress_callback=callback, cache_manager=cache)
    run = asyncio.create_task(coordinator.run_workflow("roof gardens"))
    await cache.given.wait()
    await asyncio.sleep(0)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_a_synchronous_run_calls_on_its_own_thread(router: LLMRouter) -> None:
    REQUEST.set("seven")
    progress = Progress()
    Coordinator(router=router, progress_callback=progress).run_workflow("roof gardens")
    progress.assert_complete()
    assert (progress.requests, progress.threads) == ({"seven"}, {threading.get_ident()})


async def test_a_synchronous_run_in_a_notebook_keeps_the_context(router: LLMRouter) -> None:
    REQUEST.set("seven")
    progress = Progress()
    Coordinator(router=router, progress_callback=progress).run_workflow("roof gardens")
    progress.assert_complete()
    assert progress.requests == {"seven"}


def test_a_synchronous_coordinator_rejects_a_coroutine_function(router: LLMRouter) -> None:
    async def callback(_message: str, _fraction: float) -> None: ...

    with pytest.raises(TypeError, match="AsyncCoordinator"):
        Coordinator(router=router, progress_callback=callback)  # type: ignore[arg-type]
