"""A run that belongs to an iterator ends when its reader leaves, whatever keeps the iterator alive."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest

from doubles import BEGINNINGS
from madspark import AsyncCoordinator
from madspark.core._readers import _readers
from madspark.core.events import RunFinished
from test_run_result import TOPIC

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from madspark import LLMRouter
    from madspark.core.events import Event
    from madspark.core.run import WorkflowEvents
    from madspark.testing import Simulator

    Reader = Callable[[WorkflowEvents], Awaitable[None]]


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    """Leave cycles alone, so that only the iterator itself can notice that it is no longer read."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def simulator(madspark_simulator: Simulator) -> Simulator:
    """Never answers an evaluation, so that a run has one request in flight until it is cancelled."""
    madspark_simulator.on(contains=BEGINNINGS["evaluation"], fault="stall")
    return madspark_simulator


@pytest.fixture
def coordinator(simulator: Simulator, madspark_router: Callable[..., LLMRouter]) -> AsyncCoordinator:
    assert simulator.requests == []
    return AsyncCoordinator(router=madspark_router(primary_provider="gemini", fallback_enabled=False))


def events_of(coordinator: AsyncCoordinator) -> WorkflowEvents:
    return coordinator.events(TOPIC, mode="batch")


async def loop(events: WorkflowEvents) -> None:
    async for _ in events:
        pass


async def loop_without_waiting(events: WorkflowEvents) -> None:
    """Leave while an event is handled, not while one is awaited."""
    async for event in events:
        if event.type == "stage_started" and event.stage == "evaluation":
            await asyncio.Event().wait()


async def poll(events: WorkflowEvents) -> None:
    while True:
        try:
            await asyncio.wait_for(anext(events), 0.05)
        except TimeoutError:
            continue


async def last_of(events: WorkflowEvents) -> RunFinished:
    *_, last = [event async for event in events]
    assert isinstance(last, RunFinished)
    return last


async def read_one(events: WorkflowEvents) -> None:
    await anext(events)
    await asyncio.Event().wait()


def started(work: Awaitable[None]) -> asyncio.Future[None]:
    return asyncio.ensure_future(work)


