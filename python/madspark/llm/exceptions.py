"""The exceptions of this package.

::

    MadsparkError
    ├── LLMProviderError                      a model call failed
    │   ├── ProviderUnavailableError          not reachable, not configured, overloaded or broken
    │   │   └── ProviderTimeoutError          (TimeoutError) no answer in time
    │   ├── RateLimitError                    too many requests, or a quota is used up
    │   ├── AuthorizationError                the API key is not accepted
    │   ├── ContentRefusedError               refused, or blocked by a safety filter
    │   ├── SchemaValidationError             the reply does not match the schema
    │   ├── ContextLengthError                the prompt does not fit into the context window
    │   ├── BudgetExceededError               the router's budget is used up
    │   ├── DeadlineExceededError             (TimeoutError) the router's deadline has passed
    │   └── AllProvidersFailedError           every provider failed; `errors` holds the error of each
    │       └── AllProviders…Error            all failed in the same way; see below
    ├── WorkflowTimeoutError                  (TimeoutError) a stage or a run took too long
    └── InternalError                         a defect of this package

If all providers failed in the same way, the error is also of that class: `AllProvidersRateLimitedError` is a
`RateLimitError`. So `except RateLimitError` means the same whether one provider was tried or three.

Errors carry data: the target, the HTTP status, how long to wait, and every attempt. Messages are for people. They
contain neither keys nor prompts; the prompt is an attribute of `AllProvidersFailedError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypedDict, Unpack

from madspark.llm._explain import explain_failure
from madspark.llm.response import Attempt


class ErrorDetails(TypedDict, total=False):
    """The data of an error, as its constructor takes them."""

    provider: str | None
    model: str | None
    status: int | None
    retry_after: float | None
    attempts: Iterable[Attempt]


class MadsparkError(Exception):
    """The base of every exception of this package.

    Attributes:
        provider: The provider that failed, or None.
        model: Its model, or None.
        status: The HTTP status of its reply, or None.
        retry_after: Seconds to wait before the next request, as requested by the provider, or None.
        attempts: Every attempt of the call, in order.
        partial: What a stream returned before it failed, or None.
        ready_in: Seconds until each provider takes requests again, for those of which it is known.
    """

    partial: str | None = None
    _headline = "There is no answer."

    def __init__(
        self,
        message: str = "",
        *,
        provider: str | None = None,
        model: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
        attempts: Iterable[Attempt] = (),
    ) -> None:
        # `args` holds the message alone: `repr` shows it, and copies are made from it before attributes are restored.
        super().__init__(message)
        self.provider = provider
        self.model = model
        self.status = status
        self.retry_after = retry_after
        self.attempts: tuple[Attempt, ...] = tuple(attempts)
        self.ready_in: dict[str, float] = {}

    def explain(self) -> str:
        """Describe in plain words why there is no answer, with one line per attempt.

        The text contains no prompt, reply or key, so it can be logged.

        >>> refused = Attempt("ollama", "gemma3:12b", ok=False, error="connect", latency_ms=2.0)
        >>> busy = Attempt("gemini", "gemini-2.5-flash", ok=False, status=429, error="rate_limited", retry_after=12)
        >>> print(AllProvidersFailedError("no answer", retry_after=12.0, attempts=[refused, busy]).explain())
        No provider answered.
        ollama (gemma3:12b) was tried first and could not be reached.
        gemini (gemini-2.5-flash) was tried next and was rate limited (HTTP 429, retry after 12 s).
        The first of them is available again in 12 s.
        In all: 2 attempts, 2 ms, 0 tokens.
        """
        return explain_failure(self, self._headline, self._failures())

    def _failures(self) -> Mapping[str, Exception]:
        """The error of each provider that is known to have failed."""
        return {} if self.provider is None else {self.provider: self}


class LLMProviderError(MadsparkError):
    """A model call failed."""


class ProviderUnavailableError(LLMProviderError):
    """The provider cannot take the call: it is not reachable, not configured, overloaded or broken."""


class ProviderTimeoutError(ProviderUnavailableError, TimeoutError):
    """The provider did not answer in time."""


class RateLimitError(LLMProviderError):
    """The provider received too many requests, or a quota is used up. `retry_after` is the wait it requested."""


class AuthorizationError(LLMProviderError):
    """The provider does not accept the API key, or the key may not use the model."""


class ContentRefusedError(LLMProviderError):
    """The model refused to answer, or a safety filter blocked the prompt or the reply."""

    _headline = "The call ended with a refusal."


class SchemaValidationError(LLMProviderError):
    """The reply does not match the schema, after all repairs.

    Attributes:
        raw: The text of the last reply.
        faults: One line for each of its validation errors.
    """

    def __init__(
        self,
        message: str = "",
        *,
        raw: str | None = None,
        faults: Iterable[str] = (),
        **details: Unpack[ErrorDetails],
    ) -> None:
        super().__init__(message, **details)
        self.raw = raw
        self.faults: tuple[str, ...] = tuple(faults)


class ContextLengthError(LLMProviderError):
    """The prompt does not fit into the context window of the model."""


class BudgetExceededError(LLMProviderError):
    """The router's budget is used up, and nothing more was sent. Build a router with a larger budget to continue."""

    _headline = "The router's budget was used up before there was an answer."


