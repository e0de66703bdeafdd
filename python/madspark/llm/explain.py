"""How a call went, in plain words.

Made from the attempts' classes and numbers alone, never from messages: a provider's own words may repeat the prompt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from madspark.llm.exceptions import (
    AllProvidersFailedError,
    BudgetExceededError,
    ContentRefusedError,
    DeadlineExceededError,
    LLMProviderError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from madspark.llm.response import Attempt, LLMResponse

_NOT_ASKED = {
    "not_configured": "it is not configured (a key, a model or a price is missing)",
    "unsupported": "it does not take what the call holds, such as files, images or web pages",
    "cooldown": "it had asked to be left alone for a while",
    "breaker_open": "it had failed again and again",
}
"""The classes of attempts that sent nothing, because there was no sense in it."""

_FAILED = {
    "connect": "could not be reached",
    "dns": "could not be found: its host name has no address",
    "tls": "could not be reached over a trusted connection",
    "connect_timeout": "did not take the connection in time",
    "first_token_timeout": "gave no text in time",
    "idle_timeout": "stopped in the middle of its answer",
    "timeout": "did not answer in time",
    "loading": "was still loading its model when the time was up",
    "disconnected": "hung up before its answer was whole",
    "rate_limited": "was rate limited",
    "daily_quota": "had used up the quota of the day",
    "insufficient_quota": "had no quota or credit left",
    "unauthorized": "did not accept the API key",
    "forbidden": "did not allow the API key to do this",
    "model_missing": "does not have the model",
    "rejected": "rejected the request",
    "schema_rejected": "did not take the schema in the form it was sent in",
    "context_too_long": "could not fit the prompt into its context window",
    "context_truncated": "read a part of the prompt alone",
    "overloaded": "was overloaded",
    "server": "failed on its side",
    "malformed_reply": "gave a reply that is not of its protocol",
    "empty_reply": "gave a reply without text",
    "truncated": "gave a reply that was cut short",
    "thinking_truncated": "used up its tokens in thoughts",
    "refused": "refused to answer",
    "blocked": "blocked the prompt or the reply with a safety filter",
    "invalid_output": "gave a reply that does not fit the schema",
    "cancelled": "was given up before it had answered",
    "deadline_reached": "had not answered at the deadline of the call",
    "internal": "could not be asked because of a defect of madspark",
}

_ASKED_AGAIN = {
    "invalid_output": "was told what is wrong with its reply",
    "schema_rejected": "was asked again with the schema in a simpler form",
    "thinking_truncated": "was asked again with fewer thoughts",
    "context_too_long": "was asked again with a larger context window",
    "context_truncated": "was asked again with a larger context window",
}
"""How a target is asked again, by the class of its last failure."""

_LONG = 9.95
"""From how many seconds on the tenths do not matter."""

_SHORT = 0.0995
"""Up to how many seconds milliseconds are easier to read."""


def answer(response: LLMResponse) -> str:
    """Why this provider answered."""
    target = _target(response.provider, response.model)
    if response.cached and not any(attempt.shared and attempt.ok for attempt in response.attempts):
        kept = f"{target} had answered this before: the answer came from the cache in {_seconds(response.latency_ms)}."
        return "\n".join([*_story([attempt for attempt in response.attempts if not attempt.ok]), kept])
    if sum(attempt.ok for attempt in response.attempts) > 1:
        lines = list(_batch(response.attempts))
    elif response.attempts:
        lines = list(_story(response.attempts))
    else:
        lines = [f"{target} answered; no attempt was recorded."]
    cost = "cost unknown" if response.cost is None else _dollars(response.cost)
    lines.append(_totals(response.attempts, response.latency_ms, response.tokens_used, cost))
    return "\n".join(lines)


def failure(error: LLMProviderError) -> str:
    """Why nobody answered."""
    lines = [_ending(error), *_story(error.attempts), *_without_attempt(error)]
    if error.ready_in:
        soonest_first = sorted(error.ready_in.items(), key=lambda one: (one[1], one[0]))
        ready = ", ".join(f"{target} in {_seconds(wait * 1000)}" for target, wait in soonest_first)
        lines.append(f"Takes calls again: {ready}.")
    elif error.retry_after is not None:
        soonest = "The soonest of them" if error.provider is None else _target(error.provider, error.model)
        lines.append(f"{soonest} takes calls again in {_seconds(error.retry_after * 1000)}.")
    if error.attempts:
        tokens = sum(sum(attempt.usage.values()) for attempt in error.attempts)
        latency = sum(attempt.wait_ms + attempt.latency_ms for attempt in error.attempts if not attempt.hedged)
        lines.append(_totals(error.attempts, latency, tokens))
    return "\n".join(lines)


def _story(attempts: Sequence[Attempt]) -> Iterator[str]:
    """One line for each attempt, in order."""
    last: dict[str, Attempt] = {}
    for attempt in attempts:
        target = _target(attempt.provider, attempt.model)
        if attempt.error in _NOT_ASKED:
            yield f"{target} was not asked: {_NOT_ASKED[attempt.error]}."
            continue
        if attempt.shared:
            yield f"{target} was being asked the same by another call, which was waited for: it {_outcome(attempt)}."
        else:
            yield f"{target} {_asked(attempt, last)} and {_outcome(attempt)}."
        last[attempt.provider] = attempt


def _asked(attempt: Attempt, last: Mapping[str, Attempt]) -> str:
    """How it came to be asked; `last` has the latest attempt of each provider before."""
    wait = _seconds(attempt.wait_ms) if attempt.wait_ms >= 1 else None
    if attempt.hedged:
        return f"was asked beside it, as no answer had come{f' within {wait}' if wait else ''},"
    before = last.get(attempt.provider)
    if before is not None:
        asked = _ASKED_AGAIN.get(before.error or "", "was asked again")
    else:
        asked = "was asked next" if last else "was asked first"
    return f"{asked} after a wait of {wait}" if wait else asked


def _outcome(attempt: Attempt) -> str:
    took = _seconds(attempt.latency_ms)
    if attempt.ok:
        outcome = f"answered in {took}"
    elif attempt.error is None:
        outcome = "failed"
    else:
        outcome = _FAILED.get(attempt.error, f"failed ({attempt.error.replace('_', ' ')})")
    details = []
    if not attempt.ok and attempt.status not in (None, 200):
        details.append(f"HTTP {attempt.status}")
    if attempt.retry_after is not None:
        details.append(f"told to wait {_seconds(attempt.retry_after * 1000)}")
    if details:
        outcome += f" ({', '.join(details)})"
    if attempt.changes:
        outcome += f"; its reply was mended: {', '.join(attempt.changes).replace('_', ' ')}"
    if attempt.pages:
        read = sum(page.get("status") == "success" for page in attempt.pages)
        outcome += f"; it could read {read} of {len(attempt.pages)} web pages"
    if attempt.skipped_events:
        outcome += f"; {_many(attempt.skipped_events, 'event')} of its stream could not be read"
    if attempt.estimated:
        outcome += "; its tokens are estimated"
    return outcome


def _batch(attempts: Sequence[Attempt]) -> Iterator[str]:
    """One line for each target of several calls, in the order they first came up."""
    yield f"{_many(sum(attempt.ok for attempt in attempts), 'answer')} together."
    targets = dict.fromkeys(_target(attempt.provider, attempt.model) for attempt in attempts)
    for target in targets:
        own = [attempt for attempt in attempts if _target(attempt.provider, attempt.model) == target]
        classes = [attempt.error or "failed" for attempt in own if not attempt.ok]
        told = [_many(len(own) - len(classes), "answer")]
        told += [f"{error.replace('_', ' ')} {classes.count(error)} times" for error in dict.fromkeys(classes)]
        yield f"{target}: {', '.join(told)}."


def _ending(error: LLMProviderError) -> str:
    if isinstance(error, BudgetExceededError):
        return "The router's budget was used up before there was an answer."
    if isinstance(error, DeadlineExceededError):
        return "The deadline was reached before there was an answer."
    if isinstance(error, ContentRefusedError):
        return "The call ended with a refusal."
    if isinstance(error, AllProvidersFailedError):
        return "No provider answered."
    return "There is no answer."


def _without_attempt(error: LLMProviderError) -> Iterator[str]:
    """The failures that no attempt tells about."""
    told = {attempt.provider for attempt in error.attempts}
    if isinstance(error, AllProvidersFailedError):
        failures = error.errors
    else:
        failures = {error.provider: error} if error.provider is not None else {}
    for name, one in failures.items():
        if name in told:
            continue
        target, status = (one.model, one.status) if isinstance(one, LLMProviderError) else (None, None)
        code = "" if status is None else f", HTTP {status}"
        yield f"{_target(name, target)} failed ({type(one).__name__}{code})."


def _totals(attempts: Sequence[Attempt], latency_ms: float, tokens: int, *more: str) -> str:
    asked = sum(attempt.error not in _NOT_ASKED for attempt in attempts)
    return f"In all: {', '.join([_many(asked, 'attempt'), _seconds(latency_ms), _many(tokens, 'token'), *more])}."


def _target(provider: str, model: str | None) -> str:
    return f"{provider} ({model})" if model else provider


def _seconds(milliseconds: float) -> str:
    seconds = milliseconds / 1000
    if seconds < _SHORT:
        return f"{milliseconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < _LONG else f"{seconds:.0f} s"


def _dollars(cost: float) -> str:
    return "under 0.0001 USD" if 0 < cost < 0.00005 else f"{cost:.4f} USD"  # noqa: PLR2004  # half of what is shown


def _many(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
