"""The end of the process: nothing of ours may crash it, hold it up or write on its standard error."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from madspark.testing import Simulator

if TYPE_CHECKING:
    from conftest import Scripts

# Thirty scripts in all. A crash at exit is a race: raise it to hunt for one.
RUNS_PER_SCRIPT = 6
AT_ONCE = 3

# Prompts with "hang" are never answered.
SCRIPTS = {
    "awaits one call": """
async def main():
    print((await router().agenerate("hello"))[1].provider)
asyncio.run(main())
""",
    "leaves fifty calls in flight": """
async def main():
    hanging = [asyncio.create_task(router().agenerate("hang")) for _ in range(50)]
    print((await router().agenerate("hello"))[1].provider)
asyncio.run(main())
""",
    "calls from a daemon thread": """
threading.Thread(target=router().generate, args=("hang",), daemon=True).start()
sys.stdin.readline()
print("ollama")
""",
    "calls nothing": """
print(router().primary_provider)
""",
    "runs two loops": """
mine = router()
for _ in range(2):
    text, response = asyncio.run(mine.agenerate("hello"))
print(response.provider)
""",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_ends_in_silence(name: str, scripts: Scripts) -> None:
    def run(_: int) -> tuple[int, str, str]:
        with Simulator() as simulator:
            simulator.on(contains="hang", fault="stall")
            process = scripts.start(SCRIPTS[name], simulator)
            if "stdin" in SCRIPTS[name]:
                assert simulator.wait_for_requests(1, 30)
            return scripts.end(process, "\n")

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert list(pool.map(run, range(RUNS_PER_SCRIPT))) == [(0, "ollama\n", "")] * RUNS_PER_SCRIPT


def test_a_daemon_thread_leaves_its_call_by_system_exit(scripts: Scripts, madspark_simulator: Simulator) -> None:
    madspark_simulator.on(fault="stall")
    process = scripts.start(
        """
def call():
    try:
        router().generate("hang")
    except SystemExit as error:
        os.write(1, str(error).encode())
threading.Thread(target=call, daemon=True).start()
sys.stdin.readline()
""",
        madspark_simulator,
    )
    assert madspark_simulator.wait_for_requests(1, 30)
    code, out, err = scripts.end(process, "\n")
    assert (code, out, err) == (0, "madspark cannot be used while the interpreter is ending", "")
    assert madspark_simulator.wait_for_hang_ups(1, 30)


def test_a_handler_of_the_exit_may_call_and_a_late_one_is_told(scripts: Scripts, madspark_simulator: Simulator) -> None:
    # Handlers run in reverse order: the one from before the import runs after the end of madspark.
    late = """
import atexit
@atexit.register
def late():
    try:
        mine.generate("hello")
    except RuntimeError as error:
        print(error)
"""
    process = scripts.start(
        """
mine = router()
@atexit.register
def early():
    print(mine.generate("hello")[1].provider)
""",
        madspark_simulator,
        before=late,
    )
    told = "ollama\nmadspark cannot be used while the interpreter is ending\n"
    assert scripts.end(process) == (0, told, "")
