"""Problems that users of other routers report, as numbered tests.

All 38 problems (without 26 and 27, which concern caches) and their tests:

 1  test_stream_faults.py::test_faults_after_the_first_text_with_restart
 2  test_stream_faults.py::test_faults_before_the_first_text
 3  test_known_problems_router.py::test_problem_03_without_fallback_a_stream_uses_one_provider
 4  test_known_problems_router.py::test_problem_04_each_status_is_retried_or_falls_back
 5  test_known_problems_router.py::test_problem_05_max_attempts_covers_retries_and_fallbacks
 5  test_known_problems_router.py::test_problem_05_the_deadline_covers_retries_and_fallbacks
 6  test_known_problems_router.py::test_problem_06_no_hidden_layer_sends_a_second_request
 7  test_known_problems_router.py::test_problem_07_a_longer_cooldown_is_never_shortened
 7  test_known_problems_router.py::test_problem_07_repeated_failures_open_the_breaker
 7  test_known_problems_router.py::test_problem_07_a_recovering_target_is_probed_by_one_call
 8  test_known_problems_router.py::test_problem_08_a_call_waits_for_the_first_target_that_is_ready
 8  test_known_problems_router.py::test_problem_08_the_error_reports_when_each_target_is_ready
 9  test_known_problems_router.py::test_problem_09_an_unreachable_first_target_does_not_slow_later_calls
10  test_router_limits.py::test_the_concurrency_limit_holds_across_all_routers_of_a_key
11  test_known_problems_router.py::test_problem_11_routers_of_a_process_share_the_state_of_targets
12  test_known_problems_router.py::test_problem_12_ten_thousand_routers_leave_nothing_behind
12  test_isolation_construction.py::test_construction_reads_no_environment_and_opens_no_socket_and_no_thread
13  test_router_types.py::test_schemas_of_many_requests_do_not_accumulate
13  test_cancel_ten_thousand.py::test_ten_thousand_cancelled_calls_leave_nothing_behind
14  test_bridge_lazy.py::test_importing_opens_nothing_and_imports_little
15  test_bridge_cancel.py::test_cancelling_a_task_cancels_the_call
16  test_isolation_runs.py::test_one_router_and_one_coordinator_on_20_event_loops
16  test_bridge_concurrency.py::test_uvloop_runs_and_cancels_calls
17  test_bridge_exit.py::test_a_script_ends_without_output_on_standard_error
18  test_bridge_fork.py::test_calls_work_in_parent_and_child
19  test_known_problems_router.py::test_problem_19_the_response_names_the_model_that_answered
20  test_known_problems_router.py::test_problem_20_no_token_is_counted_twice
20  test_known_problems_router.py::test_problem_20_an_unknown_price_is_not_zero
21  test_known_problems_router.py::test_problem_21_failed_and_repaired_attempts_are_included_in_the_cost
22  test_known_problems_router.py::test_problem_22_each_time_limit_of_a_stream_has_its_own_error_class
22  test_known_problems_router.py::test_problem_22_a_stalled_provider_is_cancelled_at_the_deadline
23  test_known_problems_router.py::test_problem_23_a_stream_without_an_end_is_a_failure
24  test_known_problems_router.py::test_problem_24_a_prompt_too_long_for_one_model_falls_back_without_a_request
25  test_known_problems_router.py::test_problem_25_a_refusal_falls_back_only_if_configured
28  test_known_problems_router.py::test_problem_28_only_one_package_is_needed
29  test_known_problems_structured.py::test_problem_29_after_a_rejection_schemas_are_sent_in_a_simpler_form
30  test_known_problems_structured.py::test_problem_30_reasoning_that_uses_up_the_output_is_disabled_once
30  test_known_problems_structured.py::test_problem_30_a_stop_without_text_is_an_error
31  test_known_problems_structured.py::test_problem_31_an_exhausted_daily_quota_affects_only_its_key
31  test_known_problems_structured.py::test_problem_31_a_retry_delay_in_the_body_is_respected
32  test_known_problems_structured.py::test_problem_32_a_schema_is_sent_without_think
33  test_known_problems_structured.py::test_problem_33_ollama_receives_only_supported_keywords
33  test_known_problems_structured.py::test_problem_33_a_grammar_that_failed_is_not_requested_again
34  test_schema_forms.py::test_a_cloud_model_of_ollama_gets_the_schema_in_the_prompt_and_is_validated
34  test_known_problems_structured.py::test_problem_34_a_cloud_model_that_ignores_the_schema_repairs_its_reply
35  test_router_repair.py::test_after_a_failed_repair_the_next_provider_gets_the_original_request
35  test_known_problems_structured.py::test_problem_35_an_ignored_schema_has_its_own_error_class
36  test_stream_structured.py::test_partial_objects_contain_no_unfinished_value
36  test_stream_structured.py::test_closed_fields_are_returned_before_the_end
37  test_router_options.py::test_the_context_window_fits_the_prompt
37  test_known_problems_ollama.py::test_problem_37_a_truncated_prompt_is_sent_again_with_a_larger_window
38  test_known_problems_ollama.py::test_problem_38_loading_a_model_has_its_own_timeout
38  test_known_problems_ollama.py::test_problem_38_a_slow_load_does_not_open_the_breaker
"""

