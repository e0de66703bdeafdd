"""The replies of each server in its own words, feature by feature. `docs/servers.md` refers to these tests."""

from __future__ import annotations

import base64
import json
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from raw_server import RawServer, Reply, chunked, whole
from wire_bytes import (
    DONE,
    EVENTS,
    EXPECTED,
    KEY,
    STREAM_TYPES,
    VALUE,
    Name,
    Outcome,
    anthropic,
    data,
    gemini,
    ollama,
    router,
    send,
)

if TYPE_CHECKING:
    from collections.abc import Callable

THOUGHT = "A greeting is due."
IMAGE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Server(NamedTuple):
    """A server: its protocol, its base URL, and how it writes a reply."""

    protocol: Name
    body: Callable[[str, str], dict[str, Any]]
    events: Callable[[str, str], list[bytes]]
    path: str | None = None
    counts: dict[str, int] = {"input": 11, "output": 7}  # noqa: RUF012  (never changed)


def openai_server(
    field: str | None,
    extra: dict[str, Any] | None = None,
    choice: dict[str, Any] | None = None,
    usage: dict[str, Any] | None = None,
    path: str | None = None,
    counts: dict[str, int] | None = None,
    comment: bytes = b"",
    first: list[dict[str, Any]] | None = None,
    last: dict[str, Any] | None = None,
) -> Server:
    """Return a server with the protocol of OpenAI; `field` holds its thoughts, None marks them in the text."""
    used = usage or {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}

    def envelope(kind: str, choices: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
        common = {"id": "x", "object": kind, "created": 1, "model": "m", "choices": choices}
        return {**common, **(extra or {}), **fields}

    def texts(text: str, thought: str) -> list[dict[str, Any]]:
        if field is None:
            return [{"content": f"<think>\n{thought}\n</think>\n\n{text}" if thought else text}]
        return [*([{"content": None, field: thought}] if thought else []), {"content": text}]

    def body(text: str, thought: str) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant"}
        for piece in texts(text, thought):
            message |= piece
        one = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None, **(choice or {})}
        return envelope("chat.completion", [one], usage=used)

    def events(text: str, thought: str) -> list[bytes]:
        def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
            one = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None, **(choice or {})}
            return comment + data(envelope("chat.completion.chunk", [one]))

        pieces = [{name: part} for piece in texts(text, thought) for name, part in split(piece)]
        deltas = [chunk({"role": "assistant", "content": ""}), *map(chunk, pieces), chunk({}, "stop")]
        end = data(envelope("chat.completion.chunk", [], usage=used, **(last or {})))
        return [*map(data, first or []), *deltas, end, DONE]

    return Server("openai", body, events, path, counts or {"input": 11, "output": 7})


def split(fields: dict[str, Any]) -> list[tuple[str, str]]:
    """Return each text in two parts."""
    texts = [(name, text) for name, text in fields.items() if text]
    return [(name, part) for name, text in texts for part in (text[:5], text[5:])]


def native(name: Name, body: Callable[..., dict[str, Any]]) -> Server:
    return Server(
        name,
        lambda text, thought: body(text, **({"thinking": thought} if thought else {})),
        lambda text, thought: EVENTS[name](
            [text[:5], text[5:]], thinking=[thought[:5], thought[5:]] if thought else []
        ),
    )


FILTERED = {"hate": {"filtered": False, "severity": "safe"}}

SERVERS: dict[str, Server] = {
    "openai": openai_server(
        "reasoning_content",
        {"service_tier": "default", "system_fingerprint": None},
        usage={
            "prompt_tokens": 11,
            "completion_tokens": 7,
            "total_tokens": 18,
            "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 2, "accepted_prediction_tokens": 0},
        },
        counts={"input": 7, "cached_input": 4, "output": 5, "reasoning": 2},
    ),
    "azure": openai_server(
        "reasoning_content",
        {
            "system_fingerprint": "fp",
            "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": FILTERED}],
        },
        {"content_filter_results": FILTERED, "content_filter_offsets": {"check_offset": 1}},
        path="/openai/deployments/m?api-version=2024-10-21",
        first=[{"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": []}],
    ),
    "openrouter": openai_server(
        "reasoning",
        {"provider": "P", "system_fingerprint": None},
        {"native_finish_reason": "stop"},
        {
            "prompt_tokens": 11,
            "completion_tokens": 7,
            "total_tokens": 18,
            "cost": 0.0001,
            "is_byok": False,
            "cost_details": {"upstream_inference_cost": None},
        },
        path="/api/v1",
        comment=b": OPENROUTER PROCESSING\n\n",
    ),
    "deepseek": openai_server(
        "reasoning_content",
        usage={
            "prompt_tokens": 11,
            "completion_tokens": 7,
            "total_tokens": 18,
            "prompt_cache_hit_tokens": 4,
            "prompt_cache_miss_tokens": 7,
        },
        counts={"input": 7, "cached_input": 4, "output": 7},
        path="",
    ),
    "ollama-v1": openai_server("reasoning", {"system_fingerprint": "fp_ollama"}),
    "llama-server": openai_server(
        "reasoning_content",
        {"system_fingerprint": "b6000-abc"},
        last={"timings": {"prompt_n": 11, "prompt_ms": 20.5, "predicted_n": 7, "predicted_per_second": 90.1}},
    ),
    "vllm": openai_server(
        "reasoning_content",
        {"prompt_logprobs": None, "kv_transfer_params": None},
        {"stop_reason": None, "token_ids": None},
    ),
    "sglang": openai_server("reasoning_content", {"metadata": {"weight_version": "default"}}, {"matched_stop": 2}),
    "lm-studio": openai_server("reasoning_content", {"stats": {}, "system_fingerprint": "m"}),
    "litellm": openai_server("reasoning_content", {"provider_specific_fields": None}, {"provider_specific_fields": {}}),
    "plain": openai_server(None),
    "gemini": native("gemini", gemini),
    "anthropic": native("anthropic", anthropic),
    "ollama": native("ollama", ollama),
}


