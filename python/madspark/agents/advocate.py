"""The advocate, which argues for ideas."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import madspark
from madspark.agents._agent import Agent, build_task, require_router, select_fields


class Advocate(Agent):
    """Argues for ideas."""

    __slots__ = ()

    def advocate(
        self,
        idea: str,
        evaluation: str,
        topic: str,
        context: str = "",
        temperature: float | None = 0.5,
        *,
        language: str | None = None,
    ) -> madspark.schemas.Advocacy:
        """Argue for one idea. `evaluation` may be blank.

        Raises:
            ValueError: If the topic or the idea is blank. Nothing is sent.
            LLMProviderError: If no provider answers.
        """
        return self._run(_task(idea, evaluation, topic, context, temperature, language)).one(madspark.schemas.Advocacy)

    async def aadvocate(
        self,
        idea: str,
        evaluation: str,
        topic: str,
        context: str = "",
        temperature: float | None = 0.5,
        *,
        language: str | None = None,
    ) -> madspark.schemas.Advocacy:
        """Argue for one idea, as a coroutine. See `advocate`."""
        outcome = await self._arun(_task(idea, evaluation, topic, context, temperature, language))
        return outcome.one(madspark.schemas.Advocacy)

    def advocate_batch(
        self,
        cases: Sequence[Mapping[str, Any]],
        topic: str,
        context: str = "",
        temperature: float | None = 0.5,
        *,
        language: str | None = None,
    ) -> list[madspark.schemas.AdvocacyForIdea]:
        """Argue for many ideas in one call. Each result has the `idea_index` of its idea.

        Each case has `idea` and `evaluation`. Ideas that never got a valid result are left out.

        Raises:
            ValueError: If the topic or an idea is blank, or there is no idea. Nothing is sent.
            LLMProviderError: If no provider answers.
        """
        return self._run(_tasks(cases, topic, context, temperature, language)).many(madspark.schemas.AdvocacyForIdea)

    async def aadvocate_batch(
        self,
        cases: Sequence[Mapping[str, Any]],
        topic: str,
        context: str = "",
        temperature: float | None = 0.5,
        *,
        language: str | None = None,
    ) -> list[madspark.schemas.AdvocacyForIdea]:
        """Argue for many ideas in one call, as a coroutine. See `advocate_batch`."""
        outcome = await self._arun(_tasks(cases, topic, context, temperature, language))
        return outcome.many(madspark.schemas.AdvocacyForIdea)


def advocate_idea(
    idea: str,
    evaluation: str,
    topic: str,
    context: str = "",
    temperature: float | None = 0.5,
    use_structured_output: bool = True,
    use_router: bool = True,
    router: Any = None,
) -> str:
    """Argue for one idea and return an `Advocacy` as JSON, or without `use_structured_output` as bullet text.

    Raises:
        ValueError: If the topic or the idea is blank. Nothing is sent.
        LLMProviderError: If no provider answers.
    """
    require_router(use_router)
    value = Advocate(router)._run(_task(idea, evaluation, topic, context, temperature)).value  # noqa: SLF001
    text: str = value.pop("formatted")
    return json.dumps(value, ensure_ascii=False) if use_structured_output else text


def advocate_ideas_batch(
    ideas_with_evaluations: Sequence[Mapping[str, Any]],
    topic: str,
    context: str = "",
    temperature: float | None = 0.5,
    router: Any = None,
) -> tuple[list[dict[str, Any]], int]:
    """Argue for many ideas in one call, each a dict with `idea` and `evaluation`.

    Returns:
        A dict for each idea, with `idea_index` and the bullet text as `formatted`, and the number of tokens. Ideas
        that never got a valid result are left out.

    Raises:
        ValueError: If the topic or an idea is blank, or there is no idea. Nothing is sent.
        LLMProviderError: If no provider answers.
    """
    found, tokens = Advocate(router)._run(_tasks(ideas_with_evaluations, topic, context, temperature))  # noqa: SLF001
    return found, tokens


def _task(
    idea: str, evaluation: str, topic: str, context: str, temperature: float | None, language: str | None = None
) -> dict[str, Any]:
    return build_task(
        "advocate", topic, context, temperature, [{"idea": idea, "evaluation": evaluation}], language=language
    )


def _tasks(
    cases: Sequence[Mapping[str, Any]], topic: str, context: str, temperature: float | None, language: str | None = None
) -> dict[str, Any]:
    inputs = [select_fields(case, idea=("idea",), evaluation=("evaluation", "critique")) for case in cases]
    return build_task("advocate_batch", topic, context, temperature, inputs, language=language)
