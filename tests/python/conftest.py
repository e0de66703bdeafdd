"""Shared fixtures: fresh interpreters, a temporary home, no response cache by default."""

from __future__ import annotations

import functools
import logging
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from madspark import LLMRouter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from madspark import ProviderChoice
    from madspark.testing import Simulator

# The beginning of every script. It makes no call and starts no thread.
_PRELUDE = """
import asyncio, os, signal, sys, threading
from madspark import AsyncCoordinator, Coordinator, LLMConfig, LLMRouter

# Processes started in the background of a shell ignore SIGINT, and their children inherit this.
signal.signal(signal.SIGINT, signal.default_int_handler)

def router(provider="ollama"):
    return LLMRouter(provider, False, config=LLMConfig(ollama_host=sys.argv[1], cache_enabled=False))

"""

# Seconds. Long enough for a loaded machine; only a hang reaches it.
_LIMIT = 60

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background of a shell. Tests interrupt child processes, which would inherit this.
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Scripts:
    """Runs Python source in fresh interpreters that can reach only the simulator."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._started: list[subprocess.Popen[str]] = []

    def start(self, source: str, simulator: Simulator, before: str = "") -> subprocess.Popen[str]:
        """Start `source` and return at once; `before` runs ahead of every import."""
        return self.start_bare(before + _PRELUDE + source, simulator.ollama_url)

    def start_bare(self, source: str, *arguments: str) -> subprocess.Popen[str]:
        """Start `source` without the common beginning."""
        process = subprocess.Popen(  # noqa: S603  (our own source)
            [sys.executable, "-c", source, *arguments],
            # A temporary home, and no cache: every call reaches the simulator.
            env={"HOME": self._home, "MADSPARK_CACHE_ENABLED": "no"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        self._started.append(process)
        return process

    def end(self, process: subprocess.Popen[str], text: str = "") -> tuple[int, str, str]:
        """Send `text` to standard input, wait for the end and return code, stdout and stderr."""
        out, err = process.communicate(text, timeout=_LIMIT)
        return process.returncode, out, err

    def run(self, source: str, simulator: Simulator) -> tuple[int, str, str]:
        """Run `source` to its end and return the exit code, standard output and standard error."""
        return self.end(self.start(source, simulator))

    def stop(self) -> None:
        """Kill processes that a failed test left running."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.communicate()


@pytest.fixture
def scripts(home: str) -> Iterator[Scripts]:
    """Return a runner of scripts whose processes end with the test."""
    runner = Scripts(home)
    yield runner
    runner.stop()


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Use a temporary home for the whole session, so that nothing is written to the user's."""
    with pytest.MonkeyPatch.context() as patch:
        path = str(tmp_path_factory.mktemp("home"))
        patch.setenv("HOME", path)
        yield path


@pytest.fixture(autouse=True)
def _cache_off(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable the response cache by default, so that every call reaches the simulator.

    Tests marked `cache` use the default of the package.
    """
    if request.node.get_closest_marker("cache") is not None:
        return
    make = LLMRouter.__init__

    @functools.wraps(make)
    def init(
        self: LLMRouter,
        primary_provider: ProviderChoice | None = None,
        fallback_enabled: bool | None = None,
        cache_enabled: bool | None = None,
        *args: Any,
        **options: Any,
    ) -> None:
        make(self, primary_provider, fallback_enabled, bool(cache_enabled), *args, **options)

    monkeypatch.setattr(LLMRouter, "__init__", init)


@pytest.fixture(autouse=True)
def _log_level() -> Iterator[None]:
    """Restore the log level, which the command line sets for the whole process."""
    logger = logging.getLogger("madspark")
    level = logger.level
    yield
    logger.setLevel(level)
