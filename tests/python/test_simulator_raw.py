"""Raw replies of the simulator: what is scripted arrives byte for byte."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from madspark.testing import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUEST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"
REPLY = b"HTTP/1.1 418 Teapot\r\nContent-Length: 4\r\nX-Odd:  yes\r\n\r\n\xff\x00{}"


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


def connect(simulator: Simulator) -> socket.socket:
    host, port = simulator.ollama_url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def exact(connection: socket.socket, length: int) -> bytes:
    received = b""
    while len(received) < length and (part := connection.recv(length - len(received))):
        received += part
    return received


@pytest.mark.parametrize("split", [None, 1, 7])
@pytest.mark.parametrize("reply", [REPLY, [REPLY[:3], 0.001, REPLY[3:]], (REPLY,)])
def test_a_whole_reply_is_sent_as_it_is(simulator: Simulator, reply: Any, split: int | None) -> None:
    simulator.on("openai", reply=reply, split=split)
    with connect(simulator) as connection:
        for _ in range(20):
            connection.sendall(REQUEST)
            assert exact(connection, len(REPLY)) == REPLY
    assert [(request.status, request.connection, request.body) for request in simulator.requests] == [
        (418, 0, b"{}")
    ] * 20


@pytest.mark.parametrize("end", ["keep_alive", "close", "reset", "stall"])
def test_the_end_of_a_reply(simulator: Simulator, end: Any) -> None:
    simulator.on(reply="HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", end=end)
    with connect(simulator) as connection:
        connection.sendall(REQUEST)
        if end != "reset":
            assert exact(connection, 41).endswith(b"\r\n\r\nabc")
        connection.settimeout(0.1 if end in {"keep_alive", "stall"} else 20)
        if end == "close":
            assert connection.recv(1) == b""
        else:
            with pytest.raises(ConnectionResetError if end == "reset" else TimeoutError):
                exact(connection, 99)
    assert end != "stall" or simulator.wait_for_hang_ups(1)


def test_a_body_gets_the_status_and_the_headers_of_the_rule(simulator: Simulator) -> None:
    simulator.on(reply='{"a": "ü"}', status=429, headers={"Retry-After": "7"}, times=1)
    simulator.on(reply=["one ", 0.001, b"two"], headers={"Content-Type": "text/plain"}, times=1)
    simulator.on(reply=b"")
    received = []
    address = simulator.ollama_url.removeprefix("http://")
    with contextlib.closing(http.client.HTTPConnection(address, timeout=20)) as connection:
        for _ in range(3):
            connection.request("POST", "/api/chat", b"{}")
            response = connection.getresponse()
            received.append((response.status, response.headers["content-type"], response.read()))
    assert response.headers["content-length"] == "0"
    assert json.loads(received[0][2]) == {"a": "ü"}
    assert received[0][:2] == (429, "application/json")
    assert received[1:] == [(200, "text/plain", b"one two"), (200, "application/json", b"")]


@pytest.mark.parametrize(
    "arguments",
    [
        {"reply": "x", "text": "y"},
        {"reply": "x", "fault": "truncate"},
        {"reply": REPLY, "status": 200},
        {"reply": REPLY, "headers": {"a": "b"}},
        {"reply": "x", "end": "never"},
        {"reply": ["x", -1.0]},
        {"end": "close"},
        {"split": 1},
    ],
)
def test_a_reply_that_cannot_be_sent(simulator: Simulator, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"reply|end|seconds"):
        simulator.on(**arguments)


def test_a_reply_is_text_bytes_or_a_list(simulator: Simulator) -> None:
    for reply in ({"a": 1}, ["x", None], [{"a": 1}]):
        with pytest.raises(TypeError, match="`reply` is text, bytes, or a list"):
            simulator.on(reply=reply)  # type: ignore[arg-type]
