"""Replies are matched to ideas by `idea_index`, whatever their order, count and numbering."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from doubles import (
    NAMES,
    advocacy,
    evaluation,
    improvement,
    labels,
    numbered_ideas,
    script,
    skepticism,
    stage_of,
    titles,
)
from madspark import AsyncCoordinator, LLMRouter

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark.testing import RecordedRequest, Simulator

    Make = Callable[..., LLMRouter]
    Items = list[dict[str, Any]]

STAGES = ["evaluation", "advocacy", "skepticism", "improvement", "re_evaluation"]

MAKE: dict[str, Callable[[int], dict[str, Any]]] = {
    "evaluation": lambda at: evaluation(9.5 - at, NAMES[at]),
    "advocacy": lambda at: advocacy(NAMES[at]),
    "skepticism": lambda at: skepticism(NAMES[at]),
    "improvement": lambda at: improvement(NAMES[at]),
    "re_evaluation": lambda at: evaluation(1.5 + at, NAMES[at]),
}
FIELD = {
    "evaluation": "initial_critique",
    "advocacy": "advocacy",
    "skepticism": "skepticism",
    "improvement": "improved_idea",
    "re_evaluation": "improved_critique",
}


def items(stage: str, *which: int) -> Items:
    return [{"idea_index": at, **MAKE[stage](at)} for at in which or range(5)]


def shifted(stage: str) -> Items:
    return [{**item, "idea_index": item["idea_index"] + 1} for item in reversed(items(stage))]


def over_long(stage: str) -> Items:
    strangers = [{**MAKE[stage](0), "idea_index": at} for at in (5, 8, -1, 99)]
    return [*strangers[:2], *items(stage), *strangers[2:], MAKE[stage](0)]


def as_text(stage: str) -> Items:
    written = ["0", " 1 ", "2.0", 3.0, 4]
    return [{**item, "idea_index": written[item["idea_index"]]} for item in reversed(items(stage))]


def keyed(stage: str) -> dict[str, Any]:
    return {f"idea_{at}": MAKE[stage](at) for at in (3, 0, 4, 1, 2)}


WHOLE: dict[str, Callable[[str], Any]] = {
    "keyed": keyed,
    "keyed by number": lambda stage: {str(at): MAKE[stage](at) for at in range(5)},
    "keyed from one": lambda stage: {f"Idea {at + 1}": MAKE[stage](at) for at in range(5)},
    "reversed": lambda stage: items(stage)[::-1],
    "counted from one": shifted,
    "duplicated": lambda stage: [*items(stage, 3, 1, 4), *items(stage)],
    "over-long": over_long,
    "numbers as text": as_text,
    "wrapped": lambda stage: {"results": items(stage, 2, 0, 4, 1, 3)},
}

# A reply, and the ideas it has no reliable item for.
PARTIAL: dict[str, tuple[Callable[[str], Any], list[int]]] = {
    "short": (lambda stage: items(stage, 4, 2, 0), [1, 3]),
    "two for one": (lambda stage: [*items(stage), {**MAKE[stage](2), "idea_index": 1}], [1]),
    "empty items": (lambda stage: [{"idea_index": 0}, *items(stage, 2, 1), {"idea_index": 4}], [0, 3, 4]),
    "keys missing": (lambda stage: {f"idea_{at}": MAKE[stage](at) for at in (0, 3)}, [1, 2, 4]),
    "no numbers": (lambda stage: [*items(stage, 0, 1, 2, 3), MAKE[stage](4)], [4]),
}


async def run(make: Make, simulator: Simulator, stage: str, *replies: Any) -> Items:
    """Run with five ideas in the order of their scores, and `replies` for one stage."""
    script(simulator, "idea_generation", numbered_ideas(*NAMES))
    for each in STAGES:
        call = "evaluation" if each == "re_evaluation" else each
        script(simulator, call, *(replies if each == stage else [items(each)]))
    coordinator = AsyncCoordinator(router=make(primary_provider="ollama", fallback_enabled=False))
    async with asyncio.timeout(10):
        return await coordinator.run_workflow(
            "Shade for hot bus stops", num_top_candidates=5, enable_novelty_filter=False, enhanced_reasoning=True
        )


def check_own(results: Items, stage: str, without: str | None = None) -> None:
    """Each idea has its own text and score."""
    for result in results:
        [at] = [at for at, name in enumerate(NAMES) if result["idea"].startswith(name)]
        text = result[FIELD[stage]]
        if NAMES[at] == without:
            assert text is None
            continue
        assert [name for name in NAMES if name in text] == [NAMES[at]]
        if stage == "evaluation":
            assert result["initial_score"] == 9.5 - at
        if stage == "re_evaluation":
            assert result["improved_score"] == 1.5 + at
            assert result["score_delta"] == pytest.approx(1.5 + at - (9.5 - at))


def calls_of(simulator: Simulator, stage: str) -> list[RecordedRequest]:
    """Return the requests of a stage; evaluation and re-evaluation are distinguished by the words of their ideas."""
    return [request for request in simulator.requests if stage_of(request.prompt) == stage]


@pytest.mark.parametrize("form", WHOLE)
@pytest.mark.parametrize("stage", STAGES)
async def test_a_complete_reply_in_any_form(
    stage: str, form: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    results = await run(madspark_router, madspark_simulator, stage, WHOLE[form](stage))
    assert [result["status"] for result in results] == ["ok"] * 5
    check_own(results, stage)
    assert len(madspark_simulator.requests) == 6


@pytest.mark.parametrize("form", PARTIAL)
@pytest.mark.parametrize("stage", STAGES)
async def test_only_missing_items_are_requested_again(
    stage: str, form: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    reply, missing = PARTIAL[form]
    again = items(stage, *reversed(missing))
    results = await run(madspark_router, madspark_simulator, stage, reply(stage), again)
    assert [result["status"] for result in results] == ["ok"] * 5
    check_own(results, stage)
    first, second = calls_of(madspark_simulator, stage)
    # Evaluations show the ideas in an order of their own.
    assert sorted(labels(first.prompt)) == [0, 1, 2, 3, 4]
    assert labels(second.prompt) == missing
    assert titles(second.prompt) == [NAMES[at] for at in missing]
    keys = [f"idea_{at}" for at in missing]
    assert [key for key in second.schema["required"] if key.startswith("idea_")] == (keys if len(keys) > 1 else [])


@pytest.mark.parametrize("stage", STAGES)
async def test_an_item_that_stays_missing_is_reported(
    stage: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    # The second reply repeats a known item and omits the missing one again.
    replies = (items(stage, 0, 1, 3, 4), items(stage, 0, 1))
    results = await run(madspark_router, madspark_simulator, stage, *replies, items(stage, 0))
    check_own(results, stage, without="Copper")
    [copper] = [result for result in results if result["idea"].startswith("Copper")]
    assert copper["status"] == "degraded"
    assert [problem["stage"] for problem in copper["problems"]] == [stage]
    assert copper["problems"][0]["reason"]
    others = [result for result in results if result is not copper]
    assert [(result["status"], result["problems"]) for result in others] == [("ok", [])] * 4
    if stage in {"improvement", "re_evaluation"}:
        for field in ("improved_score", "improved_critique", "score_delta", "is_meaningful_improvement"):
            assert copper[field] is None
    if stage == "evaluation":
        assert copper["initial_score"] is None
        # It was the last of the selected ideas, and its improvement has a score.
        assert (copper["final_score"], copper["final_idea"]) == (copper["improved_score"], copper["improved_idea"])


async def test_renumbered_items_are_rejected(madspark_router: Make, madspark_simulator: Simulator) -> None:
    # For ideas 1 and 3 alone, a model that counts from zero returns 1 for idea 3.
    renumbered = [{"idea_index": 0, **MAKE["advocacy"](1)}, {"idea_index": 1, **MAKE["advocacy"](3)}]
    replies = (items("advocacy", 0, 2, 4), renumbered, items("advocacy", 1, 3))
    results = await run(madspark_router, madspark_simulator, "advocacy", *replies)
    check_own(results, "advocacy")
    assert "repeat the numbers given" in madspark_simulator.requests[4].body.decode()
