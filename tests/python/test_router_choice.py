"""The providers and models of a call, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from madspark import AllProvidersFailedError, LLMConfig, LLMRouter

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import ProviderName
    from madspark.testing import Simulator

SMALL, LARGE = ("ollama", "gemma3:4b"), ("ollama", "gemma3:12b")
GEMINI = ("gemini", "gemini-3-flash-preview")
OPENAI = ("openai", "simulated")

KEY = "simulator-key-of-no-worth"


def wire(simulator: Simulator) -> list[tuple[str | None, str | None]]:
    return [(request.provider, request.model) for request in simulator.requests]


# primary, tier, fallback, with a Gemini key, force -> the providers tried when all fail, in order.
CHOICES: list[tuple[str | None, str | None, bool, bool, str | None, list[tuple[str, str]]]] = [
    (None, None, True, True, None, [LARGE, GEMINI]),
    (None, None, False, True, None, [LARGE]),
    (None, None, True, False, None, [LARGE]),
    ("auto", "fast", True, True, None, [SMALL, GEMINI]),
    ("auto", "fast", False, True, None, [SMALL]),
    ("auto", "balanced", True, True, None, [LARGE, GEMINI]),
    ("auto", "quality", True, True, None, [GEMINI, LARGE]),
    ("auto", "quality", False, True, None, [GEMINI]),
    # Without a key and a fallback, the preferred provider would always fail.
    ("auto", "quality", False, False, None, [LARGE]),
    ("auto", "quality", True, False, None, [LARGE]),
    ("ollama", "fast", True, True, None, [SMALL, GEMINI]),
    ("ollama", "balanced", False, True, None, [LARGE]),
    # Pinned: the quality tier does not change the provider.
    ("ollama", "quality", False, True, None, [LARGE]),
    ("ollama", "quality", True, True, None, [LARGE, GEMINI]),
    ("ollama", "quality", True, False, None, [LARGE]),
    ("gemini", "fast", True, True, None, [GEMINI, SMALL]),
    ("gemini", "balanced", True, True, None, [GEMINI, LARGE]),
    ("gemini", "quality", False, True, None, [GEMINI]),
    ("gemini", "fast", True, False, None, [SMALL]),
    ("gemini", "fast", False, False, None, []),
    ("openai", "fast", True, True, None, [OPENAI, SMALL, GEMINI]),
    ("openai", "quality", False, True, None, [OPENAI]),
    # Forced: only that provider, whatever the other settings.
    ("auto", "quality", True, True, "ollama", [LARGE]),
    ("gemini", "fast", True, True, "ollama", [SMALL]),
    ("ollama", "fast", True, True, "gemini", [GEMINI]),
    ("ollama", "fast", True, False, "gemini", []),
    ("ollama", "fast", True, True, "openai", [OPENAI]),
    ("openai", "fast", True, True, "gemini", [GEMINI]),
]

choices = pytest.mark.parametrize(("primary", "tier", "fallback", "with_key", "force", "expected"), CHOICES)


@choices
def test_failing_providers_are_tried_in_the_order_of_the_plan(
    madspark_router: Callable[..., LLMRouter],
    madspark_simulator: Simulator,
    primary: str | None,
    tier: str | None,
    fallback: bool,
    with_key: bool,
    force: ProviderName | None,
    expected: list[tuple[str, str]],
) -> None:
    madspark_simulator.on(status=503)
    router = madspark_router(
        primary_provider=primary,
        model_tier=tier,
        fallback_enabled=fallback,
        gemini_api_key=KEY if with_key else None,
        # One request for each provider; other tests cover retries.
        max_attempts=len(expected) or 1,
    )
    with pytest.raises(AllProvidersFailedError) as caught:
        router.generate("hello", force_provider=force)
    assert wire(madspark_simulator) == expected
    attempts = [(attempt.provider, attempt.model) for attempt in caught.value.attempts if attempt.status is not None]
    assert attempts == expected


@choices
def test_only_the_first_provider_receives_a_request_if_it_works(
    madspark_router: Callable[..., LLMRouter],
    madspark_simulator: Simulator,
    primary: str | None,
    tier: str | None,
    fallback: bool,
    with_key: bool,
    force: ProviderName | None,
    expected: list[tuple[str, str]],
) -> None:
    router = madspark_router(
        primary_provider=primary,
        model_tier=tier,
        fallback_enabled=fallback,
        gemini_api_key=KEY if with_key else None,
    )
    if not expected:
        with pytest.raises(AllProvidersFailedError, match="no API key"):
            router.generate("hello", force_provider=force)
        assert wire(madspark_simulator) == []
        return
    _, response = router.generate("hello", force_provider=force)
    assert wire(madspark_simulator) == expected[:1]
    assert (response.provider, response.model) == expected[0]


@pytest.mark.parametrize("tier", ["fast", "balanced", "quality"])
def test_openai_is_used_only_if_named(
    tier: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", status=503, headers={"retry-after": "0"})
    madspark_simulator.on("gemini", status=503, headers={"retry-after": "0"})
    router = madspark_router(model_tier=tier, openai_api_key="sk-consent-is-not-given-by-a-key")
    with pytest.raises(AllProvidersFailedError):
        router.generate("hello")
    # Not even after repeated failures of every other provider.
    assert sorted(provider or "" for provider, _ in wire(madspark_simulator)) == ["gemini"] * 3 + ["ollama"] * 3


def test_the_mock_is_used_only_if_named(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    text, response = madspark_router(primary_provider="mock").generate("a slogan")
    assert "a slogan" in text
    assert (response.provider, response.cost) == ("mock", 0.0)
    assert madspark_router().generate("hi", force_provider="mock")[1].provider == "mock"
    assert wire(madspark_simulator) == []
    madspark_simulator.on(status=500, headers={"retry-after": "0"})
    with pytest.raises(AllProvidersFailedError) as caught:
        madspark_router().generate("hello")
    assert list(caught.value.errors) == ["ollama", "gemini"]


def test_two_routers_do_not_share_settings(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    fast = madspark_router(primary_provider="ollama", model_tier="fast", ollama_model_fast="tenant-a:1b")
    quality = madspark_router(primary_provider="gemini", gemini_model="tenant-b", gemini_api_key="key-of-tenant-b")
    for _ in range(2):
        fast.generate("hello")
        quality.generate("hello")
    assert wire(madspark_simulator) == [("ollama", "tenant-a:1b"), ("gemini", "tenant-b")] * 2
    assert [request.headers.get("x-goog-api-key") for request in madspark_simulator.requests] == [
        None,
        "key-of-tenant-b",
    ] * 2


@pytest.mark.parametrize("where", ["primary_provider", "model_tier"])
def test_unknown_names_are_rejected_by_the_constructor(where: str, madspark_router: Callable[..., LLMRouter]) -> None:
    with pytest.raises(ValueError, match="nobody"):
        madspark_router(**{where: "nobody"})


def test_a_router_without_a_config_reads_the_environment_once(
    monkeypatch: pytest.MonkeyPatch, madspark_simulator: Simulator
) -> None:
    monkeypatch.setenv("MADSPARK_LLM_PROVIDER", "ollama")
    monkeypatch.setenv("OLLAMA_HOST", madspark_simulator.ollama_url)
    router = LLMRouter(fallback_enabled=False, model_tier="fast")
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("OLLAMA_MODEL_FAST", "changed-later")
    router.generate("hello")
    assert wire(madspark_simulator) == [SMALL]


def test_the_environment_does_not_override_an_explicit_router(
    monkeypatch: pytest.MonkeyPatch, madspark_simulator: Simulator
) -> None:
    router = LLMRouter("ollama", False, config=LLMConfig(ollama_host=madspark_simulator.ollama_url))
    monkeypatch.setenv("MADSPARK_LLM_PROVIDER", "gemini")
    monkeypatch.setenv("MADSPARK_MODEL_TIER", "fast")
    router.generate("hello")
    assert wire(madspark_simulator) == [LARGE]