from __future__ import annotations

import ast
import asyncio
import gc
import json
import os
import re
import sys
import tomllib
import weakref
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from pydantic import BaseModel

from madspark import (
    AllProvidersFailedError,
    ContentRefusedError,
    DeadlineExceededError,
    LLMProviderError,
    ProviderTimeoutError,
)
from wire import called_providers, gaps, model_requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import LLMRouter
    from madspark.testing import Simulator

PROVIDERS = ["ollama", "gemini", "openai", "anthropic"]

# A Retry-After, so that no test waits for a longer pause.
SOON = {"retry-after": "0.01"}
LATER = {"retry-after": "50"}

FAILING = {"status": 500, "headers": SOON}


class Idea(BaseModel):
    """The requested output."""

    title: str
    score: int


def plan(first: str) -> list[str]:
    """Return the order of the providers if `first` is pinned."""
    return [first, *(name for name in ("ollama", "gemini") if name != first)]


def test_every_problem_has_a_test() -> None:
    here = Path(__file__).parent
    rows = re.findall(r"(?m)^ ?(\d+)  (\w+\.py)::(\w+)$", __doc__ or "")
    assert {int(number) for number, _, _ in rows} == set(range(1, 39)) - {26, 27}
    for _, file, name in rows:
        assert re.search(rf"(?m)^(async )?def {name}\(", (here / file).read_text(encoding="utf-8")), f"{file}::{name}"
    named = {(int(number), file) for number, file, _ in rows}
    for path in here.glob("test_known_problems_*.py"):
        numbers = re.findall(r"def test_problem_(\d\d)_\w+\(", path.read_text(encoding="utf-8"))
        assert {(int(number), path.name) for number in numbers} <= named


