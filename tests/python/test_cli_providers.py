"""Which providers the command asks, what it says before, and what it reports afterwards.

The expectations are read from the table in `docs/guides/shell.md`.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from test_cli_process import COMMAND, ENVIRONMENT, LIMIT, summary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from madspark.testing import Simulator

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "shell.md"
HOSTED = {"gemini", "openai", "anthropic"}
NAMES = {"ollama": "Ollama", "gemini": "Gemini", "openai": "the OpenAI-compatible server", "anthropic": "Anthropic"}
KEYS = {
    "GOOGLE_API_KEY": "AIza-a-simulated-key-of-gemini",
    "OPENAI_API_KEY": "sk-a-simulated-key",
    "ANTHROPIC_API_KEY": "sk-ant-a-simulated-key",
}
# Parallel processes: most of their time is the start of an interpreter.
WORKERS = 3


class Row(NamedTuple):
    """A row of the documented table."""

    asked: list[str]
    announced: list[str]


class Case(NamedTuple):
    """One command line, in one environment."""

    flag: str | None
    variable: str | None
    fallback: str | None
    has_keys: bool
    down: frozenset[str]

    @property
    def provider(self) -> str | None:
        return self.flag or self.variable


def documented() -> dict[tuple[str, str], Row]:
    """Return the table by provider and option."""
    rows = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or len(cells) != 4 or cells[0] in {"provider", "---"}:
            continue
        option, asked, announced = (re.findall(r"`([^`]+)`", cell) for cell in cells[1:])
        for provider in cells[0].replace("`", "").split(", "):
            rows[provider, option[0] if option else ""] = Row(asked, announced)
    return rows


def row_of(case: Case) -> Row:
    rows, provider = documented(), case.provider or "none"
    # An option without a row of its own changes nothing.
    return rows.get((provider, case.fallback or "")) or rows[provider, ""]


@pytest.fixture(scope="module")
def refused_port() -> Iterator[int]:
    """A port that refuses connections and that no other process gets."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def environment(case: Case, simulator: Simulator, refused_port: int, **more: str) -> dict[str, str]:
    down = f"http://127.0.0.1:{refused_port}"
    urls = {
        "ollama": ("OLLAMA_HOST", simulator.ollama_url, ""),
        "gemini": ("GEMINI_BASE_URL", simulator.gemini_url, "/v1beta"),
        "openai": ("OPENAI_BASE_URL", simulator.openai_url, "/v1"),
        "anthropic": ("ANTHROPIC_BASE_URL", simulator.anthropic_url, "/v1"),
    }
    bases = {name: down + path if provider in case.down else url for provider, (name, url, path) in urls.items()}
    return {
        **ENVIRONMENT,
        **bases,
        **(KEYS if case.has_keys else {}),
        **({} if case.variable is None else {"MADSPARK_LLM_PROVIDER": case.variable}),
        "OPENAI_MODEL": "gpt-simulated",
        "ANTHROPIC_MODEL": "claude-simulated",
        **more,
    }


def command(case: Case, topic: str, *more: str) -> list[str]:
    flags = [*(["--provider", case.flag] if case.flag else []), *([case.fallback] if case.fallback else [])]
    output = [] if "--verbose" in more else ["--quiet"]
    return [*COMMAND, topic, "--top", "1", *output, *flags, *more]


def run(
    case: Case, topic: str, simulator: Simulator, refused_port: int, *more: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # our own command
        command(case, topic, *more),
        env=environment(case, simulator, refused_port, **variables),
        capture_output=True,
        check=False,
        encoding="utf-8",
        timeout=LIMIT,
    )


def asked_about(simulator: Simulator, topic: str) -> list[str]:
    """Return the providers that got a prompt with `topic`, in order, each once."""
    requests = (request for request in simulator.requests if topic in request.prompt)
    return list(dict.fromkeys(str(request.provider) for request in requests))


