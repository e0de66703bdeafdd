"""Failures of a provider: the class and data of the exception, and the fallback."""

from __future__ import annotations

import copy
import inspect
import pickle
import socket
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from madspark import AllProvidersFailedError
from madspark.llm import exceptions as errors
from wire import called_providers, model_requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import LLMRouter
    from madspark.testing import Simulator

PROVIDERS = ["ollama", "gemini", "openai"]

RETRY_INFO = {
    "error": {
        "code": 429,
        "message": "Quota exceeded.",
        "status": "RESOURCE_EXHAUSTED",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "45.5s"}],
    }
}
UNAVAILABLE, INVALID = errors.AllProvidersUnavailableError, errors.AllProvidersInvalidOutputError

# rule -> class with fallback off, the attempt's error, the status of the error, retry_after
FAULTS: dict[str, tuple[dict[str, Any], type[Exception], str, int | None, float | None]] = {
    "429": ({"status": 429}, errors.AllProvidersRateLimitedError, "rate_limited", 429, None),
    "429 with Retry-After": (
        {"status": 429, "headers": {"retry-after": "7"}},
        errors.AllProvidersRateLimitedError,
        "rate_limited",
        429,
        7.0,
    ),
    "500": ({"status": 500}, UNAVAILABLE, "server", 500, None),
    "502 of a proxy": ({"status": 502, "body": "<html>Bad Gateway</html>"}, UNAVAILABLE, "server", 502, None),
    "503": ({"status": 503, "headers": {"retry-after": "2"}}, UNAVAILABLE, "overloaded", 503, 2.0),
    "401": ({"status": 401}, errors.AllProvidersUnauthorizedError, "unauthorized", 401, None),
    "403": ({"status": 403}, errors.AllProvidersUnauthorizedError, "forbidden", 403, None),
    "404 of a model": (
        {"status": 404, "body": {"error": {"message": "model 'x' not found"}}},
        errors.AllProvidersLackModelError,
        "model_missing",
        404,
        None,
    ),
    "404 of a path": ({"status": 404, "body": ""}, AllProvidersFailedError, "rejected", 404, None),
    "400": ({"status": 400}, AllProvidersFailedError, "rejected", 400, None),
    "redirect": (
        {"status": 302, "headers": {"location": "http://127.0.0.1:9/"}, "body": ""},
        AllProvidersFailedError,
        "rejected",
        302,
        None,
    ),
    "malformed": ({"fault": "malformed"}, INVALID, "malformed_reply", 200, None),
    "web page": ({"body": "<html>Sign in</html>"}, INVALID, "malformed_reply", 200, None),
    "truncated": ({"fault": "truncate"}, UNAVAILABLE, "disconnected", 200, None),
    "disconnect": ({"fault": "disconnect"}, UNAVAILABLE, "disconnected", None, None),
    "empty text": ({"text": "  \n"}, INVALID, "empty_reply", 200, None),
}
ALL = [(provider, name) for provider in PROVIDERS for name in FAULTS]


async def call(method: Callable[[str], Any]) -> None:
    """Call the synchronous or the asynchronous method."""
    answer = method("a private prompt")
    if inspect.isawaitable(answer):
        await answer


