"""Isolation defects of the replaced package, by their numbers in the contract."""

from __future__ import annotations

import asyncio
import atexit
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from doubles import call_every_function
from madspark import AsyncCoordinator, Coordinator, LLMRouter
from madspark.agents.idea_generator import generate_ideas
from madspark.core.coordinator import run_multistep_workflow
from madspark.llm.exceptions import AllProvidersFailedError, LLMProviderError
from madspark.testing import Simulator
from madspark.utils.temperature_control import TemperatureConfig, TemperatureManager
from test_workflow_cache import AlwaysCached
from wire import model_requests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Make = Callable[..., LLMRouter]

TOPIC = "Shade for hot bus stops"
KEY = "the-key-of-this-request-alone"
PICTURE = b"\x89PNG\r\n\x1a\n picture"


@pytest.fixture
def decoy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """The server of the environment, which must not receive a request."""
    with Simulator() as simulator:
        for name, value in {
            "MADSPARK_LLM_PROVIDER": "gemini",
            "MADSPARK_MODEL_TIER": "quality",
            "OLLAMA_HOST": simulator.ollama_url,
            "OLLAMA_MODEL_FAST": "decoy",
            "OLLAMA_MODEL_BALANCED": "decoy",
            "OLLAMA_REQUEST_TIMEOUT": "600",
            "GOOGLE_API_KEY": "the-key-of-the-environment",
            "GOOGLE_GENAI_MODEL": "decoy",
            "GEMINI_BASE_URL": simulator.gemini_url,
        }.items():
            monkeypatch.setenv(name, value)
        yield simulator
        assert simulator.requests == []


@pytest.mark.usefixtures("decoy")
async def test_defect_1_tier_host_model_key_and_timeout_belong_to_the_request(
    madspark_router: Make, madspark_simulator: Simulator
) -> None:
    own: dict[str, Any] = {"ollama_model_fast": "small", "ollama_model_balanced": "large", "fallback_enabled": False}
    for tier, model in (("fast", "small"), ("balanced", "large")):
        madspark_simulator.clear()
        await AsyncCoordinator(router=madspark_router(primary_provider="ollama", model_tier=tier, **own)).run(TOPIC)
        assert {request.model for request in model_requests(madspark_simulator)} == {model}
    madspark_simulator.clear()
    router = madspark_router(primary_provider="gemini", gemini_api_key=KEY, gemini_model="own", fallback_enabled=False)
    await AsyncCoordinator(router=router).run(TOPIC)
    sent = {(request.model, request.headers["x-goog-api-key"]) for request in model_requests(madspark_simulator)}
    assert sent == {("own", KEY)}
    madspark_simulator.on(fault="stall")
    router = madspark_router(primary_provider="ollama", ollama_timeout=0.2, max_attempts=1, **own)
    async with asyncio.timeout(10):
        with pytest.raises(LLMProviderError, match=r"0\.2 s"):
            await AsyncCoordinator(router=router).run(TOPIC)


def test_defect_2_a_cached_reply_belongs_to_its_model_and_provider(
    madspark_router: Make, madspark_simulator: Simulator, tmp_path: Path
) -> None:
    shared: dict[str, Any] = {"cache_enabled": True, "cache_dir": str(tmp_path), "fallback_enabled": False}
    for choice in (
        {"primary_provider": "ollama", "model_tier": "fast"},
        {"primary_provider": "ollama", "model_tier": "balanced"},
        {"primary_provider": "gemini"},
    ):
        _, first = madspark_router(**choice, **shared).generate(TOPIC, temperature=0.0)
        _, again = madspark_router(**choice, **shared).generate(TOPIC, temperature=0.0)
        assert (first.cached, again.cached) == (False, True)
        assert (again.provider, again.model) == (first.provider, first.model)
    models = [(request.provider, request.model) for request in model_requests(madspark_simulator)]
    assert len(models) == len(set(models)) == 3


async def test_defect_3_the_key_of_the_workflow_cache_is_complete(madspark_router: Make, tmp_path: Path) -> None:
    cache, note = AlwaysCached(), tmp_path / "note.txt"
    heat = [
        TemperatureManager(TemperatureConfig(*(0.9 if at == hot else 0.5 for at in range(5)))) for hot in (1, 2, 3, 4)
    ]

    async def ask(router: LLMRouter, **options: Any) -> None:
        await AsyncCoordinator(cache_manager=cache, router=router).run_workflow(TOPIC, **options)

    for choice in (
        {"primary_provider": "ollama"},
        {"primary_provider": "gemini"},
        {"primary_provider": "ollama", "ollama_model_balanced": "another"},
        {"primary_provider": "ollama", "model_tier": "fast"},
    ):
        await ask(madspark_router(**choice))
    router = madspark_router(primary_provider="ollama")
    choices: list[dict[str, Any]] = [
        *({"temperature_manager": manager} for manager in heat),
        {"multimodal_urls": ["https://example.com/one"]},
        {"multimodal_urls": ["https://example.com/two"]},
    ]
    for options in choices:
        await ask(router, **options)
    for content in ("one", "two"):
        note.write_text(content)
        await ask(router, multimodal_files=[note])
    assert len(cache.lookups) == len(set(cache.lookups)) == 12
    # Equal requests have equal keys.
    await ask(madspark_router(primary_provider="ollama"))
    assert cache.lookups[-1] == cache.lookups[0]


