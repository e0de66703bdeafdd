"""Every entry point of the workflow uses only the router it was passed, and changes nothing in the process."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from doubles import call_every_coroutine, call_every_function
from madspark import AsyncCoordinator, Coordinator, LLMConfig, LLMRouter
from madspark.core.coordinator import run_multistep_workflow
from madspark.core.coordinator_batch import run_multistep_workflow_batch
from madspark.llm import get_router, reset_router, router as router_module
from madspark.testing import RecordedRequest, Simulator
from wire import model_requests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from madspark import ProviderName

CONTEXT = "With little money"


@pytest.fixture
def decoy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """The server that only the environment names: it must receive no request."""
    with Simulator() as simulator:
        for name, value in {
            "MADSPARK_LLM_PROVIDER": "gemini",
            "MADSPARK_MODEL_TIER": "quality",
            "MADSPARK_FALLBACK_ENABLED": "true",
            "OLLAMA_HOST": simulator.ollama_url,
            "GOOGLE_API_KEY": "the-key-of-the-environment",
            "GEMINI_BASE_URL": simulator.gemini_url,
        }.items():
            monkeypatch.setenv(name, value)
        reset_router()
        yield simulator
        reset_router()


@dataclass
class Tenant:
    """One of two clients with concurrent requests, which share no word, host, key, model or provider."""

    name: str
    provider: ProviderName
    home: Simulator

    @property
    def key(self) -> str:
        return f"the-key-of-{self.name}"

    @property
    def model(self) -> str:
        return f"model-of-{self.name}"

    def router(self) -> LLMRouter:
        config = LLMConfig(
            ollama_host=self.home.ollama_url,
            ollama_model_fast=self.model,
            gemini_api_key=self.key,
            gemini_model=self.model,
            gemini_base_url=self.home.gemini_url,
        )
        return LLMRouter(self.provider, fallback_enabled=False, model_tier="fast", config=config)

    def check(self, request: RecordedRequest, others: list[Tenant]) -> None:
        assert (request.provider, request.model) == (self.provider, self.model)
        assert request.headers.get("x-goog-api-key") == (self.key if self.provider == "gemini" else None)
        assert self.name in request.body.decode()
        assert not [other.name for other in others if other.name in request.body.decode()]


@pytest.fixture
def tenants() -> Iterator[list[Tenant]]:
    with Simulator() as one, Simulator() as two:
        yield [Tenant("Zorbulax", "ollama", one), Tenant("Quibunax", "gemini", two)]


def by_coroutine(router: LLMRouter, topic: str) -> Any:
    return asyncio.run(AsyncCoordinator(router=router).run_workflow(topic, CONTEXT))


def by_run(router: LLMRouter, topic: str) -> Any:
    return asyncio.run(AsyncCoordinator(router=router).run(topic, CONTEXT)).to_dicts()


def by_events(router: LLMRouter, topic: str) -> Any:
    async def listen() -> Any:
        events = AsyncCoordinator(router=router).events(topic, CONTEXT)
        types = [event.type async for event in events]
        assert types[-1] == "run_finished"
        return (await events.result()).to_dicts()

    return asyncio.run(listen())


def by_agents(router: LLMRouter, topic: str) -> Any:
    call_every_function(router, topic, CONTEXT)
    asyncio.run(call_every_coroutine(router, topic, CONTEXT))


ENTRY_POINTS: dict[str, Callable[[LLMRouter, str], Any]] = {
    "AsyncCoordinator.run_workflow": by_coroutine,
    "AsyncCoordinator.run": by_run,
    "AsyncCoordinator.events": by_events,
    "Coordinator.run_workflow": lambda router, topic: Coordinator(router=router).run_workflow(topic, CONTEXT),
    "Coordinator.run": lambda router, topic: Coordinator(router=router).run(topic, CONTEXT).to_dicts(),
    "run_multistep_workflow": lambda router, topic: run_multistep_workflow(topic, CONTEXT, router=router),
    "run_multistep_workflow_batch": lambda router, topic: run_multistep_workflow_batch(topic, CONTEXT, router=router),
    "agents": by_agents,
}


def together(work: Callable[[Tenant], Any], tenants: list[Tenant]) -> list[Any]:
    """Run `work` for each tenant on its own thread, all starting at the same time."""
    start = threading.Barrier(len(tenants))

    def body(tenant: Tenant) -> Any:
        start.wait(10)
        return work(tenant)

    with ThreadPoolExecutor(len(tenants)) as pool:
        return list(pool.map(body, tenants, timeout=30))


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_concurrent_requests_use_only_their_own_router(
    entry_point: str, tenants: list[Tenant], decoy: Simulator
) -> None:
    """Defects 4, 5 and 7."""
    before = dict(os.environ)
    for tenant in tenants:
        # Slow enough that both requests are in flight at the same time.
        tenant.home.set_latency(0.02)
    routers = {tenant.name: tenant.router() for tenant in tenants}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results_of = together(
            lambda tenant: ENTRY_POINTS[entry_point](routers[tenant.name], f"{tenant.name} shade"), tenants
        )
    for tenant, results in zip(tenants, results_of, strict=True):
        others = [other for other in tenants if other is not tenant]
        sent = model_requests(tenant.home)
        assert len(sent) == len(tenant.home.requests) > 3
        for request in sent:
            tenant.check(request, others)
        metrics = routers[tenant.name].get_metrics()
        assert metrics["total_requests"] == dict(metrics)[f"{tenant.provider}_calls"] == len(sent)
        assert not [other.name for other in others if other.name.lower() in json.dumps(results).lower()]
        if results is not None:
            assert [result["status"] for result in results] == ["ok", "ok"]
    assert decoy.requests == []
    assert router_module._process_wide == {}
    assert dict(os.environ) == before


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_a_failing_router_is_not_replaced_by_another(entry_point: str, tenants: list[Tenant], decoy: Simulator) -> None:
    """Defect 4: no other client answers in its place."""
    from madspark import LLMProviderError

    tenant = tenants[0]
    tenant.home.on(status=400)
    with pytest.raises(LLMProviderError):
        ENTRY_POINTS[entry_point](tenant.router(), "Zorbulax shade")
    assert {request.provider for request in tenant.home.requests} == {"ollama"}
    assert decoy.requests == []


def test_the_command_builds_its_router_from_its_arguments(
    tenants: list[Tenant], decoy: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    from madspark.cli.run import run

    before = dict(os.environ)

    def work(tenant: Tenant) -> int:
        choices = ["--provider", "ollama", "--no-fallback", "--tier", "fast", "--no-cache", "--quiet", "--json"]
        choices += ["--evaluation", "together"]
        own = ["--ollama-host", tenant.home.ollama_url, "--ollama-model", tenant.model]
        return run([f"{tenant.name} shade", *choices, *own])

    assert together(work, tenants) == [0, 0]
    capsys.readouterr()
    for tenant in tenants:
        sent = model_requests(tenant.home)
        assert len(sent) == 4
        assert {(request.provider, request.model) for request in sent} == {("ollama", tenant.model)}
        assert all(tenant.name in request.prompt for request in sent)
    assert decoy.requests == []
    assert router_module._process_wide == {}
    assert dict(os.environ) == before


@pytest.mark.parametrize("function", [run_multistep_workflow, run_multistep_workflow_batch])
def test_the_functions_have_the_parameters_of_the_coordinator(function: Callable[..., Any]) -> None:
    taken = list(inspect.signature(function).parameters.values())
    method = list(inspect.signature(Coordinator.run_workflow).parameters.values())[1:]
    positional = [one for one in method if one.kind is one.POSITIONAL_OR_KEYWORD]
    assert taken[: len(positional)] == positional
    router = taken[len(positional)]
    assert (router.name, router.default, router.kind) == ("router", None, router.POSITIONAL_OR_KEYWORD)


def test_the_functions_pass_on_every_argument(tenants: list[Tenant], monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    bind = inspect.signature(AsyncCoordinator.run_workflow).bind

    async def take(*places: Any, **named: Any) -> list[Any]:
        given.update(bind(*places, **named).arguments)
        return []

    monkeypatch.setattr(AsyncCoordinator, "run_workflow", take)
    parameters = inspect.signature(run_multistep_workflow_batch).parameters.values()
    keywords = {one.name: one.name for one in parameters if one.kind is one.KEYWORD_ONLY}
    places = [one.name for one in parameters if one.name not in {"router", *keywords}]
    router = tenants[0].router()
    function: Callable[..., Any] = run_multistep_workflow_batch
    assert {"stage_timeouts", "language", "use_cache"} <= keywords.keys()
    assert function(*places, router, **keywords) == []
    del given["self"]
    assert given == {**{name: name for name in places}, "mode": "batch", **keywords}


def test_the_batch_function_makes_one_call_per_stage(tenants: list[Tenant]) -> None:
    tenant = tenants[1]
    run_multistep_workflow_batch("Zorbulax shade", enhanced_reasoning=True, router=tenant.router())
    assert len(model_requests(tenant.home)) == 6


def test_get_router_is_deprecated_and_names_its_replacement(decoy: Simulator) -> None:
    with pytest.warns(DeprecationWarning, match=r"build an LLMRouter\(\.\.\.\) per request") as caught:
        router = get_router()
    assert caught[0].filename == __file__
    assert (router.primary_provider, router.config.ollama_host) == ("gemini", decoy.ollama_url)
    with pytest.warns(DeprecationWarning, match="get_router"):
        assert get_router() is router
    reset_router()
    reset_router()
    with pytest.warns(DeprecationWarning, match="get_router"):
        assert get_router() is not router


@pytest.mark.usefixtures("decoy")
@pytest.mark.filterwarnings("ignore:get_router:DeprecationWarning")
def test_concurrent_first_calls_of_get_router_return_one_router(monkeypatch: pytest.MonkeyPatch) -> None:
    everyone = threading.Barrier(8)

    def make() -> LLMRouter:
        # No thread has a router before all of them have called get_router().
        everyone.wait(10)
        return LLMRouter()

    monkeypatch.setattr(router_module, "LLMRouter", make)
    with ThreadPoolExecutor(8) as pool:
        assert len({id(found.result(10)) for found in [pool.submit(get_router) for _ in range(8)]}) == 1