def reply(server: Server, way: str, text: str, thought: str = "") -> Reply:
    if way in {"stream", "structured_stream"}:
        return chunked(server.events(text, thought), kind=STREAM_TYPES[server.protocol])
    return whole(server.body(text, thought))


def call(name: str, way: Any, text: str, thought: str = "", **arguments: Any) -> Outcome:
    server = SERVERS[name]
    with RawServer(reply(server, way, text, thought)) as raw:
        config = {} if server.path is None else {"openai_base_url": raw.url + server.path}
        return send(router(server.protocol, raw, config=config), way, raw, **arguments)


ALL = pytest.mark.parametrize("name", SERVERS)

FORMS: dict[str, Callable[[Any], Any]] = {
    "openai": lambda body: body["response_format"]["json_schema"]["schema"],
    "gemini": lambda body: body["generationConfig"]["responseJsonSchema"],
    "anthropic": lambda body: body["output_config"]["format"]["schema"],
    "ollama": lambda body: body["format"],
}


@ALL
def test_structured(name: str) -> None:
    for way in ("structured", "structured_stream"):
        outcome = call(name, way, VALUE)
        assert (outcome.value, len(outcome.requests)) == (EXPECTED, 1), way
        assert set(FORMS[SERVERS[name].protocol](outcome.requests[0].json)["properties"]) == {"score", "comment"}


@ALL
def test_thinking(name: str) -> None:
    for way, text, value in [
        ("whole", "Hello", "Hello"),
        ("stream", "Hello", "Hello"),
        ("structured", VALUE, EXPECTED),
    ]:
        outcome = call(name, way, text, THOUGHT)
        assert (outcome.value, len(outcome.requests)) == (value, 1), way
        assert (outcome.result.reasoning or "").strip() == THOUGHT


@ALL
def test_usage(name: str) -> None:
    for way in ("whole", "stream"):
        usage = call(name, way, "Hello").result.usage
        assert {kind: count for kind, count in usage.items() if count} == SERVERS[name].counts, way


@ALL
def test_cancel(name: str) -> None:
    """Leaving a stream closes the connection, which these servers take as the end of the generation."""
    server, left = SERVERS[name], threading.Event()
    events = server.events("Hello there", "")
    begun = next(at for at, event in enumerate(events) if b"Hello" in event) + 1
    start = chunked(events[:begun], kind=STREAM_TYPES[server.protocol], ends=False)
    with RawServer(start._replace(left=left)) as raw:
        with router(server.protocol, raw).stream("Say something.") as stream:
            assert next(iter(stream)) == "Hello"
        assert left.wait(20)


@ALL
def test_images(name: str) -> None:
    outcome = call(name, "structured", VALUE, images=[IMAGE])
    assert outcome.value == EXPECTED
    encoded = base64.b64encode(IMAGE).decode()
    assert encoded in json.dumps(outcome.requests[0].json)


def test_the_key_of_azure() -> None:
    request = call("azure", "whole", "Hello").requests[0]
    assert request.path == "/openai/deployments/m/chat/completions?api-version=2024-10-21"
    assert request.headers["api-key"] == KEY
    assert "authorization" not in request.headers
    assert call("openrouter", "whole", "Hello").requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_the_key_of_ollama() -> None:
    with RawServer(whole(ollama("Hello"))) as raw:
        send(router("ollama", raw, config={"ollama_api_key": KEY}), "whole", raw)
        send(router("ollama", raw), "whole", raw)
        assert raw.requests[0].headers["authorization"] == f"Bearer {KEY}"
        assert "authorization" not in raw.requests[1].headers


def test_either_name_of_geminis_key(monkeypatch: pytest.MonkeyPatch) -> None:
    from madspark import LLMConfig

    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    monkeypatch.setenv("GEMINI_API_KEY", "from-gemini")
    assert LLMConfig.from_env().gemini_api_key == "from-gemini"
    monkeypatch.setenv("GOOGLE_API_KEY", "from-google")
    assert LLMConfig.from_env().gemini_api_key == "from-google"
