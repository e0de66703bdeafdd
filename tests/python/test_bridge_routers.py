"""Custom routers run on the loop of the run, in its context, and are cancelled with it."""

from __future__ import annotations

import asyncio
import contextvars
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest

from madspark import AsyncCoordinator

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel

    from madspark import LLMRouter

REQUEST: contextvars.ContextVar[str] = contextvars.ContextVar("REQUEST", default="unset")


@pytest.fixture
def router(madspark_router: Callable[..., LLMRouter]) -> LLMRouter:
    return madspark_router(primary_provider="ollama", fallback_enabled=False)


class Answers:
    """A custom router that delegates to an `LLMRouter` and records its context."""

    def __init__(self, router: LLMRouter) -> None:
        self._router = router
        self.requests: set[str] = set()
        self.calls = 0

    def note(self) -> None:
        self.calls += 1
        self.requests.add(REQUEST.get())


class SyncAnswers(Answers):
    def generate_structured(self, prompt: str, schema: type[BaseModel], **_: Any) -> tuple[BaseModel, Any]:
        self.note()
        return self._router.generate_structured(prompt, schema)


class AsyncAnswers(Answers):
    async def generate_structured(self, prompt: str, schema: type[BaseModel], **_: Any) -> tuple[BaseModel, Any]:
        self.note()
        return await self._router.agenerate_structured(prompt, schema)


@pytest.mark.parametrize("kind", [SyncAnswers, AsyncAnswers])
async def test_a_custom_router_sees_the_callers_context(kind: type[Answers], router: LLMRouter) -> None:
    REQUEST.set("seven")
    answers = kind(router)
    results = await AsyncCoordinator(router=answers).run_workflow("roof gardens")
    assert [one["status"] for one in results] == ["ok", "ok"]
    assert answers.requests == {"seven"}
    assert answers.calls == router.get_metrics()["total_requests"] > 2


async def test_a_context_variable_set_by_one_call_is_not_visible_to_another(router: LLMRouter) -> None:
    seen: list[tuple[str, str]] = []

    async def generate_structured(prompt: str, schema: type[BaseModel], **_: Any) -> tuple[BaseModel, Any]:
        before = REQUEST.get()
        REQUEST.set(prompt)
        answer = await router.agenerate_structured(prompt, schema)
        seen.append((before, "own" if REQUEST.get() == prompt else "other"))
        return answer

    REQUEST.set("seven")
    own = SimpleNamespace(generate_structured=generate_structured)
    await AsyncCoordinator(router=own).run_workflow("roof gardens", enhanced_reasoning=True)
    assert set(seen) == {("seven", "own")}
    assert REQUEST.get() == "seven"


async def test_an_exhausted_mock_raises_runtime_error(router: LLMRouter) -> None:
    own = Mock(spec_set=["generate_structured"])
    own.generate_structured.side_effect = []
    async with asyncio.timeout(10):
        with pytest.raises(RuntimeError, match="StopIteration"):
            await AsyncCoordinator(router=own).run_workflow("roof gardens")
    assert router.get_metrics()["total_requests"] == 0


async def test_a_cancelled_run_cancels_the_custom_router() -> None:
    called, ended = asyncio.Event(), asyncio.Event()

    async def generate_structured(**_: Any) -> None:
        called.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    own = SimpleNamespace(generate_structured=generate_structured)
    run = asyncio.create_task(AsyncCoordinator(router=own).run_workflow("roof gardens"))
    await called.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    async with asyncio.timeout(10):
        await ended.wait()


async def test_an_error_of_a_custom_router_is_raised_unchanged() -> None:
    error = LookupError("no tenant")

    async def generate_structured(**_: Any) -> None:
        raise error

    own = SimpleNamespace(generate_structured=generate_structured)
    with pytest.raises(LookupError) as raised:
        await AsyncCoordinator(router=own).run_workflow("roof gardens")
    assert raised.value is error
