"""Structured streams: partial objects, the validated instance at the end, and failures."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, Never, assert_type

import pytest
from pydantic import BaseModel, RootModel, TypeAdapter, ValidationError, field_validator

import madspark
from madspark import (
    AllProvidersInvalidOutputError,
    AsyncStructuredStream,
    ContentRefusedError,
    LLMResponse,
    ProviderTimeoutError,
    ProviderUnavailableError,
    Restarted,
    SchemaValidationError,
    StructuredStream,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from madspark import LLMRouter, ProviderName
    from madspark.testing import Simulator

    MakeRouter = Callable[..., LLMRouter]

QUESTION = "Name a river and its towns."
HOSTED = ["ollama", "gemini", "openai", "anthropic"]


class Town(BaseModel):
    """A town."""

    name: str
    people: int


class River(BaseModel):
    """A river and its towns."""

    name: str
    length: float
    towns: list[Town]
    dry: bool = False


class Rivers(RootModel[list[River]]):
    """A list at the root."""


@dataclass
class Bridge:
    """A dataclass."""

    name: str
    year: int


RIVER = {
    "name": 'The "Elbe" — 川🦀',
    "length": 1094.5,
    "towns": [{"name": "Dresden", "people": 563011}, {"name": "Hamburg", "people": 1892122}],
    "dry": False,
}
REPLY = json.dumps(RIVER)
BEGINNING = '{"name": "Elbe", "length": 1094.5, "towns": [{"name": "Dres'
SHOWN = {"name": "Elbe", "length": 1094.5}


def _sse(event: dict[str, Any]) -> str:
    return f"event: {event.get('type', 'message')}\ndata: {json.dumps(event)}\n\n"


def piece(provider: str, text: str) -> str:
    """Return `text` as an event of the provider's stream."""
    match provider:
        case "ollama":
            return json.dumps({"message": {"content": text}, "done": False}) + "\n"
        case "gemini":
            return f"data: {json.dumps({'candidates': [{'content': {'parts': [{'text': text}]}}]})}\n\n"
        case "openai":
            return f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'content': text}}]})}\n\n"
        case _:
            delta = {"type": "text_delta", "text": text}
            return _sse({"type": "content_block_delta", "index": 0, "delta": delta})


def end(provider: str) -> list[str]:
    """Return the events that end the provider's stream."""
    match provider:
        case "ollama":
            return ['{"message":{"content":""},"done":true,"done_reason":"stop"}\n']
        case "gemini":
            return ['data: {"candidates":[{"content":{"parts":[]},"finishReason":"STOP"}]}\n\n']
        case "openai":
            return ['data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n', "data: [DONE]\n\n"]
        case _:
            return [
                _sse({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}}),
                _sse({"type": "message_stop"}),
            ]


def script(simulator: Simulator, provider: str, texts: Iterable[str], *, complete: bool = True, **rule: Any) -> None:
    """Let `provider` stream `texts`, one event each, with or without the events that end the stream."""
    pieces = [piece(provider, text) for text in texts]
    simulator.on(provider, pieces=pieces + (end(provider) if complete else []), **rule)


def grows(earlier: Any, later: Any) -> bool:
    """Return whether `later` contains all of `earlier`."""
    if isinstance(earlier, dict) and isinstance(later, dict):
        return all(key in later and grows(value, later[key]) for key, value in earlier.items())
    if isinstance(earlier, list) and isinstance(later, list):
        return len(earlier) <= len(later) and all(map(grows, earlier, later))
    return bool(earlier == later)


def requested(simulator: Simulator) -> list[str | None]:
    return [request.provider for request in simulator.requests]


