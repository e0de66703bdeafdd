"""What a model call can fail with.

An error carries data: who failed, with which status, how long to wait, and every attempt that was made. The message is
for people. Keys and prompts are in no message; the prompt is an attribute where it is known.

When every target failed for one kind of reason, the error is also of that kind, so that ``except RateLimitError``
means the same whether one provider was asked or three.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from madspark.llm.response import Attempt

__all__ = [
    "AllProvidersContextLengthError",
    "AllProvidersFailedError",
    "AllProvidersInvalidOutputError",
    "AllProvidersRateLimitedError",
    "AllProvidersRefusedError",
    "AllProvidersTimedOutError",
    "AllProvidersUnauthorizedError",
    "AllProvidersUnavailableError",
    "AuthorizationError",
    "BudgetExceededError",
    "ContentRefusedError",
    "ContextLengthError",
    "DeadlineExceededError",
    "InternalError",
    "LLMProviderError",
    "ProviderTimeoutError",
    "ProviderUnavailableError",
    "RateLimitError",
    "SchemaValidationError",
    "WorkflowTimeoutError",
    "all_failed",
]


class LLMProviderError(Exception):
    """A model call failed. The base of every error here.

    ``provider`` and ``model`` name the target, ``status`` is its HTTP status, ``retry_after`` the seconds it asked to
    be left alone; each is ``None`` where it is not known. ``attempts`` lists every attempt of the call, in order.
    ``partial`` is the text that a stream had given before it failed; ``None`` where it had given none, and for every
    call that is no stream. ``ready_in`` tells in how many seconds a target takes calls again, by target, where that is
    known.
    """

    partial: str | None = None

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
        # The message alone goes into `args`: that is what `repr` shows, and what a copy is made from before the
        # attributes are restored.
        super().__init__(message)
        self.provider = provider
        self.model = model
        self.status = status
        self.retry_after = retry_after
        self.attempts: tuple[Attempt, ...] = tuple(attempts)
        self.ready_in: dict[str, float] = {}

    def explain(self) -> str:
        """Say in plain words why nobody answered: one line for each thing that happened.

        No line holds the prompt, a reply or a key, so it can go into a log.

        >>> from madspark.llm.response import Attempt
        >>> refused = Attempt("ollama", "gemma3:12b", ok=False, error="connect", latency_ms=2.0)
        >>> busy = Attempt("gemini", "gemini-2.5-flash", ok=False, status=429, error="rate_limited", retry_after=12)
        >>> print(AllProvidersFailedError("no answer", retry_after=12.0, attempts=[refused, busy]).explain())
        No provider answered.
        ollama (gemma3:12b) was asked first and could not be reached.
        gemini (gemini-2.5-flash) was asked next and was rate limited (HTTP 429, told to wait 12 s).
        The soonest of them takes calls again in 12 s.
        In all: 2 attempts, 2 ms, 0 tokens.
        """
        from madspark.llm.explain import failure

        return failure(self)


class ProviderUnavailableError(LLMProviderError):
    """The provider cannot take the call: not reachable, not configured, overloaded or broken."""


class ProviderTimeoutError(ProviderUnavailableError, TimeoutError):
    """The provider did not answer in time."""


class RateLimitError(LLMProviderError):
    """The provider limits the rate of calls; ``retry_after`` says for how long, where it told."""


class AuthorizationError(LLMProviderError):
    """The provider does not accept the API key, or the key may not use the model."""


class ContentRefusedError(LLMProviderError):
    """The model refused, or a safety filter blocked the prompt or the reply."""


class SchemaValidationError(LLMProviderError):
    """The reply does not fit the schema, after every repair.

    ``raw`` is the last reply's text. ``faults`` has one line for each thing that is wrong with it.
    """

    def __init__(
        self,
        message: str = "",
        *,
        raw: str | None = None,
        faults: Iterable[str] = (),
        provider: str | None = None,
        model: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
        attempts: Iterable[Attempt] = (),
    ) -> None:
        super().__init__(
            message, provider=provider, model=model, status=status, retry_after=retry_after, attempts=attempts
        )
        self.raw = raw
        self.faults: tuple[str, ...] = tuple(faults)


class ContextLengthError(LLMProviderError):
    """The prompt does not fit the context window of the model."""


class BudgetExceededError(LLMProviderError):
    """The router's budget is used up; nothing more was sent. Build a router with another budget to go on."""


