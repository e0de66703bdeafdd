"""The command as a process: exit codes, standard streams, Ctrl-C and closed pipes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from madspark.testing import Simulator

# Settings of the developer's shell for real providers must not affect the tests.
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("MADSPARK_", "OLLAMA_", "GOOGLE_", "GEMINI_", "OPENAI_", "ANTHROPIC_"))
}
# Every run must reach the simulator, and no test may write into the home directory.
ENVIRONMENT["MADSPARK_CACHE_ENABLED"] = "no"
COMMAND = [sys.executable, "-m", "madspark"]
# Long enough for a loaded machine; only a hang reaches it.
LIMIT = 60


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # our own command
        [*COMMAND, *arguments],
        env={**ENVIRONMENT, **environment},
        capture_output=True,
        check=False,
        encoding="utf-8",
        timeout=LIMIT,
    )


def piped(text: bytes, *arguments: str) -> tuple[int, str, str]:
    """Run the command with `text` on stdin and the mock provider."""
    done = subprocess.run(  # noqa: S603  # our own command
        [*COMMAND, *arguments, "--provider", "mock", "--quiet", "--top", "1"],
        env=ENVIRONMENT,
        input=text,
        capture_output=True,
        check=False,
        timeout=LIMIT,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def simulated(
    simulator: Simulator, topic: str, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command against the simulator."""
    hosts = ["--ollama-host", simulator.ollama_url, "--gemini-base-url", simulator.gemini_url]
    return run(topic, "--no-fallback", "--quiet", "--top", "1", *hosts, *arguments, **environment)


def shell(command: str) -> subprocess.CompletedProcess[str]:
    """Run a shell command, in which `madspark` is the command with the mock provider."""
    alias = f"madspark() {{ '{sys.executable}' -m madspark topic --provider mock --quiet \"$@\"; }}; "
    return subprocess.run(  # noqa: S603  # our own command
        ["/bin/sh", "-c", alias + command],
        env=ENVIRONMENT,
        capture_output=True,
        check=False,
        encoding="utf-8",
        timeout=LIMIT,
    )


def summary(out: str) -> str:
    """Return the last paragraph of an output, in one line."""
    return " ".join(out.rsplit("\n\n", 1)[-1].split())


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def test_a_dash_reads_the_topic_from_stdin(madspark_simulator: Simulator) -> None:
    for topic, context, text in (("-", "small budget", "屋上の野菜\n"), ("屋上の野菜", "-", "small budget")):
        madspark_simulator.clear()
        done = subprocess.run(  # noqa: S603  # our own command
            [*COMMAND, topic, context, "--provider", "ollama", "--quiet", "--top", "1"],
            env={**ENVIRONMENT, "OLLAMA_HOST": madspark_simulator.ollama_url, "PYTHONIOENCODING": "utf-8"},
            input=text,
            capture_output=True,
            check=False,
            encoding="utf-8",
            timeout=LIMIT,
        )
        assert done.returncode == 0, done.stderr
        prompt = madspark_simulator.requests[0].prompt
        assert "屋上の野菜" in prompt
        assert "small budget" in prompt


def test_stdin_that_is_no_topic_is_refused() -> None:
    for text, reason in (
        (b" \n", "must not be blank"),
        (b"\xff", "is not UTF-8"),
        (b"a" * 1_000_001, "is longer than"),
    ):
        code, out, err = piped(text, "-")
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert reason in err


def test_a_word_after_two_dashes_is_a_topic() -> None:
    done = run("--provider", "mock", "--quiet", "--top", "1", "--", "help")
    assert (done.returncode, done.stderr) == (0, "")


