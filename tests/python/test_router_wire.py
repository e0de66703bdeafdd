"""The requests of each protocol, and the arguments in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pytest
from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import LLMRouter
    from madspark.testing import RecordedRequest, Simulator

PROVIDERS = ["ollama", "gemini", "openai"]


class Idea(BaseModel):
    """Fields that are not in alphabetical order."""

    title: str
    body: str = Field(min_length=1)
    area: Literal["city", "sea"]
    score: int = Field(ge=0, le=10)


ORDER = ["title", "body", "area", "score"]


def only(simulator: Simulator) -> RecordedRequest:
    """Return the only request to a model, without lookups of facts."""
    (request,) = [request for request in simulator.requests if request.path != "/api/show"]
    return request


def temperature_of(request: RecordedRequest) -> Any:
    body = request.json
    return {
        "ollama": lambda: body["options"]["temperature"],
        "gemini": lambda: body["generationConfig"]["temperature"],
        "openai": lambda: body["temperature"],
    }[request.provider or ""]()


def test_ollama_generate(madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator) -> None:
    router = madspark_router(primary_provider="ollama", model_tier="fast")
    text, response = router.generate("Why?", "Be brief.", temperature=0.25, max_tokens=500)
    request = only(madspark_simulator)
    assert (request.method, request.path) == ("POST", "/api/chat")
    assert request.headers["content-type"] == "application/json"
    assert request.json == {
        "model": "gemma3:4b",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}],
        "stream": False,
        "truncate": False,
        "shift": False,
        "options": {"temperature": 0.25, "num_predict": 500},
    }
    assert (response.provider, response.model, response.text) == ("ollama", "gemma3:4b", text)


def test_ollama_structured(madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator) -> None:
    idea, _ = madspark_router(primary_provider="ollama").generate_structured("Why?", Idea, token_budget=700)
    assert isinstance(idea, Idea)
    request = only(madspark_simulator)
    assert (request.path, request.json["stream"]) == ("/api/chat", False)
    assert request.json["options"] == {"temperature": 0.0, "num_predict": 700}
    outline, question = request.json["messages"]
    assert outline["role"] == "system"
    assert outline["content"].startswith("Answer with JSON in this form:\n{\n")
    assert question == {"role": "user", "content": "Why?"}
    assert list(request.json["format"]["properties"]) == ORDER
    assert request.json["format"]["required"] == ORDER


def test_gemini_generate(madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator) -> None:
    router = madspark_router(primary_provider="gemini", gemini_api_key="the-key")
    router.generate("Why?", "Be brief.", temperature=0.25, max_tokens=500)
    request = only(madspark_simulator)
    assert (request.method, request.path) == ("POST", "/v1beta/models/gemini-3-flash-preview:generateContent")
    assert request.headers["x-goog-api-key"] == "the-key"
    assert request.json == {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [{"role": "user", "parts": [{"text": "Why?"}]}],
        "generationConfig": {"temperature": 0.25, "maxOutputTokens": 500},
    }


def test_gemini_structured(madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator) -> None:
    router = madspark_router(primary_provider="gemini", gemini_model="models/gemini-x")
    assert isinstance(router.generate_structured("Why?", Idea, token_budget=700)[0], Idea)
    request = only(madspark_simulator)
    assert request.path == "/v1beta/models/gemini-x:generateContent"
    config = request.json["generationConfig"]
    assert (config["temperature"], config["maxOutputTokens"], config["responseMimeType"]) == (
        0.0,
        700,
        "application/json",
    )
    assert list(config["responseJsonSchema"]["properties"]) == ORDER
    assert "responseSchema" not in config
    assert "tools" not in request.json


def test_openai_generate(madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator) -> None:
    router = madspark_router(primary_provider="openai", openai_api_key="the-key")
    router.generate("Why?", "Be brief.", temperature=0.25, max_tokens=500)
    request = only(madspark_simulator)
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.headers["authorization"] == "Bearer the-key"
    assert request.json == {
        "model": "simulated",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}],
        "temperature": 0.25,
        # The name in compatible servers; OpenAI's own host receives max_completion_tokens.
        "max_tokens": 500,
    }


def test_openai_structured(madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator) -> None:
    router = madspark_router(primary_provider="openai")
    assert isinstance(router.generate_structured("Why?", Idea)[0], Idea)
    request = only(madspark_simulator)
    assert "authorization" not in request.headers
    assert request.json["response_format"]["type"] == "json_schema"
    schema = request.json["response_format"]["json_schema"]
    assert (schema["name"], schema["strict"]) == ("Idea", True)
    assert list(schema["schema"]["properties"]) == ORDER
    assert schema["schema"]["required"] == ORDER
    assert schema["schema"]["additionalProperties"] is False


@pytest.mark.parametrize("provider", PROVIDERS)
def test_unset_arguments_are_not_sent(
    provider: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_router(primary_provider=provider).generate("Why?")
    request = only(madspark_simulator)
    body = request.body.decode()
    for absent in ("system", "format", "predict", "max", "tools", "null", "schema"):
        assert absent not in body, absent
    assert request.headers["user-agent"].startswith("madspark/")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_temperature_zero_is_a_value(
    provider: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider=provider, default_temperature=0.9)
    router.generate("Why?", temperature=0.0)
    router.generate("Why?")
    router.generate("Why?", temperature=2.0)
    router.generate_structured("Why?", Idea)
    router.generate_structured("Why?", Idea, temperature=1.5)
    sent = [temperature_of(request) for request in madspark_simulator.requests]
    assert sent == [0.0, 0.9, 2.0, 0.0, 1.5]
    assert all(isinstance(temperature, float) for temperature in sent)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_configured_temperature_of_zero_is_used(
    provider: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_router(primary_provider=provider, default_temperature=0.0).generate("Why?")
    assert temperature_of(only(madspark_simulator)) == 0.0


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("prompt", ['naïve 日本語 🦀 \u0000 "quoted"\n\t', " leading and trailing ", "x" * 100_000])
def test_prompts_arrive_unchanged(
    provider: str, prompt: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_router(primary_provider=provider).generate(prompt, system_instruction="日本語で")
    assert (only(madspark_simulator).prompt, only(madspark_simulator).system) == (prompt, "日本語で")


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_sync_and_async_calls_send_and_return_the_same(
    provider: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider=provider)
    text, response = router.generate("a slogan for a roof garden", "Be brief.", 0.5, 90)
    atext, aresponse = await router.agenerate("a slogan for a roof garden", "Be brief.", 0.5, 90)
    assert text == atext
    idea, sresponse = router.generate_structured("a roof garden", Idea, "Be brief.", 0.5, token_budget=900)
    aidea, asresponse = await router.agenerate_structured("a roof garden", Idea, "Be brief.", 0.5, token_budget=900)
    assert idea == aidea
    for one, other in ((response, aresponse), (sresponse, asresponse)):
        assert (one.text, one.provider, one.model, one.tokens_used, one.cost) == (
            other.text,
            other.provider,
            other.model,
            other.tokens_used,
            other.cost,
        )
    bodies = [(request.path, request.body) for request in madspark_simulator.requests]
    assert bodies[0] == bodies[1]
    assert bodies[2] == bodies[3]
    assert bodies[0] != bodies[2]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_tokens_and_cost_are_those_of_the_provider(
    provider: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    bodies = {
        "ollama": {
            "model": "gemma3:12b",
            "message": {"role": "assistant", "content": "Moss."},
            "done_reason": "stop",
            "prompt_eval_count": 1000,
            "eval_count": 500,
        },
        "gemini": {
            "candidates": [{"content": {"parts": [{"text": "Moss."}]}, "finishReason": "STOP"}],
            "modelVersion": "gemini-3-flash-preview",
            "usageMetadata": {
                "promptTokenCount": 1000,
                "cachedContentTokenCount": 400,
                "candidatesTokenCount": 300,
                "thoughtsTokenCount": 200,
            },
        },
        "openai": {
            "model": "simulated",
            "choices": [{"message": {"content": "Moss."}, "finish_reason": "stop"}],
            "usage": {
                "prompt_tokens": 1000,
                "completion_tokens": 500,
                "prompt_tokens_details": {"cached_tokens": 400},
                "completion_tokens_details": {"reasoning_tokens": 200},
            },
        },
    }
    madspark_simulator.on(provider, body=bodies[provider])
    text, response = madspark_router(primary_provider=provider).generate("Why?")
    assert (text, response.tokens_used) == ("Moss.", 1500)
    # Input, cached input and output have different prices; a local model costs nothing, an unknown one has no price.
    gemini = (600 * 0.5 + 400 * 0.05 + 500 * 3.0) / 1e6
    assert response.cost == {"ollama": 0.0, "gemini": pytest.approx(gemini), "openai": None}[provider]
    (attempt,) = response.attempts
    assert sum(attempt.usage.values()) == 1500
    if provider != "ollama":
        assert attempt.usage == {"input": 600, "cached_input": 400, "output": 300, "reasoning": 200, "tool": 0}
