"""Responses and attempts are plain records: comparable, serializable, picklable."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from madspark.llm.response import Attempt, LLMResponse

FAILED = Attempt("ollama", "gemma3:12b", ok=False, status=500, error="server", message="boom", usage={"input": 3})
ANSWERED = Attempt("gemini", "gemini-3-flash-preview", ok=True, status=200, latency_ms=12.5)


def test_a_response_defaults_to_now_in_utc_and_to_no_attempts() -> None:
    response = LLMResponse("hi", "ollama", "gemma3:4b")
    assert abs(datetime.now(UTC) - response.timestamp) < timedelta(minutes=1)
    assert response.timestamp.utcoffset() == timedelta(0)
    assert (response.tokens_used, response.latency_ms, response.cost, response.cached) == (0, 0.0, 0.0, False)
    assert response.attempts == ()


def test_to_dict_holds_every_field_as_json() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    response = LLMResponse(
        "hi", "gemini", "m", 7, 1.5, None, True, moment, [FAILED, ANSWERED], "length", "MAX_TOKENS", "hm"
    )
    assert json.loads(json.dumps(response.to_dict())) == {
        "text": "hi",
        "provider": "gemini",
        "model": "m",
        "tokens_used": 7,
        "latency_ms": 1.5,
        "cost": None,
        "cached": True,
        "timestamp": "2026-01-02T03:04:05+00:00",
        "attempts": [FAILED.to_dict(), ANSWERED.to_dict()],
        "finish_reason": "length",
        "provider_finish_reason": "MAX_TOKENS",
        "truncated": True,
        "reasoning": "hm",
    }
    assert FAILED.to_dict()["usage"] == {"input": 3}
    assert FAILED.to_dict()["error"] == "server"


def test_an_attempt_serializes_its_origin() -> None:
    page = {"url": "https://example.org/moss", "status": "success"}
    attempt = Attempt(
        "gemini", "m", ok=True, wait_ms=1500.0, hedged=True, retry_after=2.0, estimated=True, pages=iter([page])
    )
    page["status"] = "error"
    written = json.loads(json.dumps(attempt.to_dict()))
    assert (written["wait_ms"], written["hedged"], written["retry_after"], written["estimated"]) == (
        1500.0,
        True,
        2.0,
        True,
    )
    assert written["pages"] == [{"url": "https://example.org/moss", "status": "success"}]
    assert pickle.loads(pickle.dumps(attempt)) == attempt  # noqa: S301  # our own bytes
    plain = ANSWERED.to_dict()
    assert (plain["wait_ms"], plain["hedged"], plain["retry_after"], plain["estimated"]) == (0.0, False, None, False)
    assert plain["pages"] == []


def test_usage_sums_up_all_attempts() -> None:
    answered = Attempt("gemini", "m", ok=True, usage={"input": 9, "cached_input": 1, "output": 4, "of_a_double": 2})
    response = LLMResponse("hi", "gemini", "m", 19, attempts=[FAILED, answered])
    expected = {"input": 12, "cached_input": 1, "output": 4, "reasoning": 0, "tool": 0, "of_a_double": 2}
    assert response.usage == expected
    assert sum(cast("dict[str, int]", response.usage).values()) == response.tokens_used
    assert LLMResponse("hi", "gemini", "m").usage == dict.fromkeys(list(expected)[:5], 0)


def test_an_attempt_is_immutable() -> None:
    with pytest.raises(AttributeError, match="is immutable"):
        FAILED.ok = True
    with pytest.raises(AttributeError, match="is immutable"):
        del FAILED.status
    assert FAILED.ok is False
    usage = {"input": 1}
    attempt = Attempt("ollama", "m", ok=True, usage=usage)
    usage["input"] = 2
    assert attempt.usage == {"input": 1}


@pytest.mark.parametrize("original", [FAILED, ANSWERED, LLMResponse("t", "p", "m", attempts=[FAILED])])
def test_copies_are_equal(original: Attempt | LLMResponse) -> None:
    assert pickle.loads(pickle.dumps(original)) == original  # noqa: S301  # our own bytes
    assert copy.deepcopy(original) == original
    assert copy.copy(original) == original


def test_records_differ_by_any_field() -> None:
    assert FAILED != ANSWERED
    assert Attempt("ollama", "m", ok=True) == Attempt("ollama", "m", ok=True)
    assert hash(Attempt("ollama", "m", ok=True)) == hash(Attempt("ollama", "m", ok=True))
    assert Attempt("ollama", "m", ok=True) != Attempt("ollama", "m", ok=True, usage={"input": 1})
    moment = datetime.now(UTC)
    assert LLMResponse("a", "p", "m", timestamp=moment) != LLMResponse("b", "p", "m", timestamp=moment)
    assert LLMResponse("a", "p", "m", timestamp=moment) == LLMResponse("a", "p", "m", timestamp=moment)


def test_repr_does_not_contain_the_text() -> None:
    assert "secret" not in repr(LLMResponse("secret", "p", "m"))


def test_repr_says_that_the_text_was_cut() -> None:
    assert repr(LLMResponse("Once", "p", "m", finish_reason="length")).endswith("text=<4 characters, truncated>)")
    assert repr(LLMResponse("Once", "p", "m", finish_reason="stop")).endswith("text=<4 characters>)")


def test_the_package_and_its_records_import_nothing_expensive() -> None:
    script = (
        "import sys, madspark, madspark.llm.exceptions, madspark.llm.response, madspark.llm.tiers\n"
        "from madspark import LLMResponse, ModelTier, RateLimitError\n"
        "import madspark.utils.temperature_control\n"
        "print(*sorted({'asyncio', 'dataclasses', 'inspect', 'pydantic', 'importlib.metadata', 'madspark._core'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)  # noqa: S603  # our own script
    assert done.stdout.strip() == ""
