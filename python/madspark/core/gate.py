"""Gates: reviewing, editing or stopping a run between its stages, and deciding about the providers it uses."""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from pydantic import BaseModel, TypeAdapter

from madspark.core.result import Candidate

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

__all__ = ["Decision", "OnProvider", "OnStage", "ProviderUse", "StageReview", "StopWorkflow"]


class StageReview(BaseModel):
    """The input of a gate: the finished stage and the candidates that went through it."""

    stage: str
    candidates: list[Candidate]


class StopWorkflow(Exception):  # noqa: N818  (a decision, not an error)
    """Raised by a gate to end the run; its result is the finished part."""


Decision: TypeAlias = bool | Sequence[Candidate] | None
"""None or True continues, False stops the run, a list continues with these candidates as edited."""

OnStage: TypeAlias = Callable[[StageReview], Awaitable[Decision] | Decision]
"""A gate; a coroutine function or a plain function."""


class ProviderUse(BaseModel):
    """The provider that a run is about to use for the first time. Nothing has been sent there."""

    stage: str
    provider: str
    model: str
    instead_of: str | None
    """The provider that the call would have preferred, if it is another one."""
    reason: str | None
    """Why that one did not answer."""


OnProvider: TypeAlias = Callable[[ProviderUse], Awaitable[bool | None] | bool | None]
"""Decides about a provider; a coroutine function or a plain function. False excludes it from the run."""

_CANDIDATES = TypeAdapter(list[Candidate])
_EDITABLE = {
    "idea_index", "idea", "initial_score", "initial_critique", "advocacy", "skepticism", "improved_idea",
    "improved_score", "improved_critique",
}  # fmt: skip


def json_gate(on_stage: OnStage) -> Callable[[str], Coroutine[Any, Any, str]]:
    """Return `on_stage` as the core calls it: the review and the decision are JSON text."""

    async def decide(review: str) -> str:
        return json.dumps(await _decision(on_stage, StageReview.model_validate_json(review)), allow_nan=False)

    return decide


async def _decision(on_stage: OnStage, review: StageReview) -> object:
    try:
        decision = on_stage(review)
        if inspect.isawaitable(decision):
            decision = await decision
    except StopWorkflow as stop:
        return {"stop": str(stop) or "on_stage raised StopWorkflow"}
    if decision is None or decision is True:
        return "approve"
    if decision is False:
        return {"stop": "on_stage returned False"}
    if not isinstance(decision, list | tuple):
        raise TypeError(f"on_stage must return None, a bool or a list of candidates, not {type(decision).__name__}")
    kept = _CANDIDATES.validate_python(list(decision))
    return {"keep": [candidate.model_dump(include=_EDITABLE) for candidate in kept]}


def json_provider_gate(on_provider: OnProvider) -> Callable[[str], Coroutine[Any, Any, bool]]:
    """Return `on_provider` as the core calls it, with JSON text."""

    async def admit(request: str) -> bool:
        decision = on_provider(ProviderUse.model_validate_json(request))
        if inspect.isawaitable(decision):
            decision = await decision
        if decision is None or isinstance(decision, bool):
            return decision is not False
        raise TypeError(f"on_provider must return None or a bool, not {type(decision).__name__}")

    return admit
