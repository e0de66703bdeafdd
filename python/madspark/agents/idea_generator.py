"""The idea generator."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import madspark
from madspark.agents._agent import Agent, case_of, routed, task
from madspark.agents.structured_idea_generator import improve_idea_structured
from madspark.llm.options import File

DEFAULT_COUNT = 5
"""How many ideas are asked for where the caller names no number."""


class IdeaGenerator(Agent):
    """Proposes ideas for a topic."""

    __slots__ = ()

    def generate(
        self,
        topic: str,
        context: str = "",
        count: int = DEFAULT_COUNT,
        temperature: float = 0.9,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        *,
        language: str | None = None,
    ) -> list[madspark.schemas.IdeaItem]:
        """Propose `count` ideas; fewer where the model gave fewer.

        Raises:
            ValueError: A blank topic, or a count below 1; nothing was sent.
            LLMProviderError: No provider answered.
        """
        asked = task("generate", topic, context, temperature, count=count, language=language)
        return _ideas(self._run(asked, files or (), urls or ()).value)

    async def agenerate(
        self,
        topic: str,
        context: str = "",
        count: int = DEFAULT_COUNT,
        temperature: float = 0.9,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        *,
        language: str | None = None,
    ) -> list[madspark.schemas.IdeaItem]:
        """Do as `generate`, as a coroutine."""
        asked = task("generate", topic, context, temperature, count=count, language=language)
        return _ideas((await self._arun(asked, files or (), urls or ())).value)


def generate_ideas(
    topic: str,
    context: str = "",
    temperature: float = 0.9,
    use_structured_output: bool = True,
    multimodal_files: Sequence[File] | None = None,
    multimodal_urls: Sequence[str] | None = None,
    use_router: bool = True,
    router: Any = None,
    num_ideas: int = DEFAULT_COUNT,
) -> str:
    """Propose ideas; JSON text, an array of `IdeaItem`. Without `use_structured_output`, one numbered line per idea.

    Raises:
        ValueError: A blank topic; nothing was sent.
        LLMProviderError: No provider answered.
    """
    routed(use_router)
    asked = task("generate", topic, context, temperature, count=num_ideas)
    ideas = IdeaGenerator(router)._run(asked, multimodal_files or (), multimodal_urls or ()).value  # noqa: SLF001
    if use_structured_output:
        return json.dumps(ideas, ensure_ascii=False)
    return "\n".join(f"{idea['idea_number']}. {idea['title']}: {idea['description']}" for idea in ideas)


# The existing package has this function in two modules.
improve_idea = improve_idea_structured


def improve_ideas_batch(
    ideas_with_feedback: Sequence[Mapping[str, Any]],
    topic: str,
    context: str = "",
    temperature: float = 0.9,
    router: Any = None,
) -> tuple[list[dict[str, Any]], int]:
    """Improve many ideas in one call.

    Args:
        ideas_with_feedback: Each with `idea`, and any of `critique` (or `evaluation`), `advocacy`, `skepticism`,
            `weak_dimensions` and `inference`.
        topic: What the ideas are about; not blank.
        context: What limits or guides them.
        temperature: 0.0 to 2.0.
        router: Whom to ask; None builds a fresh router from the environment.

    Returns:
        A dict per improved idea, with `idea_index`, and the tokens spent. An idea for which the model gave nothing
        usable, twice, is not among them.

    Raises:
        ValueError: A blank topic or idea, or none at all; nothing was sent.
        LLMProviderError: No provider answered.
    """
    cases = [
        case_of(
            given,
            idea=("idea", "original_idea"),
            evaluation=("critique", "evaluation"),
            advocacy=("advocacy", "advocacy_points"),
            skepticism=("skepticism", "skeptic_points"),
            weak_dimensions=("weak_dimensions",),
            inference=("inference", "logical_inference"),
        )
        for given in ideas_with_feedback
    ]
    improved, tokens = Agent(router)._run(task("improve_batch", topic, context, temperature, cases))  # noqa: SLF001
    return improved, tokens


def _ideas(values: list[dict[str, Any]]) -> list[madspark.schemas.IdeaItem]:
    return [madspark.schemas.IdeaItem.model_validate(value) for value in values]
