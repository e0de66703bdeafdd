"""Stage gates: approving, editing, removing, stopping."""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any

import pytest

from doubles import BEGINNINGS, NAMES, numbered_ideas, script
from madspark import AsyncCoordinator, LLMRouter
from madspark.core.gate import StageReview, StopWorkflow
from madspark.core.result import Candidate
from test_run_result import ALL_STAGES, MODES, TOPIC
from wire import model_requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark.core.gate import Decision, OnStage
    from madspark.core.result import WorkflowResult
    from madspark.testing import Simulator

    Make = Callable[..., LLMRouter]

WHO = contextvars.ContextVar("WHO", default="nobody")


async def run(make: Make, simulator: Simulator, mode: str, on_stage: OnStage, **options: Any) -> WorkflowResult:
    script(simulator, "idea_generation", numbered_ideas(*NAMES))
    router = make(primary_provider=MODES[mode], fallback_enabled=False)
    chosen = {"num_top_candidates": 2, **ALL_STAGES, **options, "on_stage": on_stage}
    async with asyncio.timeout(10):
        return await AsyncCoordinator(router=router).run(TOPIC, **chosen)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("approval", [None, True])
async def test_the_gate_is_called_after_each_stage(
    mode: str, approval: Decision, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    reviews: list[tuple[str, int]] = []
    WHO.set("the request")

    async def gate(review: StageReview) -> Decision:
        await asyncio.sleep(0)
        assert WHO.get() == "the request"
        reviews.append((review.stage, len(review.candidates)))
        return approval

    result = await run(madspark_router, madspark_simulator, mode, gate)
    assert (result.status, result.partial) == ("ok", False)
    later = ["advocacy", "skepticism", "improvement", "re_evaluation"]
    assert reviews[:2] == [("idea_generation", 5), ("evaluation", 2)]
    expected = [(stage, 2) for stage in later] if mode == "batch" else [(stage, 1) for stage in later for _ in "12"]
    assert sorted(reviews[2:]) == sorted(expected)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("how", ["false", "raise"])
async def test_a_gate_can_stop_the_run(
    mode: str, how: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    def gate(review: StageReview) -> Decision:
        if review.stage != "evaluation":
            return None
        if how == "raise":
            raise StopWorkflow("too dear")
        return False

    result = await run(madspark_router, madspark_simulator, mode, gate)
    assert (result.status, result.partial, result.cut) == ("degraded", True, "stopped")
    assert ("too dear" in (result.reason or "")) is (how == "raise")
    assert len(model_requests(madspark_simulator)) == (2 if mode == "batch" else 6)
    assert len(result.candidates) == 2
    for candidate in result.candidates:
        assert candidate.initial_score is not None
        assert "stopped" in candidate.problems[0].reason


@pytest.mark.parametrize("mode", MODES)
async def test_a_gate_can_edit_and_remove_candidates(
    mode: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    async def gate(review: StageReview) -> Decision:
        await asyncio.sleep(0)
        if review.stage == "idea_generation":
            assert [candidate.idea.split()[0] for candidate in review.candidates] == NAMES
            kept = [candidate for candidate in review.candidates if not candidate.idea.startswith("Copper")]
            kept[0].idea = "Awning: Amber cloth over the whole stop"
            return kept
        if review.stage == "skepticism":
            for candidate in review.candidates:
                candidate.skepticism = f"Mind the wind at {candidate.idea_index}"
            return review.candidates
        return None

    result = await run(madspark_router, madspark_simulator, mode, gate, num_top_candidates=4)
    assert (result.status, len(result.candidates)) == ("ok", 4)
    assert not any("Copper" in candidate.idea for candidate in result.candidates)
    prompts = [request.prompt for request in model_requests(madspark_simulator)]
    assert not any("Copper" in prompt for prompt in prompts[1:])
    assert any("Awning: Amber cloth over the whole stop" in prompt for prompt in prompts)
    improving = [prompt for prompt in prompts if f"\n{BEGINNINGS['improvement']}" in prompt]
    for candidate in result.candidates:
        assert candidate.text == candidate.idea
        assert any(f"Mind the wind at {candidate.idea_index}" in prompt for prompt in improving)


@pytest.mark.parametrize("mode", MODES)
async def test_a_candidate_removed_late_is_not_in_the_result(
    mode: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    gone: list[int] = []

    def gate(review: StageReview) -> Decision:
        if review.stage != "advocacy" or gone:
            return None
        gone.append(review.candidates[0].idea_index)
        return review.candidates[1:]

    result = await run(madspark_router, madspark_simulator, mode, gate)
    assert (result.status, len(result.candidates)) == ("ok", 1)
    assert result.candidates[0].idea_index not in gone
    # The skeptic handled one idea.
    assert [stage.ideas_ok for stage in result.stages] == [5, 5, 2, 1, 1, 1]


@pytest.mark.parametrize("mode", MODES)
async def test_removing_every_candidate_stops_the_run(
    mode: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    result = await run(madspark_router, madspark_simulator, mode, lambda _: [])
    assert (result.cut, result.candidates) == ("stopped", [])
    assert len(model_requests(madspark_simulator)) == 1


@pytest.mark.parametrize(
    ("decision", "error"),
    [
        (lambda _: "yes", TypeError),
        (lambda _: 1 / 0, ZeroDivisionError),
        (lambda review: [review.candidates[0].model_copy(update={"idea_index": 77})], ValueError),
        (lambda review: [review.candidates[0].model_copy(update={"idea": " "})], ValueError),
    ],
)
async def test_errors_of_a_gate_reach_the_caller(
    decision: OnStage, error: type[Exception], madspark_router: Make, madspark_simulator: Simulator
) -> None:
    with pytest.raises(error):
        await run(madspark_router, madspark_simulator, "batch", decision)
    assert len(model_requests(madspark_simulator)) == 1


async def test_a_gate_is_cancelled_at_the_deadline_of_the_run(
    madspark_router: Make, madspark_simulator: Simulator
) -> None:
    ended = asyncio.Event()

    async def gate(review: StageReview) -> Decision:
        if review.stage == "evaluation":
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
        return None

    result = await run(madspark_router, madspark_simulator, "batch", gate, timeout=1.0)
    async with asyncio.timeout(5):
        await ended.wait()
    assert (result.cut, len(result.candidates)) == ("deadline", 2)
    assert {candidate.status for candidate in result.candidates} == {"degraded"}
    assert len(model_requests(madspark_simulator)) == 2


async def test_a_run_with_a_gate_does_not_use_the_cache(madspark_router: Make) -> None:
    class Cache:
        reviews = 0

        async def get_cached_workflow(self, *_: object) -> None:
            self.reviews += 1

        async def cache_workflow_result(self, *_: object) -> None:
            self.reviews += 1

    cache, seen = Cache(), list[Candidate]()
    router = madspark_router(primary_provider="ollama")
    coordinator = AsyncCoordinator(cache_manager=cache, router=router)
    result = await coordinator.run(TOPIC, on_stage=lambda review: seen.extend(review.candidates))
    assert (result.status, cache.reviews) == ("ok", 0)
    assert seen
    assert (await coordinator.run(TOPIC)).status == "ok"
    assert cache.reviews == 2
