"""The server of the benchmarks: its own process on its own core, which answers in microseconds."""

from __future__ import annotations

import os
import re
import select
import socket
import subprocess
import sys
from collections import deque
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Self

from benches.machine import pin, raise_file_limit
from benches.replies import Pieces, all_replies, respond
from benches.wire import is_whole

_MODEL = re.compile(rb'"model": ?"([a-z-]+)"')
_COUNTER = b"/answered"


class Upstream:
    """The server's process, pinned to `core`; stopped at the end of the `with` block."""

    def __init__(self, core: int) -> None:
        self.process = subprocess.Popen(  # noqa: S603  # this very file
            [sys.executable, "-m", "benches.upstream", str(core)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int((self.process.stdout or sys.stdin).readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()


class Gauge:
    """The load of the upstream and the number of its requests, for clients."""

    def __init__(self, port: int, pid: int) -> None:
        self.port, self.pid = port, pid

    def used(self) -> float:
        """Return the seconds of processor time it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def answered(self) -> int:
        """Return the number of requests it received, without the requests of this method."""
        connection = HTTPConnection("127.0.0.1", self.port)
        try:
            connection.request("GET", _COUNTER.decode())
            return int(connection.getresponse().read())
        finally:
            connection.close()


class Server:
    """Answers on one thread, by the path and the model."""

    def __init__(self) -> None:
        self.replies = all_replies()
        # Other requests of clients, such as model facts.
        self.unknown = (respond(404, "Not Found", {"error": "there is nothing here"}),)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.listener.setblocking(False)
        self.poll = select.epoll()
        self.poll.register(self.listener.fileno(), select.EPOLLIN)
        self.poll.register(sys.stdin.fileno(), select.EPOLLIN)
        self.connections: dict[int, socket.socket] = {}
        self.received: dict[int, bytes] = {}
        self.unsent: dict[int, deque[memoryview]] = {}
        self.answered = 0

    def run(self) -> None:
        """Answer every request immediately, until standard input is closed."""
        listener, stdin = self.listener.fileno(), sys.stdin.fileno()
        while True:
            for descriptor, event in self.poll.poll():
                if descriptor == listener:
                    self.accept()
                elif descriptor == stdin:
                    return
                elif event & select.EPOLLOUT:
                    self.write_next(descriptor)
                else:
                    self.read(descriptor)

    def accept(self) -> None:
        """Accept one connection."""
        connection, _ = self.listener.accept()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connections[connection.fileno()] = connection
        self.poll.register(connection.fileno(), select.EPOLLIN)

    def read(self, descriptor: int) -> None:
        """Read the received bytes, and answer if the request is complete."""
        data = b""
        with suppress(ConnectionError):
            data = self.connections[descriptor].recv(1 << 20)
        if not data:
            self.drop(descriptor)
            return
        data = self.received.pop(descriptor, b"") + data
        if not is_whole(data):
            self.received[descriptor] = data
            return
        pieces = self.reply_to(data)
        if len(pieces) == 1:
            self.write(descriptor, memoryview(pieces[0]))
        elif pieces:
            self.unsent[descriptor] = deque(memoryview(piece) for piece in pieces)
            self.poll.modify(descriptor, select.EPOLLOUT)

    def reply_to(self, request: bytes) -> Pieces:
        """Return the pieces of the reply."""
        path = request[request.index(b" ") + 1 : request.index(b" ", request.index(b" ") + 1)]
        if path == _COUNTER:
            return (respond(200, "OK", self.answered),)
        self.answered += 1
        model = _MODEL.search(request)
        return self.replies.get((path, model[1]), self.unknown) if model else self.unknown

    def write_next(self, descriptor: int) -> None:
        """Write the next piece; one per turn of the loop."""
        pieces = self.unsent[descriptor]
        piece = pieces.popleft()
        if not pieces:
            del self.unsent[descriptor]
            self.poll.modify(descriptor, select.EPOLLIN)
        self.write(descriptor, piece)

    def write(self, descriptor: int, piece: memoryview) -> None:
        """Write what the socket accepts, and keep the rest until it is writable."""
        try:
            rest = piece[self.connections[descriptor].send(piece) :]
        except BlockingIOError:
            rest = piece
        except ConnectionError:
            self.drop(descriptor)
            return
        if rest:
            self.unsent.setdefault(descriptor, deque()).appendleft(rest)
            self.poll.modify(descriptor, select.EPOLLOUT)

    def drop(self, descriptor: int) -> None:
        """Close a connection."""
        self.poll.unregister(descriptor)
        self.received.pop(descriptor, None)
        self.unsent.pop(descriptor, None)
        self.connections.pop(descriptor).close()


def main() -> None:
    """Serve, and print the port."""
    pin(int(sys.argv[1]))
    raise_file_limit()
    server = Server()
    print(server.listener.getsockname()[1], flush=True)
    server.run()


if __name__ == "__main__":
    main()
