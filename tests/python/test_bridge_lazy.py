"""Nothing happens before a call: not at import, not in a constructor, not for a coroutine nobody awaits."""

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


def test_import_is_cheap(scripts: Scripts) -> None:
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


def test_building_routers_takes_nothing_from_the_process(scripts: Scripts, madspark_simulator: Simulator) -> None:
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


async def test_a_coroutine_nobody_awaits_sends_nothing(
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
    # Whatever had been sent would have been sent before this.
    await router.agenerate("hello")
    assert [request.prompt for request in madspark_simulator.requests] == ["hello"]
    assert router.get_metrics()["total_requests"] == 1


async def test_a_coroutine_closed_while_it_waits_closes_its_connection(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on(fault="stall")
    coroutine = madspark_router(primary_provider="ollama", fallback_enabled=False).agenerate("hello")
    coroutine.send(None)
    assert await madspark_simulator.await_requests(1)
    coroutine.close()
    assert await madspark_simulator.await_hang_ups(1)


def test_a_coroutine_outside_asyncio_is_told(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    for coroutine in (router.agenerate("hello"), router.ahealth_status()):
        with pytest.raises(RuntimeError, match="asyncio"):
            coroutine.send(None)
    assert madspark_simulator.requests == []


def test_the_metrics_of_a_router_nobody_used(scripts: Scripts, madspark_simulator: Simulator) -> None:
    source = """
mine = router()
mine.get_metrics(); repr(mine); mine.config; mine.reset_metrics()
print(len(os.listdir("/proc/self/task")))
"""
    assert scripts.run(source, madspark_simulator) == (0, "1\n", "")