@pytest.mark.parametrize("begun", [False, True])
async def test_problem_03_without_fallback_a_stream_uses_one_provider(
    begun: bool, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    piece = 'data: {"choices":[{"delta":{"content":"Once upon"}}]}\n\n'
    madspark_simulator.on("openai", pieces=[piece] if begun else [": hello\n\n"], fault="truncate")
    router = madspark_router(primary_provider="openai", fallback_enabled=False, max_attempts=2)
    with pytest.raises(LLMProviderError) as caught:
        _ = [event async for event in router.astream("hello", on_stream_error="restart")]
    assert called_providers(madspark_simulator) == ["openai", "openai"]
    assert [attempt.error for attempt in caught.value.attempts] == ["disconnected", "disconnected"]


# Tried once, followed by the next target at once.
FINAL: dict[str, dict[str, Any]] = {
    "400": {"status": 400},
    "401": {"status": 401},
    "402": {"status": 402},
    "403": {"status": 403},
    "404": {"status": 404},
    "404 of a model": {"status": 404, "body": {"error": {"message": "model 'x' not found"}}},
    "405": {"status": 405},
    "413": {"status": 413},
    "422": {"status": 422},
}
# Tried once more without the parameter.
PARAMETER: dict[str, dict[str, Any]] = {
    "400 of a parameter": {"status": 400, "body": {"error": {"message": "unsupported parameter: temperature"}}},
}
# Tried three times if no other target answers.
PASSING: dict[str, dict[str, Any]] = {
    str(status): {"status": status, "headers": SOON} for status in (429, 500, 502, 503, 504, 529)
}


@pytest.mark.parametrize("name", [*FINAL, *PARAMETER, *PASSING])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_problem_04_each_status_is_retried_or_falls_back(
    provider: str, name: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on(provider, **{**FINAL, **PARAMETER, **PASSING}[name])
    # No other target answers, and no other one is retried.
    madspark_simulator.on(status=400)
    router = madspark_router(primary_provider=provider, fallback_enabled=True, max_attempts=10)
    with pytest.raises(AllProvidersFailedError) as caught:
        router.generate("hello")
    again = [provider] * 2 if name in PASSING else [provider] if name in PARAMETER else []
    sent = called_providers(madspark_simulator)
    first = [provider] if name in PARAMETER else []
    assert sent[: len(first) + 2] == [*first, *plan(provider)[:2]]
    assert Counter(sent) == Counter(plan(provider) + again)
    assert [attempt.provider for attempt in caught.value.attempts] == sent


@pytest.mark.parametrize("name", PASSING)
def test_problem_04_a_single_target_may_recover(
    name: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("openai", times=2, **PASSING[name])
    router = madspark_router(primary_provider="openai", fallback_enabled=False)
    _, response = router.generate("hello")
    assert called_providers(madspark_simulator) == ["openai"] * 3
    assert [attempt.ok for attempt in response.attempts] == [False, False, True]


@pytest.mark.parametrize("fault", ["disconnect", "malformed"])
def test_problem_04_failures_without_a_status_are_retried(
    fault: Any, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("openai", fault=fault, times=1)
    _, response = madspark_router(primary_provider="openai", fallback_enabled=False).generate("hello")
    assert [attempt.ok for attempt in response.attempts] == [False, True]
    assert called_providers(madspark_simulator) == ["openai"] * 2


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 6, 50])
@pytest.mark.parametrize("structured", [False, True])
def test_problem_05_max_attempts_covers_retries_and_fallbacks(
    limit: int, structured: bool, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on(**FAILING)  # type: ignore[arg-type]  # a dictionary of mixed values
    router = madspark_router(primary_provider="openai", fallback_enabled=True, max_attempts=limit)
    with pytest.raises(AllProvidersFailedError) as caught:
        _ = router.generate_structured("hello", Idea) if structured else router.generate("hello")
    sent = called_providers(madspark_simulator)
    # Three targets with three attempts each.
    assert len(sent) == min(limit, 9)
    assert sent[:2] == plan("openai")[:2][:limit]
    assert max(Counter(sent).values()) <= 3
    assert [attempt.provider for attempt in caught.value.attempts] == sent


def test_problem_05_every_target_is_tried_before_any_is_retried(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("openai", **FAILING)  # type: ignore[arg-type]  # a dictionary of mixed values
    madspark_simulator.on("ollama", status=500, latency=0.1)
    router = madspark_router(primary_provider="openai", fallback_enabled=True, max_attempts=3)
    _, response = router.generate("hello")
    assert called_providers(madspark_simulator) == plan("openai")
    assert response.provider == "gemini"


def test_problem_05_max_attempts_covers_repairs(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on(json={"name": 1})
    router = madspark_router(primary_provider="openai", fallback_enabled=True, max_attempts=3)
    with pytest.raises(AllProvidersFailedError):
        router.generate_structured("hello", Idea)
    # Two attempts at the first, the second of which is the repair; one at the next.
    assert called_providers(madspark_simulator) == ["openai", "openai", "ollama"]


async def test_problem_05_the_deadline_covers_retries_and_fallbacks(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("openai", status=503, headers=LATER)
    madspark_simulator.on("ollama", **FAILING)  # type: ignore[arg-type]  # a dictionary of mixed values
    madspark_simulator.on("gemini", fault="stall")
    router = madspark_router(primary_provider="openai", fallback_enabled=True, deadline=0.3)
    async with asyncio.timeout(10):
        with pytest.raises(DeadlineExceededError) as caught:
            await router.agenerate("hello")
    assert called_providers(madspark_simulator) == ["openai", "ollama", "gemini"]
    assert [attempt.error for attempt in caught.value.attempts] == ["overloaded", "server", "deadline_reached"]
    assert await madspark_simulator.await_hang_ups(1)


@pytest.mark.parametrize(
    "rule", [{"status": 500}, {"status": 429}, {"status": 503}, {"fault": "disconnect"}, {"fault": "truncate"}], ids=str
)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_problem_06_no_hidden_layer_sends_a_second_request(
    provider: str, rule: dict[str, Any], madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider=provider, fallback_enabled=False, max_attempts=1)
    # On a new connection and on a reused one, where HTTP clients tend to retry.
    for warm in (False, True):
        madspark_simulator.clear_rules()
        if warm:
            router.generate("hello")
        madspark_simulator.clear()
        madspark_simulator.on(provider, **rule)
        with pytest.raises(AllProvidersFailedError) as caught:
            router.generate("hello")
        assert called_providers(madspark_simulator) == [provider]
        assert len(caught.value.attempts) == 1


@pytest.mark.parametrize("waits", [("50", "0.01"), ("0.01", "50")])
async def test_problem_07_a_longer_cooldown_is_never_shortened(
    waits: tuple[str, str], madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider="ollama", fallback_enabled=True, deadline=5.0)
    first, second = waits
    madspark_simulator.on("ollama", status=429, headers={"retry-after": first}, times=1, latency=0.1)
    madspark_simulator.on("ollama", status=429, headers={"retry-after": second}, times=1, latency=0.2)
    # Both requests are in flight before either gets its Retry-After.
    await asyncio.gather(router.agenerate("one"), router.agenerate("two"))
    madspark_simulator.clear()
    with pytest.raises(LLMProviderError) as caught:
        await router.agenerate("three", force_provider="ollama")
    assert 40 < caught.value.ready_in["ollama"] <= 50
    assert madspark_simulator.requests == []


def test_problem_07_repeated_failures_open_the_breaker(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", status=500)
    router = madspark_router(primary_provider="ollama", fallback_enabled=True)
    assert {router.generate("hello")[1].provider for _ in range(25)} == {"gemini"}
    failed = model_requests(madspark_simulator, "ollama")
    # On a slow machine there may be a probe, at least a second after the fifth failure.
    assert len(failed) >= 5
    assert all(gap >= 0.9 for gap in gaps(failed)[4:])
    assert len(model_requests(madspark_simulator, "gemini")) == 25


async def test_problem_07_a_recovering_target_is_probed_by_one_call(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", status=500, times=5)
    madspark_simulator.on("ollama", latency=0.15, times=1)
    failing = madspark_router(primary_provider="ollama", fallback_enabled=False, max_attempts=1)
    for _ in range(5):
        with pytest.raises(AllProvidersFailedError):
            await failing.agenerate("hello")
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*(router.agenerate(f"number {number}") for number in range(20)))
    assert all(len(response.attempts) == 1 for _, response in answers)
    probe, *others = model_requests(madspark_simulator)[5:]
    assert len(others) == 19
    assert all(other.started >= (probe.finished or 0.0) for other in others)


def test_problem_08_a_call_waits_for_the_first_target_that_is_ready(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", status=503, headers=LATER, times=1)
    madspark_simulator.on("gemini", status=429, headers={"retry-after": "0.2"}, times=1)
    with pytest.raises(AllProvidersFailedError):
        madspark_router(primary_provider="ollama", fallback_enabled=True, max_attempts=2).generate("one")
    _, response = madspark_router(primary_provider="ollama", fallback_enabled=True, deadline=10.0).generate("two")
    assert called_providers(madspark_simulator) == ["ollama", "gemini", "gemini"]
    # After the Retry-After, never earlier.
    assert gaps(model_requests(madspark_simulator, "gemini"))[0] >= 0.19
    passed_over, answered = response.attempts
    assert (passed_over.provider, passed_over.error) == ("ollama", "cooldown")
    assert answered.ok
    assert answered.wait_ms > 0


@pytest.mark.parametrize("deadline", [2.0, 20.0, None])
def test_problem_08_the_error_reports_when_each_target_is_ready(
    deadline: float | None, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    # Longer than the longest wait of a call without a deadline.
    for provider, wait in (("openai", "90"), ("ollama", "70"), ("gemini", "80")):
        madspark_simulator.on(provider, status=503, headers={"retry-after": wait}, times=1)
    choices = {"primary_provider": "openai", "fallback_enabled": True, "deadline": deadline}
    for _ in range(2):
        with pytest.raises(AllProvidersFailedError) as caught:
            madspark_router(**choices).generate("hello")
        ready_in = caught.value.ready_in
        assert list(ready_in) == ["openai", "ollama", "gemini"]
        assert 80 < ready_in["openai"] <= 91
        assert 60 < ready_in["ollama"] <= 71
        assert 70 < ready_in["gemini"] <= 81
        assert caught.value.retry_after is not None
        assert 60 < caught.value.retry_after <= ready_in["ollama"]
    # The second call sent nothing.
    assert called_providers(madspark_simulator) == ["openai", "ollama", "gemini"]


@pytest.mark.parametrize("rule", [{"status": 500}, {"status": 502}, {"fault": "disconnect"}], ids=str)
def test_problem_09_an_unreachable_first_target_does_not_slow_later_calls(
    rule: dict[str, Any], madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("openai", **rule)
    for _ in range(5):
        _, response = madspark_router(primary_provider="openai", fallback_enabled=True).generate("hello")
        assert [attempt.provider for attempt in response.attempts] == ["openai", "ollama"]
    madspark_simulator.clear()
    _, response = madspark_router(primary_provider="openai", fallback_enabled=True).generate("hello")
    assert called_providers(madspark_simulator) == ["ollama"]
    assert [(attempt.provider, attempt.error) for attempt in response.attempts] == [
        ("openai", "breaker_open"),
        ("ollama", None),
    ]


def test_problem_09_a_target_with_a_wrong_key_is_demoted_for_that_key_only(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.require_key("openai", "the-right-one")
    choices = {"primary_provider": "openai", "fallback_enabled": True}
    wrong = madspark_router(**choices, openai_api_key="a-wrong-one")
    wrong.generate("hello")
    wrong.generate("hello")
    assert called_providers(madspark_simulator) == ["openai", "ollama", "ollama"]
    madspark_simulator.clear()
    assert madspark_router(**choices, openai_api_key="the-right-one").generate("hello")[1].provider == "openai"
    assert called_providers(madspark_simulator) == ["openai"]


def test_problem_11_routers_of_a_process_share_the_state_of_targets(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("openai", status=503, headers=LATER)
    choices = {"primary_provider": "openai", "fallback_enabled": True}
    madspark_router(**choices).generate("hello")
    madspark_router(**choices).generate("hello")
    assert called_providers(madspark_simulator) == ["openai", "ollama", "ollama"]
    # The state of one key or model does not affect another.
    for other in ({"openai_model": "another"}, {"openai_api_key": "another-key"}):
        madspark_simulator.clear()
        madspark_router(**choices, **other).generate("hello")
        assert called_providers(madspark_simulator) == ["openai", "ollama"]


def resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_problem_12_ten_thousand_routers_leave_nothing_behind(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    def make(number: int) -> weakref.ref[LLMRouter]:
        router = madspark_router(gemini_api_key=f"key-of-tenant-{number:08}", deadline=1.0, max_attempts=2)
        router.get_metrics()
        return weakref.ref(router)

    for number in range(2000):
        make(number)
    gc.collect()
    descriptors, before = len(list(Path("/proc/self/fd").iterdir())), resident()
    alive = [make(number)() for number in range(10_000)]
    assert set(alive) == {None}
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    # A kilobyte for each of them would be ten times that.
    assert resident() - before < 1024 * 1024
    assert madspark_simulator.requests == []


def test_problem_19_the_response_names_the_model_that_answered(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    reply = {
        "model": "gpt-of-the-day-2026-11-01",
        "choices": [{"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }
    madspark_simulator.on("openai", body=reply)
    router = madspark_router(primary_provider="openai", openai_model="gpt-of-the-day")
    _, response = router.generate("hello")
    assert (response.provider, response.model) == ("openai", "gpt-of-the-day-2026-11-01")
    (attempt,) = response.attempts
    assert (attempt.provider, attempt.model, attempt.ok, attempt.status) == ("openai", response.model, True, 200)
    madspark_simulator.clear_rules()
    madspark_simulator.on("openai", status=401)
    _, response = madspark_router(primary_provider="openai", fallback_enabled=True).generate("hello")
    assert (response.provider, response.model) == ("ollama", "gemma3:12b")
    why, answered = response.attempts
    assert (why.provider, why.model, why.error, why.status) == ("openai", "simulated", "unauthorized", 401)
    assert (answered.provider, answered.model, answered.error) == ("ollama", "gemma3:12b", None)
    assert min(why.latency_ms, answered.latency_ms) > 0
    assert "401" in response.explain()


def test_problem_20_no_token_is_counted_twice(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    counts = {
        "promptTokenCount": 1000,
        "cachedContentTokenCount": 600,
        "candidatesTokenCount": 100,
        "thoughtsTokenCount": 50,
        "toolUsePromptTokenCount": 20,
        "totalTokenCount": 1170,
    }
    candidate = {"content": {"parts": [{"text": "Hello"}]}, "finishReason": "STOP"}
    madspark_simulator.on("gemini", body={"candidates": [candidate], "usageMetadata": counts})
    prices = {"gemini-3-flash-preview": (1.0, 0.1, 10.0)}
    _, response = madspark_router(primary_provider="gemini", prices=prices).generate("hello")
    assert response.usage == {"input": 400, "cached_input": 600, "output": 100, "reasoning": 50, "tool": 20}
    assert response.tokens_used == sum(cast("dict[str, int]", response.usage).values()) == 1170
    assert response.cost == pytest.approx((420 * 1.0 + 600 * 0.1 + 150 * 10.0) / 1e6)


def test_problem_20_an_unknown_price_is_not_zero(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    assert madspark_router(primary_provider="openai").generate("hello")[1].cost is None
    # A failure without cost does not make the cost unknown.
    madspark_simulator.on("gemini", status=503)
    prices = {"gemma3:12b": (1.0, 2.0)}
    _, response = madspark_router(primary_provider="gemini", fallback_enabled=True, prices=prices).generate("hello")
    usage = response.attempts[-1].usage
    assert response.cost == pytest.approx((usage["input"] + 2 * usage["output"]) / 1e6)


@pytest.mark.parametrize("succeeds", [True, False])
def test_problem_21_failed_and_repaired_attempts_are_included_in_the_cost(
    succeeds: bool, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    wrong, right = {"title": "Moss", "score": "many"}, {"title": "Moss", "score": 1}
    madspark_simulator.on("openai", json=wrong, prompt_tokens=100)
    madspark_simulator.on("ollama", prompt_tokens=1000, text=" ", times=1)
    madspark_simulator.on("ollama", prompt_tokens=1000, text=" ")
    madspark_simulator.on("gemini", prompt_tokens=10_000, json=right if succeeds else wrong)
    router = madspark_router(primary_provider="openai", fallback_enabled=True, prices={"simulated": (1.0, 2.0)})
    if succeeds:
        _, response = router.generate_structured("hello", Idea)
        attempts = response.attempts
        assert response.tokens_used == sum(sum(attempt.usage.values()) for attempt in attempts)
        assert response.cost == pytest.approx(router.get_metrics()["total_cost"])
    else:
        with pytest.raises(AllProvidersFailedError) as caught:
            router.generate_structured("hello", Idea)
        attempts = caught.value.attempts
    assert [attempt.error for attempt in attempts][:3] == ["invalid_output", "invalid_output", "empty_reply"]
    inputs = [attempt.usage["input"] for attempt in attempts]
    assert inputs[:4] == [100, 100, 1000, 10_000]
    metrics = router.get_metrics()
    assert metrics["total_tokens"] == sum(sum(attempt.usage.values()) for attempt in attempts)
    assert metrics["total_cost"] is not None
    assert metrics["total_cost"] > 0


DRIP = 'data: {"choices":[{"delta":{"content":"drip "}}]}\n\n'


@pytest.mark.parametrize(
    ("rule", "limits", "error"),
    [
        ({"fault": "stall"}, {"first_token_timeout": 0.2}, "first_token_timeout"),
        ({"fault": "stall_after_headers"}, {"first_token_timeout": 0.2}, "first_token_timeout"),
        ({"pieces": [DRIP], "fault": "stall_mid_body"}, {"idle_timeout": 0.2}, "idle_timeout"),
        ({"pieces": [DRIP] * 500, "tokens_per_second": 50}, {"total_timeout": 0.3}, "timeout"),
    ],
    ids=["nothing", "headers alone", "one piece", "a drip"],
)
async def test_problem_22_each_time_limit_of_a_stream_has_its_own_error_class(
    rule: dict[str, Any],
    limits: dict[str, Any],
    error: str,
    madspark_router: Callable[..., LLMRouter],
    madspark_simulator: Simulator,
) -> None:
    madspark_simulator.on("openai", **rule)
    router = madspark_router(primary_provider="openai", fallback_enabled=False, max_attempts=1)
    async with asyncio.timeout(10):
        with pytest.raises(ProviderTimeoutError) as caught:
            _ = [piece async for piece in router.astream("hello", **limits)]
    assert [attempt.error for attempt in caught.value.attempts] == [error]
    assert await madspark_simulator.await_hang_ups(1)


@pytest.mark.parametrize("fault", ["stall", "stall_after_headers", "stall_mid_body"])
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_problem_22_a_stalled_provider_is_cancelled_at_the_deadline(
    provider: str, fault: Any, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on(provider, fault=fault)
    router = madspark_router(primary_provider=provider, fallback_enabled=True, deadline=0.2)
    async with asyncio.timeout(10):
        with pytest.raises(DeadlineExceededError):
            await router.agenerate("hello")
    assert called_providers(madspark_simulator) == [provider]
    assert await madspark_simulator.await_hang_ups(1)


OPENINGS = {
    "ollama": '{"message":{"content":"Once upon"},"done":false}\n',
    "gemini": 'data: {"candidates":[{"content":{"parts":[{"text":"Once upon"}]}}]}\n\n',
    "openai": 'data: {"choices":[{"delta":{"content":"Once upon"}}]}\n\n',
    "anthropic": 'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    '"delta":{"type":"text_delta","text":"Once upon"}}\n\n',
}


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_problem_23_a_stream_without_an_end_is_a_failure(
    provider: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on(provider, pieces=[OPENINGS[provider]])
    router = madspark_router(primary_provider=provider, fallback_enabled=True)
    with pytest.raises(LLMProviderError) as caught:
        _ = [piece async for piece in router.astream("hello")]
    assert [attempt.error for attempt in caught.value.attempts] == ["disconnected"]
    assert caught.value.partial == "Once upon"
    metrics = router.get_metrics()
    assert (metrics["failed_requests"], metrics["providers"][provider]["failures"]) == (1, {"disconnected": 1})


LONG = "word " * 6000


@pytest.mark.parametrize("limit", [6, 1])
def test_problem_24_a_prompt_too_long_for_one_model_falls_back_without_a_request(
    limit: int, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    facts = {"general.architecture": "gemma3", "gemma3.context_length": 2048}
    madspark_simulator.on("/api/show", body={"details": {}, "model_info": facts})
    router = madspark_router(primary_provider="ollama", fallback_enabled=True, max_attempts=limit)
    _, response = router.generate(LONG)
    assert called_providers(madspark_simulator) == ["gemini"]
    assert (response.attempts[0].provider, response.attempts[0].error) == ("ollama", "context_too_long")
    assert response.attempts[0].status is None
    assert "2048" in (response.attempts[0].message or "")
    assert (response.provider, router.get_metrics()["ollama_calls"]) == ("gemini", 0)
    # A prompt that fits is sent.
    assert router.generate("hello")[1].provider == "ollama"


REFUSALS = {
    "refused": {"choices": [{"message": {"role": "assistant", "refusal": "I will not."}, "finish_reason": "stop"}]},
    "blocked": {"choices": [{"message": {"role": "assistant"}, "finish_reason": "content_filter"}]},
}


@pytest.mark.parametrize("kind", REFUSALS)
@pytest.mark.parametrize("streamed", [False, True])
def test_problem_25_a_refusal_falls_back_only_if_configured(
    kind: str, streamed: bool, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    body = json.dumps(REFUSALS[kind])
    if streamed:
        pieces = [f"data: {body.replace('message', 'delta')}\n\n", "data: [DONE]\n\n"]
        madspark_simulator.on("openai", pieces=pieces)
    else:
        madspark_simulator.on("openai", body=body)

    def ask(router: LLMRouter) -> Any:
        if not streamed:
            return router.generate("hello")[1]
        with router.stream("hello") as stream:
            assert "".join(stream)
            return stream.response

    with pytest.raises(ContentRefusedError) as caught:
        ask(madspark_router(primary_provider="openai", fallback_enabled=True))
    assert called_providers(madspark_simulator) == ["openai"]
    assert [attempt.error for attempt in caught.value.attempts] == [kind]
    madspark_simulator.clear()
    response = ask(madspark_router(primary_provider="openai", fallback_enabled=True, on_refusal="next"))
    assert called_providers(madspark_simulator) == ["openai", "ollama"]
    assert [attempt.error for attempt in response.attempts] == [kind, None]


def test_problem_28_only_one_package_is_needed() -> None:
    root = Path(__file__).parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert [re.split(r"[<>=!~;\[ ]", need)[0] for need in project["dependencies"]] == ["pydantic"]
    # pydantic needs the other two. Only type checkers import typing_extensions.
    own = {*sys.stdlib_module_names, "madspark", "pydantic", "pydantic_core", "typing_extensions"}
    for path in (root / "python" / "madspark").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
        names += [str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        # Loaded by pytest, by programs that use gevent, and by applications of FastAPI.
        loader = {"plugin.py": {"pytest"}, "_greenlets.py": {"gevent"}}.get(path.name, set())
        allowed = own | loader | ({"fastapi", "starlette"} if path.parent.name == "integrations" else set())
        assert {name.partition(".")[0] for name in names} <= allowed, path
    assert list((root / "python").rglob("*.pth")) == []
