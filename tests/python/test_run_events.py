"""The events of a run: numbered, bounded and readable again."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING

import pytest

from doubles import BEGINNINGS, NAMES, STAGES, numbered_ideas, script
from madspark import AsyncCoordinator, Budget, LLMRouter
from madspark.core.events import (
    AttemptFailed,
    BudgetSpent,
    Event,
    FallbackTaken,
    IdeaGenerated,
    IdeaImproved,
    IdeaScored,
    IdeasSelected,
    RunFinished,
    RunStarted,
    StageFinished,
    StageStarted,
)
from madspark.llm.exceptions import ProviderUnavailableError
from test_run_result import ALL_STAGES, MODES, TOPIC
from wire import model_requests

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from madspark.core.run import WorkflowEvents
    from madspark.testing import Simulator

    Make = Callable[..., LLMRouter]


async def all_of(events: AsyncIterator[Event]) -> list[Event]:
    # Twenty concurrent runs of a debug build take ten seconds on a loaded machine; only a hang takes this long.
    async with asyncio.timeout(60):
        return [event async for event in events]


def check_sequence(events: list[Event]) -> None:
    """Check for numbers without gaps, one run, and progress and time that never decrease."""
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert len({event.run_id for event in events}) == 1
    for values in ([event.fraction for event in events], [event.seconds for event in events]):
        assert values == sorted(values)
    assert (events[0].type, events[-1].type) == ("run_started", "run_finished")


@pytest.mark.parametrize("mode", MODES)
async def test_the_events_of_a_complete_run(mode: str, madspark_router: Make, madspark_simulator: Simulator) -> None:
    script(madspark_simulator, "idea_generation", numbered_ideas(*NAMES))
    coordinator = AsyncCoordinator(router=madspark_router(primary_provider=MODES[mode], fallback_enabled=False))
    reader = coordinator.events(TOPIC, num_top_candidates=3, **ALL_STAGES)
    events = await all_of(reader)
    check_sequence(events)
    first = events[0]
    assert isinstance(first, RunStarted)
    assert (first.mode, first.stages) == (mode, STAGES)
    assert [event.stage for event in events if isinstance(event, StageStarted)] == STAGES
    assert [event.stage for event in events if isinstance(event, StageFinished)] == STAGES
    ideas = [event.idea.split()[0] for event in events if isinstance(event, IdeaGenerated)]
    assert ideas == NAMES
    scored = [(event.stage, event.idea_index) for event in events if isinstance(event, IdeaScored)]
    [selected] = [event.idea_indices for event in events if isinstance(event, IdeasSelected)]
    assert sorted(idea for stage, idea in scored if stage == "evaluation") == [0, 1, 2, 3, 4]
    assert sorted(idea for stage, idea in scored if stage == "re_evaluation") == sorted(selected)
    assert sorted(event.idea_index for event in events if isinstance(event, IdeaImproved)) == sorted(selected)
    result = await reader.result()
    assert sorted(candidate.idea_index for candidate in result.candidates) == sorted(selected)
    assert isinstance(events[-1], RunFinished)
    assert events[-1].idea_indices == [candidate.idea_index for candidate in result.candidates]
    spent = [event.spent for event in events if isinstance(event, BudgetSpent)]
    assert [one.calls for one in spent] == sorted(one.calls for one in spent)
    assert spent[-1] == result.spent
    # The remaining time is unknown until a stage has been measured.
    known = [event.seconds_left is not None for event in events]
    assert known == sorted(known)
    last = events[-1]
    assert isinstance(last, RunFinished)
    assert (last.fraction, last.status, last.partial, last.seconds_left) == (1.0, "ok", False, 0.0)
    assert json.loads(last.to_sse().partition("data: ")[2]) == last.model_dump()
    assert last.to_sse().startswith(f"id: {last.sequence}\nevent: run_finished\ndata: ")
    assert last.to_sse().endswith("}\n\n")


async def test_the_progress_callback_receives_the_events_with_a_message(madspark_router: Make) -> None:
    progress: list[tuple[str, float]] = []
    coordinator = AsyncCoordinator(
        progress_callback=lambda message, fraction: progress.append((message, fraction)),
        router=madspark_router(primary_provider="ollama"),
    )
    await coordinator.run(TOPIC, enhanced_reasoning=True)
    seen, progress[:] = list(progress), []
    events = await all_of(coordinator.events(TOPIC, enhanced_reasoning=True))
    assert seen == [(event.message, event.fraction) for event in events if event.message is not None]
    assert [fraction for _, fraction in seen] == [0.0, 0.1, 0.3, 0.4, 0.6, 0.7, 0.72, 0.78, 0.82, 0.88, 0.9, 1.0]
    assert progress == []


async def test_failures_and_fallbacks_are_events(madspark_router: Make, madspark_simulator: Simulator) -> None:
    madspark_simulator.on("gemini", contains=BEGINNINGS["improvement"], status=429, headers={"retry-after": "9"})
    madspark_simulator.on("ollama", contains=BEGINNINGS["improvement"], json=[{"idea_index": "none"}], times=1)
    router = madspark_router(primary_provider="gemini", fallback_enabled=True)
    events = await all_of(AsyncCoordinator(router=router).events(TOPIC, mode="batch"))
    check_sequence(events)
    failed = [event for event in events if isinstance(event, AttemptFailed)]
    failures = [(event.stage, event.provider, event.error, event.status) for event in failed]
    assert failures[:2] == [
        ("improvement", "gemini", "rate_limited", 429),
        ("improvement", "ollama", "invalid_output", 200),
    ]
    assert all(event.reason for event in failed[:2])
    fallen = [(event.stage, event.provider, event.instead_of) for event in events if isinstance(event, FallbackTaken)]
    assert fallen[0] == ("improvement", "ollama", "gemini")
    # In order: the failure, the fallback, the improvement.
    order = [type(event) for event in events if isinstance(event, AttemptFailed | FallbackTaken | IdeaImproved)]
    assert order[:2] == [AttemptFailed, FallbackTaken]
    assert order.index(IdeaImproved) > 2


async def test_a_reached_budget_is_an_event(madspark_router: Make) -> None:
    router = madspark_router(primary_provider="ollama", budget=Budget(max_calls=2), fallback_enabled=False)
    events = await all_of(AsyncCoordinator(router=router).events(TOPIC, evaluation="together"))
    check_sequence(events)
    assert [event.is_reached for event in events if isinstance(event, BudgetSpent)] == [
        False, False, True, False,
    ]  # fmt: skip
    last = events[-1]
    assert isinstance(last, RunFinished)
    assert (last.status, last.partial) == ("degraded", True)


async def test_a_failed_run_reports_it_and_raises(madspark_router: Make, madspark_simulator: Simulator) -> None:
    madspark_simulator.on(status=503)
    router = madspark_router(primary_provider="ollama", fallback_enabled=False, max_attempts=1)
    events: list[Event] = []

    async def read() -> None:
        async for event in AsyncCoordinator(router=router).events(TOPIC):
            events.append(event)  # noqa: PERF401  (what came before the error counts)

    with pytest.raises(ProviderUnavailableError):
        await read()
    check_sequence(events)
    assert (events[-1].fraction, events[-1].message) == (0.1, None)
    assert isinstance(events[-1], RunFinished)
    assert (events[-1].status, events[-1].partial) == ("failed", False)
    assert "503" in (events[-1].reason or "")


async def test_a_client_that_reconnects_misses_no_event(madspark_router: Make) -> None:
    """It disconnects after each event and reconnects with the number of the last one."""
    router = madspark_router(primary_provider="gemini", fallback_enabled=False)
    async with await AsyncCoordinator(router=router).start(TOPIC, enhanced_reasoning=True, buffer=3) as run:
        had: list[Event] = []
        async with asyncio.timeout(10):
            while not had or had[-1].type != "run_finished":
                async for event in run.events(after=had[-1].sequence if had else 0):
                    had.append(event)
                    break
        check_sequence(had)
        assert len(had) > 30
        assert (await run.result()).status == "ok"


async def test_a_client_can_read_lost_events_again(madspark_router: Make) -> None:
    router = madspark_router(primary_provider="ollama")
    async with await AsyncCoordinator(router=router).start(TOPIC) as run:
        first = await all_of(run.events())
        check_sequence(first)
        # As after a connection that broke with events in flight.
        for after in (0, 7, len(first) - 1, len(first)):
            assert await all_of(run.events(after=after)) == first[after:]
        with pytest.raises(ValueError, match="has no event 999 yet"):
            await all_of(run.events(after=999))
    async with await AsyncCoordinator(router=router).start(TOPIC, buffer=4) as run:
        last = (await all_of(run.events()))[-1].sequence
        with pytest.raises(ValueError, match="no longer kept"):
            await all_of(run.events(after=1))
        assert len(await all_of(run.events(after=last - 4))) == 4


@pytest.mark.parametrize("mode", MODES)
async def test_a_slow_reader_pauses_the_run(mode: str, madspark_router: Make, madspark_simulator: Simulator) -> None:
    """The run waits before its next call while events are unread; no event is lost, and reading resumes the run."""
    script(madspark_simulator, "idea_generation", numbered_ideas(*NAMES))
    router = madspark_router(primary_provider=MODES[mode], fallback_enabled=False)
    async with await AsyncCoordinator(router=router).start(TOPIC, buffer=4, **ALL_STAGES) as run:
        core = run._core
        assert core is not None

        async def paused(requests: int) -> None:
            assert await madspark_simulator.await_requests(requests)
            # Long enough for another request.
            await asyncio.sleep(0.3)
            assert (core.kept_events, len(model_requests(madspark_simulator))) == (10, requests)

        # The start of the run, the generation with its five ideas, and the start of the evaluation.
        await paused(1)
        first = await run.page(0)
        assert len(first) == 10
        # Reading alone acknowledges nothing.
        await paused(1)
        second = asyncio.create_task(run.page(10))
        # The first page is acknowledged. Now there are the five scores, the selection, and the next stage.
        await paused(2 if mode == "batch" else 6)
        assert (await second)[0].sequence == 11
        read = [*first, *await all_of(run.events(after=10))]
        check_sequence(read)
        assert core.kept_events <= 10
        assert (await run.result()).status == "ok"


async def test_a_run_without_waiters_is_cancelled(madspark_router: Make, madspark_simulator: Simulator) -> None:
    madspark_simulator.on(contains=BEGINNINGS["improvement"], fault="stall")
    coordinator = AsyncCoordinator(router=madspark_router(primary_provider="ollama", fallback_enabled=False))
    run = await coordinator.start(TOPIC, patience=0.3)
    # Reading counts as waiting, however slow the machine is.
    async for event in run.events():
        if isinstance(event, StageStarted) and event.stage == "improvement":
            break
    assert await madspark_simulator.await_hang_ups(1)
    result = await run.result()
    assert (result.partial, result.cut, len(result.candidates)) == (True, "cancelled", 2)
    # Waiting for the result counts as waiting.
    run = await coordinator.start(TOPIC, patience=1.0, timeout=2.5)
    assert (await run.result()).cut == "deadline"


@pytest.mark.parametrize("how", ["break", "close", "cancel"])
async def test_leaving_an_owned_iterator_ends_the_run(
    how: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    madspark_simulator.on(contains=BEGINNINGS["evaluation"], fault="stall")
    coordinator = AsyncCoordinator(router=madspark_router(primary_provider="gemini", fallback_enabled=False))

    async def read() -> None:
        events = coordinator.events(TOPIC, **ALL_STAGES)
        if how == "cancel":
            async with events:
                await watch(events)
        else:
            await watch(events)

    async def watch(events: WorkflowEvents) -> None:
        async for event in events:
            if event.type == "stage_started" and event.stage == "evaluation":
                assert await madspark_simulator.await_requests(6)
                if how == "close":
                    await events.aclose()
                if how == "cancel":
                    await asyncio.Event().wait()
                return

    task = asyncio.create_task(read())
    assert await madspark_simulator.await_requests(6)
    if how == "cancel":
        task.cancel()
    await asyncio.wait({task})
    assert task.cancelled() is (how == "cancel")
    assert await madspark_simulator.await_hang_ups(5)
    assert madspark_simulator.in_flight == 0


async def test_the_run_starts_with_the_first_event(madspark_router: Make, madspark_simulator: Simulator) -> None:
    coordinator = AsyncCoordinator(router=madspark_router(primary_provider="ollama"))
    events = coordinator.events(TOPIC)
    await asyncio.sleep(0.05)
    assert madspark_simulator.requests == []
    await events.aclose()
    assert await all_of(events) == []
    with pytest.raises(RuntimeError, match="closed"):
        await events.result()
    with pytest.raises(ValueError, match="topic"):
        await all_of(coordinator.events(" "))


async def test_concurrent_runs_do_not_mix(madspark_router: Make) -> None:
    coordinator = AsyncCoordinator(100, router=madspark_router(primary_provider="gemini"))
    rows = await asyncio.gather(*(all_of(coordinator.events(f"{TOPIC} {number}")) for number in range(20)))
    for row in rows:
        check_sequence(row)
    assert len({row[0].run_id for row in rows}) == 20


@pytest.mark.parametrize("mode", MODES)
async def test_log_records_include_the_run_and_the_stage(
    mode: str, madspark_router: Make, madspark_simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    madspark_simulator.on(contains=BEGINNINGS["improvement"], status=400)
    router = madspark_router(primary_provider=MODES[mode], fallback_enabled=False)
    with caplog.at_level(logging.WARNING, "madspark.core"):
        result = await AsyncCoordinator(router=router).run(TOPIC, num_top_candidates=2)
    contexts = [vars(record) for record in caplog.records if "madspark_stage" in vars(record)]
    assert contexts
    assert {context["madspark_run_id"] for context in contexts} == {result.run_id}
    assert {context["madspark_stage"] for context in contexts} == {"improvement"}
    selected = [candidate.idea_index for candidate in result.candidates]
    groups = [selected] if mode == "batch" else [[idea] for idea in selected]
    assert {context["madspark_ideas"] for context in contexts} == {str(group) for group in groups}
