"""Log records of the core in Python's `logging`."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

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
    """A router whose first provider fails and whose second one answers."""
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
    # A rejected request is not a sign that the provider is down, so each call tries it again.
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


def fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name.removeprefix("madspark_"): value for name, value in vars(record).items() if "madspark_" in name}


async def test_a_record_has_the_fields_of_its_attempt_and_call(
    router: LLMRouter, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="madspark.core"):
        await router.agenerate("hello")
        await router.agenerate("hello")
    first, fallback, second, _ = core(caplog)
    failed = fields(first)
    assert (failed["provider"], failed["attempt"], failed["kind"]) == ("gemini", 1, "overloaded")
    assert failed["model"] in first.getMessage()
    assert fields(fallback)["call_id"] == failed["call_id"]
    assert fields(second)["call_id"] != failed["call_id"]
    assert fields(second)["router_id"] == failed["router_id"]


async def test_the_end_of_each_span_is_logged_with_its_times(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    madspark_simulator.set_latency(0.02)
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    began = time.time()
    with caplog.at_level(logging.DEBUG, logger="madspark.core"):
        await router.agenerate("hello")
        router.generate("hello")
        await AsyncCoordinator(router=router).run_workflow("roof gardens")
    ended = time.time()
    spans = [fields(record) for record in core(caplog) if hasattr(record, "madspark_span")]
    names = [span["span"] for span in spans]
    assert (names.count("call"), names.count("attempt")) == (6, 6)
    assert names.count("stage") >= 4
    assert names[:4] == ["attempt", "call"] * 2
    parents: dict[str, set[str | None]] = {"attempt": {"call"}, "call": {None, "stage"}, "stage": {None}}
    by_id = {span["span_id"]: span for span in spans}
    assert len(by_id) == len(spans)
    for span in spans:
        # A wall clock may be set while the test runs, but not by seconds.
        assert began - 1 < span["start"] <= span["end"] < ended + 1
        assert span["span"] != "attempt" or span["end"] - span["start"] > 0.01
        assert parents[span["span"]] >= {by_id[span["parent_id"]]["span"] if "parent_id" in span else None}
    stages = [span["stage"] for span in spans if span["span"] == "attempt" and "run_id" in span]
    assert stages == ["idea_generation", "evaluation", "improvement", "re_evaluation"]


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


def test_records_are_logged_before_a_blocking_call_returns(
    router: LLMRouter, madspark_simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    # A rejected request is not a sign that the provider is down, so each call tries it again.
    madspark_simulator.clear_rules()
    madspark_simulator.on("gemini", status=400)
    for number in range(1, 21):
        router.generate("hello")
        assert len(core(caplog)) == number


def test_the_records_of_a_call_that_raises_are_logged(
    router: LLMRouter, madspark_simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    madspark_simulator.on("ollama", status=500)
    with pytest.raises(ProviderUnavailableError):
        router.generate("hello")
    messages = [record.getMessage().lower() for record in core(caplog)]
    assert ["gemini" in message for message in messages] == [True, False]
    assert ["ollama" in message for message in messages] == [False, True]


async def test_the_level_of_the_logger_selects_the_records(router: LLMRouter, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="madspark.core"):
        await router.agenerate("hello")
    assert core(caplog) == []
    with caplog.at_level(logging.INFO, logger="madspark"):
        await router.agenerate("hello")
    assert [record.levelno for record in core(caplog)] == [logging.WARNING, logging.INFO]
    assert "ollama" in core(caplog)[1].getMessage().lower()


CALLS = """
def single_attempt():
    return LLMRouter("ollama", False, config=LLMConfig(ollama_host=sys.argv[1]), max_attempts=1)

for call in (
    lambda: single_attempt().generate("hello"),
    lambda: asyncio.run(single_attempt().agenerate("hello")),
):
    try:
        call()
    except Exception as error:
        print(type(error).__name__)
"""


def test_nothing_is_printed_unless_logging_is_configured(scripts: Scripts, madspark_simulator: Simulator) -> None:
    madspark_simulator.on(status=503)
    assert scripts.run(CALLS, madspark_simulator) == (0, "AllProvidersUnavailableError\n" * 2, "")


def test_records_are_printed_if_logging_is_configured(scripts: Scripts, madspark_simulator: Simulator) -> None:
    madspark_simulator.on(status=503)
    source = "import logging; logging.basicConfig(format='%(levelname)s %(name)s')\n" + CALLS
    code, out, err = scripts.run(source, madspark_simulator)
    assert (code, out) == (0, "AllProvidersUnavailableError\n" * 2)
    assert err == "WARNING madspark.core\n" * 2
