"""The evaluator and the inference engine, and the use of their results by the improver."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from doubles import DIMENSIONS, AsyncRouter, SyncRouter, dimensions, inference, labels, script, temperature_of
from madspark import LLMRouter, schemas
from madspark.agents import Advocate, Critic, IdeaGenerator, Skeptic, StructuredIdeaGenerator
from madspark.agents.idea_generator import improve_ideas_batch
from madspark.agents.logical_inference import INFERENCE_TYPES, passes
from madspark.agents.multi_dimensional import WEIGHTS
from madspark.core.enhanced_reasoning import LogicalInferenceEngine, MultiDimensionalEvaluator, ReasoningEngine

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark.testing import Simulator

TOPIC = "Shade for hot bus stops"
IDEAS = ["Amber shelter:\nof two lines", "Bramble shelter", "Copper shelter"]


@pytest.fixture
def router(madspark_router: Callable[..., LLMRouter]) -> LLMRouter:
    return madspark_router(primary_provider="ollama", fallback_enabled=False)


def test_defect_16_one_call_scores_every_idea(router: LLMRouter, madspark_simulator: Simulator) -> None:
    values = [2.0, 9.0, 4.0, 7.0, 8.0, 5.0, 6.0]
    reply = [
        {"idea_index": at, **dimensions(7, name), **dict(zip(DIMENSIONS, values, strict=True))}
        for at, name in enumerate(IDEAS)
    ]
    script(madspark_simulator, "multi_dimensional", list(reversed(reply)))
    found = MultiDimensionalEvaluator(router).evaluate(IDEAS, TOPIC, "No money")
    (request,) = madspark_simulator.requests
    assert labels(request.prompt) == [0, 1, 2]
    assert temperature_of(request) == 0.0
    assert [one.idea_index for one in found] == [0, 1, 2]
    for one, name in zip(found, IDEAS, strict=True):
        assert one.summary == f"Sides of {name}"
        assert one.overall_score == pytest.approx(statistics.mean(values))
        assert one.confidence_interval == pytest.approx(1 - statistics.pvariance(values) / 25)
        shares = WEIGHTS.values()
        assert one.weighted_score == pytest.approx(sum(a * b for a, b in zip(values, shares, strict=True)))
        assert one.dimension_scores == dict(zip(DIMENSIONS, values, strict=True))
        assert one.weak_dimensions == ["feasibility", "impact", "risk_assessment"]


def test_out_of_range_scores_are_clamped(router: LLMRouter, madspark_simulator: Simulator) -> None:
    wild = {**dimensions(7, "Amber"), "impact": 0, "timeline": 10}
    script(madspark_simulator, "multi_dimensional", [{"idea_index": 0, **wild}])
    (one,) = MultiDimensionalEvaluator(router).evaluate(IDEAS[:1], TOPIC)
    assert (one.dimension_scores["impact"], one.dimension_scores["timeline"]) == (1.0, 10.0)
    read = schemas.DimensionScores.model_validate({**wild, "impact": -4, "timeline": 99})
    assert (read.impact, read.timeline) == (1.0, 10.0)
    wrong: list[Any] = ["high", None, float("nan"), {}]
    for nonsense in wrong:
        with pytest.raises(ValidationError):
            schemas.DimensionScores.model_validate({**wild, "impact": nonsense})


@pytest.mark.parametrize("kind", INFERENCE_TYPES)
async def test_defect_18_every_type_is_requested_for_every_idea(
    kind: str, router: LLMRouter, madspark_simulator: Simulator
) -> None:
    reply = [{"idea_index": at, **inference(name)} for at, name in enumerate(IDEAS)]
    script(madspark_simulator, "logical_inference", reply[::-1], reply)
    engine = LogicalInferenceEngine(router)
    for found in (engine.infer(IDEAS, TOPIC, inference_type=kind), await engine.ainfer(IDEAS, TOPIC, "", kind)):
        assert [one.idea_index for one in found] == [0, 1, 2]
        assert [one.conclusion for one in found] == [f"{name} works" for name in IDEAS]
    first, second = madspark_simulator.requests
    assert labels(first.prompt) == labels(second.prompt) == [0, 1, 2]
    assert temperature_of(first) == 0.7
    names = {
        "full": schemas.FullInference,
        "causal": schemas.CausalInference,
        "constraints": schemas.ConstraintInference,
        "contradiction": schemas.ContradictionInference,
        "implications": schemas.ImplicationInference,
    }
    assert type(found[0]) is names[kind]


def test_defect_18_placeholders_never_pass() -> None:
    def made(confidence: float) -> schemas.FullInference:
        return schemas.FullInference.model_validate({"idea_index": 0, **inference("Amber", confidence)})

    assert not passes(None)
    for threshold in (0.0, 0.5):
        assert not passes(made(0.0), threshold)
    assert passes(made(0.01), 0.0)
    assert passes(made(0.5))
    assert not passes(made(0.49))


def test_invalid_arguments_are_rejected_before_anything_is_sent(
    router: LLMRouter, madspark_simulator: Simulator
) -> None:
    evaluator, engine = MultiDimensionalEvaluator(router), LogicalInferenceEngine(router)
    for call in (
        lambda: evaluator.evaluate(IDEAS, " "),
        lambda: evaluator.evaluate([], TOPIC),
        lambda: evaluator.evaluate(IDEAS, TOPIC, language="Klingon"),
        lambda: engine.infer(IDEAS, TOPIC, inference_type="magic"),
        lambda: engine.infer([""], TOPIC),
        lambda: ReasoningEngine(router, inference_type="magic"),
        lambda: ReasoningEngine(router, confidence_threshold=1.5),
    ):
        with pytest.raises(ValueError, match=r"blank|at least one|unknown|between"):
            call()
    with pytest.raises(TypeError, match="list of texts"):
        evaluator.evaluate("Amber", TOPIC)
    assert madspark_simulator.requests == []


async def test_every_agent_accepts_a_language(router: LLMRouter, madspark_simulator: Simulator) -> None:
    case = [{"idea": "Amber"}]
    options: Any = {"language": "ja"}
    IdeaGenerator(router).generate(TOPIC, **options)
    await IdeaGenerator(router).agenerate(TOPIC, **options)
    Critic(router).evaluate(IDEAS, TOPIC, **options)
    await Critic(router).aevaluate(IDEAS, TOPIC, **options)
    Advocate(router).advocate("Amber", "", TOPIC, **options)
    await Advocate(router).aadvocate("Amber", "", TOPIC, **options)
    Advocate(router).advocate_batch(case, TOPIC, **options)
    await Advocate(router).aadvocate_batch(case, TOPIC, **options)
    Skeptic(router).criticize("Amber", "", TOPIC, **options)
    await Skeptic(router).acriticize("Amber", "", TOPIC, **options)
    Skeptic(router).criticize_batch(case, TOPIC, **options)
    await Skeptic(router).acriticize_batch(case, TOPIC, **options)
    StructuredIdeaGenerator(router).improve("Amber", "", "", "", TOPIC, **options)
    await StructuredIdeaGenerator(router).aimprove("Amber", "", "", "", TOPIC, **options)
    MultiDimensionalEvaluator(router).evaluate(IDEAS, TOPIC, **options)
    await MultiDimensionalEvaluator(router).aevaluate(IDEAS, TOPIC, **options)
    LogicalInferenceEngine(router).infer(IDEAS, TOPIC, **options)
    await LogicalInferenceEngine(router).ainfer(IDEAS, TOPIC, **options)
    assert len(madspark_simulator.requests) == 18
    for request in madspark_simulator.requests:
        assert "Write every text in Japanese, whatever the language of the topic.\n" in request.prompt
    with pytest.raises(ValueError, match='unknown language "Klingon"'):
        Critic(router).evaluate(IDEAS, TOPIC, language="Klingon")
    with pytest.raises(TypeError, match="language must be a str"):
        Critic(router).evaluate(IDEAS, TOPIC, language=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [SyncRouter, AsyncRouter])
async def test_a_custom_router(make: type[SyncRouter]) -> None:
    router = make()
    rated = await MultiDimensionalEvaluator(router).aevaluate(IDEAS, TOPIC)
    reasoned = await LogicalInferenceEngine(router).ainfer(IDEAS, TOPIC, "", "causal")
    assert [one.overall_score for one in rated] == pytest.approx([5, 5.5, 6])
    assert [type(one) for one in reasoned] == [schemas.CausalInference] * 3
    assert [arguments["schema"].__name__ for arguments in router.calls] == ["DimensionEvaluations", "CausalInferences"]


@pytest.mark.parametrize("provider", ["ollama", "gemini", "openai", "anthropic"])
def test_every_provider_accepts_the_schemas(
    provider: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider=provider, fallback_enabled=False)
    assert len(MultiDimensionalEvaluator(router).evaluate(IDEAS, TOPIC)) == 3
    for kind in INFERENCE_TYPES:
        assert len(LogicalInferenceEngine(router).infer(IDEAS, TOPIC, inference_type=kind)) == 3
    assert len(madspark_simulator.requests) == 1 + len(INFERENCE_TYPES)


def test_a_reasoning_engine_exposes_its_agents(router: LLMRouter) -> None:
    engine = ReasoningEngine(router, "causal", 0.0)
    assert engine.multi_dimensional_evaluator.router is router
    assert engine.logical_inference_engine.router is router
    assert (engine.inference_type, engine.confidence_threshold) == ("causal", 0.0)


def test_the_improver_gets_weak_dimensions(router: LLMRouter, madspark_simulator: Simulator) -> None:
    inferred = schemas.FullInference.model_validate({"idea_index": 0, **inference("Amber")})
    StructuredIdeaGenerator(router).improve(
        "Amber", "", "", "", TOPIC, weak_dimensions=["innovation"], inference=inferred.conclusion
    )
    cases: list[dict[str, Any]] = [{"idea": "Amber", "weak_dimensions": "timeline: 2 of 10"}, {"idea": "Bramble"}]
    improve_ideas_batch(cases, TOPIC, router=router)
    first, second = (request.prompt for request in madspark_simulator.requests)
    assert '<weak_dimensions>\n["innovation"]\n</weak_dimensions>' in first
    assert "<inference>\nAmber works\n</inference>" in first
    assert "<weak_dimensions>\ntimeline: 2 of 10\n</weak_dimensions>" in second
    assert second.count("<weak_dimensions>") == 1