class DeadlineExceededError(LLMProviderError, TimeoutError):
    """The call reached its router's deadline."""

    _headline = "The deadline was reached before there was an answer."


class AllProvidersFailedError(LLMProviderError):
    """Every provider failed.

    Attributes:
        errors: The error of each provider, in the order in which they were tried.
        prompt: The prompt of the call. No message contains it.
    """

    _headline = "No provider answered."

    def __init__(
        self,
        message: str = "",
        errors: Mapping[str, Exception] | None = None,
        prompt: str | None = None,
        **details: Unpack[ErrorDetails],
    ) -> None:
        super().__init__(message, **details)
        self.errors: dict[str, Exception] = dict(errors or {})
        self.prompt = prompt

    def _failures(self) -> Mapping[str, Exception]:
        return self.errors


class AllProvidersUnavailableError(AllProvidersFailedError, ProviderUnavailableError):
    """No provider could take the call."""


class AllProvidersTimedOutError(AllProvidersFailedError, ProviderTimeoutError):
    """No provider answered in time."""


class AllProvidersRateLimitedError(AllProvidersFailedError, RateLimitError):
    """Every provider is rate limited. `retry_after` is the shortest wait among them."""


class AllProvidersUnauthorizedError(AllProvidersFailedError, AuthorizationError):
    """No provider accepts its API key."""


class AllProvidersRefusedError(AllProvidersFailedError, ContentRefusedError):
    """Every provider refused, or its safety filter blocked."""


class AllProvidersContextLengthError(AllProvidersFailedError, ContextLengthError):
    """The prompt fits into the context window of no provider's model."""


class AllProvidersInvalidOutputError(AllProvidersFailedError, SchemaValidationError):
    """No provider's reply matches the schema. `raw` and `faults` are those of the last reply."""


class WorkflowTimeoutError(MadsparkError, TimeoutError):
    """A stage or a whole run of the workflow took longer than allowed."""

    _headline = "The deadline was reached before there was an answer."


class InternalError(MadsparkError):
    """A defect of this package. Please report it."""


_NOT_SENT = ("not_configured", "unsupported")
"""Error classes of attempts that could never have been sent."""

# In this order: a timeout is also an unavailability.
_SUMMARIES: tuple[tuple[type[LLMProviderError], type[AllProvidersFailedError]], ...] = (
    (ProviderTimeoutError, AllProvidersTimedOutError),
    (ProviderUnavailableError, AllProvidersUnavailableError),
    (RateLimitError, AllProvidersRateLimitedError),
    (AuthorizationError, AllProvidersUnauthorizedError),
    (ContentRefusedError, AllProvidersRefusedError),
    (ContextLengthError, AllProvidersContextLengthError),
    (SchemaValidationError, AllProvidersInvalidOutputError),
)


def all_failed(
    message: str,
    errors: Mapping[str, Exception],
    prompt: str | None = None,
    **details: Unpack[ErrorDetails],
) -> AllProvidersFailedError:
    """Return one error for the failures of all providers, of their common class if they share one.

    A provider that the call could never have been sent to, such as a fallback without a key, is ignored unless there is
    no other. If one failure is left, the summary takes over its `provider`, `model` and `status`. `retry_after`
    defaults to the shortest wait among the failures: after it, one provider takes requests again.
    """
    details["attempts"] = attempts = tuple(details.get("attempts", ()))
    not_sent = {attempt.provider for attempt in attempts if attempt.error in _NOT_SENT}
    failures = [failure for name, failure in errors.items() if name not in not_sent] or list(errors.values())
    kinds = (summary for kind, summary in _SUMMARIES if failures and all(isinstance(one, kind) for one in failures))
    error = next(kinds, AllProvidersFailedError)(message, errors, prompt, **details)
    if error.retry_after is None:
        waits = [failure.retry_after for failure in failures if isinstance(failure, MadsparkError)]
        error.retry_after = min((wait for wait in waits if wait is not None), default=None)
    if len(failures) == 1 and isinstance(failures[0], MadsparkError):
        error.provider = failures[0].provider if error.provider is None else error.provider
        error.model = failures[0].model if error.model is None else error.model
        error.status = failures[0].status if error.status is None else error.status
    if isinstance(error, AllProvidersInvalidOutputError) and isinstance(failures[-1], SchemaValidationError):
        error.raw = failures[-1].raw
        error.faults = failures[-1].faults
    return error
