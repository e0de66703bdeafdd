"""`explain()` of responses and errors describes every attempt of a call, without prompts, replies and keys."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from madspark import AllProvidersFailedError, LLMProviderError, MadsparkError
from madspark.llm import exceptions as errors
from madspark.llm.response import Attempt, LLMResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import LLMRouter
    from madspark.testing import Simulator

EVERY_ERROR = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, MadsparkError)]


PAGE = (Path(__file__).parents[2] / "docs" / "explanation" / "calls.md").read_text(encoding="utf-8")

CLASSES = set(re.findall(r"^\| `(\w+)` ", PAGE, re.MULTILINE))
"""Every error class. A test of the core compares the table of that page with the enumeration."""

WITHOUT_ATTEMPT = {
    "invalid_input",
    "prompt_too_long",
    "file_not_found",
    "all_targets_failed",
    "deadline_exceeded",
    "budget_reached",
    "external",
}
"""Error classes of calls and runs that no attempt has."""


def failed(error: str, provider: str = "gemini", **fields: Any) -> Attempt:
    return Attempt(provider, "big", ok=False, error=error, **fields)


def answered(provider: str = "ollama", **fields: Any) -> Attempt:
    return Attempt(provider, "small", ok=True, status=200, **{"latency_ms": 812.0, **fields})


def explained(*attempts: Attempt, cost: float | None = 0.0, **fields: Any) -> list[str]:
    """Return the lines of the explanation except the last one, which holds the totals."""
    lines = LLMResponse("a reply", "ollama", "small", 312, 900.0, cost, attempts=attempts, **fields).explain()
    return lines.split("\n")[:-1]


def test_a_text_that_was_cut_is_mentioned() -> None:
    response = LLMResponse("Once upon", "ollama", "small", attempts=[answered()], finish_reason="length")
    assert "The text was cut at the limit of tokens." in response.explain().split("\n")


def test_an_answer_of_the_first_target() -> None:
    response = LLMResponse("a reply", "ollama", "small", 312, 812.0, 0.0, attempts=[answered()])
    assert response.explain().split("\n") == [
        "ollama (small) was tried first and answered in 0.8 s.",
        "In all: 1 attempt, 0.8 s, 312 tokens, 0.0000 USD.",
    ]


def test_an_answer_of_the_fallback() -> None:
    assert explained(failed("rate_limited", status=429, retry_after=12.0), answered()) == [
        "gemini (big) was tried first and was rate limited (HTTP 429, retry after 12 s).",
        "ollama (small) was tried next and answered in 0.8 s.",
    ]


def test_a_repaired_answer() -> None:
    assert explained(failed("invalid_output", "ollama", status=200), answered(latency_ms=42.0)) == [
        "ollama (big) was tried first and returned a reply that does not match the schema.",
        "ollama (small) was sent the errors of its reply and answered in 42 ms.",
    ]


def test_a_locally_repaired_reply_lists_the_repairs() -> None:
    assert explained(answered(changes=["trailing_comma", "single_quotes"])) == [
        "ollama (small) was tried first and answered in 0.8 s; its reply was repaired: trailing comma, single quotes.",
    ]


def test_retries_of_the_same_target_include_their_wait() -> None:
    attempts = [failed("overloaded", "ollama", status=503), failed("connect", "ollama", wait_ms=250.0)]
    assert explained(*attempts, answered(wait_ms=1000.0)) == [
        "ollama (big) was tried first and was overloaded (HTTP 503).",
        "ollama (big) was tried again after a wait of 0.2 s and could not be reached.",
        "ollama (small) was tried again after a wait of 1.0 s and answered in 0.8 s.",
    ]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("missing_key", "has no API key"),
        ("not_configured", "is not configured"),
        ("unsupported", "does not support"),
        ("cooldown", "is in cooldown"),
        ("breaker_open", "circuit breaker is open"),
    ],
)
def test_a_skipped_target_is_not_counted_as_an_attempt(error: str, words: str) -> None:
    passed_over, first = explained(failed(error), answered())
    assert passed_over.startswith("gemini (big) was not tried: it ")
    assert words in passed_over
    assert first == "ollama (small) was tried first and answered in 0.8 s."
    totals = LLMResponse("t", "ollama", "small", attempts=[failed(error), answered()]).explain().split("\n")[-1]
    assert totals.startswith("In all: 1 attempt,")


def test_every_error_class_has_its_own_description() -> None:
    assert len(CLASSES) == 46
    assert CLASSES > WITHOUT_ATTEMPT
    lines = {name: explained(failed(name), answered())[0] for name in CLASSES - WITHOUT_ATTEMPT}
    assert [name for name, line in lines.items() if "failed (" in line] == []
    assert len(set(lines.values())) == len(lines)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("invalid_output", "sent the errors of its reply"),
        ("schema_rejected", "tried again with a simpler form of the schema"),
        ("thinking_truncated", "tried again with less thinking"),
        ("thinking_only", "tried again with less thinking"),
        ("context_too_long", "tried again with a larger context window"),
        ("context_truncated", "tried again with a larger context window"),
    ],
)
def test_a_retry_names_what_was_changed(error: str, words: str) -> None:
    assert explained(failed(error, "ollama"), answered())[1] == f"ollama (small) was {words} and answered in 0.8 s."


def test_a_hedged_call_describes_both_attempts() -> None:
    left = failed("cancelled", usage={"input": 9}, estimated=True)
    assert explained(left, answered(hedged=True, wait_ms=2000.0)) == [
        "gemini (big) was tried first and was cancelled before it answered; its tokens are estimated.",
        "ollama (small) was tried in parallel, because no answer had arrived within 2.0 s, and answered in 0.8 s.",
    ]


def test_a_cached_answer() -> None:
    response = LLMResponse("t", "ollama", "small", latency_ms=2.0, cached=True, attempts=[answered()])
    assert response.explain() == "ollama (small) had answered this before: the answer came from the cache in 2 ms."


@pytest.mark.parametrize(
    ("cost", "words"),
    [(None, "cost unknown"), (0.0, "0.0000 USD"), (0.00001, "under 0.0001 USD"), (1.23456, "1.2346 USD")],
)
def test_the_cost_of_an_answer(cost: float | None, words: str) -> None:
    last = LLMResponse("t", "ollama", "small", 1, 12_345.0, cost, attempts=[answered()]).explain().split("\n")[-1]
    assert last == f"In all: 1 attempt, 12 s, 1 token, {words}."


def test_unreadable_pages_and_events_are_counted() -> None:
    pages = [{"url": "https://a.test", "status": "success"}, {"url": "https://b.test", "status": "paywall"}]
    line = explained(answered("gemini", pages=pages, skipped_events=1))[0]
    assert line.endswith("in 0.8 s; it could read 1 of 2 web pages; 1 event of its stream could not be read.")


def test_a_batch_is_summed_up_by_target() -> None:
    attempts = [answered(), failed("server", "ollama"), failed("timeout"), failed("timeout"), answered(), answered()]
    assert explained(*attempts) == [
        "3 answers together.",
        "ollama (small): 3 answers.",
        "ollama (big): 0 answers, server 1 times.",
        "gemini (big): 0 answers, timeout 2 times.",
    ]


def test_a_response_without_attempts() -> None:
    assert explained() == ["ollama (small) answered; no attempt was recorded."]


def test_a_failed_call_lists_its_attempts_and_when_to_retry() -> None:
    error = AllProvidersFailedError(
        "m", attempts=[failed("connect", "ollama", latency_ms=3.0), failed("rate_limited", status=429, wait_ms=97.0)]
    )
    error.ready_in = {"gemini": 12.0, "ollama": 0.5, "anthropic": 12.0}
    assert error.explain().split("\n") == [
        "No provider answered.",
        "ollama (big) was tried first and could not be reached.",
        "gemini (big) was tried next after a wait of 97 ms and was rate limited (HTTP 429).",
        "Available again: ollama in 0.5 s, anthropic in 12 s, gemini in 12 s.",
        "In all: 2 attempts, 0.1 s, 0 tokens.",
    ]


def test_failures_without_an_attempt_are_listed() -> None:
    busy = errors.RateLimitError("m", model="big", status=429, provider="gemini", retry_after=3.0)
    summary = errors.all_failed("m", {"ollama": ValueError("x"), "gemini": busy}, attempts=[failed("x", "ollama")])
    assert summary.explain().split("\n")[1:4] == [
        "ollama (big) was tried first and failed (x).",
        "gemini (big) failed (RateLimitError, HTTP 429).",
        "The first of them is available again in 3.0 s.",
    ]
    assert busy.explain().split("\n") == [
        "There is no answer.",
        "gemini (big) failed (RateLimitError, HTTP 429).",
        "gemini (big) is available again in 3.0 s.",
    ]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (errors.BudgetExceededError, "budget was used up"),
        (errors.DeadlineExceededError, "deadline was reached"),
        (errors.WorkflowTimeoutError, "deadline was reached"),
        (errors.ContentRefusedError, "ended with a refusal"),
        (errors.AllProvidersRateLimitedError, "No provider answered"),
        (errors.InternalError, "There is no answer"),
    ],
)
def test_the_first_line_names_the_reason(kind: type[MadsparkError], words: str) -> None:
    assert words in kind("m").explain()


@pytest.mark.parametrize("kind", EVERY_ERROR)
def test_an_explanation_contains_no_message(kind: type[MadsparkError]) -> None:
    secret = "a private text"  # noqa: S105  # what must not show
    error = kind(secret, provider="openai", model="m", attempts=[failed("server", message=secret)])
    assert "private" not in error.explain()


def test_a_real_fallback_is_explained(madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator) -> None:
    madspark_simulator.on("gemini", status=404)
    _, response = madspark_router(primary_provider="gemini").generate("a private prompt")
    first, second, totals = response.explain().split("\n")
    assert first.startswith("gemini (gemini-3-flash-preview) was tried first and ")
    assert "HTTP 404" in first
    assert second.startswith("ollama (gemma3:12b) was tried next and answered in ")
    assert totals.endswith(f"{response.tokens_used} tokens, 0.0000 USD.")
    assert "private" not in response.explain()


def test_a_real_failure_is_explained(madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator) -> None:
    madspark_simulator.on("ollama", status=404)
    router = madspark_router(primary_provider="ollama", gemini_api_key=None)
    with pytest.raises(LLMProviderError) as caught:
        router.generate("a private prompt")
    lines = caught.value.explain().split("\n")
    assert lines[0] == "No provider answered."
    assert lines[1].startswith("ollama (gemma3:12b) was tried first and ")
    assert lines[2].startswith("gemini (gemini-3-flash-preview) was not tried: it has no API key")
    assert "private" not in caught.value.explain()


@pytest.mark.parametrize("module", ["madspark.llm.response", "madspark.llm.exceptions"])
def test_docstring_examples(module: str) -> None:
    assert doctest.testmod(importlib.import_module(module)).failed == 0
