"""Compares two written ideas blindly and in both orders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from evals.methods import Task
    from madspark import LLMRouter

POINTS = {"first": 1.0, "tie": 0.5, "second": 0.0}


class Verdict(BaseModel):
    """The answer of the judge."""

    reason: str = Field(max_length=1000)
    better: Literal["first", "second", "tie"]


@dataclass(frozen=True)
class Judgement:
    """The outcome of one comparison."""

    points: float
    """1.0 if it won in both orders, 0.0 if it lost in both, else 0.5."""
    first_places: float
    """The share of points for the idea shown first, 0 to 1; far from 0.5 means a position bias."""


async def compare(router: LLMRouter, task: Task, one: str, other: str) -> Judgement:
    """Judge `one` against `other`, without naming their methods."""
    forward = await _verdict(router, task, one, other)
    backward = await _verdict(router, task, other, one)
    return Judgement((forward + 1 - backward) / 2, (forward + backward) / 2)


async def _verdict(router: LLMRouter, task: Task, first: str, second: str) -> float:
    prompt = (
        "Two people answered the same question. Which idea is better: more useful, more original and more feasible "
        "within the context? Length and style count for nothing.\n"
        f"{task.text()}\n<first>\n{first}\n</first>\n<second>\n{second}\n</second>"
    )
    verdict, _ = await router.agenerate_structured(prompt, Verdict, temperature=0.0)
    return POINTS[verdict.better]
