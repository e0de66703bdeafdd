"""The agents, each by itself, about ideas that are always the same."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benches.real.outcome import Outcomes
from madspark import LLMProviderError
from madspark.agents import Advocate, Critic, IdeaGenerator, MultiDimensionalEvaluator, Skeptic

if TYPE_CHECKING:
    from collections.abc import Callable

    from benches.real.server import Server
    from madspark import LLMRouter

TOPIC = "Less food thrown away in school canteens"
CONTEXT = "Twelve primary schools with one shared kitchen; no extra staff."
IDEAS = [
    "Let pupils order one day ahead, so that the kitchen cooks the number of meals that will be eaten.",
    "Offer small and large portions and allow a second helping, so that plates are not overfilled.",
    "Weigh what is thrown away for each dish every week and take the least liked dishes off the menu.",
]
OPINION = "A sound idea with low cost; the organisation needs care."


def _ideas(router: LLMRouter) -> bool:
    return len(IdeaGenerator(router).generate(TOPIC, CONTEXT, count=5)) == 5  # noqa: PLR2004


def _critic(router: LLMRouter) -> bool:
    return len(Critic(router).evaluate(IDEAS, TOPIC, CONTEXT)) == len(IDEAS)


def _dimensions(router: LLMRouter) -> bool:
    return len(MultiDimensionalEvaluator(router).evaluate(IDEAS, TOPIC, CONTEXT)) == len(IDEAS)


def _advocate(router: LLMRouter) -> bool:
    cases = [{"idea": idea, "evaluation": OPINION} for idea in IDEAS]
    return len(Advocate(router).advocate_batch(cases, TOPIC, CONTEXT)) == len(IDEAS)


def _skeptic(router: LLMRouter) -> bool:
    cases = [{"idea": idea, "advocacy": OPINION} for idea in IDEAS]
    return len(Skeptic(router).criticize_batch(cases, TOPIC, CONTEXT)) == len(IDEAS)


AGENTS: dict[str, Callable[[LLMRouter], bool]] = {
    "ideas (5)": _ideas,
    "critic (3 ideas)": _critic,
    "dimensions (3 ideas)": _dimensions,
    "advocate (3 ideas)": _advocate,
    "skeptic (3 ideas)": _skeptic,
}
"""What each agent is asked; true if its result has every item."""


def measure(server: Server, repeats: int, report: Callable[[str, Outcomes], None]) -> None:
    """Run every agent `repeats` times."""
    for name, run in AGENTS.items():
        outcomes = Outcomes()
        for _ in range(repeats):
            router, began = server.router(), time.perf_counter()
            try:
                complete = run(router)
            except LLMProviderError as error:
                outcomes.fail(router, time.perf_counter() - began, error)
            else:
                outcomes.add(router, time.perf_counter() - began, complete=complete)
        report(name, outcomes)
