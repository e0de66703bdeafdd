"""Log records of the core in Python's `logging`."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from typing import TYPE_CHECKING

import pytest

from madspark import AsyncCoordinator, ProviderUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Scripts
    from madspark import LLMRouter
    from madspark.testing import Simulator

KEY = "key-of-some-worth-0123456789"

REQUEST: contextvars.ContextVar[str] = contextvars.ContextVar("REQUEST", default="unset")


@pytest.fixture
def router(madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator) -> LLMRouter:
    """Its first provider fails, its second answers."""
    madspark_simulator.on("gemini", status=503)
    return madspark_router(primary_provider="gemini", fallback_enabled=True, gemini_api_key=KEY, max_attempts=2)


def core(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "madspark.core"]


async def test_a_failing_attempt_is_logged(router: LLMRouter, caplog: pytest.LogCaptureFixture) -> None:
    _, response = await router.agenerate("hello")
    assert response.provider == "ollama"
    (record,) = core(caplog)
    assert record.levelno == logging.WARNING
    assert "gemini" in record.getMessage().lower()
    assert "503" in record.getMessage()
    assert KEY not in caplog.text


async def test_records_are_logged_before_an_awaited_call_returns(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    # A rejected request is no sign that the provider is down, so each call sends one again.
    madspark_simulator.on("gemini", status=400)
    router = madspark_router(primary_provider="gemini", fallback_enabled=True, gemini_api_key=KEY)
    for number in range(1, 201):
        await router.agenerate("hello")
        assert len(core(caplog)) == number


@pytest.fixture
def seen() -> Iterator[list[tuple[str, str | None]]]:
    """The request and the thread that each record was logged in, as a filter sees them."""
    found: list[tuple[str, str | None]] = []

    def note(record: logging.LogRecord) -> bool:
        found.append((REQUEST.get(), record.threadName))
        return True

    logger = logging.getLogger("madspark.core")
    logger.addFilter(note)
    yield found
    logger.removeFilter(note)


async def test_records_are_logged_in_the_context_and_on_the_thread_of_the_caller(
    router: LLMRouter, seen: list[tuple[str, str | None]]
) -> None:
    async def call(name: str) -> None:
        REQUEST.set(name)
        await router.agenerate("hello")

    await asyncio.gather(*(call(f"request-{number}") for number in range(3)))
    thread = threading.current_thread().name
    # The first failures open the breaker, which ends the requests to the provider.
    assert {("request-0", thread)} <= set(seen) <= {(f"request-{number}", thread) for number in range(3)}


async def test_records_of_a_run_are_logged_in_its_context_before_its_result(
    madspark_router: Callable[..., LLMRouter],
    madspark_simulator: Simulator,
    caplog: pytest.LogCaptureFixture,
    seen: list[tuple[str, str | None]],
) -> None:
    madspark_simulator.on("gemini", status=400)
    REQUEST.set("run")
    router = madspark_router(primary_provider="gemini", fallback_enabled=True, gemini_api_key=KEY)
    await AsyncCoordinator(router=router).run_workflow("roof gardens")
    assert len(core(caplog)) == 4
    assert set(seen) == {("run", threading.current_thread().name)}


def test_a_blocked_call_is_logged_before_it_returns(
    router: LLMRouter, madspark_simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    # A target that fails so often without being down is asked by every call.
    madspark_simulator.clear_rules()
    madspark_simulator.on("gemini", status=400)
    for number in range(1, 21):
        router.generate("hello")
        assert len(core(caplog)) == number


def test_a_call_that_raises_is_logged_too(
    router: LLMRouter, madspark_simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    madspark_simulator.on("ollama", status=500)
    with pytest.raises(ProviderUnavailableError):
        router.generate("hello")
    messages = [record.getMessage().lower() for record in core(caplog)]
    assert ["gemini" in message for message in messages] == [True, False]
    assert ["ollama" in message for message in messages] == [False, True]


async def test_the_level_is_that_of_the_logger(router: LLMRouter, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="madspark.core"):
        await router.agenerate("hello")
    assert core(caplog) == []
    with caplog.at_level(logging.INFO, logger="madspark"):
        await router.agenerate("hello")
    assert [record.levelno for record in core(caplog)] == [logging.WARNING, logging.INFO]
    assert "ollama" in core(caplog)[1].getMessage().lower()


CALLS = """
def impatient():
    return LLMRouter("ollama", False, config=LLMConfig(ollama_host=sys.argv[1]), max_attempts=1)

for call in (
    lambda: impatient().generate("hello"),
    lambda: asyncio.run(impatient().agenerate("hello")),
):
    try:
        call()
    except Exception as error:
        print(type(error).__name__)
"""


def test_without_any_logging_nothing_is_printed(scripts: Scripts, madspark_simulator: Simulator) -> None:
    madspark_simulator.on(status=503)
    assert scripts.run(CALLS, madspark_simulator) == (0, "AllProvidersUnavailableError\n" * 2, "")


def test_with_logging_configured_it_is_printed(scripts: Scripts, madspark_simulator: Simulator) -> None:
    madspark_simulator.on(status=503)
    source = "import logging; logging.basicConfig(format='%(levelname)s %(name)s')\n" + CALLS
    code, out, err = scripts.run(source, madspark_simulator)
    assert (code, out) == (0, "AllProvidersUnavailableError\n" * 2)
    assert err == "WARNING madspark.core\n" * 2
