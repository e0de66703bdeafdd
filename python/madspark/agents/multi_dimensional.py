"""The multi-dimensional evaluator, which scores ideas on seven dimensions."""

from __future__ import annotations

from collections.abc import Sequence

import madspark
from madspark.agents._agent import Agent, build_task, idea_cases

WEIGHTS = {
    "feasibility": 0.20,
    "innovation": 0.15,
    "impact": 0.20,
    "cost_effectiveness": 0.15,
    "scalability": 0.10,
    "risk_assessment": 0.10,
    "timeline": 0.10,
}
"""The share of each dimension in the weighted score. A higher risk assessment means a safer idea."""


class MultiDimensionalEvaluator(Agent):
    """Scores ideas on seven dimensions."""

    __slots__ = ()

    def evaluate(
        self,
        ideas: Sequence[str],
        topic: str,
        context: str = "",
        temperature: float | None = 0.0,
        *,
        language: str | None = None,
    ) -> list[madspark.schemas.MultiDimensionalEvaluationForIdea]:
        """Score ideas in one call, summaries included. Each evaluation has the `idea_index` of its idea.

        Ideas that never got a valid evaluation are left out. The summaries are in `language`, a name or a
        code; None means the language of the topic.

        Raises:
            ValueError: If the topic or an idea is blank, there is no idea, or the language is unknown. Nothing is sent.
            LLMProviderError: If no provider answers.
        """
        task = build_task("rate", topic, context, temperature, idea_cases(ideas), language=language)
        return self._run(task).many(madspark.schemas.MultiDimensionalEvaluationForIdea)

    async def aevaluate(
        self,
        ideas: Sequence[str],
        topic: str,
        context: str = "",
        temperature: float | None = 0.0,
        *,
        language: str | None = None,
    ) -> list[madspark.schemas.MultiDimensionalEvaluationForIdea]:
        """Score ideas in one call, as a coroutine. See `evaluate`."""
        task = build_task("rate", topic, context, temperature, idea_cases(ideas), language=language)
        return (await self._arun(task)).many(madspark.schemas.MultiDimensionalEvaluationForIdea)
