"""OpenAI's responses API, chosen with `openai_api="responses"`, as bytes on the wire."""

from __future__ import annotations

import base64
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from madspark import Coordinator, LLMConfig, LLMRouter
from madspark.llm.exceptions import ContentRefusedError
from madspark.testing import Simulator
from raw_server import RawServer, Received, Reply, chunked, whole
from wire_bytes import (
    DONE,
    DRAFT,
    EXPECTED,
    KEY,
    TEXT_WAYS,
    VALUE,
    VALUE_WAYS,
    WAYS,
    Outcome,
    Score,
    Way,
    ask,
    cut_at_random,
    is_streamed,
    named,
    router,
    send,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

USAGE = {
    "input_tokens": 11,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 18,
}
REFUSAL = "I cannot help with that."
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def message(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": list(parts)}


def text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def thoughts(text: str) -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": text}] if text else []
    return {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": None}


def response(output: Sequence[Any], status: str = "completed", **fields: Any) -> dict[str, Any]:
    """Return a reply with the fields that repeat the request, as the provider sends it."""
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1764500000,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "model": "m-2026-11-01",
        "output": list(output),
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": "medium", "summary": None},
        "service_tier": "default",
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "truncation": "disabled",
        "usage": USAGE,
        **fields,
    }


def ending(reply: dict[str, Any]) -> bytes:
    return named(f"response.{reply['status']}", response=reply, sequence_number=99)


def begun() -> list[bytes]:
    reply = response([], "in_progress", usage=None)
    return [named("response.created", response=reply), named("response.in_progress", response=reply)]


def deltas(kind: str, pieces: Sequence[Any]) -> list[bytes]:
    place = {"item_id": "i_1", "output_index": 0, "content_index": 0}
    return [named(f"response.{kind}.delta", delta=piece, **place) for piece in pieces]


def events(pieces: Sequence[str], reply: dict[str, Any], thinking: Sequence[str] = ()) -> list[bytes]:
    """Return a whole stream, with the events that repeat what the deltas said."""
    text = "".join(pieces)
    found = begun()
    if thinking:
        part = {"type": "summary_text", "text": ""}
        found.append(named("response.output_item.added", output_index=0, item=thoughts("")))
        found.append(named("response.reasoning_summary_part.added", summary_index=0, part=part))
        found += deltas("reasoning_summary_text", thinking)
        found.append(named("response.reasoning_summary_text.done", text="".join(thinking)))
        found.append(named("response.output_item.done", output_index=0, item=thoughts("".join(thinking))))
    found.append(named("response.output_item.added", output_index=1, item={**message(), "status": "in_progress"}))
    found.append(named("response.content_part.added", part=text_part("")))
    found += deltas("output_text", pieces)
    found.append(named("response.output_text.done", text=text))
    found.append(named("response.content_part.done", part=text_part(text)))
    found.append(named("response.output_item.done", output_index=1, item=message(text_part(text))))
    return [*found, ending(reply)]


def says(way: Way, text: str, *, thinking: str = "", size: int | None = None, **fields: Any) -> Reply:
    output = [*([thoughts(thinking)] if thinking else []), message(text_part(text))]
    reply = response(output, **fields)
    if not is_streamed(way):
        return whole(reply)
    pieces = events(list(text), reply, [thinking[:3], thinking[3:]] if thinking else [])
    if size is not None:
        body = b"".join(pieces)
        return chunked([body[start : start + size] for start in range(0, len(body), size)])
    return chunked(pieces)


def ends(way: Way, reply: dict[str, Any], pieces: Sequence[str] = ()) -> Reply:
    """Return `reply`, as a stream behind the pieces if the way is one."""
    if is_streamed(way):
        return chunked([*begun(), *deltas("output_text", pieces), ending(reply)])
    return whole(reply)


def call(way: Way, *replies: Reply | Callable[[Received], Reply], **options: Any) -> Outcome:
    config = {"openai_api": "responses", **options.pop("config", {})}
    return ask("openai", way, *replies, config=config, **options)


def refuse(message: str, param: str | None, code: str | None = None) -> Reply:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return whole({"error": error}, 400)


# --- What is sent


@pytest.mark.parametrize("way", WAYS)
def test_a_request_has_the_path_the_key_and_the_fields_of_the_protocol(way: Way) -> None:
    config = {"openai_reasoning_effort": "low", "openai_service_tier": "flex"}
    options = {"temperature": 0.3, "max_tokens": 900, "system_instruction": "Be brief."}
    outcome = call(way, says(way, VALUE), config=config, call=options)
    assert outcome.error is None, outcome.words
    [request] = outcome.requests
    assert (request.method, request.path) == ("POST", "/v1/responses")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    body = request.json
    assert body.pop("instructions").startswith("Be brief.")
    [item] = body.pop("input")
    assert (item["type"], item["role"]) == ("message", "user")
    assert "Say something." in item["content"]
    form = body.pop("text", None)
    if way in VALUE_WAYS:
        assert (form["format"]["type"], form["format"]["name"]) == ("json_schema", "Score")
        assert set(form["format"]["schema"]["properties"]) == {"score", "comment"}
    else:
        assert form is None
    assert body == {
        "model": "m",
        "temperature": 0.3,
        "max_output_tokens": 900,
        "reasoning": {"effort": "low"},
        "service_tier": "flex",
        "store": False,
        **({"stream": True} if is_streamed(way) else {}),
    }


def test_chat_completions_are_the_default() -> None:
    assert LLMConfig().openai_api == "chat"
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}
    [request] = ask("openai", "whole", whole(body)).requests
    assert request.path == "/v1/chat/completions"
    with pytest.raises(ValueError, match='openai_api "completions": use chat or responses'):
        LLMConfig(openai_api="completions")  # type: ignore[arg-type]


def test_images_are_parts_of_the_input(tmp_path: Path) -> None:
    image = tmp_path / "dot.png"
    image.write_bytes(PNG)
    [request] = call("structured", says("structured", VALUE), call={"files": [image]}).requests
    [item] = request.json["input"]
    picture, text = item["content"]
    encoded = base64.b64encode(PNG).decode()
    assert picture == {"type": "input_image", "image_url": f"data:image/png;base64,{encoded}", "detail": "auto"}
    assert text["type"] == "input_text"


def test_a_repair_repeats_the_reply_as_output() -> None:
    wrong = '{"score": "many", "comment": "fine"}'
    outcome = call("structured", says("structured", wrong), says("structured", VALUE))
    assert outcome.error is None, outcome.words
    assert outcome.value == EXPECTED
    first, second = [request.json["input"] for request in outcome.requests]
    assert second[: len(first)] == first
    assert second[1] == {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": wrong}],
    }
    assert second[2]["role"] == "user"


# --- What is read


@pytest.mark.parametrize("way", WAYS)
def test_text_reasoning_usage_and_finish_are_read(way: Way) -> None:
    result = call(way, says(way, VALUE, thinking="Let me see.")).result
    assert json.loads(result.text) == json.loads(VALUE)
    assert result.reasoning == "Let me see."
    assert result.model == "m-2026-11-01"
    assert result.usage == {"input": 7, "cached_input": 4, "output": 2, "reasoning": 5, "tool": 0}
    assert (result.finish_reason, result.provider_finish_reason, result.truncated) == ("stop", "completed", False)


@pytest.mark.parametrize("size", [1, 2, 7, 100])
@pytest.mark.parametrize("way", ["stream", "structured_stream"])
def test_any_split_of_a_stream_gives_the_same(way: Way, size: int) -> None:
    outcome = call(way, says(way, VALUE.replace("fine", "fïne 😀"), thinking="Hmm…", size=size))
    assert outcome.error is None, outcome.words
    assert outcome.result.reasoning == "Hmm…"
    assert json.loads(outcome.result.text) == {"score": 7, "comment": "fïne 😀"}
    assert len(outcome.requests) == 1


@pytest.mark.parametrize("seed", range(4))
def test_random_splits_of_a_stream_give_the_same(seed: int) -> None:
    body = b"".join(events(["Good ", "morn", "ing"], response([message(text_part("Good morning"))])))
    outcome = call("stream", chunked(cut_at_random(body, seed)))
    assert outcome.value == "Good morning"


@pytest.mark.parametrize("way", WAYS)
def test_a_stream_where_a_reply_was_requested_and_the_reverse(way: Way) -> None:
    other: Way = "whole" if is_streamed(way) else "stream"
    outcome = call(way, says(other, VALUE))
    assert outcome.error is None, outcome.words
    assert json.loads(outcome.result.text) == json.loads(VALUE)


@pytest.mark.parametrize("way", ["stream", "structured_stream"])
def test_a_text_that_arrives_only_at_the_end_counts(way: Way) -> None:
    outcome = call(way, chunked([*begun(), ending(response([message(text_part(VALUE))]))]))
    assert outcome.error is None, outcome.words
    assert json.loads(outcome.result.text) == json.loads(VALUE)


@pytest.mark.parametrize("way", WAYS)
def test_markup_of_thoughts_is_no_answer(way: Way) -> None:
    result = call(way, says(way, f"<think>{DRAFT}</think>{VALUE}")).result
    assert json.loads(result.text) == json.loads(VALUE)
    assert result.reasoning == DRAFT


@pytest.mark.parametrize("way", TEXT_WAYS)
def test_events_that_deviate_lose_no_text(way: Way) -> None:
    if way == "stream":
        reply = chunked(
            [
                *begun(),
                named("response.output_item.added", item={"type": "message", "content": [text_part("It ")]}),
                *deltas("output_text", ["costs $", 5, 0.5, None]),
                named("response.a_new_one", delta="not shown"),
                ending(response([], usage=[], model=5)),
                DONE,
            ]
        )
    else:
        parts = [{"text": "It costs "}, {"type": "text", "text": "$"}, {"type": "output_text", "text": 50.5}]
        reply = whole(response([{"role": "assistant", "content": parts}], usage=[], model=5))
    outcome = call(way, reply)
    assert outcome.error is None, outcome.words
    assert outcome.value == "It costs $50.5"


def test_leaving_a_stream_closes_the_connection() -> None:
    left = threading.Event()
    start = chunked([*begun(), *deltas("output_text", ["Hello"])], ends=False)
    with RawServer(start._replace(left=left)) as server:
        with router("openai", server, config={"openai_api": "responses"}).stream("Say something.") as stream:
            assert next(iter(stream)) == "Hello"
        assert left.wait(20)


# --- How replies end


@pytest.mark.parametrize("way", TEXT_WAYS)
def test_a_text_cut_at_the_callers_limit_says_so(way: Way) -> None:
    reply = response([message(text_part("Half of"))], "incomplete", incomplete_details={"reason": "max_output_tokens"})
    result = call(way, ends(way, reply, ["Half", " of"]), call={"max_tokens": 50}).result
    assert (result.text, result.truncated) == ("Half of", True)
    assert (result.finish_reason, result.provider_finish_reason) == ("length", "max_output_tokens")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("details", [{"reason": "max_output_tokens"}, {"reason": "a_new_one"}, None])
def test_an_incomplete_reply_is_never_whole(way: Way, details: Any) -> None:
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    reply = response([message(text_part(VALUE))], "incomplete", incomplete_details=details, usage=usage)
    outcome = call(way, ends(way, reply, [VALUE]), max_attempts=1)
    assert outcome.error is not None
    assert outcome.errors == ["truncated"]


@pytest.mark.parametrize("way", WAYS)
def test_a_content_filter_stops_the_call(way: Way) -> None:
    reply = response([message(text_part("Half"))], "incomplete", incomplete_details={"reason": "content_filter"})
    outcome = call(way, ends(way, reply, ["Half"]))
    assert isinstance(outcome.error, ContentRefusedError)
    assert outcome.errors == ["blocked"]
    assert len(outcome.requests) == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_refusal_has_its_words(way: Way) -> None:
    reply = response([message({"type": "refusal", "refusal": REFUSAL})])
    streamed = chunked([*begun(), *deltas("refusal", ["I cannot help ", "with that."]), ending(reply)])
    outcome = call(way, streamed if is_streamed(way) else whole(reply))
    assert isinstance(outcome.error, ContentRefusedError)
    assert outcome.errors == ["refused"]
    assert outcome.words.count(REFUSAL) >= 1
    assert REFUSAL + REFUSAL not in outcome.words


@pytest.mark.parametrize("way", WAYS)
def test_a_failed_reply_is_an_error_of_the_server(way: Way) -> None:
    failed = response([], "failed", error={"code": "server_error", "message": "The model broke down."}, usage=None)
    outcome = call(way, ends(way, failed), says(way, VALUE))
    assert outcome.error is None, outcome.words
    assert outcome.errors == ["server", None]
    assert "The model broke down." in outcome.words


@pytest.mark.parametrize("way", ["stream", "structured_stream"])
@pytest.mark.parametrize("is_wrapped", [False, True])
def test_an_error_event_has_its_words(way: Way, is_wrapped: bool) -> None:
    fault = {"code": "rate_limit_exceeded", "message": "Slow down.", "param": None}
    event = named("error", sequence_number=3, **({"error": fault} if is_wrapped else fault))
    outcome = call(way, chunked([*begun(), event]), says(way, VALUE))
    assert outcome.error is None, outcome.words
    assert outcome.errors == ["rate_limited", None]
    assert "Slow down." in outcome.words


@pytest.mark.parametrize("way", ["stream", "structured_stream"])
def test_a_stream_without_its_end_is_no_reply(way: Way) -> None:
    outcome = call(way, chunked([*begun(), *deltas("output_text", [VALUE])]), max_attempts=1)
    assert outcome.errors == ["disconnected"]


@pytest.mark.parametrize("way", VALUE_WAYS)
def test_a_reply_that_only_thought_is_asked_for_less(way: Way) -> None:
    only = response([thoughts("Hmm, let me think.")])
    silent = chunked([*begun(), *deltas("reasoning_summary_text", ["Hmm, let me think."]), ending(only)])
    outcome = call(way, silent if is_streamed(way) else whole(only), says(way, VALUE))
    assert outcome.value == EXPECTED, outcome.words
    first, second = [request.json.get("reasoning") for request in outcome.requests]
    assert (first, second) == (None, {"effort": "none"})


@pytest.mark.parametrize("way", WAYS)
def test_a_server_without_this_api_says_so(way: Way) -> None:
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}
    outcome = call(way, whole(body), max_attempts=1)
    assert outcome.errors == ["malformed_reply"]
    assert "responses API" in outcome.words


