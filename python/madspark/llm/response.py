"""What comes back from a model call besides its result.

Plain classes, not dataclasses: importing `dataclasses` costs more than the rest of `import madspark`.
"""

from __future__ import annotations

from datetime import UTC, datetime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, NoReturn, Self

    from madspark._core import Attempts

__all__ = ["Attempt", "LLMResponse", "Restarted"]

_BUCKETS = ("input", "cached_input", "output", "reasoning", "tool")


class _Record:
    """Something that happened. Immutable: its values are those of `to_dict()`, which its constructor takes in turn."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Everything in it, as values that `json` can write."""
        raise NotImplementedError

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"cannot set {name!r}: {type(self).__name__} is a record of the past")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"cannot delete {name!r}: {type(self).__name__} is a record of the past")

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        return type(self), tuple(self.to_dict().values())

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == other.to_dict() if isinstance(other, type(self)) else NotImplemented

    def __hash__(self) -> int:
        return hash(repr(self))


class Attempt(_Record):
    """What happened at one target. Immutable.

    ``error`` is the class of the failure in snake case, such as ``"rate_limited"``, and ``message`` the failure in
    words; both are ``None`` where ``ok``. ``status`` is the HTTP status where one came back. ``usage`` holds the
    token counts the provider told, also those of a failed attempt. ``skipped_events`` counts the events of a stream
    that could not be read and were left out. ``changes`` names what was done to a structured reply to make it JSON of
    its schema, such as ``"trailing_comma"``; it is empty where the reply was taken as it came.

    ``wait_ms`` is how long the call waited before it asked, ``retry_after`` the seconds that the target asked to be
    left alone. ``hedged`` is true where it was asked beside another target that was slow to answer. ``estimated`` says
    that the token counts are an estimate, because the attempt ended before the provider had told them. ``pages`` lists
    the web pages that the provider was asked to read, each with what came of it. ``shared`` is true where another call
    was asking the same already: its answer was waited for, nothing was sent, and nothing is to be paid.
    """

    provider: str
    model: str
    ok: bool
    status: int | None
    error: str | None
    message: str | None
    latency_ms: float
    usage: dict[str, int]
    skipped_events: int
    changes: tuple[str, ...]
    wait_ms: float
    hedged: bool
    retry_after: float | None
    estimated: bool
    pages: tuple[dict[str, str], ...]
    shared: bool

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
    ) -> None:
        # One is made for every request, and a slot of a record that cannot be changed takes four times as long to fill.
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

    def __repr__(self) -> str:
        outcome = "ok" if self.ok else f"error={self.error!r}, status={self.status}"
        return f"Attempt({self.provider!r}, {self.model!r}, {outcome}, latency_ms={self.latency_ms:.1f})"

    def to_dict(self) -> dict[str, Any]:
        """Everything in it, as values that `json` can write."""
        return {
            "provider": self.provider,
            "model": self.model,
            "ok": self.ok,
            "status": self.status,
            "error": self.error,
            "message": self.message,
            "latency_ms": self.latency_ms,
            "usage": dict(self.usage),
            "skipped_events": self.skipped_events,
            "changes": list(self.changes),
            "wait_ms": self.wait_ms,
            "hedged": self.hedged,
            "retry_after": self.retry_after,
            "estimated": self.estimated,
            "pages": [dict(page) for page in self.pages],
            "shared": self.shared,
        }


class Restarted(_Record):
    """A stream failed after its first text, and the answer starts anew: drop the text so far. Immutable.

    ``provider`` and ``model`` name who failed, ``error`` is the class of the failure in snake case, such as
    ``"disconnected"``, ``reason`` the failure in words.
    """

    __slots__ = ("error", "model", "provider", "reason")

    provider: str
    model: str
    error: str
    reason: str

    def __init__(self, provider: str, model: str, error: str, reason: str) -> None:
        assign = object.__setattr__
        assign(self, "provider", provider)
        assign(self, "model", model)
        assign(self, "error", error)
        assign(self, "reason", reason)

    def __repr__(self) -> str:
        return f"Restarted({self.provider!r}, {self.model!r}, {self.error!r}, {self.reason!r})"

    def to_dict(self) -> dict[str, Any]:
        """Everything in it, as values that `json` can write."""
        return {"provider": self.provider, "model": self.model, "error": self.error, "reason": self.reason}


