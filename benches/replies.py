"""The prepared replies of the upstream for each protocol and model, in the pieces they are written in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from benches import workload

if TYPE_CHECKING:
    from collections.abc import Iterable

Pieces = tuple[bytes, ...]
"""Each piece is written separately; no piece means no reply."""


def all_replies() -> dict[tuple[bytes, bytes], Pieces]:
    """Return the reply for each path and model."""
    replies: dict[tuple[bytes, bytes], Pieces] = {}
    for dialect, path in workload.DIALECTS.items():
        known: dict[str, Pieces] = {
            workload.ANSWER_MODEL: (respond(200, "OK", _whole(dialect, workload.ANSWER)),),
            workload.MISFIT_MODEL: (respond(200, "OK", _whole(dialect, '{"name": "no idea"}')),),
            workload.FAILING_MODEL: (respond(500, "Internal Server Error", {"error": {"message": "it broke"}}),),
            workload.REFUSED_MODEL: (respond(400, "Bad Request", {"error": {"message": "it is wrong"}}),),
            workload.SILENT_MODEL: (),
            workload.BURST_MODEL: (b"".join(_stream(dialect, workload.BURST_MODEL)),),
            workload.SINGLE_MODEL: tuple(_stream(dialect, workload.SINGLE_MODEL)),
        }
        replies |= {(path.encode(), model.encode()): pieces for model, pieces in known.items()}
    return replies


def respond(status: int, reason: str, body: object) -> bytes:
    """Return the HTTP response with `body` as JSON."""
    content = json.dumps(body).encode()
    return _head(status, reason, f"content-type: application/json\r\ncontent-length: {len(content)}") + content


_STREAMED = {"openai": "text/event-stream", "ollama": "application/x-ndjson"}
_CREATED = 1_763_909_211
_TOKENS = {"prompt_tokens": 31, "completion_tokens": 42, "total_tokens": 73}
_COUNTS = {"total_duration": 912_000_000, "prompt_eval_count": 31, "eval_count": 42}


def _head(status: int, reason: str, fields: str) -> bytes:
    return f"HTTP/1.1 {status} {reason}\r\n{fields}\r\n\r\n".encode()


def _whole(dialect: str, content: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    if dialect == "ollama":
        return _ollama(message, done=True)
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return _openai("chat.completion", [choice]) | {"usage": _TOKENS}


def _stream(dialect: str, model: str) -> Iterable[bytes]:
    """Yield the head, and each event as a chunk of HTTP: servers flush after each."""
    yield _head(200, "OK", f"content-type: {_STREAMED[dialect]}\r\ntransfer-encoding: chunked")
    for event in _events(dialect, workload.STORIES[model]):
        yield f"{len(event):x}\r\n".encode() + event + b"\r\n"
    yield b"0\r\n\r\n"


def _events(dialect: str, words: Iterable[str]) -> Iterable[bytes]:
    if dialect == "ollama":
        for word in words:
            yield json.dumps(_ollama({"role": "assistant", "content": word}, done=False)).encode() + b"\n"
        yield json.dumps(_ollama({"role": "assistant", "content": ""}, done=True)).encode() + b"\n"
        return
    kind = "chat.completion.chunk"
    for word in words:
        yield _sse(_openai(kind, [{"index": 0, "delta": {"content": word}, "finish_reason": None}]))
    yield _sse(_openai(kind, [{"index": 0, "delta": {}, "finish_reason": "stop"}]))
    yield _sse(_openai(kind, []) | {"usage": _TOKENS})
    yield b"data: [DONE]\n\n"


def _openai(kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": "chatcmpl-bench", "object": kind, "created": _CREATED, "model": "bench", "choices": choices}


def _ollama(message: dict[str, str], *, done: bool) -> dict[str, Any]:
    reply = {"model": "bench", "created_at": "2026-11-24T10:00:00Z", "message": message, "done": done}
    return reply | {"done_reason": "stop"} | _COUNTS if done else reply


def _sse(event: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(event).encode() + b"\n\n"