@pytest.mark.parametrize("provider", HOSTED)
async def test_partial_objects_grow_into_the_instance(
    provider: str, madspark_simulator: Simulator, madspark_router: MakeRouter
) -> None:
    madspark_simulator.on(provider, json=RIVER, tokens_per_second=200)
    router = madspark_router(primary_provider=provider, fallback_enabled=False)
    async with asyncio.timeout(20), router.astream_structured(QUESTION, River) as stream:
        first = await anext(stream)
        assert madspark_simulator.requests[0].finished is None
        assert stream.partial is first
        items = [first, *[item async for item in stream]]
    *partials, river = items
    assert river == stream.value == River.model_validate(RIVER)
    assert isinstance(river, River)
    assert len(partials) > 1
    for earlier, later in pairwise([*partials, RIVER]):
        assert isinstance(earlier, dict)
        assert grows(earlier, later)
    assert len({json.dumps(partial) for partial in partials}) == len(partials), "no snapshot is repeated"
    assert isinstance(stream.response, LLMResponse)
    assert stream.response.provider == provider
    assert [attempt.ok for attempt in stream.response.attempts] == [True]


@pytest.mark.parametrize("provider", HOSTED)
def test_partial_objects_contain_no_unfinished_value(
    provider: str, madspark_simulator: Simulator, madspark_router: MakeRouter
) -> None:
    # One character per event splits escapes and numbers.
    script(madspark_simulator, provider, REPLY, tokens_per_second=3000)
    router = madspark_router(primary_provider=provider, fallback_enabled=False)
    *partials, river = router.stream_structured(QUESTION, River)
    assert river == River.model_validate(RIVER)
    for partial in partials:
        assert isinstance(partial, dict)
        assert grows(partial, RIVER)


@pytest.mark.parametrize("provider", HOSTED)
async def test_closed_fields_are_returned_before_the_end(
    provider: str, madspark_simulator: Simulator, madspark_router: MakeRouter
) -> None:
    texts = ["Here it is:\n```json\n", BEGINNING]
    script(madspark_simulator, provider, texts, complete=False, fault="stall_mid_body")
    router = madspark_router(primary_provider=provider, fallback_enabled=False)
    async with asyncio.timeout(10), router.astream_structured(QUESTION, River) as stream:
        assert await anext(stream) == SHOWN == stream.partial
        with pytest.raises(RuntimeError, match="no value: the stream has not ended"):
            _ = stream.value
        with pytest.raises(RuntimeError, match="no response: the stream has not ended"):
            _ = stream.response
    assert await madspark_simulator.await_hang_ups(1, timeout=10)
    with pytest.raises(RuntimeError, match="without a complete answer"):
        _ = stream.value


@pytest.mark.parametrize("provider", [*HOSTED, "mock"])
async def test_sync_async_and_plain_calls_agree(provider: str, madspark_router: MakeRouter) -> None:
    router = madspark_router(primary_provider=provider, fallback_enabled=False)
    expected, plain = await router.agenerate_structured(QUESTION, River)
    stream = router.astream_structured(QUESTION, River)
    items = [item async for item in stream]
    sync_stream = router.stream_structured(QUESTION, River)
    assert items[-1] == stream.value == [*sync_stream][-1] == sync_stream.value == expected
    for response in (stream.response, sync_stream.response):
        assert (response.text, response.model, response.tokens_used) == (plain.text, plain.model, plain.tokens_used)
    metrics = router.get_metrics()
    assert metrics["total_requests"] == 3
    assert metrics["total_tokens"] == 3 * plain.tokens_used
    assert metrics["failed_requests"] == metrics["fallback_triggers"] == 0
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    assert [*sync_stream] == []


