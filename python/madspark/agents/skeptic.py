"""The skeptic."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import madspark
from madspark.agents._agent import Agent, case_of, routed, task


class Skeptic(Agent):
    """Argues against ideas."""

    __slots__ = ()

    def criticize(
        self,
        idea: str,
        advocacy: str,
        topic: str,
        context: str = "",
        temperature: float = 0.5,
        *,
        language: str | None = None,
    ) -> madspark.schemas.Skepticism:
        """Argue against one idea; `advocacy` may be blank.

        Raises:
            ValueError: A blank topic or idea; nothing was sent.
            LLMProviderError: No provider answered.
        """
        return _one(self._run(_task(idea, advocacy, topic, context, temperature, language)).value)

    async def acriticize(
        self,
        idea: str,
        advocacy: str,
        topic: str,
        context: str = "",
        temperature: float = 0.5,
        *,
        language: str | None = None,
    ) -> madspark.schemas.Skepticism:
        """Do as `criticize`, as a coroutine."""
        return _one((await self._arun(_task(idea, advocacy, topic, context, temperature, language))).value)

    def criticize_batch(
        self,
        cases: Sequence[Mapping[str, Any]],
        topic: str,
        context: str = "",
        temperature: float = 0.5,
        *,
        language: str | None = None,
    ) -> list[madspark.schemas.SkepticismForIdea]:
        """Argue against many ideas in one call; each result names its idea by `idea_index`.

        Each case has `idea` and `advocacy`. One for which nothing usable came back, twice, is not in the list.

        Raises:
            ValueError: A blank topic or idea, or no idea; nothing was sent.
            LLMProviderError: No provider answered.
        """
        return _many(self._run(_tasks(cases, topic, context, temperature, language)).value)

    async def acriticize_batch(
        self,
        cases: Sequence[Mapping[str, Any]],
        topic: str,
        context: str = "",
        temperature: float = 0.5,
        *,
        language: str | None = None,
    ) -> list[madspark.schemas.SkepticismForIdea]:
        """Do as `criticize_batch`, as a coroutine."""
        return _many((await self._arun(_tasks(cases, topic, context, temperature, language))).value)


def criticize_idea(
    idea: str,
    advocacy: str,
    topic: str,
    context: str = "",
    temperature: float = 0.5,
    use_structured_output: bool = True,
    use_router: bool = True,
    router: Any = None,
) -> str:
    """Argue against one idea; JSON text of an `Skepticism`. Without `use_structured_output`, the bullet text.

    Raises:
        ValueError: A blank topic or idea; nothing was sent.
        LLMProviderError: No provider answered.
    """
    routed(use_router)
    value = Skeptic(router)._run(_task(idea, advocacy, topic, context, temperature)).value  # noqa: SLF001
    text: str = value.pop("formatted")
    return json.dumps(value, ensure_ascii=False) if use_structured_output else text


def criticize_ideas_batch(
    ideas_with_advocacies: Sequence[Mapping[str, Any]],
    topic: str,
    context: str = "",
    temperature: float = 0.5,
    router: Any = None,
) -> tuple[list[dict[str, Any]], int]:
    """Argue against many ideas in one call.

    Args:
        ideas_with_advocacies: Each with `idea` and `advocacy`.
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
    found, tokens = Skeptic(router)._run(_tasks(ideas_with_advocacies, topic, context, temperature))  # noqa: SLF001
    return found, tokens


def _task(
    idea: str, advocacy: str, topic: str, context: str, temperature: float, language: str | None = None
) -> dict[str, Any]:
    return task("criticize", topic, context, temperature, [{"idea": idea, "advocacy": advocacy}], language=language)


def _tasks(
    cases: Sequence[Mapping[str, Any]], topic: str, context: str, temperature: float, language: str | None = None
) -> dict[str, Any]:
    known = [case_of(case, idea=("idea",), advocacy=("advocacy",)) for case in cases]
    return task("criticize_batch", topic, context, temperature, known, language=language)


def _one(value: dict[str, Any]) -> madspark.schemas.Skepticism:
    return madspark.schemas.Skepticism.model_validate(value)


def _many(values: list[dict[str, Any]]) -> list[madspark.schemas.SkepticismForIdea]:
    return [madspark.schemas.SkepticismForIdea.model_validate(value) for value in values]
