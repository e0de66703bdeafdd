"""What a configuration sets beyond model, address and key, on the wire."""

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


def test_nothing_is_sent_that_was_not_configured(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_router(primary_provider="ollama").generate("Hello")
    assert set(sent(madspark_simulator)) == {"model", "messages", "stream", "truncate", "shift", "options"}
    assert set(sent(madspark_simulator)["options"]) == {"temperature"}
    madspark_simulator.clear()
    madspark_router(primary_provider="gemini").generate("Hello")
    assert set(sent(madspark_simulator)["generationConfig"]) == {"temperature"}


@pytest.mark.parametrize(("prompt", "window"), [("Hello", None), (LONG, 8192), (LONG * 2, 16_384), (LONG * 6, 32_768)])
def test_the_window_is_fitted_to_the_prompt(
    prompt: str, window: int | None, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_router(primary_provider="ollama").generate(prompt)
    assert madspark_simulator.requests[-1].json["options"].get("num_ctx") == window


def test_room_for_the_answer_is_part_of_the_window(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_router(primary_provider="ollama").generate("Hello", max_tokens=9000)
    assert sent(madspark_simulator)["options"]["num_ctx"] == 16_384


@pytest.mark.parametrize("prompt", ["Hello", LONG])
def test_a_configured_window_stands(
    prompt: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_router(primary_provider="ollama", ollama_num_ctx=5000).generate(prompt)
    assert madspark_simulator.requests[-1].json["options"]["num_ctx"] == 5000


@pytest.mark.parametrize("keep_alive", ["1h30m", 0, -1, 0.5])
def test_a_model_is_kept_as_configured(
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
async def test_gemini_thinks_as_configured(
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


def test_one_providers_settings_reach_no_other(
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


def test_a_prompt_that_was_read_in_part_is_no_answer(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", prompt_tokens=2050)
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    with pytest.raises(LLMProviderError) as caught:
        router.generate(LONG)
    assert {attempt.error for attempt in caught.value.attempts} == {"context_truncated"}
    assert caught.value.attempts[0].usage["input"] == 2050


async def test_a_streamed_prompt_that_was_read_in_part_is_no_answer(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", prompt_tokens=2050)
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    with pytest.raises(LLMProviderError) as caught:
        _ = [piece async for piece in router.astream(LONG)]
    assert caught.value.attempts[-1].error == "context_truncated"


@pytest.mark.parametrize("counted", [0, 17, 5000])
def test_counts_that_prove_nothing_cost_no_answer(
    counted: int, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", prompt_tokens=counted)
    _, response = madspark_router(primary_provider="ollama", fallback_enabled=False).generate(LONG)
    assert len(response.attempts) == 1


def test_thoughts_that_use_up_the_limit_are_told(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("gemini", thinking_tokens=200)
    router = madspark_router(primary_provider="gemini", fallback_enabled=False, max_attempts=1)
    _, response = router.generate("Hello")
    assert response.attempts[-1].usage["reasoning"] == 200
    with pytest.raises(LLMProviderError) as caught:
        router.generate("Hello", max_tokens=50)
    assert [attempt.error for attempt in caught.value.attempts] == ["thinking_truncated"]


def test_a_model_that_thought_too_much_is_asked_to_think_less(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("gemini", thinking_tokens=200)
    router = madspark_router(primary_provider="gemini", fallback_enabled=False)
    _, response = router.generate("Hello", max_tokens=50)
    assert [attempt.error for attempt in response.attempts] == ["thinking_truncated", None]
    sent = [request.json["generationConfig"].get("thinkingConfig") for request in madspark_simulator.requests]
    assert sent == [None, {"thinkingLevel": "MINIMAL"}]
