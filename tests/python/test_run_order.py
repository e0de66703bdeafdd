"""The final version of each idea, and the order of a result by its score."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import pytest

from doubles import BEGINNINGS, NAMES, dimensions, evaluation, improvement, numbered_ideas, script
from madspark import AsyncCoordinator, Coordinator, LLMRouter
from madspark.core.coordinator import run_multistep_workflow
from madspark.core.coordinator_batch import run_multistep_workflow_batch
from madspark.core.events import IdeaImproved, IdeaScored, RunFinished
from madspark.core.result import Candidate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from madspark.core.gate import StageReview
    from madspark.testing import Simulator

    Make = Callable[..., LLMRouter]

TOPIC = "Shade for hot bus stops"
# The initial and the improved score of each idea.
SCORES = [(8.7, 4.9), (7.0, 9.1), (6.0, 6.0), (5.0, 6.1), (4.0, 3.9)]
BY_FINAL_SCORE = ["Bramble", "Amber", "Drizzle", "Copper", "Ember"]
ALL: dict[str, Any] = {"num_top_candidates": 5, "enable_novelty_filter": False}


def rate(simulator: Simulator, scores: Sequence[tuple[float, float]] = SCORES) -> None:
    """Script a run with one call per stage."""
    script(simulator, "idea_generation", numbered_ideas(*NAMES))
    selected = sorted(range(len(scores)), key=lambda at: -scores[at][0])
    script(simulator, "evaluation", items([evaluation(initial, NAMES[at]) for at, (initial, _) in enumerate(scores)]))
    script(simulator, "improvement", items([improvement(NAMES[at]) for at in selected]))
    script(simulator, "evaluation", items([evaluation(scores[at][1], NAMES[at]) for at in selected]))


def rate_each(simulator: Simulator) -> None:
    """Script a run with one call per stage and idea."""
    script(simulator, "idea_generation", numbered_ideas(*NAMES))
    for name, (initial, improved) in zip(NAMES, SCORES, strict=True):
        simulator.on(contains=f"<idea>\n{name} shelter", times=1, json=evaluation(initial, name))
        simulator.on(contains=f"<idea>\n{name} shelter", times=1, json=improvement(name))
        simulator.on(contains=f"<idea>\nBetter {name}", times=1, json=evaluation(improved, name))


def items(replies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"idea_index": at, **reply} for at, reply in enumerate(replies)]


def names(results: Sequence[Candidate | dict[str, Any]]) -> list[str]:
    ideas = [result.idea if isinstance(result, Candidate) else result["idea"] for result in results]
    return [idea.split()[0] for idea in ideas]


def coordinator(make: Make) -> AsyncCoordinator:
    return AsyncCoordinator(router=make(primary_provider="ollama", fallback_enabled=False))


@pytest.mark.parametrize("mode", ["batch", "fanout"])
async def test_an_improvement_that_scores_lower_is_not_kept(
    mode: Any, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    (rate if mode == "batch" else rate_each)(madspark_simulator)
    events = coordinator(madspark_router).events(TOPIC, **ALL, mode=mode, evaluation=None)
    seen = [event async for event in events]
    result = await events.result()
    assert (result.status, names(result.candidates)) == ("ok", BY_FINAL_SCORE)
    by_name = dict(zip(names(result.candidates), result.candidates, strict=True))
    kept = {name: candidate.improvement_kept for name, candidate in by_name.items()}
    assert kept == {"Amber": False, "Bramble": True, "Copper": True, "Drizzle": True, "Ember": False}
    for name, candidate in by_name.items():
        # The facts are those of both versions, whichever is final.
        initial, improved = SCORES[NAMES.index(name)]
        assert (candidate.initial_score, candidate.improved_score) == (initial, improved)
        assert candidate.score_delta == pytest.approx(improved - initial)
        assert candidate.improved_idea == f"Better {name}: All that {name} can become"
        assert candidate.improved_critique
        assert candidate.final_idea == (candidate.improved_idea if kept[name] else candidate.idea)
        assert candidate.final_score == max(initial, improved)

    assert len([event for event in seen if isinstance(event, IdeaImproved)]) == 5
    scored = [event for event in seen if isinstance(event, IdeaScored)]
    reported = {NAMES[event.idea_index]: event.improvement_kept for event in scored if event.stage == "re_evaluation"}
    assert reported == kept
    assert {event.improvement_kept for event in scored if event.stage == "evaluation"} == {None}
    assert isinstance(seen[-1], RunFinished)
    assert [NAMES[at] for at in seen[-1].idea_indices] == BY_FINAL_SCORE


async def test_the_order_by_initial_score_is_an_option(madspark_router: Make, madspark_simulator: Simulator) -> None:
    rate(madspark_simulator)
    result = await coordinator(madspark_router).run(TOPIC, **ALL, mode="batch", order="initial")
    assert names(result.candidates) == NAMES
    assert [candidate.improvement_kept for candidate in result.candidates] == [False, True, True, True, False]
    assert [candidate.final_score for candidate in result.candidates] == [8.7, 9.1, 6.0, 6.1, 4.0]


async def test_every_entry_point_has_the_order(madspark_router: Make, madspark_simulator: Simulator) -> None:
    def workflow(**options: Any) -> list[dict[str, Any]]:
        router = madspark_router(primary_provider="ollama", fallback_enabled=False)
        return Coordinator(router=router).run_workflow(TOPIC, **ALL, **options)

    def run(**options: Any) -> list[dict[str, Any]]:
        router = madspark_router(primary_provider="ollama", fallback_enabled=False)
        return Coordinator(router=router).run(TOPIC, **ALL, mode="batch", **options).to_dicts()

    def multistep(**options: Any) -> list[dict[str, Any]]:
        router = madspark_router(primary_provider="ollama", fallback_enabled=False)
        return run_multistep_workflow(TOPIC, router=router, **ALL, **options)

    def batch(**options: Any) -> list[dict[str, Any]]:
        router = madspark_router(primary_provider="ollama", fallback_enabled=False)
        return run_multistep_workflow_batch(TOPIC, router=router, **ALL, **options)

    results = []
    for entry, (options, expected) in itertools.product(
        [workflow, run, multistep, batch],
        [({}, BY_FINAL_SCORE), ({"order": "final"}, BY_FINAL_SCORE), ({"order": "initial"}, NAMES)],
    ):
        madspark_simulator.clear_rules()
        rate(madspark_simulator)
        dicts = await asyncio.to_thread(entry, **options)
        assert names(dicts) == expected
        results.append(dicts)
    assert results[0] == results[3] == results[6] == results[9]
    assert results[0][1]["final_idea"] == results[0][1]["idea"]
    with pytest.raises(ValueError, match=r"best.*final.*initial"):
        await asyncio.to_thread(run, order="best")


async def test_the_selection_is_by_the_initial_score(madspark_router: Make, madspark_simulator: Simulator) -> None:
    rate(madspark_simulator, [(8.7, 4.9), (7.0, 9.1), (6.0, 6.0), (5.0, 6.1), (4.0, 9.9)])
    options: dict[str, Any] = {**ALL, "num_top_candidates": 3}
    result = await coordinator(madspark_router).run(TOPIC, **options, mode="batch")
    assert names(result.candidates) == ["Bramble", "Amber", "Copper"]


async def test_equal_scores_keep_the_improvement_and_the_order_of_the_ideas(
    madspark_router: Make, madspark_simulator: Simulator
) -> None:
    # The final scores: 7, 7, 8, 7, 8.
    rate(madspark_simulator, [(5.0, 7.0), (7.0, 7.0), (6.0, 8.0), (7.0, 2.0), (8.0, 8.0)])
    result = await coordinator(madspark_router).run(TOPIC, **ALL, mode="batch")
    assert names(result.candidates) == ["Copper", "Ember", "Amber", "Bramble", "Drizzle"]
    assert [candidate.improvement_kept for candidate in result.candidates] == [True, True, True, True, False]


async def test_an_improvement_without_a_score_is_not_final(
    madspark_router: Make, madspark_simulator: Simulator
) -> None:
    """Its text is in the result, but nothing shows that it is better."""
    script(madspark_simulator, "idea_generation", numbered_ideas(*NAMES))
    script(madspark_simulator, "evaluation", items([evaluation(initial, "it") for initial, _ in SCORES]))
    script(madspark_simulator, "improvement", items([improvement(name) for name in NAMES]))
    madspark_simulator.on(contains=BEGINNINGS["evaluation"], fault="stall")
    result = await coordinator(madspark_router).run(TOPIC, **ALL, mode="batch", timeout=1.0)
    assert (result.partial, result.cut, names(result.candidates)) == (True, "deadline", NAMES)
    for candidate in result.candidates:
        assert candidate.improved_idea
        assert (candidate.improvement_kept, candidate.improved_score) == (None, None)
        assert (candidate.final_idea, candidate.final_score) == (candidate.idea, candidate.initial_score)


@pytest.mark.parametrize("stage", ["evaluation", "improvement"])
async def test_a_missing_score_leaves_nothing_to_compare(
    stage: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    script(madspark_simulator, "idea_generation", numbered_ideas(*NAMES))
    rated = items([evaluation(initial, NAMES[at]) for at, (initial, _) in enumerate(SCORES)])
    improved = items([improvement(name) for name in NAMES])
    if stage == "evaluation":
        # Amber has no score, so it is the last of the selected ideas.
        script(madspark_simulator, "evaluation", rated[1:], [{"idea_index": 9}])
        improved = items([improvement(name) for name in [*NAMES[1:], NAMES[0]]])
        script(madspark_simulator, "improvement", improved)
        script(madspark_simulator, "evaluation", items([evaluation(7.5, "it") for _ in NAMES]))
    else:
        script(madspark_simulator, "evaluation", rated)
        script(madspark_simulator, "improvement", improved[1:], [{"idea_index": 9}])
        script(madspark_simulator, "evaluation", items([evaluation(7.5, "it") for _ in NAMES[1:]]))
    router = madspark_router(primary_provider="ollama", fallback_enabled=False, max_attempts=1)
    result = await AsyncCoordinator(router=router).run(TOPIC, **ALL, mode="batch")
    assert result.status == "degraded"
    [amber] = [candidate for candidate in result.candidates if candidate.idea.startswith("Amber")]
    assert amber.improvement_kept is None
    if stage == "evaluation":
        assert (amber.initial_score, amber.final_idea, amber.final_score) == (None, amber.improved_idea, 7.5)
        assert names(result.candidates)[0] == "Amber"
    else:
        assert (amber.improved_idea, amber.final_idea, amber.final_score) == (None, amber.idea, 8.7)
    assert [candidate.improvement_kept for candidate in result.candidates if candidate is not amber] == [True] * 4


async def test_the_critic_decides_and_not_the_rating(madspark_router: Make, madspark_simulator: Simulator) -> None:
    rate(madspark_simulator, [(8.0, 7.0), (7.0, 7.5), (3.0, 3.0), (2.0, 2.0), (1.0, 1.0)])
    script(
        madspark_simulator,
        "multi_dimensional",
        items([dimensions(2.0, "Amber"), dimensions(9.0, "Bramble")]),
        items([dimensions(9.0, "Amber"), dimensions(2.0, "Bramble")]),
    )
    result = await coordinator(madspark_router).run(
        TOPIC, num_top_candidates=2, enable_novelty_filter=False, mode="batch", multi_dimensional_eval=True
    )
    assert result.status == "ok"
    assert names(result.candidates) == ["Amber", "Bramble"]
    assert [candidate.improvement_kept for candidate in result.candidates] == [False, True]
    assert [candidate.final_score for candidate in result.candidates] == [8.0, 7.5]


async def test_an_edit_of_a_gate_decides_again(madspark_router: Make, madspark_simulator: Simulator) -> None:
    rate(madspark_simulator)

    def gate(review: StageReview) -> list[Candidate] | None:
        if review.stage != "re_evaluation":
            return None
        edited = {candidate.idea.split()[0]: candidate for candidate in review.candidates}
        assert [edited["Amber"].improvement_kept, edited["Bramble"].improvement_kept] == [False, True]
        edited["Amber"].improved_score = 9.5
        edited["Bramble"].improved_score = None
        edited["Copper"].improved_idea = None
        return review.candidates

    result = await coordinator(madspark_router).run(TOPIC, **ALL, mode="batch", on_stage=gate)
    found = [
        (name, one.improvement_kept, one.final_score)
        for name, one in zip(names(result.candidates), result.candidates, strict=True)
    ]
    assert found == [
        ("Amber", True, 9.5),
        ("Bramble", None, 7.0),
        ("Drizzle", True, 6.1),
        ("Copper", None, 6.0),
        ("Ember", False, 4.0),
    ]
    assert [one.final_idea == one.idea for one in result.candidates] == [False, True, False, True, True]


async def test_snapshots_and_cancelled_runs_have_the_order(
    madspark_router: Make, madspark_simulator: Simulator
) -> None:
    rate(madspark_simulator)
    # The second ratings never come.
    script(madspark_simulator, "multi_dimensional", items([dimensions(5.0, name) for name in NAMES]))
    madspark_simulator.on(contains="Rate each idea", fault="stall")
    run = await coordinator(madspark_router).start(TOPIC, **ALL, mode="batch", multi_dimensional_eval=True)
    async with asyncio.timeout(10), run:
        async for event in run.events():
            if event.type == "stage_started" and event.stage == "re_multi_dimensional":
                break
        assert names(run.snapshot().candidates) == BY_FINAL_SCORE
        run.cancel()
        result = await run.result()
    assert (result.cut, names(result.candidates)) == ("cancelled", BY_FINAL_SCORE)
    assert [one.improvement_kept for one in result.candidates] == [True, False, True, True, False]


class Cache:
    """A workflow cache that keeps every result."""

    def __init__(self) -> None:
        self.kept: list[tuple[Any, Any]] = []

    async def get_cached_workflow(self, *key: Any) -> Any:
        return next((result for known, result in self.kept if known == key), None)

    async def cache_workflow_result(self, *key_and_result: Any) -> None:
        *key, result = key_and_result
        self.kept.append((tuple(key), result))


async def test_cached_results_keep_their_order(madspark_router: Make, madspark_simulator: Simulator) -> None:
    cache = Cache()
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    cached = AsyncCoordinator(router=router, cache_manager=cache)
    for order, expected in [("final", BY_FINAL_SCORE), ("initial", NAMES)]:
        options: dict[str, Any] = {**ALL, "mode": "batch", "order": order}
        rate(madspark_simulator)
        first = await cached.run(TOPIC, **options)
        madspark_simulator.clear()
        again = await cached.run(TOPIC, **options)
        assert (first.cached, again.cached, madspark_simulator.requests) == (False, True, [])
        assert names(first.candidates) == names(again.candidates) == expected
        assert first.to_dicts() == again.to_dicts()
        events = [event async for event in cached.events(TOPIC, **options)]
        assert isinstance(events[-1], RunFinished)
        assert events[-1].idea_indices == [candidate.idea_index for candidate in again.candidates]
    assert len(cache.kept) == 2


def test_a_candidate_made_by_hand_ends_with_its_idea() -> None:
    assert Candidate(idea_index=0, idea="An awning", text="An awning").final_idea == "An awning"
