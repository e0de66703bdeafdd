"""The decision about each provider before a run uses it."""

from __future__ import annotations

import asyncio
import contextvars
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from doubles import NAMES, AsyncRouter, numbered_ideas, script
from madspark import AllProvidersFailedError, AsyncCoordinator, DeadlineExceededError, LLMProviderError, LLMRouter
from test_run_result import TOPIC
from wire import model_requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import OnProvider, ProviderUse, WorkflowResult
    from madspark.testing import Simulator

    Make = Callable[..., LLMRouter]

WHO = contextvars.ContextVar("WHO", default="nobody")


async def run(router: Any, on_provider: OnProvider, **options: Any) -> WorkflowResult:
    async with asyncio.timeout(30):
        return await AsyncCoordinator(router=router).run(TOPIC, on_provider=on_provider, **options)


def calls(simulator: Simulator) -> Counter[str | None]:
    return Counter(request.provider for request in model_requests(simulator))


@pytest.mark.parametrize("mode", ["batch", "fanout"])
async def test_each_provider_is_decided_about_once_and_before_its_first_request(
    mode: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    # Every call falls back.
    madspark_simulator.on("ollama", status=401)
    script(madspark_simulator, "idea_generation", numbered_ideas(*NAMES))
    uses: list[ProviderUse] = []
    sent: list[int] = []
    WHO.set("the request")

    async def decide(use: ProviderUse) -> None:
        uses.append(use)
        sent.append(calls(madspark_simulator)[use.provider])
        await asyncio.sleep(0)
        assert WHO.get() == "the request"

    result = await run(madspark_router(primary_provider="ollama"), decide, mode=mode)
    assert (result.status, {served.provider for served in result.served_by}) == ("ok", {"gemini"})
    assert [(use.stage, use.provider, use.instead_of) for use in uses] == [
        ("idea_generation", "ollama", None),
        ("idea_generation", "gemini", "ollama"),
    ]
    assert sent == [0, 0]
    assert uses[0].model == "gemma3:12b"
    assert uses[0].reason is None
    assert uses[1].reason is not None
    assert "invalid authentication" in uses[1].reason


async def test_a_refused_provider_gets_no_request(madspark_router: Make, madspark_simulator: Simulator) -> None:
    madspark_simulator.on("ollama", status=401)
    router = madspark_router(primary_provider="ollama")
    with pytest.raises(AllProvidersFailedError) as raised:
        await run(router, lambda use: use.provider != "gemini")
    assert calls(madspark_simulator) == {"ollama": 1}
    refused = raised.value.attempts[-1]
    assert (refused.provider, refused.error) == ("gemini", "not_configured")
    assert "does not permit" in (refused.message or "")


async def test_a_refused_first_provider_is_replaced(madspark_router: Make, madspark_simulator: Simulator) -> None:
    script(madspark_simulator, "idea_generation", numbered_ideas(*NAMES))
    result = await run(madspark_router(primary_provider="ollama"), lambda use: use.provider != "ollama")
    assert set(calls(madspark_simulator)) == {"gemini"}
    assert result.status == "ok"


async def test_a_refused_provider_is_not_hedged(madspark_router: Make, madspark_simulator: Simulator) -> None:
    script(madspark_simulator, "idea_generation", numbered_ideas(*NAMES))
    madspark_simulator.set_latency(0.2)
    asked: list[str] = []

    def decide(use: ProviderUse) -> bool:
        asked.append(use.provider)
        return use.provider == "ollama"

    await run(madspark_router(primary_provider="ollama", hedge_after=0.01), decide, num_top_candidates=1)
    assert asked == ["ollama", "gemini"]
    assert set(calls(madspark_simulator)) == {"ollama"}


async def test_a_provider_without_its_key_is_not_asked_about(
    madspark_router: Make, madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", status=401)
    asked: list[str] = []
    with pytest.raises(LLMProviderError):
        await run(
            madspark_router(primary_provider="ollama", gemini_api_key=None), lambda use: asked.append(use.provider)
        )
    assert asked == ["ollama"]


async def test_an_exception_ends_the_run(madspark_router: Make, madspark_simulator: Simulator) -> None:
    def decide(_use: ProviderUse) -> bool:
        raise LookupError("no budget for this")

    with pytest.raises(LookupError, match="no budget for this"):
        await run(madspark_router(primary_provider="ollama"), decide)
    with pytest.raises(TypeError, match="must return None or a bool, not str"):
        await run(madspark_router(primary_provider="ollama"), lambda _use: "yes")  # type: ignore[arg-type,return-value]
    with pytest.raises(TypeError, match="on_provider must be callable, not str"):
        await run(madspark_router(), "gemini")  # type: ignore[arg-type]
    assert calls(madspark_simulator) == {}


async def test_a_pending_decision_ends_with_the_deadline_of_the_call_or_with_the_run(
    madspark_router: Make, madspark_simulator: Simulator
) -> None:
    asked, ended = asyncio.Event(), asyncio.Event()

    async def decide(_use: ProviderUse) -> None:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(DeadlineExceededError):
        await run(madspark_router(primary_provider="ollama", deadline=0.05), decide)
    await ended.wait()
    asked.clear()
    ended.clear()
    running = await AsyncCoordinator(router=madspark_router(primary_provider="ollama")).start(TOPIC, on_provider=decide)
    await asked.wait()
    running.cancel()
    assert (await running.result()).cut == "cancelled"
    await ended.wait()
    assert calls(madspark_simulator) == {}


async def test_a_custom_router_chooses_its_providers_itself() -> None:
    asked: list[str] = []
    result = await run(AsyncRouter(), lambda use: asked.append(use.provider))
    assert (result.status, asked) == ("ok", [])
