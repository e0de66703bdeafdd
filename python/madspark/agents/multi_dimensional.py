"""The multi-dimensional evaluator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import madspark
from madspark.agents._agent import Agent, idea_cases, task

WEIGHTS = {
    "feasibility": 0.20,
    "innovation": 0.15,
    "impact": 0.20,
    "cost_effectiveness": 0.15,
    "scalability": 0.10,
    "risk_assessment": 0.10,
    "timeline": 0.10,
}
"""Each dimension's share of the weighted score. A higher risk assessment is a safer idea."""


class MultiDimensionalEvaluator(Agent):
    """Rates ideas on seven dimensions."""

    __slots__ = ()

    def evaluate(
        self,
        ideas: Sequence[str],
        topic: str,
        context: str = "",
        temperature: float = 0.0,
        *,
        language: str | None = None,
    ) -> list[madspark.schemas.MultiDimensionalEvaluationForIdea]:
        """Rate ideas in one call, summaries included; each evaluation names its idea by `idea_index`.

        An idea for which the model gave nothing usable, twice, has no evaluation in the list. The summaries are in
        `language`, by its name or code; None follows the topic.

        Raises:
            ValueError: A blank topic or idea, no idea, or an unknown language; nothing was sent.
            LLMProviderError: No provider answered.
        """
        return _evaluations(self._run(_task(ideas, topic, context, temperature, language)).value)

    async def aevaluate(
        self,
        ideas: Sequence[str],
        topic: str,
        context: str = "",
        temperature: float = 0.0,
        *,
        language: str | None = None,
    ) -> list[madspark.schemas.MultiDimensionalEvaluationForIdea]:
        """Do as `evaluate`, as a coroutine."""
        return _evaluations((await self._arun(_task(ideas, topic, context, temperature, language))).value)


def _task(ideas: Sequence[str], topic: str, context: str, temperature: float, language: str | None) -> dict[str, Any]:
    return task("rate", topic, context, temperature, idea_cases(ideas), language=language)


def _evaluations(values: list[dict[str, Any]]) -> list[madspark.schemas.MultiDimensionalEvaluationForIdea]:
    return [madspark.schemas.MultiDimensionalEvaluationForIdea.model_validate(value) for value in values]
