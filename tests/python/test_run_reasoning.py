"""The rating and inference stages in both modes: their prompts, their outputs and their results."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

import pytest

from doubles import (
    ALL_STAGES,
    DIMENSIONS,
    NAMES,
    REASONING,
    advocacy,
    dimensions,
    evaluation,
    improvement,
    inference,
    labels,
    numbered_ideas,
    script,
    skepticism,
    stage_of,
    stages,
    temperature_of,
    titles,
)
from madspark import AsyncCoordinator, Coordinator, LLMRouter
from madspark.agents.logical_inference import INFERENCE_TYPES
from madspark.cli.main import main
from madspark.core.enhanced_reasoning import ReasoningEngine
from madspark.core.events import IdeaScored, StageFinished, StageStarted
from madspark.utils.temperature_control import TemperatureManager
from wire import model_requests

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydantic import BaseModel

    from madspark.core.gate import StageReview
    from madspark.core.result import WorkflowResult
    from madspark.testing import Simulator

    Make = Callable[..., LLMRouter]

Mode = Literal["batch", "fanout"]
TOPIC = "Shade for hot bus stops"
SHAPES: list[Mode] = ["batch", "fanout"]
EVERYTHING: dict[str, Any] = {
    "enhanced_reasoning": True,
    "multi_dimensional_eval": True,
    "logical_inference": True,
    # The names of the doubles' ideas are alike.
    "enable_novelty_filter": False,
}
RATING = {
    "overall_score", "weighted_score", "confidence_interval", "dimension_scores", "weak_dimensions", "summary",
}  # fmt: skip
AGENTS = {
    "idea_generator": 1,
    "critic": 2,
    "multi_dimensional": 2,
    "logical_inference": 1,
    "advocate": 1,
    "skeptic": 1,
    "structured_idea_generator": 1,
}


class Panel:
    """A custom router that answers about each of the doubles' ideas by its name."""

    def __init__(self, *, confidence: float = 0.8, broken: tuple[str, str] | None = None) -> None:
        self.confidence = confidence
        self.broken = broken
        self.prompts: list[tuple[str, str]] = []

    async def generate_structured(self, *, schema: type[BaseModel], prompt: str, **_: Any) -> tuple[BaseModel, object]:
        await asyncio.sleep(0)
        stage = stage_of(prompt)
        self.prompts.append((stage, prompt))
        items = (
            numbered_ideas(*NAMES)
            if stage == "idea_generation"
            else [
                {"idea_index": label, **self.about(stage, name)}
                for label, name in zip(labels(prompt), titles(prompt), strict=True)
                if (stage, name) != self.broken
            ]
        )
        return schema.model_validate(items), SimpleNamespace(provider="own", model="m", tokens_used=7)

    def about(self, stage: str, name: str) -> dict[str, Any]:
        at = NAMES.index(name)
        make: dict[str, Callable[[], dict[str, Any]]] = {
            "evaluation": lambda: evaluation(9 - at, name),
            "re_evaluation": lambda: evaluation(9.5, name),
            "multi_dimensional": lambda: {**dimensions(7, name), "timeline": 2 + at},
            "re_multi_dimensional": lambda: dimensions(8, f"better {name}"),
            "logical_inference": lambda: inference(name, self.confidence),
            "advocacy": lambda: advocacy(name),
            "skepticism": lambda: skepticism(name),
            "improvement": lambda: improvement(name),
        }
        return make[stage]()

    def prompts_of(self, stage: str) -> list[str]:
        return [prompt for each, prompt in self.prompts if each == stage]


async def run(router: Any, mode: Mode, **options: Any) -> WorkflowResult:
    async with asyncio.timeout(10):
        return await AsyncCoordinator(router=router).run(TOPIC, mode=mode, **{**EVERYTHING, **options})


