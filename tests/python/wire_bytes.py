"""The protocols as bytes, written from the providers' documentation, and calls in the three ways in which text arrives.

Nothing here uses the simulator or the package's own encoders.
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import BaseModel

from madspark import LLMConfig, LLMRouter
from madspark.llm.exceptions import MadsparkError
from raw_server import RawServer, Received, Reply, chunked, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from madspark import LLMResponse

Name = Literal["openai", "anthropic", "gemini", "ollama"]
Way = Literal["whole", "stream", "structured", "structured_stream"]

PROTOCOLS: list[Name] = ["openai", "anthropic", "gemini", "ollama"]
TEXT_WAYS: list[Way] = ["whole", "stream"]
VALUE_WAYS: list[Way] = ["structured", "structured_stream"]
WAYS: list[Way] = [*TEXT_WAYS, *VALUE_WAYS]

VALUE = '{"score": 7, "comment": "fine"}'
DRAFT = '{"score": 3, "comment": "a draft that is much longer than the answer"}'
KEY = "key-of-no-worth-in-tests"


class Score(BaseModel):
    """The schema of the structured ways."""

    score: int
    comment: str


EXPECTED = Score(score=7, comment="fine")


class Outcome(NamedTuple):
    """What a call returned, and what it sent."""

    value: Any
    error: MadsparkError | None
    response: Any
    requests: list[Received]
    pieces: list[Any]

    @property
    def result(self) -> LLMResponse:
        """The response of a call that succeeded."""
        assert self.error is None, f"{type(self.error).__name__}: {self.error}"
        response: LLMResponse = self.response
        return response

    @property
    def errors(self) -> list[str | None]:
        """The class of each attempt."""
        return [attempt.error for attempt in (self.error or self.response).attempts]

    @property
    def words(self) -> str:
        """The messages of the error and of all attempts."""
        messages = [attempt.message or "" for attempt in (self.error or self.response).attempts]
        return "\n".join([str(self.error or ""), *messages])


def is_streamed(way: Way) -> bool:
    return way in {"stream", "structured_stream"}


def pairs(*names: Name) -> list[tuple[Name, Way]]:
    """Return each protocol with each way."""
    return [(name, way) for name in names or PROTOCOLS for way in WAYS]


# --- Whole replies


def openai(content: Any, finish: Any = "stop", *, usage: Any = None, **message: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}
    usage = usage or {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    return {"id": "c-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}


def anthropic(content: Any, finish: Any = "end_turn", *, usage: Any = None, thinking: str = "") -> dict[str, Any]:
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) and content else content or []
    if thinking:
        blocks = [{"type": "thinking", "thinking": thinking, "signature": "x"}, *blocks]
    usage = usage or {"input_tokens": 11, "output_tokens": 7}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": blocks,
        "stop_reason": finish,
        "stop_sequence": None,
        "usage": usage,
    }


def gemini(
    content: Any, finish: Any = "STOP", *, usage: Any = None, thinking: str = "", **candidate: Any
) -> dict[str, Any]:
    parts = [{"text": content}] if isinstance(content, str) else content
    if thinking:
        parts = [{"text": thinking, "thought": True}, *(parts if content else [])]
    reply: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0, **candidate}
    if finish is not None:
        reply["finishReason"] = finish
    usage = usage or {"promptTokenCount": 11, "candidatesTokenCount": 7, "totalTokenCount": 18}
    return {"candidates": [reply], "usageMetadata": usage, "modelVersion": "m"}


def ollama(content: Any, finish: Any = "stop", *, thinking: str = "", **fields: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content, **({"thinking": thinking} if thinking else {})}
    end: dict[str, Any] = {"done": True, "done_reason": finish, "prompt_eval_count": 11, "eval_count": 7}
    return {"model": "m", "created_at": "2026-11-30T11:13:27Z", "message": message, **end, **fields}


BODIES: dict[Name, Callable[..., dict[str, Any]]] = {
    "openai": openai,
    "anthropic": anthropic,
    "gemini": gemini,
    "ollama": ollama,
}

FINISHED: dict[Name, str] = {"openai": "stop", "anthropic": "end_turn", "gemini": "STOP", "ollama": "stop"}
CUT: dict[Name, str] = {"openai": "length", "anthropic": "max_tokens", "gemini": "MAX_TOKENS", "ollama": "length"}


# --- Events


def data(value: Any) -> bytes:
    """Return one server-sent event; text is sent as it is."""
    return b"data: " + (value.encode() if isinstance(value, str) else json.dumps(value).encode()) + b"\n\n"


def line(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"


def openai_chunk(delta: Any, finish: Any = None, **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **fields}


DONE = b"data: [DONE]\n\n"


def openai_events(pieces: Sequence[str], finish: str | None = "stop", thinking: Sequence[str] = ()) -> list[bytes]:
    events = [data(openai_chunk({"role": "assistant", "content": ""}))]
    events += [data(openai_chunk({"reasoning_content": piece})) for piece in thinking]
    events += [data(openai_chunk({"content": piece})) for piece in pieces]
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    return [*events, data(openai_chunk({}, finish, usage=usage)), DONE]


def named(kind: str, **fields: Any) -> bytes:
    """Return one event of Anthropic's."""
    return f"event: {kind}\n".encode() + data({"type": kind, **fields})


