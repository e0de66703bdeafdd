"""The critic."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import madspark
from madspark.agents._agent import Agent, idea_cases, routed, task


class Critic(Agent):
    """Scores ideas and says why."""

    __slots__ = ()

    def evaluate(
        self,
        ideas: Sequence[str],
        topic: str,
        context: str = "",
        temperature: float = 0.3,
        *,
        language: str | None = None,
    ) -> list[madspark.schemas.CriticEvaluation]:
        """Evaluate ideas in one call; each evaluation names its idea by `idea_index`.

        An idea for which the model gave nothing usable, twice, has no evaluation in the list.

        Raises:
            ValueError: A blank topic or idea, or no idea; nothing was sent.
            LLMProviderError: No provider answered.
        """
        return _evaluations(self._run(_task(ideas, topic, context, temperature, language)).value)

    async def aevaluate(
        self,
        ideas: Sequence[str],
        topic: str,
        context: str = "",
        temperature: float = 0.3,
        *,
        language: str | None = None,
    ) -> list[madspark.schemas.CriticEvaluation]:
        """Do as `evaluate`, as a coroutine."""
        return _evaluations((await self._arun(_task(ideas, topic, context, temperature, language))).value)


def evaluate_ideas(
    ideas: str | Sequence[str],
    topic: str,
    context: str = "",
    temperature: float = 0.3,
    use_structured_output: bool = True,
    use_router: bool = True,
    router: Any = None,
) -> tuple[str, int]:
    """Evaluate ideas; JSON text, an array of `CriticEvaluation`, and the tokens spent.

    Args:
        ideas: Best a list of texts. A single text is split by `split_ideas`.
        topic: What the ideas are about; not blank.
        context: What limits or guides them.
        temperature: 0.0 to 2.0.
        use_structured_output: Without it, one line per idea instead of JSON.
        use_router: Must be true.
        router: Whom to ask; None builds a fresh router from the environment.

    Raises:
        ValueError: A blank topic or idea, or no idea; nothing was sent.
        LLMProviderError: No provider answered.
    """
    routed(use_router)
    texts = split_ideas(ideas) if isinstance(ideas, str) else list(ideas)
    evaluations, tokens = Critic(router)._run(_task(texts, topic, context, temperature))  # noqa: SLF001
    if use_structured_output:
        return json.dumps(evaluations, ensure_ascii=False), tokens
    lines = [f"{one['idea_index'] + 1}. Score {one['score']:g}: {one['comment']}" for one in evaluations]
    return "\n".join(lines), tokens


def split_ideas(text: str) -> list[str]:
    """The ideas in one text.

    A JSON array is taken item by item. Otherwise the first of these that divides the text decides: numbered items
    ("1. ...", "2) ..."), paragraphs, lines. Lines that belong to a numbered item or to a paragraph stay with it; what
    stands before the first number is a heading and no idea.
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
    if len(numbered) > 2:  # noqa: PLR2004  (two items and what stands before the first)
        return [item.strip() for item in numbered[1:] if item.strip()]
    paragraphs = [part.strip() for part in re.split(r"\n[ \t]*\n", stripped) if part.strip()]
    if len(paragraphs) > 1:
        return paragraphs
    return [line.strip() for line in stripped.splitlines() if line.strip()]


def _as_text(item: object) -> str:
    if isinstance(item, dict) and "title" in item:
        return f"{item['title']}: {item.get('description', '')}".rstrip(": ")
    return item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)


def _task(
    ideas: Sequence[str], topic: str, context: str, temperature: float, language: str | None = None
) -> dict[str, Any]:
    return task("evaluate", topic, context, temperature, idea_cases(ideas), language=language)


def _evaluations(values: list[dict[str, Any]]) -> list[madspark.schemas.CriticEvaluation]:
    return [madspark.schemas.CriticEvaluation.model_validate(value) for value in values]
