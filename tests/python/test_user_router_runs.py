"""Custom routers in a run: cancellation, timeouts, context variables and concurrent calls."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock, MagicMock

import pytest

from doubles import AsyncRouter, SyncRouter, sample, stage_of
from madspark import AsyncCoordinator, Coordinator
from madspark.agents import Critic
from madspark.llm.exceptions import WorkflowTimeoutError

if TYPE_CHECKING:
    from pydantic import BaseModel

TOPIC = "Shade for hot bus stops"


async def test_cancelling_the_run_cancels_its_coroutine() -> None:
    called, cancelled = asyncio.Event(), asyncio.Event()

    class Waiting:
        async def generate_structured(self, **_arguments: Any) -> Any:
            called.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise

    async with asyncio.timeout(10):
        for work in (
            AsyncCoordinator(router=Waiting()).run_workflow(TOPIC),
            Critic(Waiting()).aevaluate(["one"], TOPIC),
        ):
            running = asyncio.ensure_future(work)
            await called.wait()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            await cancelled.wait()
            called.clear()
            cancelled.clear()


async def test_context_variables_are_visible() -> None:
    tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant")
    seen: list[str] = []

    def answer(**arguments: Any) -> object:
        seen.append(tenant.get())
        return sample(arguments["schema"], arguments["prompt"]), None

    async def run(name: str, router: Any) -> None:
        tenant.set(name)
        await AsyncCoordinator(router=router).run_workflow(TOPIC)

    for router in (MagicMock(), AsyncMock()):
        router.generate_structured.side_effect = answer
        seen.clear()
        await asyncio.gather(run("red", router), run("blue", router))
        assert sorted(seen) == ["blue"] * 4 + ["red"] * 4


async def test_synchronous_calls_run_concurrently_without_blocking_the_loop() -> None:
    loop, both = asyncio.get_running_loop(), threading.Barrier(12)

    class Meeting(SyncRouter):
        def generate_structured(self, **arguments: Any) -> tuple[BaseModel, object]:
            turned = threading.Event()
            loop.call_soon_threadsafe(turned.set)
            assert turned.wait(10)
            both.wait(10)
            return super().generate_structured(**arguments)

    async with asyncio.timeout(10):
        await asyncio.gather(*(Critic(Meeting()).aevaluate(["one"], TOPIC) for _ in range(12)))


async def test_the_timeout_of_a_stage_cancels_its_coroutine() -> None:
    cancelled = asyncio.Event()

    class Slow(AsyncRouter):
        async def generate_structured(self, **arguments: Any) -> Any:  # type: ignore[override]
            if stage_of(arguments["prompt"]) != "improvement":
                return await super().generate_structured(**arguments)
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

    async with asyncio.timeout(10):
        results = await AsyncCoordinator(router=Slow()).run_workflow(TOPIC, stage_timeouts={"improvement": 0.2})
        await cancelled.wait()
    assert [result["status"] for result in results] == ["degraded", "degraded"]
    assert {problem["stage"] for result in results for problem in result["problems"]} == {"improvement"}


def test_a_timeout_ends_a_run_whose_synchronous_router_hangs() -> None:
    release = threading.Event()
    router = MagicMock()
    router.generate_structured.side_effect = lambda **_arguments: release.wait(60)
    started = time.monotonic()
    with pytest.raises(WorkflowTimeoutError):
        Coordinator(router=router).run_workflow(TOPIC, timeout=0.2)
    assert time.monotonic() - started < 30
    release.set()
