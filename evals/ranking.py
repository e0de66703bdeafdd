"""Measures how well a model ranks ideas whose order is obvious, one idea a call or all ideas of a topic in one call.

`python -m evals.ranking --provider ollama --model NAME` evaluates the 24 ideas of ranking.json as the workflow does, and
counts the pairs of one topic that are in the right order. The place in a list shifts scores, so each order of the ideas of a
topic is used once in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.__main__ import MODEL_FIELDS
from madspark import LLMConfig, LLMRouter
from madspark.agents import Critic
from madspark.agents._agent import build_task, idea_cases

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Topic:
    """A topic and its ideas, the best first: each with its text and its grade, a higher one for a better idea."""

    topic: str
    context: str
    ideas: list[tuple[str, int]]


@dataclass
class Count:
    """The pairs of ideas with different grades, by the order of their scores."""

    right: int = 0
    wrong: int = 0
    tied: int = 0
    missing: int = 0
    tokens: int = 0

    def add(self, grades: Sequence[int], scores: Sequence[float | None]) -> None:
        """Add the pairs of one topic."""
        for (one, score), (other, rival) in combinations(zip(grades, scores, strict=True), 2):
            if one == other:
                continue
            if score is None or rival is None:
                self.missing += 1
            elif score == rival:
                self.tied += 1
            elif (score > rival) == (one > other):
                self.right += 1
            else:
                self.wrong += 1


def topics() -> list[Topic]:
    """Return the topics of ranking.json."""
    read = json.loads(Path(__file__).with_name("ranking.json").read_text("utf-8"))
    return [
        Topic(one["topic"], one["context"], [(idea["text"], idea["grade"]) for idea in one["ideas"]]) for one in read
    ]


async def scores(router: Any, topic: Topic, ideas: Sequence[str]) -> tuple[list[float | None], int]:
    """Return the scores of `ideas`, evaluated in one call, and the tokens. None means that an idea has no score."""
    task = build_task("score", topic.topic, topic.context, 0.3, idea_cases(ideas))
    outcome = await Critic(router)._arun(task)  # noqa: SLF001  (one project)
    found = {item["idea_index"]: float(item["score"]) for item in outcome.value}
    return [found.get(at) for at in range(len(ideas))], outcome.tokens


async def measure(router: Any, *, together: bool) -> Count:
    """Count the pairs in the right order over all topics."""
    count = Count()
    for turn, topic in enumerate(topics()):
        places = turn % len(topic.ideas)
        ideas = topic.ideas[places:] + topic.ideas[:places]
        texts = [text for text, _ in ideas]
        calls = [texts] if together else [[text] for text in texts]
        found: list[float | None] = []
        for call in calls:
            values, tokens = await scores(router, topic, call)
            found += values
            count.tokens += tokens
        count.add([grade for _, grade in ideas], found)
    return count


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure a model in both ways and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m evals.ranking", description=__doc__)
    parser.add_argument("--provider", choices=list(MODEL_FIELDS), default="ollama")
    parser.add_argument("--model", required=True)
    options = parser.parse_args(arguments)
    config = LLMConfig.from_env().replace(**dict.fromkeys(MODEL_FIELDS[options.provider], options.model))
    for together in (False, True):
        router = LLMRouter(options.provider, fallback_enabled=False, cache_enabled=False, config=config)
        count = asyncio.run(measure(router, together=together))
        way = "one call for a topic" if together else "one call for each idea"
        print(  # noqa: T201  (the result)
            f"{way}: {count.right} right, {count.wrong} wrong, {count.tied} tied, {count.missing} missing; "
            f"{count.tokens} tokens"
        )


if __name__ == "__main__":
    main()
