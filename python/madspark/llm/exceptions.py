"""The exceptions of this package.

::

    MadsparkError
    ├── InvalidRequestError                   (ValueError) an argument of a call or a run is invalid
    │   ├── InvalidArgumentError              (TypeError) it has the wrong type, or its name is unknown
    │   ├── PromptTooLongError                the prompt is longer than the configuration allows
    │   └── MissingFileError                  (FileNotFoundError) a file that was named does not exist
    ├── InvalidSettingsError                  (ValueError) a setting is invalid
    ├── LLMProviderError                      a model call failed
    │   ├── ProviderUnavailableError          not reachable, overloaded or broken
    │   │   ├── ProviderTimeoutError          (TimeoutError) no answer in time
    │   │   └── ModelNotFoundError            the provider does not have the model
    │   ├── NotConfiguredError                a setting that the provider needs is missing
    │   │   └── MissingKeyError               the API key is missing
    │   ├── UnsupportedError                  the provider does not take such a file, image or page
    │   ├── RateLimitError                    too many requests, or a quota is used up
    │   ├── AuthorizationError                the API key is not accepted
    │   ├── ContentRefusedError               refused, or blocked by a safety filter
    │   ├── SchemaValidationError             the reply does not match the schema
    │   ├── ContextLengthError                the prompt does not fit into the context window
    │   ├── BudgetExceededError               the router's budget is used up
    │   ├── DeadlineExceededError             (TimeoutError) the router's deadline has passed
    │   └── AllProvidersFailedError           every provider failed; `errors` holds the error of each
    │       └── AllProviders…Error            all failed in the same way; see below
    ├── PageUnavailableError                  (ValueError) a web page cannot be read
    ├── WorkflowTimeoutError                  (TimeoutError) a stage or a run took too long
    └── InternalError                         a defect of this package

If all providers failed in the same way, the error is also of that class: `AllProvidersRateLimitedError` is a
`RateLimitError`, with its `code`. So `except RateLimitError` means the same whether one provider was tried or three.

Errors carry data: the target, the HTTP status, how long to wait, and every attempt; for a web backend also a stable
`code` and the `http_status` of its own reply. Messages are for people. They contain neither keys nor prompts; the
prompt is an attribute of `AllProvidersFailedError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict, Unpack

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
        code: A stable name of the class of the error, such as "rate_limited". It does not change between versions.
        http_status: The status with which a web backend answers its own client. The status that the provider returned
            is `status`.
        title: A short summary that is the same for every error with this `code`.
        provider: The provider that failed, or None.
        model: Its model, or None.
        status: The HTTP status of its reply, or None.
        retry_after: Seconds to wait before the next request, as requested by the provider, or None.
        attempts: Every attempt of the call, in order.
        partial: What a stream returned before it failed, or None.
        ready_in: Seconds until each provider takes requests again, for those of which it is known.
    """

    code: str = "error"
    http_status: int = 500
    title: str = "Error"
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

    def to_problem(self) -> dict[str, Any]:
        """Return the body of an HTTP reply, as described by RFC 9457 (`application/problem+json`).

        Its members are `type`, `title`, `status`, `detail` and `code`, and those of `provider`, `model`, `retry_after`
        (seconds) and `attempts` that are known. It contains no key, prompt or reply, and no address with a user, a
        password or a query.

        >>> RateLimitError("busy", provider="ollama", retry_after=7.0).to_problem()["retry_after"]
        7.0
        """
        from madspark.llm._problem import problem

        return problem(self, self._detail())

    def _detail(self) -> str:
        """Return what clients may read. Messages of failed calls name hosts, and may repeat what a provider wrote."""
        return self.explain()

    def _failures(self) -> Mapping[str, Exception]:
        """The error of each provider that is known to have failed."""
        return {} if self.provider is None else {self.provider: self}


class InvalidRequestError(MadsparkError, ValueError):
    """An argument of a call or a run is invalid, and nothing was sent."""

    code = "invalid_request"
    http_status = 422
    title = "The request is invalid"

    def _detail(self) -> str:
        return str(self)


class InvalidArgumentError(InvalidRequestError, TypeError):
    """An argument has the wrong type, or its name is unknown. Nothing was sent."""

    code = "invalid_argument"
    http_status = 422
    title = "An argument of the request is unknown or of the wrong type"


class PromptTooLongError(InvalidRequestError):
    """The prompt is longer than the `max_prompt_chars` of the configuration. Nothing was sent."""

    code = "prompt_too_long"
    http_status = 413
    title = "The prompt is too long"


class MissingFileError(InvalidRequestError, FileNotFoundError):
    """A file that an argument names does not exist. Nothing was sent."""

    code = "missing_file"
    http_status = 422
    title = "A file does not exist"


