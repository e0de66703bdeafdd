"""Fresh interpreters: for what only the end of a process, a signal or a fork can show."""

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

# What every script begins with. Nothing is called and nothing is started by it.
_PRELUDE = """
import asyncio, os, signal, sys, threading
from madspark import AsyncCoordinator, Coordinator, LLMConfig, LLMRouter

# A test run in the background of a shell ignores Ctrl-C, and so would its children.
signal.signal(signal.SIGINT, signal.default_int_handler)

def router(provider="ollama"):
    return LLMRouter(provider, False, config=LLMConfig(ollama_host=sys.argv[1], cache_enabled=False))

"""

# Long enough for a loaded machine; only a hang reaches it.
_LIMIT = 60

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # In the background of a shell. Children are interrupted by the tests, and would ignore it too.
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Scripts:
    """Runs Python source, each in an interpreter of its own that knows only the simulator."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._started: list[subprocess.Popen[str]] = []

    def start(self, source: str, simulator: Simulator, before: str = "") -> subprocess.Popen[str]:
        """Start `source` and return at once; `before` runs ahead of every import."""
        return self.start_bare(before + _PRELUDE + source, simulator.ollama_url)

    def start_bare(self, source: str, *arguments: str) -> subprocess.Popen[str]:
        """Start `source` and nothing besides."""
        process = subprocess.Popen(  # noqa: S603  (our own source)
            [sys.executable, "-c", source, *arguments],
            # No home of anybody's, and every call reaches the simulator.
            env={"HOME": self._home, "MADSPARK_CACHE_ENABLED": "no"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        self._started.append(process)
        return process

    def end(self, process: subprocess.Popen[str], text: str = "") -> tuple[int, str, str]:
        """Wait for its end, with `text` on its standard input: code, standard output, standard error."""
        out, err = process.communicate(text, timeout=_LIMIT)
        return process.returncode, out, err

    def run(self, source: str, simulator: Simulator) -> tuple[int, str, str]:
        """Run `source` to its end: code, standard output, standard error."""
        return self.end(self.start(source, simulator))

    def stop(self) -> None:
        """Kill what a failed test left behind."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.communicate()


@pytest.fixture
def scripts(home: str) -> Iterator[Scripts]:
    """Fresh interpreters; none outlives its test."""
    made = Scripts(home)
    yield made
    made.stop()


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The home of the whole run: nothing is written into the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        path = str(tmp_path_factory.mktemp("home"))
        patch.setenv("HOME", path)
        yield path


@pytest.fixture(autouse=True)
def _cache_off(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Routers that are not told otherwise do without the response cache: every call is to reach the simulator.

    Tests marked `cache` have routers as users have them.
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
    """The command line sets it for its process, which is that of the tests where it is called as a function."""
    logger = logging.getLogger("madspark")
    level = logger.level
    yield
    logger.setLevel(level)