# --- What is refused

TEMPERATURE = "Unsupported parameter: 'temperature' is not supported with this model."
EFFORT = "Unsupported parameter: 'reasoning.effort' is not supported with this model."


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("words", "param", "field", "omitted"),
    [
        (TEMPERATURE, "temperature", "temperature", "temperature"),
        (EFFORT, "reasoning.effort", "reasoning", "effort"),
        ("Unknown parameter: 'max_output_tokens'.", "max_output_tokens", "max_output_tokens", "max_output_tokens"),
        ("Unknown parameter: 'service_tier'.", "service_tier", "service_tier", "service_tier"),
    ],
)
def test_a_refused_parameter_costs_one_request_in_all(
    way: Way, words: str, param: str, field: str, omitted: str
) -> None:
    def answer(request: Received) -> Reply:
        return refuse(words, param) if field in request.json else says(way, VALUE)

    config = {"openai_api": "responses", "openai_reasoning_effort": "low", "openai_service_tier": "flex"}
    with RawServer(answer) as server:
        target = router("openai", server, config=config)
        for count in (2, 3):
            outcome = send(target, way, server, temperature=0.7, max_tokens=900)
            assert outcome.error is None, outcome.words
            assert len(server.requests) == count
            assert omitted in outcome.result.attempts[-1].omitted


