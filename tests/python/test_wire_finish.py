"""Why a reply ended: whole, cut, blocked, or broken off by the server."""

from __future__ import annotations

from typing import Any

import pytest

from madspark import ContentRefusedError
from raw_server import RawServer, whole
from wire_bytes import (
    BODIES,
    CUT,
    DONE,
    EVENTS,
    PROTOCOLS,
    TEXT_WAYS,
    VALUE,
    VALUE_WAYS,
    WAYS,
    Name,
    Way,
    ask,
    data,
    gemini,
    is_streamed,
    line,
    named,
    openai,
    openai_chunk,
    router,
    says,
    send,
    streamed,
)

# --- Good ends and cuts

LIMITS: list[tuple[Name, str]] = [
    *((name, CUT[name]) for name in PROTOCOLS),
    ("openai", "MAX_TOKENS"),
    ("openai", "max_tokens"),
    ("openai", "Length"),
    ("openai", "model_length"),
    ("anthropic", "MAX_TOKENS"),
    ("anthropic", "model_context_window_exceeded"),
    ("gemini", "max_tokens"),
    ("ollama", "LENGTH"),
]


@pytest.mark.parametrize("way", TEXT_WAYS)
@pytest.mark.parametrize(("name", "reason"), LIMITS)
def test_a_text_cut_at_the_callers_limit_says_so(name: Name, reason: str, way: Way) -> None:
    response = ask(name, way, says(name, way, "Half of", reason), call={"max_tokens": 5}).result
    assert (response.text if way == "whole" else "Half of") == "Half of"
    assert (response.finish_reason, response.truncated, response.provider_finish_reason) == ("length", True, reason)


@pytest.mark.parametrize("way", VALUE_WAYS)
@pytest.mark.parametrize(("name", "reason"), LIMITS)
def test_a_value_cut_at_a_limit_is_no_answer(name: Name, reason: str, way: Way) -> None:
    outcome = ask(name, way, says(name, way, VALUE[:20], reason), max_attempts=1)
    assert outcome.errors == ["truncated"]


@pytest.mark.parametrize("way", TEXT_WAYS)
@pytest.mark.parametrize(("name", "reason"), LIMITS)
def test_a_text_cut_at_the_servers_limit_is_no_answer(name: Name, reason: str, way: Way) -> None:
    outcome = ask(name, way, says(name, way, "partial te", reason), max_attempts=1)
    assert outcome.errors == ["truncated"]


GOOD: list[tuple[Name, Any]] = [
    ("openai", "stop"),
    ("openai", "STOP"),
    ("openai", "eos"),
    ("openai", "end_turn"),
    ("openai", None),
    ("openai", ""),
    ("openai", 1),
    ("anthropic", "end_turn"),
    ("anthropic", "stop_sequence"),
    ("gemini", "STOP"),
    ("gemini", "stop"),
    ("ollama", "stop"),
]


@pytest.mark.parametrize(("name", "reason"), GOOD)
def test_a_good_end(name: Name, reason: Any) -> None:
    response = ask(name, "whole", whole(BODIES[name]("Hello", reason))).result
    assert (response.text, response.truncated) == ("Hello", False)
    if reason:
        assert response.finish_reason == ("other" if reason == 1 else "stop")
        assert response.provider_finish_reason in {reason, "1"}


@pytest.mark.parametrize("way", TEXT_WAYS)
def test_an_unknown_reason_is_reported(way: Way) -> None:
    for reason in ("eventually", "preempted_gracefully"):
        response = ask("openai", way, says("openai", way, "Hello", reason)).result
        assert (response.finish_reason, response.provider_finish_reason) == ("other", reason)
        assert response.truncated is False


# --- Ends that are none

BROKEN: list[tuple[Name, str]] = [
    ("openai", "error"),
    ("openai", "ERROR"),
    ("openai", "insufficient_system_resource"),
    ("openai", "aborted"),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("name", "reason"), BROKEN)
def test_a_server_that_gave_up_did_not_answer(name: Name, reason: str, way: Way) -> None:
    text = VALUE if way in VALUE_WAYS else "Half of"
    outcome = ask(name, way, says(name, way, text, reason), max_attempts=1)
    assert outcome.errors[0] in {"server", "overloaded", "disconnected"}
    assert reason.lower() in outcome.words.lower()


CHOICE_ERRORS: list[Any] = [
    {"code": 502, "message": "upstream went away"},
    {"message": "upstream went away"},
    "upstream went away",
    {"code": "502", "message": "upstream went away", "metadata": {"provider_name": "P"}},
]


@pytest.mark.parametrize("error", CHOICE_ERRORS)
@pytest.mark.parametrize("reason", ["error", "stop", None])
@pytest.mark.parametrize("way", WAYS)
def test_the_error_of_a_choice_is_the_outcome(way: Way, reason: str | None, error: Any) -> None:
    if is_streamed(way):
        choice = {"index": 0, "delta": {"content": ""}, "finish_reason": reason, "error": error}
        events = [data(openai_chunk({"content": "Half of"})), data({**openai_chunk({}), "choices": [choice]}), DONE]
        reply = streamed("openai", events)
    else:
        body = openai("Half of", reason)
        body["choices"][0]["error"] = error
        reply = whole(body)
    outcome = ask("openai", way, reply, max_attempts=1)
    assert outcome.errors == ["server"]
    assert "upstream went away" in outcome.words


@pytest.mark.parametrize("way", ["stream", "structured_stream"])
def test_an_error_after_a_cut_is_a_cut(way: Way) -> None:
    for error in ({"code": 502, "message": "upstream went away"}, {"code": 400, "message": "The limit is reached."}):
        end = [data(openai_chunk({}, "length")), data({"error": error}), DONE]
        reply = streamed("openai", [data(openai_chunk({"content": VALUE[:20]})), *end])
        assert ask("openai", way, reply, max_attempts=1).errors == ["truncated"]