def check(case: Case, topic: str, simulator: Simulator, refused_port: int) -> None:
    """Run the command for `case` and compare the wire, stderr and the exit code with the table."""
    row = row_of(case)
    tried = [provider for provider in row.asked if case.has_keys or provider != "gemini"]
    # A proxy may add Anthropic's key, so its server decides.
    failing = case.down if case.has_keys else case.down | {"anthropic"}
    answering = next((provider for provider in tried if provider not in failing), None)
    reached = tried if answering is None else tried[: tried.index(answering) + 1]
    done = run(case, topic, simulator, refused_port)
    context = f"{case}: {done}"
    assert asked_about(simulator, topic) == [one for one in reached if one not in case.down | {"mock"}], context
    assert done.returncode == (1 if answering is None else 0), context
    announced = [name for name in HOSTED if f"using {NAMES[name]} (" in done.stderr]
    assert announced == [provider for provider in reached if provider in row.announced], context
    assert ("It may cost money" in done.stderr) == bool(announced), context
    if answering is None:
        assert done.stdout == "", context
    else:
        last = summary(done.stdout)
        assert last.startswith(f"Answered by {NAMES.get(answering, answering)} "), context
        assert ("cost unknown" in last) == (answering in {"openai", "anthropic"}), context
        assert done.stderr.count("\n") == len(announced), context


CHOICES = ["auto", "ollama", "gemini", "openai", "anthropic"]
FALLBACKS = [None, "--fallback", "--no-fallback"]
DOWN = [frozenset[str](), frozenset({"ollama"}), frozenset(HOSTED)]


@pytest.mark.parametrize("flag", [None, *CHOICES])
def test_the_table_of_providers_holds_for_every_flag(
    flag: str | None, madspark_simulator: Simulator, refused_port: int
) -> None:
    cases = [
        Case(flag, None, fallback, has_keys, down)
        for fallback, has_keys, down in itertools.product(FALLBACKS, (True, False), DOWN)
        if has_keys or down != DOWN[2]
    ]
    check_all(cases, madspark_simulator, refused_port)


@pytest.mark.parametrize("variable", CHOICES)
def test_a_provider_named_by_the_environment_is_pinned(
    variable: str, madspark_simulator: Simulator, refused_port: int
) -> None:
    cases = [Case(None, variable, fallback, True, down) for fallback, down in itertools.product(FALLBACKS[:2], DOWN)]
    # The flag counts, not the variable.
    cases += [Case(flag, variable, None, True, frozenset({"ollama"})) for flag in ("auto", "ollama", "gemini")]
    check_all(cases, madspark_simulator, refused_port)


def test_the_mock_asks_nobody(madspark_simulator: Simulator, refused_port: int) -> None:
    cases = [Case("mock", "gemini", fallback, True, frozenset()) for fallback in FALLBACKS]
    check_all([*cases, Case(None, "mock", "--fallback", True, frozenset())], madspark_simulator, refused_port)
    assert madspark_simulator.requests == []


def check_all(cases: list[Case], simulator: Simulator, refused_port: int) -> None:
    with ThreadPoolExecutor(WORKERS) as pool:
        topics = [f"roof garden {number}." for number in range(len(cases))]
        for outcome in [
            pool.submit(check, case, topic, simulator, refused_port) for case, topic in zip(cases, topics, strict=True)
        ]:
            outcome.result()


@pytest.mark.parametrize(
    ("variable", "enabled", "code", "asked"),
    [("ollama", "true", 1, []), (None, "true", 0, ["gemini"]), (None, "false", 1, []), ("auto", "false", 1, [])],
)
def test_the_fallback_variable_never_unpins_a_provider(
    variable: str | None,
    enabled: str,
    code: int,
    asked: list[str],
    madspark_simulator: Simulator,
    refused_port: int,
) -> None:
    case = Case(None, variable, None, True, frozenset({"ollama"}))
    done = run(case, "roof garden", madspark_simulator, refused_port, MADSPARK_FALLBACK_ENABLED=enabled)
    assert (done.returncode, asked_about(madspark_simulator, "roof garden")) == (code, asked)


def test_the_quality_tier_announces_gemini_as_its_first_choice(
    madspark_simulator: Simulator, refused_port: int
) -> None:
    case = Case(None, None, "--no-fallback", True, frozenset())
    done = run(case, "roof garden", madspark_simulator, refused_port, "--tier", "quality")
    assert asked_about(madspark_simulator, "roof garden") == ["gemini"]
    assert (
        "using Gemini (gemini-3-flash-preview); it is the first choice of the tier quality. It may cost" in done.stderr
    )
    named = run(
        Case("gemini", None, None, True, frozenset()), "b", madspark_simulator, refused_port, "--tier", "quality"
    )
    assert (named.returncode, named.stderr) == (0, "")


