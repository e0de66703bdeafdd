"""Metrics, provider health, and the deprecated shared router."""

from __future__ import annotations

import asyncio
import socket
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from madspark import AllProvidersFailedError, LLMRouter
from madspark.llm import get_router, reset_router

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from madspark.testing import Simulator

CONTRACT = {
    "total_requests": 0,
    "cache_hits": 0,
    "ollama_calls": 0,
    "gemini_calls": 0,
    "fallback_triggers": 0,
    "failed_requests": 0,
    "cancelled_requests": 0,
    "total_tokens": 0,
    "total_cost": 0.0,
    "total_latency_ms": 0.0,
    "cache_hit_rate": 0.0,
    "avg_latency_ms": 0.0,
    "providers": {},
}
BAD_TEXT = {"text": "no JSON at all"}


class Note(BaseModel):
    """The requested output."""

    text: str


def on_the_wire(simulator: Simulator) -> dict[str, int]:
    """Return the number of requests by provider, under the names of the metrics."""
    providers = [request.provider for request in simulator.requests]
    return {f"{provider}_calls": providers.count(provider) for provider in ("ollama", "gemini", "openai", "anthropic")}


def test_the_metrics_of_a_new_router_are_zero(madspark_router: Callable[..., LLMRouter]) -> None:
    assert madspark_router().get_metrics() == {**CONTRACT, "openai_calls": 0, "anthropic_calls": 0}


def test_the_counters_match_the_requests(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider="gemini", max_attempts=3)
    responses = [router.generate("hello")[1], router.generate_structured("hello", Note)[1]]
    madspark_simulator.on("gemini", status=503, times=1)
    responses.append(router.generate("hello")[1])
    madspark_simulator.on("gemini", **BAD_TEXT)  # type: ignore[arg-type]  # a dictionary of one text
    responses.append(router.generate_structured("hello", Note)[1])
    madspark_simulator.on("ollama", status=503)
    with pytest.raises(AllProvidersFailedError) as caught:
        router.generate_structured("hello", Note)
    metrics = router.get_metrics()
    assert {name: dict(metrics)[name] for name in on_the_wire(madspark_simulator)} == on_the_wire(madspark_simulator)
    expected = {"gemini_calls": 7, "ollama_calls": 3, "openai_calls": 0, "anthropic_calls": 0}
    assert on_the_wire(madspark_simulator) == expected
    assert metrics["total_requests"] == 5
    assert metrics["failed_requests"] == 1
    assert metrics["fallback_triggers"] == 3
    # Failed attempts are included.
    failed = sum(sum(attempt.usage.values()) for attempt in caught.value.attempts)
    assert failed > 0
    assert metrics["total_tokens"] == sum(response.tokens_used for response in responses) + failed
    assert metrics["total_cost"] is not None
    assert metrics["total_cost"] > sum(response.cost or 0.0 for response in responses) > 0
    assert metrics["total_latency_ms"] == pytest.approx(sum(response.latency_ms for response in responses), abs=0.1)
    assert metrics["avg_latency_ms"] == pytest.approx(metrics["total_latency_ms"] / 4)
    router.reset_metrics()
    assert router.get_metrics() == {**CONTRACT, "openai_calls": 0, "anthropic_calls": 0}


