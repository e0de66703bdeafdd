"""The result of a run: the finished part however it ends, and usage that matches the requests sent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal, assert_type

import pytest

from doubles import BEGINNINGS, NAMES, STAGES, AsyncRouter, evaluation, numbered_ideas, script, skepticism, stages
from madspark import AsyncCoordinator, Budget, Coordinator, LLMRouter
from madspark.core.result import WorkflowResult
from madspark.llm.exceptions import BudgetExceededError, ProviderUnavailableError, WorkflowTimeoutError
from wire import model_requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark.testing import Simulator

    Make = Callable[..., LLMRouter]

TOPIC = "Shade for hot bus stops"
# Each mode, with a provider for which "auto" selects it.
MODES = {"batch": "ollama", "fanout": "gemini"}
# Without the novelty filter, because the names of the doubles' ideas are similar. In batch mode, one call per stage.
ALL_STAGES: dict[str, Any] = {"enhanced_reasoning": True, "enable_novelty_filter": False, "evaluation": "together"}
AGENTS = ["idea_generator", "critic", "advocate", "skeptic", "structured_idea_generator"]


async def run(router: Any, **options: Any) -> WorkflowResult:
    async with asyncio.timeout(10):
        return await AsyncCoordinator(router=router).run(TOPIC, **{**ALL_STAGES, **options})


def check_usage(result: WorkflowResult, router: LLMRouter, simulator: Simulator) -> None:
    """Check that calls, tokens and cost match the requests sent, and are the sums over stages and agents."""
    metrics = router.get_metrics()
    assert result.calls == len(model_requests(simulator))
    assert result.tokens == metrics["total_tokens"] == sum(result.spent.usage.model_dump().values())
    if result.cost is not None:
        assert result.cost == pytest.approx(metrics["total_cost"])
    for parts in (result.stages, result.agents):
        spent = [part.spent for part in parts]
        assert sum(part.calls for part in spent) == result.calls
        assert sum(part.tokens for part in spent) == result.tokens
        if result.cost is not None:
            assert sum(part.cost or 0.0 for part in spent) == pytest.approx(result.cost)


@pytest.mark.parametrize("mode", MODES)
async def test_a_complete_run(mode: str, madspark_router: Make, madspark_simulator: Simulator) -> None:
    madspark_simulator.on(prompt_tokens=1000)
    router = madspark_router(primary_provider=MODES[mode], fallback_enabled=False)
    result = await run(router, num_top_candidates=3)
    assert_type(result, WorkflowResult)
    assert (result.status, result.partial, result.cut, result.mode, result.cached) == ("ok", False, None, mode, False)
    assert [stage.stage for stage in result.stages] == STAGES
    assert {stage.status for stage in result.stages} == {"ok"}
    assert [stage.ideas_ok for stage in result.stages] == [5, 5, 3, 3, 3, 3]
    calls = {"batch": [1, 1, 1, 1, 1, 1], "fanout": [1, 5, 3, 3, 3, 3]}[mode]
    assert [stage.spent.calls for stage in result.stages] == calls
    assert result.calls <= (9 if mode == "batch" else 18)
    assert [agent.agent for agent in result.agents] == AGENTS
    # The simulator reports the prompt tokens.
    assert result.spent.usage.input == 1000 * result.calls
    assert not result.spent.is_estimated
    check_usage(result, router, madspark_simulator)
    [served] = result.served_by
    assert (served.provider, served.answers) == (MODES[mode], result.calls)
    began = [stage.began for stage in result.stages if stage.began is not None]
    assert began == sorted(began)
    assert len(began) == len(STAGES)
    assert all(0 < stage.seconds <= result.seconds for stage in result.stages)
    for candidate in result.candidates:
        assert [(mark.stage, mark.status) for mark in candidate.stages] == [(stage, "ok") for stage in STAGES]
        assert (candidate.status, candidate.problems) == ("ok", [])


@pytest.mark.parametrize("mode", MODES)
async def test_the_modes_differ_only_in_their_calls(
    mode: Literal["batch", "fanout"], madspark_router: Make, madspark_simulator: Simulator
) -> None:
    script(madspark_simulator, "idea_generation", numbered_ideas(*NAMES))
    coordinator = AsyncCoordinator(router=madspark_router(primary_provider="ollama"))
    results = await coordinator.run_workflow(TOPIC, num_top_candidates=3, mode=mode, **ALL_STAGES)
    assert len(results) == 3
    assert all(result["status"] == "ok" and result["skepticism"] and result["improved_score"] for result in results)
    assert len(model_requests(madspark_simulator)) == (6 if mode == "batch" else 18)


def test_the_synchronous_twin(madspark_router: Make) -> None:
    result = Coordinator(router=madspark_router(primary_provider="ollama")).run(TOPIC, evaluation="together")
    assert (result.status, result.calls) == ("ok", 4)
    assert result.to_dicts() == Coordinator(router=madspark_router(primary_provider="ollama")).run_workflow(TOPIC)


@pytest.mark.parametrize("mode", MODES)
async def test_repairs_and_fallbacks_are_calls(mode: str, madspark_router: Make, madspark_simulator: Simulator) -> None:
    other = {"ollama": "gemini", "gemini": "ollama"}[MODES[mode]]
    madspark_simulator.on(MODES[mode], contains=BEGINNINGS["idea_generation"], status=503, times=1)
    madspark_simulator.on(contains=BEGINNINGS["advocacy"], json=[{"idea_index": "none"}], times=1)
    router = madspark_router(primary_provider=MODES[mode], fallback_enabled=True)
    result = await run(router)
    assert result.status == "ok"
    assert result.stage("idea_generation").spent.calls == 2
    assert [one.provider for one in result.stage("idea_generation").served_by] == [other]
    assert result.stage("advocacy").spent.calls == (2 if mode == "batch" else 3)
    check_usage(result, router, madspark_simulator)
    with pytest.raises(KeyError):
        result.stage("tea")


async def test_a_local_server_evaluates_one_idea_at_a_time(
    madspark_router: Make, madspark_simulator: Simulator
) -> None:
    script(madspark_simulator, "idea_generation", numbered_ideas(*NAMES))
    for at, name in enumerate(NAMES):
        madspark_simulator.on(contains=f"<idea>\n{name} shelter", json=evaluation(9 - at, name), times=1)
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    result = await run(router, evaluation="auto", max_output_tokens=900, stage_timeouts={"evaluation": None})
    assert (result.status, result.mode) == ("ok", "batch")
    assert [stage.spent.calls for stage in result.stages] == [1, 5, 1, 1, 1, 2]
    assert [candidate.initial_score for candidate in result.candidates] == [9, 8]
    requests = model_requests(madspark_simulator)
    assert {request.json["options"]["num_predict"] for request in requests} == {900}
    assert set(requests[1].schema["properties"]) == {"score", "comment"}


async def test_a_request_ended_by_the_deadline_is_a_call(madspark_router: Make, madspark_simulator: Simulator) -> None:
    madspark_simulator.on(contains=BEGINNINGS["improvement"], fault="stall")
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    result = await run(router, timeout=1.0)
    assert (result.status, result.partial, result.cut) == ("degraded", True, "deadline")
    assert result.calls == len(model_requests(madspark_simulator)) == 5
    assert (result.stage("improvement").spent.calls, result.stage("improvement").status) == (1, "failed")
    assert result.spent.is_estimated
    check_usage(result, router, madspark_simulator)
    for candidate in result.candidates:
        assert candidate.skepticism
        assert candidate.problems[0].stage == "improvement"


async def test_the_calls_of_a_custom_router_are_its_answers() -> None:
    router = AsyncRouter()
    result = await run(router)
    assert (result.mode, result.calls, result.tokens) == ("batch", 6, 42)
    assert result.cost is None
    assert [(one.provider, one.answers) for one in result.served_by] == [("own", 6)]


def kill_one(simulator: Simulator, mode: str) -> None:
    """Make every attempt of the skeptic fail for Bramble."""
    script(simulator, "idea_generation", numbered_ideas(*NAMES))
    if mode == "batch":
        others = [{"idea_index": at, **skepticism(NAMES[at])} for at in range(5)]
        best_first = [{"idea_index": at, **evaluation(9 - at, NAMES[at])} for at in range(5)]
        script(simulator, "evaluation", best_first)
        script(simulator, "skepticism", [one for one in others if one["idea_index"] != 1])
        simulator.on(contains=BEGINNINGS["skepticism"], status=503)
    else:
        # Only in the skeptic's prompt does the advocacy follow the idea.
        simulator.on(contains="The whole of Bramble shelter\n</idea>\n<advocacy>", status=503)


@pytest.mark.parametrize("mode", MODES)
async def test_a_stage_that_fails_for_one_of_five_ideas(
    mode: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    kill_one(madspark_simulator, mode)
    router = madspark_router(primary_provider=MODES[mode], fallback_enabled=False, max_attempts=1)
    result = await run(router, num_top_candidates=5)
    assert (result.status, result.partial, len(result.candidates)) == ("degraded", False, 5)
    [marked] = [candidate for candidate in result.candidates if candidate.status != "ok"]
    assert marked.idea.startswith("Bramble")
    assert [problem.stage for problem in marked.problems] == ["skepticism"]
    assert "503" in marked.problems[0].reason
    assert [mark.stage for mark in marked.stages if mark.status == "failed"] == ["skepticism"]
    assert marked.improved_score is not None
    for whole in result.candidates:
        if whole is not marked:
            assert whole.skepticism
            assert whole.improved_score is not None
            assert {mark.status for mark in whole.stages} == {"ok"}
    stage = result.stage("skepticism")
    assert (stage.status, stage.ideas_ok, stage.ideas_failed) == ("degraded", 4, 1)
    assert "503" in (stage.reason or "")
    check_usage(result, router, madspark_simulator)


async def test_a_timeout_before_the_selection_returns_every_idea(
    madspark_router: Make, madspark_simulator: Simulator
) -> None:
    script(madspark_simulator, "idea_generation", numbered_ideas(*NAMES))
    madspark_simulator.on(contains=BEGINNINGS["evaluation"], fault="stall")
    result = await run(madspark_router(primary_provider="ollama"), timeout=1.0)
    assert (result.status, result.partial, result.cut) == ("failed", True, "deadline")
    assert [candidate.idea.split()[0] for candidate in result.candidates] == NAMES
    assert [stage.status for stage in result.stages] == ["ok", "failed", *["skipped"] * 4]
    for candidate in result.candidates:
        assert candidate.problems
        assert [mark.status for mark in candidate.stages] == ["ok", "failed", *["skipped"] * 4]


async def test_a_failed_generation_raises(madspark_router: Make, madspark_simulator: Simulator) -> None:
    madspark_simulator.on(fault="stall", times=1)
    with pytest.raises(WorkflowTimeoutError):
        await run(madspark_router(primary_provider="ollama", fallback_enabled=False), timeout=0.5)
    madspark_simulator.on(status=503)
    with pytest.raises(ProviderUnavailableError):
        await run(madspark_router(primary_provider="ollama", fallback_enabled=False, max_attempts=1))
    with pytest.raises(BudgetExceededError):
        await run(madspark_router(primary_provider="ollama", budget=Budget(max_calls=0)))


@pytest.mark.parametrize("mode", MODES)
async def test_a_reached_budget_returns_the_finished_part(
    mode: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    calls = 4 if mode == "batch" else 9
    router = madspark_router(primary_provider=MODES[mode], budget=Budget(max_calls=calls), fallback_enabled=False)
    result = await run(router)
    assert (result.status, result.partial, result.cut, result.calls) == ("degraded", True, "budget", calls)
    check_usage(result, router, madspark_simulator)
    assert all(candidate.initial_score is not None for candidate in result.candidates)
    assert {candidate.status for candidate in result.candidates} == {"degraded"}
    assert "budget" in (result.reason or "")


@pytest.mark.parametrize("mode", MODES)
async def test_the_finished_part_survives_cancellation(
    mode: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    """The awaiting task is cancelled as usual; the run keeps its finished part."""
    madspark_simulator.on(contains=BEGINNINGS["improvement"], fault="stall")
    stalled = 1 if mode == "batch" else 2
    coordinator = AsyncCoordinator(router=madspark_router(primary_provider=MODES[mode], fallback_enabled=False))
    async with await coordinator.start(TOPIC, **ALL_STAGES) as started:
        waiting = asyncio.create_task(started.result())
        answered = 4 if mode == "batch" else 10
        assert await madspark_simulator.await_requests(answered + stalled)
        assert (started.snapshot().partial, started.snapshot().cut) == (True, "running")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert madspark_simulator.in_flight == stalled
        started.cancel()
        result = await started.result()
    assert await madspark_simulator.await_hang_ups(stalled)
    assert madspark_simulator.in_flight == 0
    assert (result.status, result.partial, result.cut) == ("degraded", True, "cancelled")
    assert [stage.status for stage in result.stages] == ["ok"] * 4 + ["failed", "skipped"]
    for candidate in result.candidates:
        assert candidate.skepticism
        assert [problem.stage for problem in candidate.problems] == ["improvement", "re_evaluation"]
        assert "cancelled" in candidate.problems[0].reason
    assert started.snapshot() == result == await started.result()


@pytest.mark.parametrize("mode", MODES)
async def test_dropping_a_run_closes_every_connection(
    mode: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    script(madspark_simulator, "idea_generation", numbered_ideas(*NAMES))
    madspark_simulator.on(fault="stall")
    coordinator = AsyncCoordinator(router=madspark_router(primary_provider=MODES[mode], fallback_enabled=False))
    calls = 1 if mode == "batch" else 5
    started = await coordinator.start(TOPIC, **ALL_STAGES)
    assert await madspark_simulator.await_requests(1 + calls)
    del started
    assert await madspark_simulator.await_hang_ups(calls)
    task = asyncio.create_task(coordinator.run(TOPIC))
    assert await madspark_simulator.await_requests(2 + calls)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await madspark_simulator.await_hang_ups(calls + 1)
    assert madspark_simulator.in_flight == 0


async def test_an_idea_does_not_wait_for_the_others(madspark_router: Make, madspark_simulator: Simulator) -> None:
    script(madspark_simulator, "idea_generation", numbered_ideas(*NAMES))
    # The skeptic never answers for Amber; meanwhile the others are improved and scored again.
    madspark_simulator.on(contains="The whole of Amber shelter\n</idea>\n<advocacy>", fault="stall")
    router = madspark_router(primary_provider="gemini", fallback_enabled=False)
    coordinator = AsyncCoordinator(router=router)
    async with asyncio.timeout(10), await coordinator.start(TOPIC, num_top_candidates=5, **ALL_STAGES) as started:
        done = 0
        async for event in started:
            done += event.type == "idea_scored" and event.stage == "re_evaluation"
            if done == 4:
                break
        snapshot = started.snapshot()
    assert stages(model_requests(madspark_simulator)).count("improvement") == 4
    amber = next(candidate for candidate in snapshot.candidates if candidate.idea.startswith("Amber"))
    assert (amber.advocacy is not None, amber.skepticism, amber.improved_idea) == (True, None, None)


async def test_ideas_are_evaluated_while_later_ones_are_streamed(
    madspark_router: Make, madspark_simulator: Simulator
) -> None:
    ideas = numbered_ideas(*NAMES)
    ideas[4]["description"] = "A very long one " * 100
    script(madspark_simulator, "idea_generation", ideas)
    # The last idea takes four seconds.
    madspark_simulator.set_tokens_per_second(100)
    madspark_simulator.on(contains=BEGINNINGS["evaluation"], tokens_per_second=100_000)
    router = madspark_router(primary_provider="gemini", fallback_enabled=False)
    async with await AsyncCoordinator(router=router).start(TOPIC, **ALL_STAGES) as started:
        scored = 0
        async with asyncio.timeout(10):
            async for event in started:
                scored += event.type == "idea_scored"
                if scored == 4:
                    break
        writing = model_requests(madspark_simulator)[0]
        assert (writing.finished, len(model_requests(madspark_simulator))) == (None, 5)
        snapshot = started.snapshot()
        assert [candidate.initial_score is not None for candidate in snapshot.candidates] == [True] * 4
    assert await madspark_simulator.await_hang_ups(1)


async def test_a_broken_stream_is_restarted(madspark_router: Make, madspark_simulator: Simulator) -> None:
    madspark_simulator.on(
        contains=BEGINNINGS["idea_generation"], json=numbered_ideas(*NAMES), fault="truncate", times=1
    )
    script(madspark_simulator, "idea_generation", numbered_ideas("Fern", "Gravel", "Amber", "Hazel", "Iris"))
    router = madspark_router(primary_provider="gemini", fallback_enabled=False)
    result = await run(router, num_top_candidates=5)
    assert result.status == "ok"
    assert sorted(candidate.idea.split()[0] for candidate in result.candidates) == [
        "Amber", "Fern", "Gravel", "Hazel", "Iris",
    ]  # fmt: skip
    assert result.stage("idea_generation").spent.calls == 2
    check_usage(result, router, madspark_simulator)


@pytest.mark.parametrize(
    ("choices", "mode"),
    [
        ({"primary_provider": "ollama"}, "batch"),
        ({"primary_provider": "gemini"}, "fanout"),
        ({"primary_provider": "anthropic"}, "fanout"),
        # The simulator is on this machine, like LM Studio.
        ({"primary_provider": "openai"}, "batch"),
        ({"primary_provider": "auto"}, "batch"),
        ({"primary_provider": "auto", "model_tier": "quality"}, "fanout"),
        ({"primary_provider": "mock"}, "batch"),
    ],
)
async def test_auto_mode_depends_on_the_first_provider(
    choices: dict[str, Any], mode: str, madspark_router: Make
) -> None:
    assert (await run(madspark_router(**choices))).mode == mode


async def test_auto_mode_uses_batches_for_a_provider_limited_to_one_request(madspark_router: Make) -> None:
    from madspark import Limits

    router = madspark_router(primary_provider="gemini", limits={"gemini": Limits(concurrent=1)})
    assert (await run(router)).mode == "batch"
    assert (await run(router, mode="fanout")).mode == "fanout"
    # A configured concurrency selects fan-out.
    router = madspark_router(primary_provider="ollama", limits={"ollama": Limits(concurrent=4)})
    assert (await run(router)).mode == "fanout"


async def test_a_fanout_run_respects_the_concurrency_limit(
    madspark_router: Make, madspark_simulator: Simulator
) -> None:
    madspark_simulator.set_latency(0.02)
    router = madspark_router(primary_provider="gemini")
    result = await AsyncCoordinator(2, router=router).run(TOPIC, num_top_candidates=5)
    assert (result.status, result.mode) == ("ok", "fanout")
    assert madspark_simulator.max_in_flight == 2


async def test_large_batches_are_split_by_their_tokens(madspark_router: Make, madspark_simulator: Simulator) -> None:
    ideas = numbered_ideas(*NAMES)
    for idea in ideas:
        # About 300 tokens each.
        idea["description"] = f"{idea['title']} " + "word " * 236
    script(madspark_simulator, "idea_generation", ideas)
    router = madspark_router(primary_provider="ollama")
    result = await run(router, batch_tokens=700, enhanced_reasoning=False, num_top_candidates=1)
    assert result.status == "ok"
    # Two, two and one.
    evaluations = model_requests(madspark_simulator)[1:4]
    assert result.stage("evaluation").spent.calls == 3
    assert sorted(len(request.prompt.split("idea_index: ")) - 1 for request in evaluations) == [1, 2, 2]
    check_usage(result, router, madspark_simulator)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"tea": 1}, TypeError),
        ({"mode": "fast"}, ValueError),
        ({"on_stage": 3}, TypeError),
        ({"num_top_candidates": 9}, ValueError),
        ({"batch_tokens": -1}, ValueError),
    ],
)
async def test_invalid_options_send_nothing(
    options: dict[str, Any], error: type[Exception], madspark_router: Make, madspark_simulator: Simulator
) -> None:
    coordinator = AsyncCoordinator(router=madspark_router())
    with pytest.raises(error):
        await coordinator.run(TOPIC, **options)
    with pytest.raises(error):
        await coordinator.start(TOPIC, **options)
    for wrong in ({"buffer": 0}, {"patience": 0.0}):
        with pytest.raises(ValueError, match="must be"):
            await coordinator.start(TOPIC, **wrong)
    assert madspark_simulator.requests == []