@pytest.mark.usefixtures("decoy")
async def test_defect_4_a_failure_is_not_sent_to_another_provider(
    madspark_router: Make, madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", status=503)
    router = madspark_router(primary_provider="ollama", fallback_enabled=False, max_attempts=1)
    with pytest.raises(AllProvidersFailedError):
        await AsyncCoordinator(router=router).run_workflow(TOPIC)
    with pytest.raises(AllProvidersFailedError):
        generate_ideas(TOPIC, router=router)
    assert {request.provider for request in model_requests(madspark_simulator)} == {"ollama"}
    assert router.get_metrics()["gemini_calls"] == 0


@pytest.mark.usefixtures("decoy")
def test_defect_5_every_entry_point_uses_the_router_that_was_passed(
    madspark_router: Make, madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    call_every_function(router, TOPIC)
    Coordinator(router=router).run_workflow(TOPIC)
    run_multistep_workflow(TOPIC, router=router)
    asyncio.run(AsyncCoordinator(router=router).run_workflow(TOPIC))
    assert len(model_requests(madspark_simulator, "ollama")) == router.get_metrics()["ollama_calls"] == 16 + 3 * 4
    # Also with files.
    generate_ideas(TOPIC, multimodal_files=[PICTURE], router=router)
    Coordinator(router=router).run_workflow(TOPIC, multimodal_files=[PICTURE])
    assert len(model_requests(madspark_simulator, "ollama")) == len(model_requests(madspark_simulator)) == 28 + 5


async def test_defect_6_the_quality_tier_does_not_leave_a_pinned_provider(
    madspark_router: Make, madspark_simulator: Simulator
) -> None:
    router = madspark_router(default_provider="ollama", model_tier="quality", fallback_enabled=False)
    await AsyncCoordinator(router=router).run_workflow(TOPIC)
    assert [request.provider for request in model_requests(madspark_simulator)] == ["ollama"] * 4


async def test_defect_7_coordinators_keep_no_state_of_a_run(madspark_router: Make) -> None:
    router = madspark_router(primary_provider="ollama")
    topics = [f"{TOPIC} in town {number}" for number in range(6)]
    alone = [await AsyncCoordinator(router=router).run_workflow(topic) for topic in topics]
    threads, hooks = threading.active_count(), atexit._ncallbacks()
    one = AsyncCoordinator(router=router)
    assert list(await asyncio.gather(*(one.run_workflow(topic) for topic in topics))) == alone
    kept = [kind(router=router) for kind in (AsyncCoordinator, Coordinator) for _ in range(50)]
    assert (threading.active_count(), atexit._ncallbacks()) == (threads, hooks)
    assert not any(hasattr(coordinator, "__dict__") for coordinator in kept)


async def test_defect_8_progress_belongs_to_its_request(madspark_router: Make) -> None:
    router = madspark_router(primary_provider="ollama")
    progress: dict[int, list[tuple[str, float]]] = {number: [] for number in range(5)}

    async def run(number: int) -> None:
        coordinator = AsyncCoordinator(
            progress_callback=lambda message, fraction: progress[number].append((message, fraction)), router=router
        )
        await coordinator.run_workflow(f"{TOPIC} {number}", num_top_candidates=number + 1, enable_novelty_filter=False)

    await asyncio.gather(*map(run, progress))
    for number, events in progress.items():
        fractions = [fraction for _, fraction in events]
        assert fractions == [0.0, 0.1, 0.3, 0.4, 0.6, 0.7, 0.78, 0.82, 0.88, 0.9, 1.0]
        selected = f"{number + 1} idea" if number == 0 else f"{number + 1} ideas"
        assert [message for message, _ in events if message.startswith("Selected")] == [f"Selected {selected}"]


IMPORT = """
import sys, warnings
warnings.simplefilter("error")
seen = []
forbidden = ("socket.", "os.putenv", "subprocess.")
def watch(event, arguments):
    if event.startswith(forbidden) or (event == "open" and str(arguments[0]).endswith(".env")):
        seen.append((event, arguments))
sys.addaudithook(watch)
import madspark, madspark.agents, madspark.core, madspark.llm, madspark.utils
import os, threading
print(seen, os.environ.get("GOOGLE_API_KEY"), threading.active_count(), len(os.listdir("/proc/self/task")))
"""


def test_defect_23_importing_the_package_has_no_side_effects(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GOOGLE_API_KEY=a-key-of-the-file\n")
    environment = {name: value for name, value in os.environ.items() if name != "GOOGLE_API_KEY"}
    ended = subprocess.run(  # noqa: S603  (the interpreter that runs this test)
        [sys.executable, "-c", IMPORT], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "[] None 1 1\n", "")
