"""The core's events in Python's logging."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from madspark import ProviderUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Scripts
    from madspark import LLMRouter
    from madspark.testing import Simulator

KEY = "key-of-some-worth-0123456789"


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
