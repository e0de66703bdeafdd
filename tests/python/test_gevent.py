"""Synchronous calls of greenlets, in processes whose standard library gevent has replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Scripts
    from madspark.testing import Simulator

pytest.importorskip("gevent", reason="gevent is not installed for this Python")

PATCH = """
from gevent import monkey
monkey.patch_all()
import gevent, sys

def line():
    # gevent does not patch standard input; other greenlets run meanwhile.
    return gevent.get_hub().threadpool.apply(sys.stdin.readline)

def together(*functions):
    greenlets = [gevent.spawn(function) for function in functions]
    gevent.joinall(greenlets, raise_error=True)
    return [greenlet.value for greenlet in greenlets]

"""


def run(source: str, scripts: Scripts, simulator: Simulator) -> str:
    """Run `source` after gevent has replaced the standard library; return its output."""
    code, out, err = scripts.end(scripts.start(source, simulator, PATCH))
    assert (code, err) == (0, "")
    return out


@pytest.mark.parametrize(
    "call",
    [
        'router().generate("together")',
        'router().generate_structured("together", dict[str, int])',
        'list(router().stream("together"))',
        'generate_ideas("together", "", router=router())',
    ],
    ids=["generate", "structured", "stream", "agent"],
)
def test_calls_of_greenlets_overlap(call: str, scripts: Scripts, madspark_simulator: Simulator) -> None:
    # Nothing is answered, so that all of them are in flight at once.
    madspark_simulator.on(contains="together", fault="stall")
    process = scripts.start(
        f"""
from madspark.agents.idea_generator import generate_ideas
greenlets = [gevent.spawn(lambda: {call}) for _ in range(20)]
gevent.spawn(lambda: print("another greenlet runs", flush=True))
line()
gevent.killall(greenlets)
print("killed")
""",
        madspark_simulator,
        PATCH,
    )
    assert madspark_simulator.wait_for_requests(20, timeout=30)
    assert madspark_simulator.in_flight == 20
    assert process.stdout is not None
    assert process.stdout.readline() == "another greenlet runs\n"
    code, out, err = scripts.end(process, "\n")
    assert (code, out, err) == (0, "killed\n", "")


def test_concurrent_runs_finish(scripts: Scripts, madspark_simulator: Simulator) -> None:
    source = """
progress = []
def one(topic):
    coordinator = Coordinator(router=router(), progress_callback=lambda message, fraction: progress.append(fraction))
    return coordinator.run(topic).status
print(together(*(lambda topic=topic: one(topic) for topic in ("roofs", "trains", "wells"))), progress.count(1.0))
"""
    assert run(source, scripts, madspark_simulator) == "['ok', 'ok', 'ok'] 3\n"


def test_the_end_of_a_greenlet_ends_its_call(scripts: Scripts, madspark_simulator: Simulator) -> None:
    madspark_simulator.on(fault="stall")
    source = """
def streamed():
    return list(router().stream("unanswered"))
for work in (lambda: router().generate("unanswered"), streamed, lambda: Coordinator(router=router()).run("unanswered")):
    greenlet = gevent.spawn(work)
    print("started", flush=True)
    line()
    greenlet.kill()
    print(type(greenlet.value).__name__, flush=True)
    # The process goes on: the connection closes because of the call, not of its end.
    line()
"""
    process = scripts.start(source, madspark_simulator, PATCH)
    assert process.stdout is not None
    assert process.stdin is not None
    for number in (1, 2, 3):
        assert process.stdout.readline() == "started\n"
        assert madspark_simulator.wait_for_requests(number, timeout=30)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "GreenletExit\n"
        assert madspark_simulator.wait_for_hang_ups(number)
        process.stdin.write("\n")
        process.stdin.flush()
    assert scripts.end(process) == (0, "", "")


def test_errors_and_context_variables_pass_the_thread(scripts: Scripts, madspark_simulator: Simulator) -> None:
    madspark_simulator.on(contains="refused", status=401)
    source = """
import contextvars
from madspark import AuthorizationError
tenant = contextvars.ContextVar("tenant")
class Mine:
    def generate_structured(self, prompt, schema, **options):
        seen.append(tenant.get())
        return router().generate_structured(prompt, schema, **options)
seen = []
def one(name):
    tenant.set(name)
    return Coordinator(router=Mine()).run("roofs").status
def refused():
    try:
        router().generate("refused")
    except AuthorizationError as error:
        return error.status
print(together(refused, lambda: one("first"), lambda: one("second")), sorted(set(seen)))
"""
    assert run(source, scripts, madspark_simulator) == "[401, 'ok', 'ok'] ['first', 'second']\n"


def test_ctrl_c_ends_the_call(scripts: Scripts, madspark_simulator: Simulator) -> None:
    import signal

    madspark_simulator.on(fault="stall")
    source = """
try:
    router().generate("unanswered")
except KeyboardInterrupt:
    print("interrupted", flush=True)
    line()
"""
    process = scripts.start(source, madspark_simulator, PATCH)
    assert madspark_simulator.wait_for_requests(1, timeout=30)
    process.send_signal(signal.SIGINT)
    assert madspark_simulator.wait_for_hang_ups(1)
    # gevent reports the interruption on standard error.
    assert scripts.end(process, "\n")[:2] == (0, "interrupted\n")


def test_gevent_without_its_patches_changes_nothing(scripts: Scripts, madspark_simulator: Simulator) -> None:
    source = """
import gevent.monkey
text, response = router().generate("Hello")
print(response.provider, threading.active_count(), "gevent.threadpool" in sys.modules)
"""
    code, out, err = scripts.run(source, madspark_simulator)
    assert (code, out, err) == (0, "ollama 1 False\n", "")
