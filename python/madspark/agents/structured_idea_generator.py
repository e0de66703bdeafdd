"""The structured idea generator: improves ideas."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import madspark
from madspark.agents._agent import Agent, routed, task


class StructuredIdeaGenerator(Agent):
    """Improves an idea by what was said about it."""

    __slots__ = ()

    def improve(
        self,
        idea: str,
        critique: str,
        advocacy: str,
        skepticism: str,
        topic: str,
        context: str = "",
        temperature: float = 0.9,
        *,
        weak_dimensions: str | Sequence[str] = "",
        inference: str | Mapping[str, Any] = "",
        language: str | None = None,
    ) -> madspark.schemas.Improvement:
        """Improve one idea; what was said about it may be blank.

        `weak_dimensions` are to be mended first; `inference` is what was concluded about the idea.

        Raises:
            ValueError: A blank topic or idea; nothing was sent.
            LLMProviderError: No provider answered.
        """
        asked = _task(
            idea, critique, advocacy, skepticism, topic, context, temperature, weak_dimensions, inference, language
        )
        return _one(self._run(asked).value)

    async def aimprove(
        self,
        idea: str,
        critique: str,
        advocacy: str,
        skepticism: str,
        topic: str,
        context: str = "",
        temperature: float = 0.9,
        *,
        weak_dimensions: str | Sequence[str] = "",
        inference: str | Mapping[str, Any] = "",
        language: str | None = None,
    ) -> madspark.schemas.Improvement:
        """Do as `improve`, as a coroutine."""
        asked = _task(
            idea, critique, advocacy, skepticism, topic, context, temperature, weak_dimensions, inference, language
        )
        return _one((await self._arun(asked)).value)


def improve_idea_structured(
    original_idea: str,
    critique: str,
    advocacy_points: str,
    skeptic_points: str,
    topic: str,
    context: str = "",
    temperature: float = 0.9,
    use_structured_output: bool = True,
    use_router: bool = True,
    router: Any = None,
) -> str:
    """Improve one idea; JSON text of an `Improvement`. Without `use_structured_output`, its title and description.

    Raises:
        ValueError: A blank topic or idea; nothing was sent.
        LLMProviderError: No provider answered.
    """
    routed(use_router)
    asked = _task(original_idea, critique, advocacy_points, skeptic_points, topic, context, temperature)
    value = StructuredIdeaGenerator(router)._run(asked).value  # noqa: SLF001
    if use_structured_output:
        return json.dumps(value, ensure_ascii=False)
    return f"{value['improved_title']}: {value['improved_description']}"


def _task(
    idea: str,
    critique: str,
    advocacy: str,
    skepticism: str,
    topic: str,
    context: str,
    temperature: float,
    weak_dimensions: str | Sequence[str] = "",
    inference: str | Mapping[str, Any] = "",
    language: str | None = None,
) -> dict[str, Any]:
    case = {
        "idea": idea,
        "evaluation": critique,
        "advocacy": advocacy,
        "skepticism": skepticism,
        "weak_dimensions": weak_dimensions,
        "inference": inference,
    }
    return task("improve", topic, context, temperature, [case], language=language)


def _one(value: dict[str, Any]) -> madspark.schemas.Improvement:
    return madspark.schemas.Improvement.model_validate(value)
