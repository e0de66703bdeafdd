"""The stages that rate and reason, and how a run is to use them."""

from __future__ import annotations

from typing import Any

from madspark._check import number
from madspark.agents.logical_inference import CONFIDENCE_THRESHOLD, INFERENCE_TYPES, LogicalInferenceEngine
from madspark.agents.multi_dimensional import MultiDimensionalEvaluator

__all__ = ["LogicalInferenceEngine", "MultiDimensionalEvaluator", "ReasoningEngine"]


class ReasoningEngine:
    """How a run rates and reasons: the `reasoning_engine` of `run_workflow`.

    Args:
        router: Whom its agents ask when they are used by themselves; a run asks its own router. None builds a fresh
            one from the environment at the first use.
        inference_type: full, causal, constraints, contradiction or implications.
        confidence_threshold: 0.0 to 1.0; less certain inferences are left out. A confidence of 0.0 is a placeholder
            and always left out.

    Raises:
        ValueError: An unknown type, or a threshold out of bounds.
    """

    __slots__ = ("_router", "confidence_threshold", "inference_type")

    def __init__(
        self,
        router: Any = None,
        inference_type: str = "full",
        confidence_threshold: float = CONFIDENCE_THRESHOLD,
    ) -> None:
        if inference_type not in INFERENCE_TYPES:
            message = f"unknown type of inference {inference_type!r}: use one of {', '.join(INFERENCE_TYPES)}"
            raise ValueError(message)
        if not 0.0 <= number("confidence_threshold", confidence_threshold) <= 1.0:
            message = f"confidence_threshold must be between 0.0 and 1.0, not {confidence_threshold}"
            raise ValueError(message)
        self._router = router
        self.inference_type = inference_type
        self.confidence_threshold = float(confidence_threshold)

    @property
    def multi_dimensional_evaluator(self) -> MultiDimensionalEvaluator:
        """The agent that rates ideas."""
        return MultiDimensionalEvaluator(self._router)

    @property
    def logical_inference_engine(self) -> LogicalInferenceEngine:
        """The agent that reasons about ideas."""
        return LogicalInferenceEngine(self._router)
