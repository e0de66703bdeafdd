"""Invalid replies are repaired once by the same provider, then by the next one; refusals end a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, Field, ValidationError, field_validator

from madspark import AllProvidersFailedError
from madspark.llm import exceptions as errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import LLMRouter
    from madspark.testing import RecordedRequest, Simulator

PROVIDERS = ["ollama", "gemini", "openai"]

GOOD = {"title": "Moss roofs", "score": 7}
WRONG = {"title": "Moss roofs", "score": "eleven-ish"}


class Idea(BaseModel):
    """The requested output."""

    title: str
    score: int = Field(ge=0, le=10)


def turns(request: RecordedRequest) -> list[tuple[str, str]]:
    """Return role and text of each turn."""
    body = request.json
    if request.provider == "gemini":
        return [(turn["role"], turn["parts"][0]["text"]) for turn in body["contents"]]
    return [(turn["role"], turn["content"]) for turn in body["messages"]]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_invalid_reply_is_sent_back_once_with_the_errors_of_pydantic(
    provider: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider=provider)
    for ask in (router.generate_structured, router.agenerate_structured):
        madspark_simulator.clear()
        madspark_simulator.clear_rules()
        madspark_simulator.on(provider, json=WRONG, times=1)
        madspark_simulator.on(provider, json=GOOD)
        answer = ask("Name an idea.", Idea, "Be brief.", 0.25)
        idea, response = answer if isinstance(answer, tuple) else await answer
        assert idea == Idea(title="Moss roofs", score=7)
        first, second = madspark_simulator.requests
        assert (first.provider, second.provider) == (provider, provider)
        assert first.schema == second.schema is not None
        assert first.system == second.system
        assert (first.system or "").startswith("Be brief.")
        question, reply, complaint = [turn for turn in turns(second) if turn[0] != "system"]
        assert question == ("user", "Name an idea.")
        assert reply[0] == ("model" if provider == "gemini" else "assistant")
        assert "eleven-ish" in reply[1]
        assert complaint[0] == "user"
        assert "score" in complaint[1]
        assert "valid integer" in complaint[1]
        assert '"score": integer' in complaint[1].partition("It has this form:\n")[2]
        assert [(attempt.provider, attempt.error) for attempt in response.attempts] == [
            (provider, "invalid_output"),
            (provider, None),
        ]
        assert "valid integer" in (response.attempts[0].message or "")
        assert response.tokens_used == sum(sum(attempt.usage.values()) for attempt in response.attempts)
    metrics = router.get_metrics()
    assert (dict(metrics)[f"{provider}_calls"], metrics["total_requests"], metrics["fallback_triggers"]) == (4, 2, 0)


@pytest.mark.parametrize("rule", [{"json": WRONG}, {"text": "I would rather not say."}, {"text": '{"title": "Mo'}])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_after_a_failed_repair_the_next_provider_gets_the_original_request(
    provider: str, rule: dict[str, Any], madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on(provider, **rule)
    other = "gemini" if provider == "ollama" else "ollama"
    router = madspark_router(primary_provider=provider, fallback_enabled=True)
    idea, response = router.generate_structured("Name an idea.", Idea)
    assert isinstance(idea, Idea)
    requests = madspark_simulator.requests
    assert [request.provider for request in requests] == [provider, provider, other]
    assert [turn for turn in turns(requests[2]) if turn[0] != "system"] == [("user", "Name an idea.")]
    assert [attempt.error for attempt in response.attempts] == ["invalid_output", "invalid_output", None]
    assert [attempt.status for attempt in response.attempts] == [200, 200, 200]
    assert response.provider == other
    assert router.get_metrics()["fallback_triggers"] == 1


def test_each_provider_gets_its_own_repair(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", json=WRONG)
    madspark_simulator.on("gemini", json={"title": "Moss roofs", "score": 70})
    with pytest.raises(errors.SchemaValidationError) as caught:
        madspark_router().generate_structured("Name an idea.", Idea)
    assert [request.provider for request in madspark_simulator.requests] == ["ollama"] * 2 + ["gemini"] * 2
    error = caught.value
    assert type(error) is errors.AllProvidersInvalidOutputError
    ollama, gemini = error.errors.values()
    assert isinstance(ollama, errors.SchemaValidationError)
    assert isinstance(gemini, errors.SchemaValidationError)
    # Each cause has the last reply of its target; the summary has the last one of all.
    assert "eleven-ish" in (ollama.raw or "")
    assert "valid integer" in ollama.faults[0]
    assert '"score":70' in (gemini.raw or "").replace(" ", "")
    assert "less than or equal to 10" in gemini.faults[0]
    assert (error.raw, error.faults) == (gemini.raw, gemini.faults)
    assert type(error.__cause__) is errors.SchemaValidationError
    assert isinstance(error.__cause__.__cause__, ValidationError)
    assert "eleven-ish" not in f"{error} {error!r}"


def test_the_rejected_reply_of_an_earlier_provider_is_kept(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", json=WRONG)
    madspark_simulator.on("gemini", status=503)
    with pytest.raises(AllProvidersFailedError) as caught:
        madspark_router(max_attempts=3).generate_structured("Name an idea.", Idea)
    assert type(caught.value) is AllProvidersFailedError
    invalid = caught.value.errors["ollama"]
    assert isinstance(invalid, errors.SchemaValidationError)
    assert "eleven-ish" in (invalid.raw or "")
    assert invalid.faults


@pytest.mark.parametrize("replies", [["no", "still no"], [WRONG, "still no"], ["no", WRONG]])
def test_raw_is_the_last_rejected_reply(
    replies: list[Any], madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    for reply in replies:
        madspark_simulator.on("ollama", times=1, **({"text": reply} if isinstance(reply, str) else {"json": reply}))
    with pytest.raises(errors.SchemaValidationError) as caught:
        madspark_router(primary_provider="ollama", fallback_enabled=False).generate_structured("Name one.", Idea)
    error = caught.value
    last = replies[-1]
    if isinstance(last, str):
        assert error.raw == last
        assert "no complete JSON" in error.faults[0]
    else:
        assert "eleven-ish" in (error.raw or "")
        assert "valid integer" in error.faults[0]
    assert (error.provider, error.status, len(error.attempts)) == ("ollama", 200, 2)


@pytest.mark.parametrize(
    "text",
    [
        '```json\n{"title": "Moss roofs", "score": 7}\n```',
        'Here you are:\n\n{"title": "Moss roofs", "score": 7}\n\nI hope that helps.',
        '<think>{"title": 1}</think>{"title": "Moss roofs", "score": 7}',
        '  {"title": "Moss roofs", "score": 7}  ',
    ],
)
def test_json_within_other_text_needs_no_repair(
    text: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", text=text)
    idea, response = madspark_router(primary_provider="ollama").generate_structured("Name an idea.", Idea)
    assert idea == Idea(title="Moss roofs", score=7)
    assert len(madspark_simulator.requests) == len(response.attempts) == 1


class Bug(BaseModel):
    """A model whose validator has a bug."""

    title: str

    @field_validator("title")
    @classmethod
    def broken(cls, _value: str) -> str:
        raise KeyError("a bug of the caller")


def test_a_bug_in_a_validator_propagates_unchanged(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    with pytest.raises(KeyError, match="a bug of the caller"):
        madspark_router().generate_structured("Name an idea.", Bug)
    assert len(madspark_simulator.requests) == 1


REFUSALS = [
    # A filter before or behind the model.
    ("gemini", {"body": {"promptFeedback": {"blockReason": "SAFETY"}}}, "SAFETY", "blocked"),
    ("gemini", {"body": {"candidates": [{"finishReason": "SAFETY"}]}}, "SAFETY", "blocked"),
    ("gemini", {"body": {"candidates": [{"finishReason": "PROHIBITED_CONTENT"}]}}, "PROHIBITED_CONTENT", "blocked"),
    (
        "openai",
        {"body": {"choices": [{"message": {}, "finish_reason": "content_filter"}]}},
        "content_filter",
        "blocked",
    ),
    # The model itself.
    ("openai", {"body": {"choices": [{"message": {"refusal": "I cannot help."}}]}}, "I cannot help", "refused"),
]


@pytest.mark.parametrize(("provider", "rule", "reason", "kind"), REFUSALS)
def test_a_refusal_ends_the_call(
    provider: str,
    rule: dict[str, Any],
    reason: str,
    kind: str,
    madspark_router: Callable[..., LLMRouter],
    madspark_simulator: Simulator,
) -> None:
    madspark_simulator.on(provider, **rule)
    router = madspark_router(primary_provider=provider, fallback_enabled=True)
    for structured in (False, True):
        with pytest.raises(errors.ContentRefusedError, match=reason) as caught:
            _ = router.generate_structured("hi", Idea) if structured else router.generate("hi")
        assert not isinstance(caught.value, AllProvidersFailedError)
        assert caught.value.provider == provider
        assert [attempt.error for attempt in caught.value.attempts] == [kind]
    assert [request.provider for request in madspark_simulator.requests] == [provider] * 2
    metrics = router.get_metrics()
    assert (metrics["failed_requests"], metrics["fallback_triggers"]) == (2, 0)


def test_a_refusal_after_a_fallback_includes_the_first_failure(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", status=503)
    madspark_simulator.on("gemini", **REFUSALS[0][1])  # type: ignore[arg-type]  # a dictionary of mixed values
    with pytest.raises(errors.ContentRefusedError) as caught:
        madspark_router().generate("hello")
    assert [attempt.error for attempt in caught.value.attempts] == ["overloaded", "blocked"]
