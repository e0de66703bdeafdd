"""The caller's workflow cache: read first, written only by complete runs; its failures do not fail a run."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from doubles import BEGINNINGS
from madspark import AsyncCoordinator, LLMConfig, LLMRouter
from madspark.llm.exceptions import AllProvidersFailedError
from madspark.utils.temperature_control import TemperatureManager

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from madspark.testing import Simulator

    Make = Callable[..., LLMRouter]

TOPIC = "Shade for hot bus stops"
KEY = "a-key-that-no-cache-may-see"


class Cache:
    """Stores results by topic, context and options, as JSON."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.lookups: list[str] = []

    def key(self, topic: str, context: str, options: dict[str, Any]) -> str:
        return json.dumps([topic, context, options], sort_keys=True)

    async def get_cached_workflow(self, topic: str, context: str, options: dict[str, Any]) -> Any:
        self.lookups.append(self.key(topic, context, options))
        return self.kept.get(self.lookups[-1])

    async def cache_workflow_result(self, topic: str, context: str, options: dict[str, Any], result: Any) -> None:
        self.kept[self.key(topic, context, options)] = result


class RaisingCache(Cache):
    async def get_cached_workflow(self, *_: Any) -> Any:
        raise OSError("no cache today")

    async def cache_workflow_result(self, *_: Any) -> None:
        raise OSError("no cache today")


async def run(
    cache: object, router: LLMRouter, progress: list[Any] | None = None, **options: Any
) -> list[dict[str, Any]]:
    def record_progress(message: str, fraction: float) -> None:
        if progress is not None:
            progress.append((message, fraction))

    coordinator = AsyncCoordinator(progress_callback=record_progress, cache_manager=cache, router=router)
    return await coordinator.run_workflow(**{"topic": TOPIC, **options})


async def test_a_second_run_is_answered_from_the_cache(madspark_router: Make, madspark_simulator: Simulator) -> None:
    cache, progress = Cache(), list[Any]()
    first = await run(cache, madspark_router(primary_provider="ollama"))
    assert [*cache.kept.values()] == [{"candidates": first}]
    first_json = json.dumps(first)
    # Changes to returned results do not reach the cache.
    first[0]["idea"] = "changed"
    first[1]["problems"].append("changed")
    madspark_simulator.clear()
    for _ in range(2):
        progress.clear()
        again = await run(cache, madspark_router(primary_provider="ollama"), progress)
        assert json.dumps(again) == first_json
        again[0].clear()
    assert progress == [("Answered from the cache", 1.0)]
    assert madspark_simulator.requests == []


@pytest.mark.parametrize("stage", BEGINNINGS)
async def test_only_complete_runs_are_stored(stage: str, madspark_router: Make, madspark_simulator: Simulator) -> None:
    cache = Cache()
    madspark_simulator.on(contains=BEGINNINGS[stage], status=503)
    router = madspark_router(primary_provider="ollama", fallback_enabled=False, max_attempts=1)
    with contextlib.suppress(AllProvidersFailedError):
        results = await run(cache, router, enhanced_reasoning=True)
        assert {result["status"] for result in results} <= {"degraded", "failed"}
    assert len(cache.lookups) == 1
    assert cache.kept == {}


@pytest.mark.parametrize("cache", [RaisingCache(), object(), None])
async def test_a_failing_cache_does_not_fail_the_run(
    cache: object, madspark_router: Make, caplog: pytest.LogCaptureFixture
) -> None:
    results = await run(cache, madspark_router(primary_provider="ollama"))
    assert [result["status"] for result in results] == ["ok", "ok"]
    assert len(caplog.records) == (0 if cache is None else 2)


@pytest.mark.parametrize("found", [{}, {"candidates": None}, 3, "candidates"])
async def test_an_invalid_entry_is_ignored(found: object, madspark_router: Make) -> None:
    class Useless(Cache):
        async def get_cached_workflow(self, *_: Any) -> Any:
            return found

    results = await run(Useless(), madspark_router(primary_provider="ollama"))
    assert [result["status"] for result in results] == ["ok", "ok"]


def settings(simulator: Simulator, **changes: Any) -> LLMRouter:
    fields: dict[str, Any] = {
        "ollama_host": simulator.ollama_url,
        "ollama_model_fast": "small",
        "gemini_api_key": KEY,
        "gemini_base_url": simulator.gemini_url,
        "openai_base_url": simulator.openai_url,
        "openai_model": "other",
        **changes,
    }
    return LLMRouter(config=LLMConfig(**fields))


ROUTERS: list[dict[str, Any]] = [
    {},
    {"ollama_model_fast": "smaller"},
    {"ollama_model_balanced": "larger"},
    {"gemini_model": "another"},
    {"openai_model": "another"},
    {"ollama_host": "http://127.0.0.1:9"},
    {"gemini_base_url": "http://127.0.0.1:9"},
    {"openai_base_url": "http://127.0.0.1:9"},
    {"model_tier": "fast"},
    {"model_tier": "quality"},
    {"default_provider": "ollama"},
    {"default_provider": "gemini"},
    {"fallback_enabled": False},
]

OPTIONS: list[dict[str, Any]] = [
    {"topic": "Another topic"},
    {"context": "Another context"},
    {"num_top_candidates": 3},
    {"enable_novelty_filter": False},
    {"novelty_threshold": 0.7},
    {"temperature_manager": TemperatureManager.from_preset("wild")},
    {"temperature_manager": TemperatureManager.from_preset("creative")},
    {"enhanced_reasoning": True},
    {"multimodal_files": [b"\x89PNG\r\n\x1a\n one"]},
    {"multimodal_files": [b"\x89PNG\r\n\x1a\n two"]},
    {"multimodal_files": [b"\x89PNG\r\n\x1a\n two", b"\x89PNG\r\n\x1a\n one"]},
    {"multimodal_urls": ["https://example.com/one"]},
    {"multimodal_urls": ["https://example.com/two"]},
]


class AlwaysCached(Cache):
    """Has an entry for every key, so that every run ends at the lookup."""

    async def get_cached_workflow(self, topic: str, context: str, options: dict[str, Any]) -> Any:
        await super().get_cached_workflow(topic, context, options)
        return {"candidates": []}


async def test_everything_that_changes_the_result_changes_the_key(
    madspark_simulator: Simulator, tmp_path: Path
) -> None:
    cache = AlwaysCached()
    for changes in ROUTERS:
        await run(cache, settings(madspark_simulator, **changes))
    for options in OPTIONS:
        await run(cache, settings(madspark_simulator), **options)
    note = tmp_path / "note.txt"
    for text in ("one", "two"):
        note.write_text(text)
        await run(cache, settings(madspark_simulator), multimodal_files=[note])
    assert len(set(cache.lookups)) == len(ROUTERS) + len(OPTIONS) + 2
    assert madspark_simulator.requests == []
    assert not any(KEY in key for key in cache.lookups)


async def test_the_same_options_have_the_same_key(madspark_simulator: Simulator, tmp_path: Path) -> None:
    cache = AlwaysCached()
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).write_text("the same")
        await run(cache, settings(madspark_simulator), multimodal_files=[tmp_path / name])
    assert len(set(cache.lookups)) == 1
    cache.lookups.clear()
    for _ in range(2):
        await run(cache, settings(madspark_simulator, gemini_api_key=None))
    assert len(set(cache.lookups)) == 1
