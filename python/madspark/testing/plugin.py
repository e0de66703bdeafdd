"""Fixtures for pytest: `madspark_simulator` and `madspark_router`.

pytest loads this module in every suite of an environment that has madspark. It imports nothing of madspark before a
fixture is asked for.
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
    """Every provider on a loopback port; started for one test and stopped after it."""
    from madspark.testing import Simulator

    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def madspark_router(madspark_simulator: Simulator, request: pytest.FixtureRequest) -> Callable[..., LLMRouter]:
    """Make routers that know only the simulator.

    What ``LLMRouter`` takes goes to the router, such as ``primary_provider`` and ``deadline``; every other keyword is a
    field of its configuration, such as ``ollama_timeout=0.5``. The environment is not read, and the response cache is
    off unless it is asked for: every call is to reach the simulator. Asked for with ``cache_enabled=True``, it is in a
    folder of this test alone, which all routers of the test share.
    """
    from madspark.llm.config import LLMConfig
    from madspark.llm.router import LLMRouter

    taken = inspect.signature(LLMRouter).parameters.keys() - {"config"}

    def make(**choices: Any) -> LLMRouter:
        own = {name: choices.pop(name) for name in taken & choices.keys()}
        settings: dict[str, Any] = {
            "cache_enabled": False,
            "ollama_host": madspark_simulator.ollama_url,
            "gemini_base_url": madspark_simulator.gemini_url,
            # Long enough to pass for a key; the simulator takes any.
            "gemini_api_key": "simulator-key-of-no-worth",
            "openai_base_url": madspark_simulator.openai_url,
            "openai_model": "simulated",
            "anthropic_base_url": madspark_simulator.anthropic_url,
            "anthropic_api_key": "simulator-key-of-no-worth",
            "anthropic_model": "simulated",
        }
        if own.get("cache_enabled") and not {"cache_dir", "cache_url"} & choices.keys():
            settings["cache_dir"] = request.getfixturevalue("tmp_path") / "madspark-cache"
        return LLMRouter(config=LLMConfig(**{**settings, **choices}), **own)

    return make
