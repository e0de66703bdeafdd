"""Fixtures for pytest: `madspark_simulator` and `madspark_router`.

pytest loads this module in every suite of an environment in which madspark is installed. It imports nothing else of
madspark before a test uses a fixture.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from madspark.llm.router import LLMRouter
    from madspark.testing import Simulator


@pytest.fixture
def madspark_simulator() -> Iterator[Simulator]:
    """Start a simulator of every provider on a loopback port, and stop it after the test."""
    from madspark.testing import Simulator

    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def madspark_router(madspark_simulator: Simulator, request: pytest.FixtureRequest) -> Callable[..., LLMRouter]:
    """Build routers whose providers are the simulator.

    Arguments of `LLMRouter`, such as `primary_provider` and `deadline`, go to the router. Every other keyword is a
    field of its configuration, such as `ollama_timeout=0.5`. The environment is not read. The response cache is off by
    default, so that every call reaches the simulator; with `cache_enabled=True` it is in a temporary folder that all
    routers of the test share.
    """
    from madspark.llm.config import LLMConfig
    from madspark.llm.router import LLMRouter

    parameters = inspect.signature(LLMRouter).parameters.keys() - {"config"}

    def build(**arguments: Any) -> LLMRouter:
        own = {name: arguments.pop(name) for name in parameters & arguments.keys()}
        settings: dict[str, Any] = {
            "cache_enabled": False,
            "ollama_host": madspark_simulator.ollama_url,
            "gemini_base_url": madspark_simulator.gemini_url,
            # Long enough to look like a key. The simulator accepts any.
            "gemini_api_key": "simulator-key-of-no-worth",
            "openai_base_url": madspark_simulator.openai_url,
            "openai_model": "simulated",
            "anthropic_base_url": madspark_simulator.anthropic_url,
            "anthropic_api_key": "simulator-key-of-no-worth",
            "anthropic_model": "simulated",
        }
        if own.get("cache_enabled") and not {"cache_dir", "cache_url"} & arguments.keys():
            settings["cache_dir"] = request.getfixturevalue("tmp_path") / "madspark-cache"
        return LLMRouter(config=LLMConfig(**{**settings, **arguments}), **own)

    return build
