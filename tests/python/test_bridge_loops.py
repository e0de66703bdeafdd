"""Delivery of finished work to event loops of every kind, and the resources that a closed loop releases."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from madspark import AsyncCoordinator
from wire import called_providers

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import LLMRouter
    from madspark.testing import Simulator


class Unwatching(asyncio.SelectorEventLoop):
    """A loop that does not watch file descriptors, like the default one of Windows."""

    def add_reader(self, fd: object, callback: object, *args: object) -> None:
        raise NotImplementedError


class Full(asyncio.SelectorEventLoop):
    """A loop that cannot watch a further file descriptor."""

    def add_reader(self, fd: object, callback: object, *args: object) -> None:
        del fd, callback, args
        raise OSError(errno.ENOSPC, "no space left on device")


LOOPS: dict[str, type[asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.SelectorEventLoop,
    "uvloop": uvloop.Loop,
    "unwatching": Unwatching,
    "full": Full,
}


@pytest.fixture(params=LOOPS)
def factory(request: pytest.FixtureRequest) -> Callable[[], asyncio.AbstractEventLoop]:
    """Create loops of one kind."""
    return LOOPS[str(request.param)]


@pytest.fixture
def router(madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator) -> LLMRouter:
    """A router whose replies arrive over the network, on another thread."""
    del madspark_simulator
    return madspark_router(primary_provider="ollama", fallback_enabled=False, max_attempts=1)


def pipes() -> int:
    """Count the pipes that are open in this process, without those of loops that other tests left to the collector."""
    gc.collect()
    links = (link for link in Path("/proc/self/fd").iterdir() if link.is_symlink())
    return sum(str(link.readlink()).startswith("pipe:") for link in links)


def run(factory: Callable[[], asyncio.AbstractEventLoop], work: Any) -> Any:
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(work)


def test_every_kind_of_loop_runs_calls_callbacks_and_cancellations(
    factory: Callable[[], asyncio.AbstractEventLoop], router: LLMRouter, madspark_simulator: Simulator
) -> None:
    madspark_simulator.on(contains="<unanswered>", fault="stall")
    progress: list[tuple[str, float]] = []

    async def work() -> None:
        hanging = asyncio.create_task(router.agenerate("<unanswered>"))
        assert await madspark_simulator.await_requests(1)
        hanging.cancel()
        assert await madspark_simulator.await_hang_ups(1)
        answers = await asyncio.gather(*(router.agenerate(f"question {number}") for number in range(100)))
        assert {response.provider for _, response in answers} == {"ollama"}
        coordinator = AsyncCoordinator(
            router=router, progress_callback=lambda message, fraction: progress.append((message, fraction))
        )
        (first, *_) = await coordinator.run_workflow("roof gardens")
        assert first["status"] == "ok"

    run(factory, work())
    fractions = [fraction for _, fraction in progress]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    prompts = [request.prompt for request in madspark_simulator.requests]
    assert {f"question {number}" for number in range(100)} <= set(prompts)
    assert set(called_providers(madspark_simulator)) == {"ollama"}


def test_closed_loops_leave_no_pipe_open(factory: Callable[[], asyncio.AbstractEventLoop], router: LLMRouter) -> None:
    run(factory, router.agenerate("hello"))
    before = pipes()
    for number in range(50):
        run(factory, router.agenerate(f"hello {number}"))
    assert pipes() == before


def test_a_loop_keeps_its_queue_when_it_changes_threads(router: LLMRouter) -> None:
    loop = asyncio.new_event_loop()
    answers = []
    try:
        for number in range(10):
            with ThreadPoolExecutor(1) as pool:
                answers.append(pool.submit(loop.run_until_complete, router.agenerate(f"hello {number}")).result())
            if number == 0:
                opened = pipes()
        assert pipes() == opened
    finally:
        loop.close()
    assert [response.provider for _, response in answers] == ["ollama"] * 10


def test_a_loop_that_is_not_closed_is_collected(router: LLMRouter) -> None:
    loop = asyncio.new_event_loop()
    before = pipes()
    loop.run_until_complete(router.agenerate("hello"))
    assert pipes() > before
    watched = weakref.ref(loop)
    del loop
    with pytest.warns(ResourceWarning, match="unclosed event loop"):
        gc.collect()
    assert watched() is None
    assert pipes() == before


async def test_a_loop_does_not_keep_the_context_of_its_first_caller(router: LLMRouter) -> None:
    """A loop runs and keeps a reader in the context of its registration."""
    variable = contextvars.ContextVar[object]("variable")

    class Value:
        """A value of one request."""

    async def call() -> weakref.ref[Value]:
        value = Value()
        variable.set(value)
        await router.agenerate("hello")
        return weakref.ref(value)

    kept = await asyncio.create_task(call())
    # asyncio keeps the last callback that it ran, and a context variable caches its last value.
    await asyncio.sleep(0)
    variable.set(None)
    gc.collect()
    assert kept() is None
