"""Constructing configurations, routers, agents and coordinators uses only the arguments and has no side effects."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from madspark import AsyncCoordinator, Coordinator, LLMConfig, LLMRouter, ModelTier
from madspark.agents import Advocate, Critic, IdeaGenerator, Skeptic, StructuredIdeaGenerator
from madspark.testing import Simulator

HOSTILE = {
    "MADSPARK_LLM_PROVIDER": "gemini",
    "MADSPARK_MODEL_TIER": "quality",
    "MADSPARK_FALLBACK_ENABLED": "false",
    "OLLAMA_HOST": "http://127.0.0.1:9",
    "OLLAMA_MODEL_FAST": "from-the-environment",
    "OLLAMA_MODEL_BALANCED": "from-the-environment",
    "OLLAMA_REQUEST_TIMEOUT": "1",
    "GOOGLE_API_KEY": "a-key-from-the-environment",
    "GOOGLE_GENAI_MODEL": "from-the-environment",
    "OPENAI_API_KEY": "a-key-from-the-environment",
    "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
}

CONSTRUCT_EVERYTHING = """
import ctypes, json, os, sys

class CountingEnviron(type(os.environ)):
    reads = 0
    def __getitem__(self, name):
        CountingEnviron.reads += 1
        return super().__getitem__(name)

from madspark import AsyncCoordinator, Coordinator, LLMConfig, LLMRouter
from madspark.agents import Advocate, Critic, IdeaGenerator, Skeptic, StructuredIdeaGenerator

environ = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")

def state():
    entries, at = [], 0
    while environ[at]:
        entries.append(environ[at].decode())
        at += 1
    sockets = [fd for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")
               and os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")]
    return {"environment": sorted(entries), "tasks": len(os.listdir("/proc/self/task")), "sockets": len(sockets)}

import threading
before = state()
os.environ.__class__ = CountingEnviron
events = []
watched = ("socket.", "os.putenv", "os.unsetenv")
sys.addaudithook(lambda event, _: events.append(event) if event.startswith(watched) else None)
for number in range(50):
    config = LLMConfig(default_provider="ollama", ollama_host=f"http://10.0.0.{number}:1", gemini_api_key="k" * 24)
    router = LLMRouter(config=config)
    kept = [AsyncCoordinator(router=router), Coordinator(router=router)]
    kept += [agent(router) for agent in (Advocate, Critic, IdeaGenerator, Skeptic, StructuredIdeaGenerator)]
reads = CountingEnviron.reads
AsyncCoordinator(), Coordinator(), Critic()
print(json.dumps({"before": before, "after": state(), "reads": reads, "events": events}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads and sockets in /proc")
def test_construction_reads_no_environment_and_opens_no_socket_and_no_thread() -> None:
    run = subprocess.run(  # noqa: S603  (this interpreter)
        [sys.executable, "-c", CONSTRUCT_EVERYTHING],
        env={**os.environ, **HOSTILE},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    report = json.loads(run.stdout)
    assert report["after"] == report["before"]
    assert report["reads"] == 0
    assert report["events"] == []
    assert run.stderr == ""


@pytest.fixture
def _hostile(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("_hostile")
def test_a_configuration_ignores_the_environment() -> None:
    config = LLMConfig(ollama_model_fast="mine")
    assert config.default_provider == "auto"
    assert config.model_tier is ModelTier.BALANCED
    assert config.fallback_enabled is True
    assert config.ollama_host == "http://localhost:11434"
    assert (config.ollama_model_fast, config.ollama_model_balanced) == ("mine", "gemma3:12b")
    assert config.ollama_timeout == 600.0
    assert config.gemini_api_key is None
    assert config.gemini_model == "gemini-3-flash-preview"
    assert config.openai_api_key is None
    assert LLMConfig.from_env().gemini_api_key == HOSTILE["GOOGLE_API_KEY"]


@pytest.mark.usefixtures("_hostile")
def test_arguments_override_the_configuration_and_the_configuration_overrides_the_environment() -> None:
    config = LLMConfig(default_provider="ollama", model_tier="fast", fallback_enabled=True)
    router = LLMRouter(config=config)
    assert (router.primary_provider, router.model_tier, router.fallback_enabled) == ("ollama", ModelTier.FAST, True)
    router = LLMRouter("openai", fallback_enabled=False, model_tier="balanced", config=config)
    assert (router.primary_provider, router.model_tier, router.fallback_enabled) == (
        "openai",
        ModelTier.BALANCED,
        False,
    )
    router = LLMRouter()
    assert (router.primary_provider, router.model_tier, router.fallback_enabled) == ("gemini", ModelTier.QUALITY, False)


def test_a_configuration_is_immutable() -> None:
    config = LLMConfig()
    with pytest.raises(AttributeError):
        config.ollama_host = "http://elsewhere"  # type: ignore[misc]
    assert config.replace(ollama_host="http://elsewhere") != config


def test_agents_and_coordinators_keep_the_given_router() -> None:
    router = LLMRouter(config=LLMConfig())
    for kind in (Advocate, Critic, IdeaGenerator, Skeptic, StructuredIdeaGenerator, Coordinator, AsyncCoordinator):
        assert kind(router=router).router is router


async def test_agents_and_coordinators_create_a_router_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    with Simulator() as simulator:
        monkeypatch.setenv("OLLAMA_HOST", simulator.ollama_url)
        monkeypatch.setenv("MADSPARK_LLM_PROVIDER", "ollama")
        one, two = AsyncCoordinator(), AsyncCoordinator()
        three = Critic()
        assert len({id(each.router) for each in (one, two, three)}) == 3
        await one.run_workflow("Shade for hot bus stops")
        assert len(simulator.requests) == 4
    totals = [each.router.get_metrics()["total_requests"] for each in (one, two, three)]
    assert totals == [4, 0, 0]
