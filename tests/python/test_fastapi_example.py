"""The web backend of the examples, run by a real server."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

from madspark import LLMConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from madspark.testing import Simulator

EXAMPLE = Path(__file__).parents[2] / "examples" / "fastapi_backend.py"
LIMIT = 20


@asynccontextmanager
async def serving(simulator: Simulator) -> AsyncIterator[int]:
    """Run the example on a free port with the settings of the test."""
    spec = importlib.util.spec_from_file_location("fastapi_backend", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    # FastAPI resolves the annotations in this module.
    sys.modules[spec.name] = example
    spec.loader.exec_module(example)
    settings = LLMConfig(
        ollama_host=simulator.ollama_url,
        gemini_base_url=simulator.gemini_url,
        gemini_api_key="simulator-key-of-no-worth",
    )
    vars(example)["SETTINGS"] = settings
    server = uvicorn.Server(uvicorn.Config(example.app, log_level="warning", lifespan="off"))
    # It is already listening, so no client waits for the server to start.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serve = asyncio.create_task(server.serve(sockets=[listener]))
        yield listener.getsockname()[1]
        server.should_exit = True
        await serve


async def ask(port: int, question: dict[str, Any]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    body = json.dumps(question).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /ideas HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    writer.write(head.encode() + b"connection: close\r\n\r\n" + body)
    return reader, writer


async def leave(writer: asyncio.StreamWriter) -> None:
    writer.close()
    await writer.wait_closed()


async def answer(port: int, **question: Any) -> str:
    reader, writer = await ask(port, question)
    try:
        return (await reader.read()).decode()
    finally:
        await leave(writer)


def event(reply: str, kind: str) -> Any:
    (data,) = (part.partition("data: ")[2] for part in reply.split("\n\n") if f"event: {kind}\n" in part)
    return json.loads(data.splitlines()[0])


async def test_requests_choose_their_own_provider_and_get_their_own_metrics(madspark_simulator: Simulator) -> None:
    async with asyncio.timeout(LIMIT), serving(madspark_simulator) as port:
        ollama, gemini = await asyncio.gather(
            answer(port, topic="city farming", top=1, provider="ollama", tier="fast", fallback=False),
            answer(port, topic="night trains", top=1, provider="gemini", fallback=False),
        )
    for reply, provider, other in ((ollama, "ollama", "gemini"), (gemini, "gemini", "ollama")):
        assert "event: progress\n" in reply
        result = event(reply, "result")
        assert [one["status"] for one in result["results"]] == ["ok"]
        assert result["metrics"][f"{provider}_calls"] > 0
        assert result["metrics"][f"{other}_calls"] == 0
    assert {one.model for one in madspark_simulator.requests if one.provider == "ollama"} == {"gemma3:4b"}
    assert all("city farming" in one.prompt for one in madspark_simulator.requests if one.provider == "ollama")


async def test_a_failed_run_is_an_error_event(madspark_simulator: Simulator) -> None:
    madspark_simulator.on("ollama", status=429, headers={"retry-after": "0"})
    async with asyncio.timeout(LIMIT), serving(madspark_simulator) as port:
        reply = await answer(port, topic="city farming", provider="ollama", fallback=False)
    assert "RateLimited" in event(reply, "error")["type"]


@pytest.mark.parametrize("question", [{"topic": ""}, {"topic": "x", "provider": "mock"}, {"topic": "x", "top": 6}])
async def test_invalid_requests_of_a_client_are_rejected(
    question: dict[str, Any], madspark_simulator: Simulator
) -> None:
    async with asyncio.timeout(LIMIT), serving(madspark_simulator) as port:
        assert (await answer(port, **question)).startswith("HTTP/1.1 422 ")
    assert madspark_simulator.requests == []


async def test_a_disconnected_client_cancels_its_model_call(madspark_simulator: Simulator) -> None:
    madspark_simulator.on("ollama", fault="stall")
    async with asyncio.timeout(LIMIT), serving(madspark_simulator) as port:
        _, writer = await ask(port, {"topic": "city farming", "provider": "ollama", "fallback": False})
        assert await madspark_simulator.await_requests(1)
        assert madspark_simulator.in_flight == 1
        await leave(writer)
        assert await madspark_simulator.await_hang_ups(1)
    assert [one.hung_up for one in madspark_simulator.requests] == [True]
