"""The model server of a run: one that runs already, or one that the run starts and stops."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from benches.real import packages
from madspark import LLMConfig, LLMRouter

if TYPE_CHECKING:
    from collections.abc import Iterator

START_TIMEOUT = 120
"""Seconds that the server may take to load a model."""
REQUEST_TIMEOUT = 1800
"""Seconds for one call: a small machine writes a few tokens per second."""


@dataclass(frozen=True)
class Server:
    """A model at an address, and the protocol to use."""

    protocol: Literal["openai", "ollama"]
    url: str
    model: str

    def openai_url(self) -> str:
        """Return the base URL of the server's chat completions, which Ollama has too."""
        return self.url if self.protocol == "openai" else f"{self.url}/v1"

    def router(self, *, deadline: float | None = None) -> LLMRouter:
        """Return a new router, so that its metrics count one run only."""
        if self.protocol == "ollama":
            config = LLMConfig(
                ollama_host=self.url,
                ollama_model_balanced=self.model,
                ollama_timeout=REQUEST_TIMEOUT,
                cache_enabled=False,
            )
        else:
            config = LLMConfig(
                openai_base_url=self.url,
                openai_model=self.model,
                openai_api_key="local",
                request_timeout=REQUEST_TIMEOUT,
                cache_enabled=False,
            )
        return LLMRouter(self.protocol, config=config, fallback_enabled=False, deadline=deadline)

    def __str__(self) -> str:
        return f"{self.model}, {self.protocol} protocol"


@contextmanager
def started(name: str, context_tokens: int = 8192) -> Iterator[Server]:
    """Start llama.cpp's server with the model `name` on a free port of this machine, and stop it at the end."""
    executable, model = packages.server(), packages.MODELS[name].file()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--model", str(model), "--host", "127.0.0.1", "--port", str(port), "--parallel", "1"]
    options += ["--ctx-size", str(context_tokens), "--threads", str(os.cpu_count() or 1), "--alias", name]
    log = (packages.FOLDER / f"{name}.log").open("wb")
    with log, subprocess.Popen([str(executable), *options], stdout=log, stderr=subprocess.STDOUT) as process:  # noqa: S603
        try:
            _wait(process, port, log.name)
            yield Server("openai", f"http://127.0.0.1:{port}/v1", name)
        finally:
            process.terminate()


def _wait(process: subprocess.Popen[bytes], port: int, log: str) -> None:
    until = time.monotonic() + START_TIMEOUT
    while time.monotonic() < until:
        if process.poll() is not None:
            raise SystemExit(f"error: the server ended with status {process.returncode}; see {log}")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health")
            if connection.getresponse().status == http.client.OK:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.2)
    raise SystemExit(f"error: the server has not loaded its model within {START_TIMEOUT} s; see {log}")
