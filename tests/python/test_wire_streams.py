"""Streams and connections: labels, ends, silent connections, time limits, and the pieces in which bytes arrive."""

from __future__ import annotations

import contextlib
import json
import threading
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from madspark import AsyncCoordinator
from madspark.llm.exceptions import MadsparkError
from raw_server import RawServer, Received, Reply, chunked, head, whole
from wire_bytes import (
    BODIES,
    DONE,
    EVENTS,
    EXPECTED,
    PROTOCOLS,
    VALUE,
    VALUE_WAYS,
    WAYS,
    Name,
    Outcome,
    Way,
    anthropic_start,
    ask,
    begun,
    cut_at_random,
    data,
    gemini,
    is_streamed,
    named,
    openai,
    openai_chunk,
    router,
    says,
    send,
    streamed,
)

# --- Labels

LABELS = ["application/json", "text/plain", "text/event-stream", "application/x-ndjson", "application/octet-stream", ""]
STREAMS: list[Way] = ["stream", "structured_stream"]


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("way", STREAMS)
@pytest.mark.parametrize("name", PROTOCOLS)
def test_events_are_read_whatever_their_label(name: Name, way: Way, kind: str) -> None:
    text = VALUE if way == "structured_stream" else "Hello there"
    for charset in ("", "; charset=utf-8"):
        outcome = ask(name, way, chunked(EVENTS[name]([text[:5], text[5:]]), kind=kind and kind + charset))
        assert outcome.value == (EXPECTED if way == "structured_stream" else text), outcome.words
        assert len(outcome.requests) == 1
        assert outcome.result.usage["output"] == 7


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("way", STREAMS)
@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_whole_reply_in_place_of_a_stream(name: Name, way: Way, kind: str) -> None:
    text = VALUE if way == "structured_stream" else "Hello there"
    for body in (json.dumps(BODIES[name](text)), json.dumps(BODIES[name](text), indent=2)):
        outcome = ask(name, way, whole(body, kind=kind))
        assert outcome.value == (EXPECTED if way == "structured_stream" else text), outcome.words
        assert len(outcome.requests) == 1
        assert outcome.result.usage["output"] == 7


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_stream_in_place_of_a_whole_reply(name: Name, kind: str) -> None:
    for way, text, expected in [("whole", "Hello there", "Hello there"), ("structured", VALUE, EXPECTED)]:
        body = b"".join(EVENTS[name]([text[:5], text[5:]]))
        for reply in (whole(body, kind=kind), chunked([body[:30], body[30:]], kind=kind)):
            outcome = ask(name, way, reply)  # type: ignore[arg-type]
            assert outcome.value == expected, outcome.words
            assert len(outcome.requests) == 1
            assert outcome.result.usage["output"] == 7


def test_a_whole_reply_with_another_label() -> None:
    for kind in LABELS:
        for name in PROTOCOLS:
            assert ask(name, "whole", whole(BODIES[name]("Hello"), kind=kind)).value == "Hello"


def test_an_array_of_gemini_in_place_of_events() -> None:
    array = json.dumps([gemini("Hello ", None), gemini("there")])
    for size in (None, 1, 9):
        pieces = (
            [array.encode()] if size is None else [array[at : at + size].encode() for at in range(0, len(array), size)]
        )
        assert ask("gemini", "stream", chunked(pieces, kind="application/json")).value == "Hello there"


# --- Ends


def without_end(name: Name, pieces: list[str]) -> list[bytes]:
    events = EVENTS[name](pieces)
    if name == "openai":
        return events[:-2]
    if name == "anthropic":
        return events[:-2]
    if name == "gemini":
        return [data(gemini(piece, None)) for piece in pieces]
    return events[:-1]


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_stream_without_its_end_is_disconnected(name: Name, ends: bool) -> None:
    for way in STREAMS:
        text = VALUE[:20] if way == "structured_stream" else "Half of"
        reply = chunked(without_end(name, [text[:4], text[4:]]), ends=ends)
        outcome = ask(name, way, reply, max_attempts=1)
        assert outcome.errors == ["disconnected"]
        assert type(outcome.error).__name__ not in {"SchemaValidationError", "AllProvidersInvalidOutputError"}


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_stream_that_ended_before_its_first_text_is_asked_again(name: Name, ends: bool) -> None:
    for way, text, expected in [("stream", "Hello", "Hello"), ("structured_stream", VALUE, EXPECTED)]:
        start = {"anthropic": [anthropic_start()], "openai": [data(openai_chunk({"role": "assistant"}))]}.get(name, [])
        lost = chunked(start, ends=ends)
        outcome = ask(name, way, lost, says(name, way, text))  # type: ignore[arg-type]
        assert (outcome.value, len(outcome.requests)) == (expected, 2)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_value_that_lost_its_end_is_asked_again(name: Name) -> None:
    """Nothing was yielded before the connection ended: the first field is not complete."""
    lost = chunked(without_end(name, ['{"sco', 're": 1']))
    outcome = ask(name, "structured_stream", lost, says(name, "structured_stream", VALUE))
    assert (outcome.value, len(outcome.requests)) == (EXPECTED, 2)


