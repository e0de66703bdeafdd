"""The load test: more than a hundred concurrent workflows, and accounting that detects wrong figures."""

from __future__ import annotations

import asyncio
import random
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from madspark import AsyncCoordinator, LLMRouter

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark.testing import Simulator

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the memory is read from /proc")


def test_more_than_a_hundred_workflows_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benches.load", "--runs", "130", "--at-once", "110", "--seed", "11"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "130 workflows, at most 110 at once: " in done.stdout
    figures = [int(figure) for figure in re.findall(r"(?m)^(\d+)", done.stdout)]
    _, requests, _, tokens = figures
    assert requests > 500
    assert tokens > 100_000
    assert done.stdout.endswith("the metrics of every router match the wire\n")


@pytest.fixture
def settle(
    madspark_simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[Any, Any], None]], list[str]]:
    """Run two workflows, change their entries, and return the problems that the accounting reports."""
    monkeypatch.syspath_prepend(ROOT)
    from benches.load_accounting import Accounting, Choice, Entry, as_json

    plain: dict[str, Any] = {"provider": "gemini", "tier": "fast", "fallback": False, "cache": False, "mode": "batch"}
    plain |= {"enhanced": False, "fault": None, "impatient": False}

    def one(number: int) -> Entry:
        choice = replace(Choice.generate(number, random.Random(number)), tenant=number, **plain)  # noqa: S311
        router = choice.router(madspark_simulator, str(tmp_path))
        run = AsyncCoordinator(router=router).run(f"{choice.tag} shade", mode="batch")
        return Entry(choice, router, choice.tier, "ok", as_json(asyncio.run(run).to_dicts()))

    def settled(spoil: Callable[[Any, Any], None]) -> list[str]:
        first, second = one(1), one(2)
        spoil(first, second)
        accounting = Accounting()
        accounting.check(madspark_simulator, [first, second])
        return accounting.problems

    return settled


def test_correct_entries_have_no_problems(settle: Callable[..., list[str]]) -> None:
    assert settle(lambda _first, _second: None) == []


def test_missing_counts_are_detected(settle: Callable[..., list[str]]) -> None:
    def spoil(first: Any, _second: Any) -> None:
        first.router = LLMRouter(config=first.router.config)

    calls, tokens = [problem.partition(": ")[2] for problem in settle(spoil)]
    assert calls == "its router counts 0 to gemini, the wire 4"
    assert tokens.startswith("its router counts 0 tokens, the wire ")


def test_tokens_of_another_router_are_detected(settle: Callable[..., list[str]]) -> None:
    def spoil(first: Any, second: Any) -> None:
        counts = {**first.router.get_metrics(), "total_tokens": second.router.get_metrics()["total_tokens"] + 1}
        first.router = SimpleNamespace(get_metrics=lambda: counts)

    [problem] = settle(spoil)
    assert "tokens, the wire " in problem


def test_words_of_another_workflow_are_detected(settle: Callable[..., list[str]]) -> None:
    def spoil(first: Any, second: Any) -> None:
        first.results += second.choice.tag.encode()

    [problem] = settle(spoil)
    assert problem.endswith("its results mention ['zqcaaaaa']")


def test_a_request_of_two_workflows_is_detected(settle: Callable[..., list[str]]) -> None:
    def spoil(first: Any, second: Any) -> None:
        first.router.generate(f"{first.choice.tag} and {second.choice.tag}", force_provider="gemini")

    problems = settle(spoil)
    assert problems[0] == "a request to gemini-01 mentions ['zqbaaaaa', 'zqcaaaaa']"


def test_a_key_of_another_tenant_is_detected(settle: Callable[..., list[str]]) -> None:
    def spoil(first: Any, _second: Any) -> None:
        first.choice = replace(first.choice, tenant=9)
        # The same models, so that its requests are found.
        object.__setattr__(first.choice, "model", lambda provider, _tier: f"{provider}-01")

    assert {problem.partition(": ")[2] for problem in settle(spoil)} == {"a request to gemini has another tenant's key"}


def test_a_repeat_that_sends_requests_is_detected(settle: Callable[..., list[str]]) -> None:
    def spoil(first: Any, _second: Any) -> None:
        first.is_repeat = True

    assert [problem.partition(": ")[2] for problem in settle(spoil)] == ["the repeat sent 4 requests"]


def test_growing_memory_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    from benches.load import GROWTH, grown

    assert grown([100.0] * 8) is None
    assert grown([10.0, 50.0, 90.0, *[100.0] * 6]) == 1
    growth = grown([100.0 + 20 * at for at in range(12)])
    assert growth is not None
    assert growth > GROWTH
