"""Faults of a stream before and after its first text, each with one expected outcome.

The stream of OpenAI fails; Ollama is the next target and healthy.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import pytest

from madspark import (
    ContentRefusedError,
    LLMProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    Restarted,
    SchemaValidationError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import LLMRouter
    from madspark.testing import Simulator

    Mode = Literal["fail", "restart"]

QUESTION = "Why do rivers bend?"
COMPLETE = "complete"
"""The outcome of a fault that does not fail the stream."""

MEGABYTE = 1024 * 1024


def chunk(**fields: Any) -> str:
    return f"data: {json.dumps(fields)}\n\n"


def delta(text: str, **fields: Any) -> str:
    return chunk(choices=[{"index": 0, "delta": {"content": text}}], **fields)


def finish(reason: str) -> str:
    return chunk(choices=[{"index": 0, "delta": {}, "finish_reason": reason}])


def usage(output: int) -> dict[str, int]:
    return {"prompt_tokens": 10, "completion_tokens": output, "total_tokens": 10 + output}


ROLE = chunk(choices=[{"index": 0, "delta": {"role": "assistant", "content": ""}}])
DONE = "data: [DONE]\n\n"
END = [finish("stop"), DONE]
BEGINNING = "Once upon"


@dataclass
class Fault:
    """The events after the beginning, how the body ends, and the outcome before and after the first text."""

    pieces: list[str]
    before: str
    after: str
    raises: type[LLMProviderError] = LLMProviderError
    rule: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)


FAULTS = {
    "connection cut": Fault([], "disconnected", "disconnected", ProviderUnavailableError, {"fault": "truncate"}),
    "stall": Fault(
        [],
        "first_token_timeout",
        "idle_timeout",
        ProviderTimeoutError,
        {"fault": "stall_mid_body"},
        {"first_token_timeout": 0.5, "idle_timeout": 0.5},
    ),
    "endless comments": Fault(
        [": keep-alive\n\n"] * 500,
        "first_token_timeout",
        "idle_timeout",
        ProviderTimeoutError,
        {"tokens_per_second": 100},
        {"first_token_timeout": 0.5, "idle_timeout": 0.5},
    ),
    "endless events": Fault(
        [ROLE] * 500, "timeout", "timeout", ProviderTimeoutError, {"tokens_per_second": 100}, {"total_timeout": 0.5}
    ),
    "no terminal event": Fault([ROLE], "empty_reply", "disconnected", ProviderUnavailableError),
    "error after status 200": Fault(
        [chunk(error={"code": 503, "message": "busy"})], "overloaded", "overloaded", ProviderUnavailableError
    ),
    "invalid event": Fault(['data: {"choices":[{"del\n\n', delta(" a time"), *END], COMPLETE, COMPLETE),
    "event over 8 MiB": Fault(
        [f"data: {'x' * MEGABYTE}", *["x" * MEGABYTE] * 8, "\n\n"],
        "malformed_reply",
        "malformed_reply",
        SchemaValidationError,
    ),
    "only white space": Fault([delta(" \n"), *END], "empty_reply", COMPLETE),
    "token limit": Fault([finish("length"), DONE], "truncated", "truncated", SchemaValidationError),
    "usage on every event": Fault(
        [delta(word, usage=usage(number)) for number, word in enumerate(["", " a", " time"])] + END,
        COMPLETE,
        COMPLETE,
    ),
    "content filter": Fault([finish("content_filter"), DONE], "blocked", "blocked", ContentRefusedError),
}

assert len(FAULTS) == 12

STOPS = {"blocked"}
"""Outcomes that end the call without a fallback."""


@dataclass
class Outcome:
    events: list[str | Restarted]
    text: str
    response: Any = None
    error: LLMProviderError | None = None


@pytest.fixture
def play(
    madspark_simulator: Simulator, madspark_router: Callable[..., LLMRouter]
) -> Callable[[Fault, bool, Mode], tuple[Outcome, LLMRouter]]:
    """Return a function that streams through a fault, before or after the first text."""

    async def read(router: LLMRouter, fault: Fault, mode: Mode) -> Outcome:
        events: list[str | Restarted] = []
        async with asyncio.timeout(10), router.astream(QUESTION, on_stream_error=mode, **fault.limits) as stream:
            try:
                async for event in stream:
                    events.append(event)  # noqa: PERF401  (needed after a failure too)
            except LLMProviderError as error:
                return Outcome(events, stream.text, error=error)
            return Outcome(events, stream.text, stream.response)

    def play(fault: Fault, after_text: bool, mode: Mode) -> tuple[Outcome, LLMRouter]:
        pieces = [ROLE, *([delta(BEGINNING)] if after_text else []), *fault.pieces]
        madspark_simulator.on("openai", pieces=pieces, **fault.rule)
        router = madspark_router(primary_provider="openai")
        return asyncio.run(read(router, fault, mode)), router

    return play


def requested(simulator: Simulator) -> list[str | None]:
    return [request.provider for request in simulator.requests]


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("mode", ["fail", "restart"])
def test_faults_before_the_first_text(name: str, mode: str, play: Any, madspark_simulator: Simulator) -> None:
    fault = FAULTS[name]
    outcome, router = play(fault, False, mode)
    if fault.before == COMPLETE:
        assert outcome.response.provider == "openai"
        assert outcome.response.text.strip() == outcome.text.strip() != ""
    elif fault.before in STOPS:
        assert isinstance(outcome.error, fault.raises)
        assert outcome.error.partial is None
        assert requested(madspark_simulator) == ["openai"]
    else:
        # The fallback always applies, and the consumer does not notice.
        assert outcome.response.provider == "ollama"
        assert outcome.response.text == outcome.text == "".join(str(event) for event in outcome.events)
        first, second = outcome.response.attempts
        assert (first.provider, first.error, first.status, second.ok) == ("openai", fault.before, 200, True)
        assert requested(madspark_simulator) == ["openai", "ollama"]
        assert router.get_metrics()["fallback_triggers"] == 1


@pytest.mark.parametrize("name", FAULTS)
def test_faults_after_the_first_text(name: str, play: Any, madspark_simulator: Simulator) -> None:
    fault = FAULTS[name]
    outcome, router = play(fault, True, "fail")
    assert requested(madspark_simulator) == ["openai"]
    assert outcome.text.startswith(BEGINNING)
    if fault.after == COMPLETE:
        assert outcome.response.text == outcome.text
    else:
        error = outcome.error
        assert isinstance(error, fault.raises)
        assert error.partial == outcome.text == BEGINNING
        assert BEGINNING not in str(error)
        assert [attempt.error for attempt in error.attempts] == [fault.after]
        assert (error.provider, error.status) == ("openai", 200)
        assert router.get_metrics()["failed_requests"] == 1


@pytest.mark.parametrize("name", FAULTS)
def test_faults_after_the_first_text_with_restart(name: str, play: Any, madspark_simulator: Simulator) -> None:
    fault = FAULTS[name]
    outcome, router = play(fault, True, "restart")
    restarts = [event for event in outcome.events if isinstance(event, Restarted)]
    if fault.after == COMPLETE or fault.after in STOPS:
        assert restarts == []
        assert requested(madspark_simulator) == ["openai"]
        return
    assert [(event.provider, event.model, event.error) for event in restarts] == [("openai", "simulated", fault.after)]
    assert outcome.events[0] == BEGINNING
    assert isinstance(outcome.events[1], Restarted)
    assert outcome.events[1].reason
    assert outcome.response.provider == "ollama"
    assert outcome.response.text == outcome.text == "".join(str(event) for event in outcome.events[2:])
    assert [attempt.error for attempt in outcome.response.attempts] == [fault.after, None]
    assert router.get_metrics()["fallback_triggers"] == 1


def test_invalid_events_are_counted(play: Any) -> None:
    outcome, _ = play(FAULTS["invalid event"], True, "fail")
    assert outcome.text == BEGINNING + " a time"
    assert [attempt.skipped_events for attempt in outcome.response.attempts] == [1]


def test_only_the_last_usage_counts(play: Any) -> None:
    outcome, router = play(FAULTS["usage on every event"], True, "fail")
    assert outcome.response.tokens_used == 12
    assert outcome.response.attempts[0].usage["output"] == 2
    assert router.get_metrics()["total_tokens"] == 12


def test_the_usage_of_a_failed_stream_is_kept(play: Any) -> None:
    counted = Fault([delta(" a", usage=usage(5))], "", "disconnected", rule={"fault": "truncate"})
    outcome, router = play(counted, True, "restart")
    failed, answered = outcome.response.attempts
    assert (failed.usage["input"], failed.usage["output"]) == (10, 5)
    assert outcome.response.tokens_used == 15 + sum(answered.usage.values()) == router.get_metrics()["total_tokens"]


def test_reaching_the_callers_token_limit_is_not_an_error(
    madspark_simulator: Simulator, madspark_router: Callable[..., LLMRouter]
) -> None:
    madspark_simulator.on("openai", pieces=[delta(BEGINNING), finish("length"), DONE])
    router = madspark_router(primary_provider="openai")
    assert "".join(router.stream(QUESTION, max_tokens=2)) == BEGINNING


PROVIDER_EVENTS = {
    "ollama": (['{"message":{"content":"Once upon"},"done":false}\n'], '{"error":"the runner has crashed"}\n'),
    "gemini": (
        [chunk(candidates=[{"content": {"parts": [{"text": "hm", "thought": True}, {"text": BEGINNING}]}}])],
        chunk(error={"code": 500, "status": "INTERNAL", "message": "an internal error"}),
    ),
    "openai": ([delta(BEGINNING)], chunk(error={"type": "server_error", "message": "failed"})),
}


@pytest.mark.parametrize("provider", PROVIDER_EVENTS)
@pytest.mark.parametrize(
    ("ending", "error"), [("no terminal event", "disconnected"), ("error", "server"), ("cut", "disconnected")]
)
def test_every_provider_reports_a_failed_stream(
    provider: str, ending: str, error: str, madspark_simulator: Simulator, madspark_router: Callable[..., LLMRouter]
) -> None:
    pieces, failure = PROVIDER_EVENTS[provider]
    madspark_simulator.on(
        provider,
        pieces=[*pieces, failure] if ending == "error" else pieces,
        fault="truncate" if ending == "cut" else None,
    )
    stream = madspark_router(primary_provider=provider).stream(QUESTION)
    with pytest.raises(LLMProviderError) as caught:
        list(stream)
    assert [attempt.error for attempt in caught.value.attempts] == [error]
    assert caught.value.partial == stream.text == BEGINNING
    assert requested(madspark_simulator) == [provider]


@pytest.mark.parametrize("provider", PROVIDER_EVENTS)
def test_every_provider_skips_invalid_events(
    provider: str, madspark_simulator: Simulator, madspark_router: Callable[..., LLMRouter]
) -> None:
    madspark_simulator.on(provider, fault="malformed")
    stream = madspark_router(primary_provider=provider, fallback_enabled=False).stream(QUESTION)
    assert "".join(stream) == stream.response.text
    assert [attempt.skipped_events for attempt in stream.response.attempts] == [1]
