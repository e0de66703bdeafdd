"""Batches of structured calls: order, concurrency, summed-up responses, failures and cancellation."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from madspark import AllProvidersFailedError, SchemaValidationError
from madspark.llm.exceptions import ProviderUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import LLMRouter
    from madspark.testing import Simulator


class Note(BaseModel):
    """The schema of the batch."""

    text: str


def prompts(count: int) -> list[str]:
    return [f"prompt-{index:02}." for index in range(count)]


def answer_each(simulator: Simulator, count: int, **rule: Any) -> None:
    """Answer each prompt with its own text."""
    for prompt in prompts(count):
        simulator.on(contains=prompt, json={"text": prompt}, **rule)


async def test_values_are_in_the_order_of_the_prompts(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    # The first calls are slow, so that later ones finish before them.
    for index, prompt in enumerate(prompts(12)):
        madspark_simulator.on(contains=prompt, json={"text": prompt}, latency=0.15 if index < 3 else 0.0)
    router = madspark_router()
    async with asyncio.timeout(10):
        values, response = await router.agenerate_structured_batch(prompts(12), Note)
    assert [value.text for value in values] == prompts(12)
    finished = sorted(madspark_simulator.requests, key=lambda request: request.finished or 0.0)
    assert finished[0].prompt not in prompts(3)
    assert [entry["text"] for entry in json.loads(response.text)] == prompts(12)


def test_the_response_sums_up_the_batch(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    answer_each(madspark_simulator, 4)
    router = madspark_router(primary_provider="gemini")
    values, response = router.generate_structured_batch(prompts(4), Note, "Be brief.", 0.5, token_budget=300)
    singles = [router.generate_structured(prompt, Note, "Be brief.", 0.5, token_budget=300) for prompt in prompts(4)]
    assert values == [value for value, _ in singles]
    assert response.tokens_used == sum(single.tokens_used for _, single in singles)
    assert response.cost == pytest.approx(sum(single.cost or 0.0 for _, single in singles))
    assert (response.cost or 0.0) > 0
    assert (response.provider, response.model) == ("gemini", "gemini-3-flash-preview")
    assert [attempt.ok for attempt in response.attempts] == [True] * 4
    assert response.latency_ms > 0
    sent = sorted(request.body for request in madspark_simulator.requests)
    assert sent[::2] == sent[1::2]
    assert router.get_metrics()["total_requests"] == 8


def test_the_response_lists_each_provider_once_and_has_no_cost_if_one_is_unknown(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("openai", contains="prompt-01.", status=503)
    _, response = madspark_router(primary_provider="openai", fallback_enabled=True).generate_structured_batch(
        prompts(3), Note
    )
    assert (response.provider, response.model) == ("openai,ollama", "simulated,gemma3:12b")
    assert response.cost is None
    assert len(response.attempts) == 4


async def test_an_empty_batch_sends_nothing(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router()
    for values, response in (
        router.generate_structured_batch([], Note),
        await router.agenerate_structured_batch([], Note),
    ):
        assert values == []
        assert (response.text, response.tokens_used, response.cost, response.attempts) == ("[]", 0, 0.0, ())
    assert madspark_simulator.requests == []


@pytest.mark.parametrize(
    ("given", "expected", "words"),
    [
        ("one prompt", TypeError, "list of strings"),
        (("a", "b"), TypeError, "tuple"),
        (None, TypeError, "NoneType"),
        (["a", 1], TypeError, r"prompts\[1\]"),
        (["a", None], TypeError, r"prompts\[1\]"),
        (["a", " "], ValueError, r"prompts\[1\] must not be blank"),
        (["a", "b", "x" * 100_001], ValueError, r"prompts\[2\] has 100001"),
    ],
)
async def test_invalid_prompts_are_rejected_before_anything_is_sent(
    given: Any,
    expected: type[Exception],
    words: str,
    madspark_router: Callable[..., LLMRouter],
    madspark_simulator: Simulator,
) -> None:
    with pytest.raises(expected, match=words):
        madspark_router().generate_structured_batch(given, Note)
    with pytest.raises(expected, match=words):
        await madspark_router().agenerate_structured_batch(given, Note)
    assert madspark_simulator.requests == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"schema": "Note"}, TypeError),
        ({"schema": BaseModel}, TypeError),
        ({"schema": {"type": "nothing"}}, ValueError),
        ({"temperature": 3.0}, ValueError),
        ({"force_provider": "nobody"}, ValueError),
        ({"files": ["/no/such/file.png"]}, FileNotFoundError),
    ],
)
def test_invalid_arguments_are_rejected_before_anything_is_sent(
    arguments: dict[str, Any],
    expected: type[Exception],
    madspark_router: Callable[..., LLMRouter],
    madspark_simulator: Simulator,
) -> None:
    with pytest.raises(expected):
        madspark_router().generate_structured_batch(prompts(3), **{"schema": Note, **arguments})
    assert madspark_simulator.requests == []


async def test_one_failure_cancels_the_others(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on(contains="prompt-01.", status=503)
    madspark_simulator.on(fault="stall")
    router = madspark_router(primary_provider="ollama", fallback_enabled=False, max_attempts=1)
    async with asyncio.timeout(10):
        with pytest.raises(ProviderUnavailableError) as caught:
            await router.agenerate_structured_batch(prompts(4), Note)
    assert isinstance(caught.value, AllProvidersFailedError)
    assert caught.value.prompt == "prompt-01."
    # The other calls have closed their connections; none continues in the background.
    waiting = len(madspark_simulator.requests) - 1
    assert await madspark_simulator.await_hang_ups(waiting)
    assert madspark_simulator.in_flight == 0
    assert router.get_metrics()["failed_requests"] == 1


async def test_cancelling_the_batch_cancels_every_call(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on(fault="stall")
    task = asyncio.create_task(madspark_router().agenerate_structured_batch(prompts(5), Note))
    assert await madspark_simulator.await_requests(5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await madspark_simulator.await_hang_ups(5)
    assert len(madspark_simulator.requests) == 5


def test_an_invalid_reply_affects_only_its_own_prompt(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on(contains="prompt-01.", json={"text": [1, 2]}, times=1)
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    values, response = router.generate_structured_batch(prompts(3), Note)
    assert len(values) == 3
    assert sorted(str(attempt.error) for attempt in response.attempts) == ["None"] * 3 + ["invalid_output"]
    madspark_simulator.on(contains="prompt-01.", json={"text": [1, 2]})
    with pytest.raises(SchemaValidationError) as caught:
        router.generate_structured_batch(prompts(3), Note)
    assert getattr(caught.value, "prompt", None) == "prompt-01."


async def test_at_most_ten_calls_are_in_flight(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.set_latency(0.05)
    answer_each(madspark_simulator, 35)
    async with asyncio.timeout(20):
        values, _ = await madspark_router().agenerate_structured_batch(prompts(35), Note)
    assert [value.text for value in values] == prompts(35)
    assert madspark_simulator.max_in_flight == 10


async def test_the_synchronous_method_works_under_a_running_loop(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    answer_each(madspark_simulator, 3)
    router = madspark_router()
    inside, _ = router.generate_structured_batch(prompts(3), Note)
    outside, _ = await asyncio.to_thread(router.generate_structured_batch, prompts(3), Note)
    awaited, _ = await router.agenerate_structured_batch(prompts(3), Note)
    assert inside == outside == awaited == [Note(text=prompt) for prompt in prompts(3)]
