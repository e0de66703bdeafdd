"""The caller's say between two stages."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from pydantic import BaseModel, TypeAdapter

from madspark.core.result import Candidate

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

__all__ = ["OnStage", "StageReview", "StopWorkflow", "Verdict"]


class StageReview(BaseModel):
    """What a gate is asked about: the stage that is done, and the ideas that went through it."""

    stage: str
    candidates: list[Candidate]


class StopWorkflow(Exception):  # noqa: N818  (it is no error, but a decision)
    """Raised by a gate: the run ends here, and what there is is its result."""


Verdict: TypeAlias = bool | Sequence[Candidate] | None
"""None or True goes on as it is, False stops the run, candidates are what it goes on with."""

OnStage: TypeAlias = Callable[[StageReview], Awaitable[Verdict] | Verdict]
"""A gate; a coroutine function or a plain one."""

_KEPT = TypeAdapter(list[Candidate])
_EDITABLE = {
    "idea_index", "idea", "initial_score", "initial_critique", "advocacy", "skepticism", "improved_idea",
    "improved_score", "improved_critique",
}  # fmt: skip


def asker(on_stage: OnStage) -> Callable[..., Coroutine[Any, Any, tuple[str, str, str, int, float | None, float]]]:
    """What the core asks, in the form in which it asks routers: text, and who answered at what cost."""

    async def ask(question: str, *_: object) -> tuple[str, str, str, int, float | None, float]:
        try:
            verdict = on_stage(StageReview.model_validate_json(question))
            if inspect.isawaitable(verdict):
                verdict = await verdict
        except StopWorkflow as stop:
            return _told({"stop": str(stop) or "on_stage said so"})
        if verdict is None or verdict is True:
            return _told("approve")
        if verdict is False:
            return _told({"stop": "on_stage said so"})
        kept = _KEPT.validate_python(_listed(verdict))
        return _told({"keep": [one.model_dump(include=_EDITABLE) for one in kept]})

    return ask


def _listed(verdict: object) -> list[object]:
    if not isinstance(verdict, list | tuple):
        message = f"on_stage must return None, a bool or a list of candidates, not {type(verdict).__name__}"
        raise TypeError(message)
    return list(verdict)


def _told(verdict: object) -> tuple[str, str, str, int, float | None, float]:
    import json

    return json.dumps(verdict, allow_nan=False), "", "", 0, None, 0.0
