"""The code of the guide for web backends, run by a real server."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from doubles import BEGINNINGS
from serving import Client, serving
from test_documentation import BLOCK

if TYPE_CHECKING:
    from madspark.testing import Simulator

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "backend.md"
LIMIT = 60


@pytest.fixture
def _environment(madspark_simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", madspark_simulator.ollama_url)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)


def code(section: str) -> dict[str, Any]:
    """Execute the block below a heading and return its names."""
    text = GUIDE.read_text(encoding="utf-8")
    _, _, below = text.partition(f"\n## {section}\n")
    match = BLOCK.search(below)
    assert match is not None
    names: dict[str, Any] = {"__name__": "backend_guide"}
    exec(compile(match[1], str(GUIDE), "exec", dont_inherit=True), names)  # noqa: S102  (our own page)
    return names


def sequence(reply: str) -> list[int]:
    return [int(number) for number in re.findall(r"^id: (\d+)$", reply, re.MULTILINE)]


@pytest.mark.usefixtures("_environment")
async def test_a_stream_has_every_event_and_the_result() -> None:
    async with asyncio.timeout(LIMIT), serving(code("Progress as server-sent events")["app"]) as port:
        reply = await (await Client.post(port, "/runs", {"topic": "city farming"})).rest()
        assert (await (await Client.post(port, "/runs", {"topic": " "})).rest()).startswith("HTTP/1.1 422 ")
    numbers = sequence(reply)
    assert numbers == list(range(1, len(numbers) + 1))
    result = json.loads(reply.partition("event: result\ndata: ")[2].splitlines()[0])
    assert result["status"] == "ok"


@pytest.mark.usefixtures("_environment")
async def test_a_failed_run_ends_its_stream_with_the_reason(madspark_simulator: Simulator) -> None:
    madspark_simulator.on(status=400)
    async with asyncio.timeout(LIMIT), serving(code("Progress as server-sent events")["app"]) as port:
        reply = await (await Client.post(port, "/runs", {"topic": "city farming"})).rest()
    assert reply.startswith("HTTP/1.1 200 ")
    assert "event: result" not in reply
    last = json.loads(reply.rpartition("event: run_finished\ndata: ")[2].splitlines()[0])
    assert last["status"] == "failed"
    assert "400" in last["reason"]


@pytest.mark.usefixtures("_environment")
@pytest.mark.parametrize(
    ("section", "path", "body"),
    [
        ("Progress as server-sent events", "/runs", {"topic": "city farming"}),
        ("A client that leaves", "/ideas?topic=farming", None),
    ],
)
async def test_the_run_of_a_client_that_leaves_ends(
    section: str, path: str, body: Any, madspark_simulator: Simulator
) -> None:
    madspark_simulator.on(contains=BEGINNINGS["evaluation"], fault="stall")
    async with asyncio.timeout(LIMIT), serving(code(section)["app"]) as port:
        client = await Client.post(port, path, body)
        assert await madspark_simulator.await_requests(2)
        await client.leave()
        assert await madspark_simulator.await_hang_ups(1)
        assert madspark_simulator.in_flight == 0


@pytest.mark.usefixtures("_environment")
async def test_a_reader_returns_to_a_run_and_misses_nothing() -> None:
    names = code("Several readers of one run")
    async with asyncio.timeout(LIMIT), serving(names["app"]) as port:
        reply = await (await Client.post(port, "/runs?topic=farming")).rest()
        run = json.loads(reply.rpartition("\r\n\r\n")[2])["id"]
        first = await Client.request("GET", port, f"/runs/{run}/events")
        await first.until("id: 3\n")
        await first.leave()
        second = await (await Client.request("GET", port, f"/runs/{run}/events", last_event_id="3")).rest()
        assert sequence(second)[0] == 4
        assert "event: run_finished" in second
        elsewhere = await (await Client.request("GET", port, "/runs/of-another-process/events")).rest()
        assert elsewhere.startswith("HTTP/1.1 404 ")
        assert (await (await Client.request("DELETE", port, f"/runs/{run}")).rest()).startswith("HTTP/1.1 200 ")
    assert names["runs"] == {}


@pytest.mark.usefixtures("_environment")
async def test_the_registry_forgets_finished_runs_and_refuses_too_many(madspark_simulator: Simulator) -> None:
    madspark_simulator.on(contains="stalled", fault="stall")
    names = code("Several readers of one run")
    names["MOST"] = 2

    async with asyncio.timeout(LIMIT), serving(names["app"]) as port:

        async def begin(topic: str) -> str:
            return await (await Client.post(port, f"/runs?topic={topic}")).rest()

        for topic in ("one", "stalled-2"):
            assert (await begin(topic)).startswith("HTTP/1.1 200 ")
        one, stalled = names["runs"].values()
        await one.result()
        assert (await begin("stalled-3")).startswith("HTTP/1.1 200 ")
        assert one.id not in names["runs"]
        assert stalled.id in names["runs"]
        refused = await begin("four")
        assert refused.startswith("HTTP/1.1 503 ")
        assert "retry-after: 30" in refused
        for run in names["runs"].values():
            run.cancel()
