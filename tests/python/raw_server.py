"""A server of raw bytes: it sends scripted replies as they are and records the requests, without help of madspark."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

Part = bytes | float
"""Bytes that are written at once, or a pause in seconds."""

LIMIT = 30.0
"""Seconds after which a silent client is given up. Only a hang reaches it."""


class Received(NamedTuple):
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Reply(NamedTuple):
    """A reply and what follows it on the connection."""

    parts: Sequence[Part]
    keep_alive: bool = False
    reset: bool = False
    left: threading.Event | None = None
    """Set as soon as the client has closed the connection, for which the server waits."""


def head(status: int, *headers: str) -> bytes:
    """Return a status line and headers."""
    return "\r\n".join([f"HTTP/1.1 {status} Raw", *headers, "", ""]).encode()


def whole(
    body: bytes | str | dict[str, Any], status: int = 200, *headers: str, kind: str = "application/json"
) -> Reply:
    """Return a reply with a length; a value is sent as JSON."""
    if isinstance(body, dict):
        body = json.dumps(body)
    if isinstance(body, str):
        body = body.encode()
    kinds = [f"content-type: {kind}"] if kind else []
    return Reply([head(status, *kinds, f"content-length: {len(body)}", *headers) + body], keep_alive=True)


def chunked(
    pieces: Sequence[Part], *headers: str, kind: str = "text/event-stream", ends: bool = True, close: bool = False
) -> Reply:
    """Return a reply whose pieces are chunks. Without `ends` the connection is closed in the middle of the body."""
    kinds = [f"content-type: {kind}"] if kind else []
    parts: list[Part] = [head(200, *kinds, "transfer-encoding: chunked", *headers)]
    parts.extend(piece if isinstance(piece, float) else b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    if ends:
        parts.append(b"0\r\n\r\n")
    return Reply(_merged(parts), keep_alive=ends and not close)


def _merged(parts: list[Part]) -> list[Part]:
    # One write for what no pause separates: many small writes would be slow and arrive together anyway.
    merged: list[Part] = []
    for part in parts:
        if merged and isinstance(part, bytes) and isinstance(merged[-1], bytes):
            merged[-1] += part
        else:
            merged.append(part)
    return merged


class RawServer:
    """A server on loopback. The replies are sent in order, and the last one again for every further request.

    A function as reply is called with the request. Ollama's requests for facts about models get 404 and are not
    recorded.
    """

    def __init__(self, *replies: Reply | Callable[[Received], Reply]) -> None:
        self.replies = list(replies)
        self.requests: list[Received] = []
        self.failed: list[BaseException] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self._connections: list[socket.socket] = []
        self._stopped = threading.Event()
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Close the listener and all connections."""
        self._stopped.set()
        # Wakes the thread. The listener is closed after its end: the thread could accept the connections of the next
        # listener, which gets the same descriptor.
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port)).close()
        self._acceptor.join()
        self._listener.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                if self._stopped.is_set():
                    connection.close()
                    return
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.settimeout(LIMIT)
                number = len(self._connections)
                self._connections.append(connection)
                threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            with connection, connection.makefile("rb") as incoming, contextlib.suppress(OSError, ValueError):
                while (request := _read(incoming, number)) is not None:
                    reply = self._next(request)
                    if not self._send(connection, reply):
                        return
        except BaseException as failure:  # noqa: BLE001  (a test looks at it; a thread has no caller)
            self.failed.append(failure)

    def _next(self, request: Received) -> Reply:
        if request.path.startswith(("/api/show", "/api/ps", "/api/version")):
            return whole({"error": "not found"}, 404)
        with self._lock:
            self.requests.append(request)
            reply = self.replies[0] if len(self.replies) == 1 else self.replies.pop(0)
        return reply(request) if callable(reply) else reply

    def _send(self, connection: socket.socket, reply: Reply) -> bool:
        for part in reply.parts:
            if isinstance(part, bytes):
                connection.sendall(part)
            elif self._stopped.wait(part):
                return False
        if reply.left is not None and connection.recv(1) == b"":
            reply.left.set()
        if reply.reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return reply.keep_alive


def _read(incoming: Any, number: int) -> Received | None:
    line = incoming.readline().decode().split()
    if len(line) < 2:
        return None
    headers = {}
    while (header := incoming.readline().decode("latin-1").strip()) != "":
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    body = incoming.read(int(headers.get("content-length", "0")))
    return Received(line[0], line[1], headers, body, number)
