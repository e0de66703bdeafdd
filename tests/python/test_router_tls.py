"""TLS: calls reach only servers whose certificate the system trusts."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import pytest
import trustme

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REPLY = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "safe"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}

ASK = """
import sys
from madspark import LLMConfig, LLMRouter
config = LLMConfig(openai_base_url=sys.argv[1], openai_model="m", openai_api_key="key-of-no-worth-0123")
router = LLMRouter("openai", False, False, config)
for _ in range(2):
    try:
        print(router.generate("hello")[0])
    except Exception as error:
        print(error.attempts[0].error, error)
"""


class Server(ThreadingHTTPServer):
    """Records the client port of each request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ports: list[int] = []


class Handler(BaseHTTPRequestHandler):
    """Answers every request and keeps the connection open."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        """Answer."""
        self.server.ports.append(self.client_address[1])
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(REPLY).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server(authority: trustme.CA, name: str) -> Iterator[Server]:
    """Start a server with a certificate for `name`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    server = Server()
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def ask(port: int, trusted: Path, home: str) -> list[str]:
    """Return the output of a program that makes two calls and trusts only the authorities in `trusted`."""
    environment = {"HOME": home, "SSL_CERT_FILE": str(trusted)}
    command = [sys.executable, "-c", ASK, f"https://localhost:{port}/v1"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603
    return done.stdout.splitlines()


@pytest.mark.skipif(sys.platform != "linux", reason="the authorities of other systems are not in a file")
@pytest.mark.parametrize(
    ("name", "is_trusted", "is_answered"),
    [("localhost", True, True), ("localhost", False, False), ("elsewhere.example", True, False)],
    ids=["trusted", "of an unknown authority", "of another host"],
)
def test_only_a_trusted_server_with_the_right_name_is_called(
    is_trusted: bool, is_answered: bool, server: Server, authority: trustme.CA, tmp_path: Path, home: str
) -> None:
    (authority if is_trusted else trustme.CA()).cert_pem.write_to_path(str(tmp_path / "trusted.pem"))
    lines = ask(server.server_address[1], tmp_path / "trusted.pem", home)
    if is_answered:
        assert lines == ["safe", "safe"]
        # The connection is reused although TLS sends session tickets after a reply.
        assert len(server.ports) == 2
        assert len(set(server.ports)) == 1
    else:
        assert len(lines) == 2
        for line in lines:
            assert line.startswith("tls ")
            assert "certificate" in line
            assert "key-of-no-worth" not in line