def anthropic_start() -> bytes:
    message: dict[str, Any] = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
    }
    return named("message_start", message={**message, "usage": {"input_tokens": 11, "output_tokens": 1}})


def anthropic_text(pieces: Sequence[str], index: int = 0) -> list[bytes]:
    start = named("content_block_start", index=index, content_block={"type": "text", "text": ""})
    deltas = [
        named("content_block_delta", index=index, delta={"type": "text_delta", "text": piece}) for piece in pieces
    ]
    return [start, *deltas, named("content_block_stop", index=index)]


def anthropic_end(finish: str | None = "end_turn") -> list[bytes]:
    delta = named("message_delta", delta={"stop_reason": finish, "stop_sequence": None}, usage={"output_tokens": 7})
    return [delta, named("message_stop")]


def anthropic_events(
    pieces: Sequence[str], finish: str | None = "end_turn", thinking: Sequence[str] = ()
) -> list[bytes]:
    events = [anthropic_start()]
    if thinking:
        block = {"type": "thinking", "thinking": "", "signature": ""}
        events.append(named("content_block_start", index=0, content_block=block))
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in thinking]
        events += [named("content_block_delta", index=0, delta=delta) for delta in deltas]
        events.append(named("content_block_stop", index=0))
    if pieces:
        events += anthropic_text(pieces, 1 if thinking else 0)
    return [*events, *anthropic_end(finish)]


def gemini_events(pieces: Sequence[str], finish: str | None = "STOP", thinking: Sequence[str] = ()) -> list[bytes]:
    events = [data(gemini("", None, thinking=piece)) for piece in thinking]
    events += [data(gemini(piece, None)) for piece in pieces[:-1]]
    return [*events, data(gemini(pieces[-1] if pieces else "", finish))]


def ollama_events(pieces: Sequence[str], finish: str | None = "stop", thinking: Sequence[str] = ()) -> list[bytes]:
    def event(message: dict[str, str]) -> bytes:
        return line({"model": "m", "created_at": "x", "message": {"role": "assistant", **message}, "done": False})

    events = [event({"content": "", "thinking": piece}) for piece in thinking]
    events += [event({"content": piece}) for piece in pieces]
    return [*events, line(ollama("", finish))] if finish else events


EVENTS: dict[Name, Callable[..., list[bytes]]] = {
    "openai": openai_events,
    "anthropic": anthropic_events,
    "gemini": gemini_events,
    "ollama": ollama_events,
}

STREAM_TYPES: dict[Name, str] = {
    "openai": "text/event-stream",
    "anthropic": "text/event-stream",
    "gemini": "text/event-stream",
    "ollama": "application/x-ndjson",
}


def streamed(name: Name, events: Sequence[bytes | float], size: int | None = None) -> Reply:
    """Return a stream of events, each in its own chunk or, with `size`, in chunks of so many bytes."""
    pieces: Sequence[bytes | float] = events
    if size is not None:
        body = b"".join(event for event in events if isinstance(event, bytes))
        pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return chunked(pieces, kind=STREAM_TYPES[name])