def test_version() -> None:
    done = run("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("madspark ")


def test_an_invalid_flag_prints_one_line() -> None:
    for flag in (["--top", "9"], ["--ollama-host", "ftp://box"], ["--gemini-base-url", "box"]):
        done = run("topic", *flag)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.count("\n") == 1


def test_neither_a_malformed_variable_nor_an_unreachable_server_shows_a_secret() -> None:
    address = f"http://user:hunter2@127.0.0.1:{closed_port()}"
    arguments = ["topic", "--provider", "gemini", "--gemini-base-url", address, "--quiet"]
    key = "AIza-hunter2-hunter2-hunter2"
    malformed = run(*arguments, MADSPARK_MODEL_TIER="best", GOOGLE_API_KEY=key)
    unreachable = run(*arguments, GOOGLE_API_KEY=key)
    assert (malformed.returncode, unreachable.returncode) == (2, 1)
    assert "MADSPARK_MODEL_TIER" in malformed.stderr
    assert "cannot reach Gemini at http://127.0.0.1:" in unreachable.stderr
    for done in (malformed, unreachable):
        assert "hunter2" not in done.stderr
        assert (done.stdout, done.stderr.count("\n")) == ("", 1)


def test_an_unreachable_server_prints_one_line_with_the_remedy() -> None:
    port = closed_port()
    by_flag = run("topic", "--provider", "ollama", "--quiet", "--ollama-host", f":{port}")
    by_variable = run("topic", "--provider", "ollama", "--quiet", OLLAMA_HOST=f"127.0.0.1:{port}")
    for done in (by_flag, by_variable):
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert "start it with `ollama serve`" in done.stderr


def test_a_failure_is_also_json(madspark_simulator: Simulator) -> None:
    madspark_simulator.restrict_models(True)
    missing = simulated(madspark_simulator, "roofs", "--provider", "ollama", "--ollama-model", "x", "--json")
    error = json.loads(missing.stdout)["error"]
    assert (missing.returncode, error["code"]) == (1, "model_not_found")
    assert f"madspark: {error['message']}\n" == missing.stderr
    assert (error["provider"], error["model"], error["status"]) == ("ollama", "x", 500)
    assert [attempt["error"] for attempt in error["attempts"]] == ["model_missing"]
    assert json.loads(missing.stdout)["metrics"]["failed_requests"] == 1
    for arguments, variables, code in (
        (["--top", "9"], {}, "wrong_usage"),
        (["--frobnicate"], {}, "wrong_usage"),
        ([], {"MADSPARK_LLM_PROVIDER": "gemni"}, "invalid_settings"),
    ):
        done = run("roofs", *arguments, "--json", **variables)
        assert (done.returncode, json.loads(done.stdout)["error"]["code"], done.stderr.count("\n")) == (2, code, 1)


def test_json_goes_to_stdout_and_progress_to_stderr() -> None:
    done = run("屋上の野菜", "small budget", "--provider", "mock", "--top", "2", "--enhanced", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert [result["status"] for result in answer["results"]] == ["ok", "ok"]
    assert all(result["advocacy"] and result["skepticism"] for result in answer["results"])
    assert answer["metrics"]["total_requests"] > 0
    assert done.stderr.startswith("[  0%]")
    assert done.stderr.splitlines()[-1].startswith("[100%]")


def test_quiet_prints_only_the_results() -> None:
    done = run("city farming", "--provider", "mock", "--top", "1", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("1. score ")
    assert "Improved" in done.stdout
    assert summary(done.stdout).startswith("Answered by mock ")
    assert "\x1b" not in done.stdout


def test_a_closed_pipe_prints_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(  # noqa: S603  # our own command
            [*COMMAND, "city farming", "--provider", "mock", "--quiet"],
            env=ENVIRONMENT,
            stdout=writer,
            stderr=subprocess.PIPE,
            check=False,
            encoding="utf-8",
            timeout=LIMIT,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_failed_run_prints_the_remedy(madspark_simulator: Simulator, tmp_path: Path) -> None:
    paper = tmp_path / "paper.pdf"
    paper.write_bytes(b"%PDF-1.7\n")
    madspark_simulator.restrict_models(True)
    madspark_simulator.require_key("gemini", "the-right-key-of-the-server")
    for arguments, hint in (
        (
            ["--provider", "ollama", "--ollama-model", "nope:1b"],
            "run `ollama pull nope:1b` or pass --ollama-model; installed: gemma3:12b, gemma3:4b; choose",
        ),
        (["--provider", "gemini"], "there is no API key: set gemini_api_key, GEMINI_API_KEY or GOOGLE_API_KEY"),
        (["--provider", "ollama", "--file", str(paper)], "not take PDF files: pass --provider gemini"),
        (
            ["--provider", "ollama", "--url", "http://localhost:1/x"],
            "the page at http://localhost:1/x is not on the public",
        ),
    ):
        done = simulated(madspark_simulator, "city farming", *arguments)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert hint in done.stderr
    for key, hint in (
        ("some-other-key-altogether", "check GOOGLE_API_KEY"),
        ("a-key-with-a\nline-end-inside", "the API key contains a character that a header cannot carry"),
    ):
        done = simulated(madspark_simulator, "city farming", "--provider", "gemini", GOOGLE_API_KEY=key)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert hint in done.stderr
        assert key not in done.stderr


def test_an_output_that_cannot_encode_a_character_shows_the_result(madspark_simulator: Simulator) -> None:
    done = simulated(madspark_simulator, "屋上の野菜", "--provider", "ollama", PYTHONIOENCODING="ascii", COLUMNS="40")
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert max(map(len, done.stdout.splitlines())) <= 40
    arguments = ["--provider", "ollama", "--json"]
    done = simulated(madspark_simulator, "屋上の野菜", *arguments, PYTHONIOENCODING="ascii")
    assert done.stdout.isascii()
    assert not json.loads(done.stdout)["results"][0]["idea"].isascii()


@pytest.mark.skipif(sys.platform == "win32", reason="a line of shell")
def test_a_closed_or_full_output_prints_no_traceback(tmp_path: Path) -> None:
    done = shell(f"madspark 2>&- >'{tmp_path}/out'; echo $?; madspark >&-; echo $?")
    assert (done.stdout, done.stderr) == ("0\n0\n", "")
    assert (tmp_path / "out").read_text().startswith("1. score ")
    if sys.platform == "linux":
        done = shell("madspark >/dev/full; echo $?")
        assert done.stdout == "1\n"
        assert done.stderr == "madspark: cannot write the output: No space left on device\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_at_start_and_again_at_exit_prints_one_line() -> None:
    # The process interrupts itself: when it imports the run, and again while it prints that it was cancelled.
    code = """
import os, signal, sys
class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == "madspark.cli.run":
            os.kill(os.getpid(), signal.SIGINT)
class Stderr:
    def write(self, text):
        os.kill(os.getpid(), signal.SIGINT)
        return sys.__stderr__.write(text)
    def flush(self):
        sys.__stderr__.flush()
sys.meta_path.insert(0, Interrupts())
sys.stderr = Stderr()
from madspark.cli.main import main
sys.exit(main(["topic", "--provider", "mock", *sys.argv[1:]]))
"""
    for arguments, error in (([], None), (["--json"], {"code": "cancelled", "message": "cancelled"})):
        done = subprocess.run(  # noqa: S603  # our own command
            [sys.executable, "-c", code, *arguments],
            env=ENVIRONMENT,
            capture_output=True,
            check=False,
            encoding="utf-8",
            timeout=LIMIT,
        )
        assert (done.returncode, done.stderr) == (130, "madspark: cancelled\n")
        assert (json.loads(done.stdout)["error"] if done.stdout else None) == error


def interrupt_third_stage(simulator: Simulator, number: int, *arguments: str) -> tuple[int, str, str]:
    """Start the command, and send it the signal `number` when it waits for the improvement of its ideas."""
    simulator.on(contains="improved_title", latency=3600.0)
    with subprocess.Popen(  # noqa: S603  # our own command
        [*COMMAND, "city farming", "--provider", "ollama", "--quiet", "--evaluation", "together", *arguments],
        env={**ENVIRONMENT, "OLLAMA_HOST": simulator.ollama_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        # The generation, the evaluation, and the improvement.
        assert simulator.wait_for_requests(3, LIMIT)
        process.send_signal(number)
        out, err = process.communicate(timeout=LIMIT)
    assert simulator.wait_for_hang_ups(1, LIMIT)
    return process.returncode, out, err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_after_the_second_stage_prints_the_finished_ideas(number: int, madspark_simulator: Simulator) -> None:
    code, out, err = interrupt_third_stage(madspark_simulator, number, "--top", "2")
    assert code == 128 + number
    assert out.startswith("1. score ")
    assert "\n2. score " in out
    assert summary(out).startswith("Answered by Ollama gemma3:12b (2 answers). 3 requests, ")
    assert "improvement: the run was cancelled" in err
    assert err.splitlines()[-1] == "madspark: cancelled"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_the_json_of_an_interrupted_run_holds_the_finished_ideas(madspark_simulator: Simulator) -> None:
    code, out, _ = interrupt_third_stage(madspark_simulator, signal.SIGINT, "--top", "2", "--json")
    answer = json.loads(out)
    assert code == 130
    assert (answer["partial"], answer["cut"], answer["status"]) == (True, "cancelled", "degraded")
    assert len(answer["results"]) == len(answer["candidates"]) == 2
    assert all(one["initial_score"] is not None and one["improved_idea"] is None for one in answer["results"])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_a_second_ctrl_c_ends_the_process_at_once() -> None:
    # The run cannot be cancelled here, so only the second signal can end the process.
    code = """
import os, signal, sys
from madspark.core.run import WorkflowRun
cancel = WorkflowRun.cancel
def interrupt_again(self):
    os.kill(os.getpid(), signal.SIGINT)
WorkflowRun.cancel = interrupt_again
from madspark.cli import progress
def show(self, message, fraction):
    if fraction == 0:
        os.kill(os.getpid(), signal.SIGINT)
progress.Progress.show = show
from madspark.cli.main import main
sys.exit(main(["topic", "--provider", "ollama"]))
"""
    with socket.create_server(("127.0.0.1", 0)) as server:
        # Accepts connections and never answers.
        host = f"127.0.0.1:{server.getsockname()[1]}"
        done = subprocess.run(  # noqa: S603  # our own command
            [sys.executable, "-c", code],
            env={**ENVIRONMENT, "OLLAMA_HOST": host},
            capture_output=True,
            check=False,
            encoding="utf-8",
            timeout=LIMIT,
        )
    assert (done.returncode, done.stdout) == (130, "")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_ends_the_run_and_closes_its_connections() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(LIMIT)
        host = f"http://127.0.0.1:{server.getsockname()[1]}"
        with subprocess.Popen(  # noqa: S603  # our own command
            [*COMMAND, "city farming", "--provider", "ollama", "--no-fallback", "--quiet", "--ollama-host", host],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        ) as process:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(LIMIT)
                # The model call is in flight and never answered.
                assert connection.recv(1)
                process.send_signal(signal.SIGINT)
                while connection.recv(65536):
                    pass
            out, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, out) == (130, "")
    assert err.startswith("madspark: cancelled before an idea was finished. Answered by no model. 1 request, ")
