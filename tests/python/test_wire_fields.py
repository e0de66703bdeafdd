"""Envelopes with unexpected fields: each field is read by itself, and text is never lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from raw_server import whole
from wire_bytes import (
    BODIES,
    DONE,
    EVENTS,
    EXPECTED,
    PROTOCOLS,
    TEXT_WAYS,
    VALUE,
    VALUE_WAYS,
    Name,
    Way,
    anthropic,
    anthropic_end,
    anthropic_start,
    anthropic_text,
    ask,
    data,
    gemini,
    is_streamed,
    line,
    named,
    ollama,
    openai,
    openai_chunk,
    says,
    streamed,
)

ODD: list[Any] = [[], {}, "", "n/a", 5, -1, 1.5, True, None, [None], {"x": [1]}, "\ud800"]

# The paths of optional fields in a whole reply of each protocol. A number is the place in a list.
OPTIONAL: dict[Name, list[str]] = {
    "openai": [
        "id",
        "object",
        "created",
        "model",
        "usage",
        "usage.prompt_tokens",
        "usage.total_tokens",
        "usage.prompt_tokens_details",
        "usage.completion_tokens_details",
        "choices.0.index",
        "choices.0.logprobs",
        "choices.0.message.role",
        "choices.0.message.annotations",
        "choices.0.message.refusal",
        "choices.0.message.reasoning",
        "choices.0.message.reasoning_content",
        "choices.0.message.reasoning_details",
        "choices.0.message.tool_calls",
        "choices.0.message.function_call",
        "system_fingerprint",
        "service_tier",
        "provider",
        "warnings",
    ],
    "anthropic": [
        "id",
        "type",
        "role",
        "model",
        "stop_sequence",
        "usage",
        "usage.input_tokens",
        "usage.cache_read_input_tokens",
        "usage.cache_creation",
        "usage.service_tier",
        "content.0.citations",
        "container",
        "context_management",
    ],
    "gemini": [
        "usageMetadata",
        "usageMetadata.promptTokenCount",
        "usageMetadata.promptTokensDetails",
        "usageMetadata.thoughtsTokenCount",
        "modelVersion",
        "responseId",
        "createTime",
        "promptFeedback",
        "candidates.0.index",
        "candidates.0.avgLogprobs",
        "candidates.0.safetyRatings",
        "candidates.0.citationMetadata",
        "candidates.0.groundingMetadata",
        "candidates.0.urlContextMetadata",
        "candidates.0.finishMessage",
        "candidates.0.content.role",
        "candidates.0.content.parts.0.thoughtSignature",
    ],
    "ollama": [
        "model",
        "created_at",
        "message.role",
        "message.thinking",
        "message.tool_calls",
        "message.images",
        "total_duration",
        "load_duration",
        "prompt_eval_count",
        "prompt_eval_duration",
        "eval_count",
        "eval_duration",
        "logprobs",
    ],
}

# Calls of tools and thoughts have a meaning of their own.
MEANT = {"tool_calls", "function_call", "thinking", "reasoning", "reasoning_content", "reasoning_details"}


def odd_values(path: str) -> list[Any]:
    """Return the values of a field that mean nothing."""
    kind = path.rsplit(".", 1)[-1]
    if path in {"promptFeedback", "type"}:
        return [[], "", 5, None]
    if kind == "refusal":
        return [[], {}, "", None]
    if kind == "index":
        # Another number is another choice.
        return [[], {}, "", "n/a", None, [None]]
    return [field for field in ODD if kind not in MEANT or not (isinstance(field, str) and field)]


def put(value: Any, path: str, field: Any) -> Any:
    """Return a copy of `value` with another field."""
    value = json.loads(json.dumps(value))
    at = value
    *parents, last = path.split(".")
    for parent in parents:
        at = at[int(parent)] if isinstance(at, list) else at.setdefault(parent, {})
    at[last] = field
    return value


CASES = [(name, path) for name in PROTOCOLS for path in OPTIONAL[name]]


@pytest.mark.parametrize(("name", "path"), CASES)
def test_an_odd_field_costs_no_text(name: Name, path: str) -> None:
    values = odd_values(path)
    replies = [whole(put(BODIES[name]("Hello there"), path, field)) for field in values]
    for reply, field in zip(replies, values, strict=True):
        outcome = ask(name, "whole", reply)
        assert outcome.value == "Hello there", (path, field, outcome.words)
        assert len(outcome.requests) == 1


def events_with(name: Name, path: str, field: Any) -> list[bytes]:
    """Return a stream of three pieces in which every event has an odd field."""
    makes: dict[str, Any] = {
        "openai": lambda piece, finish: openai_chunk({"role": "assistant", "content": piece}, finish),
        "gemini": gemini,
        "ollama": lambda piece, finish: {**ollama(piece, finish), "done": bool(finish)},
    }
    make = makes[name]
    path = path.replace("choices.0.message", "choices.0.delta")
    pieces = [("$", None), ("0.0", None), ("05", "STOP" if name == "gemini" else "stop")]
    encode = line if name == "ollama" else data
    events = [encode(put(make(*piece), path, field)) for piece in pieces]
    return [*events, DONE] if name == "openai" else events


@pytest.mark.parametrize(("name", "path"), [case for case in CASES if case[0] != "anthropic"])
def test_an_odd_field_in_an_event_costs_no_text(name: Name, path: str) -> None:
    for field in odd_values(path):
        outcome = ask(name, "stream", streamed(name, events_with(name, path, field)))
        assert outcome.value == "$0.005", (path, field, outcome.words)
        assert outcome.result.attempts[0].skipped_events == 0


ANTHROPIC_ODD: list[tuple[str, dict[str, Any]]] = [
    ("message_start", {"message": []}),
    ("message_start", {"message": {"usage": "n/a", "model": 5, "content": {}}}),
    ("message_start", {"message": {"usage": {"input_tokens": "11"}}}),
    ("message_delta", {"delta": {"stop_reason": "end_turn", "stop_sequence": 5}, "usage": []}),
    ("message_delta", {"delta": {"stop_reason": "end_turn"}, "usage": None}),
    ("content_block_stop", {"index": "0"}),
    ("ping", {"x": []}),
    ("ping", {"type": "ping", "usage": 5}),
    ("of_the_future", {"index": {}, "delta": 5}),
]


@pytest.mark.parametrize(("kind", "fields"), ANTHROPIC_ODD)
def test_an_odd_event_of_anthropic_costs_no_text(kind: str, fields: dict[str, Any]) -> None:
    text = anthropic_text(["$", "0.0", "05"])
    events = [anthropic_start(), *text, *anthropic_end()]
    odd = named(kind, **{key: value for key, value in fields.items() if key != "type"})
    at = next((at for at, event in enumerate(events) if f"event: {kind}\n".encode() in event), None)
    events = [*events[:2], odd, *events[2:]] if at is None else [*events[:at], odd, *events[at + 1 :]]
    outcome = ask("anthropic", "stream", streamed("anthropic", events))
    assert (outcome.value, len(outcome.requests)) == ("$0.005", 1)


@pytest.mark.parametrize("index", ["0", None, 1.0, [], {}])
def test_the_index_of_a_block_may_be_odd(index: Any) -> None:
    deltas = [
        named("content_block_delta", index=index, delta={"type": "text_delta", "text": text}) for text in ["a", "b"]
    ]
    outcome = ask("anthropic", "stream", streamed("anthropic", [anthropic_start(), *deltas, *anthropic_end()]))
    assert outcome.value == "ab"


# --- The text itself is of another type


@pytest.mark.parametrize("numbers", [[0, 5], [0, 0, 5], [12]])
def test_a_number_as_content_is_its_text(numbers: list[int]) -> None:
    pieces: list[Any] = ["$", *numbers, "."]
    events = [data(openai_chunk({"content": piece})) for piece in pieces]
    outcome = ask("openai", "stream", streamed("openai", [*events, data(openai_chunk({}, "stop")), DONE]))
    assert outcome.value == "$" + "".join(map(str, numbers)) + "."


def test_digits_of_a_score_that_arrive_as_numbers() -> None:
    pieces: list[Any] = ['{"score": ', 1, 7, ', "comment": "', True, '"}']
    events = [data(openai_chunk({"content": piece})) for piece in pieces]
    outcome = ask("openai", "structured_stream", streamed("openai", [*events, data(openai_chunk({}, "stop")), DONE]))
    assert (outcome.value.score, outcome.value.comment, len(outcome.requests)) == (17, "true", 1)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_numbers_as_text_on_each_protocol(name: Name) -> None:
    events = b"\0".join(EVENTS[name](["$", "number", "."])).replace(b'"number"', b"5").split(b"\0")
    assert ask(name, "stream", streamed(name, events)).value == "$5."


# --- Content in other shapes


@pytest.mark.parametrize("content", [{"score": 7, "comment": "fine"}, [{"type": "text", "text": VALUE}], [VALUE]])
@pytest.mark.parametrize("name", ["openai", "ollama"])
def test_content_as_an_object_or_as_parts(name: Name, content: Any) -> None:
    outcome = ask(name, "structured", whole(BODIES[name](content)))
    assert (outcome.value, len(outcome.requests)) == (EXPECTED, 1)


def test_content_as_an_object_in_an_event() -> None:
    events = [data(openai_chunk({"content": {"score": 7, "comment": "fine"}})), data(openai_chunk({}, "stop")), DONE]
    assert ask("openai", "structured_stream", streamed("openai", events)).value == EXPECTED


def test_content_as_a_list_where_a_list_was_asked_for() -> None:
    outcome = ask("openai", "structured", whole(openai([1, 2, 3])), schema=list[int])
    assert (outcome.value, len(outcome.requests)) == ([1, 2, 3], 1)


def test_only_the_first_choice_counts() -> None:
    def choice(index: int, text: str) -> dict[str, Any]:
        return {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}

    for order in ([0, 1], [1, 0], [2, 0, 1]):
        choices = [choice(index, "right" if index == 0 else "wrong") for index in order]
        assert ask("openai", "whole", whole({**openai(""), "choices": choices})).value == "right"
        deltas = [{**one, "delta": one["message"], "finish_reason": None} for one in choices]
        events = [data({**openai_chunk({}), "choices": [delta]}) for delta in [*deltas, *deltas]]
        ends = [
            data({**openai_chunk({}), "choices": [{"index": index, "delta": {}, "finish_reason": "stop"}]})
            for index in order
        ]
        assert ask("openai", "stream", streamed("openai", [*events, *ends, DONE])).value == "rightright"
        together = data({**openai_chunk({}), "choices": deltas})
        assert ask("openai", "stream", streamed("openai", [together, *ends, DONE])).value == "right"


def test_only_the_first_candidate_counts() -> None:
    right, wrong = gemini("right")["candidates"][0], {**gemini("wrong")["candidates"][0], "index": 1}
    for order in ([right, wrong], [wrong, right]):
        body = {**gemini(""), "candidates": order}
        assert ask("gemini", "whole", whole(body)).value == "right"
        assert ask("gemini", "stream", streamed("gemini", [data(body)])).value == "right"


def test_text_in_the_start_of_a_block_counts() -> None:
    def start(text: str, index: int = 0) -> bytes:
        return named("content_block_start", index=index, content_block={"type": "text", "text": text})

    def delta(text: str, index: int = 0) -> bytes:
        return named("content_block_delta", index=index, delta={"type": "text_delta", "text": text})

    begin, end, stop = anthropic_start(), anthropic_end(), named("content_block_stop", index=0)
    for events, text in [
        ([start("Here"), delta("'s it"), stop], "Here's it"),
        ([start("All of it"), stop], "All of it"),
        ([start("One "), stop, start("two ", 1), delta("three", 1)], "One two three"),
        ([start(""), delta("a"), start("b"), stop], "ab"),
    ]:
        assert ask("anthropic", "stream", streamed("anthropic", [begin, *events, *end])).value == text
    events = [start(VALUE[:9]), *(delta(letter) for letter in VALUE[9:]), stop]
    assert ask("anthropic", "structured_stream", streamed("anthropic", [begin, *events, *end])).value == EXPECTED
    started = named("message_start", message={"content": [{"type": "text", "text": "Early "}], "usage": {}})
    assert ask("anthropic", "stream", streamed("anthropic", [started, start(""), delta("bird"), stop, *end])).value in {
        "Early bird",
        "bird",
    }


# --- Bytes


def escaped(name: Name, way: Way, body: bytes) -> Any:
    """Return a reply whose text is `body`, which replaces the letters of a good one."""
    if is_streamed(way):
        return streamed(name, [event.replace(b"TEXT", body) for event in EVENTS[name](["TEXT"])])
    return whole(json.dumps(BODIES[name]("TEXT")).encode().replace(b"TEXT", body))


BYTES = {
    "lone-high": (rb"word \ud83d", "word �"),
    "lone-low": (rb"\ude00 word", "� word"),
    "reversed": (rb"a \ude00\ud83d b", "a �� b"),
    "pair": (rb"a \ud83d\ude00 b", "a 😀 b"),
    "broken-utf8": (b"a \xff b", "a � b"),
    "cut-utf8": (b"a \xf0\x9f\x98 b", "a � b"),
    "latin1": (b"caf\xe9", "caf�"),
}


@pytest.mark.parametrize("kind", BYTES)
@pytest.mark.parametrize("way", TEXT_WAYS)
@pytest.mark.parametrize("name", PROTOCOLS)
def test_broken_letters_cost_only_themselves(name: Name, way: Way, kind: str) -> None:
    body, text = BYTES[kind]
    outcome = ask(name, way, escaped(name, way, body))
    assert (outcome.value.replace("\ufffd\ufffd\ufffd", "\ufffd"), len(outcome.requests)) == (text, 1)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_halves_of_a_letter_in_two_events_are_joined(name: Name) -> None:
    for size in (None, 1, 5):
        events = EVENTS[name](["a ", "HIGH", "LOW", " b"])
        events = [event.replace(b"HIGH", rb"\ud83d").replace(b"LOW", rb"\ude00") for event in events]
        assert ask(name, "stream", streamed(name, events, size)).value == "a 😀 b"
    lone = [event.replace(b"HIGH", rb"\ud83d") for event in EVENTS[name](["a ", "HIGH", "z"])]
    assert ask(name, "stream", streamed(name, lone)).value == "a �z"
    last = [event.replace(b"HIGH", rb"\ud83d") for event in EVENTS[name](["a ", "HIGH"])]
    assert ask(name, "stream", streamed(name, last)).value == "a �"


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("fragment", [b"NaN", b"Infinity", b"-Infinity"])
def test_numbers_that_are_none_in_json_are_accepted(name: Name, fragment: bytes) -> None:
    field = b'"unused": ' + fragment + b", "
    body = json.dumps(BODIES[name]("Hello")).encode().replace(b"{", b"{" + field, 1)
    assert ask(name, "whole", whole(body)).value == "Hello"
    events = [event.replace(b'{"', b"{" + field + b'"', 1) for event in EVENTS[name](["Hel", "lo"])]
    assert ask(name, "stream", streamed(name, events)).value == "Hello"


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_byte_order_mark_is_ignored(name: Name) -> None:
    mark = "\ufeff".encode()
    body = mark + json.dumps(BODIES[name](VALUE)).encode()
    assert ask(name, "structured", whole(body)).value == EXPECTED
    assert ask(name, "stream", streamed(name, [mark, *EVENTS[name](["Hello"])])).value == "Hello"


@pytest.mark.parametrize("error", [None, {}, "", False, [], 0])
@pytest.mark.parametrize("name", PROTOCOLS)
def test_an_empty_error_is_none(name: Name, error: Any) -> None:
    outcome = ask(name, "whole", whole({**BODIES[name]("Hello"), "error": error}))
    assert (outcome.value, len(outcome.requests)) == ("Hello", 1)
    if name == "openai":
        events = [data({**openai_chunk({"content": "Hello"}, "stop"), "error": error}), DONE]
        assert ask(name, "stream", streamed(name, events)).value == "Hello"


# --- Token counts

USAGE: list[tuple[Name, dict[str, Any], dict[str, int]]] = [
    ("openai", {"prompt_tokens": 11.0, "completion_tokens": 7.0, "total_tokens": 18.0}, {"input": 11, "output": 7}),
    ("openai", {"prompt_tokens": "11", "completion_tokens": "7"}, {"input": 11, "output": 7}),
    ("openai", {"prompt_tokens": "11.0", "completion_tokens": " 7 "}, {"input": 11, "output": 7}),
    (
        "openai",
        {"prompt_tokens": 11, "completion_tokens": 7, "prompt_cache_hit_tokens": 8, "prompt_cache_miss_tokens": 3},
        {"input": 3, "cached_input": 8, "output": 7},
    ),
    (
        "openai",
        {"prompt_tokens": 11, "completion_tokens": 7, "cached_tokens": 8},
        {"input": 3, "cached_input": 8, "output": 7},
    ),
    (
        "openai",
        {"prompt_tokens": 11, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": "8"}},
        {"input": 3, "cached_input": 8, "output": 7},
    ),
    (
        "openai",
        {
            "prompt_tokens": 9,
            "completion_tokens": 2,
            "total_tokens": 11,
            "completion_tokens_details": {"reasoning_tokens": 25},
        },
        {"input": 9, "output": 2, "reasoning": 25},
    ),
    (
        "openai",
        {"prompt_tokens": 9, "completion_tokens": 27, "completion_tokens_details": {"reasoning_tokens": 25.0}},
        {"input": 9, "output": 2, "reasoning": 25},
    ),
    ("anthropic", {"input_tokens": "11", "output_tokens": 7.0}, {"input": 11, "output": 7}),
    (
        "anthropic",
        {"input_tokens": 3, "cache_read_input_tokens": "8", "output_tokens": 7},
        {"input": 3, "cached_input": 8, "output": 7},
    ),
    ("gemini", {"promptTokenCount": "11", "candidatesTokenCount": 7.0}, {"input": 11, "output": 7}),
    (
        "gemini",
        {"promptTokenCount": 11, "candidatesTokenCount": 7, "cachedContentTokenCount": "8"},
        {"input": 3, "cached_input": 8, "output": 7},
    ),
    ("ollama", {"prompt_eval_count": "11", "eval_count": 7.0}, {"input": 11, "output": 7}),
]


@pytest.mark.parametrize(("name", "usage", "expected"), USAGE)
def test_token_counts_are_read_leniently(name: Name, usage: dict[str, Any], expected: dict[str, int]) -> None:
    body = {**ollama("Hi"), **usage} if name == "ollama" else BODIES[name]("Hi", usage=usage)
    found = {kind: count for kind, count in ask(name, "whole", whole(body)).result.usage.items() if count}
    assert found == expected
    if name == "openai":
        events = [
            data(openai_chunk({"content": "Hi"}, "stop")),
            data({**openai_chunk({}), "choices": [], "usage": usage}),
        ]
        found = {**ask(name, "stream", streamed(name, [*events, DONE])).result.usage}
        assert {kind: count for kind, count in found.items() if count} == expected


def test_a_budget_counts_tokens_sent_as_text() -> None:
    from madspark import Budget, BudgetExceededError
    from raw_server import RawServer
    from wire_bytes import router, send

    usage = {"prompt_tokens": "11", "completion_tokens": 7.0, "total_tokens": "18"}
    with RawServer(whole(openai("Hi", usage=usage))) as server:
        target = router("openai", server, budget=Budget(max_tokens=30))
        outcomes = [send(target, "whole", server) for _ in range(4)]
    assert [type(outcome.error) for outcome in outcomes] == [type(None)] * 2 + [BudgetExceededError] * 2


def test_thoughts_of_every_shape_leave_the_text() -> None:
    for reasoning in [[{"type": "reasoning.text", "text": "Hm"}], [{"type": "summary", "summary": "Hm"}], "Hm", 5, {}]:
        reply = whole(openai("Hello", reasoning_details=reasoning))
        assert ask("openai", "whole", reply).value == "Hello"
    assert (
        ask(
            "anthropic",
            "whole",
            whole(anthropic([{"type": "text", "text": "a"}, {"type": "x"}, {"type": "text", "text": "b"}])),
        ).value
        == "ab"
    )


@pytest.mark.parametrize("way", VALUE_WAYS)
@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_lone_surrogate_in_a_value_is_asked_again(name: Name, way: Way) -> None:
    text = '{"comment": "HALF", "score": 7}'
    if is_streamed(way):
        # The value of the first field is never complete for a stream: nothing is yielded before the reply is refused.
        events = EVENTS[name]([text[:9], text[9:]])
        bad = streamed(name, [event.replace(b"HALF", rb"\\ud83d") for event in events])
    else:
        bad = whole(json.dumps(BODIES[name](text)).encode().replace(b"HALF", rb"\\ud83d"))
    outcome = ask(name, way, bad, says(name, way, VALUE))
    assert (outcome.value, outcome.errors) == (EXPECTED, ["invalid_output", None])


# Where the protocol has the text of a whole reply, the object that was asked for.
DATA: dict[str, dict[str, Any]] = {
    "openai": openai({"score": 7, "comment": "fine"}),
    "anthropic": {**anthropic(""), "content": {"score": 7, "comment": "fine"}},
    "anthropic-text": anthropic([{"type": "text", "text": {"score": 7, "comment": "fine"}}]),
    "gemini": gemini({"score": 7, "comment": "fine"}),
    "gemini-text": gemini([{"text": {"score": 7, "comment": "fine"}}]),
    "ollama": ollama({"score": 7, "comment": "fine"}),
}


@pytest.mark.parametrize("shape", DATA)
def test_an_object_in_place_of_the_text_is_its_json(shape: str) -> None:
    name: Any = shape.partition("-")[0]
    outcome = ask(name, "structured", whole(DATA[shape]))
    assert (outcome.value, len(outcome.requests)) == (EXPECTED, 1)
    text = ask(name, "whole", whole(DATA[shape])).result.text
    assert json.loads(text) == {"score": 7, "comment": "fine"}


def test_a_list_in_a_list_is_no_text() -> None:
    for name, body in (
        ("anthropic", {**anthropic(""), "content": [["hello"]]}),
        ("gemini", gemini([["hello"]])),
    ):
        outcome = ask(name, "whole", whole(body), max_attempts=1)  # type: ignore[arg-type]  # two of four names
        assert outcome.error is not None
        assert outcome.errors[0] in {"malformed_reply", "empty_reply"}
