"""Invalid arguments raise immediately, and no request is sent."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from madspark.llm.exceptions import LLMProviderError

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import LLMRouter
    from madspark.testing import Simulator


class Note(BaseModel):
    """The requested output."""

    text: str


# Arguments of generate() and generate_structured(), error class, text of the error.
WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "empty prompt": ({"prompt": ""}, ValueError, "blank"),
    "blank prompt": ({"prompt": " \n\t\u3000"}, ValueError, "blank"),
    "long prompt": ({"prompt": "x" * 100_001}, ValueError, "100001 characters; the limit is 100000"),
    "long prompt of wide characters": ({"prompt": "日" * 100_001}, ValueError, "100001 characters"),
    "half a character": ({"prompt": "\ud800"}, ValueError, "surrogates"),
    "prompt of bytes": ({"prompt": b"hello"}, TypeError, "bytes"),
    "no prompt": ({"prompt": None}, TypeError, "None"),
    "cold": ({"temperature": -0.01}, ValueError, "between 0.0 and 2.0"),
    "hot": ({"temperature": 2.01}, ValueError, "between 0.0 and 2.0"),
    "not a number": ({"temperature": float("nan")}, ValueError, "between 0.0 and 2.0"),
    "temperature in words": ({"temperature": "warm"}, TypeError, "str"),
    "unknown provider": ({"force_provider": "nobody"}, ValueError, "nobody"),
    "auto is no provider": ({"force_provider": "auto"}, ValueError, "auto"),
    "system of bytes": ({"system_instruction": b"brief"}, TypeError, "bytes"),
    "unknown argument": ({"no_such_argument": 1}, TypeError, "no_such_argument"),
}
LIMITS: dict[str, tuple[Any, type[Exception]]] = {
    "zero": (0, ValueError),
    "negative": (-1, (OverflowError, ValueError)),  # type: ignore[dict-item]  # both are clear errors
    "float": (1.5, TypeError),
}


async def completed(answer: Any) -> None:
    """Await the answer of an asynchronous method."""
    if inspect.isawaitable(answer):
        await answer


@pytest.mark.parametrize("method", ["generate", "agenerate", "generate_structured", "agenerate_structured"])
@pytest.mark.parametrize("name", WRONG)
async def test_an_invalid_argument_is_not_a_provider_error(
    name: str, method: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    arguments, expected, words = WRONG[name]
    router = madspark_router()
    if "structured" in method:
        arguments = {"schema": Note, **arguments}
    with pytest.raises(expected, match=words) as caught:
        await completed(getattr(router, method)(**{"prompt": "hello", **arguments}))
    assert not isinstance(caught.value, LLMProviderError)
    assert madspark_simulator.requests == []
    metrics = router.get_metrics()
    assert (metrics["total_requests"], metrics["failed_requests"], metrics["fallback_triggers"]) == (0, 0, 0)


@pytest.mark.parametrize("name", LIMITS)
def test_an_invalid_token_limit_is_rejected(
    name: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    limit, expected = LIMITS[name]
    with pytest.raises(expected):
        madspark_router().generate("hello", max_tokens=limit)
    with pytest.raises(expected):
        madspark_router().generate_structured("hello", Note, token_budget=limit)
    assert madspark_simulator.requests == []


def test_an_invalid_header_value_is_reported_without_the_key(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider="gemini", fallback_enabled=False, gemini_api_key="secret\nkey")
    with pytest.raises(LLMProviderError, match="character that a header cannot carry") as caught:
        router.generate("hello")
    assert "secret" not in f"{caught.value!r} {caught.value.attempts}"
    assert madspark_simulator.requests == []


def test_openai_without_a_model_names_the_missing_setting(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider="openai", fallback_enabled=False, openai_model=None)
    with pytest.raises(LLMProviderError, match="OPENAI_MODEL"):
        router.generate("hello")
    assert madspark_simulator.requests == []


async def test_a_router_works_after_each_of_these_errors(madspark_router: Callable[..., LLMRouter]) -> None:
    router = madspark_router()
    for arguments, expected, _ in WRONG.values():
        with pytest.raises(expected):
            router.generate(**{"prompt": "hello", **arguments})
    assert (await router.agenerate("hello"))[1].provider == "ollama"
    assert router.generate("hello")[1].provider == "ollama"
    assert router.get_metrics()["total_requests"] == 2
