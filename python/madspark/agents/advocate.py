"""The advocate."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import madspark
from madspark.agents._agent import Agent, case_of, routed, task


class Advocate(Agent):
    """Argues for ideas."""

    __slots__ = ()

    def advocate(
        self,
        idea: str,
        evaluation: str,
        topic: str,
        context: str = "",
        temperature: float = 0.5,
        *,
        language: str | None = None,
    ) -> madspark.schemas.Advocacy:
        """Argue for one idea; `evaluation` may be blank.

        Raises:
            ValueError: A blank topic or idea; nothing was sent.
            LLMProviderError: No provider answered.
        """
        return _one(self._run(_task(idea, evaluation, topic, context, temperature, language)).value)

    async def aadvocate(
        self,
        idea: str,
        evaluation: str,
        topic: str,
        context: str = "",
        temperature: float = 0.5,
        *,
        language: str | None = None,
    ) -> madspark.schemas.Advocacy:
        """Do as `advocate`, as a coroutine."""
        return _one((await self._arun(_task(idea, evaluation, topic, context, temperature, language))).value)

    def advocate_batch(
        self,
        cases: Sequence[Mapping[str, Any]],
        topic: str,
        context: str = "",
        temperature: float = 0.5,
        *,
        language: str | None = None,
    ) -> list[madspark.schemas.AdvocacyForIdea]:
        """Argue for many ideas in one call; each result names its idea by `idea_index`.

        Each case has `idea` and `evaluation`. One for which nothing usable came back, twice, is not in the list.

        Raises:
            ValueError: A blank topic or idea, or no idea; nothing was sent.
            LLMProviderError: No provider answered.
        """
        return _many(self._run(_tasks(cases, topic, context, temperature, language)).value)

    async def aadvocate_batch(
        self,
        cases: Sequence[Mapping[str, Any]],
        topic: str,
        context: str = "",
        temperature: float = 0.5,
        *,
        language: str | None = None,
    ) -> list[madspark.schemas.AdvocacyForIdea]:
        """Do as `advocate_batch`, as a coroutine."""
        return _many((await self._arun(_tasks(cases, topic, context, temperature, language))).value)


def advocate_idea(
    idea: str,
    evaluation: str,
    topic: str,
    context: str = "",
    temperature: float = 0.5,
    use_structured_output: bool = True,
    use_router: bool = True,
    router: Any = None,
) -> str:
    """Argue for one idea; JSON text of an `Advocacy`. Without `use_structured_output`, the bullet text.

    Raises:
        ValueError: A blank topic or idea; nothing was sent.
        LLMProviderError: No provider answered.
    """
    routed(use_router)
    value = Advocate(router)._run(_task(idea, evaluation, topic, context, temperature)).value  # noqa: SLF001
    text: str = value.pop("formatted")
    return json.dumps(value, ensure_ascii=False) if use_structured_output else text


def advocate_ideas_batch(
    ideas_with_evaluations: Sequence[Mapping[str, Any]],
    topic: str,
    context: str = "",
    temperature: float = 0.5,
    router: Any = None,
) -> tuple[list[dict[str, Any]], int]:
    """Argue for many ideas in one call.

    Args:
        ideas_with_evaluations: Each with `idea` and `evaluation`.
        topic: What the ideas are about; not blank.
        context: What limits or guides them.
        temperature: 0.0 to 2.0.
        router: Whom to ask; None builds a fresh router from the environment.

    Returns:
        A dict per idea, with `idea_index` and the bullet text as `formatted`, and the tokens spent. An idea for which
        the model gave nothing usable, twice, is not among them.

    Raises:
        ValueError: A blank topic or idea, or none at all; nothing was sent.
        LLMProviderError: No provider answered.
    """
    found, tokens = Advocate(router)._run(_tasks(ideas_with_evaluations, topic, context, temperature))  # noqa: SLF001
    return found, tokens


def _task(
    idea: str, evaluation: str, topic: str, context: str, temperature: float, language: str | None = None
) -> dict[str, Any]:
    return task("advocate", topic, context, temperature, [{"idea": idea, "evaluation": evaluation}], language=language)


def _tasks(
    cases: Sequence[Mapping[str, Any]], topic: str, context: str, temperature: float, language: str | None = None
) -> dict[str, Any]:
    known = [case_of(case, idea=("idea",), evaluation=("evaluation", "critique")) for case in cases]
    return task("advocate_batch", topic, context, temperature, known, language=language)


def _one(value: dict[str, Any]) -> madspark.schemas.Advocacy:
    return madspark.schemas.Advocacy.model_validate(value)


def _many(values: list[dict[str, Any]]) -> list[madspark.schemas.AdvocacyForIdea]:
    return [madspark.schemas.AdvocacyForIdea.model_validate(value) for value in values]
