"""Cells of a real kernel that are interrupted, time out or fail: their runs end with them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from jupyter_core.utils import ensure_async
from nbclient import NotebookClient

from doubles import BEGINNINGS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from madspark.testing import Simulator

# Seconds. A kernel takes a while to start on a loaded machine.
LIMIT = 120

SETUP = """
import asyncio, gc
from madspark import AsyncCoordinator, Coordinator, LLMConfig, LLMRouter
from madspark.testing import Simulator

# What the collector would do later says nothing about now.
gc.disable()

def router_of(url):
    config = LLMConfig(gemini_base_url=url, gemini_api_key="any-key-of-some-length")
    return LLMRouter("gemini", fallback_enabled=False, cache_enabled=False, config=config)

router = router_of({url!r})
coordinator = AsyncCoordinator(router=router)
"""

# A simulator in the kernel, for cells that wait for a request before they leave.
OWN_SIMULATOR = f"""
simulator = Simulator()
simulator.on(contains={BEGINNINGS["evaluation"]!r}, fault="stall")
coordinator = AsyncCoordinator(router=router_of(simulator.gemini_url))

async def is_stalled(event):
    return event.type == "stage_started" and event.stage == "evaluation" and await simulator.await_requests(2)
"""


class Notebook:
    """A kernel and the client that runs cells in it."""

    def __init__(self, client: NotebookClient) -> None:
        self._client = client

    async def run(self, source: str) -> Any:
        """Run a cell and return its outputs."""
        cell = nbformat.v4.new_code_cell(source)  # type: ignore[no-untyped-call]
        self._client.nb.cells.append(cell)
        await self._client.async_execute_cell(cell, len(self._client.nb.cells) - 1)
        return cell.outputs

    async def interrupt(self) -> None:
        """Do what the stop button does."""
        manager, client = self._client.km, self._client.kc
        assert manager is not None
        assert client is not None
        await ensure_async(manager.interrupt_kernel())
        # The kernel's signal handler does not wake its event loop; any message of a front end does.
        client.kernel_info()


@asynccontextmanager
async def notebook(simulator: Simulator) -> AsyncIterator[Notebook]:
    empty = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]
    client = NotebookClient(empty, timeout=LIMIT, allow_errors=True, kernel_name="python3")
    async with client.async_setup_kernel():
        book = Notebook(client)
        assert await book.run(SETUP.format(url=simulator.gemini_url)) == []
        yield book


@pytest.fixture(autouse=True)
def _settings(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPYTHONDIR", f"{home}/ipython")
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")


@pytest.fixture
def simulator(madspark_simulator: Simulator) -> Simulator:
    """Never answers an evaluation."""
    madspark_simulator.on(contains=BEGINNINGS["evaluation"], fault="stall")
    return madspark_simulator


async def test_the_run_of_a_cell_ends_with_the_cell(simulator: Simulator) -> None:
    async with asyncio.timeout(LIMIT), notebook(simulator) as book:
        # The iterator has no name, or one that the notebook keeps.
        for number, prepare in enumerate(("", "events = coordinator.events('two', mode='batch')"), 1):
            events = "events" if prepare else "coordinator.events('one', mode='batch')"
            cell = asyncio.create_task(book.run(f"{prepare}\nasync for event in {events}:\n    pass"))
            assert await simulator.await_requests(2 * number, timeout=LIMIT)
            await book.interrupt()
            [error] = await cell
            assert error.ename in {"CancelledError", "KeyboardInterrupt"}
            assert await simulator.await_hang_ups(number)
        assert simulator.in_flight == 0
        # The finished part remains.
        [shown] = await book.run("result = await events.result()\nresult.partial, result.cut, len(result.candidates)")
        assert shown.data["text/plain"] == "(True, 'cancelled', 5)"


@pytest.mark.parametrize(
    ("leave", "name"),
    [
        ("limit.reschedule(asyncio.get_running_loop().time())", "TimeoutError"),
        # The kernel keeps the exception for its debugger, and the task of the cell ends as if there were none.
        ("1 / 0", "ZeroDivisionError"),
    ],
    ids=["time limit", "exception"],
)
async def test_the_run_of_a_cell_that_fails_ends(leave: str, name: str, madspark_simulator: Simulator) -> None:
    source = f"""
events = coordinator.events("three", mode="batch")
async with asyncio.timeout(None) as limit:
    async for event in events:
        if await is_stalled(event):
            {leave}
"""
    async with asyncio.timeout(LIMIT), notebook(madspark_simulator) as book:
        assert await book.run(OWN_SIMULATOR) == []
        [error] = await book.run(source)
        assert error.ename == name
        [shown] = await book.run("await simulator.await_hang_ups(1), simulator.in_flight, len(simulator.requests)")
        assert shown.data["text/plain"] == "(True, 0, 2)"


async def test_one_event_may_be_awaited_in_a_cell_of_its_own(madspark_simulator: Simulator) -> None:
    async with asyncio.timeout(LIMIT), notebook(madspark_simulator) as book:
        await book.run("events = coordinator.events('five', mode='batch')\nfirst = await anext(events)")
        [shown] = await book.run("[event async for event in events][-1].status, first.type")
        assert shown.data["text/plain"] == "('ok', 'run_started')"


async def test_a_synchronous_run_in_a_cell_stops_with_the_kernel(simulator: Simulator) -> None:
    async with asyncio.timeout(LIMIT), notebook(simulator) as book:
        cell = asyncio.create_task(book.run("Coordinator(router=router).run('six', mode='batch')"))
        assert await simulator.await_requests(2, timeout=LIMIT)
        await book.interrupt()
        [error] = await cell
        assert error.ename == "KeyboardInterrupt"
        assert await simulator.await_hang_ups(1)