class InvalidSettingsError(MadsparkError, ValueError):
    """A setting is invalid: of `LLMConfig`, or of the environment. No request of a client can be the reason.

    Attributes:
        variables: The names of the environment variables whose values are invalid.
    """

    code = "invalid_settings"
    http_status = 500
    title = "The settings of the server are invalid"

    _headline = "The settings of the server are invalid."

    def __init__(self, message: str = "", *, variables: Iterable[str] = (), **details: Unpack[ErrorDetails]) -> None:
        super().__init__(message, **details)
        self.variables: tuple[str, ...] = tuple(variables)


class LLMProviderError(MadsparkError):
    """A model call failed."""

    code = "provider_error"
    http_status = 502
    title = "The provider returned an error"


class ProviderUnavailableError(LLMProviderError):
    """The provider cannot take the call: it is not reachable, overloaded or broken."""

    code = "provider_unavailable"
    http_status = 503
    title = "The provider is not available"


class ProviderTimeoutError(ProviderUnavailableError, TimeoutError):
    """The provider did not answer in time."""

    code = "provider_timeout"
    http_status = 504
    title = "The provider did not answer in time"


class ModelNotFoundError(ProviderUnavailableError):
    """The provider does not have the model. Install it, or configure another one."""

    code = "model_not_found"
    http_status = 500
    title = "The provider does not have the model"


class NotConfiguredError(LLMProviderError):
    """A setting that the provider needs is missing, such as the name of a model or its price. Nothing was sent."""

    code = "not_configured"
    http_status = 500
    title = "The provider is not configured"


class MissingKeyError(NotConfiguredError):
    """The provider needs an API key, and the configuration has none. Nothing was sent."""

    code = "missing_key"
    http_status = 500
    title = "The API key of the provider is missing"


class UnsupportedError(LLMProviderError):
    """The provider does not take what the call contains, such as a PDF file. Nothing was sent."""

    code = "unsupported"
    http_status = 422
    title = "The provider does not take such content"


class RateLimitError(LLMProviderError):
    """The provider received too many requests, or a quota is used up. `retry_after` is the wait it requested."""

    code = "rate_limited"
    http_status = 429
    title = "Too many requests"


class AuthorizationError(LLMProviderError):
    """The provider does not accept the API key, or the key may not use the model."""

    code = "key_rejected"
    http_status = 502
    title = "The provider does not accept the API key"


class ContentRefusedError(LLMProviderError):
    """The model refused to answer, or a safety filter blocked the prompt or the reply."""

    code = "content_refused"
    http_status = 422
    title = "The model refused to answer"

    _headline = "The call ended with a refusal."


class SchemaValidationError(LLMProviderError):
    """The reply does not match the schema, after all repairs.

    Attributes:
        raw: The text of the last reply.
        faults: One line for each of its validation errors.
    """

    code = "invalid_output"
    http_status = 502
    title = "The reply of the model does not match the schema"

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

    code = "context_too_long"
    http_status = 413
    title = "The prompt does not fit into the context window of the model"


class BudgetExceededError(LLMProviderError):
    """The router's budget is used up, and nothing more was sent. Build a router with a larger budget to continue."""

    code = "budget_exceeded"
    http_status = 402
    title = "The budget is used up"

    _headline = "The router's budget was used up before there was an answer."


class DeadlineExceededError(LLMProviderError, TimeoutError):
    """The call reached its router's deadline."""

    code = "deadline_exceeded"
    http_status = 504
    title = "The deadline of the call has passed"

    _headline = "The deadline was reached before there was an answer."


class AllProvidersFailedError(LLMProviderError):
    """Every provider failed.

    Attributes:
        errors: The error of each provider, in the order in which they were tried.
        prompt: The prompt of the call. No message contains it.
        http_status: The status of the errors if they agree on one; 503 if one of the providers may answer later; 422 if
            all reject what the call contains; otherwise 502.
    """

    code = "all_providers_failed"
    http_status = 502
    title = "No provider answered"

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
        if type(self) is AllProvidersFailedError:
            self.http_status = _common_status(_decisive(self.errors, self.attempts))

    def _failures(self) -> Mapping[str, Exception]:
        return self.errors


class AllProvidersUnavailableError(AllProvidersFailedError, ProviderUnavailableError):
    """No provider could take the call."""

    code = ProviderUnavailableError.code
    http_status = ProviderUnavailableError.http_status
    title = ProviderUnavailableError.title


class AllProvidersLackModelError(AllProvidersFailedError, ModelNotFoundError):
    """No provider has its model."""

    code = ModelNotFoundError.code
    http_status = ModelNotFoundError.http_status
    title = ModelNotFoundError.title


class AllProvidersNotConfiguredError(AllProvidersFailedError, NotConfiguredError):
    """Every provider lacks a setting."""

    code = NotConfiguredError.code
    http_status = NotConfiguredError.http_status
    title = NotConfiguredError.title


