"""Fresh interpreters: for what only the end of a process, a signal or a fork can show."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from madspark.testing import Simulator

# What every script begins with. Nothing is called and nothing is started by it.
_PRELUDE = """
import asyncio, os, signal, sys, threading
from madspark import AsyncCoordinator, Coordinator, LLMConfig, LLMRouter

# A test run in the background of a shell ignores Ctrl-C, and so would its children.
signal.signal(signal.SIGINT, signal.default_int_handler)

def router(provider="ollama"):
    return LLMRouter(provider, False, config=LLMConfig(ollama_host=sys.argv[1]))

"""

# Long enough for a loaded machine; only a hang reaches it.
_LIMIT = 60


class Scripts:
    """Runs Python source, each in an interpreter of its own that knows only the simulator."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[str]] = []

    def start(self, source: str, simulator: Simulator, before: str = "") -> subprocess.Popen[str]:
        """Start `source` and return at once; `before` runs ahead of every import."""
        return self.start_bare(before + _PRELUDE + source, simulator.ollama_url)

    def start_bare(self, source: str, *arguments: str) -> subprocess.Popen[str]:
        """Start `source` and nothing besides."""
        process = subprocess.Popen(  # noqa: S603  (our own source)
            [sys.executable, "-c", source, *arguments],
            env={},
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
def scripts() -> Iterator[Scripts]:
    """Fresh interpreters; none outlives its test."""
    made = Scripts()
    yield made
    made.stop()
