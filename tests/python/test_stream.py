"""Successful streams: text, order, usage, and the synchronous and asynchronous methods."""

from __future__ import annotations

import asyncio
import gc
import pickle
from typing import TYPE_CHECKING, assert_type

import pytest

import madspark
from madspark import (
    AllProvidersUnavailableError,
    AsyncTextStream,
    LLMResponse,
    ProviderUnavailableError,
    RateLimitError,
    Restarted,
    TextStream,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from madspark import LLMRouter, ProviderName
    from madspark.testing import Simulator

    MakeRouter = Callable[..., LLMRouter]

QUESTION = "Why do rivers bend?"
HOSTED = ["ollama", "gemini", "openai", "anthropic"]


@pytest.mark.parametrize("provider", [*HOSTED, "mock"])
async def test_the_concatenated_pieces_are_the_answer(provider: str, madspark_router: MakeRouter) -> None:
    router = madspark_router(primary_provider=provider, fallback_enabled=False)
    expected, plain = await router.agenerate(QUESTION, "Be brief.")
    async with asyncio.timeout(10):
        stream = router.astream(QUESTION, "Be brief.")
        pieces = [piece async for piece in stream]
    sync_stream = router.stream(QUESTION, "Be brief.")
    assert "".join(pieces) == stream.text == stream.response.text == "".join(sync_stream) == expected
    for response in (stream.response, sync_stream.response):
        assert (response.provider, response.model, response.tokens_used, response.cost) == (
            plain.provider,
            plain.model,
            plain.tokens_used,
            plain.cost,
        )
        assert [(attempt.ok, attempt.usage) for attempt in response.attempts] == [(True, plain.attempts[0].usage)]
    metrics = router.get_metrics()
    assert metrics["total_requests"] == 3
    assert metrics["total_tokens"] == 3 * plain.tokens_used
    assert metrics["failed_requests"] == metrics["fallback_triggers"] == 0
    assert metrics["avg_latency_ms"] > 0


@pytest.mark.parametrize("provider", HOSTED)
async def test_text_arrives_before_the_answer_is_complete(
    provider: str, madspark_simulator: Simulator, madspark_router: MakeRouter
) -> None:
    madspark_simulator.set_tokens_per_second(300)
    router = madspark_router(primary_provider=provider)
    async with asyncio.timeout(10), router.astream(QUESTION) as stream:
        first = await anext(stream)
        assert madspark_simulator.requests[0].finished is None
        assert stream.text == first
        rest = [piece async for piece in stream]
    assert len(rest) > 1
    assert stream.text == first + "".join(rest)


@pytest.mark.parametrize("provider", HOSTED)
async def test_a_streamed_request_equals_a_plain_one_except_for_the_stream_option(
    provider: ProviderName, madspark_simulator: Simulator, madspark_router: MakeRouter
) -> None:
    router = madspark_router(primary_provider="mock")
    await router.agenerate(QUESTION, "Be brief.", 0.3, 50, provider)
    async for _ in router.astream(QUESTION, "Be brief.", 0.3, 50, provider):
        pass
    plain, streamed = madspark_simulator.requests
    assert streamed.provider == provider
    stream_options: dict[str, dict[str, Any]] = {
        "ollama": {"stream": True},
        "gemini": {},
        "openai": {"stream": True, "stream_options": {"include_usage": True}},
        "anthropic": {"stream": True},
    }
    assert streamed.json == {**plain.json, **stream_options[provider]}
    assert ("streamGenerateContent?alt=sse" in streamed.path) == (provider == "gemini")


async def test_text_of_every_script_arrives_unchanged(
    madspark_simulator: Simulator, madspark_router: MakeRouter
) -> None:
    text = "Flüsse — 川は曲がる 🦀\n\ndata: not an event\r\n \u2028 end"
    for provider in HOSTED:
        madspark_simulator.on(provider, text=text, tokens_per_second=2000)
        stream = madspark_router(primary_provider=provider).astream(QUESTION)
        assert "".join([piece async for piece in stream]) == text


async def test_characters_split_across_chunks_arrive_whole(
    madspark_simulator: Simulator, madspark_router: MakeRouter
) -> None:
    body = b'{"message":{"content":"\xe5\xb7\x9d"},"done":false}\n{"done":true,"done_reason":"stop"}\n'
    madspark_simulator.on("ollama", pieces=[body[at : at + 1] for at in range(len(body))], tokens_per_second=2000)
    stream = madspark_router(primary_provider="ollama", fallback_enabled=False).astream(QUESTION)
    assert [piece async for piece in stream] == ["川"]


async def test_the_response_is_available_at_the_end(madspark_router: MakeRouter) -> None:
    stream = madspark_router(primary_provider="ollama").astream(QUESTION)
    with pytest.raises(RuntimeError, match="not ended yet"):
        _ = stream.response
    await anext(stream)
    assert stream.text
    async for _ in stream:
        pass
    assert isinstance(stream.response, LLMResponse)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    await stream.aclose()
    assert stream.response.text == stream.text


async def test_a_closed_stream_has_no_response(madspark_router: MakeRouter) -> None:
    router = madspark_router(primary_provider="ollama")
    async with router.astream(QUESTION) as stream:
        await anext(stream)
    with pytest.raises(RuntimeError, match="without a complete answer"):
        _ = stream.response
    assert [piece async for piece in stream] == []
    with router.stream(QUESTION) as sync_stream:
        next(sync_stream)
    with pytest.raises(RuntimeError, match="without a complete answer"):
        _ = sync_stream.response
    assert list(sync_stream) == []


def test_a_failing_status_falls_back(madspark_simulator: Simulator, madspark_router: MakeRouter) -> None:
    madspark_simulator.on("gemini", status=429, headers={"retry-after": "7"})
    stream = madspark_router(primary_provider="gemini").stream(QUESTION)
    assert "".join(stream) == stream.text
    failed, answered = stream.response.attempts
    assert (failed.error, failed.status, answered.provider) == ("rate_limited", 429, "ollama")


async def test_an_error_of_every_provider_is_raised_by_the_first_item(
    madspark_simulator: Simulator, madspark_router: MakeRouter
) -> None:
    madspark_simulator.on(fault="disconnect")
    with pytest.raises(AllProvidersUnavailableError) as caught:
        await anext(madspark_router(primary_provider="gemini", max_attempts=2).astream(QUESTION))
    assert list(caught.value.errors) == ["gemini", "ollama"]
    assert caught.value.prompt == QUESTION
    assert caught.value.partial is None
    madspark_simulator.clear_rules()
    madspark_simulator.on(status=429)
    with pytest.raises(RateLimitError):
        next(madspark_router(primary_provider="ollama", fallback_enabled=False, max_attempts=1).stream(QUESTION))


@pytest.mark.parametrize(
    "wrong",
    [
        {"prompt": "  "},
        {"prompt": "x" * 100_001},
        {"temperature": 2.1},
        {"max_tokens": 0},
        {"force_provider": "nobody"},
        {"on_stream_error": "continue"},
        {"first_token_timeout": 0},
        {"first_text_timeout": 0},
        {"idle_timeout": -1},
        {"total_timeout": float("nan")},
    ],
)
def test_invalid_arguments_raise_before_a_request(
    wrong: dict[str, Any], madspark_simulator: Simulator, madspark_router: MakeRouter
) -> None:
    router = madspark_router()
    for begin in (router.stream, router.astream):
        with pytest.raises(ValueError, match=r"\w"):
            begin(**{"prompt": QUESTION, **wrong})
    assert madspark_simulator.requests == []
    assert router.get_metrics()["total_requests"] == 0


def test_no_request_is_sent_before_the_first_item(madspark_simulator: Simulator, madspark_router: MakeRouter) -> None:
    stream = madspark_router(primary_provider="ollama").stream(QUESTION)
    del stream
    gc.collect()
    assert madspark_simulator.requests == []


def test_errors_with_a_partial_text_can_be_pickled(madspark_simulator: Simulator, madspark_router: MakeRouter) -> None:
    madspark_simulator.on("ollama", fault="truncate")
    stream = madspark_router(primary_provider="ollama", fallback_enabled=False).stream(QUESTION)
    with pytest.raises(ProviderUnavailableError) as caught:
        list(stream)
    copied = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  # our own bytes
    assert copied.partial == caught.value.partial == stream.text != ""


def test_restarted_is_an_immutable_record() -> None:
    event = Restarted("openai", "m", "timeout", "too late")
    assert pickle.loads(pickle.dumps(event)) == event  # noqa: S301  # our own bytes
    assert event.to_dict() == {"provider": "openai", "model": "m", "error": "timeout", "reason": "too late"}
    assert event != Restarted("openai", "m", "timeout", "later")
    assert len({event, Restarted("openai", "m", "timeout", "too late")}) == 1
    with pytest.raises(AttributeError, match="is immutable"):
        event.reason = "none"


def test_types_follow_the_mode(madspark_router: MakeRouter) -> None:
    router = madspark_router(primary_provider="mock")
    assert_type(router.stream(QUESTION), TextStream[str])
    assert_type(router.astream(QUESTION), AsyncTextStream[str])
    assert_type(router.astream(QUESTION, on_stream_error="restart"), AsyncTextStream[str | Restarted])
    assert_type(router.stream(QUESTION, first_text_timeout=5.0, idle_timeout=None), TextStream[str])
    with pytest.raises(TypeError, match="frist_token_timeout"):
        router.stream(QUESTION, frist_token_timeout=5.0)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="str"):
        router.astream(QUESTION, total_timeout="5")  # type: ignore[call-overload]
    assert isinstance(router.stream(QUESTION), madspark.TextStream)
    assert repr(router.stream(QUESTION)) == "<TextStream open, 0 characters>"