def test_each_provider_has_its_own_metrics(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("gemini", status=400)
    router = madspark_router(primary_provider="gemini")
    latencies = [router.generate("hello")[1].attempts[-1].latency_ms for _ in range(3)]
    providers = router.get_metrics()["providers"]
    assert set(providers) == {"gemini", "ollama"}
    assert providers["gemini"].items() >= {"attempts": 3, "failures": {"rejected": 3}}.items()
    assert (providers["gemini"]["p50_latency_ms"], providers["gemini"]["p95_latency_ms"]) == (None, None)
    assert providers["ollama"].items() >= {"attempts": 3, "failures": {}}.items()
    # The latency excludes the earlier attempt at the other provider.
    assert providers["ollama"]["p50_latency_ms"] == pytest.approx(sorted(latencies)[1], rel=0.05)
    assert providers["ollama"]["p95_latency_ms"] == pytest.approx(max(latencies), rel=0.05)
    for name in providers:
        assert providers[name]["attempts"] == dict(router.get_metrics())[f"{name}_calls"]


def test_repairs_and_calls_are_counted_by_provider(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", **BAD_TEXT, times=1)  # type: ignore[arg-type]  # a dictionary of one text
    router = madspark_router(primary_provider="ollama")
    router.generate_structured("hello", Note)
    router.generate("hello")
    expected = {"calls": 2, "attempts": 3, "repairs": 1, "failures": {"invalid_output": 1}}
    assert router.get_metrics()["providers"]["ollama"].items() >= expected.items()


async def cancel_a_call(router: LLMRouter, simulator: Simulator) -> None:
    """Cancel a call whose request has arrived."""
    simulator.on(fault="stall")
    task = asyncio.create_task(router.agenerate("hello"))
    assert await simulator.await_requests(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancelled_call_is_counted(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router()
    await cancel_a_call(router, madspark_simulator)
    # The call is dropped on a thread of the core.
    async with asyncio.timeout(10):
        while not router.get_metrics()["cancelled_requests"]:  # noqa: ASYNC110  (there is no event for it)
            await asyncio.sleep(0.001)
    metrics = router.get_metrics()
    assert (metrics["cancelled_requests"], metrics["failed_requests"]) == (1, 0)


def test_each_router_has_its_own_metrics(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    one, other = madspark_router(), madspark_router()
    one.generate("hello")
    one.generate("hello")
    other.generate("hello")
    one.reset_metrics()
    one.generate("hello")
    assert (one.get_metrics()["total_requests"], other.get_metrics()["total_requests"]) == (1, 1)
    assert len(madspark_simulator.requests) == 4


async def test_no_count_is_lost_between_threads_and_tasks(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router()
    async with asyncio.timeout(20):
        await asyncio.gather(
            *(asyncio.to_thread(router.generate, f"thread {index}") for index in range(40)),
            *(router.agenerate(f"task {index}") for index in range(40)),
        )
    assert len(madspark_simulator.requests) == 80
    metrics = router.get_metrics()
    assert (metrics["total_requests"], metrics["ollama_calls"], metrics["failed_requests"]) == (80, 80, 0)


async def test_a_cancelled_call_was_sent_and_has_not_failed(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router()
    await cancel_a_call(router, madspark_simulator)
    assert await madspark_simulator.await_hang_ups(1)
    metrics = router.get_metrics()
    assert (metrics["total_requests"], metrics["ollama_calls"], metrics["failed_requests"]) == (1, 1, 0)
    assert (metrics["fallback_triggers"], metrics["avg_latency_ms"]) == (0, 0.0)


async def health(router: LLMRouter) -> Any:
    """Return the health from both methods, which must agree."""
    found, afound = router.health_status(), await router.ahealth_status()
    assert found == afound
    return found


async def test_working_providers_are_healthy(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.set_models(["gemma3:12b", "gemini-3-flash-preview", "simulated"])
    router = madspark_router()
    assert await health(router) == {
        "ollama": {"available": True, "healthy": True, "model": "gemma3:12b", "reason": None},
        "gemini": {"available": True, "healthy": True, "model": "gemini-3-flash-preview", "reason": None},
        "openai": {"available": True, "healthy": True, "model": "simulated", "reason": None},
        "anthropic": {"available": True, "healthy": True, "model": "simulated", "reason": None},
        "cache": {"enabled": False, "stats": None},
    }
    listings = {(request.method, request.path.partition("?")[0]) for request in madspark_simulator.requests}
    assert listings == {("GET", "/api/tags"), ("GET", "/v1beta/models"), ("GET", "/v1/models")}
    # A probe is not a call of a model.
    assert router.get_metrics()["total_requests"] == router.get_metrics()["gemini_calls"] == 0


async def test_providers_that_were_not_named_are_not_probed(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    found = await health(madspark_router(openai_model=None, anthropic_model=None, gemini_api_key=None))
    assert set(found) == {"ollama", "gemini", "cache"}
    assert (found["gemini"]["available"], found["gemini"]["healthy"]) == (False, False)
    assert "API key" in found["gemini"]["reason"]
    assert {request.provider for request in madspark_simulator.requests} == {"ollama"}
    assert (await health(madspark_router(primary_provider="mock")))["mock"]["healthy"] is True


async def test_health_reports_why_a_provider_is_unhealthy(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.require_key("gemini", "the right one")
    madspark_simulator.on("openai", status=503)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
    found = await health(madspark_router(ollama_host=f"http://127.0.0.1:{port}", gemini_api_key="wrong-key-0123456789"))
    assert [found[name]["available"] for name in ("ollama", "gemini", "openai")] == [True] * 3
    assert [found[name]["healthy"] for name in ("ollama", "gemini", "openai")] == [False] * 3
    assert str(port) in found["ollama"]["reason"]
    assert "not valid" in found["gemini"]["reason"]
    assert "busy" in found["openai"]["reason"]
    assert "wrong-key" not in str(found)


async def test_a_server_without_the_model_is_not_healthy(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.set_models(["gemma3:4b:latest", "other"])
    found = await health(madspark_router(model_tier="fast"))
    assert found["ollama"]["healthy"] is True
    assert (found["gemini"]["healthy"], "gemini-3-flash-preview" in found["gemini"]["reason"]) == (False, True)


async def test_a_probe_can_be_cancelled(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on(fault="stall")
    task = asyncio.create_task(madspark_router(openai_model=None).ahealth_status())
    assert await madspark_simulator.await_requests(2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await madspark_simulator.await_hang_ups(2)


@pytest.fixture
def _no_shared_router() -> Iterator[None]:
    reset_router()
    yield
    reset_router()


@pytest.mark.usefixtures("_no_shared_router")
def test_get_router_warns_and_returns_one_router_until_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MADSPARK_LLM_PROVIDER", "ollama")
    with pytest.warns(DeprecationWarning, match="per request") as caught:
        first = get_router()
    assert caught[0].filename == __file__
    with pytest.warns(DeprecationWarning, match="per request"):
        assert get_router() is first
    assert (type(first), first.primary_provider) == (LLMRouter, "ollama")
    monkeypatch.setenv("MADSPARK_LLM_PROVIDER", "gemini")
    reset_router()
    with pytest.warns(DeprecationWarning, match="per request"):
        assert get_router().primary_provider == "gemini"


@pytest.mark.usefixtures("_no_shared_router")
def test_other_routers_do_not_warn_or_use_the_shared_router(madspark_router: Callable[..., LLMRouter]) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        madspark_router().generate("hello")
    assert seen == []
    with pytest.warns(DeprecationWarning, match="per request"):
        assert get_router().get_metrics()["total_requests"] == 0