# --- Filters

FILTERS: list[tuple[Name, str]] = [
    ("openai", "content_filter"),
    ("openai", "CONTENT_FILTER"),
    ("openai", "safety"),
    ("openai", "SAFETY"),
    ("openai", "content_filtered"),
    ("openai", "sensitive"),
    *(("gemini", reason) for reason in ("SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "RECITATION")),
    *(("gemini", reason) for reason in ("MODEL_ARMOR", "IMAGE_SAFETY", "safety")),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("name", "reason"), FILTERS)
def test_a_filtered_reply_is_blocked_and_nothing_is_sent_elsewhere(name: Name, reason: str, way: Way) -> None:
    other: Name = "ollama"
    with RawServer(says(name, way, "The first half", reason)) as server, RawServer(says(other, way, VALUE)) as second:
        outcome = send(router(name, server, (other, second)), way, server)
        assert isinstance(outcome.error, ContentRefusedError)
        assert (outcome.errors, second.requests, len(server.requests)) == (["blocked"], [], 1)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("text", ["", "The first half", VALUE])
@pytest.mark.parametrize("reason", ["MODEL_ARMOR", "SAFETY", "LANGUAGE", "OTHER", "MALFORMED_RESPONSE", "NEW_REASON"])
def test_the_words_of_a_gemini_reason_are_shown(reason: str, text: str, way: Way) -> None:
    end = gemini(text, reason, finishMessage="Blocked by a floor setting.")
    reply = streamed("gemini", [data(gemini("Well, ", None)), data(end)]) if is_streamed(way) else whole(end)
    outcome = ask("gemini", way, reply, max_attempts=1)
    assert outcome.error is not None
    assert reason in outcome.words
    assert "Blocked by a floor setting." in outcome.words


def test_a_blocked_prompt_of_gemini() -> None:
    for feedback in ({"blockReason": "SAFETY"}, {"blockReason": "OTHER", "blockReasonMessage": "No."}):
        for way in WAYS:
            body = {"promptFeedback": feedback, "usageMetadata": {}, "modelVersion": "m"}
            reply = streamed("gemini", [data(body)]) if is_streamed(way) else whole(body)
            outcome = ask("gemini", way, reply)
            assert (outcome.errors, len(outcome.requests)) == (["blocked"], 1)


# --- Gemini's reasons in every event


@pytest.mark.parametrize("pause", [0.0, 0.4])
@pytest.mark.parametrize("way", ["stream", "structured_stream"])
def test_a_stop_in_every_event_ends_nothing(way: Way, pause: float) -> None:
    text = VALUE if way == "structured_stream" else "one two three"
    pieces = [text[:4], text[4:9], text[9:]]
    events: list[bytes | float] = []
    for piece in pieces:
        events += [data(gemini(piece, "STOP")), pause]
    outcome = ask("gemini", way, streamed("gemini", events))
    assert "".join(outcome.pieces) == text if way == "stream" else outcome.value.score == 7
    assert len(outcome.requests) == 1


def test_an_empty_stop_first() -> None:
    for last in ([], [data(gemini("", "STOP"))], [data(gemini([], "STOP"))]):
        events: list[bytes | float] = [data(gemini([], "STOP")), 0.35, data(gemini("hello", None)), *last]
        outcome = ask("gemini", "stream", streamed("gemini", events))
        assert (outcome.value, len(outcome.requests)) == ("hello", 1)


def test_the_last_reason_counts() -> None:
    events = [data(gemini("one ", "STOP")), data(gemini("two", "MAX_TOKENS"))]
    cut = ask("gemini", "stream", streamed("gemini", events), call={"max_tokens": 9}).result
    assert (cut.finish_reason, cut.truncated) == ("length", True)
    events = [data(gemini("one ", "MAX_TOKENS")), data(gemini("two", "STOP"))]
    whole_reply = ask("gemini", "stream", streamed("gemini", events)).result
    assert (whole_reply.finish_reason, whole_reply.truncated) == ("stop", False)
    events = [data(gemini("one ", "STOP")), data(gemini("two", "SAFETY"))]
    assert ask("gemini", "stream", streamed("gemini", events)).errors == ["blocked"]


def test_a_stop_in_every_event_of_the_other_protocols() -> None:
    events: list[bytes | float] = [data(openai_chunk({"content": "one "}, "stop")), 0.35]
    events += [data(openai_chunk({"content": "two"}, "stop")), DONE]
    assert ask("openai", "stream", streamed("openai", events)).value == "one two"
    body = {"model": "m", "message": {"role": "assistant", "content": "one "}, "done": False, "done_reason": "stop"}
    last = {**body, "message": {"role": "assistant", "content": "two"}, "done": True}
    assert ask("ollama", "stream", streamed("ollama", [line(body), 0.35, line(last)])).value == "one two"
    delta = named("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 1})
    start, *rest = EVENTS["anthropic"](["one ", "two"])
    events = [start, delta, *rest]
    assert ask("anthropic", "stream", streamed("anthropic", events)).value == "one two"


def test_tool_calls_alone_are_named() -> None:
    call = {"id": "x", "type": "function", "function": {"name": "search", "arguments": "{}"}}
    for name, reply in [
        ("openai", whole(openai(None, "tool_calls", tool_calls=[call]))),
        (
            "ollama",
            whole(
                {
                    "model": "m",
                    "message": {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "search"}}]},
                    "done": True,
                    "done_reason": "stop",
                }
            ),
        ),
    ]:
        outcome = ask(name, "whole", reply, max_attempts=1)  # type: ignore[arg-type]
        assert outcome.error is not None
        assert "tool" in outcome.words, name
