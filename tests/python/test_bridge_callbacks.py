"""The caller's progress callback: on the loop of the run, in its context, in order, never failing it."""

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


class Told:
    """What a callback was told, and where."""

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

    def assert_whole(self) -> None:
        assert self.fractions[0] == 0.0
        assert self.fractions[-1] == 1.0
        assert self.fractions == sorted(self.fractions)
        assert all(self.messages)


async def test_plain_function(router: LLMRouter) -> None:
    REQUEST.set("seven")
    told = Told()
    await AsyncCoordinator(router=router, progress_callback=told).run_workflow("roof gardens")
    told.assert_whole()
    assert told.requests == {"seven"}
    assert told.threads == {threading.get_ident()}


async def test_coroutine_function_slower_than_the_run_gets_everything_in_order(router: LLMRouter) -> None:
    REQUEST.set("seven")
    quick, slow = Told(), Told()
    await AsyncCoordinator(router=router, progress_callback=quick).run_workflow("roof gardens")

    async def callback(message: str, fraction: float) -> None:
        # The earlier the event, the longer it takes: only one at a time keeps the order.
        for _ in range(int(200 * (1 - fraction))):
            await asyncio.sleep(0)
        slow(message, fraction)

    await AsyncCoordinator(router=router, progress_callback=callback).run_workflow("roof gardens")
    slow.assert_whole()
    assert slow.messages == quick.messages
    assert slow.requests == {"seven"}


class Cache:
    """A cache that is always empty: what it is given tells that only the callback is left to wait for."""

    def __init__(self) -> None:
        self.given = asyncio.Event()

    async def get_cached_workflow(self, *_: object) -> None: ...

    async def cache_workflow_result(self, *_: object) -> None:
        self.given.set()


async def test_one_that_still_runs_at_the_end_is_waited_for(router: LLMRouter) -> None:
    cache, finished = Cache(), []

    async def callback(_message: str, fraction: float) -> None:
        if fraction == 1.0:
            await cache.given.wait()
            await asyncio.sleep(0)
        finished.append(fraction)

    coordinator = AsyncCoordinator(router=router, progress_callback=callback, cache_manager=cache)
    await coordinator.run_workflow("roof gardens")
    assert finished[-1] == 1.0


async def test_runs_at_once_do_not_mix(router: LLMRouter) -> None:
    told: dict[str, Told] = {name: Told() for name in ("left", "right")}

    async def callback(message: str, fraction: float) -> None:
        await asyncio.sleep(0)
        told[REQUEST.get()](message, fraction)

    coordinator = AsyncCoordinator(router=router, progress_callback=callback)

    async def run(name: str) -> None:
        REQUEST.set(name)
        await coordinator.run_workflow(name)

    await asyncio.gather(*(run(name) for name in told))
    for name, one in told.items():
        one.assert_whole()
        assert one.requests == {name}


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_a_callback_that_raises_is_logged_and_survived(
    asynchronous: bool, router: LLMRouter, caplog: pytest.LogCaptureFixture
) -> None:
    told = Told()

    def raising(message: str, fraction: float) -> None:
        told(message, fraction)
        raise LookupError("no such channel")

    async def raising_later(message: str, fraction: float) -> None:
        raising(message, fraction)

    callback = raising_later if asynchronous else raising
    results = await AsyncCoordinator(router=router, progress_callback=callback).run_workflow("roof gardens")
    assert [one["status"] for one in results] == ["ok", "ok"]
    told.assert_whole()
    records = [record for record in caplog.records if record.name == "madspark.progress"]
    assert len(records) == len(told.messages)
    assert all(record.levelno == logging.ERROR and "no such channel" in caplog.text for record in records)


async def test_a_cancelled_run_stops_calling(router: LLMRouter, madspark_simulator: Simulator) -> None:
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


async def test_a_run_cancelled_while_its_last_callback_runs_stops_it(router: LLMRouter) -> None:
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


def test_synchronous_coordinator(router: LLMRouter) -> None:
    REQUEST.set("seven")
    told = Told()
    Coordinator(router=router, progress_callback=told).run_workflow("roof gardens")
    told.assert_whole()
    assert (told.requests, told.threads) == ({"seven"}, {threading.get_ident()})


async def test_synchronous_coordinator_in_a_notebook_keeps_the_context(router: LLMRouter) -> None:
    REQUEST.set("seven")
    told = Told()
    Coordinator(router=router, progress_callback=told).run_workflow("roof gardens")
    told.assert_whole()
    assert told.requests == {"seven"}


def test_synchronous_coordinator_refuses_a_coroutine_function(router: LLMRouter) -> None:
    async def callback(_message: str, _fraction: float) -> None: ...

    with pytest.raises(TypeError, match="AsyncCoordinator"):
        Coordinator(router=router, progress_callback=callback)  # type: ignore[arg-type]