def begun(name: Name, pieces: Sequence[str]) -> list[bytes]:
    """Return the events of a stream up to its first text."""
    events = EVENTS[name](pieces)
    text = json.dumps(pieces[0])[1:-1].encode()
    return events[: 1 + next(at for at, event in enumerate(events) if text in event)]


def cut_at_random(body: bytes, seed: int) -> list[bytes]:
    """Return `body` in pieces of random sizes."""
    sizes = random.Random(seed)  # noqa: S311  (tests repeat)
    pieces = []
    while body:
        size = sizes.choice([1, 2, 3, 7, 40, 300])
        pieces.append(body[:size])
        body = body[size:]
    return pieces


def says(
    name: Name,
    way: Way,
    text: str,
    finish: str | None = None,
    *,
    pieces: Sequence[str] | None = None,
    thinking: str = "",
    size: int | None = None,
) -> Reply:
    """Return a good reply with `text`, as a stream if the way is one: of `pieces`, by default of one character each."""
    finish = finish or FINISHED[name]
    if is_streamed(way):
        thoughts = [thinking[:3], thinking[3:]] if thinking else []
        return streamed(name, EVENTS[name](list(text) if pieces is None else pieces, finish, thoughts), size)
    if name == "openai" and thinking:
        return whole(openai(text, finish, reasoning_content=thinking))
    return whole(BODIES[name](text, finish, **({"thinking": thinking} if thinking else {})))


# --- Calls


def router(name: Name, server: RawServer, fallback: tuple[Name, RawServer] | None = None, **options: Any) -> LLMRouter:
    """Return a router whose provider is the server. `LLMConfig` fields are passed in `config`."""
    settings: dict[str, Any] = {
        "openai_model": "m",
        "anthropic_model": "m",
        # A model whose thinking can be switched off.
        "gemini_model": "gemini-2.5-flash",
        "openai_api_key": KEY,
        "anthropic_api_key": KEY,
        "gemini_api_key": KEY,
        "cache_enabled": False,
        "ollama_host": "http://127.0.0.1:9",
        "openai_base_url": "http://127.0.0.1:9/v1",
        "gemini_base_url": "http://127.0.0.1:9/v1beta",
        "anthropic_base_url": "http://127.0.0.1:9/v1",
    }
    fields = {
        "ollama": ("ollama_host", ""),
        "openai": ("openai_base_url", "/v1"),
        "gemini": ("gemini_base_url", "/v1beta"),
        "anthropic": ("anthropic_base_url", "/v1"),
    }
    for provider, target in [(name, server), *([fallback] if fallback else [])]:
        field, path = fields[provider]
        settings[field] = target.url + path
    settings.update(options.pop("config", {}))
    return LLMRouter(name, fallback is not None, config=LLMConfig(**settings), **options)


def ask(name: Name, way: Way, *replies: Reply | Callable[[Received], Reply], **options: Any) -> Outcome:
    """Call a server with these replies. `schema` and `call` are for the call, the other options for the router."""
    schema = options.pop("schema", Score)
    call = options.pop("call", {})
    with RawServer(*replies) as server:
        return send(router(name, server, **options), way, server, schema, **call)


def send(target: LLMRouter, way: Way, server: RawServer, schema: Any = Score, **call: Any) -> Outcome:
    """Call a router in one of the ways."""
    value: Any = None
    error: MadsparkError | None = None
    response: Any = None
    pieces: list[Any] = []
    try:
        if way == "whole":
            value, response = target.generate("Say something.", **call)
        elif way == "structured":
            value, response = target.generate_structured("Say something.", schema, **call)
        elif way == "stream":
            with target.stream("Say something.", **call) as stream:
                pieces.extend(stream)
            value, response = stream.text, stream.response
        else:
            with target.stream_structured("Say something.", schema, **call) as objects:
                pieces.extend(objects)
            value, response = objects.value, objects.response
    except MadsparkError as failure:
        error = failure
    assert not server.failed, server.failed
    return Outcome(value, error, response, list(server.requests), pieces)