@pytest.mark.parametrize("way", STREAMS)
def test_the_end_marker_alone_or_the_reason_alone_is_an_end(way: Way) -> None:
    text = VALUE if way == "structured_stream" else "Hello"
    expected = EXPECTED if way == "structured_stream" else "Hello"
    chunk = data(openai_chunk({"content": text}))
    stop = data(openai_chunk({}, "stop"))
    for events in ([chunk, DONE], [chunk, stop], [chunk, stop, DONE], [data(openai_chunk({"content": text}, "stop"))]):
        for ends in (True, False):
            outcome = ask("openai", way, chunked(events, ends=ends), max_attempts=1)
            assert ends is False or outcome.value == expected, outcome.words


# --- Events that are errors, and events that are lost

BARE = [
    b"data: error: out of memory\n\n",
    b"data: Error: out of memory\n\n",
    b"event: error\ndata: out of memory\n\n",
    b'event: error\ndata: {"message": "out of memory"}\n\n',
    b'event: error\ndata: {"code": 500, "message": "out of memory"}\n\n',
    b'error: {"code": 500, "message": "out of memory", "type": "server_error"}\n\n',
    b'data: {"error": "out of memory"}\n\n',
    b"data: [ERROR] out of memory\n\n",
]


@pytest.mark.parametrize("event", BARE)
@pytest.mark.parametrize("when", ["first", "after text", "at the end"])
@pytest.mark.parametrize("name", ["openai", "anthropic", "gemini"])
def test_an_error_event_of_any_shape(name: Name, when: str, event: bytes) -> None:
    events = EVENTS[name](["a", "b"])
    start = [] if when == "first" else begun(name, ["a", "b"]) if when == "after text" else events[:-1]
    for size in (None, 1):
        outcome = ask(name, "stream", streamed(name, [*start, event, *events[-1:]], size), max_attempts=1)
        assert outcome.error is not None
        assert "out of memory" in outcome.words


@pytest.mark.parametrize("odd", ["[1, {", '{"x": [}', "nothing"])
@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_stream_that_lost_text_is_no_answer(name: Name, odd: str) -> None:
    """An event with text that cannot be read: the value is `13` if the event is skipped, and `123` if not."""
    pieces = ['{"score": 1', "2", '3, "comment": "fine"}']
    events = EVENTS[name](pieces)
    at = next(at for at, event in enumerate(events) if b'"2"' in event)
    broken = events[at][: events[at].index(b"2") + 1] + odd.encode() + (b"\n" if name == "ollama" else b"\n\n")
    lost = streamed(name, [*events[:at], broken, *events[at + 1 :]])
    outcome = ask(name, "structured_stream", lost, max_attempts=1)
    assert outcome.value is None or outcome.value.score == 123
    again = ask(name, "structured_stream", lost, says(name, "structured_stream", VALUE))
    assert again.value is None or again.value.score in {7, 123}


# --- Connections


@pytest.mark.parametrize("close", ["behind the reply", "with a length", "later"])
@pytest.mark.parametrize("way", WAYS)
def test_a_connection_that_the_server_closed_costs_nothing(way: Way, close: str) -> None:
    text = VALUE if way in {*VALUE_WAYS, "structured_stream"} else "Hello"
    reply = says("openai", way, text)
    if close == "behind the reply" and not is_streamed(way):
        reply = chunked([json.dumps(openai(text)).encode()], kind="application/json")
    silent = Reply([*reply.parts, *([0.01] if close == "later" else [])], keep_alive=False)
    with RawServer(silent) as server:
        target = router("openai", server, max_attempts=1)
        for _ in range(20):
            outcome = send(target, way, server)
            assert outcome.error is None, outcome.words
            assert len(outcome.result.attempts) == 1
    assert len(server.requests) == 20


