"""Every agent and both coordinators use only the router that is passed, whatever the environment contains."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from doubles import call_every_coroutine, call_every_function, stages, temperature_of
from madspark import AsyncCoordinator, Coordinator, LLMConfig, LLMRouter, ProviderName
from madspark.core.coordinator import run_multistep_workflow
from madspark.llm import get_router, reset_router
from madspark.llm.router import MAX_ATTEMPTS
from madspark.testing import RecordedRequest, Simulator
from madspark.utils.temperature_control import TemperatureConfig, TemperatureManager

TOPIC = "Shade for hot bus stops"
TEMPERATURE = 1.37
KEY = "the-key-of-this-request-alone"

Make = Callable[..., LLMRouter]


@pytest.fixture
def decoy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """The server of the environment and of the process-wide router, which must not receive a request."""
    with Simulator() as simulator:
        for name, value in {
            "MADSPARK_LLM_PROVIDER": "gemini",
            "MADSPARK_MODEL_TIER": "quality",
            "OLLAMA_HOST": simulator.ollama_url,
            "OLLAMA_MODEL_FAST": "decoy",
            "OLLAMA_MODEL_BALANCED": "decoy",
            "GOOGLE_API_KEY": "the-key-of-the-environment",
            "GOOGLE_GENAI_MODEL": "decoy",
            "GEMINI_BASE_URL": simulator.gemini_url,
            "OPENAI_API_KEY": "the-key-of-the-environment",
            "OPENAI_BASE_URL": simulator.openai_url,
        }.items():
            monkeypatch.setenv(name, value)
        reset_router()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            shared = get_router()
        yield simulator
        assert simulator.requests == []
        assert shared.get_metrics()["total_requests"] == 0
        reset_router()


@pytest.fixture
def make(madspark_simulator: Simulator) -> Make:
    """Create routers with one provider, no fallback, one model and one key."""

    def create(provider: ProviderName, max_attempts: int = MAX_ATTEMPTS) -> LLMRouter:
        config = LLMConfig(
            ollama_host=madspark_simulator.ollama_url,
            ollama_model_fast="this-model",
            gemini_api_key=KEY,
            gemini_model="this-model",
            gemini_base_url=madspark_simulator.gemini_url,
            openai_api_key=KEY,
            openai_model="this-model",
            openai_base_url=madspark_simulator.openai_url,
        )
        return LLMRouter(provider, fallback_enabled=False, model_tier="fast", config=config, max_attempts=max_attempts)

    return create


def key_of(request: RecordedRequest) -> str | None:
    return {
        "ollama": request.headers.get("authorization"),
        "gemini": request.headers.get("x-goog-api-key"),
        "openai": request.headers.get("authorization", "").removeprefix("Bearer "),
    }[str(request.provider)]


def check(simulator: Simulator, router: LLMRouter, provider: str, count: int) -> None:
    requests = simulator.requests
    assert len(requests) == count
    for request in requests:
        assert (request.provider, request.model) == (provider, "this-model")
        assert key_of(request) == (None if provider == "ollama" else KEY)
        assert b"decoy" not in request.body
        assert TOPIC in request.prompt
    assert dict(router.get_metrics())[f"{provider}_calls"] == count


PROVIDERS = pytest.mark.parametrize("provider", ["ollama", "gemini", "openai"])


@PROVIDERS
@pytest.mark.usefixtures("decoy")
async def test_agents_use_their_router(provider: str, make: Make, madspark_simulator: Simulator) -> None:
    router = make(provider)
    # Inside a running loop, as in a notebook.
    call_every_function(router, TOPIC, temperature=TEMPERATURE)
    await call_every_coroutine(router, TOPIC, temperature=TEMPERATURE)
    check(madspark_simulator, router, provider, 16 + 7)
    assert {temperature_of(request) for request in madspark_simulator.requests} == {TEMPERATURE}


def run_async(router: LLMRouter, **options: Any) -> Any:
    import asyncio

    return asyncio.run(AsyncCoordinator(router=router).run_workflow(TOPIC, **options))


def run_sync(router: LLMRouter, **options: Any) -> Any:
    return Coordinator(router=router).run_workflow(TOPIC, **options)


def run_function(router: LLMRouter, **options: Any) -> Any:
    return run_multistep_workflow(TOPIC, router=router, **options)


@PROVIDERS
@pytest.mark.parametrize("run", [run_async, run_sync, run_function])
@pytest.mark.usefixtures("decoy")
def test_workflows_use_their_router(
    provider: str, run: Callable[..., Any], make: Make, madspark_simulator: Simulator
) -> None:
    router = make(provider)
    heat = TemperatureManager(TemperatureConfig(0.1, 0.2, 0.3, 0.4, 0.6))
    results = run(router, enhanced_reasoning=True, temperature_manager=heat)
    assert [result["status"] for result in results] == ["ok", "ok"]
    check(madspark_simulator, router, provider, 6)
    requests = madspark_simulator.requests
    assert dict(zip(stages(requests), map(temperature_of, requests), strict=True)) == {
        "idea_generation": 0.2,
        "evaluation": 0.3,
        "advocacy": 0.4,
        "skepticism": 0.6,
        "improvement": 0.2,
        "re_evaluation": 0.3,
    }


@pytest.mark.usefixtures("decoy")
def test_a_failure_is_not_retried_on_another_router(make: Make, madspark_simulator: Simulator) -> None:
    from madspark.llm.exceptions import AllProvidersFailedError

    madspark_simulator.on(status=503)
    for run in (run_async, run_sync, run_function):
        with pytest.raises(AllProvidersFailedError):
            run(make("ollama", max_attempts=1))
    assert {request.provider for request in madspark_simulator.requests} == {"ollama"}


@pytest.mark.usefixtures("decoy")
async def test_quality_tier_does_not_leave_a_pinned_provider(madspark_simulator: Simulator) -> None:
    config = LLMConfig(
        default_provider="ollama",
        model_tier="quality",
        fallback_enabled=False,
        ollama_host=madspark_simulator.ollama_url,
        gemini_api_key=KEY,
        gemini_base_url=madspark_simulator.gemini_url,
    )
    await AsyncCoordinator(router=LLMRouter(config=config)).run_workflow(TOPIC)
    assert {request.provider for request in madspark_simulator.requests} == {"ollama"}


@pytest.mark.usefixtures("decoy")
async def test_attachments_are_sent_once_to_the_provider_of_the_router(
    make: Make, madspark_simulator: Simulator
) -> None:
    router = make("gemini")
    results = await AsyncCoordinator(router=router).run_workflow(
        TOPIC, multimodal_files=[b"\x89PNG\r\n\x1a\n picture"], multimodal_urls=["https://example.com/page"]
    )
    assert [result["status"] for result in results] == ["ok", "ok"]
    check(madspark_simulator, router, "gemini", 4)
    bodies = [request.body for request in madspark_simulator.requests]
    carried = [(b"inlineData" in body, b"https://example.com/page" in body) for body in bodies]
    assert carried == [(True, True), (False, False), (False, False), (False, False)]
