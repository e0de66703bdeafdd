"""Known problems of other clients of Ollama, by their number in test_known_problems_router.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from madspark import AllProvidersFailedError, ContextLengthError, ProviderTimeoutError
from wire import called_providers, model_requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import LLMRouter
    from madspark.testing import Simulator

LONG = "abc " * 3000

NOTHING_LOADED: dict[str, Any] = {"models": []}
LOADED = {"models": [{"name": "gemma3:12b", "model": "gemma3:12b"}]}


@pytest.mark.parametrize("streamed", [False, True])
def test_problem_37_a_truncated_prompt_is_sent_again_with_a_larger_window(
    streamed: bool, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    # Half the window plus two tokens: the count that Ollama reports for a truncated prompt.
    madspark_simulator.on("/api/chat", prompt_tokens=2050, times=1)
    router = madspark_router(primary_provider="ollama", fallback_enabled=True)
    if streamed:
        with router.stream(LONG, on_stream_error="restart") as stream:
            list(stream)
            response = stream.response
    else:
        _, response = router.generate(LONG)
    assert called_providers(madspark_simulator) == ["ollama", "ollama"]
    assert [request.json["options"]["num_ctx"] for request in model_requests(madspark_simulator)] == [8192, 16_384]
    assert [attempt.error for attempt in response.attempts] == ["context_truncated", None]


def test_problem_37_a_prompt_that_is_truncated_again_is_an_error(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("/api/chat", prompt_tokens=2050)
    _, response = madspark_router(primary_provider="ollama", fallback_enabled=True).generate(LONG)
    assert called_providers(madspark_simulator) == ["ollama", "ollama", "gemini"]
    assert response.provider == "gemini"
    with pytest.raises(AllProvidersFailedError) as caught:
        madspark_router(primary_provider="ollama", fallback_enabled=False).generate(LONG)
    assert isinstance(caught.value.errors["ollama"], ContextLengthError)


def test_problem_37_silent_truncation_is_disabled(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_router(primary_provider="ollama").generate("hello")
    (request,) = model_requests(madspark_simulator)
    assert (request.json["truncate"], request.json["shift"]) == (False, False)


@pytest.mark.parametrize("streamed", [False, True])
def test_problem_38_loading_a_model_has_its_own_timeout(
    streamed: bool, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("/api/ps", body=NOTHING_LOADED)
    madspark_simulator.on("/api/chat", latency=2.0)
    # The request for loaded models has to be answered within the usual timeout, on a busy machine too.
    router = madspark_router(
        primary_provider="ollama", fallback_enabled=False, ollama_timeout=0.8, ollama_load_timeout=20.0
    )
    if streamed:
        with router.stream("hello") as stream:
            assert "".join(stream)
    else:
        router.generate("hello")
    assert [request.path for request in madspark_simulator.requests] == ["/api/ps", "/api/chat"]
    # The model is loaded now: the usual timeout applies, and no request for loaded models is sent.
    madspark_simulator.clear()
    with pytest.raises(ProviderTimeoutError) as caught:
        _ = list(router.stream("hello")) if streamed else router.generate("hello")
    assert [request.path for request in madspark_simulator.requests] == ["/api/chat"]
    assert caught.value.attempts[0].error in {"timeout", "first_token_timeout"}


def test_problem_38_the_load_timeout_does_not_apply_to_a_loaded_model(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("/api/ps", body=LOADED)
    madspark_simulator.on("/api/chat", fault="stall")
    router = madspark_router(
        primary_provider="ollama", fallback_enabled=True, ollama_timeout=0.1, ollama_load_timeout=600.0
    )
    _, response = router.generate("hello")
    assert [attempt.error for attempt in response.attempts] == ["timeout", None]


def test_problem_38_a_slow_load_does_not_open_the_breaker(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("/api/ps", body=NOTHING_LOADED)
    madspark_simulator.on("/api/chat", fault="stall")
    router = madspark_router(
        primary_provider="ollama", fallback_enabled=True, ollama_timeout=0.1, ollama_load_timeout=0.15
    )
    for number in range(1, 8):
        _, response = router.generate("hello")
        assert [attempt.error for attempt in response.attempts] == ["loading", None]
        assert len(model_requests(madspark_simulator, "ollama")) == number
    assert "ollama_load_timeout" in (response.attempts[0].message or "")