@pytest.mark.parametrize("way", VALUE_WAYS)
@pytest.mark.parametrize(
    ("words", "param"),
    [
        ("Invalid schema for response_format 'Score': In context=(), schema is invalid.", "text.format.schema"),
        ("Unsupported parameter: 'text.format' is not supported with this model.", "text.format"),
    ],
)
def test_a_refused_schema_is_stated_in_the_instructions(way: Way, words: str, param: str) -> None:
    def answer(request: Received) -> Reply:
        return refuse(words, param) if "text" in request.json else says(way, VALUE)

    outcome = call(way, answer)
    assert outcome.value == EXPECTED, outcome.words
    last = outcome.requests[-1].json
    assert "JSON Schema" in last["instructions"]
    assert '"comment"' in last["instructions"]


def test_both_apis_of_a_server_are_targets_of_their_own() -> None:
    def answer(request: Received) -> Reply:
        if request.path == "/v1/responses":
            return refuse(TEMPERATURE, "temperature") if "temperature" in request.json else says("whole", "Hi")
        choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
        return whole({"choices": [choice]})

    with RawServer(answer) as server:
        for api in ("responses", "chat"):
            target = router("openai", server, config={"openai_api": api})
            assert send(target, "whole", server, temperature=0.7).error is None
        assert ["temperature" in request.json for request in server.requests] == [True, False, True]


