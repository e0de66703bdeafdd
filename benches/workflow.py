"""Measures the duration of a run relative to the shortest possible time, with models of realistic speed.

The simulator has the latency of a model: a time to the first token, then a constant rate of tokens. The output length
for each idea and stage is random with a fixed seed, around typical lengths. Everything runs `--scale` times faster than
the times in the table, so the overhead of the package counts `--scale` times.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import random
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from time import perf_counter
from typing import TYPE_CHECKING, Any

from madspark import AsyncCoordinator, Limits, LLMConfig, LLMRouter, __version__
from madspark.agents import Advocate, Critic, IdeaGenerator, Skeptic, StructuredIdeaGenerator
from madspark.testing import Simulator

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from madspark import ProviderName

TOPIC = "Shade for hot bus stops"
IDEAS = 5
KEPT = 3
FIRST_TOKEN = 0.3
RATE = 80.0
NAMES = ["Amber", "Bison", "Cedar", "Dune", "Ember"]
# The typical number of output tokens for one idea.
TYPICAL = {"generate": 120, "evaluate": 100, "advocate": 280, "criticize": 280, "improve": 340, "evaluate again": 100}
LATER = ("advocate", "criticize", "improve", "evaluate again")
BEGINNINGS = {
    "evaluate": "Evaluate each idea above for the topic.",
    "advocate": "Make the case for each idea above.",
    "criticize": "Make the case against each idea above; weigh what its advocate says.",
    "improve": "Improve each idea above, using all that was said about it, and only about it.",
}


@dataclass(frozen=True)
class Workload:
    """The output tokens for each idea in each stage, and the selected ideas."""

    tokens: dict[str, list[int]]
    kept: list[int]

    @classmethod
    def generate(cls, seed: int) -> Workload:
        """Return a workload with 0.6 to 1.4 times the typical lengths."""
        dice = random.Random(seed)  # noqa: S311  (no secret)
        tokens = {
            stage: [round(usual * dice.uniform(0.6, 1.4)) for _ in range(IDEAS)] for stage, usual in TYPICAL.items()
        }
        return cls(tokens, sorted(dice.sample(range(IDEAS), KEPT)))

    def seconds(self, stage: str, idea: int) -> float:
        """Return the duration of the call for one idea."""
        return FIRST_TOKEN + self.tokens[stage][idea] / RATE

    def bound(self, slots: int) -> float:
        """Return the lower bound: the critical path, or the total output divided by the slots if that is longer.

        An idea can be evaluated while the next one is generated; the selection waits for all evaluations.
        """
        written = [sum(self.tokens["generate"][: idea + 1]) / RATE for idea in range(IDEAS)]
        chosen = max(FIRST_TOKEN + written[idea] + self.seconds("evaluate", idea) for idea in range(IDEAS))
        longest = chosen + max(sum(self.seconds(stage, idea) for stage in LATER) for idea in self.kept)
        everything = sum(self.tokens["generate"]) + sum(self.tokens["evaluate"])
        everything += sum(self.tokens[stage][idea] for stage in LATER for idea in self.kept)
        work = FIRST_TOKEN * len(TYPICAL) + everything / RATE
        return max(longest, work / slots)


# The replies, padded to their length.


def padded(reply: dict[str, Any], path: list[Any], tokens: int) -> dict[str, Any]:
    """Return `reply`, padded at `path` to `tokens` tokens by the count of the simulator."""
    parent: Any = reply
    for step in path[:-1]:
        parent = parent[step]
    missing = max(0, 4 * tokens - len(json.dumps(reply)))
    parent[path[-1]] += " word" * (missing // 5)
    return reply


def idea_of(workload: Workload, idea: int) -> dict[str, Any]:
    """Return the generated idea."""
    reply = {"idea_number": idea + 1, "title": f"{NAMES[idea]} roof", "description": f"G-{NAMES[idea]} is an idea."}
    return padded(reply, ["description"], workload.tokens["generate"][idea])


def reply_of(workload: Workload, stage: str, idea: int, label: int) -> dict[str, Any]:
    """Return the reply of an agent for one idea, with a mark that identifies the prompt of the next stage."""
    name, tokens = NAMES[idea], workload.tokens[stage][idea]
    if stage in {"evaluate", "evaluate again"}:
        score = 9 - 0.1 * idea if idea in workload.kept else 3.0
        mark = "E" if stage == "evaluate" else "R"
        reply: dict[str, Any] = {"idea_index": label, "score": score, "comment": f"{mark}-{name} it is."}
        return padded(reply, ["comment"], tokens)
    if stage == "advocate":
        point = {"title": "Point", "description": f"A-{name} is good."}
        reply = {"idea_index": label, "strengths": [point], "opportunities": [], "addressing_concerns": []}
        return padded(reply, ["strengths", 0, "description"], tokens)
    if stage == "criticize":
        point = {"title": "Point", "description": f"S-{name} is bad."}
        reply = {"idea_index": label, "critical_flaws": [point], "risks_and_challenges": []}
        reply |= {"questionable_assumptions": [], "missing_considerations": []}
        return padded(reply, ["critical_flaws", 0, "description"], tokens)
    reply = {"idea_index": label, "improved_title": f"{name} better", "improved_description": f"I-{name} is better."}
    reply["key_improvements"] = ["more"]
    return padded(reply, ["improved_description"], tokens)


def script(simulator: Simulator, workload: Workload, scale: float) -> None:
    """Script replies at the pace of models, for prompts with all ideas and for prompts with one idea."""
    simulator.set_latency(FIRST_TOKEN / scale)
    simulator.set_tokens_per_second(RATE * scale)
    simulator.on(contains="Propose exactly", json=[idea_of(workload, idea) for idea in range(IDEAS)])
    # Earlier ideas have higher scores, so labels count the selected ideas in order.
    groups = {"evaluate": list(range(IDEAS)), **dict.fromkeys(LATER, workload.kept)}
    for stage, group in groups.items():
        beginning = BEGINNINGS["evaluate" if stage == "evaluate again" else stage]
        replies = [reply_of(workload, stage, idea, label) for label, idea in enumerate(group)]
        simulator.on(
            contains=f"{beginning}\nAnswer with one JSON object that has exactly these keys", times=1, json=replies
        )
    # The latest mark in a prompt identifies its stage.
    marks = {"evaluate again": "I", "improve": "S", "criticize": "A", "advocate": "E", "evaluate": "G"}
    for stage, mark in marks.items():
        for idea, name in enumerate(NAMES):
            simulator.on(contains=f"{mark}-{name}", json=reply_of(workload, stage, idea, 0))


# What is measured.


async def in_mode(router: LLMRouter, mode: str) -> int:
    """Run the workflow in a mode and return the number of calls."""
    options: dict[str, Any] = {"mode": mode, "num_top_candidates": KEPT, "enhanced_reasoning": True}
    result = await AsyncCoordinator(64, router=router).run(TOPIC, enable_novelty_filter=False, **options)
    if result.status != "ok":
        raise SystemExit(f"the run is {result.status}: {result.model_dump_json(indent=1)}")
    return result.calls


async def with_barriers(router: LLMRouter) -> int:
    """Run each stage concurrently for all ideas, with a barrier after each stage and without streaming."""
    ideas = [f"{idea.title}: {idea.description}" for idea in await IdeaGenerator(router).agenerate(TOPIC, count=IDEAS)]
    evaluations = await asyncio.gather(*(Critic(router).aevaluate([idea], TOPIC) for idea in ideas))
    best = sorted(zip(ideas, evaluations, strict=True), key=lambda pair: -pair[1][0].score)[:KEPT]
    cases = [{"idea": idea, "evaluation": evaluation[0].comment} for idea, evaluation in best]
    pros = await asyncio.gather(*(Advocate(router).aadvocate_batch([case], TOPIC) for case in cases))
    for case, (pro,) in zip(cases, pros, strict=True):
        case["advocacy"] = pro.model_dump_json()
    requests = [{"idea": case["idea"], "advocacy": case["advocacy"]} for case in cases]
    cons = await asyncio.gather(*(Skeptic(router).acriticize_batch([case], TOPIC) for case in requests))
    improver = StructuredIdeaGenerator(router)
    improved = await asyncio.gather(
        *(
            improver.aimprove(case["idea"], case["evaluation"], case["advocacy"], con.model_dump_json(), TOPIC)
            for case, (con,) in zip(cases, cons, strict=True)
        )
    )
    texts = [f"{one.improved_title}: {one.improved_description}" for one in improved]
    await asyncio.gather(*(Critic(router).aevaluate([text], TOPIC) for text in texts))
    return 1 + IDEAS + 4 * KEPT


ORDERS: dict[str, Callable[[LLMRouter], Awaitable[int]]] = {
    "batch": lambda router: in_mode(router, "batch"),
    "fanout": lambda router: in_mode(router, "fanout"),
    "auto": lambda router: in_mode(router, "auto"),
    "barriers": with_barriers,
}
TARGETS: dict[str, tuple[ProviderName, int]] = {
    "cloud, 64 slots": ("gemini", 64),
    "local, 4 slots": ("ollama", 4),
    "local, 1 slot": ("ollama", 1),
}


async def measure(seed: int, target: str, order: str, scale: float) -> tuple[float, float, int]:
    """Return the duration of one run at the pace of models, its lower bound, and the number of calls."""
    workload = Workload.generate(seed)
    provider, slots = TARGETS[target]
    with Simulator() as simulator:
        config = LLMConfig(
            ollama_host=simulator.ollama_url,
            gemini_base_url=simulator.gemini_url,
            gemini_api_key="simulator-key-of-no-worth",
            limits={provider: Limits(concurrent=slots)},
        )
        router = LLMRouter(provider, fallback_enabled=False, config=config)
        # The first call of a process starts its threads.
        simulator.on(contains="warm", text="warm", times=1, latency=0)
        await router.agenerate("warm")
        script(simulator, workload, scale)
        started = perf_counter()
        calls = await ORDERS[order](router)
        return (perf_counter() - started) * scale, workload.bound(slots), calls


async def main() -> None:
    """Measure, print, and write the table if requested."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workloads", type=int, default=3, help="number of random workloads (default: %(default)s)")
    parser.add_argument("--scale", type=float, default=5.0, help="speed of the clock (default: %(default)s)")
    parser.add_argument("--target", choices=TARGETS, action="append", help="measure only this target; may be repeated")
    parser.add_argument("--write", type=Path, metavar="FILE", help="also write the table as Markdown")
    options = parser.parse_args()

    rows = []
    for target in options.target or TARGETS:
        for order in ORDERS:
            found = [await measure(seed, target, order, options.scale) for seed in range(options.workloads)]
            seconds, bound = mean(one[0] for one in found), mean(one[1] for one in found)
            ratios = [one[0] / one[1] for one in found]
            rows.append(
                f"| {target} | {order} | {found[0][2]} | {seconds:.1f} | {bound:.1f} "
                f"| {mean(ratios):.2f} | {max(ratios):.2f} |"
            )
            print(rows[-1], flush=True)
    if options.write is not None:
        head = "| target | order | calls | seconds | bound | ratio | worst ratio |\n|---|---|---|---|---|---|---|"
        about = (
            f"madspark {__version__}, Python {platform.python_version()};\n"
            f"{options.workloads} workloads of {IDEAS} ideas, {KEPT} of them selected, with advocate and skeptic;\n"
            f"{FIRST_TOKEN * 1000:.0f} ms to the first token, {RATE:.0f} tokens a second;\n"
            f"measured with the clock {options.scale:g} times faster.\n"
        )
        page = ["# The duration of a run relative to its lower bound\n", about, head, *rows, ""]
        options.write.write_text("\n".join(page), encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