@pytest.mark.parametrize("provider", HOSTED)
async def test_a_streamed_request_equals_a_plain_one_except_for_the_stream_option(
    provider: ProviderName, madspark_simulator: Simulator, madspark_router: MakeRouter
) -> None:
    router: Any = madspark_router(primary_provider="mock")  # type checkers accept the options by keyword only
    image = b"\x89PNG\r\n\x1a\n" + bytes(64)
    await router.agenerate_structured(
        QUESTION, River, "Be brief.", 0.3, None, None, [image], provider, token_budget=500
    )
    stream = router.astream_structured(
        QUESTION, River, "Be brief.", 0.3, None, None, [image], provider, token_budget=500
    )
    assert [type(item) async for item in stream][-1] is River
    # A request to Ollama for the facts of the model precedes it.
    plain, streamed = (request for request in madspark_simulator.requests if QUESTION in request.body.decode())
    stream_options: dict[str, dict[str, Any]] = {
        "ollama": {"stream": True},
        "gemini": {},
        "openai": {"stream": True, "stream_options": {"include_usage": True}},
        "anthropic": {"stream": True},
    }
    assert streamed.provider == provider
    assert streamed.json == {**plain.json, **stream_options[provider]}
    assert streamed.schema is not None


@pytest.mark.parametrize("provider", HOSTED)
def test_a_list_at_the_root_is_unwrapped(
    provider: str, madspark_simulator: Simulator, madspark_router: MakeRouter
) -> None:
    wraps = provider in {"openai", "anthropic"}
    reply = json.dumps({"value": [RIVER, RIVER]} if wraps else [RIVER, RIVER])
    texts = [reply[at : at + 20] for at in range(0, len(reply), 20)]
    script(madspark_simulator, provider, texts, tokens_per_second=500)
    *partials, rivers = madspark_router(primary_provider=provider).stream_structured(QUESTION, Rivers)
    assert rivers == Rivers.model_validate([RIVER, RIVER])
    assert partials
    for earlier, later in pairwise([*partials, [RIVER, RIVER]]):
        assert isinstance(earlier, list)
        assert grows(earlier, later)


@pytest.mark.parametrize("provider", HOSTED)
def test_every_kind_of_schema_can_be_streamed(
    provider: str, madspark_simulator: Simulator, madspark_router: MakeRouter
) -> None:
    router = madspark_router(primary_provider=provider, fallback_enabled=False)
    wraps = provider in {"openai", "anthropic"}
    documents: list[tuple[Any, Any, Any]] = [
        (Bridge, {"name": "Blue Wonder", "year": 1893}, Bridge("Blue Wonder", 1893)),
        (TypeAdapter(dict[str, int]), {"a": 1, "b": 2}, {"a": 1, "b": 2}),
        (
            {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}}}},
            {"a": [1, 2]},
            {"a": [1, 2]},
        ),
        (list[Bridge], [{"name": "Blue Wonder", "year": 1893}], [Bridge("Blue Wonder", 1893)]),
    ]
    for schema, data, value in documents:
        text = json.dumps({"value": data} if wraps and isinstance(data, list) else data)
        script(madspark_simulator, provider, [text[:12], text[12:]])
        stream = router.stream_structured(QUESTION, schema)
        *partials, last = stream
        assert last == stream.value == value
        assert partials[-1] == data
        assert all(grows(partial, data) for partial in partials)
        madspark_simulator.clear_rules()


def test_null_for_an_optional_field_is_removed_if_the_provider_requires_it(
    madspark_simulator: Simulator, madspark_router: MakeRouter
) -> None:
    reply = json.dumps({**RIVER, "dry": None})
    script(madspark_simulator, "openai", [reply])
    *partials, river = madspark_router(primary_provider="openai", fallback_enabled=False).stream_structured(
        QUESTION, River
    )
    assert isinstance(river, River)
    assert river.dry is False
    assert all("dry" not in partial for partial in partials if isinstance(partial, dict))
    # Gemini may omit the field, so its null is invalid.
    script(madspark_simulator, "gemini", [reply])
    stream = madspark_router(primary_provider="gemini", fallback_enabled=False).stream_structured(QUESTION, River)
    with pytest.raises(SchemaValidationError):
        list(stream)
    assert stream.partial == {**RIVER, "dry": None}


