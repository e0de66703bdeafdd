"""The web backend of the examples, run by a real server."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from madspark import LLMConfig
from serving import Client, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from madspark.testing import Simulator

EXAMPLE = Path(__file__).parents[2] / "examples" / "fastapi_backend.py"
LIMIT = 20


def backend(simulator: Simulator) -> Any:
    """Load the example with the settings of the test."""
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
    return example


@asynccontextmanager
async def running(simulator: Simulator) -> AsyncIterator[int]:
    """Run the example on a free port."""
    async with serving(backend(simulator).app) as port:
        yield port


async def answer(port: int, **question: Any) -> str:
    return await (await Client.post(port, "/ideas", question)).rest()


def event(reply: str, kind: str) -> Any:
    (data,) = (part.partition("data: ")[2] for part in reply.split("\n\n") if f"event: {kind}\n" in part)
    return json.loads(data.splitlines()[0])


async def test_requests_choose_their_own_provider_and_see_who_answered(madspark_simulator: Simulator) -> None:
    async with asyncio.timeout(LIMIT), running(madspark_simulator) as port:
        ollama, gemini = await asyncio.gather(
            answer(port, topic="city farming", top=1, provider="ollama", tier="fast", fallback=False),
            answer(port, topic="night trains", top=1, provider="gemini", fallback=False),
        )
    for reply, provider in ((ollama, "ollama"), (gemini, "gemini")):
        assert reply.count("event: run_started\n") == reply.count("event: run_finished\n") == 1
        result = event(reply, "result")
        assert [one["status"] for one in result["candidates"]] == ["ok"]
        assert {one["provider"] for one in result["served_by"]} == {provider}
    assert {one.model for one in madspark_simulator.requests if one.provider == "ollama"} == {"gemma3:4b"}
    assert all("city farming" in one.prompt for one in madspark_simulator.requests if one.provider == "ollama")


async def test_a_failed_run_is_an_error_event(madspark_simulator: Simulator) -> None:
    madspark_simulator.on("ollama", status=429, headers={"retry-after": "0"})
    async with asyncio.timeout(LIMIT), running(madspark_simulator) as port:
        reply = await answer(port, topic="city farming", provider="ollama", fallback=False)
    assert "RateLimited" in event(reply, "error")["type"]


@pytest.mark.parametrize("question", [{"topic": ""}, {"topic": "x", "provider": "mock"}, {"topic": "x", "top": 6}])
async def test_invalid_requests_of_a_client_are_rejected(
    question: dict[str, Any], madspark_simulator: Simulator
) -> None:
    async with asyncio.timeout(LIMIT), running(madspark_simulator) as port:
        assert (await answer(port, **question)).startswith("HTTP/1.1 422 ")
    assert madspark_simulator.requests == []


async def test_a_disconnected_client_cancels_its_model_call(madspark_simulator: Simulator) -> None:
    madspark_simulator.on("ollama", fault="stall")
    async with asyncio.timeout(LIMIT), running(madspark_simulator) as port:
        client = await Client.post(port, "/ideas", {"topic": "city farming", "provider": "ollama", "fallback": False})
        assert await madspark_simulator.await_requests(1)
        assert madspark_simulator.in_flight == 1
        await client.leave()
        assert await madspark_simulator.await_hang_ups(1)
    assert [one.hung_up for one in madspark_simulator.requests] == [True]


async def test_a_silent_run_sends_comments_and_loses_no_event(madspark_simulator: Simulator) -> None:
    madspark_simulator.on(latency=0.2)
    example = backend(madspark_simulator)
    vars(example)["KEEP_ALIVE_SECONDS"] = 0.05
    async with asyncio.timeout(LIMIT), serving(example.app) as port:
        reply = await answer(port, topic="city farming", provider="gemini", fallback=False)
    assert ": still running\n\n" in reply
    numbers = [int(line.removeprefix("id: ")) for line in reply.splitlines() if line.startswith("id: ")]
    assert numbers == list(range(1, len(numbers) + 1))
    assert event(reply, "result")["status"] == "ok"
