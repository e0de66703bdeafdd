"""Concurrent workflows: each request carries the settings of its own run only."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from doubles import STAGES, stage_of, temperature_of
from madspark import AsyncCoordinator, LLMConfig, LLMRouter
from madspark.agents import Critic
from madspark.testing import RecordedRequest, Simulator
from madspark.utils.temperature_control import TemperatureConfig, TemperatureManager

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from madspark import ProviderName, TierName


RUNS = 25
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture
def simulators() -> Iterator[list[Simulator]]:
    with Simulator() as one, Simulator() as two, Simulator() as three:
        yield [one, two, three]


@dataclass
class Run:
    """The settings of one run; no two share a word, a key, a model or a temperature."""

    number: int
    home: Simulator

    @property
    def words(self) -> list[str]:
        return [f"{start}u{LETTERS[self.number]}ax" for start in ("Zorb", "Quib", "Vrind")]

    @property
    def provider(self) -> ProviderName:
        names: tuple[ProviderName, ...] = ("ollama", "gemini", "openai")
        return names[self.number % 3]

    @property
    def tier(self) -> TierName:
        names: tuple[TierName, ...] = ("fast", "balanced", "quality")
        return names[self.number // 3 % 3]

    @property
    def enhanced(self) -> bool:
        return self.number % 2 == 0

    @property
    def fails_first(self) -> bool:
        """Whether its first provider fails and another one answers."""
        return self.number % 5 == 0

    @property
    def key(self) -> str:
        return f"key-of-run-{self.number:02}-and-no-other"

    @property
    def heat(self) -> TemperatureConfig:
        step = self.number / 100
        return TemperatureConfig(0.7, 1.0 + step, 0.1 + step, 0.4 + step, 0.7 + step)

    def model(self, provider: str) -> str:
        size = f"{'fast' if self.tier == 'fast' else 'large'}-" if provider == "ollama" else ""
        return f"{provider}-{size}{self.number}"

    def router(self) -> LLMRouter:
        config = LLMConfig(
            default_provider="gemini" if self.provider != "gemini" else "ollama",
            ollama_host=self.home.ollama_url,
            ollama_model_fast=f"ollama-fast-{self.number}",
            ollama_model_balanced=f"ollama-large-{self.number}",
            gemini_api_key=self.key,
            gemini_model=self.model("gemini"),
            gemini_base_url=self.home.gemini_url,
            openai_api_key=self.key,
            openai_model=self.model("openai"),
            openai_base_url=self.home.openai_url,
        )
        return LLMRouter(self.provider, fallback_enabled=self.fails_first, model_tier=self.tier, config=config)

    async def work(self, router: LLMRouter) -> list[dict[str, Any]]:
        return await AsyncCoordinator(router=router).run_workflow(
            " ".join(self.words),
            f"Within {self.words[0]}",
            num_top_candidates=1 + self.number % 4,
            enhanced_reasoning=self.enhanced,
            temperature_manager=TemperatureManager(self.heat),
        )

    def owns(self, request: RecordedRequest) -> bool:
        return f"<topic>\n{' '.join(self.words)}\n</topic>" in request.prompt

    def check(self, request: RecordedRequest) -> None:
        provider = str(request.provider)
        assert provider == self.provider or self.fails_first
        assert request.model == self.model(provider)
        headers = {"gemini": "x-goog-api-key", "openai": "authorization"}
        key = request.headers.get(headers.get(provider, "authorization"))
        assert key == {"ollama": None, "gemini": self.key, "openai": f"Bearer {self.key}"}[provider]
        heat = {**self.heat.to_dict(), "improvement": self.heat.idea_generation}
        assert temperature_of(request) == pytest.approx(heat[stage_of(request.prompt)])


def foreign(text: str, own: Run, runs: list[Run]) -> list[str]:
    low = text.lower()
    return [word for run in runs if run is not own for word in run.words if word.lower() in low]


async def test_25_concurrent_workflows_share_nothing(simulators: list[Simulator]) -> None:
    runs = [Run(number, simulators[number % 7 % 3]) for number in range(RUNS)]
    for run in runs:
        if run.fails_first:
            run.home.on(model=run.model(run.provider), status=503)
    for simulator in simulators:
        simulator.set_latency(0.05)
    routers = [run.router() for run in runs]
    async with asyncio.timeout(30):
        outcomes = await asyncio.gather(*(run.work(router) for run, router in zip(runs, routers, strict=True)))
    assert min(simulator.max_in_flight for simulator in simulators) > 1

    seen = 0
    for run, router, results in zip(runs, routers, outcomes, strict=True):
        mine = [request for simulator in simulators for request in simulator.requests if run.owns(request)]
        assert len(mine) == sum(map(run.owns, run.home.requests))
        for request in mine:
            run.check(request)
            assert foreign(request.body.decode(), run, runs) == []
        metrics = router.get_metrics()
        for provider in ("ollama", "gemini", "openai"):
            assert dict(metrics)[f"{provider}_calls"] == sum(request.provider == provider for request in mine)
        calls = 6 if run.enhanced else 4
        assert metrics["total_requests"] == calls
        assert metrics["fallback_triggers"] == (calls if run.fails_first else 0)
        assert metrics["failed_requests"] == 0
        assert sum(request.status == 200 for request in mine) == calls

        assert [result["status"] for result in results] == ["ok"] * (1 + run.number % 4)
        text = json.dumps(results)
        assert foreign(text, run, runs) == []
        assert any(word.lower() in text.lower() for word in run.words)
        seen += len(mine)
    assert seen == sum(len(simulator.requests) for simulator in simulators)


def one_router(simulator: Simulator) -> LLMRouter:
    config = LLMConfig(ollama_host=simulator.ollama_url, ollama_model_fast="shared")
    return LLMRouter("ollama", fallback_enabled=False, model_tier="fast", config=config)


def at_once(count: int, work: Callable[[int], None]) -> None:
    """Call `work` on `count` threads that start together, and raise the first failure."""
    start = threading.Barrier(count)

    def body(number: int) -> None:
        start.wait(10)
        work(number)

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(body, range(count), timeout=30))


def test_one_router_on_8_threads(madspark_simulator: Simulator) -> None:
    router = one_router(madspark_simulator)

    def work(number: int) -> None:
        word = f"Zorbu{LETTERS[number]}ax"
        for _ in range(5):
            [found] = Critic(router).evaluate([f"{word} roof"], f"{word} shade")
            others = [letter for letter in LETTERS[:8] if letter != LETTERS[number]]
            assert not any(f"zorbu{letter}ax" in found.comment.lower() for letter in others)

    at_once(8, work)
    metrics = router.get_metrics()
    assert metrics["total_requests"] == metrics["ollama_calls"] == len(madspark_simulator.requests) == 40


def test_one_router_and_one_coordinator_on_20_event_loops(madspark_simulator: Simulator) -> None:
    router = one_router(madspark_simulator)
    coordinator = AsyncCoordinator(router=router)
    runs = [Run(number, madspark_simulator) for number in range(20)]

    def work(number: int) -> None:
        results = asyncio.run(coordinator.run_workflow(" ".join(runs[number].words), enhanced_reasoning=True))
        assert [result["status"] for result in results] == ["ok", "ok"]
        assert foreign(json.dumps(results), runs[number], runs) == []

    at_once(20, work)
    metrics = router.get_metrics()
    assert metrics["total_requests"] == metrics["ollama_calls"] == len(madspark_simulator.requests) == 20 * len(STAGES)
    assert metrics["failed_requests"] == 0