class AllProvidersLackKeyError(AllProvidersNotConfiguredError, MissingKeyError):
    """Every provider lacks its API key."""

    code = MissingKeyError.code
    http_status = MissingKeyError.http_status
    title = MissingKeyError.title


class AllProvidersUnsupportedError(AllProvidersFailedError, UnsupportedError):
    """No provider takes what the call contains."""

    code = UnsupportedError.code
    http_status = UnsupportedError.http_status
    title = UnsupportedError.title


class AllProvidersTimedOutError(AllProvidersFailedError, ProviderTimeoutError):
    """No provider answered in time."""

    code = ProviderTimeoutError.code
    http_status = ProviderTimeoutError.http_status
    title = ProviderTimeoutError.title


class AllProvidersRateLimitedError(AllProvidersFailedError, RateLimitError):
    """Every provider is rate limited. `retry_after` is the shortest wait among them."""

    code = RateLimitError.code
    http_status = RateLimitError.http_status
    title = RateLimitError.title


class AllProvidersUnauthorizedError(AllProvidersFailedError, AuthorizationError):
    """No provider accepts its API key."""

    code = AuthorizationError.code
    http_status = AuthorizationError.http_status
    title = AuthorizationError.title


class AllProvidersRefusedError(AllProvidersFailedError, ContentRefusedError):
    """Every provider refused, or its safety filter blocked."""

    code = ContentRefusedError.code
    http_status = ContentRefusedError.http_status
    title = ContentRefusedError.title


class AllProvidersContextLengthError(AllProvidersFailedError, ContextLengthError):
    """The prompt fits into the context window of no provider's model."""

    code = ContextLengthError.code
    http_status = ContextLengthError.http_status
    title = ContextLengthError.title


class AllProvidersInvalidOutputError(AllProvidersFailedError, SchemaValidationError):
    """No provider's reply matches the schema. `raw` and `faults` are those of the last reply."""

    code = SchemaValidationError.code
    http_status = SchemaValidationError.http_status
    title = SchemaValidationError.title


class PageUnavailableError(MadsparkError, ValueError):
    """A web page cannot be read, by this package or by the provider that was to read it.

    Attributes:
        page: The address of the page without credentials, query and fragment.
        reason: Why it cannot be read.
    """

    code = "page_unavailable"
    http_status = 424
    title = "A web page cannot be read"

    _headline = "A web page could not be read."

    def __init__(
        self,
        message: str = "",
        *,
        page: str | None = None,
        reason: str | None = None,
        **details: Unpack[ErrorDetails],
    ) -> None:
        super().__init__(message, **details)
        self.page = page
        self.reason = reason


class WorkflowTimeoutError(MadsparkError, TimeoutError):
    """A stage or a whole run of the workflow took longer than allowed."""

    code = "workflow_timeout"
    http_status = 504
    title = "The run took too long"

    _headline = "The deadline was reached before there was an answer."


class InternalError(MadsparkError):
    """A defect of this package. Please report it."""

    code = "internal_error"
    http_status = 500
    title = "Internal error"


_NOT_SENT = ("missing_key", "not_configured", "unsupported")
"""Error classes of attempts that could never have been sent."""

_TEMPORARY = frozenset({429, 503, 504})
"""The statuses of failures that may be over later."""

# In this order: the more special classes first.
_SUMMARIES: tuple[tuple[type[LLMProviderError], type[AllProvidersFailedError]], ...] = (
    (ProviderTimeoutError, AllProvidersTimedOutError),
    (ModelNotFoundError, AllProvidersLackModelError),
    (MissingKeyError, AllProvidersLackKeyError),
    (NotConfiguredError, AllProvidersNotConfiguredError),
    (UnsupportedError, AllProvidersUnsupportedError),
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
    failures = _decisive(errors, attempts)
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


def _decisive(errors: Mapping[str, Exception], attempts: Iterable[Attempt]) -> list[Exception]:
    """Return the failures of the providers that a request could be sent to; all failures if there is none."""
    not_sent = {attempt.provider for attempt in attempts if attempt.error in _NOT_SENT}
    return [failure for name, failure in errors.items() if name not in not_sent] or list(errors.values())


def _common_status(failures: Iterable[Exception]) -> int:
    """Return the status for several failures. An error that is not of this package is an error of its provider."""
    statuses = {
        failure.http_status if isinstance(failure, MadsparkError) else LLMProviderError.http_status
        for failure in failures
    }
    if len(statuses) == 1:
        return statuses.pop()
    if statuses & _TEMPORARY:
        return ProviderUnavailableError.http_status
    if statuses and max(statuses) < InternalError.http_status:
        return InvalidRequestError.http_status
    return AllProvidersFailedError.http_status
