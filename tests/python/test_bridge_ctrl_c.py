"""Ctrl-C ends a blocking call at once with KeyboardInterrupt and closes its connection."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Scripts
    from madspark.testing import Simulator

BLOCKING = {
    "generate": 'router().generate("hello")',
    "structured": """
from madspark.schemas import GeneratedIdeas
router().generate_structured("hello", GeneratedIdeas)
""",
    "batch": """
from madspark.schemas import GeneratedIdeas
router().generate_structured_batch(["hello"], GeneratedIdeas)
""",
    "coordinator": 'Coordinator(router=router()).run_workflow("roof gardens")',
    "asyncio": 'asyncio.run(AsyncCoordinator(router=router()).run_workflow("roof gardens"))',
    # asyncio.run handles the signal by cancelling the blocked task; the loop of a notebook leaves it to Python.
    "generate in a task": """
async def main():
    router().generate("hello")
asyncio.run(main())
""",
    "coordinator in a task": """
async def main():
    Coordinator(router=router()).run_workflow("roof gardens")
asyncio.run(main())
""",
    "generate in a notebook": """
async def cell():
    router().generate("hello")
asyncio.new_event_loop().run_until_complete(cell())
""",
    "coordinator in a notebook": """
async def cell():
    Coordinator(router=router()).run_workflow("roof gardens")
asyncio.new_event_loop().run_until_complete(cell())
""",
}


@pytest.mark.parametrize("name", BLOCKING)
def test_ctrl_c_ends_the_call(name: str, scripts: Scripts, madspark_simulator: Simulator) -> None:
    madspark_simulator.on(fault="stall")
    process = scripts.start(BLOCKING[name], madspark_simulator)
    assert madspark_simulator.wait_for_requests(1, 30)
    process.send_signal(signal.SIGINT)
    code, out, err = scripts.end(process)
    # Python ends itself like this after an uncaught KeyboardInterrupt.
    assert (code, out) == (-signal.SIGINT, "")
    assert err.splitlines()[-1] == "KeyboardInterrupt"
    assert "never retrieved" not in err
    assert "Exception ignored" not in err
    assert madspark_simulator.wait_for_hang_ups(1, 30)
    assert len(madspark_simulator.requests) == 1


def test_a_run_that_is_held_keeps_its_finished_part(scripts: Scripts, madspark_simulator: Simulator) -> None:
    madspark_simulator.on(contains="Improve ", fault="stall")
    process = scripts.start(
        """
async def main():
    async with await AsyncCoordinator(router=router()).start("roof gardens", mode="batch") as run:
        try:
            result = await run.result()
        except asyncio.CancelledError:
            run.cancel()
            result = await run.result()
        print(result.cut, [one.final_score == one.initial_score is not None for one in result.candidates])
asyncio.run(main())
""",
        madspark_simulator,
    )
    # The generation, the evaluation and the improvement.
    assert madspark_simulator.wait_for_requests(3, 30)
    process.send_signal(signal.SIGINT)
    assert scripts.end(process) == (0, "cancelled [True, True]\n", "")
    assert madspark_simulator.wait_for_hang_ups(1, 30)


def test_a_router_keeps_working_after_ctrl_c(scripts: Scripts, madspark_simulator: Simulator) -> None:
    madspark_simulator.on(contains="unanswered", fault="stall")
    process = scripts.start(
        """
mine = router()
for call in (
    lambda: mine.generate("unanswered"),
    lambda: asyncio.run(mine.agenerate("unanswered")),
    lambda: Coordinator(router=mine).run_workflow("unanswered"),
):
    try:
        call()
    except KeyboardInterrupt:
        print(mine.generate("hello")[1].provider, flush=True)
""",
        madspark_simulator,
    )
    for number in range(3):
        assert madspark_simulator.wait_for_requests(2 * number + 1, 30)
        process.send_signal(signal.SIGINT)
        assert madspark_simulator.wait_for_hang_ups(number + 1, 30)
    assert scripts.end(process) == (0, "ollama\n" * 3, "")


def test_a_signal_handler_runs_while_a_call_blocks(scripts: Scripts, madspark_simulator: Simulator) -> None:
    madspark_simulator.on(times=1, fault="stall")
    process = scripts.start(
        """
class Alarm(Exception): ...
def ring(*_):
    raise Alarm
signal.signal(signal.SIGUSR1, ring)
mine = router()
try:
    mine.generate("hello")
except Alarm:
    print(mine.generate("hello")[1].provider)
""",
        madspark_simulator,
    )
    assert madspark_simulator.wait_for_requests(1, 30)
    process.send_signal(signal.SIGUSR1)
    assert scripts.end(process) == (0, "ollama\n", "")
    assert madspark_simulator.wait_for_hang_ups(1, 30)
