"""The records of a model call: its response, its attempts, and the restart of a stream.

They are plain classes, because importing `dataclasses` takes longer than the rest of `import madspark`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from time import time
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypedDict, cast

from madspark.llm._explain import explain_answer

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

    from madspark._core import Attempts

__all__ = ["Attempt", "LLMResponse", "Restarted", "TokenUsage"]


class TokenUsage(TypedDict):
    """Tokens by kind. The kinds are disjoint: their sum is the number of tokens used."""

    input: int
    cached_input: int
    output: int
    reasoning: int
    tool: int


class _Record:
    """An immutable record. Its constructor takes the values of `to_dict()`, in the same order."""

    def to_dict(self) -> dict[str, Any]:
        """Return all fields, as values that `json` can serialize."""
        return dict(self.__dict__)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"cannot set {name!r}: {type(self).__name__} is immutable")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"cannot delete {name!r}: {type(self).__name__} is immutable")

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from madspark.llm._documents import document_schema

        return document_schema(cls, handler, Attempt)

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        return type(self), tuple(self.to_dict().values())

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == other.to_dict() if isinstance(other, type(self)) else NotImplemented

    def __hash__(self) -> int:
        return hash(repr(self))


class Attempt(_Record):
    """One attempt at one target. Immutable."""

    provider: str
    model: str
    ok: bool
    status: int | None
    """The HTTP status of the reply; None if there was none."""
    error: str | None
    """The class of the failure in snake case, such as "rate_limited"; None if it succeeded."""
    message: str | None
    """The failure in words; None if it succeeded."""
    latency_ms: float
    usage: dict[str, int]
    """The token counts that the provider reported, also for a failed attempt."""
    skipped_events: int
    """The number of malformed stream events that were skipped."""
    changes: tuple[str, ...]
    """The local repairs of a structured reply, such as "trailing_comma"; empty if none was needed."""
    wait_ms: float
    """How long the call waited before the attempt."""
    hedged: bool
    """Whether it ran in parallel with a slow attempt at another target."""
    retry_after: float | None
    """Seconds to wait before the next request, as requested by the provider."""
    estimated: bool
    """Whether the token counts are estimated, because the attempt ended before the provider reported them."""
    pages: tuple[dict[str, str], ...]
    """The web pages that the provider was to read, and those that could not be fetched for it: the `url` without its
    query, the `status`, and the `reason` unless the page was read."""
    shared: bool
    """Whether the answer came from an identical request of another call: nothing was sent, and nothing is charged."""
    omitted: tuple[str, ...]
    """The requested parameters that were not sent under this name, because the target does not take them, such as
    "temperature"."""

    def __init__(
        self,
        provider: str,
        model: str,
        ok: bool,
        status: int | None = None,
        error: str | None = None,
        message: str | None = None,
        latency_ms: float = 0.0,
        usage: Mapping[str, int] | None = None,
        skipped_events: int = 0,
        changes: Iterable[str] = (),
        wait_ms: float = 0.0,
        hedged: bool = False,
        retry_after: float | None = None,
        estimated: bool = False,
        pages: Iterable[Mapping[str, str]] = (),
        shared: bool = False,
        omitted: Iterable[str] = (),
    ) -> None:
        # Not slots: filling the slots of an immutable object takes four times as long, and each request makes one.
        fields = self.__dict__
        fields["provider"] = provider
        fields["model"] = model
        fields["ok"] = ok
        fields["status"] = status
        fields["error"] = error
        fields["message"] = message
        fields["latency_ms"] = latency_ms
        fields["usage"] = dict(usage or {})
        fields["skipped_events"] = skipped_events
        fields["changes"] = tuple(changes)
        fields["wait_ms"] = wait_ms
        fields["hedged"] = hedged
        fields["retry_after"] = retry_after
        fields["estimated"] = estimated
        fields["pages"] = tuple(map(dict, pages)) if pages else ()
        fields["shared"] = shared
        fields["omitted"] = tuple(omitted) if omitted else ()

    def __repr__(self) -> str:
        outcome = "ok" if self.ok else f"error={self.error!r}, status={self.status}"
        return f"Attempt({self.provider!r}, {self.model!r}, {outcome}, latency_ms={self.latency_ms:.1f})"

    def to_dict(self) -> dict[str, Any]:
        """Return all fields, as values that `json` can serialize."""
        pages = [dict(page) for page in self.pages]
        return {
            **self.__dict__,
            "usage": dict(self.usage),
            "changes": list(self.changes),
            "pages": pages,
            "omitted": list(self.omitted),
        }


class Restarted(_Record):
    """An item of a stream that failed and starts again: everything before it is void. Immutable."""

    provider: str
    """The provider that failed."""
    model: str
    error: str
    """The class of the failure in snake case, such as "disconnected"."""
    reason: str
    """The failure in words."""

    def __init__(self, provider: str, model: str, error: str, reason: str) -> None:
        self.__dict__.update(provider=provider, model=model, error=error, reason=reason)

    def __repr__(self) -> str:
        return f"Restarted({self.provider!r}, {self.model!r}, {self.error!r}, {self.reason!r})"


class LLMResponse:
    """The response of a model call. Pydantic validates and dumps it as its `to_dict()`, also as a response of FastAPI.

    Attributes:
        text: The text of the answer.
        provider: The provider that answered.
        model: The model that answered.
        tokens_used: Tokens of all attempts, failed ones included.
        latency_ms: The latency of the whole call.
        cost: US dollars of all attempts; None if a price is unknown.
        cached: Whether the answer came from the cache, or from an identical call that was in flight. It costs nothing,
            and its tokens were counted by the call that requested it.
        finish_reason: Why the model stopped: "stop", "length" (the limit of tokens), "refusal", "content_filter",
            "tool_calls", "error", or "other" for a reason that is unknown or not reported; None without a model.
        provider_finish_reason: The provider's own word for it, such as "end_turn"; None if it reported none.
        reasoning: What the model thought before it answered, if the provider or the model returned it; never a part of
            `text`.
    """

    __slots__ = (
        "_attempts",
        "_time",
        "cached",
        "cost",
        "finish_reason",
        "latency_ms",
        "model",
        "provider",
        "provider_finish_reason",
        "reasoning",
        "text",
        "tokens_used",
    )

    def __init__(
        self,
        text: str,
        provider: str,
        model: str,
        tokens_used: int = 0,
        latency_ms: float = 0.0,
        cost: float | None = 0.0,
        cached: bool = False,
        timestamp: datetime | None = None,
        attempts: Iterable[Attempt] = (),
        finish_reason: str | None = None,
        provider_finish_reason: str | None = None,
        reasoning: str | None = None,
    ) -> None:
        self.text = text
        self.provider = provider
        self.model = model
        self.tokens_used = tokens_used
        self.latency_ms = latency_ms
        self.cost = cost
        self.cached = cached
        self._time: datetime | float = time() if timestamp is None else timestamp
        self._attempts: tuple[Attempt, ...] | Attempts = tuple(attempts)
        self.finish_reason = finish_reason
        self.provider_finish_reason = provider_finish_reason
        self.reasoning = reasoning

    @property
    def timestamp(self) -> datetime:
        """When the response was made, in UTC; defaults to now."""
        made = self._time
        if not isinstance(made, datetime):
            # Converted when it is first read: few callers read it.
            self._time = made = datetime.fromtimestamp(made, UTC)
        return made

    @timestamp.setter
    def timestamp(self, timestamp: datetime) -> None:
        self._time = timestamp

    @property
    def truncated(self) -> bool:
        """Whether the text was cut at a limit of tokens.

        >>> LLMResponse("Once upon a", "ollama", "m", finish_reason="length").truncated
        True
        """
        return self.finish_reason == "length"

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Every attempt, failed ones included, in order."""
        attempts = self._attempts
        if not isinstance(attempts, tuple):
            self._attempts = attempts = attempts.made()
        return attempts

    @attempts.setter
    def attempts(self, attempts: Iterable[Attempt]) -> None:
        self._attempts = tuple(attempts)

    @property
    def usage(self) -> TokenUsage:
        """The tokens of all attempts by kind. The kinds are disjoint; their sum is `tokens_used`.

        >>> failed = Attempt("gemini", "m", ok=False, usage={"input": 10, "reasoning": 5})
        >>> answered = Attempt("ollama", "m", ok=True, usage={"input": 9, "output": 4})
        >>> LLMResponse("Hello", "ollama", "m", attempts=[failed, answered]).usage
        {'input': 19, 'cached_input': 0, 'output': 4, 'reasoning': 5, 'tool': 0}
        """
        total = dict.fromkeys(TokenUsage.__annotations__, 0)
        for attempt in self.attempts:
            for kind, count in attempt.usage.items():
                total[kind] = total.get(kind, 0) + count
        return cast("TokenUsage", total)

    def explain(self) -> str:
        """Describe in plain words how the answer came about, with one line per attempt.

        The text contains no prompt, reply or key, so it can be logged.

        >>> busy = Attempt("gemini", "gemini-2.5-flash", ok=False, status=429, error="rate_limited", retry_after=12)
        >>> answered = Attempt("ollama", "gemma3:12b", ok=True, latency_ms=812.0, usage={"input": 300, "output": 12})
        >>> print(LLMResponse("Hello", "ollama", "gemma3:12b", 312, 900.0, attempts=[busy, answered]).explain())
        gemini (gemini-2.5-flash) was tried first and was rate limited (HTTP 429, retry after 12 s).
        ollama (gemma3:12b) was tried next and answered in 0.8 s.
        In all: 2 attempts, 0.9 s, 312 tokens, 0.0000 USD.
        """
        return explain_answer(self)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from madspark.llm._documents import document_schema

        return document_schema(cls, handler, Attempt)

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        fields = (self.text, self.provider, self.model, self.tokens_used, self.latency_ms, self.cost, self.cached)
        ending = (self.finish_reason, self.provider_finish_reason, self.reasoning)
        return type(self), (*fields, self.timestamp, self.attempts, *ending)

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == other.to_dict() if isinstance(other, LLMResponse) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # its fields can be changed

    def __repr__(self) -> str:
        truncated = ", truncated" if self.truncated else ""
        return (
            f"LLMResponse(provider={self.provider!r}, model={self.model!r}, tokens_used={self.tokens_used},"
            f" latency_ms={self.latency_ms:.1f}, cost={self.cost}, cached={self.cached},"
            f" attempts={len(self.attempts)}, text=<{len(self.text)} characters{truncated}>)"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return all fields, as values that `json` can serialize; the timestamp in ISO 8601."""
        return {
            "text": self.text,
            "provider": self.provider,
            "model": self.model,
            "tokens_used": self.tokens_used,
            "latency_ms": self.latency_ms,
            "cost": self.cost,
            "cached": self.cached,
            "timestamp": self.timestamp.isoformat(),
            "attempts": [attempt.to_dict() for attempt in self.attempts],
            "finish_reason": self.finish_reason,
            "provider_finish_reason": self.provider_finish_reason,
            "truncated": self.truncated,
            "reasoning": self.reasoning,
        }


def answered(
    text: str,
    provider: str,
    model: str,
    tokens_used: int,
    latency_ms: float,
    cost: float | None,
    cached: bool,
    attempts: Attempts,
    finish_reason: str | None,
    provider_finish_reason: str | None,
    reasoning: str | None,
) -> LLMResponse:
    """Build a response for the core, whose attempts are converted when they are first read."""
    # Without the constructor, which costs more than the assignments.
    response = LLMResponse.__new__(LLMResponse)
    response.text = text
    response.provider = provider
    response.model = model
    response.tokens_used = tokens_used
    response.latency_ms = latency_ms
    response.cost = cost
    response.cached = cached
    response._time = time()  # noqa: SLF001  (their own module)
    response._attempts = attempts  # noqa: SLF001
    response.finish_reason = finish_reason
    response.provider_finish_reason = provider_finish_reason
    response.reasoning = reasoning
    return response
