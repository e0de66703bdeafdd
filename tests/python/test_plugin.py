"""The pytest fixtures that callers get."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from madspark import ProviderUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

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


def test_other_keywords_are_fields_of_the_configuration(
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
        madspark_router(primary_provider="ollama", fallback_enabled=False).generate("hello")