def test_json_says_who_answered_and_what_it_cost(madspark_simulator: Simulator, refused_port: int) -> None:
    case = Case(None, None, None, True, frozenset({"ollama"}))
    done = run(case, "roof garden", madspark_simulator, refused_port, "--json", "--verbose")
    answer = json.loads(done.stdout)
    requests = len([request for request in madspark_simulator.requests if request.provider == "gemini"])
    assert [(one["provider"], one["answers"]) for one in answer["served_by"]] == [("gemini", requests)]
    assert answer["calls"] == answer["spent"]["calls"] == requests
    assert answer["cost"] == pytest.approx(answer["metrics"]["total_cost"])
    assert answer["cost"] > 0
    assert answer["tokens"] == answer["metrics"]["total_tokens"]
    assert [one["idea"] for one in answer["results"]] == [one["idea"] for one in answer["candidates"]]
    assert f"madspark: {requests} calls, 0 from the cache, 0 failed, " in done.stderr


def test_answers_from_the_cache_are_reported(madspark_simulator: Simulator, refused_port: int, tmp_path: Path) -> None:
    case = Case("ollama", None, None, False, frozenset())
    variables = {"MADSPARK_CACHE_ENABLED": "yes", "MADSPARK_CACHE_DIR": str(tmp_path)}
    ends = []
    # Samples differ by default, so only `--cache` answers the repeated run.
    for flags in ((), ("--cache",), ("--cache",), ("--no-cache",)):
        madspark_simulator.clear()
        done = run(case, "roof garden", madspark_simulator, refused_port, *flags, **variables)
        requests = len(madspark_simulator.requests)
        assert done.returncode == 0, done.stderr
        ends.append((requests > 0, summary(done.stdout)))
    assert [is_sent for is_sent, _ in ends] == [True, True, False, True]
    assert re.fullmatch(
        r"Answered by Ollama gemma3:12b \((\d+) answers, \1 from the cache\)\. 0 requests, 0 tokens, 0\.0000 USD\.",
        ends[2][1],
    )
    assert "cache" not in ends[1][1] + ends[3][1]
    done = run(case, "roof garden", madspark_simulator, refused_port, "--cache", "--json", **variables)
    answer = json.loads(done.stdout)
    assert answer["calls"] == 0 < answer["served_by"][0]["cached"] == answer["spent"]["cached"]


class AnnouncedFirst(BaseHTTPRequestHandler):
    """A Gemini that notes what the command had written when its first request arrived."""

    stderr = -1
    written: bytes | None = None

    def do_POST(self) -> None:  # the name that the standard library calls
        cls = type(self)
        if cls.written is None:
            cls.written = b""
            while b"\n" not in cls.written[cls.written.rfind(b"using Gemini") + 1 :]:
                try:
                    cls.written += os.read(cls.stderr, 65536)
                except BlockingIOError:
                    break
        self.send_error(400)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the signature of the base
        """Log nothing."""


@pytest.mark.skipif(sys.platform == "win32", reason="reads a pipe without blocking")
def test_the_announcement_is_written_before_the_request_leaves(
    madspark_simulator: Simulator, refused_port: int
) -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    AnnouncedFirst.stderr, AnnouncedFirst.written = reader, None
    case = Case(None, None, None, True, frozenset({"ollama"}))
    with ThreadingHTTPServer(("127.0.0.1", 0), AnnouncedFirst) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_address[1]}/v1beta"
        try:
            done = subprocess.run(  # noqa: S603  # our own command
                command(case, "roof garden"),
                env=environment(case, madspark_simulator, refused_port, GEMINI_BASE_URL=base),
                stdout=subprocess.DEVNULL,
                stderr=writer,
                check=False,
                timeout=LIMIT,
            )
        finally:
            server.shutdown()
            os.close(writer)
            os.close(reader)
    assert done.returncode == 1
    assert AnnouncedFirst.written is not None
    assert b"using Gemini (gemini-3-flash-preview) instead of Ollama: could not connect" in AnnouncedFirst.written
