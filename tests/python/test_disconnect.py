"""Clients of a real server that leave: their runs end, and no task, connection or further request remains."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from doubles import BEGINNINGS, stage_of
from madspark import AsyncCoordinator
from madspark.integrations.fastapi import cancel_on_disconnect
from serving import Client, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from madspark import LLMRouter
    from madspark.testing import Simulator

    Make = Callable[..., LLMRouter]

# Seconds. Long enough for a loaded machine; only a hang reaches it.
LIMIT = 120
WAVES = 4
OF_EACH = 20
"""How many clients of a wave leave in each of the ways."""


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    """Leave cycles alone, so that a run ends only where something ends it."""
    gc.disable()
    yield
    gc.enable()


class Backend:
    """Routes that read a run in every way in which a client or a handler can leave it."""

    def __init__(self, make: Make) -> None:
        self._make = make
        self.app = FastAPI()
        self.app.post("/stream/{name}")(self.stream)
        self.app.post("/limited/{name}")(self.limited)
        self.app.post("/cancelled/{name}")(self.cancelled)
        self.app.post("/failing/{name}")(self.failing)
        self.app.post("/plain/{name}")(self.plain)
        self.limits: list[asyncio.Timeout] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.fail = asyncio.Event()
        self.release = asyncio.Event()
        # Errors and what their tracebacks hold, as error trackers keep them.
        self.kept: list[BaseException] = []

    def events(self, name: str) -> Any:
        router = self._make(primary_provider="gemini", fallback_enabled=False)
        return AsyncCoordinator(router=router).events(f"Topic of {name}", mode="batch")

    async def stream(self, name: str) -> StreamingResponse:
        async def lines() -> AsyncIterator[str]:
            try:
                async for event in self.events(name):
                    yield event.to_sse()
            except BaseException as error:
                self.kept.append(error)
                raise

        return StreamingResponse(lines(), media_type="text/event-stream")

    async def limited(self, name: str) -> str:
        """Give the run up, and go on."""
        try:
            async with asyncio.timeout(None) as limit:
                self.limits.append(limit)
                async for _ in self.events(name):
                    pass
        except TimeoutError as error:
            self.kept.append(error)
        await self.release.wait()
        return "given up"

    async def cancelled(self, name: str) -> str:
        async def read() -> None:
            events = self.events(name)
            async for _ in events:
                pass

        task = asyncio.create_task(read())
        self.tasks.append(task)
        try:
            await task
        except asyncio.CancelledError as error:
            self.kept.append(error)
        await self.release.wait()
        return "cancelled"

    async def failing(self, name: str) -> str:
        async def read() -> None:
            events = self.events(name)
            async for event in events:
                if event.type == "stage_started" and event.stage == "evaluation":
                    await self.fail.wait()
                    raise LookupError

        done, _ = await asyncio.wait({asyncio.create_task(read())})
        self.kept += [error for task in done if (error := task.exception())]
        await self.release.wait()
        return "failed"

    async def plain(self, request: Request, name: str) -> str:
        router = self._make(primary_provider="gemini", fallback_enabled=False)
        work = AsyncCoordinator(router=router).run_workflow(f"Topic of {name}")
        await cancel_on_disconnect(request, work)
        return "finished"


async def test_four_hundred_clients_leave_and_nothing_remains(
    madspark_router: Make, madspark_simulator: Simulator
) -> None:
    # The run of the control is never in the way of a rule.
    madspark_simulator.on(contains="Topic of control")
    madspark_simulator.on(contains=BEGINNINGS["evaluation"], fault="stall")
    backend = Backend(madspark_router)
    ways = ("stream", "limited", "cancelled", "failing", "plain")
    in_flight = 0
    async with asyncio.timeout(LIMIT * 2), serving(backend.app) as port:
        before = asyncio.all_tasks()
        for wave in range(WAVES):
            names = {way: [f"{way} {wave} {number}" for number in range(OF_EACH)] for way in ways}
            clients = {
                way: await asyncio.gather(
                    *(Client.post(port, f"/{way}/{name.replace(' ', '-')}") for name in names[way])
                )
                for way in ways
            }
            # Every run has an evaluation in flight.
            in_flight += len(ways) * OF_EACH
            assert await madspark_simulator.await_requests(2 * in_flight, timeout=LIMIT)
            await asyncio.gather(*(client.leave() for client in (*clients["stream"], *clients["plain"])))
            for limit in backend.limits[-OF_EACH:]:
                limit.reschedule(asyncio.get_running_loop().time())
            for task in backend.tasks[-OF_EACH:]:
                task.cancel()
            backend.fail.set()
            assert await madspark_simulator.await_hang_ups(in_flight, timeout=LIMIT)
            assert madspark_simulator.in_flight == 0
            backend.release.set()
            answers = await asyncio.gather(*(client.rest() for way in ways[1:4] for client in clients[way]))
            assert all(answer.startswith("HTTP/1.1 200 ") for answer in answers)
            backend.fail.clear()
            backend.release.clear()
        # Whatever were still running would have made its calls by the end of this one.
        control = await Client.post(port, "/stream/control")
        assert "run_finished" in await control.rest()
        others = asyncio.all_tasks() - before
        if others:
            await asyncio.wait(others)
    assert len(backend.kept) == 4 * WAVES * OF_EACH
    left = [request for request in madspark_simulator.requests if "Topic of control" not in request.prompt]
    assert Counter(stage_of(request.prompt) for request in left) == {
        "idea_generation": in_flight,
        "evaluation": in_flight,
    }
    assert in_flight == 400


async def test_a_plain_handler_ends_its_work_with_its_client(
    madspark_router: Make, madspark_simulator: Simulator, capfd: pytest.CaptureFixture[str]
) -> None:
    madspark_simulator.on(contains=BEGINNINGS["evaluation"], fault="stall", times=1)
    backend = Backend(madspark_router)
    async with asyncio.timeout(LIMIT), serving(backend.app) as port:
        before = asyncio.all_tasks()
        client = await Client.post(port, "/plain/one", {"a": "body that nobody reads"})
        assert await madspark_simulator.await_requests(2)
        await client.leave()
        assert await madspark_simulator.await_hang_ups(1)
        assert (await (await Client.post(port, "/plain/two")).rest()).endswith('"finished"')
        if others := asyncio.all_tasks() - before:
            await asyncio.wait(others)
    assert "Topic of one" not in madspark_simulator.requests[-1].prompt
    # A client that left is no error of the server.
    assert capfd.readouterr() == ("", "")


async def test_the_error_of_the_work_is_the_error_of_the_handler(
    madspark_router: Make, madspark_simulator: Simulator
) -> None:
    from fastapi.responses import PlainTextResponse

    from madspark import MadsparkError

    madspark_simulator.on(status=401)
    backend = Backend(madspark_router)

    async def explain(_request: Request, error: Exception) -> PlainTextResponse:
        return PlainTextResponse(type(error).__name__, 502)

    backend.app.add_exception_handler(MadsparkError, explain)
    async with asyncio.timeout(LIMIT), serving(backend.app) as port:
        answer = await (await Client.post(port, "/plain/one")).rest()
    assert answer.startswith("HTTP/1.1 502 ")
    assert answer.endswith("AllProvidersUnauthorizedError")


async def test_cancelling_the_handler_cancels_the_work(madspark_router: Make, madspark_simulator: Simulator) -> None:
    madspark_simulator.on(fault="stall")
    connected = asyncio.Event()

    async def receive() -> dict[str, str]:
        connected.set()
        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    request = Request({"type": "http"}, receive)
    router = madspark_router(primary_provider="gemini", fallback_enabled=False)
    before = asyncio.all_tasks()
    handler = asyncio.create_task(cancel_on_disconnect(request, router.agenerate("unanswered")))
    await connected.wait()
    assert await madspark_simulator.await_requests(1)
    handler.cancel()
    with pytest.raises(asyncio.CancelledError):
        await handler
    assert asyncio.all_tasks() == before
    assert await madspark_simulator.await_hang_ups(1)