class DeadlineExceededError(LLMProviderError, TimeoutError):
    """The call reached the deadline of its router."""


class WorkflowTimeoutError(DeadlineExceededError):
    """A stage or a whole run reached its deadline."""


class InternalError(LLMProviderError):
    """A defect of this library. Please report it."""


class AllProvidersFailedError(LLMProviderError):
    """Every target failed. ``errors`` tells how, by target, in the order they were asked.

    ``prompt`` is what they were asked. It is in no message.
    """

    def __init__(
        self,
        message: str = "",
        errors: Mapping[str, Exception] | None = None,
        prompt: str | None = None,
        *,
        provider: str | None = None,
        model: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
        attempts: Iterable[Attempt] = (),
    ) -> None:
        super().__init__(
            message, provider=provider, model=model, status=status, retry_after=retry_after, attempts=attempts
        )
        self.errors: dict[str, Exception] = dict(errors or {})
        self.prompt = prompt


class AllProvidersUnavailableError(AllProvidersFailedError, ProviderUnavailableError):
    """No target could take the call."""


class AllProvidersTimedOutError(AllProvidersFailedError, ProviderTimeoutError):
    """No target answered in time."""


class AllProvidersRateLimitedError(AllProvidersFailedError, RateLimitError):
    """Every target limits the rate of calls; ``retry_after`` is the shortest wait among them."""


class AllProvidersUnauthorizedError(AllProvidersFailedError, AuthorizationError):
    """No target accepts its API key."""


class AllProvidersRefusedError(AllProvidersFailedError, ContentRefusedError):
    """Every target refused, or its safety filter blocked."""


class AllProvidersContextLengthError(AllProvidersFailedError, ContextLengthError):
    """The prompt fits the context window of no target."""


class AllProvidersInvalidOutputError(AllProvidersFailedError, SchemaValidationError):
    """No target's reply fits the schema; ``raw`` and ``faults`` are those of the last one."""


# The classes of an attempt at a target that this call could never have asked.
_NEVER_ASKED = ("not_configured", "unsupported")

# In this order: a timeout is also an unavailability.
_OF_ONE_KIND: tuple[tuple[type[LLMProviderError], type[AllProvidersFailedError]], ...] = (
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
    *,
    provider: str | None = None,
    model: str | None = None,
    status: int | None = None,
    retry_after: float | None = None,
    attempts: Iterable[Attempt] = (),
) -> AllProvidersFailedError:
    """Sum up ``errors`` in one error, of their common kind where they have one.

    Without an own ``retry_after`` it is the shortest among ``errors``: after that long, one target takes calls again.
    Where one target alone failed, its ``provider``, ``model`` and ``status`` are the summary's. A target that could not
    be asked, such as a fallback without a key, says nothing about the others: it counts only where none was asked.
    """
    attempts = tuple(attempts)
    passed_over = {attempt.provider for attempt in attempts if attempt.error in _NEVER_ASKED}
    failures = [failure for target, failure in errors.items() if target not in passed_over] or list(errors.values())
    of_kind: type[AllProvidersFailedError] = AllProvidersFailedError
    if failures:
        for kind, candidate in _OF_ONE_KIND:
            if all(isinstance(failure, kind) for failure in failures):
                of_kind = candidate
                break
    if retry_after is None:
        waits = [failure.retry_after for failure in failures if isinstance(failure, LLMProviderError)]
        retry_after = min((wait for wait in waits if wait is not None), default=None)
    if len(failures) == 1 and isinstance(failures[0], LLMProviderError):
        provider = failures[0].provider if provider is None else provider
        model = failures[0].model if model is None else model
        status = failures[0].status if status is None else status
    error = of_kind(
        message,
        errors,
        prompt,
        provider=provider,
        model=model,
        status=status,
        retry_after=retry_after,
        attempts=attempts,
    )
    if isinstance(error, AllProvidersInvalidOutputError) and isinstance(failures[-1], SchemaValidationError):
        error.raw = failures[-1].raw
        error.faults = failures[-1].faults
    return error