@pytest.mark.parametrize("method", ["generate", "agenerate"])
@pytest.mark.parametrize(("provider", "name"), ALL)
async def test_without_fallback_the_error_has_its_class_provider_and_reason(
    provider: str, name: str, method: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    rule, expected, kind, status, retry_after = FAULTS[name]
    madspark_simulator.on(provider, **rule)
    router = madspark_router(primary_provider=provider, fallback_enabled=False, max_attempts=1)
    with pytest.raises(AllProvidersFailedError) as caught:
        await call(getattr(router, method))
    error = caught.value
    assert type(error) is expected
    (attempt,) = error.attempts
    assert (error.provider, error.model, error.status) == (provider, attempt.model, status)
    assert error.retry_after == retry_after
    assert (attempt.provider, attempt.ok, attempt.error, attempt.status) == (provider, False, kind, status)
    (cause,) = error.errors.values()
    assert isinstance(cause, errors.LLMProviderError)
    assert not isinstance(cause, AllProvidersFailedError)
    assert all(isinstance(error, of) for of in type(cause).__mro__)
    assert type(error.__cause__) is type(cause)
    assert (cause.provider, cause.status, cause.retry_after) == (provider, status, retry_after)
    assert error.prompt == "a private prompt"
    assert "private" not in f"{error} {error!r} {attempt!r} {cause!r}"
    assert f"{provider} (" in str(error)
    assert len(model_requests(madspark_simulator)) == 1
    metrics = router.get_metrics()
    assert (metrics["failed_requests"], metrics["total_requests"], metrics["fallback_triggers"]) == (1, 1, 0)
    assert dict(metrics)[f"{provider}_calls"] == 1


@pytest.mark.parametrize(("provider", "name"), ALL)
def test_with_fallback_another_provider_answers_and_every_attempt_is_recorded(
    provider: str, name: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    rule, _, kind, _, _ = FAULTS[name]
    madspark_simulator.on(provider, **rule)
    other = "gemini" if provider == "ollama" else "ollama"
    router = madspark_router(primary_provider=provider, fallback_enabled=True)
    text, response = router.generate("hello")
    assert called_providers(madspark_simulator) == [provider, other]
    assert (response.provider, response.text, text != "") == (other, text, True)
    failed, answered = response.attempts
    assert (failed.provider, failed.ok, failed.error) == (provider, False, kind)
    assert failed.message
    assert (answered.provider, answered.ok, answered.status) == (other, True, 200)
    assert (answered.error, answered.message, answered.model) == (None, None, response.model)
    assert answered.usage["input"] > 0
    assert answered.usage["output"] > 0
    assert response.tokens_used == sum(failed.usage.values()) + sum(answered.usage.values())
    # Only counted tokens with an unknown price make the sum unknown.
    assert (response.cost is None) == (provider == "openai" and sum(failed.usage.values()) > 0)
    assert response.latency_ms >= failed.latency_ms + answered.latency_ms
    metrics = router.get_metrics()
    assert (metrics["failed_requests"], metrics["total_requests"], metrics["fallback_triggers"]) == (0, 1, 1)
    assert (dict(metrics)[f"{provider}_calls"], dict(metrics)[f"{other}_calls"]) == (1, 1)
    assert metrics["total_tokens"] == response.tokens_used


def closed_port() -> str:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{holder.getsockname()[1]}"


def test_a_refused_connection(madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator) -> None:
    address = closed_port()
    alone = madspark_router(primary_provider="ollama", fallback_enabled=False, ollama_host=address)
    with pytest.raises(errors.AllProvidersUnavailableError, match=address.removeprefix("http://")) as caught:
        alone.generate("hello")
    assert not isinstance(caught.value, TimeoutError)
    assert caught.value.attempts[0].error == "connect"
    # Nothing was sent.
    assert (alone.get_metrics()["ollama_calls"], alone.get_metrics()["failed_requests"]) == (0, 1)
    router = madspark_router(primary_provider="ollama", ollama_host=address)
    assert router.generate("hello")[1].provider == "gemini"
    assert [request.provider for request in madspark_simulator.requests] == ["gemini"]
    metrics = router.get_metrics()
    assert (metrics["ollama_calls"], metrics["gemini_calls"], metrics["fallback_triggers"]) == (0, 1, 1)


def test_a_failure_without_tokens_does_not_hide_the_price(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("openai", status=503)
    _, response = madspark_router(primary_provider="openai", fallback_enabled=True).generate("hello")
    assert (response.provider, response.cost) == ("ollama", 0.0)


@pytest.mark.parametrize("fault", ["stall", "stall_after_headers", "stall_mid_body"])
def test_a_stall_is_a_timeout_and_the_connection_is_closed(
    fault: Any, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", fault=fault)
    alone = madspark_router(primary_provider="ollama", fallback_enabled=False, ollama_timeout=0.2)
    with pytest.raises(errors.ProviderTimeoutError, match=r"0\.2 s") as caught:
        alone.generate("hello")
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value, AllProvidersFailedError)
    assert madspark_simulator.wait_for_hang_ups(1)
    both = madspark_router(primary_provider="ollama", ollama_timeout=0.2)
    assert [attempt.error for attempt in both.generate("hello")[1].attempts] == ["timeout", None]
    assert (both.get_metrics()["ollama_calls"], both.get_metrics()["gemini_calls"]) == (1, 1)


def test_geminis_retry_info_is_read_from_the_body(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("gemini", status=429, body=RETRY_INFO)
    with pytest.raises(errors.RateLimitError, match="retry after 46 s") as caught:
        madspark_router(primary_provider="gemini", fallback_enabled=False, max_attempts=1).generate("hello")
    assert (caught.value.retry_after, caught.value.status, caught.value.provider) == (45.5, 429, "gemini")


def test_the_summary_has_the_shortest_retry_after(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("gemini", status=429, body=RETRY_INFO)
    madspark_simulator.on("ollama", status=429, headers={"retry-after": "90"})
    with pytest.raises(errors.RateLimitError) as caught:
        madspark_router(max_attempts=2).generate("hello")
    assert caught.value.retry_after == 45.5
    assert (caught.value.provider, caught.value.status) == (None, None)
    assert [getattr(cause, "retry_after", 0) for cause in caught.value.errors.values()] == [90.0, 45.5]  # type: ignore[attr-defined]  # also an AllProvidersFailedError


class Note(BaseModel):
    """The requested output."""

    text: str


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_truncated_structured_reply_is_a_failure(
    provider: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider=provider, fallback_enabled=False)
    with pytest.raises(errors.SchemaValidationError, match="cut at the limit") as caught:
        router.generate_structured("hello", Note, token_budget=1)
    (attempt,) = caught.value.attempts
    assert (attempt.error, attempt.status, attempt.usage["output"]) == ("truncated", 200, 1)
    assert router.get_metrics()["total_tokens"] == sum(attempt.usage.values())
    # Free text that the caller limited is a valid answer.
    assert router.generate("hello", max_tokens=1)[1].attempts[0].ok
    assert len(madspark_simulator.requests) == 2


def test_the_summary_names_each_provider_with_its_reason(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("openai", status=401)
    madspark_simulator.on("ollama", status=503)
    madspark_simulator.on("gemini", status=429, headers={"retry-after": "3"})
    with pytest.raises(AllProvidersFailedError) as caught:
        madspark_router(primary_provider="openai", fallback_enabled=True, max_attempts=3).generate("a private prompt")
    error = caught.value
    assert type(error) is AllProvidersFailedError
    assert {name: type(cause) for name, cause in error.errors.items()} == {
        "openai": errors.AuthorizationError,
        "ollama": errors.ProviderUnavailableError,
        "gemini": errors.RateLimitError,
    }
    assert list(error.errors) == [attempt.provider for attempt in error.attempts] == ["openai", "ollama", "gemini"]
    message = str(error)
    for name, cause in error.errors.items():
        assert f"{name} (" in message
        assert str(cause) in message
    assert (error.prompt, error.retry_after) == ("a private prompt", 3.0)
    assert "private" not in message
    for twin in (copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error))):  # noqa: S301  # our own bytes
        assert (str(twin), twin.prompt, twin.attempts) == (message, error.prompt, error.attempts)
        assert {name: str(cause) for name, cause in twin.errors.items()} == {
            name: str(cause) for name, cause in error.errors.items()
        }


def test_an_untried_provider_comes_before_a_failed_one(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    # It could be retried at once and would answer; the plan continues nevertheless.
    madspark_simulator.on("openai", status=503, headers={"retry-after": "0"}, times=1)
    madspark_simulator.on("ollama", status=400)
    _, response = madspark_router(primary_provider="openai", fallback_enabled=True).generate("hello")
    assert [request.provider for request in madspark_simulator.requests] == ["openai", "ollama", "gemini"]
    assert response.provider == "gemini"


def test_a_missing_key_is_reported_with_the_first_failure(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", status=503)
    with pytest.raises(errors.ProviderUnavailableError, match="gemini_api_key") as caught:
        madspark_router(gemini_api_key=None, max_attempts=2).generate("hello")
    # An unconfigured provider does not count: both attempts go to the configured one.
    assert [attempt.error for attempt in caught.value.attempts] == ["overloaded", "missing_key", "overloaded"]
    assert len(madspark_simulator.requests) == 2


@pytest.mark.parametrize("name", ["429 with Retry-After", "401", "500", "empty text"])
def test_an_unusable_fallback_does_not_change_the_error_class(
    name: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    rule, expected, _, status, retry_after = FAULTS[name]
    madspark_simulator.on("ollama", **rule)
    with pytest.raises(AllProvidersFailedError) as caught:
        # A Retry-After beyond the deadline allows no second request.
        madspark_router(gemini_api_key=None, max_attempts=2, deadline=5).generate("hello")
    error = caught.value
    assert type(error) is expected
    assert (error.provider, error.status, error.retry_after) == ("ollama", status, retry_after)
    assert list(error.errors) == ["ollama", "gemini"]


def test_a_wrong_gemini_key_is_an_authorization_error(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.require_key("gemini", "the right one")
    with pytest.raises(errors.AuthorizationError) as caught:
        madspark_router(primary_provider="gemini", fallback_enabled=False).generate("hello")
    assert caught.value.status == 400  # Google's status for a wrong key