@pytest.mark.parametrize("reset", [True, False])
def test_a_connection_that_ends_when_it_is_used_again(reset: bool) -> None:
    """A reset shows that the server had closed the connection before it read the request, which is then sent again.

    A server that read the request and closed the connection may have worked on it: that is a failure.
    """
    used: set[int] = set()

    def answer(request: Received) -> Reply:
        if request.connection in used:
            return Reply([], reset=reset)
        used.add(request.connection)
        return whole(openai("Hello"))

    with RawServer(answer) as server:
        target = router("openai", server, max_attempts=1)
        outcomes = [send(target, "whole", server) for _ in range(6)]
    if reset:
        assert [outcome.value for outcome in outcomes] == ["Hello"] * 6
        assert all(outcome.errors == [None] for outcome in outcomes)
    else:
        assert [outcome.errors for outcome in outcomes] == [[None], ["disconnected"]] * 3
        assert len(server.requests) == 6


def test_a_fresh_connection_that_ends_is_a_failure() -> None:
    with RawServer(Reply([])) as server:
        outcome = send(router("openai", server, max_attempts=1), "whole", server)
    assert outcome.errors == ["disconnected"]
    assert len(server.requests) == 1


def test_a_reply_that_began_is_not_sent_again() -> None:
    begun = Reply([head(200, "content-length: 100") + b'{"id'])
    with RawServer(whole(openai("Hello")), begun, whole(openai("wrong"))) as server:
        target = router("openai", server, max_attempts=1)
        assert send(target, "whole", server).value == "Hello"
        assert send(target, "whole", server).errors == ["disconnected"]
        assert len(server.requests) == 2


# --- Each class of failure has its own count


@pytest.mark.parametrize("way", VALUE_WAYS)
@pytest.mark.parametrize("failure", ["overloaded", "rate_limited", "disconnected"])
def test_an_invalid_reply_after_another_failure_is_sent_back(way: Way, failure: str) -> None:
    first = {
        "overloaded": whole({"error": {"message": "busy"}}, 503),
        "rate_limited": whole({"error": {"message": "slow down"}}, 429, "retry-after-ms: 10"),
        "disconnected": Reply([]),
    }[failure]
    wrong = says("openai", way, "There are many.")
    outcome = ask("openai", way, first, wrong, says("openai", way, VALUE))
    assert (outcome.value, outcome.errors) == (EXPECTED, [failure, "invalid_output", None])
    assert "There are many." in outcome.requests[2].body.decode()
    if failure != "disconnected":
        outcome = ask("openai", way, first, wrong, first, says("openai", way, VALUE))
        assert (outcome.value, outcome.errors) == (EXPECTED, [failure, "invalid_output", failure, None])


# --- Time limits


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("way", STREAMS)
def test_thoughts_keep_a_stream_alive(name: Name, way: Way) -> None:
    text = VALUE if way == "structured_stream" else "Hello"
    events: list[bytes | float] = []
    for event in EVENTS[name]([text], thinking=["Hm"] * 8):
        events += [event, 0.06]
    outcome = ask(name, way, streamed(name, events), call={"first_token_timeout": 0.25}, max_attempts=1)
    assert outcome.error is None, outcome.words
    assert len(outcome.requests) == 1


def test_thoughts_in_other_fields_keep_a_stream_alive() -> None:
    for field in ("reasoning_content", "reasoning"):
        events: list[bytes | float] = []
        for _ in range(8):
            events += [data(openai_chunk({field: "Hm"})), 0.06]
        events += EVENTS["openai"](["Hello"])
        outcome = ask(
            "openai", "stream", streamed("openai", events), call={"first_token_timeout": 0.25}, max_attempts=1
        )
        assert outcome.value == "Hello", outcome.words
    markup: list[bytes | float] = []
    for piece in ["<think>", *["Hm "] * 8, "</think>"]:
        markup += [data(openai_chunk({"content": piece})), 0.06]
    markup += EVENTS["openai"](["Hello"])
    outcome = ask("openai", "stream", streamed("openai", markup), call={"first_token_timeout": 0.25}, max_attempts=1)
    assert outcome.value == "Hello", outcome.words


