"""Errors can be pickled, and neither errors nor responses keep a router alive."""

from __future__ import annotations

import asyncio
import gc
import weakref
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING

import pytest

from madspark import AllProvidersFailedError, LLMConfig, LLMRouter, RateLimitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark.testing import Simulator


def fail(url: str) -> None:
    LLMRouter("ollama", False, config=LLMConfig(ollama_host=url), max_attempts=1).generate("hello")


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_an_error_is_passed_between_processes(method: str, madspark_simulator: Simulator) -> None:
    madspark_simulator.on(status=429, headers={"retry-after": "7"})
    with ProcessPoolExecutor(1, mp_context=get_context(method)) as pool:
        raised = pool.submit(fail, madspark_simulator.ollama_url).exception(60)
    assert isinstance(raised, AllProvidersFailedError)
    assert isinstance(raised, RateLimitError)
    assert (raised.retry_after, raised.prompt) == (7.0, "hello")
    assert [(attempt.provider, attempt.status) for attempt in raised.attempts] == [("ollama", 429)]
    (cause,) = raised.errors.values()
    assert isinstance(cause, RateLimitError)
    assert (cause.provider, cause.status) == ("ollama", 429)


@pytest.mark.parametrize("asynchronous", [True, False])
def test_an_error_keeps_no_router_alive(
    asynchronous: bool, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on(status=500)
    router = madspark_router(primary_provider="ollama", fallback_enabled=False, max_attempts=1)
    watched = weakref.ref(router)
    error: AllProvidersFailedError | None = None
    try:
        asyncio.run(router.agenerate("hello")) if asynchronous else router.generate("hello")
    except AllProvidersFailedError as raised:
        # Without the traceback, whose frames hold the router.
        error = raised.with_traceback(None)
    del router
    gc.collect()
    assert watched() is None
    assert error is not None
    assert error.prompt == "hello"


def test_a_response_keeps_no_router_alive(madspark_router: Callable[..., LLMRouter]) -> None:
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    watched = weakref.ref(router)
    gc.collect()
    gc.disable()
    try:
        _, response = router.generate("hello")
        del router
        # Immediately, because there is no reference cycle.
        assert watched() is None
    finally:
        gc.enable()
    assert response.provider == "ollama"
