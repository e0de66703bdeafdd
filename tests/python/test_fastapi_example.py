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

from serving import Client, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from madspark.testing import Simulator

EXAMPLE = Path(__file__).parents[2] / "examples" / "fastapi_backend.py"
LIMIT = 20


@pytest.fixture(autouse=True)
def _settings(madspark_simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example reads its settings from the environment when it starts."""
    monkeypatch.setenv("OLLAMA_HOST", madspark_simulator.ollama_url)
    monkeypatch.setenv("GEMINI_BASE_URL", madspark_simulator.gemini_url)
    monkeypatch.setenv("GOOGLE_API_KEY", "simulator-key-of-no-worth")


@asynccontextmanager
async def running() -> AsyncIterator[int]:
    """Run the example on a free port."""
    spec = importlib.util.spec_from_file_location("fastapi_backend", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    # FastAPI resolves the annotations in this module.
    sys.modules[spec.name] = example
    spec.loader.exec_module(example)
    async with serving(example.app, lifespan="on") as port:
        yield port


async def answer(port: int, query: str = "", **question: Any) -> str:
    return await (await Client.post(port, f"/ideas{query}", question)).rest()


def event(reply: str, kind: str) -> Any:
    (data,) = (part.partition("data: ")[2] for part in reply.split("\n\n") if f"event: {kind}\n" in part)
    return json.loads(data.splitlines()[0])


async def test_requests_choose_their_own_provider_and_see_who_answered(madspark_simulator: Simulator) -> None:
    async with asyncio.timeout(LIMIT), running() as port:
        ollama, gemini = await asyncio.gather(
            answer(port, "?provider=ollama&tier=fast&fallback=false", topic="city farming", top=1),
            answer(port, "?provider=gemini&fallback=false", topic="night trains", top=1),
        )
    for reply, provider in ((ollama, "ollama"), (gemini, "gemini")):
        assert reply.count("event: run_started\n") == reply.count("event: run_finished\n") == 1
        result = event(reply, "result")
        assert [one["status"] for one in result["candidates"]] == ["ok"]
        assert {one["provider"] for one in result["served_by"]} == {provider}
    assert {one.model for one in madspark_simulator.requests if one.provider == "ollama"} == {"gemma3:4b"}
    assert all("city farming" in one.prompt for one in madspark_simulator.requests if one.provider == "ollama")


async def test_a_failed_run_is_a_problem_in_the_stream(madspark_simulator: Simulator) -> None:
    madspark_simulator.on("ollama", status=429, headers={"retry-after": "0"})
    async with asyncio.timeout(LIMIT), running() as port:
        reply = await answer(port, "?provider=ollama&fallback=false", topic="city farming")
    assert event(reply, "problem")["code"] == "rate_limited"
    assert event(reply, "run_finished")["status"] == "failed"


@pytest.mark.parametrize(
    ("query", "question"),
    [("", {"topic": ""}), ("?provider=mock", {"topic": "x"}), ("", {"topic": "x", "top": 6}), ("", {"topic": " "})],
)
async def test_invalid_requests_of_a_client_are_rejected(
    query: str, question: dict[str, Any], madspark_simulator: Simulator
) -> None:
    async with asyncio.timeout(LIMIT), running() as port:
        assert (await answer(port, query, **question)).startswith("HTTP/1.1 422 ")
    assert madspark_simulator.requests == []


async def test_a_disconnected_client_cancels_its_model_call(madspark_simulator: Simulator) -> None:
    madspark_simulator.on("ollama", fault="stall")
    async with asyncio.timeout(LIMIT), running() as port:
        client = await Client.post(port, "/ideas?provider=ollama&fallback=false", {"topic": "city farming"})
        assert await madspark_simulator.await_requests(1)
        assert madspark_simulator.in_flight == 1
        await client.leave()
        assert await madspark_simulator.await_hang_ups(1)
    assert [one.hung_up for one in madspark_simulator.requests] == [True]
