"""Custom routers: any object with `generate_structured` works in place of an `LLMRouter`."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock, MagicMock, Mock, patch

import pytest

from doubles import STAGES, AsyncRouter, SyncRouter, call_every_coroutine, call_every_function, sample, stage_of
from madspark import AsyncCoordinator, Coordinator, LLMConfig, LLMRouter, schemas
from madspark.agents import Critic, IdeaGenerator
from madspark.agents.critic import evaluate_ideas

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel

    from madspark.testing import Simulator

TOPIC = "Shade for hot bus stops"


class TwinRouter(SyncRouter):
    """A router with a coroutine function besides the synchronous method."""

    def generate_structured(self, **arguments: Any) -> tuple[BaseModel, object]:
        raise AssertionError(arguments)

    async def agenerate_structured(self, **arguments: Any) -> tuple[BaseModel, object]:
        return super().generate_structured(**arguments)


class FalsyRouter(SyncRouter):
    """A router whose truth value is false."""

    def __len__(self) -> int:
        return 0


class Overriding(LLMRouter):
    """An `LLMRouter` with an overridden method."""

    def __init__(self) -> None:
        super().__init__("ollama", fallback_enabled=False, config=LLMConfig(ollama_host="http://127.0.0.1:9"))
        self.calls: list[dict[str, Any]] = []

    def generate_structured(self, **arguments: Any) -> Any:  # type: ignore[override]
        self.calls.append(arguments)
        return sample(arguments["schema"], arguments["prompt"]), SimpleNamespace()


class OverridingTwin(Overriding):
    generate_structured = LLMRouter.generate_structured  # type: ignore[assignment]

    async def agenerate_structured(self, **arguments: Any) -> Any:  # type: ignore[override]
        self.calls.append(arguments)
        return sample(arguments["schema"], arguments["prompt"]), SimpleNamespace()


def recording(calls: list[dict[str, Any]]) -> Callable[..., tuple[BaseModel, object]]:
    def answer(**given: Any) -> tuple[BaseModel, object]:
        calls.append(given)
        return sample(given["schema"], given["prompt"]), SimpleNamespace(tokens_used=None)

    return answer


def mocked(router: Any, method: str = "generate_structured") -> Any:
    router.calls = []
    getattr(router, method).side_effect = recording(router.calls)
    return router


def with_twin() -> Any:
    router = MagicMock()
    router.agenerate_structured = AsyncMock()
    return mocked(router, "agenerate_structured")


MAKERS: list[Callable[[], Any]] = [
    SyncRouter,
    AsyncRouter,
    TwinRouter,
    FalsyRouter,
    Overriding,
    OverridingTwin,
    lambda: mocked(Mock()),
    lambda: mocked(MagicMock()),
    lambda: mocked(AsyncMock()),
    with_twin,
    lambda: mocked(MagicMock(spec=LLMRouter)),
    lambda: mocked(MagicMock(spec=SyncRouter)),
    lambda: mocked(Mock(spec=["agenerate_structured"]), "agenerate_structured"),
]
IDS = [
    "sync", "async", "twin", "falsy", "overriding", "overriding-twin", "Mock", "MagicMock", "AsyncMock", "mocked-twin",
    "spec-LLMRouter", "spec-own", "twin-only",
]  # fmt: skip


@pytest.mark.parametrize("make", MAKERS, ids=IDS)
async def test_every_kind_of_router_answers_every_agent(make: Callable[[], Any]) -> None:
    router = make()
    async with asyncio.timeout(10):
        await asyncio.to_thread(call_every_function, router, TOPIC)
        assert len(router.calls) == 16
        await call_every_coroutine(router, TOPIC)
    assert len(router.calls) == 16 + 7
    for arguments in router.calls:
        assert set(arguments) == {"prompt", "schema", "system_instruction", "temperature"}
        assert TOPIC in arguments["prompt"]
        assert arguments["schema"].__module__.startswith("madspark.schemas.")
        assert arguments["schema"] is getattr(schemas, arguments["schema"].__name__)
        assert "JSON" in arguments["system_instruction"]
        assert 0.0 <= arguments["temperature"] <= 2.0


@pytest.mark.parametrize("make", MAKERS, ids=IDS)
def test_every_kind_of_router_answers_both_coordinators(make: Callable[[], Any]) -> None:
    router = make()
    results = asyncio.run(AsyncCoordinator(router=router).run_workflow(TOPIC, enhanced_reasoning=True))
    results += Coordinator(router=router).run_workflow(TOPIC, enhanced_reasoning=True)
    assert [result["status"] for result in results] == ["ok"] * 4
    assert [stage_of(arguments["prompt"]) for arguments in router.calls] == [*STAGES, *STAGES]
    assert [arguments["temperature"] for arguments in router.calls[:6]] == [0.9, 0.3, 0.5, 0.5, 0.9, 0.3]


async def test_a_wrapper_may_delegate_to_an_llm_router(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    inner = madspark_router(primary_provider="ollama", fallback_enabled=False)

    class Wrapper:
        async def agenerate_structured(self, prompt: str, schema: type[BaseModel], **given: Any) -> object:
            return await inner.agenerate_structured(prompt, schema, **given)

    results = await AsyncCoordinator(router=Wrapper()).run_workflow(TOPIC)
    assert [result["status"] for result in results] == ["ok", "ok"]
    assert inner.get_metrics()["ollama_calls"] == len(madspark_simulator.requests) == 4


async def test_a_subclass_may_call_its_base(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    config = madspark_router().config

    class Counting(LLMRouter):
        count = 0

        def generate_structured(self, *given: Any, **named: Any) -> Any:
            self.count += 1
            return super().generate_structured(*given, **named)

    class CountingTwin(LLMRouter):
        count = 0

        async def agenerate_structured(self, *given: Any, **named: Any) -> Any:
            self.count += 1
            return await super().agenerate_structured(*given, **named)

    for kind in (Counting, CountingTwin):
        madspark_simulator.clear()
        router = kind("ollama", fallback_enabled=False, config=config)
        results = await AsyncCoordinator(router=router).run_workflow(TOPIC)
        results += Coordinator(router=router).run_workflow(TOPIC)
        assert [result["status"] for result in results] == ["ok"] * 4
        assert router.count == router.get_metrics()["total_requests"] == len(madspark_simulator.requests) == 8


def test_a_patched_llm_router_is_a_custom_router() -> None:
    calls: list[dict[str, Any]] = []
    router = LLMRouter("ollama", fallback_enabled=False, config=LLMConfig(ollama_host="http://127.0.0.1:9"))
    with patch.object(LLMRouter, "generate_structured", side_effect=recording(calls)):
        evaluate_ideas(["one"], TOPIC, router=router)
    assert len(calls) == 1


async def test_attachments_are_passed_on_if_there_are_any() -> None:
    router = AsyncRouter()
    await AsyncCoordinator(router=router).run_workflow(TOPIC, multimodal_files=[b"%PDF-1.7"])
    await IdeaGenerator(router).agenerate(TOPIC, urls=["https://example.com/"])
    extra = [{name: arguments[name] for name in ("files", "urls") if name in arguments} for arguments in router.calls]
    assert extra == [{"files": [b"%PDF-1.7"]}, {}, {}, {}, {"urls": ["https://example.com/"]}]


@pytest.mark.parametrize("make", [SyncRouter, AsyncRouter])
@pytest.mark.parametrize("stage", STAGES)
async def test_an_exception_of_a_custom_router_is_raised_unchanged(make: type[SyncRouter], stage: str) -> None:
    class MineError(LookupError):
        pass

    error = MineError("mine")

    class Failing(make):  # type: ignore[misc,valid-type]
        def generate_structured(self, **arguments: Any) -> Any:
            if stage_of(arguments["prompt"]) == stage and (stage != "re_evaluation" or len(self.calls) > 1):
                raise error
            return super().generate_structured(**arguments)

    with pytest.raises(MineError) as raised:
        await AsyncCoordinator(router=Failing()).run_workflow(TOPIC, enhanced_reasoning=True)
    assert raised.value is error


def test_agents_raise_an_exception_of_a_custom_router_unchanged() -> None:
    error = KeyError("mine")
    for router in (MagicMock(), AsyncMock()):
        router.generate_structured.side_effect = error
        with pytest.raises(KeyError) as raised:
            Critic(router).evaluate(["one"], TOPIC)
        assert raised.value is error


async def test_an_exhausted_mock_raises_runtime_error() -> None:
    router = MagicMock()
    router.generate_structured.side_effect = []
    async with asyncio.timeout(10):
        with pytest.raises(RuntimeError, match="StopIteration"):
            await Critic(router).aevaluate(["one"], TOPIC)


@pytest.mark.parametrize("answer", [None, 3, {}, (None, None), ({"score": 1}, None), MagicMock(), (MagicMock(), None)])
async def test_a_wrong_answer_is_a_type_error_that_names_the_expected_type(answer: object) -> None:
    router = Mock()
    router.generate_structured.return_value = answer
    expected = r"Mock\.generate_structured\(\) must return \(instance of CriticEvaluations, response\), not "
    with pytest.raises(TypeError, match=expected):
        await Critic(router).aevaluate(["one"], TOPIC)


def test_an_object_without_generate_structured_is_rejected_at_once() -> None:
    for make in (AsyncCoordinator, Coordinator, Critic):
        with pytest.raises(TypeError, match="router must be an LLMRouter or have generate_structured"):
            make(router=object())
