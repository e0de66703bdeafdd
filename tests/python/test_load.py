"""The load test: more than a hundred workflows at once, and books that catch what is put wrong in them."""

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
    assert done.stdout.endswith("every router's figures are the wire's\n")


@pytest.fixture
def settle(
    madspark_simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[Any, Any], None]], list[str]]:
    """Run two workflows, change their entries, and return what the books object to."""
    monkeypatch.syspath_prepend(ROOT)
    from benches.load_books import Books, Choice, Entry, as_told

    plain: dict[str, Any] = {"provider": "gemini", "tier": "fast", "fallback": False, "cache": False, "mode": "batch"}
    plain |= {"enhanced": False, "fault": None, "impatient": False}

    def one(number: int) -> Entry:
        choice = replace(Choice.drawn(number, random.Random(number)), tenant=number, **plain)  # noqa: S311
        router = choice.router(madspark_simulator, str(tmp_path))
        run = AsyncCoordinator(router=router).run(f"{choice.tag} shade", mode="batch")
        return Entry(choice, router, choice.tier, "ok", as_told(asyncio.run(run).to_dicts()))

    def settled(spoil: Callable[[Any, Any], None]) -> list[str]:
        first, second = one(1), one(2)
        spoil(first, second)
        books = Books()
        books.settle(madspark_simulator, [first, second])
        return books.wrong

    return settled


def test_books_that_are_right(settle: Callable[..., list[str]]) -> None:
    assert settle(lambda _first, _second: None) == []


def test_a_router_that_counts_too_little(settle: Callable[..., list[str]]) -> None:
    def spoil(first: Any, _second: Any) -> None:
        first.router = LLMRouter(config=first.router.config)

    calls, tokens = [what.partition(": ")[2] for what in settle(spoil)]
    assert calls == "its router counts 0 to gemini, the wire 4"
    assert tokens.startswith("its router counts 0 tokens, the wire ")


def test_a_router_that_counts_tokens_of_another(settle: Callable[..., list[str]]) -> None:
    def spoil(first: Any, second: Any) -> None:
        counts = {**first.router.get_metrics(), "total_tokens": second.router.get_metrics()["total_tokens"] + 1}
        first.router = SimpleNamespace(get_metrics=lambda: counts)

    [objection] = settle(spoil)
    assert "tokens, the wire " in objection


def test_words_of_another_workflow(settle: Callable[..., list[str]]) -> None:
    def spoil(first: Any, second: Any) -> None:
        first.told += second.choice.tag.encode()

    [objection] = settle(spoil)
    assert objection.endswith("its results speak of ['zqcaaaaa']")


def test_a_request_of_two_workflows(settle: Callable[..., list[str]]) -> None:
    def spoil(first: Any, second: Any) -> None:
        first.router.generate(f"{first.choice.tag} and {second.choice.tag}", force_provider="gemini")

    objections = settle(spoil)
    assert objections[0] == "a request to gemini-01 speaks of ['zqbaaaaa', 'zqcaaaaa']"


def test_a_key_of_another_tenant(settle: Callable[..., list[str]]) -> None:
    def spoil(first: Any, _second: Any) -> None:
        first.choice = replace(first.choice, tenant=9)
        # The same model, so that its requests are found.
        object.__setattr__(first.choice, "model", lambda provider, _tier: f"{provider}-01")

    assert {what.partition(": ")[2] for what in settle(spoil)} == {"a request to gemini has another key"}


def test_an_answer_from_a_cache_that_sent_requests(settle: Callable[..., list[str]]) -> None:
    def spoil(first: Any, _second: Any) -> None:
        first.recalled = True

    assert [what.partition(": ")[2] for what in settle(spoil)] == ["asked again, it sent 4 requests"]


def test_memory_that_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    from benches.load import GROWTH, grown

    assert grown([100.0] * 8) is None
    assert grown([10.0, 50.0, 90.0, *[100.0] * 6]) == 1
    growth = grown([100.0 + 20 * at for at in range(12)])
    assert growth is not None
    assert growth > GROWTH
