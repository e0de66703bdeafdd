"""The logical inference engine, which draws conclusions about ideas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import madspark
from madspark._check import text
from madspark.agents._agent import Agent, build_task, idea_cases

INFERENCE_TYPES = ("full", "causal", "constraints", "contradiction", "implications")
"""The types of inference."""

CONFIDENCE_THRESHOLD = 0.5
"""The default minimum confidence of an inference."""


class LogicalInferenceEngine(Agent):
    """Draws conclusions about ideas, step by step."""

    __slots__ = ()

    def infer(
        self,
        ideas: Sequence[str],
        topic: str,
        context: str = "",
        inference_type: str = "full",
        temperature: float | None = 0.7,
        *,
        language: str | None = None,
    ) -> list[madspark.schemas.LogicalInference]:
        """Reason about ideas in one call. Each inference has the `idea_index` of its idea.

        `inference_type` determines the class of the inferences: full (`FullInference`), causal (`CausalInference`),
        constraints (`ConstraintInference`), contradiction (`ContradictionInference`) or implications
        (`ImplicationInference`). Ideas that never got a valid inference are left out.

        Raises:
            ValueError: If the topic or an idea is blank, there is no idea, or a name is unknown. Nothing is sent.
            LLMProviderError: If no provider answers.
        """
        request = _task(ideas, topic, context, inference_type, temperature, language)
        return _inferences(self._run(request).value, inference_type)

    async def ainfer(
        self,
        ideas: Sequence[str],
        topic: str,
        context: str = "",
        inference_type: str = "full",
        temperature: float | None = 0.7,
        *,
        language: str | None = None,
    ) -> list[madspark.schemas.LogicalInference]:
        """Reason about ideas in one call, as a coroutine. See `infer`."""
        request = _task(ideas, topic, context, inference_type, temperature, language)
        return _inferences((await self._arun(request)).value, inference_type)


def passes(inference: madspark.schemas.LogicalInference | None, threshold: float = CONFIDENCE_THRESHOLD) -> bool:
    """Return whether an inference reaches the confidence `threshold`.

    None, and a confidence of 0.0, which is a placeholder for a missing answer, never do.
    """
    return inference is not None and inference.confidence > 0.0 and inference.confidence >= threshold


def _task(
    ideas: Sequence[str], topic: str, context: str, inference_type: str, temperature: float | None, language: str | None
) -> dict[str, Any]:
    request = build_task("infer", topic, context, temperature, idea_cases(ideas), language=language)
    return {**request, "inference_type": text("inference_type", inference_type)}


def _inferences(values: list[dict[str, Any]], inference_type: str) -> list[madspark.schemas.LogicalInference]:
    from madspark import schemas

    models: dict[str, type[madspark.schemas.LogicalInference]] = {
        "full": schemas.FullInference,
        "causal": schemas.CausalInference,
        "constraints": schemas.ConstraintInference,
        "contradiction": schemas.ContradictionInference,
        "implications": schemas.ImplicationInference,
    }
    return [models[inference_type].model_validate(value) for value in values]
