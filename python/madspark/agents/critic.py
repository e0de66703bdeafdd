"""The critic, which scores ideas."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import madspark
from madspark.agents._agent import Agent, build_task, idea_cases, require_router


class Critic(Agent):
    """Scores ideas and explains the scores."""

    __slots__ = ()

    def evaluate(
        self,
        ideas: Sequence[str],
        topic: str,
        context: str = "",
        temperature: float | None = 0.3,
        *,
        language: str | None = None,
    ) -> list[madspark.schemas.CriticEvaluation]:
        """Evaluate ideas in one call. Each evaluation has the `idea_index` of its idea.

        Ideas that never got a valid evaluation are left out.

        Raises:
            ValueError: If the topic or an idea is blank, or there is no idea. Nothing is sent.
            LLMProviderError: If no provider answers.
        """
        task = build_task("evaluate", topic, context, temperature, idea_cases(ideas), language=language)
        return self._run(task).many(madspark.schemas.CriticEvaluation)

    async def aevaluate(
        self,
        ideas: Sequence[str],
        topic: str,
        context: str = "",
        temperature: float | None = 0.3,
        *,
        language: str | None = None,
    ) -> list[madspark.schemas.CriticEvaluation]:
        """Evaluate ideas in one call, as a coroutine. See `evaluate`."""
        task = build_task("evaluate", topic, context, temperature, idea_cases(ideas), language=language)
        return (await self._arun(task)).many(madspark.schemas.CriticEvaluation)


def evaluate_ideas(
    ideas: str | Sequence[str],
    topic: str,
    context: str = "",
    temperature: float | None = 0.3,
    use_structured_output: bool = True,
    use_router: bool = True,
    router: Any = None,
) -> tuple[str, int]:
    """Evaluate ideas. Returns a JSON array of `CriticEvaluation`, and the number of tokens.

    Args:
        ideas: A list of texts, or one text that `split_ideas` splits.
        use_structured_output: If false, the result is one line for each idea instead of JSON.

    Raises:
        ValueError: If the topic or an idea is blank, or there is no idea. Nothing is sent.
        LLMProviderError: If no provider answers.
    """
    require_router(use_router)
    texts = split_ideas(ideas) if isinstance(ideas, str) else list(ideas)
    task = build_task("evaluate", topic, context, temperature, idea_cases(texts))
    evaluations, tokens = Critic(router)._run(task)  # noqa: SLF001
    if use_structured_output:
        return json.dumps(evaluations, ensure_ascii=False), tokens
    lines = [f"{one['idea_index'] + 1}. Score {one['score']:g}: {one['comment']}" for one in evaluations]
    return "\n".join(lines), tokens


def split_ideas(text: str) -> list[str]:
    """Split a text into ideas.

    A JSON array is split into its items, any other text into numbered items ("1. ...", "2) ..."), paragraphs or lines,
    whichever of these first yields several ideas. The text before the first number is a heading and is dropped.
    """
    stripped = text.strip()
    if stripped.startswith("["):
        try:
            items = json.loads(stripped)
        except ValueError:
            items = None
        if isinstance(items, list):
            return [_as_text(item) for item in items]
    numbered = re.split(r"(?m)^[ \t]*\d{1,3}[.)][ \t]+", stripped)
    if len(numbered) > 2:  # noqa: PLR2004  (two items and the text before the first one)
        return [item.strip() for item in numbered[1:] if item.strip()]
    paragraphs = [part.strip() for part in re.split(r"\n[ \t]*\n", stripped) if part.strip()]
    if len(paragraphs) > 1:
        return paragraphs
    return [line.strip() for line in stripped.splitlines() if line.strip()]


def _as_text(item: object) -> str:
    if isinstance(item, dict) and "title" in item:
        return f"{item['title']}: {item.get('description', '')}".rstrip(": ")
    return item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)
