"""The structured idea generator, which improves ideas."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import madspark
from madspark.agents._agent import Agent, build_task, require_router


class StructuredIdeaGenerator(Agent):
    """Improves ideas by the feedback on them."""

    __slots__ = ()

    def improve(
        self,
        idea: str,
        critique: str,
        advocacy: str,
        skepticism: str,
        topic: str,
        context: str = "",
        temperature: float | None = 0.9,
        *,
        weak_dimensions: str | Sequence[str] = "",
        inference: str | Mapping[str, Any] = "",
        language: str | None = None,
    ) -> madspark.schemas.Improvement:
        """Improve one idea by the feedback on it, which may be blank.

        `weak_dimensions` are improved first. `inference` is a conclusion about the idea.

        Raises:
            ValueError: If the topic or the idea is blank. Nothing is sent.
            LLMProviderError: If no provider answers.
        """
        request = _task(
            idea, critique, advocacy, skepticism, topic, context, temperature, weak_dimensions, inference, language
        )
        return self._run(request).one(madspark.schemas.Improvement)

    async def aimprove(
        self,
        idea: str,
        critique: str,
        advocacy: str,
        skepticism: str,
        topic: str,
        context: str = "",
        temperature: float | None = 0.9,
        *,
        weak_dimensions: str | Sequence[str] = "",
        inference: str | Mapping[str, Any] = "",
        language: str | None = None,
    ) -> madspark.schemas.Improvement:
        """Improve one idea, as a coroutine. See `improve`."""
        request = _task(
            idea, critique, advocacy, skepticism, topic, context, temperature, weak_dimensions, inference, language
        )
        return (await self._arun(request)).one(madspark.schemas.Improvement)


def improve_idea_structured(
    original_idea: str,
    critique: str,
    advocacy_points: str,
    skeptic_points: str,
    topic: str,
    context: str = "",
    temperature: float | None = 0.9,
    use_structured_output: bool = True,
    use_router: bool = True,
    router: Any = None,
) -> str:
    """Improve one idea and return an `Improvement` as JSON, or without `use_structured_output` its title and text.

    Raises:
        ValueError: If the topic or the idea is blank. Nothing is sent.
        LLMProviderError: If no provider answers.
    """
    require_router(use_router)
    request = _task(original_idea, critique, advocacy_points, skeptic_points, topic, context, temperature)
    value = StructuredIdeaGenerator(router)._run(request).value  # noqa: SLF001
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
    temperature: float | None,
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
    return build_task("improve", topic, context, temperature, [case], language=language)
