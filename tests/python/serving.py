"""A real web server for tests, and clients that can leave it."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import uvicorn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi import FastAPI


@asynccontextmanager
async def serving(app: FastAPI, lifespan: str = "off") -> AsyncIterator[int]:
    """Serve `app` on a free port of this event loop; yield the port."""
    config = uvicorn.Config(app, log_level="warning", lifespan=lifespan)  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    # It is already listening, so no client waits for the server to start.
    with socket.create_server(("127.0.0.1", 0), backlog=500) as listener:
        serve = asyncio.create_task(server.serve(sockets=[listener]))
        yield listener.getsockname()[1]
        server.should_exit = True
        await serve


class Client:
    """One request and its connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def post(cls, port: int, path: str, body: Any = None) -> Client:
        return await cls._send("POST", port, path, b"" if body is None else json.dumps(body).encode(), {})

    @classmethod
    async def request(cls, method: str, port: int, path: str, **headers: str) -> Client:
        return await cls._send(method, port, path, b"", headers)

    @classmethod
    async def _send(cls, method: str, port: int, path: str, body: bytes, headers: dict[str, str]) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        lines = [f"{method} {path} HTTP/1.1", "host: x", "connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if body:
            lines += ["content-type: application/json"]
        lines += [f"content-length: {len(body)}", "", ""]
        writer.write("\r\n".join(lines).encode() + body)
        return cls(reader, writer)

    async def until(self, text: str) -> None:
        """Read until `text` arrives."""
        await self._reader.readuntil(text.encode())

    async def rest(self) -> str:
        """Return everything that arrives until the server closes the connection."""
        try:
            return (await self._reader.read()).decode()
        finally:
            await self.leave()

    async def leave(self) -> None:
        """Close the connection."""
        self._writer.close()
        await self._writer.wait_closed()
