"""Known problems of structured output in other libraries, by the number in test_known_problems_router.py."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from pydantic import BaseModel, Field

from madspark import AllProvidersFailedError, RateLimitError
from wire import called_providers, gaps, model_requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import LLMRouter
    from madspark.testing import Simulator


class Idea(BaseModel):
    """The requested type."""

    title: Annotated[str, Field(min_length=1, max_length=40, pattern="^[A-Z]")]


class Branch(BaseModel):
    """A type that needs references."""

    idea: Idea
    twins: list[Idea]


def complaint(message: str) -> str:
    return json.dumps({"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}})


def form_of(body: dict[str, Any]) -> str:
    """Return the form in which a Gemini request includes the schema."""
    config = body["generationConfig"]
    names = [name for name in ("responseJsonSchema", "responseSchema") if name in config]
    return names[0] if names else "prompt"


@pytest.mark.parametrize(("rejected", "taken"), [(1, "responseSchema"), (2, "prompt")])
def test_problem_29_after_a_rejection_schemas_are_sent_in_a_simpler_form(
    rejected: int, taken: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    for name in ["responseJsonSchema", "responseSchema"][:rejected]:
        madspark_simulator.on(
            "gemini", contains=f'"{name}"', status=400, body=complaint(f'Invalid JSON payload received. "{name}".')
        )
    choices = {"primary_provider": "gemini", "fallback_enabled": True}
    idea, response = madspark_router(**choices).generate_structured("Name an idea.", Idea)
    assert idea.title
    # The same target retries; no fallback is used.
    assert called_providers(madspark_simulator) == ["gemini"] * (rejected + 1)
    forms = [form_of(request.json) for request in model_requests(madspark_simulator)]
    assert forms == ["responseJsonSchema", "responseSchema", "prompt"][: rejected + 1]
    assert forms[-1] == taken
    assert [attempt.error for attempt in response.attempts] == ["schema_rejected"] * rejected + [None]
    # Another router with the same key and model starts with that form.
    madspark_simulator.clear()
    madspark_router(**choices).generate_structured("Name an idea.", Idea)
    assert [form_of(request.json) for request in model_requests(madspark_simulator)] == [taken]
    # Another model does not.
    madspark_simulator.clear()
    madspark_router(**choices, gemini_model="gemini-2.5-flash").generate_structured("Name an idea.", Idea)
    assert form_of(model_requests(madspark_simulator)[0].json) == "responseJsonSchema"


def test_problem_29_every_node_has_a_type(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    class Loose(BaseModel):
        anything: Any
        either: int | str | None = None
        branch: Branch

    def nodes(node: Any) -> list[dict[str, Any]]:
        if isinstance(node, list):
            return [found for item in node for found in nodes(item)]
        if not isinstance(node, dict):
            return []
        inner = [*node.get("properties", {}).values(), node.get("items"), *node.get("anyOf", []), node.get("$defs")]
        return [node, *(found for item in inner for found in nodes(item))]

    madspark_simulator.on("gemini", contains='"responseJsonSchema"', status=400, body=complaint("responseJsonSchema"))
    madspark_router(primary_provider="gemini", fallback_enabled=False).generate_structured("hello", Loose)
    older = model_requests(madspark_simulator)[1].json["generationConfig"].get("responseSchema")
    if older is not None:
        assert all("type" in node or "anyOf" in node for node in nodes(older))
        assert "$ref" not in json.dumps(older)


def test_problem_30_reasoning_that_uses_up_the_output_is_disabled_once(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("gemini", thinking_tokens=400)
    choices = {"primary_provider": "gemini", "fallback_enabled": True, "gemini_model": "gemini-2.5-flash"}
    idea, response = madspark_router(**choices).generate_structured("Name an idea.", Idea, token_budget=400)
    assert idea.title
    first, second = model_requests(madspark_simulator)
    assert [first.provider, second.provider] == ["gemini", "gemini"]
    assert "thinkingConfig" not in first.json["generationConfig"]
    assert second.json["generationConfig"]["thinkingConfig"] == {"thinkingBudget": 0}
    cut, answered = response.attempts
    assert (cut.error, cut.usage["reasoning"]) == ("thinking_truncated", 400)
    assert (answered.error, answered.usage["reasoning"]) == (None, 0)
    # If less reasoning does not help, the fallback is used.
    madspark_simulator.clear()
    madspark_simulator.clear_rules()
    counts = {"promptTokenCount": 9, "candidatesTokenCount": 1, "thoughtsTokenCount": 400, "totalTokenCount": 410}
    body = {"candidates": [{"content": {}, "finishReason": "MAX_TOKENS"}], "usageMetadata": counts}
    madspark_simulator.on("gemini", body=body)
    _, response = madspark_router(**choices).generate_structured("Name an idea.", Idea, token_budget=400)
    assert called_providers(madspark_simulator) == ["gemini", "gemini", "ollama"]
    assert response.usage["reasoning"] == 800


@pytest.mark.parametrize(
    "candidate",
    [
        {"finishReason": "STOP"},
        {"finishReason": "STOP", "content": {"role": "model"}},
        {"finishReason": "STOP", "content": {"parts": []}},
        {"finishReason": "STOP", "content": {"parts": [{"text": "hm", "thought": True}]}},
        {"finishReason": "STOP", "content": {"parts": [{"text": "\n"}]}},
    ],
    ids=str,
)
@pytest.mark.parametrize("structured", [False, True])
def test_problem_30_a_stop_without_text_is_an_error(
    candidate: dict[str, Any],
    structured: bool,
    madspark_router: Callable[..., LLMRouter],
    madspark_simulator: Simulator,
) -> None:
    counts = {"promptTokenCount": 9, "thoughtsTokenCount": 30, "totalTokenCount": 39}
    madspark_simulator.on("gemini", body={"candidates": [candidate], "usageMetadata": counts})
    router = madspark_router(primary_provider="gemini", fallback_enabled=True)
    _, response = router.generate_structured("hi", Idea) if structured else router.generate("hi")
    is_thought = any(part.get("thought") for part in candidate.get("content", {}).get("parts", []))
    # A model that only thought is asked to think less.
    assert called_providers(madspark_simulator) == ["gemini"] * (2 if is_thought else 1) + ["ollama"]
    *empties, answered = response.attempts
    for empty in empties:
        error = "thinking_only" if is_thought else "empty_reply"
        assert (empty.error, empty.usage["input"], empty.usage["reasoning"]) == (error, 9, 30)
    assert answered.ok


def quota(name: str, delay: str) -> dict[str, Any]:
    """Return the body of Google's 429."""
    violation = {"quotaMetric": "generate_content_free_tier_requests", "quotaId": name, "quotaValue": "20"}
    return {
        "error": {
            "code": 429,
            "message": "You exceeded your current quota.",
            "status": "RESOURCE_EXHAUSTED",
            "details": [
                {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]},
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay},
            ],
        }
    }


DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
MINUTE = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"


def test_problem_31_an_exhausted_daily_quota_affects_only_its_key(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("gemini", status=429, body=quota(DAY, "0.01s"))
    choices = {"primary_provider": "gemini", "fallback_enabled": True}
    _, response = madspark_router(**choices).generate("one")
    assert [attempt.error for attempt in response.attempts] == ["daily_quota", None]
    # The delay in seconds is about the limit per minute, so the target is not retried.
    _, response = madspark_router(**choices).generate("two")
    assert called_providers(madspark_simulator) == ["gemini", "ollama", "ollama"]
    assert [attempt.error for attempt in response.attempts] == ["cooldown", None]
    for other in ({"gemini_api_key": "another-key"}, {"gemini_model": "gemini-2.5-flash"}):
        madspark_simulator.clear()
        madspark_router(**choices, **other).generate("three")
        assert called_providers(madspark_simulator) == ["gemini", "ollama"]


def test_problem_31_the_error_reports_when_the_quota_resets(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("gemini", status=429, body=quota(DAY, "0.01s"))
    router = madspark_router(primary_provider="gemini", fallback_enabled=False)
    with pytest.raises(RateLimitError) as caught:
        router.generate("one")
    assert caught.value.ready_in["gemini"] > 0.01


def test_problem_31_a_retry_delay_in_the_body_is_respected(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("gemini", status=429, body=quota(MINUTE, "0.15s"), times=1)
    router = madspark_router(primary_provider="gemini", fallback_enabled=False)
    _, response = router.generate("hello")
    assert [attempt.error for attempt in response.attempts] == ["rate_limited", None]
    assert response.attempts[0].retry_after == 0.15
    assert gaps(model_requests(madspark_simulator))[0] >= 0.14


@pytest.mark.parametrize("streamed", [False, True])
def test_problem_32_a_schema_is_sent_without_think(
    streamed: bool, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    if streamed:
        with router.stream_structured("Name an idea.", Idea) as stream:
            *_, _last = stream
    else:
        router.generate_structured("Name an idea.", Idea)
    (request,) = model_requests(madspark_simulator)
    assert "think" not in request.json
    assert request.json["format"]["properties"]["title"]["type"] == "string"


def test_problem_32_an_ignored_schema_is_detected(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    thoughts = "Let me think about gardens, there are so many."
    body = {"model": "m", "message": {"content": thoughts, "thinking": "hm"}, "done": True, "done_reason": "stop"}
    madspark_simulator.on("ollama", body=body, times=1)
    idea, response = madspark_router(primary_provider="ollama").generate_structured("Name an idea.", Idea)
    assert idea.title
    assert [attempt.error for attempt in response.attempts] == ["invalid_output", None]
    assert thoughts in model_requests(madspark_simulator)[1].body.decode()


def test_problem_33_ollama_receives_only_supported_keywords(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    too_long = {"idea": {"title": "A" * 60}, "twins": []}
    madspark_simulator.on("ollama", json=too_long, times=1)
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    branch, response = router.generate_structured("Name an idea.", Branch)
    assert len(branch.idea.title) <= 40
    first, _ = model_requests(madspark_simulator)
    grammar = json.dumps(first.json["format"])
    assert '"maxLength": 40' in grammar
    assert "$ref" not in grammar
    # A reply beyond the grammar is validated here, and the repair request includes the error.
    assert response.attempts[0].error == "invalid_output"
    assert "at most 40 characters" in (response.attempts[0].message or "")


def test_problem_33_a_grammar_that_failed_is_not_requested_again(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", contains='"format":{', status=500, body={"error": "invalid JSON schema in format"})
    for router in (madspark_router(primary_provider="ollama"), madspark_router(primary_provider="ollama")):
        idea, _ = router.generate_structured("Name an idea.", Idea)
        assert idea.title
    formats = [request.json["format"] for request in model_requests(madspark_simulator, "ollama")]
    assert [isinstance(one, dict) for one in formats] == [True, False, False]
    assert formats[1:] == ["json", "json"]
    assert called_providers(madspark_simulator) == ["ollama"] * 3


def test_problem_34_a_cloud_model_that_ignores_the_schema_repairs_its_reply(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", text="Sure! Roof gardens.", times=1)
    router = madspark_router(primary_provider="ollama", ollama_model_fast="gpt-oss:120b-cloud", model_tier="fast")
    idea, response = router.generate_structured("Name an idea.", Idea)
    assert idea.title
    assert [attempt.error for attempt in response.attempts] == ["invalid_output", None]
    for request in model_requests(madspark_simulator):
        assert "format" not in request.json
        assert '"title"' in request.system


@pytest.mark.parametrize("reply", [{"unexpected": 1}, [], {"title": None}, {"title": "lower case"}], ids=str)
@pytest.mark.parametrize("provider", ["ollama", "gemini", "openai", "anthropic"])
def test_problem_35_an_ignored_schema_has_its_own_error_class(
    provider: str, reply: Any, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on(provider, json=reply)
    router = madspark_router(primary_provider=provider, fallback_enabled=True)
    _, response = router.generate_structured("Name an idea.", Idea)
    other = "gemini" if provider == "ollama" else "ollama"
    assert called_providers(madspark_simulator) == [provider, provider, other]
    assert [attempt.error for attempt in response.attempts] == ["invalid_output", "invalid_output", None]
    provider_metrics = router.get_metrics()["providers"][provider]
    assert (provider_metrics["failures"], provider_metrics["repairs"]) == ({"invalid_output": 2}, 1)
    madspark_simulator.on(json=reply)
    with pytest.raises(AllProvidersFailedError) as caught:
        router.generate_structured("Name an idea.", Idea)
    assert {attempt.error for attempt in caught.value.attempts} == {"invalid_output"}
