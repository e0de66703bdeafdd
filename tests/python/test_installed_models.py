"""The error of a request for a model that a local server does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from madspark import LLMProviderError, LLMRouter

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark.testing import Simulator

    Make = Callable[..., LLMRouter]


@pytest.mark.parametrize(("tier", "setting"), [("fast", "OLLAMA_MODEL_FAST"), ("quality", "OLLAMA_MODEL_BALANCED")])
def test_a_missing_model_is_answered_with_those_that_are_installed(
    tier: str, setting: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    madspark_simulator.set_models([*(f"m{number}:1b" for number in range(9)), "a\x1b[31m", "b" * 200])
    madspark_simulator.restrict_models(True)
    router = madspark_router(primary_provider="ollama", fallback_enabled=False, model_tier=tier)
    for call in (lambda: router.generate("hello"), lambda: list(router.stream("hello"))):
        madspark_simulator.clear()
        with pytest.raises(LLMProviderError) as raised:
            call()
        message = str(raised.value)
        assert "run `ollama pull gemma3:" in message
        assert "installed: m0:1b, m1:1b, m2:1b, m3:1b, m4:1b, m5:1b, m6:1b, m7:1b and 1 more; choose one" in message
        assert setting in message
        assert [request.path for request in madspark_simulator.requests] == ["/api/chat", "/api/tags"]


def test_a_server_without_models_says_so(madspark_router: Make, madspark_simulator: Simulator) -> None:
    madspark_simulator.set_models([])
    madspark_simulator.restrict_models(True)
    with pytest.raises(LLMProviderError, match="no model is installed"):
        madspark_router(primary_provider="ollama", fallback_enabled=False).generate("hello")


def test_the_models_of_a_local_openai_server_are_named(madspark_router: Make, madspark_simulator: Simulator) -> None:
    madspark_simulator.set_models(["qwen3:4b"])
    madspark_simulator.restrict_models(True)
    with pytest.raises(LLMProviderError, match="installed: qwen3:4b; choose one with openai_model or OPENAI_MODEL"):
        madspark_router(primary_provider="openai", fallback_enabled=False).generate("hello")


def test_a_list_of_models_that_never_comes_does_not_delay_the_error(
    madspark_router: Make, madspark_simulator: Simulator
) -> None:
    madspark_simulator.restrict_models(True)
    madspark_simulator.on("/api/tags", fault="stall")
    router = madspark_router(primary_provider="ollama", fallback_enabled=False, ollama_model_balanced="x", deadline=0.3)
    with pytest.raises(LLMProviderError) as raised:
        router.generate("hello")
    assert "run `ollama pull x`" in str(raised.value)
    assert "installed" not in str(raised.value).replace("not installed", "")
