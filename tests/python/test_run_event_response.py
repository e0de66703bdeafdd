"""`RunEventResponse`: a run as server-sent events over real sockets."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import BackgroundTasks, FastAPI, HTTPException

from madspark import AsyncCoordinator, LLMRouter, WorkflowResult, WorkflowRun
from madspark.integrations.fastapi import LastEventId, RunEventResponse, add_exception_handlers, lifespan
from serving import Client, serving
from wire import model_requests

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from madspark.testing import Simulator

    Make = Callable[..., LLMRouter]

LIMIT = 20


def streaming(make: Make, **options: Any) -> FastAPI:
    """An application that streams one run for each request to /ideas, and holds those of /runs."""
    app = FastAPI(lifespan=lifespan(make().config))
    add_exception_handlers(app)
    app.state.runs = {}
    app.state.ended = asyncio.Event()

    def coordinator() -> AsyncCoordinator:
        return AsyncCoordinator(router=make(primary_provider="ollama", fallback_enabled=False, max_attempts=1))

    @app.post("/ideas", response_class=RunEventResponse)
    async def ideas(topic: str, background: BackgroundTasks) -> RunEventResponse:
        background.add_task(app.state.ended.set)
        return RunEventResponse(coordinator().events(topic), background=background, **options)

    @app.post("/runs")
    async def begin(topic: str) -> str:
        run = await coordinator().start(topic)
        app.state.runs[run.id] = run
        return run.id

    @app.get("/runs/{run_id}", response_class=RunEventResponse)
    async def follow(run_id: str, last_event_id: LastEventId = 0) -> RunEventResponse:
        run: WorkflowRun | None = app.state.runs.get(run_id)
        if run is None:
            raise HTTPException(404)
        return RunEventResponse(run.events(after=last_event_id))

    return app


def split(reply: str) -> tuple[str, list[dict[str, str]]]:
    """The head of a reply, and its events as dicts of their fields."""
    head, _, body = reply.partition("\r\n\r\n")
    # Each event is one chunk; lines with its size are between them.
    blocks = [block for block in body.replace("\r\n", "\n").split("\n\n") if "data: " in block]
    events = [dict(line.split(": ", 1) for line in block.splitlines() if ": " in line) for block in blocks]
    return head, events


async def stream(app: FastAPI, path: str, method: str = "POST", **headers: str) -> tuple[str, list[dict[str, str]]]:
    async with asyncio.timeout(LIMIT), serving(app) as port:
        client = await Client.request(method, port, path, **headers)
        return split(await client.rest())


async def test_a_run_is_streamed_with_its_result(madspark_router: Make, madspark_simulator: Simulator) -> None:
    app = streaming(madspark_router)
    head, events = await stream(app, "/ideas?topic=city+farming")
    assert head.startswith("HTTP/1.1 200 ")
    lines = head.lower().splitlines()
    assert "content-type: text/event-stream; charset=utf-8" in lines
    assert {"cache-control: no-store", "x-accel-buffering: no"} <= set(lines)
    assert not any(line.startswith("content-length") for line in lines)
    numbers = [int(event["id"]) for event in events if "id" in event]
    assert numbers == [*range(1, len(numbers) + 1)]
    names = [event["event"] for event in events]
    assert (names[0], names[-2:]) == ("run_started", ["result", "run_finished"])
    assert all(json.loads(event["data"])["type"] == event["event"] for event in events if "id" in event)
    result = WorkflowResult.model_validate_json(events[-2]["data"])
    assert (result.status, result.calls) == ("ok", len(model_requests(madspark_simulator)))
    assert result.run_id == json.loads(events[0]["data"])["run_id"]
    assert app.state.ended.is_set()


async def test_the_result_may_be_left_out(madspark_router: Make) -> None:
    _, events = await stream(streaming(madspark_router, result=False), "/ideas?topic=city+farming")
    assert [event["event"] for event in events[-2:]] != ["result", "run_finished"]
    assert events[-1]["event"] == "run_finished"
    assert all("id" in event for event in events)


async def test_a_failed_run_ends_with_a_problem(madspark_router: Make, madspark_simulator: Simulator) -> None:
    madspark_simulator.on("ollama", status=429, headers={"retry-after": "7"})
    head, events = await stream(streaming(madspark_router), "/ideas?topic=city+farming")
    assert head.startswith("HTTP/1.1 200 ")
    assert [event["event"] for event in events[-2:]] == ["problem", "run_finished"]
    assert "id" not in events[-2]
    problem = json.loads(events[-2]["data"])
    assert (problem["code"], problem["status"]) == ("rate_limited", 429)
    assert 0 < problem["retry_after"] <= 7


async def test_an_invalid_request_has_a_status_of_its_own(madspark_router: Make, madspark_simulator: Simulator) -> None:
    async with asyncio.timeout(LIMIT), serving(streaming(madspark_router)) as port:
        reply = await (await Client.post(port, "/ideas?topic=%20")).rest()
    head, _, body = reply.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 422 ")
    assert "content-type: application/problem+json" in head
    assert json.loads(body)["code"] == "invalid_request"
    assert madspark_simulator.requests == []


async def test_comments_keep_a_silent_stream_open(madspark_router: Make, madspark_simulator: Simulator) -> None:
    madspark_simulator.on("ollama", fault="stall", times=1)
    async with asyncio.timeout(LIMIT), serving(streaming(madspark_router, keep_alive=0.02)) as port:
        client = await Client.post(port, "/ideas?topic=city+farming")
        for _ in range(3):
            await client.until(": keep-alive\n\n")
        assert madspark_simulator.in_flight == 1
        await client.leave()
        assert await madspark_simulator.await_hang_ups(1)


async def test_the_run_ends_when_the_client_leaves(madspark_router: Make, madspark_simulator: Simulator) -> None:
    madspark_simulator.on("ollama", fault="stall")
    app = streaming(madspark_router, keep_alive=3600.0)
    before = asyncio.all_tasks()
    async with asyncio.timeout(LIMIT), serving(app) as port:
        clients = [await Client.post(port, "/ideas?topic=city+farming") for _ in range(20)]
        assert await madspark_simulator.await_requests(20)
        for client in clients:
            await client.leave()
        assert await madspark_simulator.await_hang_ups(20)
        await app.state.ended.wait()
    assert asyncio.all_tasks() == before
    assert len(madspark_simulator.requests) == 20
    assert madspark_simulator.in_flight == 0


async def test_a_client_of_a_held_run_returns_and_misses_nothing(madspark_router: Make) -> None:
    app = streaming(madspark_router)
    async with asyncio.timeout(LIMIT), serving(app) as port:
        run_id = (
            (await (await Client.post(port, "/runs?topic=city+farming")).rest()).rpartition("\r\n\r\n")[2].strip('"')
        )
        first = await Client.request("GET", port, f"/runs/{run_id}")
        await first.until("id: 3\n")
        await first.leave()
        again = await Client.request("GET", port, f"/runs/{run_id}", last_event_id="3")
        _, events = split(await again.rest())
        numbers = [int(event["id"]) for event in events if "id" in event]
        assert numbers == [*range(4, 4 + len(numbers))]
        assert [event["event"] for event in events[-2:]] == ["result", "run_finished"]
        # A browser reconnects after the end, too. 204 makes it stop.
        last = await Client.request("GET", port, f"/runs/{run_id}", last_event_id=str(numbers[-1]))
        assert (await last.rest()).startswith("HTTP/1.1 204 ")
        late = await Client.request("GET", port, f"/runs/{run_id}", last_event_id="999")
        assert (await late.rest()).startswith("HTTP/1.1 422 ")
        wrong = await Client.request("GET", port, f"/runs/{run_id}", last_event_id="three")
        assert (await wrong.rest()).startswith("HTTP/1.1 422 ")
        assert (await app.state.runs[run_id].result()).status == "ok"


async def test_leaving_does_not_end_a_held_run(madspark_router: Make, madspark_simulator: Simulator) -> None:
    madspark_simulator.on("ollama", fault="stall", times=1)
    app = streaming(madspark_router)
    async with asyncio.timeout(LIMIT), serving(app) as port:
        run_id = (
            (await (await Client.post(port, "/runs?topic=city+farming")).rest()).rpartition("\r\n\r\n")[2].strip('"')
        )
        client = await Client.request("GET", port, f"/runs/{run_id}")
        await client.until("event: run_started")
        await client.leave()
        again = await Client.request("GET", port, f"/runs/{run_id}")
        await again.until("event: run_started")
        assert await madspark_simulator.await_requests(1)
        assert madspark_simulator.in_flight == 1
        await again.leave()
        app.state.runs[run_id].cancel()


async def test_the_stream_of_a_cancelled_run_ends(madspark_router: Make, madspark_simulator: Simulator) -> None:
    madspark_simulator.on("ollama", fault="stall", times=1)
    app = streaming(madspark_router)
    async with asyncio.timeout(LIMIT), serving(app) as port:
        run_id = (
            (await (await Client.post(port, "/runs?topic=city+farming")).rest()).rpartition("\r\n\r\n")[2].strip('"')
        )
        client = await Client.request("GET", port, f"/runs/{run_id}")
        await client.until("event: run_started")
        app.state.runs[run_id].cancel()
        _, events = split("\r\n\r\n" + await client.rest())
    (result,) = [json.loads(event["data"]) for event in events if event.get("event") == "result"]
    assert (result["partial"], result["cut"]) == (True, "cancelled")


async def test_the_stream_ends_at_shutdown(madspark_router: Make, madspark_simulator: Simulator) -> None:
    madspark_simulator.on("ollama", fault="stall")
    app = streaming(madspark_router)
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    events = AsyncCoordinator(router=madspark_router(primary_provider="ollama")).events("topic")
    async with asyncio.timeout(LIMIT):
        async with app.router.lifespan_context(app):
            answering = asyncio.create_task(RunEventResponse(events)({"type": "http", "app": app}, receive, send))
            assert await madspark_simulator.await_requests(1)
        await answering
        assert await madspark_simulator.await_hang_ups(1)
    assert sent[0]["status"] == 200
    # The body has no end: the client sees that it was cut.
    assert sent[-1].get("more_body")


async def test_the_stream_is_documented(madspark_router: Make) -> None:
    document = streaming(madspark_router).openapi()
    content = document["paths"]["/ideas"]["post"]["responses"]["200"]["content"]
    assert [*content] == ["text/event-stream"]
    (header,) = [one for one in document["paths"]["/runs/{run_id}"]["get"]["parameters"] if one["in"] == "header"]
    assert (header["name"], header["schema"]["minimum"], header["required"]) == ("Last-Event-ID", 0, False)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_the_silence_is_a_positive_number_of_seconds(madspark_router: Make, seconds: float) -> None:
    events = AsyncCoordinator(router=madspark_router()).events("topic")
    with pytest.raises(ValueError, match="keep_alive must be"):
        RunEventResponse(events, keep_alive=seconds)
