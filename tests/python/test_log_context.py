"""Log records in the context of their caller, with its ids, for each entry point and for concurrent callers."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from madspark import AsyncCoordinator, Coordinator, LLMConfig, LLMRouter
from madspark.agents import Critic
from madspark.llm import cache
from raw_server import RawServer, chunked
from wire import model_requests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from madspark.testing import Simulator

    Make = Callable[..., LLMRouter]

KEY = "key-of-some-worth-0123456789"

REQUEST: contextvars.ContextVar[str] = contextvars.ContextVar("REQUEST", default="unset")


class Name(BaseModel):
    """The requested output."""

    name: str


class Seen:
    """The records of the core as a filter sees them: the request of the context, and the record."""

    def __init__(self) -> None:
        self.records: list[tuple[str, logging.LogRecord]] = []

    def note(self, record: logging.LogRecord) -> bool:
        """Keep the record."""
        self.records.append((REQUEST.get(), record))
        return True

    def values(self, request: str, attribute: str) -> set[Any]:
        """Return the values of an attribute of the records of `request`."""
        return {getattr(record, attribute, None) for name, record in self.records if name == request}

    def spans(self, request: str) -> list[str]:
        """Return the names of the spans that ended in the context of `request`."""
        return [vars(record).get("madspark_span", "") for name, record in self.records if name == request]

    async def until(self, is_reached: Callable[[], bool]) -> None:
        """Let the loop run until a condition is reached."""
        async with asyncio.timeout(30):
            while not is_reached():  # noqa: ASYNC110  (records have no event)
                await asyncio.sleep(0)


@pytest.fixture
def seen() -> Iterator[Seen]:
    """Collects the records of the core."""
    found, logger = Seen(), logging.getLogger("madspark.core")
    logger.addFilter(found.note)
    yield found
    logger.removeFilter(found.note)


@pytest.fixture
def debug(seen: Seen) -> Iterator[Seen]:
    """Collects the records of the core with the ends of its spans."""
    logger = logging.getLogger("madspark.core")
    logger.setLevel(logging.DEBUG)
    yield seen
    logger.setLevel(logging.NOTSET)


@pytest.fixture
def make(madspark_router: Make, madspark_simulator: Simulator) -> Make:
    """Makes routers whose first provider rejects every request, which is a warning, and whose second one answers."""
    # A rejected request is not a sign that the provider is down, so each call tries it again.
    madspark_simulator.on("gemini", status=400)

    def router(**choices: Any) -> LLMRouter:
        return madspark_router(primary_provider="gemini", fallback_enabled=True, gemini_api_key=KEY, **choices)

    return router


async def _stream(router: LLMRouter) -> None:
    async with router.astream("hello") as stream:
        async for _ in stream:
            pass


async def _stream_structured(router: LLMRouter) -> None:
    async for _ in router.astream_structured("a name", Name):
        pass


async def _start(router: LLMRouter) -> None:
    async with await AsyncCoordinator(router=router).start("roof gardens") as run:
        await run.result()


async def _events(router: LLMRouter) -> None:
    async for _ in AsyncCoordinator(router=router).events("roof gardens", mode="fanout"):
        pass


ASYNC: dict[str, Callable[[LLMRouter], Any]] = {
    "agenerate": lambda router: router.agenerate("hello"),
    "agenerate_structured": lambda router: router.agenerate_structured("a name", Name),
    "agenerate_structured_batch": lambda router: router.agenerate_structured_batch(["one", "two"], Name),
    "astream": _stream,
    "astream_structured": _stream_structured,
    "agent": lambda router: Critic(router).aevaluate(["A garden"], "roofs"),
    "run": lambda router: AsyncCoordinator(router=router).run("roof gardens"),
    "run_workflow": lambda router: AsyncCoordinator(router=router).run_workflow("roof gardens"),
    "start": _start,
    "events": _events,
}


def _check(seen: Seen, requests: list[str], entry: str) -> None:
    """Check that each record has ids, and that the ids of one request are not those of another."""
    assert {name for name, _ in seen.records} == set(requests), "every record is in the context of its caller"
    for attribute in ("madspark_router_id", "madspark_call_id", "madspark_run_id"):
        if attribute == "madspark_run_id" and entry not in {"run", "run_workflow", "start", "events"}:
            continue
        ids = [seen.values(request, attribute) for request in requests]
        assert None not in set.union(*ids), attribute
        assert len(set.union(*ids)) == sum(map(len, ids)), attribute
        if attribute != "madspark_call_id":
            assert [len(one) for one in ids] == [1] * len(requests), attribute


@pytest.mark.parametrize("entry", ASYNC)
async def test_records_of_coroutines_are_logged_in_the_context_and_on_the_thread_of_their_caller(
    entry: str, make: Make, seen: Seen
) -> None:
    async def call(name: str) -> None:
        REQUEST.set(name)
        await ASYNC[entry](make())

    requests = [f"request-{number}" for number in range(3)]
    await asyncio.gather(*map(call, requests))
    _check(seen, requests, entry)
    assert {record.thread for _, record in seen.records} == {threading.get_ident()}


def _read(router: LLMRouter) -> None:
    with router.stream("hello") as stream:
        assert list(stream)


SYNC: dict[str, Callable[[LLMRouter], Any]] = {
    "generate": lambda router: router.generate("hello"),
    "generate_structured": lambda router: router.generate_structured("a name", Name),
    "generate_structured_batch": lambda router: router.generate_structured_batch(["one", "two"], Name),
    "stream": _read,
    "stream_structured": lambda router: list(router.stream_structured("a name", Name)),
    "agent": lambda router: Critic(router).evaluate(["A garden"], "roofs"),
    "run": lambda router: Coordinator(router=router).run("roof gardens"),
    "run_workflow": lambda router: Coordinator(router=router).run_workflow("roof gardens"),
}


@pytest.mark.parametrize("entry", SYNC)
def test_records_of_blocking_calls_are_logged_in_the_context_and_on_the_thread_of_their_caller(
    entry: str, make: Make, seen: Seen
) -> None:
    def call(name: str) -> None:
        REQUEST.set(name)
        SYNC[entry](make())

    requests = [f"request-{number}" for number in range(3)]
    threads = [threading.Thread(target=call, args=(name,), name=f"of {name}") for name in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _check(seen, requests, entry)
    for request in requests:
        assert seen.values(request, "threadName") == {f"of {request}"}


@pytest.mark.parametrize("entry", SYNC)
async def test_a_blocking_call_on_a_thread_of_asyncio_has_the_context_of_its_task(
    entry: str, make: Make, seen: Seen
) -> None:
    async def call(name: str) -> None:
        REQUEST.set(name)
        await asyncio.to_thread(SYNC[entry], make())

    requests = ["request-0", "request-1"]
    await asyncio.gather(*map(call, requests))
    _check(seen, requests, entry)
    assert threading.get_ident() not in {record.thread for _, record in seen.records}


@pytest.mark.parametrize("entry", SYNC)
async def test_a_blocking_call_under_a_running_loop_has_the_context_of_its_caller(
    entry: str, make: Make, seen: Seen
) -> None:
    REQUEST.set("request")
    SYNC[entry](make())
    _check(seen, ["request"], entry)


async def test_each_read_of_a_stream_logs_in_the_context_of_its_reader(
    madspark_router: Make, debug: Seen, madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", text="one two three four")
    stream = madspark_router(primary_provider="ollama").astream("hello")

    async def read(name: str) -> str:
        REQUEST.set(name)
        return await anext(stream, "")

    await asyncio.create_task(read("first"))
    while await asyncio.create_task(read("second")):
        pass
    assert debug.spans("first") == []
    assert debug.spans("second") == ["attempt", "call"]


async def test_the_records_of_a_shared_request_go_to_the_call_that_they_belong_to(
    madspark_router: Make, debug: Seen, madspark_simulator: Simulator, tmp_path: Any
) -> None:
    """The second call polls the request of the first one, and takes it over when the first one is cancelled."""
    madspark_simulator.on("ollama", latency=0.5)

    async def call(name: str) -> int:
        REQUEST.set(name)
        router = madspark_router(primary_provider="ollama", cache_enabled=True, cache_dir=tmp_path)
        _, response = await router.agenerate("hello", temperature=0.0)
        return len(response.attempts)

    first = asyncio.create_task(call("first"))
    await madspark_simulator.await_requests(1)
    second = asyncio.create_task(call("second"))
    third = asyncio.create_task(call("third"))
    # A call that has missed the cache waits for the request in flight.
    config = LLMConfig(cache_dir=tmp_path)
    await debug.until(lambda: cache.stats(config)["misses"] == 3)
    first.cancel()
    assert list(await asyncio.gather(second, third)) == [1, 1]
    await debug.until(lambda: len(debug.spans("first")) == 2)
    assert len(model_requests(madspark_simulator)) == 1
    assert sorted(debug.spans("first")) == ["attempt", "call"]
    # They wait for the request of another call, so they made no attempt of their own.
    assert (debug.spans("second"), debug.spans("third")) == (["call"], ["call"])
    ids = [debug.values(name, "madspark_call_id") for name in ("first", "second", "third")]
    assert [len(one) for one in ids] == [1, 1, 1]
    assert len(set.union(*ids)) == 3
    assert debug.values("unset", "madspark_call_id") == set()
    assert {record.thread for _, record in debug.records} == {threading.get_ident()}


async def test_a_blocking_call_logs_what_another_call_does_for_it(
    madspark_router: Make, debug: Seen, madspark_simulator: Simulator, tmp_path: Any
) -> None:
    """A blocking call sends the request; a coroutine waits for the same one."""
    madspark_simulator.on("ollama", latency=0.3)
    router = madspark_router(primary_provider="ollama", cache_enabled=True, cache_dir=tmp_path)

    def block() -> None:
        REQUEST.set("blocking")
        threading.current_thread().name = "the blocking one"
        router.generate("hello", temperature=0.0)

    thread = threading.Thread(target=block)
    thread.start()
    await madspark_simulator.await_requests(1)
    REQUEST.set("waiting")
    _, response = await router.agenerate("hello", temperature=0.0)
    assert response.cached
    await asyncio.to_thread(thread.join)
    assert (sorted(debug.spans("blocking")), debug.spans("waiting")) == (["attempt", "call"], ["call"])
    assert debug.values("blocking", "threadName") == {"the blocking one"}
    assert debug.values("waiting", "thread") == {threading.get_ident()}


@pytest.mark.parametrize("entry", ["agenerate", "agenerate_structured", "astream", "run", "run_workflow"])
async def test_the_records_of_a_cancelled_call_are_logged_in_its_context(
    entry: str, madspark_router: Make, debug: Seen, madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", fault="stall")
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)

    async def call() -> None:
        REQUEST.set("cancelled")
        await ASYNC[entry](router)

    task = asyncio.create_task(call())
    await madspark_simulator.await_requests(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    names = ["attempt", "call", "stage"] if entry.startswith("run") else ["attempt", "call"]
    await debug.until(lambda: len(debug.records) >= len(names))
    assert sorted(debug.spans("cancelled")) == names
    assert {record.thread for _, record in debug.records} == {threading.get_ident()}


def test_the_records_of_a_cancelled_call_reach_the_log_after_its_loop_has_closed(
    madspark_router: Make, debug: Seen, madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", fault="stall")
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    ended = threading.Event()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if vars(record).get("madspark_span") == "call":
                ended.set()

    async def main() -> None:
        REQUEST.set("gone")
        task = asyncio.create_task(router.agenerate("hello"))
        await madspark_simulator.await_requests(1)
        task.cancel()
        await asyncio.wait({task})

    logger, handler = logging.getLogger("madspark.core"), Handler()
    logger.addHandler(handler)
    try:
        asyncio.run(main())
        assert ended.wait(30)
    finally:
        logger.removeHandler(handler)
    assert sorted(debug.spans("gone")) == ["attempt", "call"]


def test_closing_a_stream_logs_its_end_at_once(
    madspark_router: Make, debug: Seen, madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", text="one two three four " * 20)
    REQUEST.set("reader")
    with madspark_router(primary_provider="ollama").stream("hello") as stream:
        assert next(stream)
    assert debug.spans("reader") == ["attempt", "call"]
    assert debug.values("reader", "threadName") == {threading.current_thread().name}


async def test_closing_an_asynchronous_stream_logs_its_end_at_once(
    madspark_router: Make, debug: Seen, madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", text="one two three four " * 20)
    REQUEST.set("reader")
    async with madspark_router(primary_provider="ollama").astream("hello") as stream:
        assert await anext(stream)
    assert debug.spans("reader") == ["attempt", "call"]


async def test_a_record_factory_sees_the_context(make: Make, seen: Seen) -> None:
    factory = logging.getLogRecordFactory()

    def with_request(*args: Any, **named: Any) -> logging.LogRecord:
        record = factory(*args, **named)
        record.request_of_the_factory = REQUEST.get()
        return record

    logging.setLogRecordFactory(with_request)
    try:
        REQUEST.set("request")
        await make().agenerate("hello")
        await asyncio.to_thread(make().generate, "hello")
    finally:
        logging.setLogRecordFactory(factory)
    assert len(seen.records) == 2
    assert seen.values("request", "request_of_the_factory") == {"request"}


async def test_an_unreadable_event_of_a_stream_is_logged_with_the_ids_of_its_call(
    seen: Seen, madspark_router: Make
) -> None:
    lines = [
        b'{"message":{"content":"one"}}\n',
        b'{"message":{"con\n',
        b'{"message":{"content":"two"},"done":true,"done_reason":"stop"}\n',
    ]
    with RawServer(chunked(lines, kind="application/x-ndjson")) as server:
        router = madspark_router(primary_provider="ollama", fallback_enabled=False, ollama_host=server.url)
        async for _ in router.astream("hello"):
            pass
    [(_, record)] = [(name, record) for name, record in seen.records if "invalid event" in record.getMessage()]
    assert isinstance(vars(record)["madspark_call_id"], int)
    assert isinstance(vars(record)["madspark_router_id"], int)


async def test_the_other_loggers_have_the_context_and_the_id_of_the_run(
    make: Make, seen: Seen, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        """A workflow cache that cannot be written."""

        async def get_cached_workflow(self, *_: Any) -> None:
            """Find nothing."""

        async def cache_workflow_result(self, *_: Any) -> None:
            raise OSError("no cache today")

    def complain(_message: str, _fraction: float) -> None:
        raise ValueError("no progress today")

    loggers = [logging.getLogger(name) for name in ("madspark.progress", "madspark.cache")]
    for logger in loggers:
        logger.addFilter(seen.note)
    try:
        with caplog.at_level(logging.INFO, "madspark.progress"):

            async def call(name: str, entry: str) -> None:
                REQUEST.set(name)
                coordinator = AsyncCoordinator(progress_callback=complain, cache_manager=Broken(), router=make())
                await getattr(coordinator, entry)("roof gardens", verbose=True)

            await asyncio.gather(call("one", "run"), call("two", "run_workflow"))
    finally:
        for logger in loggers:
            logger.removeFilter(seen.note)
    for name in ("one", "two"):
        own = [record for request, record in seen.records if request == name]
        assert {record.name for record in own} == {"madspark.core", "madspark.progress", "madspark.cache"}
        assert len(seen.values(name, "madspark_run_id")) == 1
    assert not seen.values("one", "madspark_run_id") & seen.values("two", "madspark_run_id")
    assert None not in seen.values("one", "madspark_run_id") | seen.values("two", "madspark_run_id")
