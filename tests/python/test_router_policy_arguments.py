"""Validation of the policy arguments of a router: deadline, attempts, budget, refusals and hedging."""

from __future__ import annotations

import copy
import pickle
import traceback
from typing import TYPE_CHECKING, Any

import pytest

import madspark
from madspark import Budget, BudgetExceededError, LLMConfig, LLMRouter
from madspark.llm.router import MAX_ATTEMPTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark.testing import Simulator

NAN, INFINITE = float("nan"), float("inf")

WRONG_VALUES: list[tuple[str, Any]] = [
    ("deadline", 0),
    ("deadline", 0.0),
    ("deadline", -0.0),
    ("deadline", -1.5),
    ("deadline", NAN),
    ("deadline", INFINITE),
    ("deadline", -INFINITE),
    ("deadline", 1e300),
    ("deadline", 10**400),
    # Below the resolution of the clock.
    ("deadline", 1e-12),
    ("max_attempts", 0),
    ("max_attempts", -1),
    ("max_attempts", 2**32),
    ("max_attempts", 2**64),
    ("on_refusal", ""),
    ("on_refusal", "Next"),
    ("on_refusal", "STOP"),
    ("on_refusal", "fail"),
    ("hedge_after", 0),
    ("hedge_after", -1.5),
    ("hedge_after", NAN),
    ("hedge_after", INFINITE),
    ("hedge_after", 1e300),
    ("hedge_after", ""),
    ("hedge_after", "5"),
    ("hedge_after", "P95"),
    ("hedge_after", "p50"),
]

WRONG_TYPES: list[tuple[str, Any]] = [
    ("deadline", "5"),
    ("deadline", b"5"),
    ("deadline", [5]),
    ("deadline", 1j),
    ("max_attempts", 2.0),
    ("max_attempts", NAN),
    ("max_attempts", "3"),
    ("max_attempts", [3]),
    ("budget", 5),
    ("budget", 0),
    ("budget", False),
    ("budget", "5"),
    ("budget", (1, 2.0, 3)),
    ("budget", {"max_calls": 3}),
    ("budget", Budget),
    ("on_refusal", 1),
    ("on_refusal", True),
    ("on_refusal", b"stop"),
    ("hedge_after", b"p95"),
    ("hedge_after", [5]),
    ("hedge_after", {}),
    ("hedge_after", 1j),
]

WRONG_BOUNDS: list[tuple[str, Any, type[Exception]]] = [
    ("max_tokens", -1, ValueError),
    ("max_tokens", 2**64, ValueError),
    ("max_tokens", 1.5, TypeError),
    ("max_tokens", "5", TypeError),
    ("max_cost", -0.01, ValueError),
    ("max_cost", -1, ValueError),
    ("max_cost", NAN, ValueError),
    ("max_cost", INFINITE, ValueError),
    ("max_cost", 10**400, ValueError),
    ("max_cost", "1", TypeError),
    ("max_cost", [1.0], TypeError),
    ("max_calls", -1, ValueError),
    ("max_calls", 2**64, ValueError),
    ("max_calls", 2.0, TypeError),
    ("max_calls", "5", TypeError),
]

RIGHT_VALUES: list[dict[str, Any]] = [
    {},
    {"deadline": None, "budget": None, "hedge_after": None},
    {"deadline": 60},
    {"deadline": 59.5},
    # Above the range of the clock.
    {"deadline": 1e18},
    {"max_attempts": 1},
    {"max_attempts": 2**32 - 1},
    {"budget": Budget()},
    {"budget": Budget(max_tokens=2**62, max_cost=1e12, max_calls=2**62)},
    {"on_refusal": "stop"},
    {"on_refusal": "next"},
    {"hedge_after": 60},
    {"hedge_after": 59.5},
    {"hedge_after": 1e18},
    {"hedge_after": "p95"},
]


def brief(value: object) -> str:
    """Return a short description of a value for a test id."""
    return value.__name__ if isinstance(value, type) else str(value)[:20]


def shown(error: BaseException) -> str:
    """Return the last line of the traceback of an error."""
    return "".join(traceback.format_exception_only(error))


@pytest.mark.parametrize(("name", "value"), WRONG_VALUES, ids=brief)
def test_an_invalid_value_is_rejected_at_once_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # its words are matched below, notes included
        LLMRouter(config=LLMConfig(), **{name: value})
    assert name in shown(caught.value)


@pytest.mark.parametrize(("name", "value"), WRONG_TYPES, ids=brief)
def test_a_wrong_type_is_rejected_at_once_by_name(name: str, value: Any) -> None:
    with pytest.raises(TypeError) as caught:
        LLMRouter(config=LLMConfig(), **{name: value})
    assert name in shown(caught.value)


@pytest.mark.parametrize("name", ["hedge_after", "on_refusal"])
def test_the_error_lists_the_accepted_values(name: str) -> None:
    with pytest.raises(ValueError, match=name) as caught:
        LLMRouter(config=LLMConfig(), **{name: "sometimes"})  # type: ignore[arg-type]
    expected = {
        "hedge_after": ["number of seconds", '"p95"', "sometimes"],
        "on_refusal": ['"stop"', '"next"', "sometimes"],
    }
    assert [words for words in expected[name] if words not in str(caught.value)] == []


def test_a_type_error_reads_like_one_of_python() -> None:
    with pytest.raises(TypeError) as caught:
        LLMRouter(config=LLMConfig(), hedge_after=[5])  # type: ignore[arg-type]
    assert len(str(caught.value).splitlines()) == 1
    assert "HedgeAfter" not in shown(caught.value)


