"""Describes a failed run in one line that says what to do.

The line is made from the data of the error (provider, model, error class, status), not from its message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from madspark.cli.names import NAMES, name_of
from madspark.cli.wrap import clean
from madspark.llm.exceptions import (
    AllProvidersFailedError,
    AuthorizationError,
    InternalError,
    LLMProviderError,
    MadsparkError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitError,
    SchemaValidationError,
    WorkflowTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["as_problem", "explain", "without_password"]

_KEYS = {
    "ollama": "OLLAMA_API_KEY",
    "gemini": "GOOGLE_API_KEY",
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
}
_START = {
    "ollama": "start it with `ollama serve` or pass --ollama-host",
    "gemini": "check the network or pass --gemini-base-url",
    "openai": "start it or pass --openai-base-url",
    "anthropic": "check the network or pass --anthropic-base-url",
}
_NOT_FOUND = 404
_INSTALLED = "; installed: "


class _Failure(NamedTuple):
    """The failure of one target."""

    provider: str
    model: str | None
    kind: str
    message: str
    retry_after: float | None


def explain(error: BaseException, hosts: Mapping[str, str]) -> str:
    """Return one line with the reason and the remedy. `hosts` maps each provider to its URL."""
    return " ".join(clean(_explained(error, hosts)).split())


def as_problem(error: BaseException, message: str) -> dict[str, Any]:
    """Return the data of `error` for JSON: its stable `code`, `message`, and what is known about the provider."""
    if isinstance(error, MadsparkError):
        return {"message": message, **error.to_problem()}
    is_invalid = isinstance(error, (ValueError, TypeError, FileNotFoundError))
    return {"message": message, "code": "invalid_request" if is_invalid else "error", "title": type(error).__name__}


def without_password(url: str) -> str:
    """Remove user and password from a URL."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _explained(error: BaseException, hosts: Mapping[str, str]) -> str:
    if isinstance(error, WorkflowTimeoutError):
        return f"{error}: try --tier fast or a longer --timeout"
    if isinstance(error, InternalError):
        return f"defect in madspark, please report it: {error}"
    if isinstance(error, LLMProviderError):
        failures = _failures(error)
        return "; ".join(_advice(failure, hosts) for failure in failures) if failures else str(error)
    if isinstance(error, FileNotFoundError):
        return f"no such file: {error.filename}" if error.filename else str(error)
    if isinstance(error, (ValueError, NotImplementedError, OSError)):
        return str(error) or type(error).__name__
    return f"{type(error).__name__}: {error}"


def _failures(error: LLMProviderError) -> list[_Failure]:
    """Return the last failure of each target, in the order in which the targets were tried."""
    last = {
        (attempt.provider, attempt.model): _Failure(
            attempt.provider, attempt.model, attempt.error, attempt.message or "", error.retry_after
        )
        for attempt in error.attempts
        if attempt.error is not None
    }
    if last:
        return list(last.values())
    if isinstance(error, AllProvidersFailedError):
        return [_from_error(name, failure) for name, failure in error.errors.items()]
    return [_from_error(error.provider, error)] if error.provider else []


def _from_error(name: str, error: Exception) -> _Failure:
    provider = getattr(error, "provider", None) or name
    return _Failure(
        provider, getattr(error, "model", None), _kind(error), str(error), getattr(error, "retry_after", None)
    )


def _kind(error: Exception) -> str:
    """Return the error class of a failure that has no attempt."""
    if isinstance(error, LLMProviderError) and error.status == _NOT_FOUND and error.model:
        return "model_missing"
    kinds: tuple[tuple[type[Exception], str], ...] = (
        (ProviderTimeoutError, "timeout"),
        (RateLimitError, "rate_limited"),
        (SchemaValidationError, "invalid_output"),
        (AuthorizationError, "unauthorized"),
    )
    for cls, kind in kinds:
        if isinstance(error, cls):
            return kind
    # Without a status there was no reply at all.
    if isinstance(error, ProviderUnavailableError) and error.status is None:
        return "connect"
    return "other"


def _advice(failure: _Failure, hosts: Mapping[str, str]) -> str:
    provider, model = failure.provider, failure.model
    name = name_of(provider)
    match failure.kind:
        case "connect" | "connect_timeout" | "dns":
            host = without_password(hosts[provider]) if provider in hosts else "its address"
            return f"cannot reach {name} at {host}: {_START.get(provider, 'check its address')}"
        case "unauthorized" | "forbidden" if provider in _KEYS:
            return f"{name} does not accept the API key for {model or 'this model'}: check {_KEYS[provider]}"
        case "model_missing":
            return f"{name} has no model {model}: {_other_model(failure)}"
        case "timeout" | "first_token_timeout" | "idle_timeout" | "loading":
            return f"{name} did not answer in time with {model or 'this model'}: try --tier fast or a longer --timeout"
        case "rate_limited" | "cooldown":
            wait = "later" if failure.retry_after is None else f"in {failure.retry_after:.0f} s"
            return f"{name} limits the rate of calls: try again {wait}"
        case "truncated" | "thinking_truncated":
            return f"{name}: {failure.message}: try a larger --max-output-tokens"
        case "invalid_output":
            return f"the model {model} of {name} does not return valid output: try another model"
        case "unsupported" if provider != "gemini":
            return f"{name}: {failure.message}: pass --provider gemini, or leave it out"
        case "server" | "overloaded" | "disconnected" | "malformed_reply" | "empty_reply" | "breaker_open":
            return f"{name}: {failure.message or failure.kind}: try again, or another --provider"
        case _:
            # If the provider is not configured, the message says what to set.
            return f"{name}: {failure.message or failure.kind}"


def _other_model(failure: _Failure) -> str:
    """Return how to install the model or choose another one, with those of a local server if the core listed them."""
    pull = f"run `ollama pull {failure.model}` or " if failure.provider == "ollama" else ""
    option = f"--{failure.provider}-model" if failure.provider in NAMES else "another model"
    _, separator, names = failure.message.partition(_INSTALLED)
    return f"{pull}pass {option}{separator}{names}"