async def test_a_batch_run_with_all_stages_makes_nine_calls(
    madspark_router: Make, madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    result = await run(router, "batch", num_top_candidates=3)
    wire = model_requests(madspark_simulator)
    assert stages(wire) == ALL_STAGES
    assert result.calls == len(wire) == 9
    assert result.tokens == router.get_metrics()["total_tokens"] == sum(stage.spent.tokens for stage in result.stages)
    assert [(stage.stage, stage.status, stage.spent.calls) for stage in result.stages] == [
        (stage, "ok", 1) for stage in ALL_STAGES
    ]
    assert [stage.ideas_ok for stage in result.stages] == [5, 5, *[3] * 7]
    assert {agent.agent: agent.spent.calls for agent in result.agents} == AGENTS
    assert [temperature_of(request) for request in wire] == pytest.approx([0.9, 0.3, 0.0, 0.7, 0.5, 0.5, 0.9, 0.3, 0.0])
    for candidate in result.candidates:
        assert [(mark.stage, mark.status) for mark in candidate.stages] == [(stage, "ok") for stage in ALL_STAGES]


async def test_a_run_without_temperatures_sends_none_in_any_stage(
    madspark_router: Make, madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    manager = TemperatureManager.from_base_temperature(None)
    await run(router, "batch", num_top_candidates=3, temperature_manager=manager)
    wire = model_requests(madspark_simulator)
    assert stages(wire) == ALL_STAGES
    assert not any("temperature" in request.json["options"] for request in wire)


async def test_a_fanout_run_makes_one_call_per_selected_idea(
    madspark_router: Make, madspark_simulator: Simulator
) -> None:
    result = await run(madspark_router(primary_provider="ollama", fallback_enabled=False), "fanout")
    wire = [stage_of(request.prompt) for request in model_requests(madspark_simulator)]
    assert result.calls == len(wire) == 1 + 5 + 7 * 2
    # The simulator chooses the first words of improved ideas, so ratings are distinguished by their order.
    assert (wire.count("multi_dimensional"), wire.count("logical_inference")) == (4, 2)
    assert [(stage.stage, stage.status) for stage in result.stages] == [(stage, "ok") for stage in ALL_STAGES]
    assert [stage.spent.calls for stage in result.stages] == [1, 5, 2, 2, 2, 2, 2, 2, 2]


@pytest.mark.parametrize("mode", SHAPES)
async def test_defect_16_the_rating_of_the_improved_idea_is_in_the_result(mode: Mode) -> None:
    router = Panel()
    result = await run(router, mode)
    assert [candidate.idea.split()[0] for candidate in result.candidates] == ["Amber", "Bramble"]
    for at, candidate in enumerate(result.to_dicts()):
        before, after = candidate["multi_dimensional_evaluation"], candidate["improved_multi_dimensional_evaluation"]
        assert set(before) == set(after) == RATING
        assert before["dimension_scores"] == {**dict.fromkeys(DIMENSIONS, 7), "timeline": 2 + at}
        assert after["dimension_scores"] == dict.fromkeys(DIMENSIONS, 8)
        assert (before["weak_dimensions"], after["weak_dimensions"]) == (["timeline"], [])
        assert before["overall_score"] == pytest.approx((42 + 2 + at) / 7)
        assert (before["summary"], after["summary"]) == (f"Sides of {NAMES[at]}", f"Sides of better {NAMES[at]}")
    assert result.calls == len(router.prompts) == (9 if mode == "batch" else 20)


async def test_defect_16_summaries_come_with_the_scores_in_one_call(
    madspark_router: Make, madspark_simulator: Simulator
) -> None:
    before, after = (
        [{"idea_index": at, **dimensions(score, f"{when} {at}")} for at in range(3)]
        for score, when in ((4, "before"), (9, "after"))
    )
    script(madspark_simulator, "multi_dimensional", before, after)
    results = await AsyncCoordinator(router=madspark_router(primary_provider="ollama")).run_workflow(
        TOPIC, num_top_candidates=3, multi_dimensional_eval=True
    )
    assert stages(model_requests(madspark_simulator)) == [
        "idea_generation", "evaluation", "multi_dimensional", "improvement", "re_evaluation", "re_multi_dimensional",
    ]  # fmt: skip
    for at, result in enumerate(results):
        old, new = result["multi_dimensional_evaluation"], result["improved_multi_dimensional_evaluation"]
        assert (old["overall_score"], old["summary"]) == (4, f"Sides of before {at}")
        assert (new["overall_score"], new["summary"]) == (9, f"Sides of after {at}")
        assert "logical_inference" not in result


@pytest.mark.parametrize("mode", SHAPES)
async def test_the_improvement_prompt_includes_weak_dimensions_and_inferences(mode: Mode) -> None:
    router = Panel()
    result = await run(router, mode)
    for candidate in result.to_dicts():
        name = candidate["idea"].split()[0]
        assert candidate["logical_inference"] == {
            "confidence": 0.8,
            "conclusion": f"{name} works",
            "inference_chain": [f"{name} exists", "People use it"],
            "improvements": None,
        }
    prompt = "".join(router.prompts_of("improvement"))
    for at, name in enumerate(NAMES[:2]):
        # In batch mode, after the ideas, each under the number of its own idea.
        label = f"On idea {at}:\n" if mode == "batch" else ""
        assert f"{label}<weak_dimensions>\ntimeline: {2 + at} of 10\n</weak_dimensions>" in prompt
        assert f"{label}<inference>\n• {name} exists\n• People use it\n→ {name} works" in prompt
    for stage in ("advocacy", "skepticism", "re_evaluation", "re_multi_dimensional"):
        assert not any("<inference>" in prompt or "<weak_dimensions>" in prompt for prompt in router.prompts_of(stage))


@pytest.mark.parametrize("mode", SHAPES)
@pytest.mark.parametrize(("confidence", "threshold"), [(0.0, 0.0), (0.0, 0.5), (0.49, None), (0.79, 0.8)])
async def test_defect_18_an_uncertain_inference_is_discarded(
    confidence: float, threshold: float | None, mode: Mode
) -> None:
    router = Panel(confidence=confidence)
    engine = None if threshold is None else ReasoningEngine(confidence_threshold=threshold)
    result = await run(router, mode, reasoning_engine=engine)
    assert result.status == "ok"
    assert result.stage("logical_inference").ideas_ok == 2
    for typed, candidate in zip(result.candidates, result.to_dicts(), strict=True):
        assert typed.logical_inference is None
        assert "logical_inference" not in candidate
    assert len(router.prompts_of("improvement")) == (1 if mode == "batch" else 2)
    for _, prompt in router.prompts:
        assert "<inference>" not in prompt


@pytest.mark.parametrize("kind", INFERENCE_TYPES)
async def test_defect_18_every_inference_type_covers_every_selected_idea(
    kind: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    inferences = [{"idea_index": at, **inference(f"Thought {at}")} for at in range(3)]
    script(madspark_simulator, "logical_inference", inferences)
    router = madspark_router(primary_provider="ollama")
    results = await AsyncCoordinator(router=router).run_workflow(
        TOPIC, num_top_candidates=3, logical_inference=True, reasoning_engine=ReasoningEngine(inference_type=kind)
    )
    [request] = [one for one in model_requests(madspark_simulator) if REASONING["logical_inference"] in one.prompt]
    assert labels(request.prompt) == [0, 1, 2]
    own = {
        "full": set[str](),
        "causal": {"causal_chain", "feedback_loops", "root_cause"},
        "constraints": {"constraints", "trade_offs"},
        "contradiction": {"contradictions", "resolution"},
        "implications": {"implications", "second_order_effects"},
    }[kind]
    for at, result in enumerate(results):
        inferred = result["logical_inference"]
        assert inferred["conclusion"] == f"Thought {at} works"
        assert set(inferred) == {"confidence", "conclusion", "inference_chain", "improvements"} | own


@pytest.mark.parametrize("mode", SHAPES)
@pytest.mark.parametrize("stage", ["multi_dimensional", "logical_inference", "re_multi_dimensional"])
async def test_a_failure_for_one_idea_affects_that_idea_only(stage: str, mode: Mode) -> None:
    router = Panel(broken=(stage, "Bramble"))
    result = await run(router, mode)
    whole, marked = result.candidates
    assert (whole.status, marked.status, result.status) == ("ok", "degraded", "degraded")
    assert [problem.stage for problem in marked.problems] == [stage]
    assert result.stage(stage).status == ("degraded")
    field = {
        "multi_dimensional": "multi_dimensional_evaluation",
        "re_multi_dimensional": "improved_multi_dimensional_evaluation",
    }.get(stage, stage)
    assert getattr(whole, field) is not None
    assert getattr(marked, field) is None
    assert marked.improved_score == 9.5


async def test_only_improved_texts_are_rated_again() -> None:
    router = Panel(broken=("improvement", "Bramble"))
    result = await run(router, "batch")
    [prompt] = router.prompts_of("re_multi_dimensional")
    assert titles(prompt) == ["Amber"]
    assert [mark.status for mark in result.candidates[1].stages][-3:] == ["failed", "skipped", "skipped"]
    assert result.candidates[1].multi_dimensional_evaluation is not None
    assert result.candidates[1].improved_multi_dimensional_evaluation is None


@pytest.mark.parametrize("mode", SHAPES)
async def test_events_and_progress_include_the_stages(
    mode: Mode, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    fractions: list[float] = []
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    coordinator = AsyncCoordinator(progress_callback=lambda _, fraction: fractions.append(fraction), router=router)
    await coordinator.run(TOPIC, mode=mode, **EVERYTHING)
    assert fractions == sorted(fractions)
    if mode == "batch":
        known = [0.0, 0.1, 0.3, 0.4, 0.6, 0.6, 0.65, 0.7, 0.72, 0.78, 0.82, 0.85, 0.88, 0.9, 1.0]
        assert fractions == pytest.approx(known)
    madspark_simulator.clear()
    events = [event async for event in coordinator.events(TOPIC, mode=mode, **EVERYTHING)]
    assert [event.stage for event in events if isinstance(event, StageStarted)] == ALL_STAGES
    finished = [event for event in events if isinstance(event, StageFinished)]
    ended = [event.stage for event in finished]
    # Concurrent stages may end in any order.
    assert (ended if mode == "batch" else sorted(ended, key=ALL_STAGES.index)) == ALL_STAGES
    assert {event.status for event in finished} == {"ok"}
    scored = [event.stage for event in events if isinstance(event, IdeaScored)]
    assert (scored.count("multi_dimensional"), scored.count("re_multi_dimensional")) == (2, 2)
    assert [event.message for event in events].count("Working on the selected ideas") == 1


async def test_a_gate_is_called_after_these_stages() -> None:
    seen: list[tuple[str, bool, bool]] = []

    async def gate(review: StageReview) -> Any:
        [first, *_] = review.candidates
        seen.append((review.stage, first.multi_dimensional_evaluation is not None, first.logical_inference is not None))
        if review.stage == "logical_inference":
            return [first]
        return None

    result = await run(Panel(), "batch", on_stage=gate)
    assert seen[:4] == [
        ("idea_generation", False, False),
        ("evaluation", False, False),
        ("multi_dimensional", True, False),
        ("logical_inference", True, True),
    ]
    [candidate] = result.candidates
    assert candidate.logical_inference is not None
    assert candidate.improved_multi_dimensional_evaluation is not None


@pytest.mark.parametrize("stage", REASONING)
async def test_each_of_these_stages_has_its_own_timeout(
    stage: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    madspark_simulator.on(contains=REASONING[stage], fault="stall", times=1)
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    results = await AsyncCoordinator(router=router).run_workflow(TOPIC, stage_timeouts={stage: 0.3}, **EVERYTHING)
    for result in results:
        [problem] = result["problems"]
        assert problem["stage"] == stage
        assert f"the limit of 0.3 s for {stage} was reached" in problem["reason"]
        assert result["improved_score"] is not None


def test_the_synchronous_twin_returns_the_same(madspark_router: Make) -> None:
    router = madspark_router(primary_provider="ollama")
    engine = ReasoningEngine(confidence_threshold=0.01)
    [result, *_] = Coordinator(router=router).run_workflow(TOPIC, reasoning_engine=engine, **EVERYTHING)
    assert result["improved_multi_dimensional_evaluation"] is not None
    assert result["logical_inference"]["inference_chain"]


@pytest.mark.parametrize("name", ["de", "de-AT", "German", "deutsch"])
async def test_the_language_option_overrides_the_language_of_the_topic(
    name: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    # As a model that follows the prompt would write it.
    case = {"title": "Ein Dach aus Blättern", "description": "Es wächst von selbst und spendet im Sommer Schatten"}
    praise = {"strengths": [case], "opportunities": [case], "addressing_concerns": []}
    flaws = {"critical_flaws": [case], "risks_and_challenges": [case]}
    flaws |= {"questionable_assumptions": [], "missing_considerations": []}
    for stage, reply in (("advocacy", praise), ("skepticism", flaws)):
        script(madspark_simulator, stage, [{"idea_index": at, **reply} for at in range(2)])
    router = madspark_router(primary_provider="ollama")
    results = await AsyncCoordinator(router=router).run_workflow(TOPIC, language=name, **EVERYTHING)
    wire = model_requests(madspark_simulator)
    assert len(wire) == 9
    for request in wire:
        assert "Write every text in German, whatever the language of the topic.\n" in request.prompt
    for result in results:
        assert result["advocacy"].startswith("STÄRKEN:")
        assert result["skepticism"].startswith("ENTSCHEIDENDE SCHWÄCHEN:")


def test_the_command_line_has_options_for_these_stages(
    madspark_simulator: Simulator, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    inferences = [{"idea_index": at, **inference(f"Thought {at}")} for at in range(3)]
    script(madspark_simulator, "logical_inference", inferences)
    host = ["--provider", "ollama", "--no-fallback", "--ollama-host", madspark_simulator.ollama_url]
    flags = ["--multi-dimensional", "--inference-type", "causal", "--language", "de", "--cache-dir", str(tmp_path)]
    flags += ["--evaluation", "together", "--stage-timeout", "advocacy=none", "--max-output-tokens", "unlimited"]
    assert main([TOPIC, *host, *flags, "--json"]) == 0
    called = stages(model_requests(madspark_simulator))
    assert called == [stage for stage in ALL_STAGES if stage not in {"advocacy", "skepticism"}]
    results = json.loads(capsys.readouterr().out)["results"]
    for result in results:
        assert result["logical_inference"]["causal_chain"]
        assert set(result["improved_multi_dimensional_evaluation"]) == RATING
    assert main([TOPIC, *host, *flags, "--quiet"]) == 0
    shown = capsys.readouterr().out
    for heading in ("Ratings", "What follows", "Ratings of that"):
        assert f"\n   {heading}\n" in shown
    assert main([TOPIC, *host, "--language", "Klingon"]) == 1
    assert 'unknown language "Klingon"' in capsys.readouterr().err
