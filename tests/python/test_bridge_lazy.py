"""Nothing happens before a call: not at import, not in a constructor, not for a coroutine that is not awaited."""

from __future__ import annotations

import gc
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from madspark import AsyncCoordinator, LLMRouter
from madspark.schemas import GeneratedIdeas

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from conftest import Scripts
    from madspark.testing import Simulator

ROUTERS = 10_000


def test_importing_opens_nothing_and_imports_little(scripts: Scripts) -> None:
    source = """
import os, sys
import madspark
from madspark import AsyncCoordinator, LLMConfig, LLMRouter
print([name for name in ("pydantic", "asyncio", "socket", "ssl", "concurrent.futures") if name in sys.modules])
print(len(os.listdir("/proc/self/task")))
with os.scandir("/proc/self/fd") as files:
    opened = [os.readlink(file.path) for file in files]
print([name for name in opened if name.startswith(("socket:", "anon_inode:"))])
"""
    assert scripts.end(scripts.start_bare(source)) == (0, "[]\n1\n[]\n", "")


def test_routers_use_no_thread_no_file_and_no_memory_after_their_end(
    scripts: Scripts, madspark_simulator: Simulator
) -> None:
    source = f"""
import gc
def state():
    gc.collect()
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd")), pages * os.sysconf("SC_PAGE_SIZE")

def build():
    for _ in range({ROUTERS}):
        LLMRouter()

build()
threads, files, memory = state()
build()
later = state()
assert later[:2] == (threads, files), (later, threads, files)
assert later[2] - memory < 2_000_000, later[2] - memory
print(threads)
"""
    assert scripts.run(source, madspark_simulator) == (0, "1\n", "")


async def test_a_coroutine_that_is_not_awaited_sends_nothing(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    makers: list[Callable[[], Coroutine[Any, Any, Any]]] = [
        lambda: router.agenerate("never"),
        lambda: router.agenerate_structured_batch(["never"], GeneratedIdeas),
        router.ahealth_status,
        lambda: AsyncCoordinator(router=router).run_workflow("never"),
    ]
    for make in makers:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            coroutine = make()
            name = getattr(coroutine, "__qualname__", "")
            del coroutine
            gc.collect()
        assert [(warning.category, str(warning.message)) for warning in caught] == [
            (RuntimeWarning, f"coroutine '{name}' was never awaited")
        ]
    closed = router.agenerate("never")
    closed.close()
    # A request of the coroutines above would arrive before this one.
    await router.agenerate("hello")
    assert [request.prompt for request in madspark_simulator.requests] == ["hello"]
    assert router.get_metrics()["total_requests"] == 1


async def test_closing_a_waiting_coroutine_closes_its_connection(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on(fault="stall")
    coroutine = madspark_router(primary_provider="ollama", fallback_enabled=False).agenerate("hello")
    coroutine.send(None)
    assert await madspark_simulator.await_requests(1)
    coroutine.close()
    assert await madspark_simulator.await_hang_ups(1)


def test_a_coroutine_outside_asyncio_raises_runtime_error(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    for coroutine in (router.agenerate("hello"), router.ahealth_status()):
        with pytest.raises(RuntimeError, match="asyncio"):
            coroutine.send(None)
    assert madspark_simulator.requests == []


def test_reading_the_metrics_of_an_unused_router_starts_no_thread(
    scripts: Scripts, madspark_simulator: Simulator
) -> None:
    source = """
mine = router()
mine.get_metrics(); repr(mine); mine.config; mine.reset_metrics()
print(len(os.listdir("/proc/self/task")))
"""
    assert scripts.run(source, madspark_simulator) == (0, "1\n", "")