def test_policy_arguments_are_keyword_only() -> None:
    with pytest.raises(TypeError, match="positional"):
        LLMRouter("ollama", True, False, LLMConfig(), "fast", 60.0)  # type: ignore[call-arg]


@pytest.mark.parametrize("choices", RIGHT_VALUES, ids=str)
def test_valid_values_do_not_affect_a_successful_call(
    choices: dict[str, Any], madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    text, response = madspark_router(primary_provider="ollama", **choices).generate("hello")
    assert text
    assert [attempt.ok for attempt in response.attempts] == [True]
    assert [(request.provider, request.path) for request in madspark_simulator.requests] == [("ollama", "/api/chat")]


def test_a_router_exposes_its_policy() -> None:
    router = LLMRouter(config=LLMConfig())
    assert (router.deadline, router.max_attempts, router.budget) == (None, MAX_ATTEMPTS, Budget())
    assert MAX_ATTEMPTS == 6
    budget = Budget(max_tokens=50_000, max_cost=0.5, max_calls=40)
    router = LLMRouter(
        config=LLMConfig(), deadline=90, max_attempts=3, budget=budget, on_refusal="next", hedge_after="p95"
    )
    assert (router.deadline, router.max_attempts, router.budget) == (90.0, 3, budget)
    assert type(router.deadline) is float
    for name in ("deadline", "max_attempts", "budget"):
        with pytest.raises(AttributeError):
            setattr(router, name, getattr(LLMRouter(config=LLMConfig()), name))
    assert (router.deadline, router.max_attempts, router.budget) == (90.0, 3, budget)


@pytest.mark.parametrize(("name", "value", "expected"), WRONG_BOUNDS, ids=brief)
def test_an_invalid_budget_is_rejected_at_once_by_name(name: str, value: Any, expected: type[Exception]) -> None:
    with pytest.raises(expected) as caught:
        Budget(**{name: value})
    assert name in shown(caught.value)


def test_a_budget_is_a_value() -> None:
    budget = Budget(max_tokens=50_000, max_cost=0.5, max_calls=40)
    assert (budget.max_tokens, budget.max_cost, budget.max_calls) == (50_000, 0.5, 40)
    assert budget == Budget(50_000, 0.5, 40)
    for other in (Budget(50_001, 0.5, 40), Budget(50_000, 0.51, 40), Budget(50_000, 0.5, 41), Budget(), Budget(50_000)):
        assert budget != other
    assert budget != (50_000, 0.5, 40)
    assert len({budget, Budget(50_000, 0.5, 40), Budget(40, 0.5, 50_000)}) == 2
    for twin in (copy.copy(budget), copy.deepcopy(budget), pickle.loads(pickle.dumps(budget))):  # noqa: S301  # our own bytes
        assert twin == budget
        assert hash(twin) == hash(budget)
        assert type(twin) is Budget
    assert madspark.Budget is Budget


@pytest.mark.parametrize("name", ["max_tokens", "max_cost", "max_calls", "max_calls_of_another"])
def test_a_budget_is_immutable(name: str) -> None:
    budget = Budget(max_tokens=1, max_cost=2.5, max_calls=3)
    with pytest.raises(AttributeError):
        setattr(budget, name, 9)
    with pytest.raises(AttributeError):
        delattr(budget, name)
    assert budget == Budget(max_tokens=1, max_cost=2.5, max_calls=3)


@pytest.mark.parametrize(
    "budget", [Budget(), Budget(max_tokens=0, max_cost=0.0, max_calls=0), Budget(1, 1e-7, 3), Budget(max_cost=1e22)]
)
def test_the_repr_of_a_budget_evaluates_to_it(budget: Budget) -> None:
    assert eval(repr(budget)) == budget  # noqa: S307  # its own repr
    for name in ("max_tokens", "max_cost", "max_calls"):
        assert f"{name}=" in repr(budget) or getattr(budget, name) is None


def test_equal_budgets_have_equal_hashes() -> None:
    assert Budget(max_cost=1) == Budget(max_cost=1.0)
    assert hash(Budget(max_cost=1)) == hash(Budget(max_cost=1.0))
    assert Budget(max_cost=0.0) == Budget(max_cost=-0.0)
    assert hash(Budget(max_cost=0.0)) == hash(Budget(max_cost=-0.0))


@pytest.mark.parametrize("bounds", [{"max_tokens": 0}, {"max_cost": 0.0}, {"max_calls": 0}])
def test_a_zero_budget_sends_nothing(
    bounds: dict[str, Any], madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider="ollama", budget=Budget(**bounds))
    with pytest.raises(BudgetExceededError):
        router.generate("hello")
    assert madspark_simulator.requests == []


def test_routers_with_equal_budgets_spend_separately(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    budget = Budget(max_calls=1)
    routers = [madspark_router(primary_provider="ollama", budget=budget) for _ in range(2)]
    for router in routers:
        router.generate("hello")
    for router in routers:
        with pytest.raises(BudgetExceededError, match="1 of 1 calls"):
            router.generate("hello")
    assert len(madspark_simulator.requests) == 2
    assert budget == Budget(max_calls=1)


@pytest.mark.parametrize(("hedge_after", "on_refusal"), [(None, "stop"), (0.25, "next"), ("p95", "stop")])
def test_a_router_returns_its_budget(hedge_after: float | str | None, on_refusal: str) -> None:
    router = LLMRouter("mock", config=LLMConfig(), hedge_after=hedge_after, on_refusal=on_refusal)  # type: ignore[arg-type]
    assert (router.hedge_after, router.on_refusal) == (hedge_after, on_refusal)
