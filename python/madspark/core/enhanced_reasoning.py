"""The rating and inference agents, and their settings for a run."""

from __future__ import annotations

from typing import Any

from madspark._check import number
from madspark.agents.logical_inference import CONFIDENCE_THRESHOLD, INFERENCE_TYPES, LogicalInferenceEngine
from madspark.agents.multi_dimensional import MultiDimensionalEvaluator
from madspark.llm.exceptions import InvalidRequestError

__all__ = ["LogicalInferenceEngine", "MultiDimensionalEvaluator", "ReasoningEngine"]


class ReasoningEngine:
    """The settings of the inference stage: the `reasoning_engine` of a run.

    Args:
        router: The router of its agents when they are used directly; a run uses its own router. None creates an
            `LLMRouter()` from the environment at the first use.
        inference_type: full, causal, constraints, contradiction or implications.
        confidence_threshold: 0.0 to 1.0; inferences below it are discarded. A confidence of 0.0 is a placeholder and
            is always discarded.

    Raises:
        ValueError: If the type is unknown or the threshold is out of bounds.
    """

    __slots__ = ("_router", "confidence_threshold", "inference_type")

    def __init__(
        self,
        router: Any = None,
        inference_type: str = "full",
        confidence_threshold: float = CONFIDENCE_THRESHOLD,
    ) -> None:
        if inference_type not in INFERENCE_TYPES:
            raise InvalidRequestError(
                f"unknown type of inference {inference_type!r}: use one of {', '.join(INFERENCE_TYPES)}"
            )
        if not 0.0 <= number("confidence_threshold", confidence_threshold) <= 1.0:
            raise InvalidRequestError(f"confidence_threshold must be between 0.0 and 1.0, not {confidence_threshold}")
        self._router = router
        self.inference_type = inference_type
        self.confidence_threshold = float(confidence_threshold)

    @property
    def multi_dimensional_evaluator(self) -> MultiDimensionalEvaluator:
        """The agent that rates ideas on seven dimensions."""
        return MultiDimensionalEvaluator(self._router)

    @property
    def logical_inference_engine(self) -> LogicalInferenceEngine:
        """The agent that draws conclusions from ideas."""
        return LogicalInferenceEngine(self._router)
