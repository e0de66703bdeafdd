"""fork(): the child creates its own threads and connections; the parent keeps its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Scripts
    from madspark.testing import Simulator

# The alarm kills a child that hangs.
PRELUDE = """
import warnings
# Python 3.12 and later warn about a fork in a process with threads.
warnings.simplefilter("ignore", DeprecationWarning)

def calls(mine):
    assert mine.generate("child, sync")[1].provider == "ollama"
    async def both():
        await asyncio.gather(*(mine.agenerate("child, async") for _ in range(3)))
    asyncio.run(both())
    (first, _) = Coordinator(router=mine).run_workflow("child, workflow")
    assert first["status"] == "ok", first

def in_child(work):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        code = 1
        try:
            work()
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert status == 0, status

"""

FORKS = {
    "os.fork, a router from before": """
mine = router()
mine.generate("parent")
in_child(lambda: calls(mine))
calls(mine)
""",
    "os.fork, a router of the child": """
router().generate("parent")
in_child(lambda: calls(router()))
calls(router())
""",
    "os.fork before any call": """
mine = router()
in_child(lambda: calls(mine))
calls(mine)
""",
    "a child of a child": """
mine = router()
mine.generate("parent")
def child():
    calls(mine)
    in_child(lambda: calls(mine))
    calls(mine)
in_child(child)
calls(mine)
""",
    "inside a running loop": """
mine = router()
async def main():
    await mine.agenerate("parent")
    in_child(lambda: mine.generate("child, sync"))
    await mine.agenerate("parent")
asyncio.run(main())
""",
    "multiprocessing": """
import multiprocessing
mine = router()
mine.generate("parent")
def child():
    signal.alarm(20)
    calls(mine)
process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join()
assert process.exitcode == 0, process.exitcode
calls(mine)
""",
    "a child that ends as a script does": """
mine = router()
mine.generate("parent")
child = os.fork()
if child == 0:
    signal.alarm(20)
    calls(mine)
    sys.exit(0)
_, status = os.waitpid(child, 0)
assert status == 0, status
calls(mine)
""",
    "a child that never calls": """
mine = router()
mine.generate("parent")
child = os.fork()
if child == 0:
    signal.alarm(20)
    sys.exit(0)
_, status = os.waitpid(child, 0)
assert status == 0, status
calls(mine)
""",
}


@pytest.mark.parametrize("name", FORKS)
def test_calls_work_in_parent_and_child(name: str, scripts: Scripts, madspark_simulator: Simulator) -> None:
    process = scripts.start(PRELUDE + FORKS[name], madspark_simulator)
    assert scripts.end(process) == (0, "", "")
    prompts = [request.prompt for request in madspark_simulator.requests]
    if name != "a child that never calls":
        assert "child, sync" in prompts


def test_a_child_shares_no_socket_with_its_parent(scripts: Scripts, madspark_simulator: Simulator) -> None:
    source = """
mine = router()
mine.generate("parent")
in_child(lambda: mine.generate("child"))
mine.generate("parent")
"""
    assert scripts.run(PRELUDE + source, madspark_simulator) == (0, "", "")
    by_prompt = {request.prompt: request.connection for request in madspark_simulator.requests}
    assert by_prompt["parent"] != by_prompt["child"]
    # The parent keeps its own connection.
    first, _, last = madspark_simulator.requests
    assert first.connection == last.connection


def test_fork_while_calls_are_in_flight(scripts: Scripts, madspark_simulator: Simulator) -> None:
    # Every call logs a record on the worker: no lock of logs or spans may stay locked in the child. A rejected request
    # is neither retried nor a sign that the provider is down, so the calls follow each other without a pause.
    madspark_simulator.on(contains="refused", status=400)
    source = """
mine = router()
stop = threading.Event()
async def busy():
    while not stop.is_set():
        await asyncio.gather(*(mine.agenerate("refused") for _ in range(20)), return_exceptions=True)
thread = threading.Thread(target=asyncio.run, args=(busy(),))
thread.start()
for _ in range(20):
    in_child(lambda: mine.generate("child, sync"))
stop.set()
thread.join()
"""
    assert scripts.run(PRELUDE + source, madspark_simulator) == (0, "", "")
    prompts = [request.prompt for request in madspark_simulator.requests]
    assert prompts.count("child, sync") == 20
    # The calls continued during the forks.
    assert prompts.count("refused") > 100
