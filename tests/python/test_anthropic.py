"""Anthropic through the public API: requests on the wire, and replies."""

from __future__ import annotations

import base64
import json
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, RootModel

from madspark import (
    AllProvidersFailedError,
    AsyncCoordinator,
    AuthorizationError,
    ContentRefusedError,
    LLMConfig,
    LLMRouter,
    ProviderUnavailableError,
    RateLimitError,
    SchemaValidationError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark.testing import Simulator

KEY = "sk-ant-0123456789-of-no-worth"
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d4944415478da63fcffff3f030005fe02fe"
    "a7a5d3a20000000049454e44ae426082"
)
PDF = b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"


@pytest.fixture
def router(madspark_router: Callable[..., LLMRouter]) -> LLMRouter:
    # One request for each call: retries have their own tests.
    fields = {"anthropic_api_key": KEY, "anthropic_model": "claude-sonnet-4-5", "max_attempts": 1}
    return madspark_router(primary_provider="anthropic", fallback_enabled=False, **fields)


def test_a_text_request(router: LLMRouter, madspark_simulator: Simulator) -> None:
    text, response = router.generate("a slogan for a roof garden", "Be brief.", temperature=0.3)
    assert text
    assert (response.provider, response.model, response.cost) == ("anthropic", "claude-sonnet-4-5", None)
    (request,) = madspark_simulator.requests
    assert (request.provider, request.method, request.path) == ("anthropic", "POST", "/v1/messages")
    assert request.headers["x-api-key"] == KEY
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in request.headers
    assert request.json == {
        "model": "claude-sonnet-4-5",
        "max_tokens": 16000,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "a slogan for a roof garden"}],
        "temperature": 0.3,
    }
    (attempt,) = response.attempts
    assert response.tokens_used == sum(attempt.usage.values()) > 0
    metrics = router.get_metrics()
    assert (metrics["anthropic_calls"], metrics["openai_calls"], metrics["total_requests"]) == (1, 0, 1)


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Part(BaseModel):
    name: Annotated[str, Field(min_length=2, max_length=40)]
    colour: Colour


class Machine(BaseModel):
    """Nested, bounded, optional, with unions."""

    title: str
    score: Annotated[float, Field(ge=0, le=10)]
    parts: Annotated[list[Part], Field(min_length=1, max_length=4)]
    main: Annotated[Part, Field(description="The part that matters most.")]
    note: str | None = None
    size: int | Literal["unknown"] = "unknown"


class Names(RootModel[list[str]]):
    """A list at the root."""


class Counts(BaseModel):
    """Arbitrary keys, which the API cannot enforce."""

    by_name: dict[str, int]


class Tree(BaseModel):
    """Recursion, which the API cannot enforce."""

    label: str
    children: list[Tree] = []


class Pair(BaseModel):
    """A tuple, whose positions the API cannot enforce."""

    yes: bool
    labels: list[Literal["low", "high"]]


@pytest.mark.parametrize("schema", [Machine, Names, Counts, Tree, Pair])
async def test_only_schemas_in_the_subset_are_enforced(
    schema: type[BaseModel], router: LLMRouter, madspark_simulator: Simulator
) -> None:
    value, response = await router.agenerate_structured("the parts of a wind mill", schema)
    assert type(value) is schema
    assert [attempt.ok for attempt in response.attempts] == [True]
    (request,) = madspark_simulator.requests
    body = request.json
    if schema in {Counts, Tree}:
        assert "output_config" not in body
        stated = json.loads(body["system"].partition("JSON Schema:\n")[2])
        assert set(stated["properties"]) == set(schema.model_fields)
        return
    assert "system" not in body
    sent = body["output_config"]["format"]
    assert sent["type"] == "json_schema"
    check(sent["schema"])
    if schema is Machine:
        assert sent["schema"]["required"] == ["title", "score", "parts", "main"]
        assert "(minimum: 0, maximum: 10)" in sent["schema"]["properties"]["score"]["description"]
        assert "The part that matters most." in json.dumps(sent["schema"])


