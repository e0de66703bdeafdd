"""The skeptic, which argues against ideas."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import madspark
from madspark.agents._agent import Agent, build_task, require_router, select_fields


class Skeptic(Agent):
    """Argues against ideas."""

    __slots__ = ()

    def criticize(
        self,
        idea: str,
        advocacy: str,
        topic: str,
        context: str = "",
        temperature: float | None = 0.5,
        *,
        language: str | None = None,
    ) -> madspark.schemas.Skepticism:
        """Argue against one idea. `advocacy` may be blank.

        Raises:
            ValueError: If the topic or the idea is blank. Nothing is sent.
            LLMProviderError: If no provider answers.
        """
        return self._run(_task(idea, advocacy, topic, context, temperature, language)).one(madspark.schemas.Skepticism)

    async def acriticize(
        self,
        idea: str,
        advocacy: str,
        topic: str,
        context: str = "",
        temperature: float | None = 0.5,
        *,
        language: str | None = None,
    ) -> madspark.schemas.Skepticism:
        """Argue against one idea, as a coroutine. See `criticize`."""
        outcome = await self._arun(_task(idea, advocacy, topic, context, temperature, language))
        return outcome.one(madspark.schemas.Skepticism)

    def criticize_batch(
        self,
        cases: Sequence[Mapping[str, Any]],
        topic: str,
        context: str = "",
        temperature: float | None = 0.5,
        *,
        language: str | None = None,
    ) -> list[madspark.schemas.SkepticismForIdea]:
        """Argue against many ideas in one call. Each result has the `idea_index` of its idea.

        Each case has `idea` and `advocacy`. Ideas that never got a valid result are left out.

        Raises:
            ValueError: If the topic or an idea is blank, or there is no idea. Nothing is sent.
            LLMProviderError: If no provider answers.
        """
        return self._run(_tasks(cases, topic, context, temperature, language)).many(madspark.schemas.SkepticismForIdea)

    async def acriticize_batch(
        self,
        cases: Sequence[Mapping[str, Any]],
        topic: str,
        context: str = "",
        temperature: float | None = 0.5,
        *,
        language: str | None = None,
    ) -> list[madspark.schemas.SkepticismForIdea]:
        """Argue against many ideas in one call, as a coroutine. See `criticize_batch`."""
        outcome = await self._arun(_tasks(cases, topic, context, temperature, language))
        return outcome.many(madspark.schemas.SkepticismForIdea)


def criticize_idea(
    idea: str,
    advocacy: str,
    topic: str,
    context: str = "",
    temperature: float | None = 0.5,
    use_structured_output: bool = True,
    use_router: bool = True,
    router: Any = None,
) -> str:
    """Argue against one idea and return a `Skepticism` as JSON, or without `use_structured_output` as bullet text.

    Raises:
        ValueError: If the topic or the idea is blank. Nothing is sent.
        LLMProviderError: If no provider answers.
    """
    require_router(use_router)
    value = Skeptic(router)._run(_task(idea, advocacy, topic, context, temperature)).value  # noqa: SLF001
    text: str = value.pop("formatted")
    return json.dumps(value, ensure_ascii=False) if use_structured_output else text


def criticize_ideas_batch(
    ideas_with_advocacies: Sequence[Mapping[str, Any]],
    topic: str,
    context: str = "",
    temperature: float | None = 0.5,
    router: Any = None,
) -> tuple[list[dict[str, Any]], int]:
    """Argue against many ideas in one call, each a dict with `idea` and `advocacy`.

    Returns:
        A dict for each idea, with `idea_index` and the bullet text as `formatted`, and the number of tokens. Ideas
        that never got a valid result are left out.

    Raises:
        ValueError: If the topic or an idea is blank, or there is no idea. Nothing is sent.
        LLMProviderError: If no provider answers.
    """
    found, tokens = Skeptic(router)._run(_tasks(ideas_with_advocacies, topic, context, temperature))  # noqa: SLF001
    return found, tokens


def _task(
    idea: str, advocacy: str, topic: str, context: str, temperature: float | None, language: str | None = None
) -> dict[str, Any]:
    return build_task(
        "criticize", topic, context, temperature, [{"idea": idea, "advocacy": advocacy}], language=language
    )


def _tasks(
    cases: Sequence[Mapping[str, Any]], topic: str, context: str, temperature: float | None, language: str | None = None
) -> dict[str, Any]:
    inputs = [select_fields(case, idea=("idea",), advocacy=("advocacy",)) for case in cases]
    return build_task("criticize_batch", topic, context, temperature, inputs, language=language)