FAULTS: dict[str, tuple[list[str], dict[str, Any], dict[str, Any], str, type[Exception]]] = {
    "disconnect": ([], {"fault": "truncate"}, {}, "disconnected", ProviderUnavailableError),
    "stall": ([], {"fault": "stall_mid_body"}, {"idle_timeout": 0.3}, "idle_timeout", ProviderTimeoutError),
    "no terminal event": ([], {}, {}, "disconnected", ProviderUnavailableError),
    "token limit": (
        ['data: {"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}\n\n', "data: [DONE]\n\n"],
        {},
        {},
        "truncated",
        SchemaValidationError,
    ),
    "error in the stream": (
        ['data: {"error":{"code":503,"message":"busy"}}\n\n'],
        {},
        {},
        "overloaded",
        ProviderUnavailableError,
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failure_after_the_first_partial_raises_with_the_last_partial(
    fault: str, madspark_simulator: Simulator, madspark_router: MakeRouter
) -> None:
    more, rule, limits, error, kind = FAULTS[fault]
    madspark_simulator.on("openai", pieces=[piece("openai", BEGINNING), *more], **rule)
    router = madspark_router(primary_provider="openai")
    stream = router.stream_structured(QUESTION, River, **limits)
    assert next(stream) == SHOWN
    with pytest.raises(kind) as caught:
        next(stream)
    failure = caught.value
    assert isinstance(failure, madspark.LLMProviderError)
    assert failure.partial is not None
    assert json.loads(failure.partial) == SHOWN
    assert [attempt.error for attempt in failure.attempts] == [error]
    assert requested(madspark_simulator) == ["openai"]
    assert router.get_metrics()["failed_requests"] == 1
    assert list(stream) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failure_after_the_first_partial_restarts_if_requested(
    fault: str, madspark_simulator: Simulator, madspark_router: MakeRouter
) -> None:
    more, rule, limits, error, _ = FAULTS[fault]
    madspark_simulator.on("openai", pieces=[piece("openai", BEGINNING), *more], times=1, **rule)
    script(madspark_simulator, "openai", [REPLY])
    script(madspark_simulator, "ollama", [REPLY])
    stream = madspark_router(primary_provider="openai").stream_structured(
        QUESTION, River, on_stream_error="restart", **limits
    )
    assert next(stream) == SHOWN
    restarted = next(stream)
    assert isinstance(restarted, Restarted)
    assert (restarted.provider, restarted.error) == ("openai", error)
    assert stream.partial is None
    *partials, river = stream
    assert river == stream.value == River.model_validate(RIVER)
    assert all(grows(partial, RIVER) for partial in partials)
    assert [attempt.error for attempt in stream.response.attempts] == [error, None]


@pytest.mark.parametrize(
    "beginning", ["", "Let me think:\n", '{"', '{"name": "Elb', '{"name": "Elbe"', '{"length": 12']
)
def test_a_failure_before_the_first_partial_falls_back_unnoticed(
    beginning: str, madspark_simulator: Simulator, madspark_router: MakeRouter
) -> None:
    script(madspark_simulator, "openai", [beginning, " "], complete=False, fault="truncate")
    script(madspark_simulator, "ollama", [REPLY])
    stream = madspark_router(primary_provider="openai").stream_structured(QUESTION, River)
    *partials, river = stream
    assert river == River.model_validate(RIVER)
    assert all(grows(partial, RIVER) for partial in partials)
    assert "ollama" in requested(madspark_simulator)
    assert stream.response.provider == "ollama"
    assert {attempt.error for attempt in stream.response.attempts} == {"disconnected", None}


WRONG = {**RIVER, "length": "long"}


@pytest.mark.parametrize("provider", HOSTED)
def test_an_invalid_reply_raises_with_its_faults(
    provider: str, madspark_simulator: Simulator, madspark_router: MakeRouter
) -> None:
    script(madspark_simulator, provider, [json.dumps(WRONG)])
    router = madspark_router(primary_provider=provider)
    stream = router.stream_structured(QUESTION, River)
    assert next(stream) == WRONG
    with pytest.raises(SchemaValidationError) as caught:
        next(stream)
    error = caught.value
    assert (error.provider, error.status) == (provider, 200)
    assert len(error.faults) == 1
    assert error.faults[0].startswith("length: ")
    assert error.raw is not None
    assert json.loads(error.raw) == WRONG
    assert error.partial is not None
    assert json.loads(error.partial) == WRONG
    assert isinstance(error.__cause__, ValidationError)
    assert [attempt.error for attempt in error.attempts] == ["invalid_output"]
    assert requested(madspark_simulator) == [provider]
    assert router.get_metrics()["failed_requests"] == 1
    assert list(stream) == []
    with pytest.raises(RuntimeError, match="without a complete answer"):
        _ = stream.value


@pytest.mark.parametrize("provider", HOSTED)
async def test_an_invalid_reply_is_repaired_after_a_restart(
    provider: str, madspark_simulator: Simulator, madspark_router: MakeRouter
) -> None:
    script(madspark_simulator, provider, [json.dumps(WRONG)], times=1)
    script(madspark_simulator, provider, [REPLY])
    router = madspark_router(primary_provider=provider)
    stream = router.astream_structured(QUESTION, River, on_stream_error="restart")
    items = [item async for item in stream]
    assert items[0] == WRONG
    restarts = [item for item in items if isinstance(item, Restarted)]
    assert [(event.provider, event.error) for event in restarts] == [(provider, "invalid_output")]
    assert items[-1] == stream.value == River.model_validate(RIVER)
    assert [attempt.error for attempt in stream.response.attempts] == ["invalid_output", None]
    # The repair request goes to the same target with the faults.
    first, second = madspark_simulator.requests
    assert (first.provider, second.provider) == (provider, provider)
    assert "What is wrong with it" not in first.body.decode()
    assert "What is wrong with it" in second.body.decode()
    assert "length: " in second.body.decode()


def test_the_next_target_follows_a_failed_repair(madspark_simulator: Simulator, madspark_router: MakeRouter) -> None:
    script(madspark_simulator, "openai", [json.dumps(WRONG)])
    script(madspark_simulator, "ollama", [REPLY])
    stream = madspark_router(primary_provider="openai").stream_structured(QUESTION, River, on_stream_error="restart")
    items = list(stream)
    assert [item.error for item in items if isinstance(item, Restarted)] == ["invalid_output"] * 2
    assert items[-1] == River.model_validate(RIVER)
    assert requested(madspark_simulator) == ["openai", "openai", "ollama"]
    assert stream.response.provider == "ollama"


def test_the_last_failure_raises_instead_of_restarting(
    madspark_simulator: Simulator, madspark_router: MakeRouter
) -> None:
    script(madspark_simulator, "openai", [json.dumps(WRONG)])
    router = madspark_router(primary_provider="openai", fallback_enabled=False)
    stream = router.stream_structured(QUESTION, River, on_stream_error="restart")
    assert next(stream) == WRONG
    assert isinstance(next(stream), Restarted)
    assert next(stream) == WRONG
    with pytest.raises(SchemaValidationError) as caught:
        next(stream)
    assert [attempt.error for attempt in caught.value.attempts] == ["invalid_output"] * 2
    assert caught.value.partial is not None
    assert isinstance(caught.value.__cause__, ValidationError)


@pytest.mark.parametrize("mode", ["fail", "restart"])
def test_a_reply_without_partials_is_repaired_unnoticed(
    mode: Literal["fail", "restart"], madspark_simulator: Simulator, madspark_router: MakeRouter
) -> None:
    script(madspark_simulator, "openai", ["I would say the Elbe, which is long."], times=1)
    script(madspark_simulator, "openai", [REPLY])
    stream = madspark_router(primary_provider="openai").stream_structured(QUESTION, River, on_stream_error=mode)
    *partials, river = stream
    assert river == River.model_validate(RIVER)
    assert all(isinstance(partial, dict) for partial in partials)
    assert requested(madspark_simulator) == ["openai", "openai"]
    assert [attempt.error for attempt in stream.response.attempts] == ["invalid_output", None]


def test_replies_without_json_raise_without_a_partial(
    madspark_simulator: Simulator, madspark_router: MakeRouter
) -> None:
    madspark_simulator.on(text="I would say the Elbe, which is long.")
    with pytest.raises(AllProvidersInvalidOutputError) as caught:
        list(madspark_router(primary_provider="openai").stream_structured(QUESTION, River))
    assert caught.value.partial is None
    assert caught.value.prompt == QUESTION


@pytest.mark.parametrize("provider", HOSTED)
def test_damaged_json_is_repaired_at_the_end(
    provider: str, madspark_simulator: Simulator, madspark_router: MakeRouter
) -> None:
    """Fields before the damage are returned as partials; lenient parsing avoids another request."""
    text = REPLY[:-1].replace('"dry"', "dry") + ",}"
    script(madspark_simulator, provider, ["Sure!\n```json\n", text, "\n```"])
    stream = madspark_router(primary_provider=provider).stream_structured(QUESTION, River)
    *partials, river = stream
    assert river == River.model_validate(RIVER)
    assert partials == [{key: value for key, value in RIVER.items() if key != "dry"}]
    assert requested(madspark_simulator) == [provider]
    (attempt,) = stream.response.attempts
    assert set(attempt.changes) == {"trailing_comma", "unquoted_key"}


def test_values_of_the_wrong_type_are_coerced_at_the_end(
    madspark_simulator: Simulator, madspark_router: MakeRouter
) -> None:
    script(madspark_simulator, "ollama", [json.dumps({**RIVER, "towns": [{"name": 1, "people": "2"}]})])
    stream = madspark_router(primary_provider="ollama").stream_structured(QUESTION, River)
    partial, river = stream
    assert isinstance(partial, dict)
    assert partial["towns"] == [{"name": 1, "people": "2"}]
    assert isinstance(river, River)
    assert river.towns == [Town(name="1", people=2)]
    assert requested(madspark_simulator) == ["ollama"]


@pytest.mark.parametrize("shown", [False, True])
def test_a_refusal_ends_the_call(shown: bool, madspark_simulator: Simulator, madspark_router: MakeRouter) -> None:
    refusal = 'data: {"choices":[{"index":0,"delta":{"refusal":"I cannot."}}]}\n\n'
    texts = [piece("openai", BEGINNING)] if shown else []
    madspark_simulator.on("openai", pieces=[*texts, refusal, *end("openai")])
    stream = madspark_router(primary_provider="openai").stream_structured(QUESTION, River, on_stream_error="restart")
    if shown:
        assert next(stream) == SHOWN
    with pytest.raises(ContentRefusedError, match="I cannot") as caught:
        next(stream)
    assert (caught.value.partial is not None) == shown
    assert requested(madspark_simulator) == ["openai"]


@pytest.fixture
def router(madspark_simulator: Simulator, madspark_router: MakeRouter) -> LLMRouter:
    """Return a router whose stream closes two fields and then stalls."""
    script(madspark_simulator, "ollama", [BEGINNING], complete=False, fault="stall_mid_body")
    return madspark_router(primary_provider="ollama", fallback_enabled=False)


async def test_closing_early_closes_the_socket(router: LLMRouter, madspark_simulator: Simulator) -> None:
    async for _ in router.astream_structured(QUESTION, River):
        break
    assert await madspark_simulator.await_hang_ups(1, timeout=10)
    stream = router.astream_structured(QUESTION, River)
    await anext(stream)
    await stream.aclose()
    assert await madspark_simulator.await_hang_ups(2, timeout=10)
    assert [item async for item in stream] == []
    stream = router.astream_structured(QUESTION, River)
    await anext(stream)
    del stream
    gc.collect()
    assert await madspark_simulator.await_hang_ups(3, timeout=10)


def test_sync_streams_close_their_sockets(router: LLMRouter, madspark_simulator: Simulator) -> None:
    with router.stream_structured(QUESTION, River) as stream:
        assert next(stream) == SHOWN
    assert madspark_simulator.wait_for_hang_ups(1, 10)
    stream = router.stream_structured(QUESTION, River)
    next(stream)
    reader = threading.Thread(target=lambda: list(stream))
    reader.start()
    stream.close()
    reader.join(10)
    assert not reader.is_alive()
    assert madspark_simulator.wait_for_hang_ups(2, 10)


async def test_cancelling_a_read_closes_the_socket(router: LLMRouter, madspark_simulator: Simulator) -> None:
    stream = router.astream_structured(QUESTION, River)
    assert await anext(stream) == SHOWN
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await madspark_simulator.await_hang_ups(1, timeout=10)
    assert [item async for item in stream] == []
    assert stream.partial == SHOWN
    assert router.get_metrics()["failed_requests"] == 0


def test_an_error_of_a_custom_validator_ends_the_stream(
    madspark_simulator: Simulator, madspark_router: MakeRouter
) -> None:
    class Strange(River):
        @field_validator("name")
        @classmethod
        def lookup(cls, name: str) -> str:
            raise LookupError(name)

    script(madspark_simulator, "ollama", [REPLY])
    stream = madspark_router(primary_provider="ollama").stream_structured(QUESTION, Strange)
    with pytest.raises(LookupError, match="Elbe"):
        list(stream)
    assert list(stream) == []


async def test_files_are_sent_with_the_prompt(
    madspark_simulator: Simulator, madspark_router: MakeRouter, tmp_path: Any
) -> None:
    notes = tmp_path / "notes.md"
    notes.write_text("The Elbe rises in the Giant Mountains.")
    router = madspark_router(primary_provider="ollama")
    items = [item async for item in router.astream_structured(QUESTION, River, files=[notes])]
    assert isinstance(items[-1], River)
    assert isinstance([*router.stream_structured(QUESTION, River, files=[notes])][-1], River)
    for request in madspark_simulator.requests:
        assert "Giant Mountains" in request.body.decode()
    missing = router.astream_structured(QUESTION, River, files=[tmp_path / "missing.md"])
    with pytest.raises(FileNotFoundError):
        await anext(missing)
    assert [item async for item in missing] == []
    assert len(madspark_simulator.requests) == 2


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({"prompt": "  "}, ValueError),
        ({"temperature": 2.1}, ValueError),
        ({"force_provider": "nobody"}, ValueError),
        ({"on_stream_error": "continue"}, ValueError),
        ({"idle_timeout": 0}, ValueError),
        ({"token_budget": 0}, ValueError),
        ({"schema": BaseModel}, TypeError),
        ({"schema": {"type": "nothing"}}, ValueError),
    ],
)
def test_invalid_arguments_raise_before_a_request(
    wrong: dict[str, Any], kind: type[Exception], madspark_simulator: Simulator, madspark_router: MakeRouter
) -> None:
    router = madspark_router()
    for begin in (router.stream_structured, router.astream_structured):
        with pytest.raises(kind, match=r"\w"):
            begin(**{"prompt": QUESTION, "schema": River, **wrong})
    assert madspark_simulator.requests == []
    assert router.get_metrics()["total_requests"] == 0


def test_types_follow_the_schema_and_the_mode(madspark_router: MakeRouter) -> None:
    router = madspark_router(primary_provider="mock")
    stream = router.stream_structured(QUESTION, River)
    assert_type(stream, StructuredStream[River, Never])
    for item in stream:
        assert_type(item, dict[str, Any] | list[Any] | River)
    assert_type(stream.value, River)
    restarting = router.astream_structured(QUESTION, River, on_stream_error="restart")
    assert_type(restarting, AsyncStructuredStream[River, Restarted])
    assert isinstance(restarting, madspark.AsyncStructuredStream)
    assert repr(restarting) == "<AsyncStructuredStream open>"
