"""The methods: each writes one idea for a task within a token budget."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from madspark import AsyncCoordinator, LLMProviderError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from madspark import LLMRouter

TEMPERATURE = 0.9
MOST_SAMPLES = 32
"""The maximum number of proposals of best-of-N, whatever the budget."""
MOST_ROUNDS = 16
"""The maximum number of rounds of self-refine."""


@dataclass(frozen=True)
class Task:
    """A topic and a context to write an idea for."""

    id: str
    topic: str
    context: str

    def text(self) -> str:
        """Return the task as it appears in prompts."""
        return f"<topic>\n{self.topic}\n</topic>\n<context>\n{self.context}\n</context>"


@dataclass(frozen=True)
class Answer:
    """A written idea and its cost."""

    text: str
    tokens: int
    calls: int


class Choice(BaseModel):
    """The number of the best proposal."""

    reason: str = Field(max_length=600)
    best: int = Field(ge=0)


def tasks() -> list[Task]:
    """Return the tasks of this folder."""
    return [Task(**task) for task in json.loads(Path(__file__).with_name("tasks.json").read_text(encoding="utf-8"))]


async def workflow(router: LLMRouter, task: Task, _budget: int | None = None) -> Answer:
    """Run the workflow and return the candidate with the highest final score. It sets the budget of the others."""
    result = await AsyncCoordinator(router=router).run(task.topic, task.context, enhanced_reasoning=True)
    if not result.candidates:
        raise LLMProviderError("the run ended without an idea")
    return _answer(router, result.candidates[0].final_idea)


async def single_shot(router: LLMRouter, task: Task, _budget: int) -> Answer:
    """Make one request; it cannot spend more."""
    return _answer(router, await _proposal(router, task))


async def best_of_n(router: LLMRouter, task: Task, budget: int) -> Answer:
    """Make as many proposals as the budget allows; the same model selects the best."""
    found = [await _proposal(router, task)]
    each = _spent(router)
    # The selection reads every proposal and writes little.
    while len(found) < MOST_SAMPLES and _spent(router) + each + each * (len(found) + 1) <= budget:
        found.append(await _proposal(router, task))
    if len(found) == 1:
        return _answer(router, found[0])
    proposals = "\n".join(f"<proposal>\nnumber: {number}\n{text}\n</proposal>" for number, text in enumerate(found))
    instruction = "Choose the best proposal for the topic: the most useful, original and feasible one."
    prompt = f"{instruction}\n{task.text()}\n{proposals}"
    choice, _ = await router.agenerate_structured(prompt, Choice, temperature=0.0)
    return _answer(router, found[min(choice.best, len(found) - 1)])


async def self_refine(router: LLMRouter, task: Task, budget: int) -> Answer:
    """Let the same model criticise and rewrite its proposal as often as the budget allows."""
    text = await _proposal(router, task)
    longest = 0
    for _ in range(MOST_ROUNDS):
        before = _spent(router)
        # A round reads the proposal and writes about as much, twice.
        if before + (longest or 4 * before) > budget:
            break
        shown = f"{task.text()}\n<proposal>\n{text}\n</proposal>"
        critique, _ = await router.agenerate(
            f"Criticise the proposal for the topic. Name its weak points, the worst first.\n{shown}", temperature=0.3
        )
        text, _ = await router.agenerate(
            f"Rewrite the proposal so that the critique no longer holds.\n{shown}\n"
            f"<critique>\n{critique}\n</critique>\n"
            f"{_FORM}",
            temperature=TEMPERATURE,
        )
        longest = max(longest, _spent(router) - before)
    return _answer(router, text)


METHODS: dict[str, Callable[[LLMRouter, Task, int], Awaitable[Answer]]] = {
    "single-shot": single_shot,
    "best-of-N": best_of_n,
    "self-refine": self_refine,
}
"""The methods that the workflow is compared with."""

_FORM = "Answer with a title, a colon and one full description: what it is, how it works, what it takes. No headings."


async def _proposal(router: LLMRouter, task: Task) -> str:
    prompt = f"Propose the best idea you have for the topic: useful, original and feasible.\n{task.text()}\n{_FORM}"
    text, _ = await router.agenerate(prompt, temperature=TEMPERATURE)
    return text


def _spent(router: LLMRouter) -> int:
    tokens: int = router.get_metrics()["total_tokens"]
    return tokens


def _answer(router: LLMRouter, text: str) -> Answer:
    return Answer(text, _spent(router), router.get_metrics()["total_requests"])