def check(schema: dict[str, Any]) -> None:
    """Fail if a schema leaves the documented subset of the API."""
    known = {"type", "description", "properties", "required", "additionalProperties", "items", "minItems", "format"}
    known |= {"enum", "anyOf", "$ref", "$defs"}
    assert set(schema) <= known, schema
    if schema.get("type") == "object":
        assert schema["additionalProperties"] is False
    if "$ref" in schema:
        assert len(schema) == 1
    children = [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values(), *schema.get("anyOf", [])]
    for child in [*children, *([schema["items"]] if "items" in schema else [])]:
        check(child)


def test_images_and_documents_are_sent_as_base64(router: LLMRouter, madspark_simulator: Simulator) -> None:
    _, response = router.generate_structured("what is it?", Pair, files=[PDF, b"# Notes\n"], images=[PNG])
    assert response.provider == "anthropic"
    (request,) = madspark_simulator.requests
    *files, text = request.json["messages"][0]["content"]
    sources = {block["type"]: block["source"] for block in files}
    assert sources == {
        "document": {"type": "base64", "media_type": "application/pdf", "data": base64.b64encode(PDF).decode()},
        "image": {"type": "base64", "media_type": "image/png", "data": base64.b64encode(PNG).decode()},
    }
    assert "# Notes" in text["text"]
    assert text["text"].endswith("what is it?")


def test_a_web_page_is_fetched_locally_or_rejected(router: LLMRouter, madspark_simulator: Simulator) -> None:
    with pytest.raises(ValueError, match="is not on the public internet"):
        router.generate_structured("what is it?", Pair, urls=["http://localhost:1/"])
    assert madspark_simulator.requests == []


def message(**fields: Any) -> dict[str, Any]:
    usage = {
        "input_tokens": 5,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 7,
        "output_tokens": 11,
        "output_tokens_details": {"thinking_tokens": 9},
    }
    content = [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "Yes."}]
    return {
        "type": "message",
        "model": "claude-x",
        "content": content,
        "stop_reason": "end_turn",
        "usage": usage,
    } | fields


def test_thoughts_are_no_text_and_counts_are_disjoint(router: LLMRouter, madspark_simulator: Simulator) -> None:
    madspark_simulator.on("anthropic", body=message())
    text, response = router.generate("hello")
    assert (text, response.model, response.tokens_used) == ("Yes.", "claude-x", 123)
    usage = response.attempts[0].usage
    assert usage == {"input": 12, "cached_input": 100, "output": 2, "reasoning": 9, "tool": 0}


def test_a_refusal_stops_the_call(madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator) -> None:
    madspark_simulator.on("anthropic", body=message(stop_reason="refusal", stop_details={"explanation": "too risky"}))
    router = madspark_router(primary_provider="anthropic", fallback_enabled=True)
    with pytest.raises(ContentRefusedError, match="too risky") as caught:
        router.generate("hello")
    assert (caught.value.provider, len(madspark_simulator.requests)) == ("anthropic", 1)


@pytest.mark.parametrize(
    ("reason", "thoughts", "kind"),
    [
        ("max_tokens", 2, "truncated"),
        ("max_tokens", 9, "thinking_truncated"),
        ("model_context_window_exceeded", 2, "truncated"),
        ("model_context_window_exceeded", 9, "thinking_truncated"),
        # A pause: thinking did not reach a limit.
        ("pause_turn", 2, "truncated"),
        ("pause_turn", 9, "truncated"),
    ],
)
def test_an_incomplete_reply_is_an_error(
    reason: str, thoughts: int, kind: str, router: LLMRouter, madspark_simulator: Simulator
) -> None:
    # Of 11 output tokens.
    usage = {"input_tokens": 5, "output_tokens": 11, "output_tokens_details": {"thinking_tokens": thoughts}}
    madspark_simulator.on("anthropic", body=message(stop_reason=reason, usage=usage))
    with pytest.raises(AllProvidersFailedError) as caught:
        router.generate("hello")
    assert isinstance(caught.value, SchemaValidationError)
    assert [attempt.error for attempt in caught.value.attempts] == [kind]
    assert len(madspark_simulator.requests) == 1


