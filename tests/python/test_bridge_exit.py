"""The end of the process: no crash, no delay, nothing on standard error."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from madspark.testing import Simulator

if TYPE_CHECKING:
    from conftest import Scripts

# A crash at exit is a race: increase the number to search for one.
RUNS_PER_SCRIPT = 6
AT_ONCE = 3

# The simulator never answers prompts with "hang".
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
def test_a_script_ends_without_output_on_standard_error(name: str, scripts: Scripts) -> None:
    def run(_: int) -> tuple[int, str, str]:
        with Simulator() as simulator:
            simulator.on(contains="hang", fault="stall")
            process = scripts.start(SCRIPTS[name], simulator)
            if "stdin" in SCRIPTS[name]:
                assert simulator.wait_for_requests(1, 30)
            return scripts.end(process, "\n")

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert list(pool.map(run, range(RUNS_PER_SCRIPT))) == [(0, "ollama\n", "")] * RUNS_PER_SCRIPT


def test_a_call_of_a_daemon_thread_ends_with_system_exit(scripts: Scripts, madspark_simulator: Simulator) -> None:
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


def test_an_exit_handler_may_call_until_the_package_shuts_down(scripts: Scripts, madspark_simulator: Simulator) -> None:
    # Handlers run in reverse order: one registered before the import runs after madspark's own.
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
    expected = "ollama\nmadspark cannot be used while the interpreter is ending\n"
    assert scripts.end(process) == (0, expected, "")
