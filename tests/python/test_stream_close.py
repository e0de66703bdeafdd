"""Streams that are closed early, shared between readers, or read slowly."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import AsyncTextStream, LLMRouter
    from madspark.testing import Simulator

    MakeRouter = Callable[..., LLMRouter]

QUESTION = "Why do rivers bend?"
PIECE = '{"message":{"content":"water "},"done":false}\n'
END = '{"message":{"content":""},"done":true,"done_reason":"stop"}\n'


@pytest.fixture
def router(madspark_simulator: Simulator, madspark_router: MakeRouter) -> LLMRouter:
    """Return a router whose stream delivers one word and then stalls."""
    madspark_simulator.on("ollama", pieces=[PIECE], fault="stall_mid_body")
    return madspark_router(primary_provider="ollama", fallback_enabled=False)


async def client_closed(simulator: Simulator) -> bool:
    return await simulator.await_hang_ups(1, timeout=10)


async def test_cancelling_a_read_closes_the_socket(router: LLMRouter, madspark_simulator: Simulator) -> None:
    stream = router.astream(QUESTION)
    assert await anext(stream) == "water "
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await client_closed(madspark_simulator)
    assert [piece async for piece in stream] == []
    assert stream.text == "water "
    assert router.get_metrics()["failed_requests"] == 0


async def test_cancelling_before_the_first_text_closes_the_socket(
    madspark_simulator: Simulator, madspark_router: MakeRouter
) -> None:
    madspark_simulator.on(fault="stall")
    stream = madspark_router(primary_provider="ollama").astream(QUESTION)
    waiting = asyncio.ensure_future(anext(stream))
    assert await madspark_simulator.await_requests(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await client_closed(madspark_simulator)


async def test_breaking_out_of_the_loop_closes_the_socket(router: LLMRouter, madspark_simulator: Simulator) -> None:
    async for _ in router.astream(QUESTION):
        break
    assert await client_closed(madspark_simulator)


async def test_leaving_the_block_closes_the_socket(router: LLMRouter, madspark_simulator: Simulator) -> None:
    async with router.astream(QUESTION) as stream:
        await anext(stream)
        assert madspark_simulator.in_flight == 1
    assert await client_closed(madspark_simulator)


async def test_dropping_the_object_closes_the_socket(router: LLMRouter, madspark_simulator: Simulator) -> None:
    stream = router.astream(QUESTION)
    await anext(stream)
    del stream
    assert await client_closed(madspark_simulator)


async def test_closing_from_another_task_ends_the_read(router: LLMRouter, madspark_simulator: Simulator) -> None:
    stream = router.astream(QUESTION)
    await anext(stream)

    async def read() -> list[str]:
        return [piece async for piece in stream]

    reader = asyncio.ensure_future(read())
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await stream.aclose()
        assert await reader == []
    assert await client_closed(madspark_simulator)


async def test_a_second_reader_is_rejected_without_effect_on_the_first(
    router: LLMRouter, madspark_simulator: Simulator
) -> None:
    stream = router.astream(QUESTION)
    await anext(stream)
    reader = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="one reader at a time"):
        await anext(stream)
    assert not reader.done()
    assert madspark_simulator.in_flight == 1
    await stream.aclose()
    with pytest.raises(StopAsyncIteration):
        await reader


def test_sync_streams_close_their_sockets(router: LLMRouter, madspark_simulator: Simulator) -> None:
    for _ in router.stream(QUESTION):
        break
    assert madspark_simulator.wait_for_hang_ups(1, 10)
    with router.stream(QUESTION) as stream:
        assert next(stream) == "water "
    assert madspark_simulator.wait_for_hang_ups(2, 10)
    stream = router.stream(QUESTION)
    next(stream)
    reader = threading.Thread(target=lambda: list(stream))
    reader.start()
    stream.close()
    reader.join(10)
    assert not reader.is_alive()
    assert madspark_simulator.wait_for_hang_ups(3, 10)


def test_ctrl_c_ends_a_sync_stream(madspark_simulator: Simulator, madspark_router: MakeRouter) -> None:
    madspark_simulator.on("ollama", pieces=[PIECE.replace("water", "")], fault="stall_mid_body")
    stream = madspark_router(primary_provider="ollama").stream(QUESTION)

    def interrupt() -> None:
        # The request is sent only while the main thread waits for text.
        madspark_simulator.wait_for_requests(1, 10)
        os.kill(os.getpid(), signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        next(stream)
    interrupter.join()
    assert madspark_simulator.wait_for_hang_ups(1, 10)
    assert list(stream) == []


async def test_two_hundred_streams_run_concurrently(madspark_simulator: Simulator, madspark_router: MakeRouter) -> None:
    madspark_simulator.on("ollama", pieces=[PIECE] * 20 + [END], latency=3.0, tokens_per_second=100)
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)

    async def read() -> str:
        stream = router.astream(QUESTION)
        return "".join([piece async for piece in stream])

    async with asyncio.timeout(60):
        texts = await asyncio.gather(*(read() for _ in range(200)))
    assert texts == ["water " * 20] * 200
    assert madspark_simulator.max_in_flight == 200
    assert router.get_metrics()["ollama_calls"] == 200


async def test_a_slow_consumer_applies_back_pressure_and_loses_no_text(
    madspark_simulator: Simulator, madspark_router: MakeRouter
) -> None:
    # More than all buffers on the way: the server cannot finish before the client reads.
    line = '{{"message":{{"content":"{:06d} {}"}},"done":false}}\n'
    pieces = [line.format(number, "x" * 65_536) for number in range(400)]
    madspark_simulator.on("ollama", pieces=[*pieces, END])
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    async with asyncio.timeout(90), router.astream(QUESTION, idle_timeout=1.5, total_timeout=60) as stream:
        await anext(stream)
        # Longer than the idle timeout, which counts only while the consumer waits.
        await asyncio.sleep(2.0)
        assert madspark_simulator.requests[0].finished is None
        largest = 0
        async for piece in stream:
            largest = max(largest, len(piece))
    numbers = [word for word in stream.text.replace("x", " ").split() if word.isdigit()]
    assert numbers == [f"{number:06d}" for number in range(400)]
    assert len(stream.text) == 400 * (65_536 + 7)
    # The size of a piece is bounded.
    assert largest < 4 * 65_536


async def test_one_router_streams_in_two_event_loops(
    madspark_simulator: Simulator, madspark_router: MakeRouter
) -> None:
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    texts: list[str] = []

    async def read(stream: AsyncTextStream[str]) -> str:
        return "".join([piece async for piece in stream])

    def other_loop() -> None:
        texts.append(asyncio.run(read(router.astream(QUESTION))))

    thread = threading.Thread(target=other_loop)
    thread.start()
    own = await read(router.astream(QUESTION))
    await asyncio.to_thread(thread.join, 10)
    assert texts == [own]
    assert len(madspark_simulator.requests) == 2