@pytest.mark.parametrize(
    ("status", "error", "kind", "message"),
    [
        (429, RateLimitError, "rate_limited", "exhausted"),
        (529, ProviderUnavailableError, "overloaded", "Overloaded"),
        (401, AuthorizationError, "unauthorized", "authentication"),
        (500, ProviderUnavailableError, "server", "internal error"),
    ],
)
def test_errors_are_classified(
    status: int, error: type[Exception], kind: str, message: str, router: LLMRouter, madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("anthropic", status=status, headers={"retry-after": "3"})
    with pytest.raises(error, match=message) as caught:
        router.generate("hello")
    assert isinstance(caught.value, AllProvidersFailedError)
    (attempt,) = caught.value.attempts
    assert (attempt.provider, attempt.status, attempt.error) == ("anthropic", status, kind)
    assert attempt.retry_after == 3.0
    assert KEY not in f"{caught.value!r} {attempt!r}"


def test_an_unknown_model_and_a_wrong_key(router: LLMRouter, madspark_simulator: Simulator) -> None:
    madspark_simulator.restrict_models(restricted=True)
    with pytest.raises(AllProvidersFailedError, match="claude-sonnet-4-5") as missing:
        router.generate("hello")
    assert [(one.status, one.error) for one in missing.value.attempts] == [(404, "model_missing")]
    madspark_simulator.require_key("anthropic", "another")
    with pytest.raises(AuthorizationError, match="invalid x-api-key"):
        router.generate("hello")


def test_it_has_fallbacks_and_is_never_a_fallback(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    for provider in ["anthropic", "ollama", "gemini"]:
        madspark_simulator.on(provider, status=529)
    with pytest.raises(ProviderUnavailableError):
        madspark_router(primary_provider="anthropic", fallback_enabled=True, max_attempts=3).generate("hello")
    assert [request.provider for request in madspark_simulator.requests] == ["anthropic", "ollama", "gemini"]
    madspark_simulator.clear()
    for provider in ["auto", "ollama", "gemini"]:
        with pytest.raises(ProviderUnavailableError):
            madspark_router(primary_provider=provider, fallback_enabled=True, max_attempts=2).generate("hello")
    assert {request.provider for request in madspark_simulator.requests} == {"ollama", "gemini"}


def test_a_model_and_a_key_are_required() -> None:
    for model, message, error in [
        (None, "ANTHROPIC_MODEL", "not_configured"),
        ("claude-sonnet-4-5", "ANTHROPIC_API_KEY", "missing_key"),
    ]:
        config = LLMConfig(anthropic_model=model)
        router = LLMRouter(primary_provider="anthropic", fallback_enabled=False, config=config)
        with pytest.raises(AllProvidersFailedError, match=message) as caught:
            router.generate("hello")
        assert [attempt.error for attempt in caught.value.attempts] == [error]


def test_it_is_configured_by_environment_variables(
    monkeypatch: pytest.MonkeyPatch, madspark_simulator: Simulator
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_MODEL", "claude-opus-5")
    # Without the version, as Anthropic's own clients expect it.
    monkeypatch.setenv("ANTHROPIC_BASE_URL", madspark_simulator.anthropic_url.removesuffix("/v1"))
    config = LLMConfig.from_env()
    assert (config.anthropic_api_key, config.anthropic_model) == (KEY, "claude-opus-5")
    assert KEY not in repr(config)
    LLMRouter(primary_provider="anthropic", fallback_enabled=False, config=config).generate("hello", temperature=1.5)
    (request,) = madspark_simulator.requests
    assert (request.path, request.model, "temperature" in request.json) == ("/v1/messages", "claude-opus-5", False)
    assert LLMConfig().anthropic_base_url == "https://api.anthropic.com/v1"
    assert LLMConfig().anthropic_model is None


def test_health_recognizes_a_dated_model_name(router: LLMRouter, madspark_simulator: Simulator) -> None:
    madspark_simulator.set_models(["claude-sonnet-4-5-20250929"])
    health = router.health_status()["anthropic"]
    assert health == {"available": True, "healthy": True, "model": "claude-sonnet-4-5", "reason": None}
    madspark_simulator.set_models(["claude-opus-5"])
    assert router.health_status()["anthropic"]["healthy"] is False


async def test_the_workflow_completes(router: LLMRouter, madspark_simulator: Simulator) -> None:
    results = await AsyncCoordinator(router=router).run_workflow(
        "food from city roofs", "small budget", num_top_candidates=2, enhanced_reasoning=True
    )
    assert [result["status"] for result in results] == ["ok", "ok"]
    assert {request.provider for request in madspark_simulator.requests} == {"anthropic"}
    assert all("output_config" in request.json for request in madspark_simulator.requests)
