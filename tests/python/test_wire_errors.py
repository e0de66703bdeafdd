"""Errors of providers: their class, their words, how long they ask to wait, and what is sent next."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from madspark import ContentRefusedError, RateLimitError
from madspark.llm.exceptions import MadsparkError
from raw_server import RawServer, whole
from wire_bytes import (
    DONE,
    EVENTS,
    PROTOCOLS,
    VALUE,
    WAYS,
    Name,
    Way,
    ask,
    begun,
    data,
    line,
    named,
    router,
    says,
    send,
    streamed,
)

if TYPE_CHECKING:
    from collections.abc import Callable

# --- Content filters

AZURE = {
    "message": "The response was filtered due to the prompt triggering the content management policy.",
    "type": None,
    "param": "prompt",
    "code": "content_filter",
    "status": 400,
    "innererror": {
        "code": "ResponsibleAIPolicyViolation",
        "content_filter_result": {"hate": {"filtered": True, "severity": "high"}},
    },
}
OPENROUTER = {"reasons": ["violence"], "flagged_input": "Say...", "provider_name": "P", "model_slug": "m"}
POLICY = "Your request was rejected as a result of our safety system."

BLOCKED: list[tuple[Name, int, Any]] = [
    ("openai", 400, {"error": AZURE}),
    ("openai", 400, {"error": {**AZURE, "code": "BadRequest"}}),
    ("openai", 400, {"error": {"message": "Invalid prompt: flagged.", "type": "x", "code": "invalid_prompt"}}),
    ("openai", 400, {"error": {"message": POLICY, "type": "image", "code": "content_policy_violation"}}),
    ("openai", 400, {"error": {"message": POLICY, "type": "content_policy_violation", "code": None}}),
    ("openai", 400, {"error": {"message": "Blocked.", "type": "invalid_request_error", "code": "moderation_blocked"}}),
    ("openai", 403, {"error": {"code": 403, "message": "Input was flagged", "metadata": OPENROUTER}}),
    (
        "openai",
        403,
        {"error": {"code": 403, "message": 'm requires moderation on P. Your input was flagged for "violence".'}},
    ),
    ("openai", 400, {"error": {"message": "Content Exists Risk", "type": "invalid_request_error", "code": "x"}}),
    (
        "openai",
        400,
        {"error": {"code": "data_inspection_failed", "message": "Input data may contain inappropriate content."}},
    ),
    (
        "anthropic",
        400,
        {
            "type": "error",
            "error": {"type": "invalid_request_error", "message": "Output blocked by content filtering policy"},
        },
    ),
    (
        "openai",
        400,
        {
            "error": {
                "message": "Provider returned error",
                "code": 400,
                "metadata": {"raw": json.dumps({"error": AZURE})},
            }
        },
    ),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("name", "status", "body"), BLOCKED)
def test_a_filtered_prompt_goes_nowhere_else(name: Name, status: int, body: Any, way: Way) -> None:
    other: Name = "ollama"
    with RawServer(whole(body, status)) as server, RawServer(says(other, way, VALUE)) as second:
        outcome = send(router(name, server, (other, second)), way, server)
        assert isinstance(outcome.error, ContentRefusedError)
        assert (outcome.errors, len(server.requests), second.requests) == (["blocked"], 1, [])
        assert outcome.error.status == status


def test_a_filtered_prompt_goes_on_where_that_is_wanted() -> None:
    with RawServer(whole({"error": AZURE}, 400)) as server, RawServer(says("ollama", "whole", "Hello")) as second:
        outcome = send(router("openai", server, ("ollama", second), on_refusal="next"), "whole", server)
        assert (outcome.value, outcome.errors) == ("Hello", ["blocked", None])


@pytest.mark.parametrize("when", ["first", "after text"])
@pytest.mark.parametrize("way", ["stream", "structured_stream"])
def test_a_filter_inside_a_stream(way: Way, when: str) -> None:
    cases: list[tuple[Name, bytes]] = [
        ("openai", data({"error": AZURE})),
        ("openai", data({"error": {"code": "content_filter", "message": "Filtered."}})),
        ("anthropic", named("error", error={"type": "x", "message": "Output blocked by content filtering policy"})),
    ]
    for name, event in cases:
        start = begun(name, ["One ", "two"]) if when == "after text" else []
        with RawServer(streamed(name, [*start, event])) as server, RawServer(says("ollama", way, VALUE)) as second:
            outcome = send(router(name, server, ("ollama", second)), way, server)
            assert isinstance(outcome.error, ContentRefusedError)
            assert (outcome.errors, second.requests) == (["blocked"], [])


# --- Errors inside of a good status

WORDS = "CUDA error: out of memory"

IN_BODY: list[Any] = [
    {"error": {"message": WORDS, "type": "server_error", "code": 500}},
    {"error": {"message": WORDS}},
    {"error": WORDS},
    {"error": {"error": {"message": WORDS}}},
    {"code": 500, "message": WORDS},
    {"code": "InternalError", "message": WORDS, "request_id": "x"},
    {"code": 500, "msg": WORDS},
    {"code": 500, "msg": WORDS, "data": None, "success": False},
    {"object": "error", "message": WORDS, "type": "InternalServerError", "param": None, "code": 500},
    {"type": "error", "error": {"type": "api_error", "message": WORDS}},
    {"detail": WORDS},
    {"errors": [{"code": 5001, "message": WORDS}], "success": False},
    {"success": False, "error": WORDS},
    {"base_resp": {"status_code": 1000, "status_msg": WORDS}, "choices": None},
]


@pytest.mark.parametrize("body", IN_BODY)
@pytest.mark.parametrize("name", PROTOCOLS)
def test_an_error_with_status_200_shows_its_words(name: Name, body: Any) -> None:
    for way in ("whole", "structured"):
        outcome = ask(name, way, whole(body), max_attempts=1)
        assert outcome.error is not None
        assert WORDS in outcome.words


@pytest.mark.parametrize("body", IN_BODY)
@pytest.mark.parametrize("when", ["first", "after text"])
@pytest.mark.parametrize("name", PROTOCOLS)
def test_an_error_inside_a_stream_shows_its_words(name: Name, when: str, body: Any) -> None:
    text = [VALUE[:13], VALUE[13:]]
    for way in ("stream", "structured_stream"):
        start = begun(name, text) if when == "after text" else []
        event = line(body) if name == "ollama" else data(body)
        end = [DONE] if name == "openai" else []
        outcome = ask(name, way, streamed(name, [*start, event, *end]), max_attempts=1)
        assert outcome.error is not None
        assert WORDS in outcome.words


def test_the_word_error_in_a_text_is_no_error() -> None:
    for text in ("error: out of memory", "Error", '{"error": "x"}', "[ERROR] no"):
        for name in PROTOCOLS:
            for way in ("whole", "stream"):
                assert ask(name, way, says(name, way, text)).value == text


def test_an_error_word_in_a_comment_of_a_stream_is_ignored() -> None:
    events = EVENTS["openai"](["Hello"])
    reply = streamed("openai", [b": error: a comment\n\n", *events[:2], b": keep-alive\n\n", *events[2:]])
    assert ask("openai", "stream", reply).value == "Hello"


# --- Classes

LONG = "This endpoint's maximum context length is 8192 tokens. However, you requested 9000 tokens."

CLASSES: list[tuple[str, Name, int, Any]] = [
    (
        "context_too_long",
        "openai",
        400,
        {"error": {"message": "The total length of all messages is too long.", "type": "too_many_prompt_tokens"}},
    ),
    ("context_too_long", "openai", 400, {"error": {"message": "x", "type": "too_many_prompt_tokens", "code": 400}}),
    (
        "context_too_long",
        "openai",
        400,
        {"error": {"message": "Total length of all messages is too long", "type": "bad_request", "code": 400}},
    ),
    (
        "context_too_long",
        "openai",
        400,
        {
            "error": {
                "message": "Provider returned error",
                "code": 400,
                "metadata": {"raw": json.dumps({"error": {"message": LONG}}), "provider_name": "P"},
            }
        },
    ),
    (
        "context_too_long",
        "openai",
        400,
        {"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": LONG}}},
    ),
    (
        "context_too_long",
        "openai",
        400,
        {"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": {"message": LONG}}}},
    ),
    (
        "context_too_long",
        "openai",
        400,
        {
            "error": {
                "code": 400,
                "message": "request (9000 tokens) exceeds the available context size (4096 tokens)",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 9000,
                "n_ctx": 4096,
            }
        },
    ),
    (
        "model_missing",
        "openai",
        404,
        {"error": {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist."}},
    ),
    (
        "model_missing",
        "openai",
        400,
        {
            "object": "error",
            "message": "Invalid model: m-large",
            "type": "invalid_model",
            "param": None,
            "code": "1500",
        },
    ),
    (
        "model_missing",
        "openai",
        400,
        {"error": {"message": "m is not a valid model ID", "code": 400}},
    ),
    (
        "model_missing",
        "openai",
        404,
        {
            "error": {
                "message": "The model `m` does not exist",
                "type": "invalid_request_error",
                "code": "model_not_found",
            }
        },
    ),
    ("model_missing", "ollama", 404, {"error": "model 'm' not found"}),
    (
        "unauthorized",
        "openai",
        400,
        {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***. Get one at x."},
    ),
    (
        "unauthorized",
        "openai",
        400,
        {"error": {"message": "Incorrect API key provided", "type": "invalid_request_error", "code": None}},
    ),
    (
        "unauthorized",
        "gemini",
        400,
        {
            "error": {
                "code": 400,
                "message": "API key not valid. Please pass a valid API key.",
                "status": "INVALID_ARGUMENT",
                "details": [{"reason": "API_KEY_INVALID"}],
            }
        },
    ),
    (
        "insufficient_quota",
        "openai",
        402,
        {"error": {"message": "Insufficient Balance", "type": "unknown_error", "code": "invalid_request_error"}},
    ),
    ("rejected", "openai", 400, {"error": {"message": "The moon is not full.", "type": "invalid_request_error"}}),
]


@pytest.mark.parametrize(("expected", "name", "status", "body"), CLASSES)
def test_the_class_of_an_error(expected: str, name: Name, status: int, body: Any) -> None:
    for way in ("whole", "structured_stream"):
        outcome = ask(name, way, whole(body, status), max_attempts=1)
        assert outcome.errors == [expected]


def test_nested_words_are_shown() -> None:
    for raw in (json.dumps({"error": {"message": "The moon is not full."}}), "The moon is not full."):
        body = {"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": raw}}}
        assert "The moon is not full." in ask("openai", "whole", whole(body, 400)).words


@pytest.mark.parametrize(
    "body",
    [
        '{"detail": "The moon is not full."}',
        '{"detail": [{"loc": ["body", "x"], "msg": "The moon is not full.", "type": "value_error"}]}',
        '{"message": "The moon is not full."}',
        '{"error": "The moon is not full."}',
        '{"error": {"msg": "The moon is not full."}}',
        '{"errors": ["The moon is not full."]}',
        '{"errors": [{"message": "The moon is not full."}]}',
        "The moon is not full.",
        '[{"error": {"code": 400, "message": "The moon is not full.", "status": "INVALID_ARGUMENT"}}]',
        '"The moon is not full."',
        '\ufeff{"error": {"message": "The moon is not full."}}',
    ],
)
@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_words_of_an_error_are_always_shown(name: Name, body: str) -> None:
    outcome = ask(name, "whole", whole(body, 422))
    assert "The moon is not full." in outcome.words
    assert outcome.errors == ["rejected"]


# --- Waits

WAITS: list[tuple[float, Name, list[str], str]] = [
    (2.961, "openai", [], "Rate limit reached for model `m`: Limit 6000, Used 5900. Please try again in 2.961s."),
    (0.02, "openai", [], "Rate limit reached. Please try again in 20ms. Visit x to learn more."),
    (372.0, "openai", [], "Rate limit reached on tokens per day. Please try again in 6m12s."),
    (3720.0, "openai", [], "Rate limit reached. Please try again in 1h2m0s."),
    (1.5, "gemini", [], "You exceeded your current quota. Please retry in 1.5s."),
    (33.7, "gemini", [], "You exceeded your current quota. \nPlease retry in 33.7s."),
    (20.0, "openai", [], "Too many requests. Please wait 20 seconds before retrying."),
    (2.0, "openai", ["x-ratelimit-remaining-requests: 0", "x-ratelimit-reset-requests: 2s"], "Slow down."),
    (0.12, "openai", ["x-ratelimit-remaining-requests: 0", "x-ratelimit-reset-requests: 120ms"], "Slow down."),
    (61.0, "openai", ["x-ratelimit-remaining-tokens: 0", "x-ratelimit-reset-tokens: 1m1s"], "Slow down."),
    (1.0, "openai", ["retry-after: 1", "retry-after-ms: 0"], "Slow down."),
    (2.5, "openai", ["retry-after: 1", "retry-after-ms: 2500"], "Slow down."),
    (3.0, "openai", ["retry-after-ms: 3000"], "Slow down."),
    (7.0, "anthropic", ["retry-after: 7"], "Slow down."),
]


@pytest.mark.parametrize(("wait", "name", "headers", "message"), WAITS)
def test_the_wait_that_a_provider_names_is_kept(wait: float, name: Name, headers: list[str], message: str) -> None:
    body = {"error": {"message": message, "type": "rate_limit_error", "code": 429, "status": "RESOURCE_EXHAUSTED"}}
    outcome = ask(name, "whole", whole(body, 429, *headers), deadline=0.9, max_attempts=2)
    assert isinstance(outcome.error, RateLimitError)
    assert outcome.error.attempts[0].retry_after == pytest.approx(wait)


def test_limits_inside_of_an_error_are_read() -> None:
    limits = {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0", "Retry-After": "9"}
    body = {"error": {"message": "Rate limit exceeded", "code": 429, "metadata": {"headers": limits}}}
    outcome = ask("openai", "whole", whole(body, 429), deadline=1.0)
    assert outcome.error is not None
    assert outcome.error.attempts[0].retry_after == pytest.approx(9)
    assert len(outcome.requests) == 1


def test_a_wait_longer_than_the_deadline_is_not_begun() -> None:
    body = {"error": {"message": "Please try again in 2.961s.", "type": "tokens", "code": "rate_limit_exceeded"}}
    outcome = ask("openai", "whole", whole(body, 429), says("openai", "whole", "Hello"), deadline=1.0)
    assert len(outcome.requests) == 1
    assert outcome.error is not None


# --- A server that is loading

LOADING: list[tuple[int, Any]] = [
    (503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}),
    (503, {"error": {"message": "Loading model", "type": "unavailable_error"}}),
    (503, {"error": "model is loading"}),
    (503, {"error": "Model m is currently loading", "estimated_time": 20.0}),
    (503, {"status": "loading model"}),
]


@pytest.mark.parametrize(("status", "body"), LOADING)
def test_a_model_that_is_loading_is_waited_for(status: int, body: Any) -> None:
    busy = whole(body, status)
    outcome = ask("openai", "whole", *[busy] * 4, says("openai", "whole", "Hello"), deadline=60.0)
    assert (outcome.value, len(outcome.requests)) == ("Hello", 5)
    assert set(outcome.errors) == {"loading", None}


def test_a_loading_model_is_waited_for_no_longer_than_the_deadline() -> None:
    outcome = ask("openai", "whole", whole(LOADING[0][1], 503), deadline=0.5)
    assert outcome.error is not None
    assert "loading" in outcome.errors


# --- Messages say what came and what to do


def path_of(url: str) -> Callable[[RawServer], str]:
    return lambda server: server.url + url


NOT_FOUND: list[tuple[Name, str, str]] = [
    ("openai", "openai_base_url", ""),
    ("openai", "openai_base_url", "/v1/chat/completions"),
    ("openai", "openai_base_url", "/api"),
    ("anthropic", "anthropic_base_url", ""),
    ("anthropic", "anthropic_base_url", "/v1/messages"),
    ("ollama", "ollama_host", "/v1"),
    ("ollama", "ollama_host", "/api"),
    ("gemini", "gemini_base_url", ""),
]

# What the message names: the part of the path that is too much, or the one that is missing.
HINTS = {"": "/v1", "/v1/chat/completions": "/chat/completions", "/v1/messages": "/messages"}


@pytest.mark.parametrize(("name", "field", "path"), NOT_FOUND)
@pytest.mark.parametrize("body", ["404 page not found", '{"detail": "Not Found"}', "", "<html>404</html>"])
def test_a_wrong_base_url_is_named(name: Name, field: str, path: str, body: str) -> None:
    with RawServer(whole(body, 404, kind="text/plain")) as server:
        target = router(name, server, config={field: server.url + path})
        words = send(target, "whole", server).words
    assert "URL" in words or "url" in words or "OLLAMA_HOST" in words or "ollama_host" in words
    assert HINTS.get(path, path) in words or (name, path) == ("anthropic", "")


def test_a_server_that_repeats_the_prompt_does_not_put_it_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    prompt = "The secret recipe of the house is thyme with honey."
    with caplog.at_level(logging.DEBUG, logger="madspark"):
        for body in (
            {"error": {"message": f"Invalid request: {prompt}"}},
            {"error": {"message": "Bad", "param": prompt}},
            {"detail": [{"loc": ["body"], "msg": "bad", "input": {"messages": [{"content": prompt}]}}]},
            prompt,
        ):
            with RawServer(whole(body if isinstance(body, str) else json.dumps(body), 400)) as server:
                target = router("openai", server)
                with pytest.raises(MadsparkError):
                    target.generate(prompt)
    assert "secret recipe" not in caplog.text
