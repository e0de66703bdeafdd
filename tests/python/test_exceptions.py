"""Exceptions carry data, survive copying and pickling, and are summed up by their common class."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING

import pytest

from madspark.llm import exceptions as errors
from madspark.llm.response import Attempt

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import LLMRouter
    from madspark.testing import Simulator

ATTEMPT = Attempt("ollama", "gemma3:4b", ok=False, status=503, error="overloaded", message="busy")

EVERY_CLASS = [
    value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, errors.MadsparkError)
]


@pytest.mark.parametrize("cls", EVERY_CLASS)
def test_a_message_is_enough(cls: type[errors.MadsparkError]) -> None:
    error = cls("no answer")
    assert str(error) == "no answer"
    assert (error.provider, error.model, error.status, error.retry_after, error.attempts) == (None,) * 4 + ((),)


@pytest.mark.parametrize("cls", EVERY_CLASS)
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])  # noqa: S301  # our own bytes
def test_a_copy_keeps_every_attribute(cls: type[errors.MadsparkError], duplicate: object) -> None:
    error = cls(
        "no answer", provider="ollama", model="gemma3:4b", status=503, retry_after=1.5, attempts=iter([ATTEMPT])
    )
    assert callable(duplicate)
    twin = duplicate(error)
    assert type(twin) is cls
    assert str(twin) == "no answer"
    assert vars(twin) == vars(error)
    assert twin.attempts == (ATTEMPT,)


def test_a_copy_keeps_partial_text_and_ready_times() -> None:
    error = errors.ProviderUnavailableError("cut")
    error.partial, error.ready_in = "half a", {"ollama": 0.5}
    for twin in (copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error))):  # noqa: S301  # our own bytes
        assert (twin.partial, twin.ready_in) == ("half a", {"ollama": 0.5})


def test_a_copy_of_a_summary_keeps_errors_and_prompt() -> None:
    error = errors.all_failed("none", {"ollama": errors.RateLimitError("slow", retry_after=3)}, "the prompt")
    twin = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes
    assert twin.prompt == "the prompt"
    assert twin.errors["ollama"].retry_after == 3


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ([errors.ProviderTimeoutError], errors.AllProvidersTimedOutError),
        ([errors.ProviderUnavailableError], errors.AllProvidersUnavailableError),
        ([errors.ProviderTimeoutError, errors.ProviderUnavailableError], errors.AllProvidersUnavailableError),
        ([errors.RateLimitError, errors.RateLimitError], errors.AllProvidersRateLimitedError),
        ([errors.AuthorizationError], errors.AllProvidersUnauthorizedError),
        ([errors.MissingKeyError, errors.MissingKeyError], errors.AllProvidersLackKeyError),
        ([errors.MissingKeyError, errors.NotConfiguredError], errors.AllProvidersNotConfiguredError),
        ([errors.ModelNotFoundError], errors.AllProvidersLackModelError),
        ([errors.ModelNotFoundError, errors.ProviderUnavailableError], errors.AllProvidersUnavailableError),
        ([errors.UnsupportedError], errors.AllProvidersUnsupportedError),
        ([errors.SchemaValidationError], errors.AllProvidersInvalidOutputError),
        ([errors.RateLimitError, errors.AuthorizationError], errors.AllProvidersFailedError),
        ([errors.LLMProviderError], errors.AllProvidersFailedError),
        ([ValueError], errors.AllProvidersFailedError),
        ([], errors.AllProvidersFailedError),
    ],
)
def test_a_summary_has_the_common_class(
    kinds: list[type[Exception]], expected: type[errors.AllProvidersFailedError]
) -> None:
    error = errors.all_failed("none", {f"target {i}": kind("x") for i, kind in enumerate(kinds)}, "p")
    assert type(error) is expected
    for kind in kinds:
        if expected is not errors.AllProvidersFailedError and len(set(kinds)) == 1:
            assert isinstance(error, kind)


@pytest.mark.parametrize(
    "kind",
    [
        errors.ProviderTimeoutError,
        errors.ProviderUnavailableError,
        errors.RateLimitError,
        errors.AuthorizationError,
        errors.SchemaValidationError,
        errors.ContextLengthError,
        errors.ContentRefusedError,
        errors.MissingKeyError,
        errors.NotConfiguredError,
        errors.ModelNotFoundError,
        errors.UnsupportedError,
    ],
)
def test_a_summary_is_caught_by_its_common_class(kind: type[errors.LLMProviderError]) -> None:
    error = errors.all_failed("none", {"ollama": kind("x"), "gemini": kind("y")}, "p")
    assert isinstance(error, errors.AllProvidersFailedError)
    assert isinstance(error, kind)


def test_only_model_calls_fail_with_provider_errors() -> None:
    others = [cls for cls in EVERY_CLASS if not issubclass(cls, errors.LLMProviderError)]
    assert others == [
        errors.MadsparkError,
        errors.InvalidRequestError,
        errors.InvalidArgumentError,
        errors.PromptTooLongError,
        errors.MissingFileError,
        errors.InvalidSettingsError,
        errors.PageUnavailableError,
        errors.WorkflowTimeoutError,
        errors.InternalError,
    ]


def test_timeouts_are_builtin_timeout_errors() -> None:
    for cls in (
        errors.ProviderTimeoutError,
        errors.DeadlineExceededError,
        errors.WorkflowTimeoutError,
        errors.AllProvidersTimedOutError,
    ):
        with pytest.raises(TimeoutError, match="slow"):
            raise cls("slow")


def test_a_summary_has_the_shortest_wait() -> None:
    failures = {
        "ollama": errors.RateLimitError("a", retry_after=30.0),
        "gemini": errors.RateLimitError("b", retry_after=0.0),
        "openai": errors.RateLimitError("c"),
    }
    assert errors.all_failed("none", failures).retry_after == 0.0
    assert errors.all_failed("none", failures, retry_after=9.0).retry_after == 9.0
    assert errors.all_failed("none", {"openai": failures["openai"]}).retry_after is None


def test_a_summary_of_invalid_replies_holds_the_last_one() -> None:
    error = errors.all_failed(
        "none",
        {
            "ollama": errors.SchemaValidationError("a", raw="{", faults=["not JSON"]),
            "gemini": errors.SchemaValidationError("b", raw="[]", faults=["not an object"]),
        },
    )
    assert isinstance(error, errors.SchemaValidationError)
    assert (error.raw, error.faults) == ("[]", ("not an object",))
    assert list(error.errors) == ["ollama", "gemini"]


@pytest.mark.parametrize(
    ("status", "headers", "expected"), [(500, {}, None), (429, {}, None), (429, {"retry-after": "7"}, 7.0)]
)
def test_retry_after_is_what_the_provider_requested(
    status: int,
    headers: dict[str, str],
    expected: float | None,
    madspark_router: Callable[..., LLMRouter],
    madspark_simulator: Simulator,
) -> None:
    madspark_simulator.on("ollama", status=status, headers=headers)
    router = madspark_router(primary_provider="ollama", fallback_enabled=False, max_attempts=1)
    with pytest.raises(errors.AllProvidersFailedError) as caught:
        router.generate("hello")
    assert caught.value.attempts[0].retry_after == expected
    assert caught.value.retry_after == expected
    assert ("[retry after 7 s]" in str(caught.value)) == (expected is not None)


def test_messages_contain_neither_prompt_nor_reply() -> None:
    summary = errors.all_failed("none", {"ollama": errors.RateLimitError("slow")}, "a private prompt")
    rejected = errors.SchemaValidationError("does not fit", raw="a private reply")
    for shown in (str(summary), repr(summary), str(rejected), repr(rejected)):
        assert "private" not in shown
