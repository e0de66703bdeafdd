"""Configured options in the requests, beyond model, base URL and key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from madspark import LLMProviderError

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import LLMRouter
    from madspark.testing import Simulator

LONG = "abc " * 3000


class Idea(BaseModel):
    title: str


def sent(simulator: Simulator) -> dict[str, Any]:
    (request,) = simulator.requests
    body: dict[str, Any] = request.json
    return body


def test_unset_options_are_not_sent(madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator) -> None:
    madspark_router(primary_provider="ollama").generate("Hello")
    assert set(sent(madspark_simulator)) == {"model", "messages", "stream", "truncate", "shift", "options"}
    assert set(sent(madspark_simulator)["options"]) == {"temperature"}
    madspark_simulator.clear()
    madspark_router(primary_provider="gemini").generate("Hello")
    assert set(sent(madspark_simulator)["generationConfig"]) == {"temperature"}


@pytest.mark.parametrize(("prompt", "window"), [("Hello", None), (LONG, 8192), (LONG * 2, 16_384), (LONG * 6, 32_768)])
def test_the_context_window_fits_the_prompt(
    prompt: str, window: int | None, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_router(primary_provider="ollama").generate(prompt)
    assert madspark_simulator.requests[-1].json["options"].get("num_ctx") == window


def test_the_context_window_includes_the_answer(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_router(primary_provider="ollama").generate("Hello", max_tokens=9000)
    assert sent(madspark_simulator)["options"]["num_ctx"] == 16_384


@pytest.mark.parametrize("prompt", ["Hello", LONG])
def test_a_configured_context_window_is_used(
    prompt: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_router(primary_provider="ollama", ollama_num_ctx=5000).generate(prompt)
    assert madspark_simulator.requests[-1].json["options"]["num_ctx"] == 5000


@pytest.mark.parametrize("keep_alive", ["1h30m", 0, -1, 0.5])
def test_keep_alive_is_sent_as_configured(
    keep_alive: str | float, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_router(primary_provider="ollama", ollama_keep_alive=keep_alive).generate("Hello")
    value = sent(madspark_simulator)["keep_alive"]
    assert (value, type(value)) == (keep_alive, type(keep_alive))


@pytest.mark.parametrize(
    ("setting", "config"),
    [
        ({"gemini_model": "gemini-2.5-flash", "gemini_thinking_budget": 0}, {"thinkingBudget": 0}),
        ({"gemini_model": "gemini-2.5-pro", "gemini_thinking_budget": -1}, {"thinkingBudget": -1}),
        ({"gemini_thinking_level": "minimal"}, {"thinkingLevel": "MINIMAL"}),
        ({"gemini_model": "models/gemini-3-pro-preview", "gemini_thinking_level": "high"}, {"thinkingLevel": "HIGH"}),
    ],
)
async def test_thinking_is_sent_as_configured(
    setting: dict[str, Any],
    config: dict[str, Any],
    madspark_router: Callable[..., LLMRouter],
    madspark_simulator: Simulator,
) -> None:
    router = madspark_router(primary_provider="gemini", fallback_enabled=False, **setting)
    await router.agenerate_structured("Name an idea", Idea)
    assert sent(madspark_simulator)["generationConfig"]["thinkingConfig"] == config
    madspark_simulator.clear()
    assert [piece async for piece in router.astream("Name an idea")]
    assert sent(madspark_simulator)["generationConfig"]["thinkingConfig"] == config


def test_the_settings_of_one_provider_are_not_sent_to_another(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    settings = {"ollama_num_ctx": 5000, "ollama_keep_alive": "1h", "gemini_thinking_level": "low"}
    for provider in ("ollama", "gemini", "openai", "anthropic"):
        router = madspark_router(primary_provider=provider, fallback_enabled=False, anthropic_model="m", **settings)
        router.generate("Hello")
    ollama, gemini, *others = (request.body.decode() for request in madspark_simulator.requests)
    assert "thinking" not in ollama
    assert "num_ctx" not in gemini
    assert "keep_alive" not in gemini
    for body in others:
        assert not [name for name in ("num_ctx", "keep_alive", "thinking") if name in body]


def test_a_truncated_prompt_is_a_failure(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", prompt_tokens=2050)
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    with pytest.raises(LLMProviderError) as caught:
        router.generate(LONG)
    assert {attempt.error for attempt in caught.value.attempts} == {"context_truncated"}
    assert caught.value.attempts[0].usage["input"] == 2050


async def test_a_truncated_prompt_of_a_stream_is_a_failure(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", prompt_tokens=2050)
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    with pytest.raises(LLMProviderError) as caught:
        _ = [piece async for piece in router.astream(LONG)]
    assert caught.value.attempts[-1].error == "context_truncated"


@pytest.mark.parametrize("counted", [0, 17, 5000])
def test_inconclusive_token_counts_are_not_a_failure(
    counted: int, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", prompt_tokens=counted)
    _, response = madspark_router(primary_provider="ollama", fallback_enabled=False).generate(LONG)
    assert len(response.attempts) == 1


def test_reasoning_that_uses_up_the_limit_has_its_own_error(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("gemini", thinking_tokens=200)
    router = madspark_router(primary_provider="gemini", fallback_enabled=False, max_attempts=1)
    _, response = router.generate("Hello")
    assert response.attempts[-1].usage["reasoning"] == 200
    with pytest.raises(LLMProviderError) as caught:
        router.generate("Hello", max_tokens=50)
    assert [attempt.error for attempt in caught.value.attempts] == ["thinking_truncated"]


def test_a_truncated_reasoning_is_retried_with_less_thinking(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("gemini", thinking_tokens=200)
    router = madspark_router(primary_provider="gemini", fallback_enabled=False)
    _, response = router.generate("Hello", max_tokens=50)
    assert [attempt.error for attempt in response.attempts] == ["thinking_truncated", None]
    sent = [request.json["generationConfig"].get("thinkingConfig") for request in madspark_simulator.requests]
    assert sent == [None, {"thinkingLevel": "MINIMAL"}]


@pytest.mark.parametrize("stream", [False, True])
def test_the_limit_of_a_prompt_is_a_setting_and_a_known_context_window_replaces_it(
    stream: bool, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    def send(length: int, **settings: Any) -> None:
        router = madspark_router(fallback_enabled=False, **settings)
        prompt = "x" * length
        _ = list(router.stream(prompt)) if stream else router.generate(prompt)

    for provider in ("ollama", "openai"):
        with pytest.raises(ValueError, match="100001 characters; the limit is 100000"):
            send(100_001, primary_provider=provider)
        send(100_001, primary_provider=provider, max_prompt_chars=100_001)
    send(100_001, primary_provider="gemini")
    with pytest.raises(ValueError, match=r"the limit is 10: .*max_prompt_chars"):
        send(11, primary_provider="gemini", max_prompt_chars=10)
    assert len([request for request in madspark_simulator.requests if request.prompt]) == 3


def test_a_batch_has_the_same_limit(madspark_router: Callable[..., LLMRouter]) -> None:
    router = madspark_router(primary_provider="ollama", max_prompt_chars=10)
    with pytest.raises(ValueError, match=r"prompts\[1\] has 11 characters; the limit is 10"):
        router.generate_structured_batch(["short", "x" * 11], list[str])
