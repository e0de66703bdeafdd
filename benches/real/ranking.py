"""Whether the critic ranks ideas with an obvious order: every sensible idea of a topic above every absurd one."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from madspark import LLMProviderError
from madspark.agents import Critic

if TYPE_CHECKING:
    from benches.real.server import Server


@dataclass
class Ranking:
    """The pairs of one sensible and one absurd idea, by which got the higher score."""

    right: int = 0
    equal: int = 0
    wrong: int = 0
    missing: int = 0
    """Pairs without both scores."""
    tokens: int = 0
    seconds: float = 0.0

    def add(self, sensible: dict[str, float], absurd: dict[str, float], pairs: int) -> None:
        """Compare the scores of a topic with `pairs` pairs."""
        compared = list(product(sensible.values(), absurd.values()))
        self.right += sum(good > bad for good, bad in compared)
        self.equal += sum(good == bad for good, bad in compared)
        self.wrong += sum(good < bad for good, bad in compared)
        self.missing += pairs - len(compared)

    def row(self) -> list[str]:
        """Return the cells of a table row."""
        pairs = self.right + self.equal + self.wrong + self.missing
        share = f"{100 * self.right / max(pairs, 1):.0f} %"
        counts = (self.equal, self.wrong, self.missing, self.tokens)
        return [f"{self.right}/{pairs}", share, *map(str, counts), f"{self.seconds:.0f}"]


HEADER = ["right", "share", "equal", "wrong", "missing", "tokens", "seconds"]


def topics() -> list[dict[str, str | list[str]]]:
    """Return the topics of `ranking.json`, each with its sensible and absurd ideas."""
    found: list[dict[str, str | list[str]]] = json.loads(
        Path(__file__).with_name("ranking.json").read_text(encoding="utf-8")
    )
    return found


def measure(server: Server, *, together: bool) -> Ranking:
    """Evaluate the ideas of each topic in one call if `together`, otherwise each in a call of its own."""
    ranking, began = Ranking(), time.perf_counter()
    for topic in topics():
        sensible, absurd = list(topic["sensible"]), list(topic["absurd"])
        # Sensible and absurd ideas alternate, so that a preference for early or late places cancels out.
        ideas = [idea for pair in zip(sensible, absurd, strict=True) for idea in pair]
        groups = [ideas] if together else [[idea] for idea in ideas]
        scores: dict[str, float] = {}
        for group in groups:
            router = server.router()
            try:
                found = Critic(router).evaluate(group, str(topic["topic"]), str(topic["context"]))
            except LLMProviderError:
                found = []
            scores |= {group[one.idea_index]: one.score for one in found}
            ranking.tokens += router.get_metrics()["total_tokens"]
        ranking.add(_select(scores, sensible), _select(scores, absurd), len(sensible) * len(absurd))
    ranking.seconds = time.perf_counter() - began
    return ranking


def _select(scores: dict[str, float], ideas: list[str]) -> dict[str, float]:
    return {idea: scores[idea] for idea in ideas if idea in scores}
