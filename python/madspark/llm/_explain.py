"""Describes in plain words how a call went.

The text is made from error classes and numbers only, never from messages: a provider's message may repeat the prompt.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from madspark.llm.exceptions import MadsparkError
    from madspark.llm.response import Attempt, LLMResponse

__all__ = ["explain_answer", "explain_failure"]

_NOT_SENT = {
    "missing_key": "it has no API key",
    "not_configured": "it is not configured (a model or a price is missing)",
    "unsupported": "it does not support what the call contains, such as files, images or web pages",
    "cooldown": "it is in cooldown, as it requested",
    "breaker_open": "it failed repeatedly, so its circuit breaker is open",
}
"""Why an attempt sent nothing, by error class."""

_FAILED = {
    "connect": "could not be reached",
    "dns": "could not be found: its host name has no address",
    "tls": "could not be reached over a trusted connection",
    "connect_timeout": "did not accept the connection in time",
    "first_token_timeout": "returned no text in time",
    "idle_timeout": "stopped in the middle of its answer",
    "timeout": "did not answer in time",
    "loading": "was still loading its model",
    "disconnected": "closed the connection before its answer was complete",
    "rate_limited": "was rate limited",
    "daily_quota": "had used up the daily quota",
    "insufficient_quota": "had no quota or credit left",
    "unauthorized": "did not accept the API key",
    "forbidden": "did not allow the API key to do this",
    "model_missing": "does not have the model",
    "rejected": "rejected the request",
    "parameter_rejected": "rejected a parameter of the request",
    "schema_rejected": "rejected the schema in the form in which it was sent",
    "context_too_long": "could not fit the prompt into its context window",
    "context_truncated": "read only a part of the prompt",
    "overloaded": "was overloaded",
    "server": "failed on its side",
    "malformed_reply": "returned a reply that does not follow its protocol",
    "empty_reply": "returned a reply without text",
    "truncated": "returned a reply that was cut short",
    "thinking_truncated": "used up its tokens by thinking",
    "thinking_only": "returned its thoughts without an answer",
    "refused": "refused to answer",
    "blocked": "blocked the prompt or the reply with a safety filter",
    "invalid_output": "returned a reply that does not match the schema",
    "page_unavailable": "lacked a web page that could not be read",
    "cancelled": "was cancelled before it answered",
    "deadline_reached": "had not answered at the deadline of the call",
    "internal": "could not be tried because of a defect of madspark",
}
"""What happened to an attempt, by error class."""

_RETRIED = {
    "invalid_output": "was sent the errors of its reply",
    "parameter_rejected": "was tried again without that parameter",
    "schema_rejected": "was tried again with a simpler form of the schema",
    "thinking_truncated": "was tried again with less thinking",
    "thinking_only": "was tried again with less thinking",
    "context_too_long": "was tried again with a larger context window",
    "context_truncated": "was tried again with a larger context window",
}
"""How a provider is tried again, by the error class of its last attempt."""

_LONG_SECONDS = 9.95
"""Above this, tenths of seconds are left out."""

_SHORT_SECONDS = 0.0995
"""Below this, milliseconds are shown."""


def explain_answer(response: LLMResponse) -> str:
    """Describe how an answer came about: one line per attempt, and one with the totals."""
    attempts, latency_ms, cost = response.attempts, response.latency_ms, response.cost
    target = _target(response.provider, response.model)
    if response.cached and not any(attempt.shared and attempt.ok for attempt in attempts):
        cache_hit = f"{target} had answered this before: the answer came from the cache in {_seconds(latency_ms)}."
        return "\n".join([*_lines([attempt for attempt in attempts if not attempt.ok]), cache_hit])
    if sum(attempt.ok for attempt in attempts) > 1:
        lines = list(_batch(attempts))
    elif attempts:
        lines = list(_lines(attempts))
    else:
        lines = [f"{target} answered; no attempt was recorded."]
    if response.truncated:
        lines.append("The text was cut at the limit of tokens.")
    lines.append(
        _totals(attempts, latency_ms, response.tokens_used, "cost unknown" if cost is None else _dollars(cost))
    )
    return "\n".join(lines)


def explain_failure(error: MadsparkError, headline: str, failures: Mapping[str, Exception]) -> str:
    """Describe why there is no answer: one line per attempt, and per failure without one, after the `headline`."""
    attempts = error.attempts
    lines = [headline, *_lines(attempts), *_failures_without_attempt(attempts, failures)]
    if error.ready_in:
        soonest_first = sorted(error.ready_in.items(), key=lambda item: (item[1], item[0]))
        ready = ", ".join(f"{provider} in {_seconds(wait * 1000)}" for provider, wait in soonest_first)
        lines.append(f"Available again: {ready}.")
    elif error.retry_after is not None:
        first = "The first of them" if error.provider is None else _target(error.provider, error.model)
        lines.append(f"{first} is available again in {_seconds(error.retry_after * 1000)}.")
    if attempts:
        tokens = sum(sum(attempt.usage.values()) for attempt in attempts)
        latency_ms = sum(attempt.wait_ms + attempt.latency_ms for attempt in attempts if not attempt.hedged)
        lines.append(_totals(attempts, latency_ms, tokens))
    return "\n".join(lines)


def _lines(attempts: Sequence[Attempt]) -> Iterator[str]:
    """One line per attempt, in order."""
    last: dict[str, Attempt] = {}
    for attempt in attempts:
        target = _target(attempt.provider, attempt.model)
        if attempt.error in _NOT_SENT:
            yield f"{target} was not tried: {_NOT_SENT[attempt.error]}."
            continue
        if attempt.shared:
            yield f"{target} was already working on the same request for another call; it {_outcome(attempt)}."
        else:
            yield f"{target} {_start(attempt, last)} and {_outcome(attempt)}."
        last[attempt.provider] = attempt


def _start(attempt: Attempt, last: Mapping[str, Attempt]) -> str:
    """Why the attempt was made; `last` holds the previous attempt of each provider."""
    wait = _seconds(attempt.wait_ms) if attempt.wait_ms >= 1 else None
    if attempt.hedged:
        return f"was tried in parallel, because no answer had arrived{f' within {wait}' if wait else ''},"
    before = last.get(attempt.provider)
    if before is not None:
        start = _RETRIED.get(before.error or "", "was tried again")
    else:
        start = "was tried next" if last else "was tried first"
    return f"{start} after a wait of {wait}" if wait else start


def _outcome(attempt: Attempt) -> str:
    outcome = _result(attempt)
    if attempt.omitted:
        outcome += f"; it was sent no {' and no '.join(attempt.omitted)}, which it does not take"
    return outcome


def _result(attempt: Attempt) -> str:
    if attempt.ok:
        outcome = f"answered in {_seconds(attempt.latency_ms)}"
    elif attempt.error is None:
        outcome = "failed"
    else:
        outcome = _FAILED.get(attempt.error, f"failed ({attempt.error.replace('_', ' ')})")
    details = []
    if not attempt.ok and attempt.status not in (None, 200):
        details.append(f"HTTP {attempt.status}")
    if attempt.retry_after is not None:
        details.append(f"retry after {_seconds(attempt.retry_after * 1000)}")
    if details:
        outcome += f" ({', '.join(details)})"
    if attempt.changes:
        outcome += f"; its reply was repaired: {', '.join(attempt.changes).replace('_', ' ')}"
    if attempt.pages:
        read = sum(page.get("status") == "success" for page in attempt.pages)
        outcome += f"; it could read {read} of {len(attempt.pages)} web pages"
    if attempt.skipped_events:
        outcome += f"; {_count(attempt.skipped_events, 'event')} of its stream could not be read"
    if attempt.estimated:
        outcome += "; its tokens are estimated"
    return outcome


def _batch(attempts: Sequence[Attempt]) -> Iterator[str]:
    """One line per target of several calls, in the order of their first attempts."""
    yield f"{_count(sum(attempt.ok for attempt in attempts), 'answer')} together."
    targets = dict.fromkeys(_target(attempt.provider, attempt.model) for attempt in attempts)
    for target in targets:
        own = [attempt for attempt in attempts if _target(attempt.provider, attempt.model) == target]
        errors = [attempt.error or "failed" for attempt in own if not attempt.ok]
        counts = [_count(len(own) - len(errors), "answer")]
        counts += [f"{error.replace('_', ' ')} {errors.count(error)} times" for error in dict.fromkeys(errors)]
        yield f"{target}: {', '.join(counts)}."


def _failures_without_attempt(attempts: Sequence[Attempt], failures: Mapping[str, Exception]) -> Iterator[str]:
    described = {attempt.provider for attempt in attempts}
    for provider, failure in failures.items():
        if provider not in described:
            # Errors of a router that is not ours have neither.
            model, status = getattr(failure, "model", None), getattr(failure, "status", None)
            code = "" if status is None else f", HTTP {status}"
            yield f"{_target(provider, model)} failed ({type(failure).__name__}{code})."


def _totals(attempts: Sequence[Attempt], latency_ms: float, tokens: int, *more: str) -> str:
    sent = sum(attempt.error not in _NOT_SENT for attempt in attempts)
    return f"In all: {', '.join([_count(sent, 'attempt'), _seconds(latency_ms), _count(tokens, 'token'), *more])}."


def _target(provider: str, model: str | None) -> str:
    return f"{provider} ({model})" if model else provider


def _seconds(milliseconds: float) -> str:
    seconds = milliseconds / 1000
    if seconds < _SHORT_SECONDS:
        return f"{milliseconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < _LONG_SECONDS else f"{seconds:.0f} s"


def _dollars(cost: float) -> str:
    return "under 0.0001 USD" if 0 < cost < 0.00005 else f"{cost:.4f} USD"  # noqa: PLR2004  # half of what is shown


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
