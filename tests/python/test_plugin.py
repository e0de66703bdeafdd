"""The pytest fixtures of the package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from madspark import Budget, BudgetExceededError, DeadlineExceededError, ProviderUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from madspark import LLMRouter
    from madspark.testing import Simulator


@pytest.mark.parametrize("provider", ["ollama", "gemini", "openai", "anthropic"])
def test_routers_reach_the_simulator_and_read_no_environment(
    provider: str,
    madspark_router: Callable[..., LLMRouter],
    madspark_simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("GEMINI_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("MADSPARK_FALLBACK_ENABLED", "true")
    router = madspark_router(primary_provider=provider, fallback_enabled=False)
    _, response = router.generate("a slogan for a roof garden")
    assert response.provider == provider
    (request,) = madspark_simulator.requests
    assert (request.provider, request.prompt) == (provider, "a slogan for a roof garden")


def test_other_arguments_are_fields_of_the_configuration(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider="ollama", model_tier="fast", ollama_model_fast="qwen3:4b")
    assert router.generate("hello")[1].model == "qwen3:4b"
    assert [request.model for request in madspark_simulator.requests] == ["qwen3:4b"]
    with pytest.raises(TypeError):
        madspark_router(no_such_field=1)


def test_each_test_has_its_own_simulator(madspark_simulator: Simulator) -> None:
    assert madspark_simulator.requests == []


def test_a_stopped_simulator_is_unavailable(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.stop()
    with pytest.raises(ProviderUnavailableError):
        madspark_router(primary_provider="ollama", fallback_enabled=False, max_attempts=1).generate("hello")


def test_options_of_the_router_are_passed_to_the_router(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    budget = Budget(max_tokens=50_000, max_calls=40)
    router = madspark_router(deadline=60, max_attempts=2, budget=budget, on_refusal="next", hedge_after="p95")
    assert (router.deadline, router.max_attempts, router.budget) == (60.0, 2, budget)
    with pytest.raises(ValueError, match="on_refusal"):
        madspark_router(on_refusal="sometimes")
    with pytest.raises(ValueError, match="hedge_after"):
        madspark_router(hedge_after="sometimes")
    assert madspark_simulator.requests == []


def test_options_of_the_router_take_effect(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", fault="stall")
    madspark_simulator.on("openai", body={"choices": [{"message": {"refusal": "I cannot help."}}]})
    ollama: dict[str, Any] = {"primary_provider": "ollama", "fallback_enabled": False}
    with pytest.raises(DeadlineExceededError):
        madspark_router(**ollama, deadline=0.05).generate("hello")
    with pytest.raises(BudgetExceededError):
        madspark_router(**ollama, budget=Budget(max_calls=0)).generate("hello")
    _, response = madspark_router(primary_provider="ollama", hedge_after=0.05).generate("hello")
    assert (response.provider, response.attempts[-1].hedged) == ("gemini", True)
    # The next provider is Ollama, which never answers.
    _, response = madspark_router(primary_provider="openai", on_refusal="next", hedge_after=0.05).generate("hello")
    assert (response.attempts[0].error, response.provider) == ("refused", "gemini")
    madspark_simulator.clear_rules()
    madspark_simulator.clear()
    madspark_simulator.on(status=503)
    with pytest.raises(ProviderUnavailableError):
        madspark_router(primary_provider="gemini", max_attempts=1).generate("hello")
    assert [request.provider for request in madspark_simulator.requests] == ["gemini"]


def test_an_enabled_cache_is_private_to_the_test(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator, tmp_path: Path
) -> None:
    assert not madspark_router(primary_provider="ollama").cache_enabled
    hits = []
    for _ in range(2):
        router = madspark_router(primary_provider="ollama", cache_enabled=True)
        router.generate("hello", temperature=0.0)
        hits.append(router.get_metrics()["cache_hits"])
    assert hits == [0, 1]
    assert len(madspark_simulator.requests) == 1
    assert (tmp_path / "madspark-cache").is_dir()
    elsewhere = madspark_router(primary_provider="ollama", cache_enabled=True, cache_dir=tmp_path / "elsewhere")
    elsewhere.generate("hello", temperature=0.0)
    assert (elsewhere.get_metrics()["cache_hits"], (tmp_path / "elsewhere").is_dir()) == (0, True)
