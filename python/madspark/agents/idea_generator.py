"""The idea generator, which proposes ideas."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import madspark
from madspark.agents._agent import Agent, build_task, require_router, select_fields
from madspark.agents.structured_idea_generator import improve_idea_structured
from madspark.llm.options import File

DEFAULT_COUNT = 5
"""The default number of ideas."""


class IdeaGenerator(Agent):
    """Proposes ideas for a topic."""

    __slots__ = ()

    def generate(
        self,
        topic: str,
        context: str = "",
        count: int = DEFAULT_COUNT,
        temperature: float | None = 0.9,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        *,
        language: str | None = None,
    ) -> list[madspark.schemas.IdeaItem]:
        """Propose `count` ideas, or fewer if the model returns fewer.

        Raises:
            ValueError: If the topic is blank or `count` is below 1. Nothing is sent.
            LLMProviderError: If no provider answers.
        """
        request = build_task("generate", topic, context, temperature, count=count, language=language)
        return self._run(request, files, urls).many(madspark.schemas.IdeaItem)

    async def agenerate(
        self,
        topic: str,
        context: str = "",
        count: int = DEFAULT_COUNT,
        temperature: float | None = 0.9,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        *,
        language: str | None = None,
    ) -> list[madspark.schemas.IdeaItem]:
        """Propose `count` ideas, as a coroutine. See `generate`."""
        request = build_task("generate", topic, context, temperature, count=count, language=language)
        return (await self._arun(request, files, urls)).many(madspark.schemas.IdeaItem)


def generate_ideas(
    topic: str,
    context: str = "",
    temperature: float | None = 0.9,
    use_structured_output: bool = True,
    multimodal_files: Sequence[File] | None = None,
    multimodal_urls: Sequence[str] | None = None,
    use_router: bool = True,
    router: Any = None,
    num_ideas: int = DEFAULT_COUNT,
) -> str:
    """Propose ideas. Returns a JSON array of `IdeaItem`, or without `use_structured_output` one numbered line for each.

    Raises:
        ValueError: If the topic is blank. Nothing is sent.
        LLMProviderError: If no provider answers.
    """
    require_router(use_router)
    request = build_task("generate", topic, context, temperature, count=num_ideas)
    ideas = IdeaGenerator(router)._run(request, multimodal_files, multimodal_urls).value  # noqa: SLF001
    if use_structured_output:
        return json.dumps(ideas, ensure_ascii=False)
    return "\n".join(f"{idea['idea_number']}. {idea['title']}: {idea['description']}" for idea in ideas)


# The previous package has this function in two modules.
improve_idea = improve_idea_structured


def improve_ideas_batch(
    ideas_with_feedback: Sequence[Mapping[str, Any]],
    topic: str,
    context: str = "",
    temperature: float | None = 0.9,
    router: Any = None,
) -> tuple[list[dict[str, Any]], int]:
    """Improve many ideas in one call.

    Args:
        ideas_with_feedback: Dicts with `idea`, and any of `critique` (or `evaluation`), `advocacy`, `skepticism`,
            `weak_dimensions` and `inference`.

    Returns:
        A dict for each improved idea, with `idea_index`, and the number of tokens. Ideas without a valid result after
        two requests are left out.

    Raises:
        ValueError: If the topic or an idea is blank, or there is no idea. Nothing is sent.
        LLMProviderError: If no provider answers.
    """
    cases = [
        select_fields(
            fields,
            idea=("idea", "original_idea"),
            evaluation=("critique", "evaluation"),
            advocacy=("advocacy", "advocacy_points"),
            skepticism=("skepticism", "skeptic_points"),
            weak_dimensions=("weak_dimensions",),
            inference=("inference", "logical_inference"),
        )
        for fields in ideas_with_feedback
    ]
    improved, tokens = Agent(router)._run(build_task("improve_batch", topic, context, temperature, cases))  # noqa: SLF001
    return improved, tokens
