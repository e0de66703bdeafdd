"""The floor: posts the same body over keep-alive connections and parses the reply. No client can do less."""

from __future__ import annotations

import asyncio
import http.client
import json
from typing import TYPE_CHECKING, Any

from benches.callers.base import Library
from benches.wire import is_whole, take_chunks
from benches.workload import DIALECTS, SCHEMA, TEMPERATURE, Idea, WrongAnswerError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Floor:
    """Writes and reads HTTP directly; uses the standard JSON parser and pydantic."""

    def __init__(self, dialect: str, port: int) -> None:
        self.ollama, self.port, self.path = dialect == "ollama", port, DIALECTS[dialect]
        self.idle: list[_Connection] = []
        self.blocking = http.client.HTTPConnection("127.0.0.1", port)

    async def text(self, model: str, prompt: str) -> str:
        """Request text."""
        return self._content(await self._ask(self._body(model, prompt)))

    async def idea(self, model: str, prompt: str) -> Idea:
        """Request JSON of the schema and validate it with pydantic."""
        body = self._body(model, prompt) | self._schema()
        return Idea.model_validate_json(self._content(await self._ask(body)))

    async def pieces(self, model: str, prompt: str) -> AsyncIterator[str]:
        """Request text as a stream."""
        connection = await self._connection()
        connection.send(self._request(self._body(model, prompt) | {"stream": True}))
        head, _, body = (await connection.some()).partition(b"\r\n\r\n")
        if b"chunked" not in head:
            raise WrongAnswerError(head.decode())
        while True:
            chunks, rest = take_chunks(body)
            for chunk in chunks:
                if not chunk:
                    self.idle.append(connection)
                    return
                if piece := self._piece(chunk):
                    yield piece
            body = rest + await connection.some()

    async def construct(self) -> None:
        """Construct another client with its own configuration."""
        Floor("openai", self.port)

    def text_now(self, model: str, prompt: str) -> str:
        """Request text."""
        return self._content(self._ask_now(self._body(model, prompt)))

    def idea_now(self, model: str, prompt: str) -> Idea:
        """Request JSON of the schema and validate it with pydantic."""
        body = self._body(model, prompt) | self._schema()
        return Idea.model_validate_json(self._content(self._ask_now(body)))

    def _body(self, model: str, prompt: str) -> dict[str, Any]:
        body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": prompt}]}
        if self.ollama:
            return body | {"stream": False, "options": {"temperature": TEMPERATURE}}
        return body | {"temperature": TEMPERATURE}

    def _schema(self) -> dict[str, Any]:
        if self.ollama:
            return {"format": SCHEMA}
        wanted = {"name": "Idea", "strict": True, "schema": SCHEMA}
        return {"response_format": {"type": "json_schema", "json_schema": wanted}}

    def _content(self, content: bytes) -> str:
        reply = json.loads(content)
        text: str = (reply if self.ollama else reply["choices"][0])["message"]["content"]
        return text

    def _piece(self, chunk: bytes) -> str:
        if self.ollama:
            text: str = json.loads(chunk)["message"]["content"]
            return text
        data = chunk[6:-2]
        if data == b"[DONE]":
            return ""
        choices = json.loads(data)["choices"]
        piece: str = choices[0]["delta"].get("content", "") if choices else ""
        return piece

    def _request(self, fields: dict[str, Any]) -> bytes:
        body = json.dumps(fields).encode()
        head = f"POST {self.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body

    async def _connection(self) -> _Connection:
        if self.idle:
            return self.idle.pop()
        _, connection = await asyncio.get_running_loop().create_connection(_Connection, "127.0.0.1", self.port)
        return connection

    async def _ask(self, fields: dict[str, Any]) -> bytes:
        connection = await self._connection()
        connection.send(self._request(fields))
        data = await connection.some()
        while not is_whole(data):
            data += await connection.some()
        self.idle.append(connection)
        return data.partition(b"\r\n\r\n")[2]

    def _ask_now(self, fields: dict[str, Any]) -> bytes:
        self.blocking.request("POST", self.path, json.dumps(fields).encode(), {"content-type": "application/json"})
        return self.blocking.getresponse().read()


class _Connection(asyncio.Protocol):
    """A keep-alive connection for one exchange at a time."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.data = b""
        self.waiting: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        if isinstance(transport, asyncio.Transport):
            self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Wake the reader."""
        self.data += data
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result(None)

    def send(self, request: bytes) -> None:
        """Send a request."""
        self.transport.write(request)

    async def some(self) -> bytes:
        """Return the received bytes, at least one."""
        if not self.data:
            self.waiting = asyncio.get_running_loop().create_future()
            await self.waiting
        data, self.data = self.data, b""
        return data


async def connect(dialect: str, port: int) -> Floor:
    """Make the client; connections are opened on demand."""
    return Floor(dialect, port)


LIBRARY = Library(connect, ("pydantic",), ("openai", "ollama"))
