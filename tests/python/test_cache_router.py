"""The response cache through a router: what is answered from it, what is not, and who shares what."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from madspark import LLMConfig, LLMRouter
from madspark.llm import cache
from wire import questions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from madspark.testing import Simulator

pytestmark = pytest.mark.cache


class Answer(BaseModel):
    name: str


class Longer(BaseModel):
    name: str
    reason: str


@pytest.fixture
def make(madspark_router: Callable[..., LLMRouter], tmp_path: Path) -> Callable[..., LLMRouter]:
    """Routers with a cache of this test's own."""

    def router(**choices: Any) -> LLMRouter:
        settings = {"cache_enabled": True, "cache_dir": tmp_path / "cache", "primary_provider": "ollama"}
        return madspark_router(**{**settings, **choices})

    return router


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop go on until `condition` holds."""
    while not condition():  # noqa: ASYNC110  # the simulator has no event for it
        await asyncio.sleep(0.01)


def test_the_same_question_is_answered_once(make: Callable[..., LLMRouter], madspark_simulator: Simulator) -> None:
    router = make()
    value, first = router.generate_structured("q", Answer)
    same, second = router.generate_structured("q", Answer)
    assert same == value
    assert (first.cached, second.cached) == (False, True)
    assert (second.text, second.provider, second.model) == (first.text, first.provider, first.model)
    assert second.attempts == ()
    assert second.cost == 0.0
    assert len(questions(madspark_simulator)) == 1
    metrics = router.get_metrics()
    assert (metrics["total_requests"], metrics["cache_hits"], metrics["cache_hit_rate"]) == (2, 1, 0.5)


async def test_text_and_coroutines_too(make: Callable[..., LLMRouter], madspark_simulator: Simulator) -> None:
    router = make()
    text, _ = router.generate("q")
    assert (await router.agenerate("q"))[0] == text
    [again] = (await router.agenerate_structured_batch(["x"], Answer))[0]
    assert (await router.agenerate_structured("x", Answer))[0] == again
    assert len(questions(madspark_simulator)) == 2


def test_another_router_shares_it_and_one_with_another_folder_does_not(
    make: Callable[..., LLMRouter], madspark_simulator: Simulator, tmp_path: Path
) -> None:
    make().generate("q")
    assert make().generate("q")[1].cached
    assert not make(cache_dir=tmp_path / "other").generate("q")[1].cached
    assert len(questions(madspark_simulator)) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"ollama_model_balanced": "another"},
        {"model_tier": "fast"},
        {"ollama_num_ctx": 4096},
        {"primary_provider": "gemini"},
    ],
    ids=str,
)
def test_another_model_is_another_question(
    other: dict[str, Any], make: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    make().generate("q")
    assert not make(**other).generate("q")[1].cached
    assert len(questions(madspark_simulator)) == 2


def test_two_tenants_never_share_an_answer(make: Callable[..., LLMRouter], madspark_simulator: Simulator) -> None:
    for key in ("key-of-the-first-tenant-0", "key-of-the-second-tenant"):
        assert not make(primary_provider="gemini", gemini_api_key=key).generate("q")[1].cached
    assert len(questions(madspark_simulator)) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"prompt": "another"},
        {"system_instruction": "Be brief."},
        {"temperature": 0.3},
        {"token_budget": 50},
        {"schema": Longer},
        {"images": [b"\x89PNG\r\n\x1a\n" + b"\0" * 32]},
        {"files": [b"some text"]},
    ],
    ids=lambda other: next(iter(other)),
)
def test_another_argument_is_another_question(
    other: dict[str, Any], make: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = make()
    arguments: dict[str, Any] = {"prompt": "q", "schema": Answer}
    router.generate_structured(**arguments)
    assert not router.generate_structured(**{**arguments, **other})[1].cached
    assert router.generate_structured(**{**arguments, **other})[1].cached
    assert len(questions(madspark_simulator)) == 2


def test_a_call_may_do_without_it(make: Callable[..., LLMRouter], madspark_simulator: Simulator) -> None:
    router = make()
    assert not router.generate("q", use_cache=False)[1].cached
    assert not router.generate("q")[1].cached, "nothing was kept"
    assert not router.generate("q", use_cache=False)[1].cached
    assert router.generate("q")[1].cached
    off = make(cache_enabled=False)
    assert not off.generate("q")[1].cached
    assert off.generate("q", use_cache=True)[1].cached
    assert len(questions(madspark_simulator)) == 4


def test_a_stream_never_uses_it(make: Callable[..., LLMRouter], madspark_simulator: Simulator) -> None:
    router = make()
    router.generate("q")
    assert "".join(router.stream("q"))
    assert len(questions(madspark_simulator)) == 2


def test_what_is_too_old_is_asked_anew(make: Callable[..., LLMRouter], madspark_simulator: Simulator) -> None:
    make().generate("q")
    assert not make(cache_ttl_seconds=1e-9).generate("q")[1].cached
    assert len(questions(madspark_simulator)) == 2


def test_an_answer_that_was_not_taken_is_not_kept(
    make: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = make(max_attempts=2)
    madspark_simulator.on(json={"name": 1}, times=1)
    madspark_simulator.on(json={"name": "right"})
    assert router.generate_structured("q", Answer)[0].name == "right"
    value, response = router.generate_structured("q", Answer)
    assert (value.name, response.cached) == ("right", True)


def test_an_answer_that_does_not_fit_any_more_is_forgotten(
    make: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    """A validator in Python is no part of the schema: it may judge otherwise than when the answer was kept."""
    from pydantic import field_validator

    refused: set[str] = set()

    class Judged(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def check(cls, name: str) -> str:
            if name in refused:
                raise ValueError("not this one")
            return name

    router = make()
    madspark_simulator.on(json={"name": "old"}, times=1)
    assert router.generate_structured("q", Judged)[0].name == "old"
    refused.add("old")
    madspark_simulator.on(json={"name": "new"}, times=1)
    value, response = router.generate_structured("q", Judged)
    assert (value.name, response.cached) == ("new", False)
    assert router.generate_structured("q", Judged)[0].name == "new"


async def test_a_thousand_identical_calls_reach_the_provider_once(
    make: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = make()
    madspark_simulator.set_latency(0.2)
    answers = await asyncio.gather(*(router.agenerate("q") for _ in range(1000)))
    assert len({text for text, _ in answers}) == 1
    assert len(questions(madspark_simulator)) == 1


async def test_the_last_of_a_thousand_is_served_and_with_the_last_the_call_ends(
    make: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = make()
    madspark_simulator.set_latency(0.3)
    calls = [asyncio.ensure_future(router.agenerate("q")) for _ in range(1000)]
    await until(lambda: len(questions(madspark_simulator)) >= 1)
    for call in calls[:-1]:
        call.cancel()
    assert (await calls[-1])[0]
    assert len(questions(madspark_simulator)) == 1

    madspark_simulator.set_latency(60.0)
    last = [asyncio.ensure_future(router.agenerate("another")) for _ in range(10)]
    await until(lambda: len(questions(madspark_simulator)) >= 2)
    for call in last:
        call.cancel()
    assert await asyncio.to_thread(madspark_simulator.wait_for_hang_ups, 1)


_ASK = """
import sys
from madspark import LLMConfig, LLMRouter
router = LLMRouter("ollama", False, config=LLMConfig(ollama_host=sys.argv[1], cache_dir=sys.argv[2]))
for turn in range(30):
    question = f"question {(turn + int(sys.argv[3]) * 4) % 30}"
    text, _ = router.generate(question)
    assert text
    print(question, "|", text.replace("\\n", " "))
"""


def test_eight_processes_share_one_folder(madspark_simulator: Simulator, tmp_path: Path) -> None:
    arguments = [madspark_simulator.ollama_url, str(tmp_path / "cache")]
    children = [
        subprocess.Popen(  # noqa: S603  # our own source
            [sys.executable, "-c", _ASK, *arguments, str(number)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env={"HOME": os.environ["HOME"]},
        )
        for number in range(8)
    ]
    answers: dict[str, set[str]] = {}
    for child in children:
        out, err = child.communicate(timeout=120)
        assert (child.returncode, err) == (0, "")
        for line in out.splitlines():
            question, _, text = line.partition(" | ")
            answers.setdefault(question, set()).add(text)
    assert len(answers) == 30
    assert cache.stats(LLMConfig(cache_dir=tmp_path / "cache"))["disk_entries"] == 30
