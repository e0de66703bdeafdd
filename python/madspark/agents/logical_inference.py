"""The logical inference engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import madspark
from madspark._check import text
from madspark.agents._agent import Agent, idea_cases, task

INFERENCE_TYPES = ("full", "causal", "constraints", "contradiction", "implications")
"""What can be reasoned about."""

CONFIDENCE_THRESHOLD = 0.5
"""The confidence from which on an inference is worth telling, unless the caller says otherwise."""


class LogicalInferenceEngine(Agent):
    """Draws conclusions about ideas, step by step."""

    __slots__ = ()

    def infer(
        self,
        ideas: Sequence[str],
        topic: str,
        context: str = "",
        inference_type: str = "full",
        temperature: float = 0.7,
        *,
        language: str | None = None,
    ) -> list[madspark.schemas.LogicalInference]:
        """Reason about ideas in one call; each inference names its idea by `idea_index`.

        The type decides the class of the answers: full (`FullInference`), causal (`CausalInference`), constraints
        (`ConstraintInference`), contradiction (`ContradictionInference`), implications (`ImplicationInference`). An
        idea for which the model gave nothing usable, twice, has none in the list; nothing is made up for it.

        Raises:
            ValueError: A blank topic or idea, no idea, or an unknown type or language; nothing was sent.
            LLMProviderError: No provider answered.
        """
        asked = _task(ideas, topic, context, inference_type, temperature, language)
        return _inferences(self._run(asked).value, inference_type)

    async def ainfer(
        self,
        ideas: Sequence[str],
        topic: str,
        context: str = "",
        inference_type: str = "full",
        temperature: float = 0.7,
        *,
        language: str | None = None,
    ) -> list[madspark.schemas.LogicalInference]:
        """Do as `infer`, as a coroutine."""
        asked = _task(ideas, topic, context, inference_type, temperature, language)
        return _inferences((await self._arun(asked)).value, inference_type)


def passes(inference: madspark.schemas.LogicalInference | None, threshold: float = CONFIDENCE_THRESHOLD) -> bool:
    """Tell whether an inference is certain enough to be used.

    None, and a confidence of 0.0, which is a placeholder for no answer, never are, whatever the threshold.
    """
    return inference is not None and inference.confidence > 0.0 and inference.confidence >= threshold


def _task(
    ideas: Sequence[str], topic: str, context: str, inference_type: str, temperature: float, language: str | None
) -> dict[str, Any]:
    asked = task("infer", topic, context, temperature, idea_cases(ideas), language=language)
    return {**asked, "inference_type": text("inference_type", inference_type)}


def _inferences(values: list[dict[str, Any]], inference_type: str) -> list[madspark.schemas.LogicalInference]:
    from madspark import schemas

    kinds: dict[str, type[madspark.schemas.LogicalInference]] = {
        "full": schemas.FullInference,
        "causal": schemas.CausalInference,
        "constraints": schemas.ConstraintInference,
        "contradiction": schemas.ContradictionInference,
        "implications": schemas.ImplicationInference,
    }
    return [kinds[inference_type].model_validate(value) for value in values]