@pytest.mark.parametrize("reader", [loop, loop_without_waiting, poll, read_one])
async def test_cancelling_the_task_that_reads_ends_the_run(
    reader: Reader, coordinator: AsyncCoordinator, simulator: Simulator
) -> None:
    events = events_of(coordinator)
    task = started(reader(events))
    assert await simulator.await_requests(2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as raised:
        await task
    assert await simulator.await_hang_ups(1)
    assert raised.traceback
    result = await events.result()
    assert (result.partial, result.cut) == (True, "cancelled")


@pytest.mark.parametrize("reader", [loop, loop_without_waiting])
async def test_a_time_limit_around_the_loop_ends_the_run_of_a_dropped_iterator(
    reader: Reader, coordinator: AsyncCoordinator, simulator: Simulator
) -> None:
    """The task goes on, as in a notebook, and the exception with its traceback is kept."""

    async def read(limit: asyncio.Timeout) -> None:
        async with limit:
            await reader(events_of(coordinator))

    limit = asyncio.timeout(None)
    kept: list[BaseException] = []

    async def leave() -> None:
        assert await simulator.await_requests(2)
        limit.reschedule(asyncio.get_running_loop().time())

    leaving = asyncio.create_task(leave())
    try:
        await read(limit)
    except TimeoutError as error:
        # The frames of a loop that was left in its body hold the iterator as an argument; drop them as a handler does.
        kept += [error] if reader is loop else []
    await leaving
    assert await simulator.await_hang_ups(1)
    assert len(kept) == (reader is loop)


async def test_a_time_limit_around_the_loop_ends_the_run_of_an_iterator_that_is_held(
    coordinator: AsyncCoordinator, simulator: Simulator
) -> None:
    events = events_of(coordinator)

    async def read() -> None:
        async with asyncio.timeout(None) as limit:
            async for event in events:
                if event.type == "stage_started" and event.stage == "evaluation":
                    assert await simulator.await_requests(2)
                    limit.reschedule(asyncio.get_running_loop().time())

    with pytest.raises(TimeoutError):
        await read()
    assert await simulator.await_hang_ups(1)
    # What had happened can still be read, and the last event says how it ended.
    last = await last_of(events)
    assert (last.partial, last.reason) == (True, "the run was cancelled")


async def test_an_exception_in_the_task_that_reads_ends_the_run(
    coordinator: AsyncCoordinator, simulator: Simulator
) -> None:
    async def fail(events: WorkflowEvents) -> None:
        async for event in events:
            if event.type == "stage_started" and event.stage == "evaluation":
                assert await simulator.await_requests(2)
                raise LookupError

    # The task keeps its exception, and so the frames with the iterator.
    task = started(fail(events_of(coordinator)))
    await asyncio.wait({task})
    assert await simulator.await_hang_ups(1)
    assert isinstance(task.exception(), LookupError)


async def test_the_end_of_the_last_task_ends_the_run(coordinator: AsyncCoordinator, simulator: Simulator) -> None:
    """As in a server or a notebook, which catch what a handler or a cell raises."""
    kept: list[Any] = []

    async def fail(events: WorkflowEvents) -> None:
        async for event in events:
            if event.type == "stage_started" and event.stage == "evaluation":
                assert await simulator.await_requests(2)
                raise LookupError

    async def request() -> None:
        events = events_of(coordinator)
        try:
            await fail(events)
        except LookupError as error:
            kept.extend((error, events))

    await asyncio.create_task(request())
    assert await simulator.await_hang_ups(1)
    assert len(kept) == 2


async def test_a_generator_that_nobody_closes_ends_its_run_with_its_task(
    coordinator: AsyncCoordinator, simulator: Simulator
) -> None:
    """As a server leaves the generator of a response when the connection breaks while it sends."""

    async def lines() -> Any:
        async for event in events_of(coordinator):
            yield event.to_sse()

    body = lines()

    async def respond() -> None:
        async for line in body:
            if "event: stage_started" in line and "evaluation" in line:
                await asyncio.Event().wait()

    task = asyncio.create_task(respond())
    assert await simulator.await_requests(2)
    task.cancel()
    await asyncio.wait({task})
    assert await simulator.await_hang_ups(1)
    await body.aclose()


async def test_an_event_may_have_a_time_limit(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    """Directly, in a helper, in a task of its own: giving one event up neither ends the run nor loses the event."""
    madspark_simulator.on(latency=0.15)
    coordinator = AsyncCoordinator(router=madspark_router(primary_provider="gemini", fallback_enabled=False))
    events = coordinator.events(TOPIC, mode="batch")

    async def step() -> Event:
        return await anext(events)

    async def given_up() -> Event:
        task = asyncio.create_task(step())
        done, _ = await asyncio.wait({task}, timeout=0.01)
        if not done:
            task.cancel()
            await asyncio.wait({task})
            raise TimeoutError
        return task.result()

    ways: list[Callable[[], Awaitable[Event]]] = [
        lambda: asyncio.wait_for(anext(events), 0.01),
        lambda: asyncio.wait_for(step(), 0.01),
        given_up,
    ]
    seen: list[Event] = []
    limits = 0
    async with asyncio.timeout(30):
        while not seen or seen[-1].type != "run_finished":
            for way in ways:
                try:
                    seen.append(await way())
                except TimeoutError:
                    limits += 1
                except StopAsyncIteration:
                    break
    assert limits > 10
    assert [event.sequence for event in seen] == list(range(1, len(seen) + 1))
    assert (await events.result()).status == "ok"


async def test_the_first_event_may_have_a_time_limit(madspark_router: Callable[..., LLMRouter]) -> None:
    """The run has not started while the cache is read."""

    class SlowCache:
        answers = asyncio.Event()

        async def get_cached_workflow(self, *_arguments: object) -> None:
            await self.answers.wait()

        async def cache_workflow_result(self, *_arguments: object) -> None:
            pass

    coordinator = AsyncCoordinator(router=madspark_router(primary_provider="gemini"), cache_manager=SlowCache())
    events = coordinator.events(TOPIC, mode="batch")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(events), 0.01)
    SlowCache.answers.set()
    assert [event.type async for event in events][0] == "run_started"  # noqa: RUF015  (an asynchronous iterator)


async def test_another_task_may_continue_after_a_break(
    madspark_router: Callable[..., LLMRouter],
) -> None:
    coordinator = AsyncCoordinator(router=madspark_router(primary_provider="gemini", fallback_enabled=False))
    events = coordinator.events(TOPIC, mode="batch")

    async def skip() -> None:
        async for event in events:
            if event.type == "stage_started" and event.stage == "evaluation":
                break

    await asyncio.create_task(skip())
    assert not (await last_of(events)).partial


async def test_a_failed_task_is_still_reported(coordinator: AsyncCoordinator) -> None:
    reports: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, report: reports.append(report))

    async def fail() -> None:
        await anext(events_of(coordinator))
        raise LookupError

    task = started(fail())
    await asyncio.wait({task})
    del task
    gc.collect()
    assert [type(report["exception"]) for report in reports] == [LookupError]


async def test_a_task_keeps_no_iterator_that_it_dropped(madspark_router: Callable[..., LLMRouter]) -> None:
    coordinator = AsyncCoordinator(router=madspark_router(primary_provider="gemini", fallback_enabled=False))
    for _ in range(3):
        async for event in coordinator.events(TOPIC, mode="batch"):
            if event.type == "run_started":
                break
    task = asyncio.current_task()
    assert task is not None
    assert list(_readers[task]) == []