# --- The simulator


@pytest.mark.parametrize("way", WAYS)
def test_the_simulator_has_the_api(way: Way) -> None:
    with Simulator() as simulator:
        simulator.on("openai", json=json.loads(VALUE), thinking_tokens=9, prompt_tokens=21)
        config = LLMConfig(openai_base_url=simulator.openai_url, openai_model="m", openai_api="responses")
        target = LLMRouter("openai", fallback_enabled=False, config=config.replace(cache_enabled=False))
        with RawServer(whole({})) as unused:
            outcome = send(target, way, unused, Score)
        assert json.loads(outcome.result.text) == json.loads(VALUE)
        assert (outcome.result.usage["input"], outcome.result.usage["reasoning"]) == (21, 9)
        [request] = simulator.requests
        assert (request.path, request.provider, request.prompt) == ("/v1/responses", "openai", "Say something.")
        assert (request.schema is not None) == (way in VALUE_WAYS)


def test_the_workflow_runs_over_the_api() -> None:
    with Simulator() as simulator:
        config = LLMConfig(
            openai_base_url=simulator.openai_url, openai_model="m", openai_api="responses", cache_enabled=False
        )
        target = LLMRouter("openai", fallback_enabled=False, config=config)
        results = Coordinator(router=target).run_workflow("green roofs", "for a school", num_top_candidates=1)
        assert [result["status"] for result in results] == ["ok"]
        assert {request.path for request in simulator.requests} == {"/v1/responses"}