class LLMResponse:
    """An answer and how it came about.

    ``provider`` and ``model`` name who really answered. ``tokens_used`` and ``cost`` (US dollars) count every attempt,
    the failed ones too; ``cost`` is ``None`` where a price is not known. ``latency_ms`` is the whole call's. ``cached``
    says that the answer was kept from an earlier call, or is that of another call which was asking the same: it has
    cost nothing, and its tokens were counted where it was given.
    ``timestamp`` is in UTC and defaults to now.
    """

    __slots__ = ("_attempts", "cached", "cost", "latency_ms", "model", "provider", "text", "timestamp", "tokens_used")

    _attempts: tuple[Attempt, ...] | Attempts

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
    ) -> None:
        self.text = text
        self.provider = provider
        self.model = model
        self.tokens_used = tokens_used
        self.latency_ms = latency_ms
        self.cost = cost
        self.cached = cached
        self.timestamp = datetime.now(UTC) if timestamp is None else timestamp
        self._attempts = tuple(attempts)

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Every attempt, the failed ones too, in order."""
        attempts = self._attempts
        if not isinstance(attempts, tuple):
            self._attempts = attempts = attempts.made()
        return attempts

    @attempts.setter
    def attempts(self, attempts: Iterable[Attempt]) -> None:
        self._attempts = tuple(attempts)

    @property
    def usage(self) -> dict[str, int]:
        """The tokens of every attempt together, in disjoint buckets: ``tokens_used`` is their sum.

        >>> failed = Attempt("gemini", "m", ok=False, usage={"input": 10, "reasoning": 5})
        >>> answered = Attempt("ollama", "m", ok=True, usage={"input": 9, "output": 4})
        >>> LLMResponse("Hello", "ollama", "m", attempts=[failed, answered]).usage
        {'input': 19, 'cached_input': 0, 'output': 4, 'reasoning': 5, 'tool': 0}
        """
        total = dict.fromkeys(_BUCKETS, 0)
        for attempt in self.attempts:
            for bucket, count in attempt.usage.items():
                total[bucket] = total.get(bucket, 0) + count
        return total

    def explain(self) -> str:
        """Say in plain words why this provider answered: one line for each thing that happened.

        No line holds the prompt, the reply or a key, so it can go into a log.

        >>> busy = Attempt("gemini", "gemini-2.5-flash", ok=False, status=429, error="rate_limited", retry_after=12)
        >>> answered = Attempt("ollama", "gemma3:12b", ok=True, latency_ms=812.0, usage={"input": 300, "output": 12})
        >>> print(LLMResponse("Hello", "ollama", "gemma3:12b", 312, 900.0, attempts=[busy, answered]).explain())
        gemini (gemini-2.5-flash) was asked first and was rate limited (HTTP 429, told to wait 12 s).
        ollama (gemma3:12b) was asked next and answered in 0.8 s.
        In all: 2 attempts, 0.9 s, 312 tokens, 0.0000 USD.
        """
        from madspark.llm.explain import answer

        return answer(self)

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        told = (self.text, self.provider, self.model, self.tokens_used, self.latency_ms, self.cost, self.cached)
        return type(self), (*told, self.timestamp, self.attempts)

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == other.to_dict() if isinstance(other, LLMResponse) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # its fields can be changed

    def __repr__(self) -> str:
        return (
            f"LLMResponse(provider={self.provider!r}, model={self.model!r}, tokens_used={self.tokens_used},"
            f" latency_ms={self.latency_ms:.1f}, cost={self.cost}, cached={self.cached},"
            f" attempts={len(self.attempts)}, text=<{len(self.text)} characters>)"
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything in it, as values that `json` can write; the timestamp in ISO 8601."""
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
) -> LLMResponse:
    """Return a response whose attempts are made when they are asked for."""
    response = LLMResponse.__new__(LLMResponse)
    response.text = text
    response.provider = provider
    response.model = model
    response.tokens_used = tokens_used
    response.latency_ms = latency_ms
    response.cost = cost
    response.cached = cached
    response.timestamp = datetime.now(UTC)
    response._attempts = attempts  # noqa: SLF001  (their own module)
    return response