@pytest.mark.parametrize("quiet", [b": ping\n\n", named("ping"), b"\n"])
def test_a_ping_is_no_sign_of_generation(quiet: bytes) -> None:
    events: list[bytes | float] = []
    for _ in range(10):
        events += [quiet, 0.1]
    name: Name = "anthropic" if b"event" in quiet else "openai"
    outcome = ask(name, "stream", streamed(name, events), call={"first_token_timeout": 0.3}, max_attempts=1)
    assert outcome.errors == ["first_token_timeout"]


# --- Any split of any stream gives the same result


def rich(name: Name) -> bytes:
    """Return a stream with thoughts, letters of several bytes, escapes, comments and odd line ends."""
    body = b"".join(EVENTS[name](["Grüße ", "😀\n", "<b>", ' {"a": 1}', " fini"], thinking=["Hm, ", "ja 😀."]))
    if name == "ollama":
        return body.replace(b"\n", b"\r\n", 2)
    return b": comment\n\n" + body.replace(b"\n\n", b"\r\n\r\n", 2)


def seen(outcome: Outcome) -> tuple[Any, ...]:
    response = outcome.result
    return (
        outcome.value,
        response.finish_reason,
        response.reasoning,
        dict(response.usage),
        response.attempts[0].skipped_events,
        len(outcome.requests),
    )


@pytest.fixture(scope="module")
def expected() -> dict[Name, tuple[Any, ...]]:
    return {name: seen(ask(name, "stream", streamed(name, [rich(name)]))) for name in PROTOCOLS}


@pytest.mark.parametrize("size", [1, 2, 3, 17])
@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_stream_in_pieces_of_one_size(name: Name, size: int, expected: dict[Name, tuple[Any, ...]]) -> None:
    assert expected[name][:2] == ('Grüße 😀\n<b> {"a": 1} fini', "stop")
    assert seen(ask(name, "stream", streamed(name, [rich(name)], size))) == expected[name]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_stream_in_random_pieces(name: Name, seed: int, expected: dict[Name, tuple[Any, ...]]) -> None:
    pieces = cut_at_random(rich(name), seed)
    assert seen(ask(name, "stream", streamed(name, pieces))) == expected[name]


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(name=st.sampled_from(PROTOCOLS), cuts=st.lists(st.integers(0, 2000), max_size=20), way=st.sampled_from(STREAMS))
def test_any_split_of_any_stream_is_read_alike(name: Name, cuts: list[int], way: Way) -> None:
    text = '<think>no {"score": 3}</think>{"score": 7, "comment": "fine"}'
    body = b"".join(EVENTS[name]([text[:3], text[3:29], text[29:]]))
    places = sorted({0, len(body), *(cut % len(body) for cut in cuts)})
    pieces = [body[start:end] for start, end in pairwise(places)]
    outcome = ask(name, way, streamed(name, pieces))
    assert outcome.value == (EXPECTED if way == "structured_stream" else VALUE)
    assert outcome.result.reasoning == 'no {"score": 3}'


LINE_ENDS = [b"\n", b"\r\n", b"\r"]


@pytest.mark.parametrize("end", LINE_ENDS)
@pytest.mark.parametrize("name", ["openai", "anthropic", "gemini"])
def test_every_line_end_of_events(name: Name, end: bytes) -> None:
    body = b"".join(EVENTS[name](["Hel", "lo"])).replace(b"\n", end)
    for size in (None, 1):
        assert ask(name, "stream", streamed(name, [body], size)).value == "Hello"
        assert ask(name, "stream", streamed(name, [body.replace(b"data: ", b"data:")], size)).value == "Hello"


# --- When an attempt fails, the events of a run say so


async def test_an_invalid_reply_is_reported_when_it_happens() -> None:
    """The second request of a call is answered only after the event about the first one has arrived."""
    reported = threading.Event()
    waited: list[bool] = []

    def answer(_request: Any) -> Reply:
        if len(server.requests) == 1:
            return whole(openai("no value at all"))
        if len(server.requests) == 2:
            waited.append(reported.wait(10))
        return whole({"error": {"message": "gone"}}, 400)

    with RawServer(answer) as server, contextlib.suppress(MadsparkError):
        async with AsyncCoordinator(router=router("openai", server)).events("city farming", "small budget") as events:
            async for event in events:
                if event.type == "attempt_failed" and event.error == "invalid_output":
                    reported.set()
    assert waited == [True]
